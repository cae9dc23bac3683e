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
    /// Heads that have been let in.
    begun: AtomicU32,
    /// Requests that the service has taken up.
    served: AtomicU32,
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
    /// With the number of the request that it is about.
    decision: Option<(u32, Decision)>,
    waker: Option<Waker>,
}

impl GateControl {
    pub(super) fn new() -> Self {
        Self {
            refusal: OnceLock::new(),
            begun: AtomicU32::new(0),
            served: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            idle_since: Mutex::new(None),
            upgrade: Mutex::default(),
        }
    }

    /// Why the stand-in request takes the place of the caller's.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.get()
    }

    /// Whether a head has been judged: before that the first is on its way, and has its own time.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed) > 0 || self.refusal.get().is_some()
    }

    /// The service takes up the next request: it does so one by one, in their order.
    pub fn take_up(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// The request that was taken up last was an upgrade, and is answered with 101.
    pub fn tunnel(&self) {
        self.decide(Decision::Tunnel);
    }

    /// The request that was taken up last gets another answer.
    pub fn resume(&self) {
        self.decide(Decision::Resume);
    }

    /// A response has ended: the connection is idle when no other request is under way.
    pub fn finish(&self, ended: Instant) {
        if self.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.idle_since.lock() = Some(ended);
        }
    }

    /// A head is let in; its number.
    pub(super) fn begin(&self) -> u32 {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        *self.idle_since.lock() = None;
        self.begun.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        // A connection is refused once: nothing is read afterwards.
        let _first = self.refusal.set(refusal);
    }

    pub(super) fn idle_since(&self) -> Option<Instant> {
        *self.idle_since.lock()
    }

    /// What was decided about the request with this number; what was said of those before it does not count.
    pub(super) fn decision(&self, number: u32) -> Option<Decision> {
        self.upgrade.lock().decision.filter(|(about, _)| *about == number).map(|(_, decision)| decision)
    }

    pub(super) fn wake_on_decision(&self, waker: &Waker) {
        self.upgrade.lock().waker = Some(waker.clone());
    }

    fn decide(&self, decision: Decision) {
        let mut upgrade = self.upgrade.lock();
        upgrade.decision = Some((self.served.load(Ordering::Relaxed), decision));
        if let Some(waker) = upgrade.waker.take() {
            waker.wake();
        }
    }
}
