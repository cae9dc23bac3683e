//! The word to stop, as connections hear it: what has come is answered, what is on its way has a moment.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// Between the word to stop and the word to an HTTP/2 connection that it ends, which its caller is told of in order (RFC 9113, 6.8).
const CROSSING: Duration = Duration::from_millis(100);
/// For the next request of a kept HTTP/1 connection, whose answer says that it is the last (RFC 9112, 9.6). One that was ended while it
/// waits would lose a request that is on its way, and who asks often asks within this time.
const NEXT_REQUEST: Duration = Duration::from_secs(5);
/// For the first byte of a connection that was made just before, or that waited to be accepted, and for the end of a handshake that has
/// begun: a round trip around the world.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// Before the end of the drain tunnels are ended in order, so that what they have been told still reaches both sides.
const GOODBYE: Duration = Duration::from_millis(500);

/// Tells, once, until when a worker drains.
pub(crate) struct Drain(watch::Sender<Option<Instant>>);

/// Somebody who hears of it.
pub(crate) struct Draining(watch::Receiver<Option<Instant>>);

impl Drain {
    /// Not yet.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// From now until `deadline`.
    pub(crate) fn begin(&self, deadline: Instant) {
        self.0.send_replace(Some(deadline));
    }

    pub(crate) fn heard(&self) -> Draining {
        Draining(self.0.subscribe())
    }
}

impl Draining {
    /// Waits for the word to stop; the moment at which all ends.
    pub(crate) async fn told(mut self) -> Instant {
        let told = self.0.wait_for(Option::is_some).await.ok().and_then(|until| *until);
        // A worker that is gone says nothing more, and neither do those on it.
        told.unwrap_or_else(Instant::now)
    }

    /// Waits, from now on, until handshakes have ended that had begun at the word to stop. Of a drain that is short it takes a half: the
    /// other is for the requests of those that end last. Nobody can say that none has begun: those whose beginning is in a cookie
    /// (RFC 4987, 3.6) the kernel itself does not know of, and of the others it tells only together with all connections of the
    /// system. So every drain takes this second, of the 30 that Kubernetes gives; whoever begins in it would have been refused after
    /// the same time, for that is when it tries again (RFC 6298, 2.1).
    pub(crate) async fn handshakes(self) {
        let left = self.told().await.saturating_duration_since(Instant::now());
        sleep(FIRST_WORD.min(left / 2)).await;
    }

    /// Waits until a connection that has said nothing so far need not be waited for.
    pub(crate) async fn first_word(self) {
        self.told().await;
        sleep(FIRST_WORD).await;
    }

    /// Waits until it is time for what lasts to end.
    pub(crate) async fn goodbye(self) {
        let until = self.told().await;
        sleep_until(until.checked_sub(GOODBYE).unwrap_or(until)).await;
    }
}

/// Waits until an HTTP/2 connection may be told to end: after the word to stop, and not in the middle of its beginning, which
/// `has_begun` tells and other bounds end.
pub(crate) async fn last_call(draining: Draining, has_begun: impl Fn() -> bool) {
    draining.told().await;
    sleep(CROSSING).await;
    begun(has_begun).await;
}

/// The same of an HTTP/1 connection that waits for its next request. Of a drain that is short it takes a fifth.
pub(crate) async fn last_request(draining: Draining, has_begun: impl Fn() -> bool) {
    let left = draining.told().await.saturating_duration_since(Instant::now());
    sleep(NEXT_REQUEST.min(left / 5)).await;
    begun(has_begun).await;
}

async fn begun(has_begun: impl Fn() -> bool) {
    while !has_begun() {
        sleep(CROSSING).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(25);

    /// A drain that begins in a while, and how long after its beginning `heard` is done.
    async fn after_the_word(heard: impl AsyncFnOnce(Draining)) -> Duration {
        let drain = Drain::new();
        let word = Instant::now() + Duration::from_secs(100);
        let begin = async {
            sleep_until(word).await;
            drain.begin(word + WITHIN);
        };
        let (_, ()) = tokio::join!(heard(drain.heard()), begin);
        word.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn each_has_its_time_after_the_word_and_none_before() {
        assert_eq!(after_the_word(async |heard| _ = heard.told().await).await, Duration::ZERO);
        assert_eq!(after_the_word(Draining::first_word).await, FIRST_WORD);
        assert_eq!(after_the_word(Draining::goodbye).await, WITHIN - GOODBYE);
        assert_eq!(after_the_word(async |heard| last_call(heard, || true).await).await, CROSSING);
    }

    #[tokio::test(start_paused = true)]
    async fn handshakes_have_a_round_trip_or_half_of_a_drain_that_is_short() {
        for (within_ms, left_ms) in [(25_000, 1000), (2000, 1000), (1000, 500), (80, 40), (0, 0)] {
            let drain = Drain::new();
            let word = Instant::now();
            drain.begin(word + Duration::from_millis(within_ms));
            drain.heard().handshakes().await;
            assert_eq!(word.elapsed(), Duration::from_millis(left_ms), "of {within_ms} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_hears_late_hears_it_all_the_same() {
        let drain = Drain::new();
        drain.begin(Instant::now() + WITHIN);
        assert_eq!(drain.heard().told().await, Instant::now() + WITHIN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_beginning_is_not_cut_off() {
        let looks = Cell::new(0);
        let begun = || {
            looks.set(looks.get() + 1);
            looks.get() == 5
        };
        assert_eq!(after_the_word(async |heard| last_call(heard, begun).await).await, CROSSING * 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_connection_has_time_for_its_next_request() {
        assert_eq!(after_the_word(async |heard| last_request(heard, || true).await).await, NEXT_REQUEST);
        let drain = Drain::new();
        let word = Instant::now();
        drain.begin(word + Duration::from_secs(1));
        last_request(drain.heard(), || true).await;
        assert_eq!(word.elapsed(), Duration::from_millis(200), "of a drain that is short");
    }
}
