//! Verdicts that were reached before: only those that admit, and only while nothing they rest on has changed.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sallyport_snapshot::Hash;

use super::{Claims, KeyRing, Rules};
use crate::clock::UnixMs;
use crate::digest::sha256;

/// Memory for all that is remembered: some 200,000 tokens with identities of usual length.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The same of encrypted tokens, which have room of their own: whoever has one can make any number of it, by sealing what is in it again.
const MAX_OPENED: (usize, u64) = (16_000, 16 * 1024 * 1024);
/// How many that may be: the cache prepares for as many.
const EXPECTED_VERDICTS: usize = 200_000;
/// Of one verdict besides the identity: key and verdict in the cache's table, the claims behind them, and what allocation adds.
const VERDICT_BYTES: usize = 256;
/// The longest identity that is remembered. One that is longer, which no issuer gives, is judged each time: else a few thousand
/// such tokens would drive out those of everybody.
const MAX_IDENTITY_BYTES: usize = 2048;
/// The same of what stands in an encrypted token: expressions read it.
const MAX_OPENED_BYTES: usize = 8192;
/// How long a verdict is kept at most.
const MAX_AGE_MS: i64 = 3_600_000;

/// Shared by all workers; bounded in bytes.
pub struct TokenCache {
    verdicts: Cache<Key, Verdict, Size>,
    of_opened: Cache<Key, Verdict, Size>,
}

type Key = ([u8; 32], Hash, Hash);

#[derive(Clone)]
struct Verdict {
    claims: Arc<Claims>,
    until: UnixMs,
}

/// Weighs verdicts in bytes.
#[derive(Clone)]
struct Size;

impl Weighter<Key, Verdict> for Size {
    fn weight(&self, _: &Key, verdict: &Verdict) -> u64 {
        (VERDICT_BYTES + verdict.claims.bytes()) as u64
    }
}

/// What a verdict is about: the whole token, the rules, and the keys that were in force.
pub struct Case(Key);

impl Default for TokenCache {
    fn default() -> Self {
        let (expected, bytes) = MAX_OPENED;
        Self {
            verdicts: Cache::with_weighter(EXPECTED_VERDICTS, MAX_BYTES, Size),
            of_opened: Cache::with_weighter(expected, bytes, Size),
        }
    }
}

impl TokenCache {
    /// Names a case.
    pub fn case(token: &str, rules: &Rules, keys: &KeyRing) -> Case {
        Case((sha256(token.as_bytes()), rules.fingerprint(), keys.fingerprint()))
    }

    /// The claims, if the case was admitted before and still would be.
    pub fn find(&self, case: &Case, now: UnixMs) -> Option<Arc<Claims>> {
        let verdict = self.verdicts.get(&case.0).or_else(|| self.of_opened.get(&case.0));
        verdict.filter(|verdict| now < verdict.until).map(|verdict| verdict.claims)
    }

    /// Remembers that the case is admitted, if that takes little memory.
    pub fn keep(&self, case: Case, claims: &Arc<Claims>, now: UnixMs) {
        if claims.identity().len() > MAX_IDENTITY_BYTES || claims.bytes() > MAX_IDENTITY_BYTES + MAX_OPENED_BYTES {
            return;
        }
        let until = claims.admitted_until().min(UnixMs(now.0.saturating_add(MAX_AGE_MS)));
        let verdicts = if claims.opened().is_some() { &self.of_opened } else { &self.verdicts };
        verdicts.insert(case.0, Verdict { claims: Arc::clone(claims), until });
    }
}

/// Each case is of another token.
#[cfg(test)]
pub(super) fn case_of(number: usize) -> Case {
    Case((sha256(&number.to_be_bytes()), Hash::of_bytes(b"rules"), Hash::of_bytes(b"keys")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::claims;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn claims_of(subject_bytes: usize) -> Arc<Claims> {
        Arc::new(claims::of_subject(&"s".repeat(subject_bytes), NOW))
    }

    #[test]
    fn however_many_tokens_come_the_memory_is_bounded() {
        let cache = TokenCache::default();
        let claims = claims_of(MAX_IDENTITY_BYTES - 100);
        for number in 0..60_000 {
            cache.keep(case_of(number), &claims, NOW);
        }
        assert!(cache.verdicts.weight() <= MAX_BYTES, "{}", cache.verdicts.weight());
        assert!(cache.verdicts.len() < 60_000 && cache.verdicts.len() > 20_000, "{}", cache.verdicts.len());
    }

    #[test]
    fn a_verdict_that_is_large_is_not_kept() {
        let cache = TokenCache::default();
        for (number, (bytes, is_kept)) in
            [(10, true), (1900, true), (2100, false), (16_000, false)].into_iter().enumerate()
        {
            cache.keep(case_of(number), &claims_of(bytes), NOW);
            assert_eq!(cache.find(&case_of(number), NOW).is_some(), is_kept, "{bytes}");
        }
    }

    /// What [`VERDICT_BYTES`] stands for, as far as it can be counted: a quarter at least is left for the table and what allocation adds.
    #[test]
    fn a_verdict_is_no_larger_than_it_counts() {
        let counted = size_of::<(Key, Verdict)>() + size_of::<Claims>() + 2 * size_of::<usize>();
        assert!(counted <= VERDICT_BYTES * 3 / 4, "{counted}");
    }
}
