//! `externalAuthorization`: somebody else is asked whether a request may pass.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::ByteCount;
use crate::duration::Duration;
use crate::reference::NAME_PATTERN;

/// A service that is asked about each request, once everything else has let it pass: all that policies name, nearer or not, those of Floors first. What cannot be asked in time, or gives no answer that can
/// be used, is answered 503; there is no way to let such requests pass.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.pathPrefix) || self.protocol == 'HTTP'")
        .message("pathPrefix is for protocol HTTP; with GRPC the path is the method's"),
    validation = Rule::new("!has(self.headersToCaller) || self.headersToCaller.all(h, h.lowerAscii() != 'set-cookie') || (has(self.denial) && self.denial == 'Pass')")
        .message("Set-Cookie goes to callers only with denial: Pass")
)]
pub struct ExternalAuthorization {
    /// Who is asked.
    pub backend_ref: AuthorizerReference,
    /// What it speaks.
    pub protocol: AuthorizerProtocol,
    /// With `protocol: HTTP`: put in front of the path, e.g. `/check`. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$"))]
    pub path_prefix: Option<String>,
    /// How long a question may take, connecting included: 10ms to 10s. Default 500ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10ms') && duration(self) <= duration('10s')").message("10ms to 10s"))]
    pub timeout: Option<Duration>,
    /// Headers of the caller that it is shown, `Authorization` and `Cookie` only if they stand here. Headers that only the gateway may say to the service, and those in which keys are read, are never shown. At most 32. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$")))]
    #[x_kube(validation = Rule::new(NOT_TOLD).message(NOT_TOLD_CURE))]
    pub headers_to_authorizer: Vec<String>,
    /// What it is told besides: in `context_extensions` by gRPC, in headers of these names by HTTP. At most 16, each name once, whatever the case of its letters, and with dash or underscore. Where the value cannot be
    /// told the request is refused; one that is absent is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.all(c, self.exists_one(other, other.name.lowerAscii().replace('_', '-') == c.name.lowerAscii().replace('_', '-')))")
        .message("two entries have one name, whatever the case of its letters, and with dash or underscore; state it once"))]
    pub context: Vec<AuthorizerContext>,
    /// Headers of a yes that the service is sent. What callers send in them is removed, in every spelling, also where the answer says nothing of them. At most 16. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$")))]
    #[x_kube(validation = Rule::new("self.all(h, !(h.lowerAscii() in ['host','connection','transfer-encoding','content-length','te','trailer','upgrade','keep-alive','proxy-connection','proxy-authorization','proxy-authenticate']))")
        .message("Host, Connection, Proxy and framing headers cannot be set here; leave them out"))]
    pub headers_to_backend: Vec<String>,
    /// Headers of a yes that are put on the service's answer; and, with `denial: Pass`, those of a no that callers are sent. At most 16. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$")))]
    #[x_kube(validation = Rule::new("self.all(h, !(h.lowerAscii() in ['connection','transfer-encoding','content-length','te','trailer','upgrade','keep-alive','proxy-connection','proxy-authenticate']))")
        .message("Connection, Proxy and framing headers are the gateway's own; leave them out"))]
    pub headers_to_caller: Vec<String>,
    /// The body is shown: it is read to its end first, and the service gets the same. Not on routes to gRPC services, whose bodies have no end to wait for: those are answered 500. Default: it is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_body: Option<ForwardBody>,
    /// What callers read of a no. Default `Problem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denial: Option<AuthorizerDenial>,
}

const NOT_TOLD: &str = "self.map(h, h.lowerAscii().replace('_', '-')).all(h, !(h in ['host','connection','transfer-encoding','content-length','te','trailer','upgrade','keep-alive','expect','http2-settings','forwarded','sallyport-key']) && !h.startsWith('proxy-') && !h.startsWith('client-cert') && !h.startsWith('x-forwarded-'))";
const NOT_TOLD_CURE: &str = "Host, Connection, Proxy, framing and forwarded headers are told in words of the gateway's own, and subscription keys not at all; leave them out";

/// The service that is asked (Gateway API, BackendObjectReference).
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.kind == 'Backend') == (self.group == 'sallyport.dev')")
        .message("a Backend is of group sallyport.dev, a Service of the core group \"\"; correct group"),
    validation = Rule::new("(self.kind == 'Service') == has(self.port)")
        .message("a Service needs a port, and a Backend states its own; correct port")
)]
pub struct AuthorizerReference {
    /// The core group of a Service, or `sallyport.dev`. Default: the core group.
    #[serde(default)]
    pub group: AuthorizerGroup,
    /// Service or Backend. Of a Backend the `credential` (`basic`, `header`, `none`) and the client certificate are shown; one with `passThrough` or `queryParameter` is refused. Default Service.
    #[serde(default)]
    pub kind: AuthorizerKind,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Another namespace than the policy's only with a ReferenceGrant there, from ApiPolicy (GEP-709).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Port of a Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u32>,
}

/// Groups of what can be asked.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum AuthorizerGroup {
    /// Kubernetes' own.
    #[default]
    #[serde(rename = "")]
    Core,
    /// Ours.
    #[serde(rename = "sallyport.dev")]
    Sallyport,
}

/// Kinds of what can be asked.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum AuthorizerKind {
    /// Core `v1` Service.
    #[default]
    Service,
    /// A Backend of `sallyport.dev`.
    Backend,
}

/// What authorisers speak: the two protocols of Envoy's ext_authz.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum AuthorizerProtocol {
    /// `envoy.service.auth.v3.Authorization/Check`. A yes is a `status` with code 0, without `denied_response`.
    GRPC,
    /// The request itself, at the authoriser, its body only with `forwardBody`. A yes is 200, and nothing else.
    HTTP,
}

/// Something that an authoriser is told.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.value) != has(self.expression)").message("state exactly one of value, expression"),
    validation = Rule::new("[self.name.lowerAscii().replace('_', '-')].all(n, !(n in ['host','connection','transfer-encoding','content-length','content-type','te','trailer','upgrade','keep-alive','expect','http2-settings','forwarded','sallyport-key','cdn-loop']) && !n.startsWith('proxy-') && !n.startsWith('x-forwarded-'))")
        .message("Host, Connection, Proxy, framing and forwarded headers are the gateway's own; choose another name")
)]
pub struct AuthorizerContext {
    /// Its name, which can be one of a header.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$"))]
    pub name: String,
    /// The value, literally: visible ASCII and spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096), regex(pattern = r"^([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?$"))]
    pub value: Option<String>,
    /// An expression in CEL that gives the value, as string or optional string (the reference of expressions says what it may name). In a Floor
    /// `auth` is what the Floor's own `authentication` has found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expression: Option<String>,
}

/// How much of a body is shown.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ForwardBody {
    /// The largest body, 1 to 1Mi: `8Ki`. A larger one is answered 413: nobody is shown half of one.
    #[x_kube(validation = Rule::new("quantity(string(self)).compareTo(quantity('1')) >= 0 && quantity(string(self)).compareTo(quantity('1Mi')) <= 0").message("1 to 1Mi"))]
    pub max_bytes: ByteCount,
}

/// What callers read of an authoriser's no.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum AuthorizerDenial {
    /// 403 with a problem document of the gateway's own.
    #[default]
    Problem,
    /// The authoriser's status, `headersToCaller` and up to 8 KiB of body: a status of 400 to 499 but 407, 408, 421, 426 and 431; 401 with a `WWW-Authenticate` that is listed; 302, 303 and 307 with a `Location` that is listed.
    /// Anything else is answered as by `Problem`, and so are callers who read gRPC.
    Pass,
}
