//! Signatures that were looked at before, whatever came of it: one public key operation costs more than all the rest of a request.
//!
//! Several alternatives of a policy judge the same token, and whoever sends a forgery may send it again.

use quick_cache::sync::Cache;
use sallyport_snapshot::Hash;

use super::key_ring::PublicHalf;
use super::{KeyRing, Seal, TokenFault};

/// How many findings are remembered, some 150 bytes each: enough for all requests that are under way.
const MAX_FINDINGS: usize = 4096;

/// What was found: the key that has made the signature, if one of the ring has.
type Finding = Option<PublicHalf>;

/// Shared by all workers; bounded in number. A finding rests on the whole token and the whole ring, so that it never changes.
pub struct Signatures {
    findings: Cache<([u8; 32], Hash), Finding>,
}

impl Default for Signatures {
    fn default() -> Self {
        Self { findings: Cache::new(MAX_FINDINGS) }
    }
}

impl Signatures {
    /// What is known of a seal beside keys, or else what the keys say of it.
    pub fn of(&self, seal: &Seal<'_>, keys: &KeyRing) -> Result<PublicHalf, TokenFault> {
        self.find((seal.digest(), keys.fingerprint()), || seal.verify(keys))
    }

    fn find(
        &self,
        sealed: ([u8; 32], Hash),
        verify: impl FnOnce() -> Result<PublicHalf, TokenFault>,
    ) -> Result<PublicHalf, TokenFault> {
        if let Some(finding) = self.findings.get(&sealed) {
            return finding.ok_or(TokenFault::Signature);
        }
        let found = verify();
        match &found {
            Ok(mark) => self.findings.insert(sealed, Some(*mark)),
            Err(TokenFault::Signature) => self.findings.insert(sealed, None),
            // No key was tried: it cost little to find out.
            Err(_) => {}
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(number: usize) -> ([u8; 32], Hash) {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        (hash, Hash::of_bytes(b"keys"))
    }

    #[test]
    fn a_signature_is_verified_once_whatever_comes_of_it() {
        let (signatures, key) = (Signatures::default(), PublicHalf::of_bytes(b"key"));
        for (number, finding) in [Ok(key), Err(TokenFault::Signature)].into_iter().enumerate() {
            let case = sealed(number);
            assert_eq!(signatures.find(case, || finding.clone()), finding);
            assert_eq!(signatures.find(case, || panic!("it is known")), finding);
        }
    }

    #[test]
    fn where_no_key_was_tried_the_next_look_is_a_new_one() {
        let (signatures, case, key) = (Signatures::default(), sealed(1), PublicHalf::of_bytes(b"key"));
        for fault in [TokenFault::UnknownKey, TokenFault::Algorithm] {
            assert_eq!(signatures.find(case, || Err(fault.clone())), Err(fault));
        }
        assert_eq!(signatures.find(case, || Ok(key)), Ok(key));
    }

    #[test]
    fn however_many_are_looked_at_few_are_remembered() {
        let signatures = Signatures::default();
        for number in 0..MAX_FINDINGS * 3 {
            let _found = signatures.find(sealed(number), || Err(TokenFault::Signature));
        }
        assert!(signatures.findings.len() <= MAX_FINDINGS, "{}", signatures.findings.len());
    }
}
