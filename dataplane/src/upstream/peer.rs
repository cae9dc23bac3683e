//! What is known of the service at the other end of an HTTP/2 connection: whether it says anything, and how much it takes at once.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use tokio::io::AsyncRead;
use tokio::sync::Notify;
use tokio_util::io::InspectReader;

/// Exchanges on one connection, however many more the service would take: as many as RFC 9113 (6.5.2) has services take at least.
pub(super) const MAX_STREAMS: usize = 100;

/// How many streams the service takes at the moment.
type Limit = Box<dyn Fn() -> usize>;

/// The other end of one connection.
#[derive(Default)]
pub(super) struct Peer {
    streams: Cell<usize>,
    /// How often something was read.
    reads: Cell<u64>,
    /// No further exchange begins on it.
    is_retired: Cell<bool>,
    limit: OnceCell<Limit>,
    /// Who waits for its first word, or its end.
    changed: Notify,
    /// Who waits for room on any connection to the same place.
    room: OnceCell<Rc<Notify>>,
}

impl Peer {
    /// Asks `limit` from now on.
    pub(super) fn limited_by(&self, limit: impl Fn() -> usize + 'static) {
        // Set once: a connection has one handshake.
        let _once = self.limit.set(Box::new(limit));
    }

    /// Tells those who wait at `room` when there is some.
    pub(super) fn tells(&self, room: &Rc<Notify>) {
        let _once = self.room.set(Rc::clone(room));
    }

    /// Waits for the first word of the service, which says what it takes (RFC 9113, 3.4); false if the connection ends instead.
    pub(super) async fn speaks(&self) -> bool {
        while self.reads.get() == 0 && !self.is_retired.get() {
            self.changed.notified().await;
        }
        !self.is_retired.get()
    }

    /// No further exchange begins on it; those on it go on.
    pub(super) fn retire(&self) {
        self.is_retired.set(true);
        self.changed.notify_waiters();
        if let Some(room) = self.room.get() {
            room.notify_waiters();
        }
    }

    pub(super) fn is_retired(&self) -> bool {
        self.is_retired.get()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.streams.get() == 0
    }

    /// To be compared: equal as long as nothing was read.
    pub(super) fn reads(&self) -> u64 {
        self.reads.get()
    }

    /// A place for one exchange, if there is one.
    pub(super) fn begin(self: &Rc<Self>) -> Option<Stream> {
        let limit = self.limit.get().map_or(MAX_STREAMS, |limit| limit().min(MAX_STREAMS));
        if self.is_retired.get() || self.streams.get() >= limit {
            return None;
        }
        self.streams.set(self.streams.get() + 1);
        Some(Stream(Rc::clone(self)))
    }

    fn hear(&self) {
        self.reads.set(self.reads.get().wrapping_add(1));
        if self.reads.get() == 1 {
            self.changed.notify_waiters();
        }
    }
}

/// One exchange under way: it counts as long as this lives.
pub struct Stream(Rc<Peer>);

impl Stream {
    pub(super) fn peer(&self) -> &Rc<Peer> {
        &self.0
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
        if let Some(room) = self.0.room.get() {
            room.notify_one();
        }
    }
}

/// A connection whose peer notes that it is heard.
pub(super) fn heard<T: AsyncRead>(stream: T, peer: &Rc<Peer>) -> InspectReader<T, impl FnMut(&[u8]) + use<T>> {
    let peer = Rc::clone(peer);
    InspectReader::new(stream, move |bytes| {
        if !bytes.is_empty() {
            peer.hear();
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::{Duration, timeout};

    use super::*;

    #[test]
    fn no_more_begins_than_the_service_and_we_allow() {
        for (limit, begins) in [(0, 0), (3, 3), (MAX_STREAMS + 5, MAX_STREAMS), (usize::MAX, MAX_STREAMS)] {
            let peer = Rc::<Peer>::default();
            peer.limited_by(move || limit);
            let streams: Vec<_> = std::iter::from_fn(|| peer.begin()).collect();
            assert_eq!(streams.len(), begins);
            drop(streams);
            assert!(peer.is_idle() && peer.begin().is_some() == (begins > 0));
            peer.retire();
            assert!(peer.begin().is_none(), "none begins on one that is retired");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_speaks_when_it_does_and_not_before() {
        let (near, mut far) = tokio::io::duplex(64);
        let peer = Rc::<Peer>::default();
        let mut heard = heard(near, &peer);
        assert!(timeout(Duration::from_secs(9), peer.speaks()).await.is_err());
        far.write_all(b"x").await.unwrap();
        let (spoken, byte) = tokio::join!(peer.speaks(), heard.read_u8());
        assert!(spoken && byte.is_ok() && peer.reads() == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_connection_is_no_word() {
        let peer = Rc::<Peer>::default();
        let ending = async { peer.retire() };
        let (spoken, ()) = tokio::join!(peer.speaks(), ending);
        assert!(!spoken);
    }
}
