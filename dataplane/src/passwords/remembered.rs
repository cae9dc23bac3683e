//! What was found out about logins of one file. Each file has room of its own: nobody drives out what is known of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use quick_cache::sync::Cache;

use super::{Case, Verdict};
use crate::clock::UnixMs;

pub(super) const RIGHT_FOR_MS: i64 = 5 * 60_000;
pub(super) const WRONG_FOR_MS: i64 = 10_000;
/// More than a file has users, of whom each has one password. Memory is taken as there are.
const MAX_RIGHT: usize = 10_000;
const MAX_WRONG: usize = 128;
/// Between two computations for policies that are only reported.
const REHEARSED_EVERY_MS: i64 = 1_000;

#[derive(Debug)]
pub(super) struct Remembered {
    right: Arc<Cache<Case, UnixMs>>,
    wrong: Cache<Case, UnixMs>,
    rehearsed: AtomicI64,
}

impl Remembered {
    /// What was right of the file as it was before is about lines, and holds for those that have stayed. What was wrong is forgotten: whom a
    /// change concerns would be told by the time.
    pub(super) fn after(last: Option<&Self>) -> Self {
        let right = last.map_or_else(|| Arc::new(Cache::new(MAX_RIGHT)), |last| Arc::clone(&last.right));
        Self { right, wrong: Cache::new(MAX_WRONG), rehearsed: AtomicI64::new(i64::MIN) }
    }

    pub(super) fn find(&self, case: &Case, now: UnixMs) -> Option<Verdict> {
        // A clock that was set back prolongs nothing.
        let holds = |cache: &Cache<Case, UnixMs>, for_ms| {
            cache.get(case).is_some_and(|since| (0..for_ms).contains(&(now.0.saturating_sub(since.0))))
        };
        if holds(&self.right, RIGHT_FOR_MS) {
            return Some(Verdict::Right);
        }
        holds(&self.wrong, WRONG_FOR_MS).then_some(Verdict::Wrong)
    }

    pub(super) fn keep(&self, case: Case, verdict: Verdict, now: UnixMs) {
        match verdict {
            Verdict::Right => self.right.insert(case, now),
            Verdict::Wrong => self.wrong.insert(case, now),
        }
    }

    /// Whether it is time for another computation that nobody waits for; if so, it was.
    pub(super) fn may_rehearse(&self, now: UnixMs) -> bool {
        let last = self.rehearsed.load(Ordering::Relaxed);
        let is_early = (0..REHEARSED_EVERY_MS).contains(&now.0.saturating_sub(last));
        !is_early && self.rehearsed.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
