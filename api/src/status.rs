//! Shapes that the statuses of several kinds share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the controller found.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The generation that the conditions speak of; -1 before the controller has seen the object.
    #[serde(default)]
    pub observed_generation: i64,
    /// What holds, by type; `Ready`, `Reconciling` and `Stalled` sum up as kstatus reads them.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What holds for a policy at one Gateway (Gateway API, PolicyAncestorStatus).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Ancestor {
    /// The Gateway.
    pub ancestor_ref: AncestorReference,
    /// Always `sallyport.dev/gateway-controller`; entries of other controllers are left alone.
    #[schemars(length(min = 1, max = 253))]
    pub controller_name: String,
    /// Accepted, ResolvedRefs, Programmed, Conflicted.
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Names a Gateway.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AncestorReference {
    /// `gateway.networking.k8s.io`.
    #[schemars(length(max = 253))]
    pub group: String,
    /// `Gateway`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Namespace of the Gateway.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
