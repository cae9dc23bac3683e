//! A token that is asked for, and the proof beside it.

use std::sync::Arc;

use http::header::HeaderValue;
use sallyport_snapshot::v1::{self, sender_constraint::Require};

use crate::jwt::{Rules, proof};
use crate::rejection::namespace_of;

/// A token is asked for.
pub struct Jwt {
    pub rules: Rules,
    /// Name of the KeySet.
    pub key_set: Arc<str>,
    /// `scope` of the challenge when one is missing (RFC 6750, 3).
    pub insufficient_scope: HeaderValue,
    /// How proofs of possession are judged; absent: none are taken.
    pub proofs: Option<Box<Proofs>>,
    /// Whether a token may come without one.
    pub takes_bare_ones: bool,
}

/// How proofs are judged, and what callers are told of them (RFC 9449, 7.1).
pub struct Proofs {
    pub rules: proof::Rules,
    /// Of the policy: it has the room in which they are remembered.
    pub namespace: Arc<str>,
    /// Nothing was sent.
    pub asked_for: HeaderValue,
    pub invalid_request: HeaderValue,
    pub invalid_token: HeaderValue,
    pub invalid_proof: HeaderValue,
    pub use_nonce: HeaderValue,
    pub insufficient_scope: HeaderValue,
}

impl Jwt {
    /// Of a policy that `object` names, "ApiPolicy namespace/name".
    pub(super) fn build(object: &str, jwt: &v1::Jwt) -> Result<Self, String> {
        let constraint = jwt.sender_constraint.as_ref();
        let proofs = constraint.and_then(|stated| stated.proofs.as_ref());
        let proofs = proofs.map(|stated| Proofs::build(object, stated, &jwt.scopes)).transpose();
        Ok(Self {
            rules: Rules::build(jwt).map_err(|error| format!("jwt.{error}"))?,
            key_set: jwt.key_set.as_str().into(),
            insufficient_scope: insufficient_scope(&jwt.scopes).map_err(|error| format!("jwt.{error}"))?,
            proofs: proofs.map_err(|error| format!("jwt.senderConstraint.dpop.{error}"))?.map(Box::new),
            takes_bare_ones: constraint.is_none_or(|stated| stated.require() != Require::Proof),
        })
    }
}

impl Proofs {
    fn build(object: &str, stated: &v1::Proofs, scopes: &[String]) -> Result<Self, String> {
        // One of them has two names, and some clients know the newer alone (RFC 9864).
        let newer = stated.algorithms.iter().any(|name| name == "EdDSA").then(|| "Ed25519".to_owned());
        let algorithms = stated.algorithms.iter().cloned().chain(newer).collect::<Vec<_>>().join(" ");
        let told = |error: &str| {
            let challenge = format!(r#"DPoP realm="sallyport"{error}, algs="{algorithms}""#);
            HeaderValue::try_from(challenge).map_err(|_| format!("algorithms: {algorithms:?}"))
        };
        Ok(Self {
            rules: proof::Rules::build(stated)?,
            namespace: namespace_of(object).into(),
            asked_for: told("")?,
            invalid_request: told(r#", error="invalid_request""#)?,
            invalid_token: told(r#", error="invalid_token""#)?,
            invalid_proof: told(r#", error="invalid_dpop_proof""#)?,
            use_nonce: told(r#", error="use_dpop_nonce""#)?,
            insufficient_scope: told(&format!(r#", error="insufficient_scope", scope="{}""#, scopes.join(" ")))?,
        })
    }
}

/// What a caller is told whose token lacks one of `scopes` (RFC 6750, 3).
pub(crate) fn insufficient_scope(scopes: &[String]) -> Result<HeaderValue, String> {
    let scopes = scopes.join(" ");
    let challenge = format!(r#"Bearer realm="sallyport", error="insufficient_scope", scope="{scopes}""#);
    HeaderValue::try_from(challenge).map_err(|_| format!("scopes: {scopes:?}"))
}
