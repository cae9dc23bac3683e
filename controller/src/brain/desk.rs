//! Statuses that are being written: one at a time for each object, some objects at once, and nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cluster::{ObjectKind, ObjectName};
use crate::herald::{Herald, Subject};
use crate::metrics::Metrics;
use crate::status::wire::{self, Write};
use crate::status::{News, ObjectStatus, news};
use crate::watch::{Head, World};
use crate::write::{Order, Outcome};

/// Writes that are under way at the same time: an API server has others to serve as well.
const AT_ONCE: usize = 16;
/// A pause after a status could not be written.
const PAUSE: Duration = Duration::from_secs(2);

/// What lies on the desk.
pub(super) struct Desk {
    client: Client,
    herald: Herald,
    metrics: Metrics,
    places: Arc<Semaphore>,
    writing: JoinSet<(Order, Outcome)>,
    /// Objects that a write is under way for.
    busy: BTreeSet<(ObjectKind, ObjectName)>,
    /// What was written and changed nothing, with the version of the object: somebody else has an entry there that looks like one of ours, and
    /// keeps it.
    vain: BTreeMap<(ObjectKind, ObjectName), (String, Write)>,
    /// What stands in an object of that version as it is planned: nobody reads thousands of statuses again because one has changed.
    said: BTreeMap<(ObjectKind, ObjectName), u64>,
    digests: RandomState,
}

impl Desk {
    pub(super) fn new(client: Client, herald: Herald, metrics: Metrics) -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Self {
            client,
            herald,
            metrics,
            places,
            writing: JoinSet::new(),
            busy: BTreeSet::new(),
            vain: BTreeMap::new(),
            said: BTreeMap::new(),
            digests: RandomState::new(),
        }
    }

    /// Writes what of `statuses` is not said yet. An object that is being written about is looked at again once that is done.
    pub(super) fn order(&mut self, statuses: &[ObjectStatus], world: &World, now: &str) {
        self.vain.retain(|(kind, name), _| world.head(*kind, name).is_some());
        let mut said = BTreeMap::new();
        for status in statuses {
            let Some(kind) = ObjectKind::find(&wire::api_version(&status.kind), &status.kind) else { continue };
            let place = (kind, object_name(&status.name));
            let Some(head) = world.head(kind, &place.1) else { continue };
            let digest =
                self.digests.hash_one((&head.resource_version, serde_json::to_string(status).unwrap_or_default()));
            if self.said.get(&place) == Some(&digest) || self.order_one(&place, status, head, now) {
                said.insert(place, digest);
            }
        }
        self.said = said;
    }

    /// Writes a status; whether it stands there already.
    fn order_one(
        &mut self,
        (kind, name): &(ObjectKind, ObjectName),
        status: &ObjectStatus,
        head: &Head,
        now: &str,
    ) -> bool {
        let before = head.status();
        let Some(write) = wire::write(status, &before, now) else { return true };
        if !self.is_vain(*kind, name, head, &write) {
            self.begin(*kind, name, head, write, news(status, &before));
        }
        false
    }

    fn is_vain(&self, kind: ObjectKind, name: &ObjectName, head: &Head, write: &Write) -> bool {
        self.vain
            .get(&(kind, name.clone()))
            .is_some_and(|(version, one)| *version == head.resource_version && one == write)
    }

    /// Takes back what was said of a Gateway that is not ours any more.
    pub(super) fn withdraw(&mut self, gateway: &ObjectName, head: &Head) {
        if head.has_our_status {
            self.begin(ObjectKind::Gateway, gateway, head, Write::Withdraw, vec![]);
        }
    }

    fn begin(&mut self, kind: ObjectKind, name: &ObjectName, head: &Head, write: Write, news: Vec<News>) {
        if !self.busy.insert((kind, name.clone())) {
            return;
        }
        let order = Order { kind, name: name.clone(), head: head.clone(), write, news };
        let (client, places) = (self.client.clone(), Arc::clone(&self.places));
        self.writing.spawn(async move {
            let _place = places.acquire_owned().await;
            let outcome = crate::write::write(client, &order).await;
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

    /// Takes an outcome in; after how long it has to be looked at what there is to be said now, if at all.
    pub(super) fn file(&mut self, (order, outcome): (Order, Outcome), world: &mut World) -> Option<Duration> {
        self.busy.remove(&(order.kind, order.name.clone()));
        self.metrics.status_written(order.kind, &outcome);
        match outcome {
            Outcome::Written(head) => {
                let place = (order.kind, order.name.clone());
                if head.resource_version == order.head.resource_version {
                    self.vain.insert(place, (head.resource_version.clone(), order.write));
                } else {
                    self.vain.remove(&place);
                }
                world.written(order.kind, &order.name, head);
                let subject = Subject { kind: order.kind, name: order.name, uid: order.head.uid };
                self.herald.tell(subject, order.news);
                Some(Duration::ZERO)
            }
            Outcome::Outdated => after_outdated(world.head(order.kind, &order.name), &order.head),
            Outcome::Failed(error) => {
                tracing::warn!(kind = order.kind.as_str(), name = %order.name, %error, "the status cannot be written; it is tried again");
                Some(PAUSE)
            }
        }
    }
}

/// As statuses name objects: "namespace/name", or the name alone.
fn object_name(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap_or(("", text));
    ObjectName::new(namespace, name)
}

/// The watch tells of the object as it is now. If it has done so already, that was while the object was busy, and nothing was planned.
fn after_outdated(known: Option<&Head>, planned_for: &Head) -> Option<Duration> {
    (known != Some(planned_for)).then_some(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_was_told_while_it_was_written_about_is_planned_anew() {
        let head = |version: &str| {
            let metadata = serde_json::from_value(serde_json::json!({ "uid": "1", "resourceVersion": version }));
            Head::new(&metadata.expect("metadata"), &Value::Null)
        };
        assert_eq!(after_outdated(Some(&head("2")), &head("1")), Some(Duration::ZERO));
        assert_eq!(after_outdated(None, &head("1")), Some(Duration::ZERO));
        assert_eq!(after_outdated(Some(&head("1")), &head("1")), None, "its watch will tell, and wakes whoever plans");
    }
}
