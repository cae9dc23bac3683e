//! Token policy: what a JSON Web Token has to be before anybody believes a claim (RFC 7515, RFC 7519, RFC 8725, RFC 9068).
//!
//! Signatures are verified by aws-lc-rs with keys that are parsed once, when a key set arrives. Everything else is decided here,
//! and strictly: a token that two libraries could read in two ways is refused. Keys come from the issuer's key set alone; a header
//! that brings or names keys (`jwk`, `jku`, `x5c`, `x5u`) is not followed. An ID token cannot always be told from an access
//! token: `typ`, the audience and scopes do it where the issuer sets them.

mod algorithm;
mod binding;
mod cache;
mod claims;
mod encrypted;
mod entra_id;
mod hint;
mod issuer;
mod key_ring;
pub mod proof;
mod rules;
mod signatures;
mod strict_json;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::clock::UnixMs;
use crate::digest::{Digest, sha256};
pub use algorithm::Algorithm;
pub use binding::{Bonds, Thumbprint};
pub use cache::{Case, TokenCache};
pub use claims::{Claims, Term, judge_said, scopes};
pub use encrypted::{Decryptions, MAX_KEYS as MAX_DECRYPTION_KEYS};
pub use hint::hint;
pub use key_ring::{Discredited, KeyRing, KeySetFault, PublicHalf};
pub use rules::{ClaimRules, InvalidRules, Rules};
pub use signatures::Signatures;
pub use strict_json::object as strict_object;

/// The longest token: fits a header beside cookies, and every token seen in practice.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// The longest key id.
const MAX_KEY_ID_BYTES: usize = 1024;

/// Why a token does not admit. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    #[error("the token is encrypted, and no key of the policy opens it, or no signed token is in it")]
    Sealed,
    #[error("the token is encrypted, and the request has asked for more decryptions than one may")]
    TooDear,
    #[error("the token names no algorithm that the policy takes for this key")]
    Algorithm,
    #[error("the token has a critical or unencoded header, which is not understood here")]
    Critical,
    #[error("the token is of another type than the policy takes")]
    Type,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is of a version that the policy does not take, or names none")]
    Version,
    #[error("the token is of another tenant than the policy takes, or names none")]
    Tenant,
    #[error("the key that has made the signature vouches for another issuer")]
    KeyOfOther,
    #[error("the client application is none of those that the policy lists")]
    ClientApplication,
    #[error(
        "the token leaves out what a rule is about, most often groups that are too many: nobody can tell whether it holds"
    )]
    LeftOut,
    #[error("no keys of the issuer are held")]
    KeyUnavailable,
    #[error("the token names a key that the issuer does not have")]
    UnknownKey,
    #[error("the token names a key that is not held, and the issuer has been asked for its keys and not answered yet")]
    KeyAwaited,
    #[error("the signature is not valid")]
    Signature,
    #[error("the token has expired, or its exp is missing or no date")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token lasts longer than the policy allows, or has no iat to tell it by")]
    Lifetime,
    #[error("the token is for another audience")]
    Audience,
    #[error("the claim {0} has a form that is not allowed")]
    ClaimForm(&'static str),
    #[error("the token is bound to a sender (cnf), which this policy does not check; state senderConstraint")]
    Bound,
    #[error("the token is bound to nothing (cnf), and the policy takes only those that are bound")]
    Unbound,
    #[error("the token is bound (cnf) to something else than senderConstraint takes, or not to that alone")]
    Binding,
    #[error("the scope {missing} is missing")]
    InsufficientScope { missing: String },
    #[error("the claim {claim} is not what the policy requires")]
    ClaimMismatch { claim: String },
}

/// Opens `token`, if it is an encrypted one: the signed one in it.
pub fn open(token: &str, rules: &Rules, spared: &Decryptions) -> Result<Option<String>, TokenFault> {
    if !encrypted::is_encrypted(token) {
        return Ok(None);
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenFault::TooLong);
    }
    rules.decryption_keys.open(token, spared).map(Some)
}

/// Checks `token`, which is no encrypted one, by the rules. `keys` is absent while none of the issuer are held.
///
/// Whose token it is comes first: to a policy that takes tokens of several issuers, one of another issuer has no other fault.
pub fn verify(token: &str, rules: &Rules, keys: Option<&KeyRing>, now: UnixMs) -> Result<Claims, TokenFault> {
    verify_sealed(token, rules, keys, now, |seal, keys| seal.verify(keys))
}

