//! The content of an encrypted token (RFC 7518, 5): authenticated, and only then believed.

use aws_lc_rs::aead::{self, AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, AES_128, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA256, HMAC_SHA512};
use aws_lc_rs::iv::FixedLength;

use super::Parts;

/// `enc`.
#[derive(Clone, Copy)]
pub(super) enum Encryption {
    A128Gcm,
    A256Gcm,
    A128CbcHs256,
    A256CbcHs512,
}

impl Encryption {
    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::A128Gcm, Self::A256Gcm, Self::A128CbcHs256, Self::A256CbcHs512]
            .into_iter()
            .find(|one| one.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::A128Gcm => "A128GCM",
            Self::A256Gcm => "A256GCM",
            Self::A128CbcHs256 => "A128CBC-HS256",
            Self::A256CbcHs512 => "A256CBC-HS512",
        }
    }

    pub(super) fn key_bytes(self) -> usize {
        match self {
            Self::A128Gcm => 16,
            Self::A256Gcm | Self::A128CbcHs256 => 32,
            Self::A256CbcHs512 => 64,
        }
    }

    /// The content, if `key` opens it.
    pub(super) fn open(self, key: &[u8], parts: &Parts<'_>) -> Option<Vec<u8>> {
        match self {
            Self::A128Gcm => open_gcm(&AES_128_GCM, key, parts),
            Self::A256Gcm => open_gcm(&AES_256_GCM, key, parts),
            Self::A128CbcHs256 => open_cbc((&AES_128, HMAC_SHA256), key, parts),
            Self::A256CbcHs512 => open_cbc((&AES_256, HMAC_SHA512), key, parts),
        }
    }
}

/// RFC 7518, 5.3.
fn open_gcm(algorithm: &'static aead::Algorithm, key: &[u8], parts: &Parts<'_>) -> Option<Vec<u8>> {
    if parts.tag.len() != algorithm.tag_len() {
        return None;
    }
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(&parts.vector).ok()?;
    let mut sealed = [parts.ciphertext.as_slice(), &parts.tag].concat();
    let opened = key.open_in_place(nonce, Aad::from(parts.authenticated.as_bytes()), &mut sealed).ok()?;
    Some(opened.to_vec())
}

/// RFC 7518, 5.2: the tag is compared before anything is decrypted.
fn open_cbc(
    (cipher, digest): (&'static cipher::Algorithm, hmac::Algorithm),
    key: &[u8],
    parts: &Parts<'_>,
) -> Option<Vec<u8>> {
    let (authenticating, decrypting) = key.split_at_checked(key.len() / 2)?;
    let authenticated = parts.authenticated.as_bytes();
    let bits = u64::try_from(authenticated.len()).ok()? * 8;
    let content = [authenticated, &parts.vector, &parts.ciphertext, &bits.to_be_bytes()].concat();
    let whole = hmac::sign(&hmac::Key::new(digest, authenticating), &content);
    verify_slices_are_equal(whole.as_ref().get(..authenticating.len())?, &parts.tag).ok()?;
    let vector: [u8; 16] = parts.vector.as_slice().try_into().ok()?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(cipher, decrypting).ok()?).ok()?;
    let mut content = parts.ciphertext.clone();
    let opened = key.decrypt(&mut content, DecryptionContext::Iv128(FixedLength::from(&vector))).ok()?;
    Some(opened.to_vec())
}
