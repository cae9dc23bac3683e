//! What the header of an encrypted token asks for (RFC 7516, 4; RFC 7518, 4 and 5).

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm};
use serde_json::Value;

use super::{Encryption, Members};
use crate::jwt::{TokenFault, decode};

/// The longest text about one of the two parties (RFC 7518, 4.6.1.2).
const MAX_PARTY_BYTES: usize = 256;
/// What unpacks, asks for more than is understood here, or brings a private half along.
const REFUSED: [&str; 5] = ["zip", "crit", "b64", "p2c", "p2s"];

/// All that counts of it.
pub(super) struct Header {
    pub agreement: Agreement,
    pub encryption: Encryption,
}

/// How the key of the content is found (`alg`). What needs a secret that both sides hold does not exist here.
pub(super) enum Agreement {
    /// `RSA-OAEP` and `RSA-OAEP-256`.
    Transported(&'static OaepAlgorithm),
    /// `ECDH-ES`, with or without a key that is wrapped besides.
    Agreed(Agreed),
}

/// What a key is derived from besides the two keys on the curve (RFC 7518, 4.6.2).
pub(super) struct Agreed {
    pub curve: &'static agreement::Algorithm,
    /// The sender's point.
    pub point: Vec<u8>,
    /// What the derived key is for: name and bytes.
    pub derived: (&'static str, usize),
    pub wrapped: Option<Wrapping>,
    pub parties: [Vec<u8>; 2],
}

/// What a content key is wrapped with.
#[derive(Clone, Copy)]
pub(super) enum Wrapping {
    A128,
    A256,
}

impl Header {
    pub(super) fn read(members: &Members) -> Result<Self, TokenFault> {
        if REFUSED.iter().any(|name| members.contains_key(*name)) {
            return Err(TokenFault::Critical);
        }
        if !text(members, "cty").is_some_and(is_token) {
            return Err(TokenFault::Malformed("its cty is not JWT, so that no token is said to be in it"));
        }
        let encryption = text(members, "enc").and_then(Encryption::parse).ok_or(TokenFault::Algorithm)?;
        let agreed = |wrapped| Agreed::read(members, encryption, wrapped).map(Agreement::Agreed);
        let agreement = match text(members, "alg") {
            Some("RSA-OAEP") => Agreement::Transported(&OAEP_SHA1_MGF1SHA1),
            Some("RSA-OAEP-256") => Agreement::Transported(&OAEP_SHA256_MGF1SHA256),
            Some("ECDH-ES") => agreed(None)?,
            Some("ECDH-ES+A128KW") => agreed(Some(Wrapping::A128))?,
            Some("ECDH-ES+A256KW") => agreed(Some(Wrapping::A256))?,
            _ => return Err(TokenFault::Algorithm),
        };
        Ok(Self { agreement, encryption })
    }
}

impl Agreed {
    fn read(members: &Members, encryption: Encryption, wrapped: Option<Wrapping>) -> Result<Self, TokenFault> {
        let malformed = TokenFault::Malformed("its epk is no point of P-256 or P-384");
        let key = members.get("epk").and_then(Value::as_object).filter(|key| !key.contains_key("d"));
        let key = key.filter(|key| text(key, "kty") == Some("EC")).ok_or(malformed.clone())?;
        let (curve, length) = match text(key, "crv") {
            Some("P-256") => (&ECDH_P256, 32),
            Some("P-384") => (&ECDH_P384, 48),
            _ => return Err(malformed),
        };
        let coordinate =
            |name| text(key, name).and_then(|text| decode(text).ok()).filter(|bytes| bytes.len() == length);
        let point = coordinate("x").zip(coordinate("y")).map(|(x, y)| [vec![4], x, y].concat()).ok_or(malformed)?;
        let derived = match wrapped {
            None => (encryption.name(), encryption.key_bytes()),
            Some(Wrapping::A128) => ("ECDH-ES+A128KW", 16),
            Some(Wrapping::A256) => ("ECDH-ES+A256KW", 32),
        };
        Ok(Self { curve, point, derived, wrapped, parties: [party(members, "apu")?, party(members, "apv")?] })
    }
}

/// Whether that is what a token is called (RFC 7519, 5.2); some issuers name the kind of token.
fn is_token(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
}

fn party(members: &Members, name: &str) -> Result<Vec<u8>, TokenFault> {
    let malformed = TokenFault::Malformed("its apu or apv is no short base64url");
    match members.get(name) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => decode(text).ok().filter(|bytes| bytes.len() <= MAX_PARTY_BYTES).ok_or(malformed),
        Some(_) => Err(malformed),
    }
}

fn text<'a>(members: &'a Members, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}