/// The same with a look at the seal of the caller's own.
pub fn verify_sealed(
    token: &str,
    rules: &Rules,
    keys: Option<&KeyRing>,
    now: UnixMs,
    verify: impl FnOnce(&Seal<'_>, &KeyRing) -> Result<PublicHalf, TokenFault>,
) -> Result<Claims, TokenFault> {
    let parts = Parts::split(token)?;
    let payload = strict_json::object(&decode(parts.payload)?)
        .ok_or(TokenFault::Malformed("the claims are no plain JSON object"))?;
    let origin = rules.issuer.origin(&payload)?;
    let seal = Seal::read((token, &parts), rules)?;
    let keys = keys.ok_or(TokenFault::KeyUnavailable)?;
    let key = verify(&seal, keys)?;
    if !keys.vouches(key, |stated| origin.is_signed_by(stated)) {
        return Err(TokenFault::KeyOfOther);
    }
    claims::judge(&payload, &rules.claims, (&origin, key), now)
}

/// Claims of somebody, for tests of what is done with them.
#[cfg(test)]
pub(crate) fn claims_of_tests(identity: &str) -> Claims {
    claims::of_subject(identity, UnixMs(1_800_000_000_000))
}

/// What a token says, read without looking whether it may be believed: for whoever has had it verified.
pub struct Content {
    pub header: serde_json::Map<String, Value>,
    pub claims: serde_json::Map<String, Value>,
}

impl Content {
    /// Reads it; `None` where it is none.
    pub fn read(token: &str) -> Option<Self> {
        let parts = Parts::split(token).ok()?;
        let object = |part| strict_json::object(&decode(part).ok()?);
        Some(Self { header: object(parts.header)?, claims: object(parts.payload)? })
    }

    /// All that `scope` and `scp` say.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        scopes(&self.claims)
    }
}

/// What is to vouch for a payload: its form is judged, and the signature is not.
pub struct Seal<'a> {
    /// The whole token.
    token: &'a str,
    signed: &'a str,
    algorithm: Algorithm,
    key_id: Option<String>,
    signature: Vec<u8>,
}

impl<'a> Seal<'a> {
    fn read((token, parts): (&'a str, &Parts<'a>), rules: &Rules) -> Result<Self, TokenFault> {
        let header = strict_json::object(&decode(parts.header)?)
            .ok_or(TokenFault::Malformed("the header is no plain JSON object"))?;
        let (algorithm, key_id) = judge_header(&header, rules)?;
        let signature = decode(parts.signature)?;
        Ok(Self { token, signed: parts.signed, algorithm, key_id: key_id.map(str::to_owned), signature })
    }

    /// What is known of it is known of the very token that it seals: one envelope may hold several.
    pub(crate) fn digest(&self) -> Digest {
        sha256(self.token.as_bytes())
    }

    /// The key of `keys` that has made the signature.
    pub fn verify(&self, keys: &KeyRing) -> Result<PublicHalf, TokenFault> {
        keys.verify(self.key_id.as_deref(), self.algorithm, self.signed.as_bytes(), &self.signature)
    }
}

struct Parts<'a> {
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, TokenFault> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenFault::TooLong);
        }
        let malformed = TokenFault::Malformed("it is not three parts with dots between them");
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed.clone())?;
        let (header, payload) = signed.split_once('.').ok_or(malformed.clone())?;
        if header.is_empty() || payload.is_empty() || signature.is_empty() || payload.contains('.') {
            return Err(malformed);
        }
        Ok(Self { signed, header, payload, signature })
    }
}

/// Base64url without padding, and without stray bits in the last character: one spelling for each value.
fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed("a part is not base64url"))
}

fn judge_header<'a>(
    header: &'a serde_json::Map<String, Value>,
    rules: &Rules,
) -> Result<(Algorithm, Option<&'a str>), TokenFault> {
    if is_critical(header) {
        return Err(TokenFault::Critical);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::parse);
    let algorithm = algorithm.filter(|algorithm| rules.algorithms.contains(algorithm)).ok_or(TokenFault::Algorithm)?;
    judge_type(header.get("typ"), &rules.types)?;
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) if id.len() <= MAX_KEY_ID_BYTES && !id.chars().any(char::is_control) => {
            Some(id.as_str())
        }
        Some(_) => return Err(TokenFault::Malformed("kid is no short text")),
    };
    Ok((algorithm, key_id))
}

/// Whether it has to be understood how it is written, which nobody does here (RFC 7515, 4.1.11; RFC 7797; RFC 7516).
fn is_critical(header: &serde_json::Map<String, Value>) -> bool {
    ["crit", "b64", "zip", "enc"].iter().any(|name| header.contains_key(*name))
}

/// What the policy lists; if it lists none, absent, `JWT` or `at+jwt` (RFC 7515, 4.1.9; RFC 9068, 2.1).
fn judge_type(kind: Option<&Value>, types: &[String]) -> Result<(), TokenFault> {
    let is_taken = match kind {
        None => types.is_empty(),
        Some(kind) => {
            let kind = kind.as_str().ok_or(TokenFault::Type)?.to_ascii_lowercase();
            let kind = kind.strip_prefix("application/").unwrap_or(&kind);
            if types.is_empty() { matches!(kind, "jwt" | "at+jwt") } else { types.iter().any(|one| one == kind) }
        }
    };
    if is_taken { Ok(()) } else { Err(TokenFault::Type) }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;
