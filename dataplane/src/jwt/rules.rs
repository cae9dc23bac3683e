//! What a policy asks of a token, parsed.

use prost::Message as _;
use sallyport_snapshot::{Hash, v1};

use super::algorithm::Algorithm;
use super::binding::Binding;
use super::encrypted::DecryptionKeys;
use super::issuer::Issuer;

/// The longest difference between clocks that a policy can allow.
const MAX_CLOCK_SKEW_S: u32 = 300;

/// What a token has to be.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(super) issuer: Issuer,
    pub(super) claims: ClaimRules,
    pub(super) algorithms: Vec<Algorithm>,
    /// In lower case, without `application/`. Empty: `jwt`, `at+jwt` and none.
    pub(super) types: Vec<String>,
    pub(super) decryption_keys: DecryptionKeys,
    fingerprint: Hash,
}

/// What has to stand in a token, or be said of one.
#[derive(Clone, Debug)]
pub struct ClaimRules {
    pub(super) audiences: Vec<String>,
    pub(super) audience_unchecked: bool,
    pub(super) scopes: Vec<String>,
    pub(super) claims: Vec<v1::ClaimRule>,
    pub(super) clock_skew_ms: i64,
    pub(super) max_lifetime_ms: Option<i64>,
    pub(super) binding: Binding,
    /// Whether a token says when it ends.
    pub(super) has_end: bool,
}

/// A part of the rules that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidRules {
    pub(super) field: &'static str,
    pub(super) message: String,
}

impl Rules {
    /// Parses the resource's word. Leaving the audience out needs `audience_unchecked`.
    pub fn build(jwt: &v1::Jwt) -> Result<Self, InvalidRules> {
        let invalid = |field, message: String| Err(InvalidRules { field, message });
        let issuer = Issuer::build(jwt)?;
        let decryption_keys = DecryptionKeys::build(&jwt.decryption_keys)
            .map_err(|why| InvalidRules { field: "decryptionKeyRefs", message: why.to_owned() })?;
        let mut algorithms = Vec::new();
        for name in &jwt.algorithms {
            match Algorithm::parse(name) {
                Some(algorithm) => algorithms.push(algorithm),
                None => return invalid("algorithms", format!("{name:?} is no asymmetric algorithm")),
            }
        }
        if algorithms.is_empty() {
            return invalid("algorithms", "is empty".into());
        }
        Ok(Self {
            issuer,
            claims: ClaimRules::of_token(jwt)?,
            algorithms,
            types: jwt.types.clone(),
            decryption_keys,
            fingerprint: Hash::of_bytes(&jwt.encode_to_vec()),
        })
    }

    /// Equal for equal rules: what a cached verdict is bound to.
    pub fn fingerprint(&self) -> Hash {
        self.fingerprint
    }
}

impl ClaimRules {
    fn of_token(jwt: &v1::Jwt) -> Result<Self, InvalidRules> {
        Self {
            audiences: jwt.audiences.clone(),
            audience_unchecked: jwt.audience_unchecked,
            scopes: jwt.scopes.clone(),
            claims: jwt.claims.clone(),
            clock_skew_ms: i64::from(jwt.clock_skew_s) * 1000,
            max_lifetime_ms: jwt.max_lifetime_ms.map(|most| i64::try_from(most).unwrap_or(i64::MAX)),
            binding: Binding::build(jwt.sender_constraint.as_ref()),
            has_end: true,
        }
        .judged()
    }

    /// Of what is asked about: it may end when its issuer likes. Leaving the audience out needs `audience_unchecked`.
    pub fn of_introspection(asked: &v1::Introspection) -> Result<Self, InvalidRules> {
        Self {
            audiences: asked.audiences.clone(),
            audience_unchecked: asked.audience_unchecked,
            scopes: asked.scopes.clone(),
            claims: asked.claims.clone(),
            clock_skew_ms: i64::from(asked.clock_skew_s) * 1000,
            max_lifetime_ms: asked.max_lifetime_ms.map(|most| i64::try_from(most).unwrap_or(i64::MAX)),
            binding: Binding::Unchecked,
            has_end: asked.max_lifetime_ms.is_some(),
        }
        .judged()
    }

    fn judged(self) -> Result<Self, InvalidRules> {
        let invalid = |field, message: String| Err(InvalidRules { field, message });
        if self.audiences.is_empty() != self.audience_unchecked {
            return invalid("audiences", "list them, or leave the check out explicitly, not both".into());
        }
        if self.clock_skew_ms > i64::from(MAX_CLOCK_SKEW_S) * 1000 {
            return invalid("clockSkew", format!("is over {MAX_CLOCK_SKEW_S} s"));
        }
        Ok(self)
    }
}
