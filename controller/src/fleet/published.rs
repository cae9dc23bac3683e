//! What each Gateway is to have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sallyport_snapshot::Snapshot;

use crate::cluster::ObjectName;

/// Gateways that are gone are remembered up to this many: their data planes are told within moments, and then are gone as well.
const MAX_GONE: usize = 10_000;

/// Nothing before the first time; then a snapshot for each Gateway.
#[derive(Default)]
pub(crate) struct Published {
    snapshots: BTreeMap<ObjectName, Arc<Snapshot>>,
    /// Were there, and are not any more.
    gone: BTreeSet<ObjectName>,
    nothing: Arc<Snapshot>,
}

impl Published {
    /// What the data planes of `gateway` are to have; `None` if they are to keep what they have.
    pub(crate) fn wanted(&self, gateway: &ObjectName) -> Option<&Arc<Snapshot>> {
        self.snapshots.get(gateway).or_else(|| self.gone.contains(gateway).then_some(&self.nothing))
    }

    pub(super) fn snapshots(&self) -> &BTreeMap<ObjectName, Arc<Snapshot>> {
        &self.snapshots
    }

    pub(super) fn replace(&mut self, snapshots: BTreeMap<ObjectName, Arc<Snapshot>>) {
        let before = std::mem::replace(&mut self.snapshots, snapshots);
        self.gone.extend(before.into_keys());
        self.gone.retain(|gateway| !self.snapshots.contains_key(gateway));
        while self.gone.len() > MAX_GONE {
            self.gone.pop_first();
        }
    }
}
