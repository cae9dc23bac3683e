//! The bounds of an HTTP/2 connection that hyper does not keep, watched from outside: one without streams, and one that does not
//! finish a head.

mod frames;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::io::{InspectReader, InspectWriter};

use crate::settings::Bounds;
use frames::Frames;

/// Time for a caller to answer that the connection ends: a round trip around the world, and some.
const GOODBYE: Duration = Duration::from_secs(1);

/// Pings, settings and farewells, which are written whether anything is under way or not, are no longer than this.
const OF_CONTROL: usize = 64;

/// Requests of one HTTP/2 connection that are under way.
pub(super) struct Streams {
    in_flight: Cell<usize>,
    /// Whether there has been any.
    any: Cell<bool>,
    idle_since: Cell<Instant>,
    begun: Cell<u64>,
    taken_back: Cell<u64>,
    is_abused: Notify,
}

/// So many requests may be taken back as soon as they have come; beyond that, no more than half of all.
const MAX_TAKEN_BACK: u64 = 500;

impl Streams {
    /// None so far.
    pub(super) fn new() -> Self {
        Self {
            in_flight: Cell::new(0),
            any: Cell::new(false),
            idle_since: Cell::new(Instant::now()),
            begun: Cell::new(0),
            taken_back: Cell::new(0),
            is_abused: Notify::new(),
        }
    }

    pub(super) fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.any.set(true);
        self.begun.set(self.begun.get() + 1);
    }

    /// A request was reset before it was answered: each has cost what judging and asking cost, and its sender a few bytes
    /// (CVE-2023-44487, of which hyper bounds what it has not handed on).
    pub(super) fn taken_back(&self) {
        let taken_back = self.taken_back.get() + 1;
        self.taken_back.set(taken_back);
        if taken_back > MAX_TAKEN_BACK && taken_back > self.begun.get() / 2 {
            self.is_abused.notify_one();
        }
    }

    /// Waits until the connection has taken back more than it may.
    pub(super) async fn abused(&self) {
        self.is_abused.notified().await;
    }

    pub(super) fn finish(&self, ended: Instant) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        self.idle_since.set(ended);
    }

    /// Until when something has to happen; `None` while there are streams.
    fn deadline(&self, bounds: &Bounds) -> Option<Instant> {
        let idle = if self.any.get() { bounds.idle_timeout } else { bounds.header_timeout };
        (self.in_flight.get() == 0).then(|| self.idle_since.get() + idle)
    }
}

/// The size of a head as HTTP/2 counts it (RFC 9113, 6.5.2).
pub(super) fn field_list_bytes(headers: &HeaderMap) -> usize {
    const OF_EACH: usize = 32;
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + OF_EACH).sum()
}

/// Waits until the connection has been without streams, or in the middle of a head, for longer than `bounds` allow.
pub(super) async fn overdue(bounds: &Bounds, streams: &Streams, head: &Head) {
    loop {
        let now = Instant::now();
        // Neither a head that begins now nor idleness that begins now is late before.
        let look = now + bounds.header_timeout.min(bounds.idle_timeout);
        let deadline = match head.began.get() {
            Some(began) => began + bounds.header_timeout,
            None => streams.deadline(bounds).map_or(look, |deadline| deadline.min(look)),
        };
        if deadline <= now {
            return;
        }
        tokio::time::sleep_until(deadline).await;
    }
}

/// Waits until all streams have ended, and the caller has had time to hear that the connection does. The end of a response is written
/// after its stream has ended here, as fast as the caller takes it: where there may be such, nothing must have moved for as long as a body
/// may pause.
pub(super) async fn abandoned(bounds: &Bounds, streams: &Streams, wire: &Wire) {
    let just_now = GOODBYE.min(bounds.idle_timeout / 2);
    let is_at_work = streams.in_flight.get() > 0 || streams.any.get() && wire.moved.get().elapsed() < just_now;
    let quiet = if is_at_work { bounds.body_timeout } else { Duration::ZERO };
    loop {
        tokio::time::sleep(GOODBYE).await;
        if streams.in_flight.get() == 0 && wire.moved.get().elapsed() >= quiet {
            return;
        }
    }
}

/// What is known of the heads of a connection.
#[derive(Default)]
pub(super) struct Head {
    /// Since when one has begun and not ended.
    began: Cell<Option<Instant>>,
    /// Whether the preface has come, before which hyper knows no farewell.
    is_open: Cell<bool>,
}

