//! `ApiPolicy`: who may call, and how.

mod basic;
mod client_certificate;
mod cors;
mod entra_id;
mod external_authorization;
mod introspection;
mod limits;
mod request;
mod sender_constraint;
mod token;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::credential::{Credential, Empty};
use crate::status::Ancestor;
pub use basic::{BasicAuthentication, HtpasswdReference};
pub use client_certificate::{
    CertificateIdentity, CertificateTrust, ClientCertificate, CrlReference, OnUnknown, PinnedCertificateReference,
    Revocation, SubjectAltName,
};
pub use cors::{Cors, CorsMethod};
pub use entra_id::{EntraCloud, EntraId, EntraVersion, TenantCheck};
pub use external_authorization::{
    AuthorizerContext, AuthorizerDenial, AuthorizerGroup, AuthorizerKind, AuthorizerProtocol, AuthorizerReference,
    ExternalAuthorization, ForwardBody,
};
pub use introspection::{ClientAuthentication, ClientAuthenticationMethod, ClientSecretReference, Introspection};
pub use limits::{Limit, LimitKey, Per, Period};
pub use request::{ByteCount, RequestBounds};
pub use sender_constraint::{Binding, Dpop, Nonce, Replay, SenderConstraint};
pub use token::{
    Algorithm, AudienceCheck, ClaimRule, Csrf, JwksLocation, Jwt, Keys, TokenCookie, TokenHeader, TokenParameter,
    TokenPlace, TokenRules,
};

/// Says who may call the routes it is attached to, and what the service behind them is told and shown.
///
/// It attaches to a Gateway, one of its listeners, a route, or one of the route's rules, in its own namespace. The nearest
/// level wins, section by section; a `Floor` holds in addition, always. A section that is stated empty counts as stated.
#[derive(Clone, Debug, CustomResource, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "sallyport.dev",
    version = "v1alpha1",
    kind = "ApiPolicy",
    plural = "apipolicies",
    namespaced,
    shortname = "apol",
    category = "sallyport",
    status = "ApiPolicyStatus",
    derive = "PartialEq",
    label("gateway.networking.k8s.io/policy", "Inherited"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.targetRefs[*].name"),
    printcolumn(name = "Enforcement", type_ = "string", json_path = ".spec.enforcement"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("self.enforcement != 'Floor' || !has(self.credential)")
        .message("a Floor cannot state a credential; put it on the route's policy or on the Backend"),
    validation = Rule::new("self.enforcement != 'Floor' || !has(self.authentication) || self.authentication.all(a, !has(a.public))")
        .message("a Floor cannot be public; leave authentication out of the Floor"),
    validation = Rule::new("self.enforcement != 'Floor' || has(self.authentication) || !has(self.limits) || self.limits.all(l, !(l.by in ['Subscription', 'Identity']))")
        .message("a Floor knows of the caller what its own authentication finds; state authentication in it, or count by ClientAddress"),
    validation = Rule::new("!has(self.credential) || self.targetRefs.all(t, t.kind != 'Gateway')")
        .message("a credential goes to one route's service; attach the policy to an HTTPRoute, GRPCRoute or Ingress"),
    validation = Rule::new("self.targetRefs.all(t, (t.kind == 'Ingress') == (t.group == 'networking.k8s.io'))")
        .message("an Ingress is of group networking.k8s.io, all other targets of gateway.networking.k8s.io; correct group"),
    validation = Rule::new("self.targetRefs.all(t, t.kind != 'Ingress' || !has(t.sectionName))")
        .message("an Ingress takes a policy as a whole; remove sectionName"),
    validation = Rule::new("!has(self.credential) || !has(self.requestHeaders) || !has(self.requestHeaders.set) || self.requestHeaders.set.all(h, h.name.lowerAscii() != 'authorization')")
        .message("requestHeaders.set cannot set Authorization beside a credential; state one of the two"),
    validation = Rule::new("!has(self.credential) || !has(self.externalAuthorization) || !has(self.externalAuthorization.headersToBackend) || self.externalAuthorization.headersToBackend.all(h, h.lowerAscii() != 'authorization')")
        .message("externalAuthorization.headersToBackend cannot list Authorization beside a credential; state one of the two")
)]
pub struct ApiPolicySpec {
    /// What the policy is attached to: 1 to 16 objects of the same namespace (GEP-2649).
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<TargetReference>,
    /// `Default`: a nearer level may state another. `Floor`: holds in addition to whatever nearer levels state.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// `Enforce`, or `Report`: evaluated beside the effective policy and told in log and metrics, never part of it; the status says
    /// that it only reports.
    #[serde(default)]
    pub mode: Mode,
    /// Client addresses that may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_filter: Option<IpFilter>,
    /// Ways to authenticate, tried in this order: the first that holds, with all that it lists, admits. At most 16. An empty
    /// list admits nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.size() == 1 || self.all(a, !has(a.public))")
        .message("public makes every other alternative pointless; list it alone"))]
    pub authentication: Option<Vec<Alternative>>,
    /// What has to hold besides: every rule of every policy in effect, nearer or not. At most 16. Where one does not hold, or cannot be
    /// told, the answer is 403.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub authorization: Option<Vec<AuthorizationRule>>,
    /// Who is asked about requests besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_authorization: Option<ExternalAuthorization>,
    /// Headers that the service is sent. What is set here is removed from the caller's request first, in every spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<RequestHeaders>,
    /// Headers that callers are sent with the service's answer. Refusals of the gateway itself are as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<ResponseHeaders>,
    /// How many requests may come. At most 16; of policies on one target, by name, that of the older one. An empty list: as many as come, but
    /// for what Floors state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub limits: Option<Vec<Limit>>,
    /// What requests may be like. Of what the nearest level and all Floors state the strictest holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestBounds>,
    /// Which pages of other sites may read answers. A section that is on the rule itself beats the CORS filter of an HTTPRoute, which beats all others; what a Floor states holds besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// What the service is shown; beats the Backend's. A secret goes only to backends of the policy's own namespace: others are shown
    /// their Backend's credential, and where that has none, requests to them are refused. `none` holds for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// How long-lived requests end. Of what the nearest level and all Floors state the strictest holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Streams>,
}

