//! One entry of a set, made into keys that verify (RFC 7518, 6; RFC 8037, 2).

use std::sync::Arc;

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sallyport_snapshot::Hash;

use super::Key;
use super::key_set::{Content, Members, Name};
use crate::jwt::Algorithm;

/// The smallest exponent in honest use.
const MIN_EXPONENT: u64 = 65_537;
/// What aws-lc takes; larger ones only make verifying slow.
const MAX_EXPONENT_BITS: u32 = 33;
/// Below is too weak; above only makes verifying slow.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Of RSA, EC and OKP keys (RFC 7518, 6.2.2 and 6.3.2; RFC 8037, 2).
const PRIVATE_MEMBERS: [Name; 7] = [Name::D, Name::P, Name::Q, Name::Dp, Name::Dq, Name::Qi, Name::Oth];

type Parsed = (Algorithm, ParsedPublicKey);

/// What all keys with one private half have in common, whatever else is said of them: the modulus, or the first coordinate. (Two
/// points share that; their private halves differ in the sign alone.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicHalf(Hash);

impl PublicHalf {
    /// Of no key in the world.
    #[cfg(test)]
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self(Hash::of_bytes(bytes))
    }

    pub(super) fn of(entry: &Members) -> Option<Self> {
        let (family, value) = match entry.text(Name::Kty)? {
            "RSA" => ("RSA", bytes(entry, Name::N)),
            _ => (entry.text(Name::Crv)?, bytes(entry, Name::X)),
        };
        let value = value.ok()?;
        Some(Self(Hash::of_bytes(&[family.as_bytes(), b" ", without_zeros(&value)].concat())))
    }
}

/// The public half of an entry that gives the private one away.
pub(super) fn exposed(entry: &Members) -> Option<PublicHalf> {
    if holds_private_half(entry) { PublicHalf::of(entry) } else { None }
}

/// The keys of one entry, one for each algorithm that it can serve. Others of the set give the private halves of `exposed` away.
pub(super) fn read(entry: &Members, exposed: &[PublicHalf]) -> Result<Vec<Key>, &'static str> {
    if entry.is_ambiguous {
        return Err("one of its members stands twice");
    }
    if holds_private_half(entry) {
        return Err(
            "it is published with its private half, so that anybody can sign with it; its issuer has to replace it",
        );
    }
    let half = PublicHalf::of(entry);
    if half.is_some_and(|half| exposed.contains(&half)) {
        return Err("its private half is published beside it, so that anybody can sign with it");
    }
    judge_purpose(entry)?;
    let only = match entry.find(Name::Alg) {
        None => None,
        Some(_) => {
            let algorithm = entry.text(Name::Alg).and_then(Algorithm::parse);
            Some(algorithm.ok_or("its alg is no asymmetric signature algorithm")?)
        }
    };
    let id: Option<Arc<str>> = match entry.find(Name::Kid) {
        None => None,
        Some(Content::Text(id)) => Some(id.as_str().into()),
        Some(_) => return Err("its kid is no text"),
    };
    // What is no text is nobody's name; to all but Entra ID the member says nothing.
    let issuer = entry.find(Name::Issuer).map(|_| entry.text(Name::Issuer).unwrap_or_default().into());
    let keys = parse(entry, only)?;
    let half = half.ok_or("a parameter is missing")?;
    let key = |(algorithm, public)| Key { id: id.clone(), issuer: issuer.clone(), half, algorithm, public };
    let keys: Vec<_> = keys.into_iter().map(key).collect();
    if keys.is_empty() { Err("its alg does not fit its kty") } else { Ok(keys) }
}

/// The key of an entry that has to serve `algorithm`, and to give no private half away. What it says of its use is its owner's affair.
pub(super) fn read_for(entry: &Members, algorithm: Algorithm) -> Result<ParsedPublicKey, &'static str> {
    if entry.is_ambiguous {
        return Err("one of its members stands twice");
    }
    if holds_private_half(entry) {
        return Err("it holds its private half");
    }
    if entry.find(Name::Alg).is_some() && entry.text(Name::Alg).and_then(Algorithm::parse) != Some(algorithm) {
        return Err("its alg is another one");
    }
    let key = parse(entry, Some(algorithm))?.pop();
    key.map(|(_, public)| public).ok_or("its kty does not fit the algorithm")
}

