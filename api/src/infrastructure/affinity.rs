//! Nodes and pods to be near to, or far from: a pod's `affinity`, with bounds.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Labels;
use super::metadata::{KEY_PATTERN, VALUE_PATTERN};

/// Nodes and pods to be near to, or far from.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Affinity {
    /// Nodes to run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_affinity: Option<NodeAffinity>,
    /// Pods to be near to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_affinity: Option<PodAffinity>,
    /// Pods to be far from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_anti_affinity: Option<PodAffinity>,
}

/// Nodes to run on.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeAffinity {
    /// Nodes that a pod needs in order to be placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
    /// Nodes that are preferred. At most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub preferred_during_scheduling_ignored_during_execution: Option<Vec<PreferredNodes>>,
}

/// Nodes for which one of the terms holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector {
    /// One has to hold. 1 to 8.
    #[schemars(length(min = 1, max = 8))]
    pub node_selector_terms: Vec<NodeTerm>,
}

/// Nodes for which all expressions hold.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeTerm {
    /// All have to hold. 1 to 8.
    #[schemars(length(min = 1, max = 8))]
    pub match_expressions: Vec<Expression>,
}

/// Nodes, and how much they are preferred.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct PreferredNodes {
    /// How much: 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// Which ones.
    pub preference: NodeTerm,
}

/// What a label of a node has to be.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("!(self.operator in ['In', 'NotIn']) || (has(self.values) && self.values.size() > 0)")
        .message("In and NotIn need values; list some, or use Exists or DoesNotExist"),
    validation = Rule::new("!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || self.values.size() == 0")
        .message("Exists and DoesNotExist take no values; leave them out, or use In or NotIn"),
    validation = Rule::new("!(self.operator in ['Gt', 'Lt']) || (has(self.values) && self.values.size() == 1 && self.values[0].matches('^[0-9]{1,18}$'))")
        .message("Gt and Lt compare with one whole number; list that as the only value")
)]
pub struct Expression {
    /// Key of the label.
    #[schemars(length(min = 1, max = 317), regex(pattern = KEY_PATTERN))]
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what. At most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(max = 63), regex(pattern = VALUE_PATTERN)))]
    pub values: Option<Vec<String>>,
}

/// How a label of a node is compared.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Operator {
    /// It is one of the values.
    #[default]
    In,
    /// It is none of the values, or absent.
    NotIn,
    /// It is there.
    Exists,
    /// It is absent.
    DoesNotExist,
    /// It is a greater number.
    Gt,
    /// It is a smaller number.
    Lt,
}

/// Pods to be near to, or far from.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodAffinity {
    /// What has to hold for a pod to be placed. At most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub required_during_scheduling_ignored_during_execution: Option<Vec<PodTerm>>,
    /// What is preferred. At most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub preferred_during_scheduling_ignored_during_execution: Option<Vec<PreferredPods>>,
}

/// Pods, and how much it is preferred to be near to them, or far from them.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PreferredPods {
    /// How much: 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// Which ones.
    pub pod_affinity_term: PodTerm,
}

/// Pods, and what place counts as one.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodTerm {
    /// Labels of the pods.
    pub label_selector: LabelSelector,
    /// Namespaces of the pods. Default: that of the Gateway. At most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")))]
    pub namespaces: Option<Vec<String>>,
    /// The label of nodes whose values are the places: `kubernetes.io/hostname`, `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = 317), regex(pattern = KEY_PATTERN))]
    pub topology_key: String,
}

/// Pods that have all of these labels.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels with their values. At most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_labels: Option<Labels>,
    /// Expressions that hold. At most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub match_expressions: Option<Vec<LabelExpression>>,
}

/// What a label of a pod has to be.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)")
        .message("In and NotIn need values, Exists and DoesNotExist take none; correct the operator or the values")
)]
pub struct LabelExpression {
    /// Key of the label.
    #[schemars(length(min = 1, max = 317), regex(pattern = KEY_PATTERN))]
    pub key: String,
    /// How it is compared.
    pub operator: LabelOperator,
    /// With what. At most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(max = 63), regex(pattern = VALUE_PATTERN)))]
    pub values: Option<Vec<String>>,
}

/// How a label of a pod is compared.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum LabelOperator {
    /// It is one of the values.
    #[default]
    In,
    /// It is none of the values, or absent.
    NotIn,
    /// It is there.
    Exists,
    /// It is absent.
    DoesNotExist,
}