/// An object that a policy is attached to.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TargetReference {
    /// `gateway.networking.k8s.io`; of an Ingress `networking.k8s.io`.
    pub group: TargetGroup,
    /// Gateway, HTTPRoute, GRPCRoute or Ingress.
    pub kind: TargetKind,
    /// Name of the object, in the policy's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// A listener of the Gateway, or a named rule of the route; an Ingress has no sections. While there is none of that name, the policy denies on the whole target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// The group of targets.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum TargetGroup {
    /// Gateway API.
    #[serde(rename = "gateway.networking.k8s.io")]
    GatewayApi,
    /// Kubernetes itself.
    #[serde(rename = "networking.k8s.io")]
    Networking,
}

/// Kinds that a policy can be attached to.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetKind {
    /// All routes of a Gateway, or of one listener.
    Gateway,
    /// An HTTPRoute, or one of its rules.
    HTTPRoute,
    /// A GRPCRoute, or one of its rules.
    GRPCRoute,
    /// An Ingress as a whole.
    Ingress,
}

/// Whether nearer levels can state another.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Enforcement {
    /// Holds where no nearer level states the section.
    #[default]
    Default,
    /// Holds in addition, whatever nearer levels state.
    Floor,
}

/// Whether a policy takes part.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Mode {
    /// The policy is enforced.
    #[default]
    Enforce,
    /// The policy refuses nothing and opens nothing; what it would have refused is reported.
    Report,
}

/// Client addresses that may call. An address that cannot be read is denied.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IpFilter {
    /// Addresses, networks (CIDR, RFC 4632) or ranges (`first-last`), IPv4 or IPv6; at most 1,024. Empty: all that is not denied.
    #[serde(default)]
    #[schemars(length(max = 1024), inner(length(min = 2, max = 96)))]
    pub allow: Vec<String>,
    /// As `allow`; what stands here is denied although `allow` names it.
    #[serde(default)]
    #[schemars(length(max = 1024), inner(length(min = 2, max = 96)))]
    pub deny: Vec<String>,
}

/// One way to authenticate: all that it lists has to hold.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.jwt) || has(self.entraId) || has(self.introspection) || has(self.subscriptionKey) || has(self.clientCertificate) || has(self.basic) || has(self.public)")
        .message("state what the alternative asks for: jwt, entraId or introspection, subscriptionKey, clientCertificate, basic, or several; or public"),
    validation = Rule::new("[has(self.jwt), has(self.entraId), has(self.introspection)].filter(x, x).size() <= 1")
        .message("a caller sends one token; state one of jwt, entraId, introspection, and another alternative for another"),
    validation = Rule::new("!has(self.public) || (!has(self.jwt) && !has(self.entraId) && !has(self.introspection) && !has(self.subscriptionKey) && !has(self.clientCertificate) && !has(self.basic))")
        .message("public asks for nothing and stands alone"),
    validation = Rule::new("!has(self.basic) || ((!has(self.jwt) || (has(self.jwt.from) && self.jwt.from.size() > 0 && self.jwt.from.all(p, !has(p.header) || p.header.name.lowerAscii() != 'authorization'))) && (!has(self.entraId) || (has(self.entraId.from) && self.entraId.from.size() > 0 && self.entraId.from.all(p, !has(p.header) || p.header.name.lowerAscii() != 'authorization'))) && (!has(self.introspection) || (has(self.introspection.from) && self.introspection.from.size() > 0 && self.introspection.from.all(p, !has(p.header) || p.header.name.lowerAscii() != 'authorization'))))")
        .message("one Authorization holds a token or a password; have the token sent elsewhere (from), or state another alternative for the password")
)]
pub struct Alternative {
    /// Names the alternative in logs.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// A JSON Web Token, in `Authorization: Bearer` if `from` names no other place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// An access token of Microsoft Entra ID, in the same place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entra_id: Option<EntraId>,
    /// A token whose issuer is asked about it, in the same place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection: Option<Introspection>,
    /// The key of a Subscription that includes the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_key: Option<SubscriptionKey>,
    /// A certificate that the caller shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
    /// A user name and a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuthentication>,
    /// Anybody may call: said out loud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<Empty>,
}

