//! `SubscriptionApproval`: the word of a Product's owner about one Subscription.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::Status;

/// Whether one Subscription is taken by a Product of the approval's namespace. It holds for that very object only: one that is made anew
/// needs a new word. Of several about one Subscription the most restrictive holds.
#[derive(Clone, Debug, CustomResource, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "sallyport.dev",
    version = "v1alpha1",
    kind = "SubscriptionApproval",
    namespaced,
    shortname = "apiappr",
    category = "sallyport",
    status = "Status",
    derive = "PartialEq",
    printcolumn(name = "Product", type_ = "string", json_path = ".spec.productRef.name"),
    printcolumn(name = "Subscription", type_ = "string", json_path = ".spec.subscriptionRef.name"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct SubscriptionApprovalSpec {
    /// The Product, of the approval's own namespace.
    pub product_ref: ProductReference,
    /// The Subscription, of any namespace that the Product takes.
    pub subscription_ref: SubscriptionReference,
    /// The owner's word.
    pub decision: Decision,
    /// The keys open nothing from then on, whatever the Subscription says (RFC 3339). Its own `expires` can only be earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// Why, for people: shown to the consumer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// Names a Product of the same namespace.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProductReference {
    /// Name of the Product.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Names one Subscription. What approves is about that one alone, by its uid; what suspends or rejects holds for whatever has the name.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionReference {
    /// Its namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its `metadata.uid`. In files, where objects have none as a rule, it is compared only with one that the Subscription states.
    #[schemars(length(min = 1, max = 128))]
    pub uid: String,
}

/// The owner's word; of two about one Subscription the later in this order holds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// The Subscription is taken.
    Approved,
    /// Its keys open nothing, for now.
    Suspended,
    /// It is not taken.
    Rejected,
}

impl Decision {
    /// The word that stands in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "Approved",
            Self::Suspended => "Suspended",
            Self::Rejected => "Rejected",
        }
    }
}
