//! One try at one place, and the time that it has.

use std::time::Duration;

use tokio::time::Instant;

use super::places::Place;
use super::target::Target;

/// What the exchange needs besides the request.
#[derive(Clone, Copy)]
pub struct Terms {
    /// The end of everything: name look-ups, connecting, attempts at all places, and the response to its last byte.
    pub until: Option<Instant>,
    /// For one attempt: connecting, and the response to its last byte. A place that is asked a second time, since its kept
    /// connection was closed, has no more.
    pub attempt: Option<Duration>,
    /// For one attempt until the head of the response.
    pub head: Option<Duration>,
    /// Whether the connection will become a tunnel: it is made for it alone, with HTTP/1.1.
    pub purpose: Purpose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Exchange,
    /// It may be asked twice, whatever its method says.
    Question,
    Upgrade,
}

/// Whether a connection may be one that was kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reuse {
    Allowed,
    Forbidden,
}

/// One try at one place.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) place: &'a Place,
    pub(super) reuse: Reuse,
    pub(super) ends: Ends,
}

/// Until when an attempt has what; `None` is no end.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    /// The response to its last byte.
    pub(super) whole: Option<Instant>,
    /// The head of the response.
    head: Option<Instant>,
}

impl<'a> Attempt<'a> {
    /// Begins now.
    pub(super) fn at(place: &'a Place, terms: Terms) -> Self {
        let reuse = if terms.purpose == Purpose::Upgrade { Reuse::Forbidden } else { Reuse::Allowed };
        Self { place, reuse, ends: Ends::of(terms) }
    }

    /// The same place on a connection of its own, in what is left of the time.
    pub(super) fn afresh(self) -> Self {
        Self { reuse: Reuse::Forbidden, ..self }
    }

    pub(super) fn connect_until(&self, target: &Target) -> Instant {
        let until = Instant::now() + target.connect_timeout;
        self.ends.head().map_or(until, |end| end.min(until))
    }
}

impl Ends {
    /// The ends of an attempt that begins now. Without terms the clock is not read.
    fn of(terms: Terms) -> Self {
        let from_now = |time: Option<Duration>| time.map(|time| Instant::now() + time);
        Self { whole: earliest(terms.until, from_now(terms.attempt)), head: from_now(terms.head) }
    }

    pub(super) fn head(self) -> Option<Instant> {
        earliest(self.whole, self.head)
    }
}

/// The earlier of two ends, where `None` is no end.
fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn terms(until: Option<u32>, attempt: Option<u32>, head: Option<u32>) -> Terms {
        let seconds = |seconds: Option<u32>| seconds.map(|seconds| SECOND * seconds);
        let until = seconds(until).map(|time| Instant::now() + time);
        Terms { until, attempt: seconds(attempt), head: seconds(head), purpose: Purpose::Exchange }
    }

    /// Seconds from now to the end of the answer's head, and of all of it.
    fn left(attempt: Attempt<'_>) -> (Option<u64>, Option<u64>) {
        let seconds = |end: Option<Instant>| end.map(|end| end.duration_since(Instant::now()).as_secs());
        (seconds(attempt.ends.head()), seconds(attempt.ends.whole))
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_end_counts_and_none_begins_anew() {
        let place = Place::Host("a".into(), 80);
        type Given = (Option<u32>, Option<u32>, Option<u32>);
        let cases: [(Given, _, _, _); 6] = [
            ((None, None, None), (None, None), (None, None), (None, None)),
            ((Some(9), None, None), (Some(9), Some(9)), (Some(8), Some(8)), (Some(8), Some(8))),
            ((None, Some(5), None), (Some(5), Some(5)), (Some(4), Some(4)), (Some(5), Some(5))),
            ((Some(9), Some(5), None), (Some(5), Some(5)), (Some(4), Some(4)), (Some(5), Some(5))),
            ((Some(3), Some(5), None), (Some(3), Some(3)), (Some(2), Some(2)), (Some(2), Some(2))),
            ((None, None, Some(5)), (Some(5), None), (Some(4), None), (Some(5), None)),
        ];
        for ((until, attempt, head), first, second_later, next_place) in cases {
            let given = terms(until, attempt, head);
            let attempt = Attempt::at(&place, given);
            assert_eq!(left(attempt), first);
            tokio::time::advance(SECOND).await;
            assert_eq!(left(attempt.afresh()), second_later, "a second attempt at the same place");
            assert_eq!(left(Attempt::at(&place, given)), next_place);
        }
    }
}
