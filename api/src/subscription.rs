//! `Subscription`: a consumer's keys, and what they open.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::{RouteReference, SecretReference};
use crate::rotation::Rotation;

/// Two keys that open a Product, single routes, or all routes of a Gateway, between two dates.
#[derive(Clone, Debug, CustomResource, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "sallyport.dev",
    version = "v1alpha1",
    kind = "Subscription",
    namespaced,
    shortname = "apisub",
    category = "sallyport",
    status = "SubscriptionStatus",
    derive = "PartialEq",
    printcolumn(name = "Scope", type_ = "string", json_path = ".spec.scope..name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expires"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("!has(self.scope.product) || !has(oldSelf.expires) || (has(self.expires) && timestamp(self.expires) <= timestamp(oldSelf.expires))")
    .message("expires of a Subscription to a Product can only come nearer; ask the Product's owner, whose approval can state a date"))]
#[x_kube(validation = Rule::new("!has(self.scope.product) || !has(oldSelf.notBefore) || (has(self.notBefore) && timestamp(self.notBefore) >= timestamp(oldSelf.notBefore))")
    .message("notBefore of a Subscription to a Product can only move away; make another Subscription for an earlier begin"))]
pub struct SubscriptionSpec {
    /// Who subscribes: the consumer's word about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// What the keys open. Immutable: make another Subscription for another scope.
    #[x_kube(validation = Rule::new("self == oldSelf").message("scope is immutable; make another Subscription for another scope"))]
    pub scope: Scope,
    /// The consumer's own switch. `Cancelled` is for good.
    #[serde(default)]
    #[x_kube(validation = Rule::new("oldSelf != 'Cancelled' || self == 'Cancelled'").message("what is cancelled stays so; make another Subscription"))]
    pub state: State,
    /// The keys open nothing before (RFC 3339). Of a Subscription to a Product it can only move away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// The keys open nothing from then on, to the second (RFC 3339). Of a Subscription to a Product it can only come nearer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// Where the keys are.
    pub keys: SubscriptionKeys,
}

/// Who subscribes.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// What the consumer is called.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Where the consumer is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub contact: Option<String>,
}

/// Exactly one thing that the keys open.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.product), has(self.apis), has(self.allApis)].filter(x, x).size() == 1")
    .message("state exactly one of product, apis, allApis"))]
pub struct Scope {
    /// All APIs of a Product that takes subscribers from this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductName>,
    /// Routes of the Subscription's own namespace: 1 to 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub apis: Option<Vec<RouteReference>>,
    /// Every route of a Gateway. Only from the Gateway's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_apis: Option<AllApis>,
}

/// Names a Product.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProductName {
    /// Name of the Product.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Default: the Subscription's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Every route of a Gateway.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AllApis {
    /// The Gateway.
    pub gateway: GatewayName,
}

/// Names a Gateway.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GatewayName {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace: the Subscription's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// The consumer's own switch: it can only take away.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum State {
    /// The keys open, if everything else allows.
    #[default]
    Active,
    /// The keys open nothing, for now.
    Suspended,
    /// The keys open nothing, for good.
    Cancelled,
}

/// Exactly one place where the keys are.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretName) != has(self.sha256)").message("state either secretName or sha256"))]
#[x_kube(validation = Rule::new("!has(self.rotation) || has(self.secretName)").message("only keys in a Secret are rotated; state secretName, or leave rotation out"))]
pub struct SubscriptionKeys {
    /// A Secret of the same namespace with the entries `primary` and `secondary`. Where there is none, the controller makes it, owned by
    /// the Subscription. One that is there already is taken as it is, with at least one of the entries, of at least 32 characters, and is
    /// never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = crate::reference::NAME_PATTERN))]
    pub secret_name: Option<String>,
    /// Digests only, for those who keep keys elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digests>,
    /// When keys that the controller made are made anew by themselves. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// SHA-256 of the keys, as 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.primary) || has(self.secondary)").message("state primary, secondary, or both"))]
pub struct Digests {
    /// Of the first key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 64, max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub primary: Option<String>,
    /// Of the second key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 64, max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub secondary: Option<String>,
}

/// What the controller found.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionStatus {
    /// The generation that the conditions speak of; -1 before the controller has seen the object.
    #[serde(default)]
    pub observed_generation: i64,
    /// Where the subscription stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The Secret that holds the keys, once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// Of keys that the controller made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysStatus>,
    /// What holds, by type; `Ready`, `Reconciling` and `Stalled` sum up as kstatus reads them.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Of keys that the controller made.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeysStatus {
    /// When `primary` was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_made: Option<Time>,
    /// When `secondary` was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_made: Option<Time>,
    /// When `secondary`, which was `primary` before, ends; absent where it does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_ends: Option<Time>,
    /// The annotation `sallyport.dev/rotate` that was carried out last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated: Option<String>,
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Phase {
    /// It waits for the approval of the Product's owner.
    Submitted,
    /// Its keys open, from `notBefore` on.
    Active,
    /// Suspended by its consumer or by the Product's owner.
    Suspended,
    /// Not taken: rejected by the Product's owner, or see the conditions.
    Rejected,
    /// Cancelled by its consumer.
    Cancelled,
    /// `expires` is past, its own or that of its approval.
    Expired,
}

impl Phase {
    /// The word that stands in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "Submitted",
            Self::Active => "Active",
            Self::Suspended => "Suspended",
            Self::Rejected => "Rejected",
            Self::Cancelled => "Cancelled",
            Self::Expired => "Expired",
        }
    }
}