impl Head {
    /// Whether the connection has begun as HTTP/2 does.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.get()
    }
}

/// When something of a response was written last.
pub(super) struct Wire {
    moved: Cell<Instant>,
}

impl Wire {
    pub(super) fn new() -> Self {
        Self { moved: Cell::new(Instant::now()) }
    }
}

/// An HTTP/2 connection whose bytes are followed as they are read; `head` is kept up to date.
pub(super) fn followed<T: AsyncRead>(stream: T, head: &Rc<Head>) -> InspectReader<T, impl FnMut(&[u8]) + use<T>> {
    let (mut frames, head) = (Frames::default(), Rc::clone(head));
    InspectReader::new(stream, move |bytes| {
        let in_head = frames.advance(bytes);
        head.is_open.set(frames.is_open());
        let began = in_head.then(|| head.began.get().unwrap_or_else(Instant::now));
        head.began.set(began);
    })
}

/// The same of what is written.
pub(super) fn timed<T: AsyncWrite>(stream: T, wire: &Rc<Wire>) -> InspectWriter<T, impl FnMut(&[u8]) + use<T>> {
    let wire = Rc::clone(wire);
    InspectWriter::new(stream, move |bytes| {
        if bytes.len() > OF_CONTROL {
            wire.moved.set(Instant::now());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    fn bounds() -> Bounds {
        Bounds { header_timeout: HEADER, idle_timeout: IDLE, ..Bounds::default() }
    }

    /// How long it takes from now.
    async fn until_overdue(streams: &Streams, head: &Head) -> Duration {
        let began = Instant::now();
        overdue(&bounds(), streams, head).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_has_the_time_of_a_head_and_the_next_that_of_idleness() {
        let (streams, head) = (Streams::new(), Head::default());
        assert_eq!(until_overdue(&streams, &head).await, HEADER);
        streams.begin();
        streams.begin();
        streams.finish(Instant::now());
        assert!(tokio::time::timeout(IDLE * 9, overdue(&bounds(), &streams, &head)).await.is_err(), "one is under way");
        streams.finish(Instant::now());
        assert_eq!(until_overdue(&streams, &head).await, IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_end_is_late_whenever_it_began() {
        for before in [0, 3, 9, 10, 11, 34] {
            let (streams, head) = (Streams::new(), Head::default());
            streams.begin();
            let beginning = async {
                tokio::time::sleep(Duration::from_secs(before)).await;
                head.began.set(Some(Instant::now()));
            };
            let (took, ()) = tokio::join!(until_overdue(&streams, &head), beginning);
            assert_eq!(took, Duration::from_secs(before) + HEADER);
        }
    }

    /// How long it takes to give a connection up on which bytes move each second for so long.
    async fn until_abandoned(streams: &Streams, moving: Duration) -> Duration {
        let (wire, began) = (Wire::new(), Instant::now());
        let moves = async {
            while began.elapsed() < moving {
                tokio::time::sleep(Duration::from_secs(1)).await;
                wire.moved.set(Instant::now());
            }
        };
        let bounds = bounds();
        tokio::join!(abandoned(&bounds, streams, &wire), moves);
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_abandoned_when_its_streams_have_ended() {
        let (streams, began) = (Streams::new(), Instant::now());
        streams.begin();
        let ending = async {
            tokio::time::sleep(IDLE).await;
            streams.finish(Instant::now());
        };
        tokio::join!(until_abandoned(&streams, Duration::ZERO), ending);
        assert!(began.elapsed() >= IDLE && began.elapsed() <= IDLE + GOODBYE * 2, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_of_a_response_is_taken_at_its_callers_pace() {
        let streams = Streams::new();
        streams.begin();
        streams.finish(Instant::now());
        let moving = Duration::from_secs(100);
        let took = until_abandoned(&streams, moving).await;
        let pause = bounds().body_timeout;
        assert!(took > moving && took >= moving + pause - GOODBYE * 2 && took <= moving + pause + GOODBYE, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_been_idle_is_abandoned_at_once() {
        let never = Streams::new();
        assert_eq!(until_abandoned(&never, Duration::ZERO).await, GOODBYE);
        let streams = Streams::new();
        streams.begin();
        streams.finish(Instant::now());
        tokio::time::sleep(IDLE).await;
        let (wire, began) = (Wire { moved: Cell::new(Instant::now().checked_sub(IDLE).unwrap()) }, Instant::now());
        abandoned(&bounds(), &streams, &wire).await;
        assert_eq!(began.elapsed(), GOODBYE);
    }
}
