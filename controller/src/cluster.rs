//! Raw objects, unjudged, by kind and name.

pub mod reach;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::ResourceExt;
use parking_lot::Mutex;
use sallyport_api::gateway_api::{Gateway, GatewayClass, GrpcRoute, HttpRoute, ReferenceGrant};
use sallyport_api::{ApiPolicy, Backend, GatewayParameters, Product, Subscription, SubscriptionApproval};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::manifest::is_dns_name;
use crate::seed::Seed;
use reach::Reach;
pub use shared::Shared;

/// Namespace and name; the namespace of cluster-scoped objects is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    pub namespace: String,
    pub name: String,
}

impl ObjectName {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// An object as it was found.
#[derive(Clone)]
pub enum Stored<K> {
    Decoded(Arc<K>),
    /// It is there, and closes what it guards.
    Undecodable(Arc<Undecodable>),
}

/// An object that an API server would have refused, or that is of a newer schema than ours.
#[derive(Clone)]
pub struct Undecodable {
    /// Creation in milliseconds since 1970 UTC, if it can be read.
    pub created_ms: Option<i64>,
    pub generation: Option<i64>,
    pub labels: BTreeMap<String, String>,
    /// As it was stated, without defaults. Read leniently for what the object would have guarded.
    pub raw: Value,
    /// What is wrong with it.
    pub problems: Vec<FieldProblem>,
}

/// Something wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldProblem {
    /// E.g. `spec.rules[0].matches[1].path`.
    pub field: String,
    /// What is wrong, and the cure.
    pub message: String,
}

/// Why nothing is known of an object that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// The controller lacks the right.
    Forbidden,
    /// The API server does not answer.
    Silent,
}

/// Secrets and ConfigMaps that somebody refers to: of these kinds no others need be known.
#[derive(Default)]
pub struct Asked(Mutex<BTreeSet<(ObjectKind, ObjectName)>>);

impl Asked {
    /// Remembers that the object has been looked for.
    ///
    /// An object has the name of a DNS subdomain (RFC 1123): of another name there is none, and the API server takes the question for a
    /// mistake.
    pub fn note(&self, kind: ObjectKind, name: &ObjectName) {
        if !is_dns_name(&name.name, 253) {
            return;
        }
        self.0.lock().insert((kind, name.clone()));
    }

    /// All that has been looked for since the last time.
    pub fn take(&self) -> BTreeSet<(ObjectKind, ObjectName)> {
        std::mem::take(&mut self.0.lock())
    }
}

/// What a copy has been asked for is its own business.
impl Clone for Asked {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Objects of one kind.
pub type Store<K> = BTreeMap<ObjectName, Stored<K>>;

macro_rules! kinds {
    ($($variant:ident, $type:ty, $store:ident, $version:literal, $scope:ident;)*) => {
        /// Every kind that is read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ObjectKind {
            $($variant,)*
        }

        /// Whether objects of a kind belong to namespaces.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Scope {
            Namespaced,
            Cluster,
        }

        impl ObjectKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kind as manifests spell it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// `apiVersion` of the kind.
            pub fn api_version(self) -> &'static str {
                match self { $(Self::$variant => $version,)* }
            }

            /// What the API server calls a collection of it.
            pub fn plural(self) -> String {
                match self { $(Self::$variant => <$type as kube::Resource>::plural(&()).into_owned(),)* }
            }

            /// Whether it belongs to namespaces.
            pub fn scope(self) -> Scope {
                match self { $(Self::$variant => Scope::$scope,)* }
            }
        }

        /// An object on its way into the cluster's state.
        #[derive(Clone)]
        pub enum Object {
            $($variant(Stored<$type>),)*
        }

        impl Object {
            /// Decodes `value`; what does not decode is kept, with its problems.
            pub fn decode(kind: ObjectKind, value: Value, mut problems: Vec<FieldProblem>) -> Self {
                match kind {
                    $(ObjectKind::$variant => {
                        let decoded = if problems.is_empty() { decoded::<$type>(&value, &mut problems) } else { None };
                        Self::$variant(match decoded {
                            Some(object) => Stored::Decoded(Arc::new(object)),
                            None => Stored::Undecodable(Arc::new(Undecodable::new(value, problems))),
                        })
                    })*
                }
            }

            /// Why it is undecodable; nothing if it is not.
            pub fn problems(&self) -> &[FieldProblem] {
                match self {
                    $(Self::$variant(Stored::Undecodable(object)) => &object.problems,)*
                    $(Self::$variant(Stored::Decoded(_)) => &[],)*
                }
            }
        }

        /// Everything that is known of the cluster, or of the files.
        #[derive(Clone, Default)]
        pub struct ClusterState {
            $(pub $store: Store<$type>,)*
            /// What has been looked for by name, there or not.
            pub asked: Asked,
            /// Contents that are held once.
            pub shared: Shared,
            /// Where all of this has been looked for.
            pub reach: Reach,
            /// What all replicas of the controller know; from files there is none.
            pub seed: Option<Seed>,
            /// Objects of which the API server tells nothing: they may be there.
            pub withheld: BTreeMap<(ObjectKind, ObjectName), Withheld>,
        }

        impl ClusterState {
            /// Puts an object in place of the one that has its name.
            pub fn apply(&mut self, name: ObjectName, object: Object) {
                match object {
                    $(Object::$variant(stored) => drop(self.$store.insert(name, stored)),)*
                }
            }

            /// How many objects of a kind are known.
            pub fn count(&self, kind: ObjectKind) -> usize {
                match kind {
                    $(ObjectKind::$variant => self.$store.len(),)*
                }
            }

            /// Takes an object out.
            pub fn delete(&mut self, kind: ObjectKind, name: &ObjectName) {
                match kind {
                    $(ObjectKind::$variant => drop(self.$store.remove(name)),)*
                }
            }
        }
    };
}