/// What has to hold of a request, in CEL (the reference of expressions says what they may name).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationRule {
    /// Names the rule in logs.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Of which requests `require` is asked: an expression that gives true or false. Default: of all. Where it cannot be told, the
    /// request is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub when: Option<String>,
    /// An expression that gives true for requests that may pass. In a Floor `auth` is what the Floor's own `authentication` has found.
    #[schemars(length(min = 1, max = 4096))]
    pub require: String,
    /// What callers are told who are refused, as `detail` of the answer. Visible ASCII and spaces. Default: a sentence that tells
    /// nothing of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[\x20-\x7e]*$"))]
    pub message: Option<String>,
}

/// Where a subscription key is looked for. It never reaches the service.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionKey {
    /// Names of headers. Default: `Sallyport-Key`, if no query parameter is named either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$")))]
    pub headers: Vec<String>,
    /// Names of query parameters. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(min = 1, max = 256)))]
    pub query_parameters: Vec<String>,
}

/// Changes to the headers that the service is sent.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RequestHeaders {
    /// Set to these values; the caller's are removed, in every spelling (case, underscore for dash), also where there is no value. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.all(h, !(h.name.lowerAscii() in ['host','connection','transfer-encoding','content-length','te','trailer','upgrade','keep-alive','proxy-connection','proxy-authorization','proxy-authenticate']))")
        .message("Host, Connection, Proxy and framing headers cannot be set here; use the route's URLRewrite filter for Host"))]
    #[x_kube(validation = Rule::new("self.all(h, self.exists_one(other, other.name.lowerAscii() == h.name.lowerAscii()))")
        .message("two entries name one header, whatever the case of its letters; state it once"))]
    pub set: Vec<SetHeader>,
    /// Removed from the caller's request. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$")))]
    pub remove: Vec<String>,
}

/// Changes to the headers that callers are sent.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResponseHeaders {
    /// Set to these values in place of the service's. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.all(h, !(h.name.lowerAscii() in ['connection','transfer-encoding','content-length','te','trailer','upgrade','keep-alive','proxy-connection','proxy-authenticate']))")
        .message("Connection, Proxy and framing headers are the gateway's own; leave them out"))]
    #[x_kube(validation = Rule::new("self.all(h, self.exists_one(other, other.name.lowerAscii() == h.name.lowerAscii()))")
        .message("two entries name one header, whatever the case of its letters; state it once"))]
    pub set: Vec<SetHeader>,
    /// Removed from the service's answer, e.g. `Server`. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$")))]
    #[x_kube(validation = Rule::new("self.all(h, !(h.lowerAscii() in ['connection','transfer-encoding','content-length','te','trailer','upgrade','keep-alive','proxy-connection','proxy-authenticate']))")
        .message("Connection, Proxy and framing headers are the gateway's own; leave them out"))]
    pub remove: Vec<String>,
}

/// A header with a value that is fixed, or computed.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.expression)").message("state exactly one of value, expression"))]
pub struct SetHeader {
    /// Name of the header.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$"))]
    pub name: String,
    /// The value, literally: visible ASCII, spaces and tabs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096), regex(pattern = r"^[\t\x20-\x7e]*$"))]
    pub value: Option<String>,
    /// An expression in CEL that gives the value, as string or optional string (the reference of expressions says what it may name). Where
    /// it cannot be told, gives none, or gives what no header can hold (control characters, spaces at an end), there is no such header. In a
    /// Floor `auth` is what the Floor's own `authentication` has found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expression: Option<String>,
}

/// How long-lived requests end: WebSockets, server-sent events, gRPC streams.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Streams {
    /// A stream ends within a second of its token's expiry, its subscription's end, or a change of the policy after which the
    /// caller would have to show something else or its address no longer passes. Default: true. An origin lock and `tls.frontend` of the Gateway end it in any case.
    #[serde(default = "Streams::default_end_on_expiry")]
    pub end_on_expiry: bool,
}

impl Streams {
    fn default_end_on_expiry() -> bool {
        true
    }
}

/// What the controller found, per Gateway (GEP-713).
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ApiPolicyStatus {
    /// The generation that the conditions speak of; -1 before the controller has seen the object.
    #[serde(default)]
    pub observed_generation: i64,
    /// Sums up: Ready, Reconciling, Stalled.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// One entry for each Gateway that the policy takes effect on. At most 16.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub ancestors: Vec<Ancestor>,
}
