//! What a service is shown: one union for Backends and policies alike.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::reference::{SecretKeyReference, SecretReference};

/// Exactly one way in which the gateway authenticates itself, or lets the caller do so, to a service.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.passThrough), has(self.none), has(self.basic), has(self.header), has(self.queryParameter)].filter(x, x).size() == 1")
    .message("state exactly one of passThrough, none, basic, header, queryParameter"))]
pub struct Credential {
    /// The caller's `Authorization`, validated, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_through: Option<Empty>,
    /// Nothing: the caller's `Authorization` is removed as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<Empty>,
    /// HTTP Basic authentication (RFC 7617).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicCredential>,
    /// A secret in a header of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderCredential>,
    /// A secret in the query of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_parameter: Option<QueryParameterCredential>,
}

/// A member of a union that takes no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, schemars::JsonSchema, PartialEq, Eq)]
pub struct Empty {}

/// User name and password from a Secret.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BasicCredential {
    /// A Secret of the same namespace with the entries `username` (no colon) and `password`.
    pub secret_ref: SecretReference,
}

/// A header whose value is a secret.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HeaderCredential {
    /// Name of the header. The caller's own header of that name never reaches the service.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$"))]
    #[x_kube(validation = Rule::new("!(self.lowerAscii() in ['host','connection','transfer-encoding','content-length','te','trailer','upgrade','keep-alive','expect','cdn-loop','traceparent','tracestate'])")
        .message("Host, Connection, Expect, CDN-Loop, trace and framing headers cannot carry a credential; name another header"))]
    pub name: String,
    /// Put in front of the secret, for example `"Bearer "`. Default: nothing.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub prefix: String,
    /// The entry of a Secret of the same namespace that holds the value.
    pub secret_ref: SecretKeyReference,
}

/// A query parameter whose value is a secret.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct QueryParameterCredential {
    /// Name of the parameter. The caller's own parameter of that name never reaches the service.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The entry of a Secret of the same namespace that holds the value.
    pub secret_ref: SecretKeyReference,
}
