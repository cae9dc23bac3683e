//! A data plane that is connected to this controller.

use std::sync::Arc;

use parking_lot::Mutex;
use sallyport_snapshot::{Snapshot, v1};
use tokio_util::sync::CancellationToken;

use super::{Fleet, Pod};
use crate::publish::Replica;

pub(super) struct Member {
    pub(super) replica: Arc<Mutex<Replica>>,
    pub(super) superseded: CancellationToken,
}

/// A place in the fleet, for as long as it is held.
pub(crate) struct Membership {
    fleet: Fleet,
    pod: Pod,
    replica: Arc<Mutex<Replica>>,
    superseded: CancellationToken,
}

impl Membership {
    pub(super) fn new(fleet: Fleet, pod: Pod, replica: Arc<Mutex<Replica>>, superseded: CancellationToken) -> Self {
        Self { fleet, pod, replica, superseded }
    }

    /// What turns what it has into `wanted`; `None` if nothing differs, an answer is awaited, or it would only learn that there is
    /// nothing for it.
    pub(crate) fn update(&self, wanted: &Snapshot) -> Option<v1::Update> {
        let mut replica = self.replica.lock();
        if wanted.is_empty() && !replica.has_any() {
            return None;
        }
        let update = replica.update(wanted)?;
        self.fleet.0.counts.updated(&update);
        Some(update)
    }

    /// Takes an answer in; whether it was awaited.
    pub(crate) fn acknowledge(&self, ack: &v1::Ack) -> bool {
        let is_awaited = self.replica.lock().acknowledge(ack);
        if is_awaited {
            self.fleet.0.counts.acknowledged(ack);
            self.fleet.changed();
        }
        is_awaited
    }

    /// Takes in what it tells by itself; whether it may tell that.
    pub(crate) fn hear(&self, report: v1::Report) -> bool {
        let may_tell = self.replica.lock().hear(report);
        if may_tell {
            self.fleet.changed();
        }
        may_tell
    }

    /// Ends when the same pod has connected once more.
    pub(crate) async fn superseded(&self) {
        self.superseded.cancelled().await;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.fleet.leave(&self.pod, &self.replica);
    }
}
