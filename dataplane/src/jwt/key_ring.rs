//! The keys of one issuer (RFC 7517), parsed once.

mod key_set;
mod public_key;

use std::sync::Arc;

use aws_lc_rs::signature::ParsedPublicKey;
use sallyport_snapshot::Hash;
use serde::Deserialize as _;
use serde_json::Value;

use super::TokenFault;
use super::algorithm::Algorithm;
use key_set::{Entry, Members, Name};
pub use public_key::PublicHalf;

/// Keys of one set: issuers have a handful.
const MAX_KEYS: usize = 100;
/// Keys that are tried for a token without a key id: bounds what one request can cost.
const MAX_TRIED: usize = 4;

/// Keys that verify. Whatever cannot verify was left out when it was made.
pub struct KeyRing {
    keys: Vec<Key>,
    fingerprint: Hash,
    /// Why entries were left out, for the operator.
    pub left_out: Vec<String>,
}

#[derive(Clone)]
struct Key {
    id: Option<Arc<str>>,
    /// Of whom the set says it is; most sets say nothing.
    issuer: Option<Arc<str>>,
    half: PublicHalf,
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
    #[error("none of its keys can verify a signature: {why}")]
    NoKey { why: String, discredited: Discredited },
}

/// Keys that a set names, and that must verify nothing: by their id, or by their public half under whatever id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discredited {
    ids: Vec<Arc<str>>,
    halves: Vec<PublicHalf>,
}

impl KeyRing {
    /// Reads a JWK Set. A key that is of no use is left out, and spoils no other.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetFault> {
        let entries = key_set::entries(json)?;
        let exposed: Vec<_> = members(&entries).filter_map(public_key::exposed).collect();
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (at, entry) in entries.iter().enumerate() {
            let read = match entry {
                Entry::Key(members) => public_key::read(members, &exposed),
                Entry::Other => Err("it is no object"),
            };
            match read {
                Ok(found) => keys.extend(found),
                Err(why) => left_out.push(format!("keys[{at}]: {why}")),
            }
        }
        if keys.is_empty() {
            let why = if entries.is_empty() { "it is empty".to_owned() } else { left_out.join("; ") };
            return Err(KeySetFault::NoKey { why, discredited: Discredited::by(&entries) });
        }
        Ok(Self { keys, fingerprint: Hash::of_bytes(json), left_out })
    }

    /// The same without what is `discredited`; `None` if nothing is left.
    pub fn without(&self, discredited: &Discredited) -> Option<Self> {
        let kept: Vec<_> = self.keys.iter().enumerate().filter(|(_, key)| !discredited.names(key)).collect();
        let positions = kept.iter().flat_map(|(at, _)| at.to_be_bytes());
        let content: Vec<_> = self.fingerprint.as_bytes().iter().copied().chain(positions).collect();
        let keys: Vec<_> = kept.iter().map(|(_, key)| Key::clone(key)).collect();
        let ring = Self { keys, fingerprint: Hash::of_bytes(&content), left_out: self.left_out.clone() };
        (!ring.keys.is_empty()).then_some(ring)
    }

    /// Equal for equal sets: what a cached verdict is bound to.
    pub fn fingerprint(&self) -> Hash {
        self.fingerprint
    }

    /// Whether a key with this public half is still among them.
    pub fn holds(&self, half: PublicHalf) -> bool {
        self.keys.iter().any(|key| key.half == half)
    }

    /// Whether a key with this public half says nothing of an issuer, or names one that `is_right`.
    pub(super) fn vouches(&self, half: PublicHalf, is_right: impl Fn(&str) -> bool) -> bool {
        let named = self.keys.iter().filter(|key| key.half == half).map(|key| key.issuer.as_deref());
        named.into_iter().any(|issuer| issuer.is_none_or(&is_right))
    }

    /// The key of this ring, of the token's id and algorithm, that has made the signature.
    pub(super) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<PublicHalf, TokenFault> {
        let named: Vec<&Key> = self.keys.iter().filter(|key| id.is_none() || key.id.as_deref() == id).collect();
        if named.is_empty() {
            return Err(TokenFault::UnknownKey);
        }
        let fitting: Vec<_> = named.into_iter().filter(|key| key.algorithm == algorithm).take(MAX_TRIED).collect();
        if fitting.is_empty() {
            return Err(TokenFault::Algorithm);
        }
        let maker = fitting.iter().find(|key| key.public.verify_sig(signed, signature).is_ok());
        maker.map(|key| key.half).ok_or(TokenFault::Signature)
    }
}

/// The key in `jwk`, which a caller has sent along: it has to serve `algorithm`.
pub(super) fn sent_along(jwk: &Value, algorithm: Algorithm) -> Result<ParsedPublicKey, &'static str> {
    match Entry::deserialize(jwk) {
        Ok(Entry::Key(members)) => public_key::read_for(&members, algorithm),
        Ok(Entry::Other) | Err(_) => Err("it is no object"),
    }
}

impl Discredited {
    /// All that is named by a set of which nothing is of use.
    fn by(entries: &[Entry]) -> Self {
        Self {
            ids: members(entries).filter_map(|entry| entry.text(Name::Kid)).map(Arc::from).collect(),
            halves: members(entries).filter_map(PublicHalf::of).collect(),
        }
    }

    fn names(&self, key: &Key) -> bool {
        self.halves.contains(&key.half) || key.id.as_ref().is_some_and(|id| self.ids.contains(id))
    }
}

fn members(entries: &[Entry]) -> impl Iterator<Item = &Members> {
    entries.iter().filter_map(|entry| match entry {
        Entry::Key(members) => Some(members),
        Entry::Other => None,
    })
}

#[cfg(test)]
mod tests;
