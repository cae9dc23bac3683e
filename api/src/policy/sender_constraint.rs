//! What callers have to hold beside a token: a certificate (RFC 8705), or the key of a proof of possession (RFC 9449).

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::token::Algorithm;
use crate::duration::Duration;

/// What callers have to hold beside a token, so that a stolen one opens nothing.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.require != 'Certificate' || !has(self.dpop)")
    .message("by certificates nothing is proven that dpop could say anything of; leave it out, or state require: Either"))]
pub struct SenderConstraint {
    /// What a token has to be bound to.
    pub require: Binding,
    /// How proofs of possession are judged. Not with `require: Certificate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop: Option<Dpop>,
}

/// What tokens are bound to. A token that is bound to anything else besides is refused.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Binding {
    /// The certificate that the caller shows in the TLS handshake (`x5t#S256`, RFC 8705, 3), here or to a trusted proxy that tells of it. Listeners
    /// with such routes ask for one. Whether anybody trusts it is not asked: list `clientCertificate` in the alternative for that.
    Certificate,
    /// The key by which the caller signs a proof for each request (`jkt`, RFC 9449, 6.1), in the header `DPoP`; the token stands in
    /// `Authorization` after the scheme `DPoP`.
    #[serde(rename = "DPoP")]
    Dpop,
    /// Either of the two. A token that is bound to both needs both.
    Either,
    /// The same where a token is bound; one that is not bound passes as it is.
    IfBound,
}

/// How proofs of possession are judged (RFC 9449, 4.3).
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Dpop {
    /// How old a proof may be by its claim `iat`; 5s ahead are allowed besides, since clocks differ. 5s to 120s, default 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('120s')").message("5s to 120s"))]
    pub max_age: Option<Duration>,
    /// Whether a proof has to hold a number that the gateway has handed out in the last 5 minutes (RFC 9449, 9), so that nobody makes proofs in advance. A
    /// client learns its first by a 401, and others on answers. Default: `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Nonce>,
    /// Where it is remembered which proofs were seen, for 130 s: none is taken twice (RFC 9449, 11.1). Default: `Store` where the Gateway has a store of
    /// limits, else `Replica`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// Signature algorithms that are taken of proofs (RFC 7518). Default: all that are listed here; never a symmetric one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    pub algorithms: Vec<Algorithm>,
    /// Scheme, host and port that proofs may be made for (claim `htu`), the port left out where it is 443: what callers call this API by. Default: what was
    /// asked for: the host of the request, and its scheme, behind trusted proxies as `X-Forwarded-Proto` says. State them where a proxy in front changes the host,
    /// and where a listener serves any, since callers choose it there. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(
            length(min = 1, max = 300),
            regex(pattern = r"^https://([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$")
        )
    )]
    pub origins: Vec<String>,
}

/// Whether proofs have to hold a number of the gateway's.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Nonce {
    /// One without it, or with an old one, is refused (401 `proof-nonce`); the header `DPoP-Nonce` of the answer has the next.
    Required,
    /// None is asked for.
    #[default]
    None,
}

/// Where proofs are remembered that were seen.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Replay {
    /// In the store of `limits` of the GatewayParameters as well, for all replicas together. While it is away nobody comes in by a proof (503), whatever
    /// `whenAway` says. Without one the alternative is answered 500.
    Store,
    /// In each replica by itself, at most 500,000 at a time, of policies of one namespace as many as are free, and of one caller as many as are free there: beyond,
    /// callers are answered 503. Another replica, and the same after a restart, would take a proof once more. Beside an alternative or a Floor that has
    /// proofs remembered in the store, it is `Store` as well.
    Replica,
}
