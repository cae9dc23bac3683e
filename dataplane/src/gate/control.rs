//! What a service and the gate in front of it have to tell each other.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::gate::Refusal;

/// Shared by one connection's gate and its service; both run on one thread, so that nothing here is ever contended.
pub struct GateControl {
    refusal: OnceLock<Refusal>,
    in_flight: AtomicU32,
    idle_since: Mutex<Option<Instant>>,
    upgrade: Mutex<Upgrade>,
}

/// What became of a request to upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// 101 was answered: what follows is not HTTP.
    Tunnel,
    /// It was refused: HTTP goes on.
    Resume,
}

#[derive(Default)]
struct Upgrade {
    decision: Option<Decision>,
    waker: Option<Waker>,
}

impl GateControl {
    pub(super) fn new() -> Self {
        let (refusal, in_flight) = (OnceLock::new(), AtomicU32::new(0));
        Self { refusal, in_flight, idle_since: Mutex::new(None), upgrade: Mutex::default() }
    }

    /// Why the stand-in request takes the place of the caller's.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.get()
    }

    /// The answer to an upgrade was 101.
    pub fn tunnel(&self) {
        self.decide(Decision::Tunnel);
    }

    /// The answer to an upgrade was another.
    pub fn resume(&self) {
        self.decide(Decision::Resume);
    }

    /// A response has ended: the connection is idle when no other request is under way.
    pub fn finish(&self, ended: Instant) {
        if self.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.idle_since.lock() = Some(ended);
        }
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        *self.idle_since.lock() = None;
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        // A connection is refused once: nothing is read afterwards.
        let _first = self.refusal.set(refusal);
    }

    pub(super) fn idle_since(&self) -> Option<Instant> {
        *self.idle_since.lock()
    }

    pub(super) fn decision(&self) -> Option<Decision> {
        self.upgrade.lock().decision.take()
    }

    pub(super) fn wake_on_decision(&self, waker: &Waker) {
        self.upgrade.lock().waker = Some(waker.clone());
    }

    fn decide(&self, decision: Decision) {
        let mut upgrade = self.upgrade.lock();
        upgrade.decision = Some(decision);
        if let Some(waker) = upgrade.waker.take() {
            waker.wake();
        }
    }
}