kinds! {
    Namespace, Namespace, namespaces, "v1", Cluster;
    Service, Service, services, "v1", Namespaced;
    EndpointSlice, EndpointSlice, endpoint_slices, "discovery.k8s.io/v1", Namespaced;
    Secret, Secret, secrets, "v1", Namespaced;
    ConfigMap, ConfigMap, config_maps, "v1", Namespaced;
    GatewayClass, GatewayClass, gateway_classes, "gateway.networking.k8s.io/v1", Cluster;
    Gateway, Gateway, gateways, "gateway.networking.k8s.io/v1", Namespaced;
    HTTPRoute, HttpRoute, http_routes, "gateway.networking.k8s.io/v1", Namespaced;
    GRPCRoute, GrpcRoute, grpc_routes, "gateway.networking.k8s.io/v1", Namespaced;
    ReferenceGrant, ReferenceGrant, reference_grants, "gateway.networking.k8s.io/v1", Namespaced;
    IngressClass, IngressClass, ingress_classes, "networking.k8s.io/v1", Cluster;
    Ingress, Ingress, ingresses, "networking.k8s.io/v1", Namespaced;
    ApiPolicy, ApiPolicy, api_policies, "sallyport.dev/v1alpha1", Namespaced;
    Backend, Backend, backends, "sallyport.dev/v1alpha1", Namespaced;
    Product, Product, products, "sallyport.dev/v1alpha1", Namespaced;
    Subscription, Subscription, subscriptions, "sallyport.dev/v1alpha1", Namespaced;
    SubscriptionApproval, SubscriptionApproval, subscription_approvals, "sallyport.dev/v1alpha1", Namespaced;
    GatewayParameters, GatewayParameters, gateway_parameters, "sallyport.dev/v1alpha1", Namespaced;
}

impl ObjectKind {
    /// The kind that a manifest names.
    pub fn find(api_version: &str, kind: &str) -> Option<Self> {
        let served = |version: &str| {
            version == api_version || (kind == "ReferenceGrant" && api_version == "gateway.networking.k8s.io/v1beta1")
        };
        Self::ALL.iter().copied().find(|one| one.as_str() == kind && served(one.api_version()))
    }
}

/// The object that `value` is, or what keeps it from being one.
fn decoded<K: DeserializeOwned>(value: &Value, problems: &mut Vec<FieldProblem>) -> Option<K> {
    match serde_path_to_error::deserialize(value) {
        Ok(object) => Some(object),
        Err(error) => {
            let path = error.path().to_string();
            // The object as a whole.
            let field = if path == "." { String::new() } else { path };
            problems.push(FieldProblem { field, message: format!("{}; correct it", error.inner()) });
            None
        }
    }
}

impl Undecodable {
    fn new(raw: Value, problems: Vec<FieldProblem>) -> Self {
        let metadata = &raw["metadata"];
        let created = metadata["creationTimestamp"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let labels = metadata["labels"].as_object().into_iter().flatten();
        let labels = labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
        Self {
            created_ms: created.map(jiff::Timestamp::as_millisecond),
            generation: metadata["generation"].as_i64(),
            labels,
            problems,
            raw,
        }
    }
}

/// Creation in milliseconds since 1970 UTC. An object without counts as older than all others.
pub fn created_ms<K: ResourceExt>(object: &K) -> i64 {
    object.creation_timestamp().map_or(0, |time| time.0.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_there_is_asked_for() {
        let asked = Asked::default();
        for name in ["", "a,b", "a=b", "a\\", "A", "a_b", "-a", "a-", "a..b", ".a", "a/b", &"a".repeat(254)] {
            asked.note(ObjectKind::Secret, &ObjectName::new("shop", name));
        }
        assert!(asked.take().is_empty());
        let there = ["a", "a-b.c-1", "0", &"a".repeat(253)];
        there.iter().for_each(|name| asked.note(ObjectKind::Secret, &ObjectName::new("shop", *name)));
        assert_eq!(asked.take().len(), there.len());
    }
}
