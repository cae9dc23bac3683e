//! What of a `GatewayParameters` says how the pods and the Service of a Gateway are made in a cluster.

mod affinity;
mod metadata;
mod quantity;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use affinity::{
    Affinity, Expression, LabelExpression, LabelOperator, LabelSelector, NodeAffinity, NodeSelector, NodeTerm,
    Operator, PodAffinity, PodTerm, PreferredNodes, PreferredPods,
};
pub use metadata::{Annotations, Labels};
pub use quantity::Quantity;

use metadata::{KEY_PATTERN, VALUE_PATTERN};

/// The name of an object (RFC 1123).
const NAME_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// The pods that serve a Gateway.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentSettings {
    /// How many pods serve the Gateway: 1 to 1,000. Where neither says it, the field is never applied, so that a
    /// HorizontalPodAutoscaler can own it; without one there is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: Option<i32>,
    /// What the container asks for, and what it may not exceed. A Gateway's replaces the class's as a whole. Default: requests of
    /// 100m cpu and 128Mi memory, each unless something is said of it, and no limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Where the pods run, and what they carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodSettings>,
}

/// Requests and limits, as a container has them.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || !isQuantity(string(self.requests.cpu)) || !isQuantity(string(self.limits.cpu)) || quantity(string(self.requests.cpu)).compareTo(quantity(string(self.limits.cpu))) <= 0")
        .message("requests.cpu is more than limits.cpu; raise the limit, or leave it out"),
    validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || !isQuantity(string(self.requests.memory)) || !isQuantity(string(self.limits.memory)) || quantity(string(self.requests.memory)).compareTo(quantity(string(self.limits.memory))) <= 0")
        .message("requests.memory is more than limits.memory; raise the limit, or leave it out")
)]
pub struct Resources {
    /// What a node must have left for a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Amounts>,
    /// What a pod may not exceed: over `memory` it is ended, over `cpu` it is slowed down, which callers notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Amounts>,
}

/// Amounts of what a node has.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct Amounts {
    /// Processors: `2`, or in thousandths `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Bytes: `256Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

/// Where the pods run, and what they carry. Fields have the shape and the meaning that they have in a pod.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodSettings {
    /// Labels of the pods beside the controller's own and those of `Gateway.spec.infrastructure`, which win. A Gateway's are added to
    /// the class's, and win. At most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Annotations of the pods beside those of `Gateway.spec.infrastructure`, which win. A Gateway's are added to the class's, and
    /// win. At most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// Labels that a node must have. A Gateway's replaces the class's as a whole. At most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<Labels>,
    /// Taints of nodes that keep the pods from nothing. A Gateway's list replaces the class's. At most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub tolerations: Option<Vec<Toleration>>,
    /// Nodes and pods to be near to, or far from. A Gateway's replaces the class's as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How evenly the Gateway's pods are spread. A Gateway's list replaces the class's. Default: over hosts and zones, with
    /// whenUnsatisfiable ScheduleAnyway. At most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub topology_spread_constraints: Option<Vec<TopologySpread>>,
    /// The PriorityClass of the pods. A Gateway's replaces the class's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub priority_class_name: Option<String>,
    /// Secrets with which the image is pulled, in the namespace of the Gateway. A Gateway's list replaces the class's. At most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub image_pull_secrets: Option<Vec<PullSecret>>,
}

/// A Secret of type `kubernetes.io/dockerconfigjson`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub struct PullSecret {
    /// Name of the Secret, in the namespace of the Gateway.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
}

