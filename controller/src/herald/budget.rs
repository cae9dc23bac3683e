//! How much may be told of one object.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Events of an object that may come close together. 25, as other controllers have it (client-go): a few changes with all that they
/// make wrong.
const BURST: u32 = 25;
/// One more may come after this.
const REFILL: Duration = Duration::from_secs(5 * 60);

/// What each object has spent: until when its debt is paid off.
#[derive(Default)]
pub(super) struct Budget(BTreeMap<String, Instant>);

impl Budget {
    /// Whether the object has something left for one more.
    pub(super) fn spend(&mut self, uid: &str, now: Instant) -> bool {
        self.0.retain(|_, paid| *paid > now);
        let paid = self.0.get(uid).copied().unwrap_or(now).max(now) + REFILL;
        let has_some = paid <= now + REFILL * BURST;
        if has_some {
            self.0.insert(uid.to_owned(), paid);
        }
        has_some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_object_has_a_few_at_once_and_then_one_from_time_to_time() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let spent = |budget: &mut Budget, at: Instant| (0..100).filter(|_| budget.spend("a", at)).count();
        assert_eq!(spent(&mut budget, start), 25);
        assert!(budget.spend("b", start), "another object has its own");
        assert_eq!(spent(&mut budget, start + REFILL - Duration::from_secs(1)), 0);
        assert_eq!(spent(&mut budget, start + REFILL), 1);
        assert_eq!(spent(&mut budget, start + REFILL * 4), 3);
        assert_eq!(spent(&mut budget, start + REFILL * 1000), 25, "never more than that");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_spent_nothing_for_long_takes_no_place() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        for number in 0..1000 {
            budget.spend(&number.to_string(), start);
        }
        budget.spend("a", start + REFILL);
        assert_eq!(budget.0.len(), 1);
    }
}
