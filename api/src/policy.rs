//! `ApiPolicy`: who may call, and how.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::credential::{Credential, Empty};
use crate::duration::Duration;
use crate::reference::{CaCertificateReference, EntryReference};
use crate::status::Ancestor;

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
    validation = Rule::new("!has(self.credential) || self.targetRefs.all(t, t.kind != 'Gateway')")
        .message("a credential goes to one route's service; attach the policy to an HTTPRoute, GRPCRoute or Ingress"),
    validation = Rule::new("self.targetRefs.all(t, (t.kind == 'Ingress') == (t.group == 'networking.k8s.io'))")
        .message("an Ingress is of group networking.k8s.io, all other targets of gateway.networking.k8s.io; correct group"),
    validation = Rule::new("self.targetRefs.all(t, t.kind != 'Ingress' || !has(t.sectionName))")
        .message("an Ingress takes a policy as a whole; remove sectionName"),
    validation = Rule::new("!has(self.credential) || !has(self.requestHeaders) || !has(self.requestHeaders.set) || self.requestHeaders.set.all(h, h.name.lowerAscii() != 'authorization')")
        .message("requestHeaders.set cannot set Authorization beside a credential; state one of the two")
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
    /// Headers that the service is sent. What is set here is removed from the caller's request first, in every spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<RequestHeaders>,
    /// Headers that callers are sent with the service's answer. Refusals of the gateway itself are as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<ResponseHeaders>,
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
    validation = Rule::new("has(self.jwt) || has(self.subscriptionKey) || has(self.public)")
        .message("state what the alternative asks for: jwt, subscriptionKey or both; or public"),
    validation = Rule::new("!has(self.public) || (!has(self.jwt) && !has(self.subscriptionKey))")
        .message("public asks for nothing and stands alone")
)]
pub struct Alternative {
    /// Names the alternative in logs.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// A JSON Web Token, in `Authorization: Bearer` if `from` names no other place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// The key of a Subscription that includes the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_key: Option<SubscriptionKey>,
    /// Anybody may call: said out loud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<Empty>,
}

/// A JSON Web Token, checked as RFC 8725 and RFC 9068 advise.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.audiences) && self.audiences.size() > 0) != has(self.audienceCheck)")
        .message("list the audiences that the API goes by; or state audienceCheck: None if tokens for anybody may pass"),
    validation = Rule::new("!has(self.caCertificateRefs) || self.caCertificateRefs.size() == 0 || !has(self.keys) || has(self.keys.jwks)")
        .message("caCertificateRefs are for keys that are fetched, and these are not; leave them out, or state keys.jwks")
)]
pub struct Jwt {
    /// Equal to the claim `iss`, byte for byte. Without `keys`, its keys are found by OpenID Connect Discovery, or RFC 8414.
    #[schemars(length(min = 1, max = 512))]
    pub issuer: String,
    /// One of them has to be in the claim `aud`. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub audiences: Vec<String>,
    /// `None`: tokens for any audience pass. Only without `audiences`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience_check: Option<AudienceCheck>,
    /// All of them have to be in `scope` or `scp`. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256), regex(pattern = r#"^[\x21\x23-\x5b\x5d-\x7e]+$"#)))]
    pub scopes: Vec<String>,
    /// What other claims have to hold. At most 16, one for each claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub claims: Vec<ClaimRule>,
    /// Where the token is looked for. Default: `Authorization` after the scheme `Bearer` (RFC 6750, 2.1). A token in more than one of these
    /// places is ambiguous, and refused. The service is sent it where its credential says so, and nothing unverified out of any of them. At
    /// most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub from: Vec<TokenPlace>,
    /// Where the keys are, if not by discovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// The only certificate authorities that are trusted when keys are fetched. Default: the system's. Not beside keys that are
    /// stated inline or in a ConfigMap or Secret: nothing is fetched for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub ca_certificate_refs: Vec<CaCertificateReference>,
    /// Signature algorithms that are taken (RFC 7518). Default: all that are listed here; never a symmetric one. `EdDSA` takes tokens
    /// that call it `Ed25519` as well (RFC 9864).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    pub algorithms: Vec<Algorithm>,
    /// Types of token that are taken, as the header `typ` names them, in any case of letters, with or without `application/` (RFC 7515,
    /// 4.1.9). Default: `JWT`, `at+jwt` and tokens that name none; beside a list, one that names none is refused. `at+jwt` keeps ID tokens
    /// out where the issuer sets it (RFC 9068, 4). At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9!#$&^_.+/-]+$")))]
    #[x_kube(validation = Rule::new("self.all(t, !(t.lowerAscii() in ['dpop+jwt','application/dpop+jwt','logout+jwt','application/logout+jwt','secevent+jwt','application/secevent+jwt','token-introspection+jwt','application/token-introspection+jwt']))")
        .message("proofs, logout tokens, security events and introspection responses say nothing about who may call; name a type of access tokens"))]
    pub types: Vec<String>,
    /// By how much clocks may differ. Default 60s, at most 300s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('300s')").message("at most 300s"))]
    pub clock_skew: Option<Duration>,
    /// The longest time from the claim `iat` to `exp`; with it, a token without `iat` is refused. At least 1s. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message("at least 1s"))]
    pub max_lifetime: Option<Duration>,
}

