//! All data planes that this controller serves: what each Gateway is to have, and what each data plane has of it.
//!
//! A data plane is told nothing before the first time that something is published: who has not read its lists knows of no Gateway,
//! and silence leaves what is in force where it is. After that there are three kinds of Gateway:
//!
//! - one that is published: its data planes get what differs from it;
//! - one that was published and is gone: its data planes lose all that they have. Nobody judges its routes any more, and a key that
//!   is revoked from then on would go on opening them;
//! - one that was never published here: its data planes keep what they have. This controller may only be late: another one has seen
//!   the Gateway first and has made its data planes, and emptying these would be an outage without a reason. Where it really is gone,
//!   its pods go with it, and their tokens.
//!
//! A data plane that has nothing is not told of nothing either: it would call itself ready.

mod counters;
mod elsewhere;
mod member;
pub mod peers;
mod published;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use sallyport_snapshot::Snapshot;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::ObjectName;
use crate::publish::{Replica, Standing};
pub use counters::{Counters, Counts, StreamRefusal};
use elsewhere::Elsewhere;
use member::Member;
pub(crate) use member::Membership;
pub(crate) use published::Published;

/// A pod that is a data plane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pod {
    pub gateway: ObjectName,
    /// In the namespace of its Gateway.
    pub name: String,
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.gateway)
    }
}

/// Standings by Gateway, then by pod. A pod has one for each controller that says that it is connected there: one as a rule, two for as
/// long as a lost connection is not noticed. It enforces what it does by all of them.
pub type Standings = BTreeMap<ObjectName, BTreeMap<String, Vec<Arc<Standing>>>>;

/// Cheap to clone: each clone is the same fleet.
#[derive(Clone, Default)]
pub struct Fleet(Arc<Inner>);

#[derive(Default)]
struct Inner {
    published: watch::Sender<Published>,
    here: Mutex<BTreeMap<Pod, Member>>,
    elsewhere: Mutex<Elsewhere>,
    changes: watch::Sender<u64>,
    counts: Counts,
}

impl Fleet {
    /// Says what each Gateway is to have, in place of what was said before.
    pub fn publish(&self, snapshots: BTreeMap<ObjectName, Arc<Snapshot>>) {
        self.0.published.send_modify(|published| published.replace(snapshots));
    }

    /// What every data plane has in force: those that are connected here, and those that other controllers tell of.
    pub fn standings(&self) -> Standings {
        let mut standings = Standings::new();
        let elsewhere = self.0.elsewhere.lock().all();
        for (pod, standing) in self.here().into_iter().chain(elsewhere) {
            standings.entry(pod.gateway).or_default().entry(pod.name).or_default().push(standing);
        }
        standings
    }

    /// Tells that standings have changed; several changes may be one. The number means nothing.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Other controllers that are followed, and have not yet told of all their data planes: until they have, some may be missing.
    pub fn awaited_peers(&self) -> usize {
        self.0.elsewhere.lock().awaited()
    }

    /// What has happened so far, and how many are connected.
    pub fn counters(&self) -> Counters {
        self.0.counts.read(self.0.here.lock().len())
    }

    /// Bytes of what each Gateway is to have.
    pub(crate) fn sizes(&self) -> BTreeMap<ObjectName, i64> {
        let snapshots = self.0.published.borrow().snapshots().clone();
        let size = |snapshot: &Snapshot| {
            let bytes: usize = snapshot.iter().map(|(_, resource)| resource.body().encoded_len()).sum();
            i64::try_from(bytes).unwrap_or(i64::MAX)
        };
        snapshots.into_iter().map(|(gateway, snapshot)| (gateway, size(&snapshot))).collect()
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// What is published, now and whenever it changes.
    pub(crate) fn published(&self) -> watch::Receiver<Published> {
        self.0.published.subscribe()
    }

    /// Those that are connected here.
    pub(crate) fn here(&self) -> BTreeMap<Pod, Arc<Standing>> {
        let here = self.0.here.lock();
        here.iter().map(|(pod, member)| (pod.clone(), member.replica.lock().shared_standing())).collect()
    }

    /// Takes a data plane in, until what is returned is dropped. A pod is connected once: an older connection of it is over.
    pub(crate) fn join(&self, pod: Pod, replica: Replica) -> Membership {
        let replica = Arc::new(Mutex::new(replica));
        let superseded = CancellationToken::new();
        let member = Member { replica: Arc::clone(&replica), superseded: superseded.clone() };
        if let Some(older) = self.0.here.lock().insert(pod.clone(), member) {
            older.superseded.cancel();
        }
        self.changed();
        Membership::new(self.clone(), pod, replica, superseded)
    }

    fn leave(&self, pod: &Pod, replica: &Arc<Mutex<Replica>>) {
        let mut here = self.0.here.lock();
        // A newer connection of the same pod stays.
        if here.get(pod).is_some_and(|member| Arc::ptr_eq(&member.replica, replica)) {
            here.remove(pod);
            drop(here);
            self.changed();
        }
    }

    fn changed(&self) {
        self.0.changes.send_modify(|revision| *revision = revision.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests;
