//! Verdicts that were reached before: only those that admit, and only while nothing they rest on has changed.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache;
use sallyport_snapshot::Hash;

use super::{Claims, KeyRing, Rules};
use crate::clock::UnixMs;

/// Tokens that are remembered: at about 1 kB each, 100 MB when full.
const MAX_TOKENS: usize = 100_000;
/// How long a verdict is kept at most.
const MAX_AGE_MS: i64 = 3_600_000;

/// Shared by all workers; bounded.
pub struct TokenCache {
    verdicts: Cache<Key, Verdict>,
}

type Key = ([u8; 32], Hash, Hash);

#[derive(Clone)]
struct Verdict {
    claims: Arc<Claims>,
    until: UnixMs,
}

/// What a verdict is about: the whole token, the rules, and the keys that were in force.
pub struct Case(Key);

impl Default for TokenCache {
    fn default() -> Self {
        Self { verdicts: Cache::new(MAX_TOKENS) }
    }
}

impl TokenCache {
    /// Names a case.
    pub fn case(token: &str, rules: &Rules, keys: &KeyRing) -> Case {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Case((hash, rules.fingerprint(), keys.fingerprint()))
    }

    /// The claims, if the case was admitted before and still would be.
    pub fn find(&self, case: &Case, now: UnixMs) -> Option<Arc<Claims>> {
        self.verdicts.get(&case.0).filter(|verdict| now < verdict.until).map(|verdict| verdict.claims)
    }

    /// Remembers that the case is admitted.
    pub fn keep(&self, case: Case, claims: &Arc<Claims>, now: UnixMs) {
        let until = claims.admitted_until().min(UnixMs(now.0.saturating_add(MAX_AGE_MS)));
        self.verdicts.insert(case.0, Verdict { claims: Arc::clone(claims), until });
    }
}
