//! Standings of data planes that are connected to other controllers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Fleet, Pod};
use crate::publish::Standing;

pub(super) type Told = BTreeMap<Pod, Arc<Standing>>;

/// By controller, each under a number of its own.
#[derive(Default)]
pub(super) struct Elsewhere {
    next: u64,
    peers: BTreeMap<u64, Peer>,
}

#[derive(Default)]
struct Peer {
    told: Told,
    has_told_all: bool,
}

impl Elsewhere {
    pub(super) fn all(&self) -> Vec<(Pod, Arc<Standing>)> {
        let told = self.peers.values().flat_map(|peer| &peer.told);
        told.map(|(pod, standing)| (pod.clone(), Arc::clone(standing))).collect()
    }

    pub(super) fn awaited(&self) -> usize {
        self.peers.values().filter(|peer| !peer.has_told_all).count()
    }
}

/// What one other controller tells, until this is dropped.
pub(super) struct Relayed {
    fleet: Fleet,
    number: u64,
}

impl Relayed {
    pub(super) fn to(fleet: Fleet) -> Self {
        let mut elsewhere = fleet.0.elsewhere.lock();
        let number = elsewhere.next;
        elsewhere.next += 1;
        elsewhere.peers.insert(number, Peer::default());
        drop(elsewhere);
        Self { fleet, number }
    }

    /// All that it tells of, in place of what it told before.
    pub(super) fn replace(&self, told: Told) {
        self.change(|peer| *peer = Peer { told, has_told_all: true });
    }

    /// It is away, and nothing is known of its data planes.
    pub(super) fn forget(&self) {
        self.change(|peer| *peer = Peer::default());
    }

    pub(super) fn put(&self, pod: Pod, standing: Arc<Standing>) {
        self.change(|peer| drop(peer.told.insert(pod, standing)));
    }

    pub(super) fn remove(&self, pod: &Pod) {
        self.change(|peer| drop(peer.told.remove(pod)));
    }

    fn change(&self, change: impl FnOnce(&mut Peer)) {
        self.fleet.0.elsewhere.lock().peers.entry(self.number).and_modify(change);
        self.fleet.changed();
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        self.fleet.0.elsewhere.lock().peers.remove(&self.number);
        self.fleet.changed();
    }
}
