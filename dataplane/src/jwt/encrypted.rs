//! Encrypted tokens (RFC 7516): in compact form, with a signed token inside.
//!
//! Who encrypts with a public key has proved nothing: what is found inside is judged as any other token is. Nothing is unpacked, and
//! nothing is derived from a password, so that a header cannot choose how much work it makes.

mod content;
mod header;
mod key;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use sallyport_snapshot::{Hash, v1};

use super::{Content, TokenFault, decode, strict_json};
use content::Encryption;
use header::Header;
use key::DecryptionKey;

/// Dots of the compact form.
const DOTS: usize = 4;
/// Claims that a header may repeat, for whoever cannot open the token (RFC 7519, 5.3).
const REPEATED: [&str; 3] = ["iss", "sub", "aud"];

/// Keys of a policy, in the order in which they are tried.
#[derive(Clone, Default)]
pub(super) struct DecryptionKeys(Arc<[DecryptionKey]>);

/// Nothing of them is shown.
impl fmt::Debug for DecryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecryptionKeys({})", self.0.len())
    }
}

/// Private keys that may meet at one place: each looks at whatever anybody sends there.
pub const MAX_KEYS: usize = 8;

/// What one request may still cost, and what has come of it so far: each look at a token with a private key is dear, and however many
/// alternatives, levels and rehearsals ask for it, it is taken once.
pub struct Decryptions {
    left: Cell<usize>,
    made: RefCell<Vec<(Look, Option<Vec<u8>>)>>,
}

/// A token, and the key that looks at it.
type Look = (Hash, Hash);

/// As many as keys may meet: for one token in one place they always suffice.
impl Default for Decryptions {
    fn default() -> Self {
        Self { left: Cell::new(MAX_KEYS), made: RefCell::default() }
    }
}

impl Decryptions {
    /// Begins to count anew, for what is only reported, and keeps what is known.
    pub fn renew(&self) {
        self.left.set(MAX_KEYS);
    }

    /// What is in a token by a key, found out once.
    fn of(&self, look: Look, decrypt: impl FnOnce() -> Option<Vec<u8>>) -> Result<Option<Vec<u8>>, TokenFault> {
        if let Some((_, content)) = self.made.borrow().iter().find(|(made, _)| *made == look) {
            return Ok(content.clone());
        }
        let left = self.left.get().checked_sub(1).ok_or(TokenFault::TooDear)?;
        self.left.set(left);
        let content = decrypt();
        self.made.borrow_mut().push((look, content.clone()));
        Ok(content)
    }
}

/// The five parts of the compact form, decoded, but for what is authenticated as it stands (RFC 7516, 7.1).
struct Parts<'a> {
    authenticated: &'a str,
    encrypted_key: Vec<u8>,
    vector: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

/// Whether `token` has the form of an encrypted one.
pub(super) fn is_encrypted(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == DOTS
}

impl DecryptionKeys {
    pub(super) fn build(keys: &[v1::DecryptionKey]) -> Result<Self, &'static str> {
        keys.iter().map(DecryptionKey::build).collect::<Result<_, _>>().map(Self)
    }

    /// The signed token that stands in `token`, whose length has been judged.
    pub(super) fn open(&self, token: &str, spared: &Decryptions) -> Result<String, TokenFault> {
        if self.0.is_empty() {
            return Err(TokenFault::Sealed);
        }
        let (members, header, parts) = read(token)?;
        let opened = self.decrypt(&header, &parts, (Hash::of_bytes(token.as_bytes()), spared))?;
        let inner = String::from_utf8(opened).map_err(|_| TokenFault::Sealed)?;
        let content = Content::read(&inner).ok_or(TokenFault::Sealed)?;
        let differs = |name: &&str| members.get(*name).is_some_and(|said| content.claims.get(*name) != Some(said));
        if REPEATED.iter().any(differs) {
            return Err(TokenFault::Malformed("the header of the encrypted token repeats a claim in another form"));
        }
        Ok(inner)
    }

    /// The content, by the first key that opens it. Which of them came how far is nobody's business.
    fn decrypt(
        &self,
        header: &Header,
        parts: &Parts<'_>,
        (token, spared): (Hash, &Decryptions),
    ) -> Result<Vec<u8>, TokenFault> {
        for key in self.0.iter().filter(|key| key.fits(header, parts)) {
            let decrypt = || header.encryption.open(&key.content_key(header, parts)?, parts);
            if let Some(opened) = spared.of((token, key.hash()), decrypt)? {
                return Ok(opened);
            }
        }
        Err(TokenFault::Sealed)
    }
}

type Members = serde_json::Map<String, serde_json::Value>;

fn read(token: &str) -> Result<(Members, Header, Parts<'_>), TokenFault> {
    let parts: Vec<_> = token.split('.').collect();
    let [authenticated, encrypted_key, vector, ciphertext, tag] = parts[..] else {
        return Err(TokenFault::Malformed("it is not five parts with dots between them"));
    };
    let members = strict_json::object(&decode(authenticated)?)
        .ok_or(TokenFault::Malformed("the header is no plain JSON object"))?;
    let header = Header::read(&members)?;
    let [encrypted_key, vector, ciphertext, tag] =
        [decode(encrypted_key)?, decode(vector)?, decode(ciphertext)?, decode(tag)?];
    Ok((members, header, Parts { authenticated, encrypted_key, vector, ciphertext, tag }))
}

#[cfg(test)]
pub(super) mod tests;