fn holds_private_half(entry: &Members) -> bool {
    PRIVATE_MEMBERS.iter().any(|member| entry.find(*member).is_some())
}

fn judge_purpose(entry: &Members) -> Result<(), &'static str> {
    if entry.find(Name::Use).is_some() && entry.text(Name::Use) != Some("sig") {
        return Err("its use is not sig");
    }
    match entry.find(Name::KeyOps) {
        None | Some(Content::List { verify: true }) => Ok(()),
        Some(_) => Err("its key_ops do not include verify"),
    }
}

/// Keys of the entry, one for each algorithm that it can serve; for `only` one, where that is stated.
fn parse(entry: &Members, only: Option<Algorithm>) -> Result<Vec<Parsed>, &'static str> {
    let algorithms: &[Algorithm] = match (entry.text(Name::Kty), entry.text(Name::Crv)) {
        (Some("RSA"), _) => &Algorithm::RSA,
        (Some("EC"), Some("P-256")) => &[Algorithm::ES256],
        (Some("EC"), Some("P-384")) => &[Algorithm::ES384],
        (Some("OKP"), Some("Ed25519")) => &[Algorithm::EdDSA],
        _ => return Err("its kty or crv is not supported"),
    };
    let wanted = algorithms.iter().filter(|algorithm| only.is_none_or(|only| only == **algorithm));
    wanted.map(|algorithm| Ok((*algorithm, public(entry, *algorithm)?))).collect()
}

fn public(entry: &Members, algorithm: Algorithm) -> Result<ParsedPublicKey, &'static str> {
    match algorithm {
        Algorithm::ES256 => curve(entry, &signature::ECDSA_P256_SHA256_FIXED, 32),
        Algorithm::ES384 => curve(entry, &signature::ECDSA_P384_SHA384_FIXED, 48),
        Algorithm::EdDSA => {
            let key = coordinate(entry, Name::X, 32)?;
            ParsedPublicKey::new(&signature::ED25519, key).map_err(|_| "it is no point of the curve")
        }
        rsa => self::rsa(entry, rsa),
    }
}

fn rsa(entry: &Members, algorithm: Algorithm) -> Result<ParsedPublicKey, &'static str> {
    let (modulus, exponent) = (bytes(entry, Name::N)?, bytes(entry, Name::E)?);
    // RFC 7518, 2: the shortest spelling is the right one; some issuers put zeros in front all the same.
    let components = PublicKeyComponents { n: without_zeros(&modulus), e: without_zeros(&exponent) };
    judge_exponent(components.e)?;
    let free = components.n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !MODULUS_BITS.contains(&(components.n.len() * 8 - free)) {
        return Err("it is no RSA key of 2048 to 8192 bits");
    }
    let parameters = algorithm.rsa().ok_or("its family has no RSA")?;
    components.to_parsed_public_key(parameters).map_err(|_| "it is no RSA key of 2048 to 8192 bits")
}

/// With a small exponent some ways to sign carelessly are ways to forge.
fn judge_exponent(bytes: &[u8]) -> Result<(), &'static str> {
    let shift = |value: u64, byte: &u8| value.checked_mul(256).map(|value| value | u64::from(*byte));
    match bytes.iter().try_fold(0, shift) {
        Some(value) if value < MIN_EXPONENT => Err("its exponent is smaller than 65537"),
        Some(value) if value.is_multiple_of(2) => Err("its exponent is even"),
        Some(value) if value >> MAX_EXPONENT_BITS == 0 => Ok(()),
        Some(_) | None => Err("its exponent has more than 33 bits"),
    }
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn curve(
    entry: &Members,
    kind: &'static signature::EcdsaVerificationAlgorithm,
    bytes: usize,
) -> Result<ParsedPublicKey, &'static str> {
    let point = [vec![4], coordinate(entry, Name::X, bytes)?, coordinate(entry, Name::Y, bytes)?].concat();
    ParsedPublicKey::new(kind, point).map_err(|_| "it is no point of the curve")
}

fn coordinate(entry: &Members, name: Name, length: usize) -> Result<Vec<u8>, &'static str> {
    bytes(entry, name).and_then(|value| {
        if value.len() == length { Ok(value) } else { Err("a coordinate has another length than the curve's") }
    })
}

fn bytes(entry: &Members, name: Name) -> Result<Vec<u8>, &'static str> {
    let text = entry.text(name).ok_or("a parameter is missing")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a parameter is not base64url")
}
