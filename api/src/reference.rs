//! How resources name other objects.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a Secret or ConfigMap: a DNS subdomain (RFC 1123).
pub(crate) const NAME_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// A Secret of the same namespace.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of a Secret in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
}

/// One entry of a Secret of the same namespace.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyReference {
    /// Name of a Secret in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Which entry of its `data`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// One entry of a ConfigMap or Secret of the same namespace.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EntryReference {
    /// Name of the object, in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Which entry of its `data`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// A certificate authority: an object whose entry `ca.crt` holds certificates in PEM.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CaCertificateReference {
    /// ConfigMap or Secret.
    pub kind: CaCertificateKind,
    /// Name of the object; its entry `ca.crt` holds one or more certificates in PEM.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Another namespace than that of the referring object only with a ReferenceGrant there (GEP-709).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Kinds that can hold a certificate authority.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CaCertificateKind {
    /// Core `v1` ConfigMap.
    ConfigMap,
    /// Core `v1` Secret.
    Secret,
}

/// A Secret of type `kubernetes.io/tls` in the same namespace.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CertificateReference {
    /// Always Secret.
    #[serde(default)]
    pub kind: CertificateKind,
    /// Name of a Secret with `tls.crt` and `tls.key` in PEM.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
}

/// Kinds that can hold a certificate with its key.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum CertificateKind {
    /// Core `v1` Secret of type `kubernetes.io/tls`.
    #[default]
    Secret,
}

/// A route, as Products and Subscriptions name it: of the same namespace.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.kind == 'Ingress') == (self.group == 'networking.k8s.io')")
    .message("an Ingress is of group networking.k8s.io, all other routes of gateway.networking.k8s.io; correct group"))]
pub struct RouteReference {
    /// `gateway.networking.k8s.io`; of an Ingress `networking.k8s.io`, which has to be stated.
    #[serde(default = "RouteReference::default_group")]
    pub group: RouteGroup,
    /// HTTPRoute, GRPCRoute or Ingress.
    pub kind: RouteKind,
    /// Name of the route, in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
}

impl RouteReference {
    fn default_group() -> RouteGroup {
        RouteGroup::GatewayApi
    }
}

/// The group of routes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum RouteGroup {
    /// Gateway API.
    #[serde(rename = "gateway.networking.k8s.io")]
    GatewayApi,
    /// Kubernetes itself.
    #[serde(rename = "networking.k8s.io")]
    Networking,
}

/// Kinds of routes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// Routes HTTP requests.
    HTTPRoute,
    /// Routes gRPC calls.
    GRPCRoute,
    /// Routes HTTP requests, in the words of Kubernetes itself.
    Ingress,
}

impl RouteKind {
    /// The kind as manifests spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HTTPRoute => "HTTPRoute",
            Self::GRPCRoute => "GRPCRoute",
            Self::Ingress => "Ingress",
        }
    }
}
