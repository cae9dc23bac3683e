//! `introspection`: tokens whose issuer is asked about them.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::token::{AUDIENCES_CURE, AUDIENCES_STATED, AudienceCheck, ClaimRule, TokenPlace};
use crate::duration::Duration;
use crate::reference::{CaCertificateReference, NAME_PATTERN};

/// A token that says nothing by itself (an opaque one), or nothing that is believed: its issuer is asked about it (OAuth 2.0 Token Introspection, RFC 7662), and the
/// answer is judged as the claims of a JWT. While it cannot be asked, or its answer cannot be used, callers are answered 503.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(AUDIENCES_STATED).message(AUDIENCES_CURE))]
pub struct Introspection {
    /// The endpoint: an https address without user and fragment. Redirects are not followed.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^[^@#\s]+$"))]
    pub endpoint: String,
    /// What the member `iss` of the answer has to be, byte for byte; it has to be there then. A token that is a JWT of another issuer is not sent. State it where the endpoint knows tokens of
    /// several issuers. Default: not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub issuer: Option<String>,
    /// How the gateway shows who asks.
    pub client_authentication: ClientAuthentication,
    /// One of them has to be in the member `aud` of the answer. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
    /// `None`: tokens for any audience pass. Only without `audiences`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience_check: Option<AudienceCheck>,
    /// All of them have to be in the member `scope`. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256), regex(pattern = r#"^[\x21\x23-\x5b\x5d-\x7e]+$"#)))]
    pub scopes: Vec<String>,
    /// What other members have to hold. At most 16, one for each member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub claims: Vec<ClaimRule>,
    /// Where the token is looked for. Default: `Authorization` after the scheme `Bearer`. As of `jwt`. At most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub from: Vec<TokenPlace>,
    /// The only certificate authorities that are trusted at the endpoint. Default: the system's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub ca_certificate_refs: Vec<CaCertificateReference>,
    /// By how much clocks may differ. Default 60s, at most 300s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('300s')").message("at most 300s"))]
    pub clock_skew: Option<Duration>,
    /// The longest time from `iat` to `exp` of the answer; with it, an answer without either is refused. At least 1s. Default: any, and `exp` may be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message("at least 1s"))]
    pub max_lifetime: Option<Duration>,
    /// What tokens of this issuer begin with, 1 to 64 characters that tokens may have (RFC 6750, 2.1): others are not sent. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9._~+/-]+$"))]
    pub prefix: Option<String>,
    /// How long a question may take, connecting included: 50ms to 10s. Default 2s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('50ms') && duration(self) <= duration('10s')").message("50ms to 10s"))]
    pub timeout: Option<Duration>,
    /// How long an answer holds that lets a token in, at most to its `exp`: so long a token that has been revoked may go on. 0s to 10m, where 0s asks each time. Default 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s') && duration(self) <= duration('10m')").message("0s to 10m"))]
    pub cache: Option<Duration>,
    /// The same of an answer that does not: 0s to 1m. Default 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s') && duration(self) <= duration('1m')").message("0s to 1m"))]
    pub negative_cache: Option<Duration>,
}

/// The gateway as a client of an authorization server (RFC 6749, 2.3).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClientAuthentication {
    /// Its `client_id`.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[\x20-\x7e]+$"))]
    pub id: String,
    /// How it authenticates itself.
    pub method: ClientAuthenticationMethod,
    /// Its secret.
    pub secret_ref: ClientSecretReference,
}

/// Methods of client authentication.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ClientAuthenticationMethod {
    /// Id and secret in `Authorization: Basic`, form-encoded (RFC 6749, 2.3.1).
    ClientSecretBasic,
    /// Id and secret in the form. Only for servers that take nothing else.
    ClientSecretPost,
}

/// An entry of a Secret that holds a client's secret. The annotation `sallyport.dev/hosts` of the Secret names the hosts that it may be sent to, with commas between them; the
/// endpoint's has to be one: whoever writes a policy chooses who is asked.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClientSecretReference {
    /// Name of a Secret in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Which entry of its `data`. Default `client-secret`.
    #[serde(default = "ClientSecretReference::default_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

impl ClientSecretReference {
    fn default_key() -> String {
        "client-secret".to_owned()
    }
}