/// Exactly one place in a request where a token stands.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.header), has(self.queryParameter), has(self.cookie)].filter(x, x).size() == 1")
    .message("state exactly one of header, queryParameter, cookie"))]
pub struct TokenPlace {
    /// A header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<TokenHeader>,
    /// A parameter of the query. Addresses are written down in many places: only for callers that can send nothing else (RFC 9700, 4.3.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_parameter: Option<TokenParameter>,
    /// A cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<TokenCookie>,
}

/// A header with a token.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(self.name.lowerAscii() in ['cookie','host','connection','transfer-encoding','content-length','te','trailer','upgrade','keep-alive','proxy-connection','proxy-authorization','proxy-authenticate'])")
    .message("Host, Connection, Proxy and framing headers hold no token; name another, and a cookie by cookie"))]
pub struct TokenHeader {
    /// Name of the header.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$"))]
    pub name: String,
    /// The scheme in front of the token, in any case of letters (RFC 9110, 11.1). Default: `Bearer` in `Authorization`, none in others,
    /// whose whole value is the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$"))]
    pub scheme: Option<String>,
}

/// A parameter of the query with a token.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TokenParameter {
    /// Name of the parameter, decoded, e.g. `access_token` (RFC 6750, 2.3).
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
}

/// A cookie with a token.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TokenCookie {
    /// Name of the cookie, exactly (RFC 6265, 4.1.1).
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$"))]
    pub name: String,
    /// Whether requests are refused (403) that another site has made a browser send: it sends its cookies along with them. Default: `Check`.
    #[serde(default)]
    pub csrf: Csrf,
}

/// What becomes of requests that another site has made a browser send (cross-site request forgery).
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Csrf {
    /// Refused, by what the browser says in `Sec-Fetch-Site`, or else in `Origin`; but for `GET`, `HEAD` and `OPTIONS`, which change nothing
    /// and whose answer the other site does not see. Upgrades are judged always.
    #[default]
    Check,
    /// Taken as all others: for cookies that browsers keep from other sites (`SameSite=Strict`), or services that look themselves.
    Off,
}

/// Says that the audience is not checked.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum AudienceCheck {
    /// Tokens for any audience pass.
    None,
}

/// A claim at the top level of a token: a string, or a list of strings. Names are taken exactly, dots and all.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.anyOf) && self.anyOf.size() > 0) || (has(self.allOf) && self.allOf.size() > 0) || (has(self.noneOf) && self.noneOf.size() > 0)")
    .message("state at least one value in anyOf, allOf or noneOf"))]
pub struct ClaimRule {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// At least one of these is among the claim's values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 512)))]
    pub any_of: Vec<String>,
    /// All of these are among the claim's values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 512)))]
    pub all_of: Vec<String>,
    /// None of these is among the claim's values. A token without the claim passes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 512)))]
    pub none_of: Vec<String>,
}

/// Exactly one place where a key set (RFC 7517) is.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.jwks), has(self.configMapRef), has(self.secretRef), has(self.inline)].filter(x, x).size() == 1")
    .message("state exactly one of jwks, configMapRef, secretRef, inline"))]
pub struct Keys {
    /// Fetched from an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<JwksLocation>,
    /// In a ConfigMap of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<EntryReference>,
    /// In a Secret of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<EntryReference>,
    /// The key set itself, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32768))]
    pub inline: Option<String>,
}

/// Address of a key set.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct JwksLocation {
    /// An https address; redirects are not followed.
    #[schemars(length(min = 1, max = 2048))]
    pub uri: String,
}

/// Asymmetric signature algorithms of RFC 7518 and RFC 8037.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519; tokens may call it by that name as well (RFC 9864).
    EdDSA,
}

impl Algorithm {
    /// All of them: what a policy that names none takes.
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// The name that tokens use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }
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
    /// caller would have to show something else or its address no longer passes. Default: true.
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
