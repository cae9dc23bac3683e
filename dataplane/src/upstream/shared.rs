//! HTTP/2 connections, each for many exchanges at once.
//!
//! hyper takes whatever it is given, and lets what the service has no room for wait without an end. So exchanges are counted here:
//! what does not fit opens another connection, one at a time and up to a bound, and then waits for room as long as connecting may
//! take.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hyper::client::conn::http2;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::peer::{Peer, Stream};
use super::{IDLE_TIMEOUT, Key};
use crate::map::Map;

/// Connections of one worker to one endpoint: with a hundred streams each, a third of the requests that it takes at once by default.
const MAX_CONNECTIONS: usize = 32;

/// All of one worker.
pub(super) struct SharedConnections<B>(RefCell<Map<Key, Rc<Group<B>>>>);

/// Those to one endpoint.
pub(super) struct Group<B> {
    connections: RefCell<Vec<Shared<B>>>,
    is_connecting: Cell<bool>,
    room: Rc<Notify>,
}

struct Shared<B> {
    sender: http2::SendRequest<B>,
    peer: Rc<Peer>,
    /// When an exchange began on it last, or some seconds before.
    used: Instant,
}

/// A connection with a place for one exchange on it.
pub(super) struct Shareable<B> {
    pub(super) sender: http2::SendRequest<B>,
    pub(super) stream: Stream,
}

/// Who connects: nobody else does meanwhile.
pub(super) struct Connecting<'a, B>(&'a Group<B>);

impl<B> Default for SharedConnections<B> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<B> SharedConnections<B> {
    /// A place on a connection that is open; `now` as exact as idleness has to be.
    pub(super) fn take(&self, key: &Key, now: Instant) -> Option<Shareable<B>> {
        self.0.borrow().get(key)?.take(now)
    }

    /// Those to one endpoint, if there are any.
    pub(super) fn known(&self, key: &Key) -> Option<Rc<Group<B>>> {
        self.0.borrow().get(key).cloned()
    }

    /// Those to one endpoint.
    pub(super) fn group(&self, key: Key) -> Rc<Group<B>> {
        Rc::clone(self.0.borrow_mut().entry(key).or_default())
    }

    /// Lets go of what was not used for long; exchanges that are on it still end well.
    pub(super) fn tidy(&self, now: Instant) {
        self.0.borrow_mut().retain(|_, group| {
            group.connections.borrow_mut().retain(|shared| shared.is_open() && !shared.is_stale(now));
            // Somebody may be about to add to it.
            Rc::strong_count(group) > 1 || !group.connections.borrow().is_empty()
        });
    }
}

impl<B> Default for Group<B> {
    fn default() -> Self {
        Self { connections: RefCell::default(), is_connecting: Cell::new(false), room: Rc::default() }
    }
}

impl<B> Group<B> {
    /// A place on a connection that is open: on the oldest that has one, so that the others may end when they are not needed.
    pub(super) fn take(&self, now: Instant) -> Option<Shareable<B>> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(Shared::is_open);
        connections.iter_mut().find_map(|shared| {
            let stream = shared.peer.begin()?;
            shared.used = now;
            Some(Shareable { sender: shared.sender.clone(), stream })
        })
    }

    /// Leave to connect, if nobody else does and there are not too many.
    pub(super) fn connecting(&self) -> Option<Connecting<'_, B>> {
        let may = !self.is_connecting.get() && !self.is_full();
        may.then(|| {
            self.is_connecting.set(true);
            Connecting(self)
        })
    }

    pub(super) fn is_full(&self) -> bool {
        self.connections.borrow().iter().filter(|shared| shared.is_open()).count() >= MAX_CONNECTIONS
    }

    /// Waits until something has changed: an exchange has ended, or connecting has.
    pub(super) async fn changed(&self) {
        self.room.notified().await;
    }

    /// Takes a new connection in; one too many serves the exchange that it was made for alone.
    pub(super) fn add(&self, sender: &http2::SendRequest<B>, peer: &Rc<Peer>, now: Instant) {
        if !self.is_full() {
            peer.tells(&self.room);
            let shared = Shared { sender: sender.clone(), peer: Rc::clone(peer), used: now };
            self.connections.borrow_mut().push(shared);
        }
    }
}

impl<B> Shared<B> {
    fn is_open(&self) -> bool {
        !self.sender.is_closed() && !self.peer.is_retired()
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.peer.is_idle() && now.saturating_duration_since(self.used) >= IDLE_TIMEOUT
    }
}

impl<B> Drop for Connecting<'_, B> {
    fn drop(&mut self) {
        self.0.is_connecting.set(false);
        self.0.room.notify_waiters();
    }
}
