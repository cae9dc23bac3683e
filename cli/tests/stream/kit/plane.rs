//! A data plane that keeps what it is told, and tells of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sallyport_controller::fleet::Pod;
use sallyport_dataplane::follow::{Plane, Whereabouts, follow};
use sallyport_snapshot::{Difference, Name, Snapshot, Versioned, v1};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::controller::Controller;
use super::within;

/// Follows a controller until it is dropped.
pub struct Follower {
    pub plane: Arc<Recorder>,
    pub reports: mpsc::UnboundedSender<v1::Report>,
    task: JoinHandle<()>,
}

impl Follower {
    /// A data plane that `controller` knows as `pod`.
    pub fn of(controller: &Controller, pod: &Pod) -> Self {
        controller.tokens.admit(&pod.name, pod);
        Self::at(controller.whereabouts(&pod.name))
    }

    pub fn at(whereabouts: Whereabouts) -> Self {
        let plane = Arc::new(Recorder::default());
        let (reports, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(follow(whereabouts, Arc::clone(&plane), receiver));
        Self { plane, reports, task }
    }

    /// Waits until it is connected, or is not any more.
    pub async fn connected(&self, is_so: bool) {
        let mut connected = self.plane.connected.subscribe();
        within("a change of the connection", connected.wait_for(|connected| *connected == is_so)).await.unwrap();
    }

    /// Waits for the update after the first `seen`, and returns how it differs.
    pub async fn update(&self, seen: usize) -> Seen {
        let mut updates = self.plane.updates.subscribe();
        within("an update", updates.wait_for(|updates| updates.len() > seen)).await.unwrap()[seen].clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The names in an update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub changed: Vec<(i32, String)>,
    pub removed: Vec<(i32, String)>,
}

#[derive(Default)]
pub struct Recorder {
    pub has: Mutex<Snapshot>,
    pub updates: watch::Sender<Vec<Seen>>,
    connected: watch::Sender<bool>,
    /// What it rejects, and why.
    pub rejects: Mutex<BTreeMap<Name, String>>,
}

impl Recorder {
    pub fn updates(&self) -> usize {
        self.updates.borrow().len()
    }
}

fn wire(name: &v1::ResourceName) -> (i32, String) {
    (name.kind, name.name.clone())
}

impl Plane for Recorder {
    fn apply(&self, update: &v1::Update) -> v1::Ack {
        let mut difference = Difference::default();
        for one in &update.changed {
            let resource = Versioned::from_wire(&one.resource).unwrap();
            assert_eq!(resource.hash().as_bytes(), one.hash.as_ref());
            difference.changed.push((Name::from_wire(one.name.as_ref().unwrap()).unwrap(), resource));
        }
        difference.removed = update.removed.iter().filter_map(Name::from_wire).collect();
        let mut has = self.has.lock();
        difference.apply_to(&mut has);
        let rejects = self.rejects.lock();
        let rejected = rejects.iter().filter(|(name, _)| has.find(name).is_some());
        let rejected =
            rejected.map(|(name, why)| v1::Rejected { name: Some(name.to_wire()), why: why.clone() }).collect();
        let changed = update.changed.iter().filter_map(|one| one.name.as_ref().map(wire)).collect();
        let seen = Seen { changed, removed: update.removed.iter().map(wire).collect() };
        self.updates.send_modify(|updates| updates.push(seen));
        v1::Ack { nonce: update.nonce, rejected, more: false }
    }

    fn is_connected(&self, connected: bool) {
        self.connected.send_replace(connected);
    }
}
