//! Statuses that are being written: one at a time for each object, some objects at once, and nothing twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cluster::{ObjectKind, ObjectName};
use crate::status::ObjectStatus;
use crate::status::wire;
use crate::watch::World;
use crate::write::{Order, Outcome, write};

/// Writes that are under way at the same time: an API server has others to serve as well.
const AT_ONCE: usize = 16;

/// What lies on the desk.
pub(super) struct Desk {
    client: Client,
    places: Arc<Semaphore>,
    writing: JoinSet<(Order, Outcome)>,
    /// Objects that a write is under way for.
    busy: BTreeSet<(ObjectKind, ObjectName)>,
}

impl Desk {
    pub(super) fn new(client: Client) -> Self {
        Self { client, places: Arc::new(Semaphore::new(AT_ONCE)), writing: JoinSet::new(), busy: BTreeSet::new() }
    }

    /// Writes what of `statuses` is not said yet. An object that is being written about is looked at again once that is done.
    pub(super) fn order(&mut self, statuses: &[ObjectStatus], world: &World, now: &str) {
        for status in statuses {
            let Some(kind) = ObjectKind::find(&wire::api_version(&status.kind), &status.kind) else { continue };
            let name = object_name(&status.name);
            let Some(head) = world.head(kind, &name) else { continue };
            if self.busy.contains(&(kind, name.clone())) {
                continue;
            }
            if let Some(write) = wire::write(status, &head.status(), now) {
                self.begin(Order { kind, name, head: head.clone(), write });
            }
        }
    }

    fn begin(&mut self, order: Order) {
        self.busy.insert((order.kind, order.name.clone()));
        let (client, places) = (self.client.clone(), Arc::clone(&self.places));
        self.writing.spawn(async move {
            let _place = places.acquire_owned().await;
            let outcome = write(client, &order).await;
            (order, outcome)
        });
    }

    /// The next write that is done; never where none is under way.
    pub(super) async fn settled(&mut self) -> (Order, Outcome) {
        loop {
            match self.writing.join_next().await {
                Some(Ok(settled)) => return settled,
                Some(Err(error)) => tracing::error!(%error, "a write has ended without an outcome"),
                None => std::future::pending().await,
            }
        }
    }

    /// Takes an outcome in; whether it has to be looked at what there is to be said now.
    pub(super) fn file(&mut self, (order, outcome): (Order, Outcome), world: &mut World) -> bool {
        self.busy.remove(&(order.kind, order.name.clone()));
        match outcome {
            Outcome::Written(head) => world.written(order.kind, &order.name, head),
            // The watch tells of the object as it is now.
            Outcome::Outdated => return false,
            Outcome::Failed(error) => {
                tracing::warn!(kind = order.kind.as_str(), name = %order.name, %error, "the status cannot be written; it is tried again");
            }
        }
        true
    }
}

/// As statuses name objects: "namespace/name", or the name alone.
fn object_name(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap_or(("", text));
    ObjectName::new(namespace, name)
}
