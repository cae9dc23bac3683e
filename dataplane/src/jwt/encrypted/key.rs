//! A private key, and what it finds of the content's key (RFC 7518, 4.3 and 4.6).

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::kdf::{SskdfDigestAlgorithmId, get_sskdf_digest_algorithm, sskdf_digest};
use aws_lc_rs::key_wrap::{AES_128, AES_256, KeyEncryptionKey, KeyWrap as _};
use aws_lc_rs::rsa::{OaepAlgorithm, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::{error, rand};
use sallyport_snapshot::{Hash, v1};

use super::Parts;
use super::header::{Agreed, Agreement, Header, Wrapping};

/// As the controller judges them.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// What a wrapped key is longer by (RFC 3394).
const WRAPPED_BYTES: usize = 8;

/// A key by which tokens are opened. It has no `Debug`.
pub(super) struct DecryptionKey {
    kind: Kind,
    hash: Hash,
}

pub(super) enum Kind {
    Rsa(OaepPrivateDecryptingKey),
    Curve(PrivateKey),
}

impl DecryptionKey {
    pub(super) fn build(key: &v1::DecryptionKey) -> Result<Self, &'static str> {
        let der = key.pkcs8.as_ref().map(|secret| &*secret.value).unwrap_or_default();
        Ok(Self::new(Kind::read(der)?, Hash::of_bytes(der)))
    }

    pub(super) fn new(kind: Kind, hash: Hash) -> Self {
        Self { kind, hash }
    }

    /// Equal for equal keys.
    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    /// Whether a token can be meant for it: told by what everybody sees.
    pub(super) fn fits(&self, header: &Header, parts: &Parts<'_>) -> bool {
        match (&self.kind, &header.agreement) {
            (Kind::Rsa(key), Agreement::Transported(_)) => parts.encrypted_key.len() == key.key_size_bytes(),
            (Kind::Curve(key), Agreement::Agreed(agreed)) => {
                let wrapped = agreed.wrapped.map_or(0, |_| header.encryption.key_bytes() + WRAPPED_BYTES);
                key.algorithm() == agreed.curve && parts.encrypted_key.len() == wrapped
            }
            _ => false,
        }
    }

    /// The content's key; of RSA always one, though it may be no key of anything.
    pub(super) fn content_key(&self, header: &Header, parts: &Parts<'_>) -> Option<Vec<u8>> {
        let bytes = header.encryption.key_bytes();
        match (&self.kind, &header.agreement) {
            (Kind::Rsa(key), Agreement::Transported(algorithm)) => {
                transported(key, algorithm, &parts.encrypted_key, bytes)
            }
            (Kind::Curve(key), Agreement::Agreed(agreed)) => {
                let derived = derived(key, agreed)?;
                match agreed.wrapped {
                    None => Some(derived),
                    Some(wrapping) => unwrapped(wrapping, &derived, &parts.encrypted_key),
                }
            }
            _ => None,
        }
    }
}

impl Kind {
    fn read(der: &[u8]) -> Result<Self, &'static str> {
        if let Ok(rsa) = PrivateDecryptingKey::from_pkcs8(der) {
            let rsa = OaepPrivateDecryptingKey::new(rsa).ok().filter(|rsa| RSA_BITS.contains(&rsa.key_size_bits()));
            return rsa.map(Self::Rsa).ok_or("an RSA key has not 2048 to 4096 bits");
        }
        let mut curves = [&ECDH_P256, &ECDH_P384].into_iter();
        let curve = curves.find_map(|curve| PrivateKey::from_private_key_der(curve, der).ok());
        curve.map(Self::Curve).ok_or("a key is neither of RSA nor of P-256 or P-384")
    }
}

/// Where the padding is wrong, a key by chance: what follows takes as long, and fails as everything does (RFC 7516, 11.5).
fn transported(
    key: &OaepPrivateDecryptingKey,
    algorithm: &'static OaepAlgorithm,
    encrypted: &[u8],
    bytes: usize,
) -> Option<Vec<u8>> {
    let mut by_chance = vec![0; bytes];
    rand::fill(&mut by_chance).ok()?;
    let mut room = vec![0; key.min_output_size()];
    let found = key.decrypt(algorithm, encrypted, &mut room, None).ok().filter(|found| found.len() == bytes);
    Some(found.map_or(by_chance, |found| found.to_vec()))
}

/// Concat KDF over what the two keys on the curve have in common.
fn derived(key: &PrivateKey, agreed: &Agreed) -> Option<Vec<u8>> {
    let (name, bytes) = agreed.derived;
    let [sender, receiver] = &agreed.parties;
    let bits = u32::try_from(bytes * 8).ok()?;
    let information =
        [prefixed(name.as_bytes())?, prefixed(sender)?, prefixed(receiver)?, bits.to_be_bytes().to_vec()].concat();
    let digest = get_sskdf_digest_algorithm(SskdfDigestAlgorithmId::Sha256)?;
    let mut derived = vec![0; bytes];
    let sender = UnparsedPublicKey::new(agreed.curve, &agreed.point);
    agreement::agree(key, sender, error::Unspecified, |secret| {
        sskdf_digest(digest, secret, &information, &mut derived)
    })
    .ok()?;
    Some(derived)
}

/// With its length in front.
fn prefixed(data: &[u8]) -> Option<Vec<u8>> {
    Some([&u32::try_from(data.len()).ok()?.to_be_bytes(), data].concat())
}

fn unwrapped(wrapping: Wrapping, key: &[u8], wrapped: &[u8]) -> Option<Vec<u8>> {
    let cipher = match wrapping {
        Wrapping::A128 => &AES_128,
        Wrapping::A256 => &AES_256,
    };
    let mut room = vec![0; wrapped.len()];
    let found = KeyEncryptionKey::new(cipher, key).ok()?.unwrap(wrapped, &mut room).ok()?;
    Some(found.to_vec())
}
