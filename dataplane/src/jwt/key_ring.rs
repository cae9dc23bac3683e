//! The keys of one issuer (RFC 7517), parsed once.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sallyport_snapshot::Hash;
use serde_json::{Map, Value};

use super::TokenFault;
use super::algorithm::Algorithm;

/// Keys of one set: issuers have a handful.
const MAX_KEYS: usize = 100;
/// Keys that are tried for a token without a key id: bounds what one request can cost.
const MAX_TRIED: usize = 4;

/// The length of 65537, the smallest exponent in honest use.
const MIN_EXPONENT_BYTES: usize = 3;
/// 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Of RSA, EC and OKP keys (RFC 7518, 6.2.2 and 6.3.2; RFC 8037, 2).
const PRIVATE_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// Keys that verify. Whatever cannot verify was left out when it was made.
pub struct KeyRing {
    keys: Vec<Key>,
    fingerprint: Hash,
    /// Why entries were left out, for the operator.
    pub left_out: Vec<String>,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    public: ParsedPublicKey,
}

/// A text that yields no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetFault {
    #[error("it is no JSON object with a list `keys`")]
    Form,
    #[error("it holds more than {MAX_KEYS} keys")]
    TooMany,
    #[error("none of its keys can verify a signature: {0}")]
    NoKey(String),
}

impl KeyRing {
    /// Reads a JWK Set. A key that is of no use is left out, and spoils no other.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetFault> {
        let set: Value = serde_json::from_slice(json).map_err(|_| KeySetFault::Form)?;
        let entries = set.get("keys").and_then(Value::as_array).ok_or(KeySetFault::Form)?;
        if entries.len() > MAX_KEYS {
            return Err(KeySetFault::TooMany);
        }
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (at, entry) in entries.iter().enumerate() {
            match entry.as_object().ok_or("it is no object").and_then(read) {
                Ok(found) => keys.extend(found),
                Err(why) => left_out.push(format!("keys[{at}]: {why}")),
            }
        }
        if keys.is_empty() {
            return Err(KeySetFault::NoKey(left_out.join("; ")));
        }
        Ok(Self { keys, fingerprint: Hash::of_bytes(json), left_out })
    }

    /// Equal for equal sets: what a cached verdict is bound to.
    pub fn fingerprint(&self) -> Hash {
        self.fingerprint
    }

    /// Whether a key of this ring, of the token's id and algorithm, has made the signature.
    pub(super) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenFault> {
        let named: Vec<&Key> = self.keys.iter().filter(|key| id.is_none() || key.id.as_deref() == id).collect();
        if named.is_empty() {
            return Err(TokenFault::UnknownKey);
        }
        let fitting: Vec<_> = named.into_iter().filter(|key| key.algorithm == algorithm).take(MAX_TRIED).collect();
        if fitting.is_empty() {
            return Err(TokenFault::Algorithm);
        }
        let verified = fitting.iter().any(|key| key.public.verify_sig(signed, signature).is_ok());
        if verified { Ok(()) } else { Err(TokenFault::Signature) }
    }
}

/// One entry of a set, once for each algorithm that it can serve.
fn read(entry: &Map<String, Value>) -> Result<Vec<Key>, &'static str> {
    if PRIVATE_MEMBERS.iter().any(|member| entry.contains_key(*member)) {
        return Err(
            "it is published with its private half, so that anybody can sign with it; its issuer has to replace it",
        );
    }
    if entry.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err("its use is not sig");
    }
    if entry
        .get("key_ops")
        .is_some_and(|operations| !operations.as_array().is_some_and(|list| list.iter().any(|one| one == "verify")))
    {
        return Err("its key_ops do not include verify");
    }
    let id = match entry.get("kid") {
        None => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(_) => return Err("its kid is no text"),
    };
    let only = match entry.get("alg") {
        None => None,
        Some(name) => {
            Some(name.as_str().and_then(Algorithm::parse).ok_or("its alg is no asymmetric signature algorithm")?)
        }
    };
    let keys = public_keys(entry)?.into_iter().filter(|(algorithm, _)| only.is_none_or(|only| only == *algorithm));
    let keys: Vec<_> = keys.map(|(algorithm, public)| Key { id: id.clone(), algorithm, public }).collect();
    if keys.is_empty() { Err("its alg does not fit its kty") } else { Ok(keys) }
}

fn public_keys(entry: &Map<String, Value>) -> Result<Vec<(Algorithm, ParsedPublicKey)>, &'static str> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    match (text("kty"), text("crv")) {
        (Some("RSA"), _) => rsa(entry),
        (Some("EC"), Some("P-256")) => {
            Ok(vec![(Algorithm::ES256, curve(entry, &signature::ECDSA_P256_SHA256_FIXED, 32)?)])
        }
        (Some("EC"), Some("P-384")) => {
            Ok(vec![(Algorithm::ES384, curve(entry, &signature::ECDSA_P384_SHA384_FIXED, 48)?)])
        }
        (Some("OKP"), Some("Ed25519")) => {
            let key = coordinate(entry, "x", 32)?;
            let public = ParsedPublicKey::new(&signature::ED25519, key).map_err(|_| "it is no point of the curve")?;
            Ok(vec![(Algorithm::EdDSA, public)])
        }
        _ => Err("its kty or crv is not supported"),
    }
}

fn rsa(entry: &Map<String, Value>) -> Result<Vec<(Algorithm, ParsedPublicKey)>, &'static str> {
    let components = PublicKeyComponents { n: bytes(entry, "n")?, e: bytes(entry, "e")? };
    if components.e.len() < MIN_EXPONENT_BYTES {
        return Err("its exponent is smaller than 65537");
    }
    let significant = components.n.iter().skip_while(|byte| **byte == 0).count();
    if !MODULUS_BYTES.contains(&significant) {
        return Err("it is no RSA key of 2048 to 8192 bits");
    }
    let parsed = |algorithm: Algorithm| {
        let parameters = algorithm.rsa().ok_or("its family has no RSA")?;
        let public =
            components.to_parsed_public_key(parameters).map_err(|_| "it is no RSA key of 2048 to 8192 bits")?;
        Ok((algorithm, public))
    };
    Algorithm::RSA.into_iter().map(parsed).collect()
}

fn curve(
    entry: &Map<String, Value>,
    kind: &'static signature::EcdsaVerificationAlgorithm,
    bytes: usize,
) -> Result<ParsedPublicKey, &'static str> {
    let point = [vec![4], coordinate(entry, "x", bytes)?, coordinate(entry, "y", bytes)?].concat();
    ParsedPublicKey::new(kind, point).map_err(|_| "it is no point of the curve")
}

fn coordinate(entry: &Map<String, Value>, name: &str, length: usize) -> Result<Vec<u8>, &'static str> {
    bytes(entry, name).and_then(|value| {
        if value.len() == length { Ok(value) } else { Err("a coordinate has another length than the curve's") }
    })
}

fn bytes(entry: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = entry.get(name).and_then(Value::as_str).ok_or("a parameter is missing")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a parameter is not base64url")
}
