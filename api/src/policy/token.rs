//! Tokens of callers: `jwt`, and what holds of `entraId` as well.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::policy::sender_constraint::SenderConstraint;
use crate::reference::{CaCertificateReference, EntryReference};

/// A JSON Web Token, checked as RFC 8725 and RFC 9068 advise.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(AUDIENCES_STATED).message(AUDIENCES_CURE),
    validation = Rule::new(PROVEN_FROM).message(PROVEN_FROM_CURE),
    validation = Rule::new("!has(self.caCertificateRefs) || self.caCertificateRefs.size() == 0 || !has(self.keys) || has(self.keys.jwks)")
        .message("caCertificateRefs are for keys that are fetched, and these are not; leave them out, or state keys.jwks")
)]
pub struct Jwt {
    /// Equal to the claim `iss`, byte for byte. Without `keys`, its keys are found by OpenID Connect Discovery, or RFC 8414.
    #[schemars(length(min = 1, max = 512))]
    pub issuer: String,
    /// Where the keys are, if not by discovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// What holds whoever the issuer is.
    #[serde(flatten)]
    pub rules: TokenRules,
}

/// Of what states whose tokens are meant for the API.
pub(super) const AUDIENCES_STATED: &str =
    "(has(self.audiences) && self.audiences.size() > 0) != has(self.audienceCheck)";
pub(super) const AUDIENCES_CURE: &str =
    "list the audiences that the API goes by; or state audienceCheck: None if tokens for anybody may pass";

/// Of what demands proofs of possession.
pub(super) const PROVEN_FROM: &str = "!has(self.senderConstraint) || self.senderConstraint.require != 'DPoP' || !has(self.from) || self.from.size() == 0";
pub(super) const PROVEN_FROM_CURE: &str = "tokens with a proof stand in Authorization after the scheme DPoP (RFC 9449, 7.1); leave from out, or state require: Either";

/// What a token has to be, whoever has issued it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TokenRules {
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
    /// Where the token is looked for. Default: `Authorization` after the scheme `Bearer` (RFC 6750, 2.1), and after `DPoP` where
    /// `senderConstraint` takes proofs (RFC 9449, 7.1): where it demands them nothing else may be stated, and where `Authorization` is not among
    /// these places no proof is taken. A token in more than one of these places is ambiguous, and
    /// refused. The service is sent it where its credential says so, and nothing unverified out of any of them. At
    /// most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub from: Vec<TokenPlace>,
    /// The only certificate authorities that are trusted when keys are fetched. Default: the system's. Not where nothing is fetched.
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
    /// Private keys, in PEM (PKCS #8), of Secrets in the same namespace, by which encrypted tokens are opened (JWE, RFC 7516): RSA of 2048 to 4096
    /// bits, P-256 or P-384. What stands in such a token has to be a signed one. Default: encrypted tokens are refused. At most 4, tried in this
    /// order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub decryption_key_refs: Vec<EntryReference>,
    /// By how much clocks may differ. Default 60s, at most 300s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('300s')").message("at most 300s"))]
    pub clock_skew: Option<Duration>,
    /// The longest time from the claim `iat` to `exp`; with it, a token without `iat` is refused. At least 1s. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message("at least 1s"))]
    pub max_lifetime: Option<Duration>,
    /// Whether callers have to hold what a token is bound to (claim `cnf`, RFC 7800). Default: bound tokens are refused, since nothing shows who
    /// brings them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_constraint: Option<SenderConstraint>,
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
#[x_kube(validation = Rule::new("!(self.name.lowerAscii() in ['cookie','host','connection','transfer-encoding','content-length','te','trailer','upgrade','keep-alive','proxy-connection','proxy-authorization','proxy-authenticate','dpop'])")
    .message("Host, Connection, Proxy, DPoP and framing headers hold no token; name another, and a cookie by cookie"))]
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
    /// Taken as all others: for cookies that browsers keep from other sites (`SameSite=Strict`), pages of other sites that are meant to call, or
    /// services that look themselves.
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
