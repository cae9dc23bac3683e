//! `Product`: APIs that are subscribed to together.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::Per;
use crate::reference::RouteReference;
use crate::status::Status;

/// Routes of one namespace that are offered together. A Subscription to it opens all of them.
#[derive(Clone, Debug, CustomResource, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "sallyport.dev",
    version = "v1alpha1",
    kind = "Product",
    namespaced,
    shortname = "apiprod",
    category = "sallyport",
    status = "Status",
    derive = "PartialEq",
    printcolumn(name = "Name", type_ = "string", json_path = ".spec.displayName"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct ProductSpec {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub display_name: Option<String>,
    /// The routes, of the Product's namespace: 1 to 64.
    #[schemars(length(min = 1, max = 64))]
    pub apis: Vec<RouteReference>,
    /// How many requests each Subscription may make, on all of its routes together. At most 8, beside the limits of policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub limits: Vec<ProductLimit>,
    /// Who may subscribe.
    #[serde(default)]
    pub subscribers: Subscribers,
    /// Whether each Subscription waits for a SubscriptionApproval. Default: `Automatic` where `subscribers` are `Same`, else `Manual`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

impl ProductSpec {
    /// Whether each Subscription waits for a SubscriptionApproval.
    pub fn approval(&self) -> Approval {
        let default = match self.subscribers.namespaces.from {
            NamespacesFrom::Same => Approval::Automatic,
            NamespacesFrom::All | NamespacesFrom::Selector => Approval::Manual,
        };
        self.approval.unwrap_or(default)
    }
}

/// How many requests each Subscription may make: in a time, or at once. What is over it is answered 429, with `Retry-After`.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.requests) != has(self.concurrent)")
        .message("state exactly one of requests, with per, and concurrent"),
    validation = Rule::new("has(self.requests) == has(self.per)")
        .message("requests and per go together: so many in that time")
)]
pub struct ProductLimit {
    /// Names the limit in logs, and to callers in the field `RateLimit`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// So many requests in `per`. 1 to 1,000,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: Option<u32>,
    /// 1s to 24h, a window that slides, or Day or Month of UTC. More than 1h, Day and Month are counted where the Gateway's GatewayParameters say
    /// `limits.store: Redis`; through other Gateways no request of the Product passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self in ['Day','Month'] || duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("out of bounds; state 1s to 24h, Day or Month"))]
    pub per: Option<Per>,
    /// So many requests under way. 1 to 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrent: Option<u32>,
}

/// How Subscriptions are taken. Either way a SubscriptionApproval can reject or suspend one.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Approval {
    /// All that the Product's subscribers make.
    Automatic,
    /// Those only that a SubscriptionApproval in the Product's namespace approves.
    Manual,
}

/// Who may subscribe to a Product.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Subscribers {
    /// Namespaces whose Subscriptions are taken.
    #[serde(default)]
    pub namespaces: SubscriberNamespaces,
    /// How many Subscriptions of one namespace are taken; the Product's own is one as all others. Each has a place until it is deleted, cancelled or rejected,
    /// also while it waits for approval, is suspended or has expired. Those that a SubscriptionApproval is about come first, then the older. What is
    /// beyond has no keys and opens nothing (`TooManySubscriptions`) until a place is free; a smaller number holds at once. 1 to 10,000; default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_per_namespace: Option<u32>,
}

/// Namespaces whose Subscriptions are taken.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)").message("state a selector with from: Selector, and only there"))]
pub struct SubscriberNamespaces {
    /// `Same`: the Product's own. `All`: every namespace. `Selector`: those with the labels.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels of the namespaces, with `from: Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// A way to say which namespaces.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum NamespacesFrom {
    /// The namespace of the object itself.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// Namespaces with certain labels.
    Selector,
}