/// A taint, or several, that are tolerated.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.key) || (has(self.operator) && self.operator == 'Exists')")
        .message("without a key all taints are meant; say so with operator: Exists, or state a key"),
    validation = Rule::new("!has(self.value) || !has(self.operator) || self.operator != 'Exists'")
        .message("operator Exists takes any value; leave value out, or use Equal"),
    validation = Rule::new("!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')")
        .message("tolerationSeconds is for effect NoExecute; state that effect, or leave it out")
)]
pub struct Toleration {
    /// Key of the taint. Absent, with operator Exists: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317), regex(pattern = KEY_PATTERN))]
    pub key: Option<String>,
    /// Equal (default): the value as well. Exists: any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// Value of the taint, with Equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = VALUE_PATTERN))]
    pub value: Option<String>,
    /// Effect of the taint. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// How long a pod stays once its node has the taint, with effect NoExecute. Absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub toleration_seconds: Option<i64>,
}

/// How a taint is compared.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum TolerationOperator {
    /// Key and value are the taint's.
    Equal,
    /// The key is the taint's.
    Exists,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum TaintEffect {
    /// New ones are not placed there.
    NoSchedule,
    /// New ones are placed elsewhere where that is possible.
    PreferNoSchedule,
    /// Those that run there are ended as well.
    NoExecute,
}

/// How evenly the Gateway's own pods are spread over places. Which pods are counted is not to be said: those of the Gateway.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'")
        .message("minDomains is for whenUnsatisfiable: DoNotSchedule; state that, or leave it out")
)]
pub struct TopologySpread {
    /// By how many pods places may differ: 1 or more.
    #[schemars(range(min = 1))]
    pub max_skew: i32,
    /// The label of nodes whose values are the places: `kubernetes.io/hostname`, `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = 317), regex(pattern = KEY_PATTERN))]
    pub topology_key: String,
    /// What becomes of a pod that would make it less even.
    pub when_unsatisfiable: WhenUnsatisfiable,
    /// How many places there have to be, with DoNotSchedule: 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_domains: Option<i32>,
}

/// What becomes of a pod that cannot be placed as is asked.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum WhenUnsatisfiable {
    /// It waits.
    DoNotSchedule,
    /// It runs nevertheless.
    ScheduleAnyway,
}

/// The Service in front of the pods of a Gateway.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.type) || self.type != 'ClusterIP' || !has(self.externalTrafficPolicy)")
        .message("a Service of type ClusterIP has no traffic from outside; leave externalTrafficPolicy out, or choose another type"),
    validation = Rule::new("!has(self.type) || self.type == 'LoadBalancer' || !has(self.loadBalancerClass)")
        .message("only a Service of type LoadBalancer has a loadBalancerClass; leave it out, or choose that type")
)]
pub struct ServiceSettings {
    /// Who reaches the Gateway, and how. Default: LoadBalancer. A Gateway's replaces the class's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<ServiceType>,
    /// Labels of the Service beside the controller's own and those of `Gateway.spec.infrastructure`, which win. A Gateway's are added
    /// to the class's, and win. At most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Annotations of the Service, by which load balancers are told what they should do, beside those of
    /// `Gateway.spec.infrastructure`, which win. A Gateway's are added to the class's, and win. At most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// Whether traffic from outside goes to pods of its own node only. Local (default) keeps the client's address, for `ipFilter`,
    /// limits and logs; Cluster goes to any pod, and hides it. A Gateway's replaces the class's; with type ClusterIP neither counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// Which load balancer serves a Service of type LoadBalancer. Default: the cluster's. A Gateway's replaces the class's; with another
    /// type neither counts. Kubernetes refuses to change it on a Service that is there: delete the Service, and it is made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 317),
        regex(pattern = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
    )]
    pub load_balancer_class: Option<String>,
}

/// Who reaches a Service, and how.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ServiceType {
    /// Anybody, at the address that a load balancer gives it.
    #[default]
    LoadBalancer,
    /// Pods of the cluster, at an address of the cluster.
    ClusterIP,
    /// Whoever reaches a node, at a port of every node.
    NodePort,
}

/// Which pods traffic from outside goes to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ExternalTrafficPolicy {
    /// Those of the node where it arrives.
    #[default]
    Local,
    /// Any.
    Cluster,
}
