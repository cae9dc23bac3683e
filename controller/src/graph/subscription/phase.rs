//! Where a Subscription stands, which moves by the clock as well.

use sallyport_api::{Phase, State};

use super::{KeySource, SubscriptionNode};
use crate::graph::approval::Standing;

impl SubscriptionNode {
    /// Where it stands at that moment, in seconds since 1970 UTC. What is over for good comes first.
    pub fn phase(&self, now_s: i64) -> Phase {
        let standing = self.word.as_ref().map_or(Standing::Rejected, |word| word.standing);
        match (self.state, standing) {
            (State::Cancelled, _) => Phase::Cancelled,
            (_, Standing::Rejected) => Phase::Rejected,
            // Its owner's word would put it first.
            (_, Standing::Awaited) if self.is_surplus => Phase::Submitted,
            _ if self.is_surplus => Phase::Rejected,
            _ if self.expires_s.is_some_and(|end| end <= now_s) => Phase::Expired,
            (State::Suspended, _) | (_, Standing::Suspended) => Phase::Suspended,
            (_, Standing::Awaited) => Phase::Submitted,
            _ if self.message.is_some() => Phase::Active,
            _ if self.keys.source == KeySource::Missing => Phase::Submitted,
            _ => Phase::Rejected,
        }
    }

    /// Whether it is over for good, or was never taken.
    pub fn is_over(&self, now_s: i64) -> bool {
        matches!(self.phase(now_s), Phase::Rejected | Phase::Cancelled | Phase::Expired)
    }
}
