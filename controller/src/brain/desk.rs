//! Statuses that are being written: one at a time for each object, some objects at once, and nothing twice.

mod patience;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use kube::Client;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use crate::cluster::{ObjectKind, ObjectName};
use crate::herald::{Herald, Subject};
use crate::metrics::Metrics;
use crate::status::wire::{self, Write};
use crate::status::{News, ObjectStatus, news};
use crate::watch::{Head, World};
use crate::write::{Order, Outcome};
use patience::Patience;

/// Writes that are under way at the same time: an API server has others to serve as well. What waits is planned anew until its turn comes.
const AT_ONCE: usize = 16;
/// A pause after a status could not be written.
const PAUSE: Duration = Duration::from_secs(2);

/// Where an object is.
type Place = (ObjectKind, ObjectName);

/// What is to be said of all objects that have a place for it.
pub(super) struct Planned(Vec<(Place, ObjectStatus, u64)>);

/// What lies on the desk.
pub(super) struct Desk {
    client: Client,
    herald: Herald,
    metrics: Metrics,
    writing: JoinSet<(Order, Outcome)>,
    /// Objects that a write is under way for.
    busy: BTreeMap<Place, Id>,
    /// What was written and changed nothing, with the version of the object: somebody else has an entry there that looks like one of ours, and
    /// keeps it.
    vain: BTreeMap<Place, (String, Write)>,
    /// What has been looked at: nobody reads thousands of statuses again because one has changed.
    looked: BTreeMap<Place, Looked>,
    digests: RandomState,
    patience: Patience,
    /// Objects whose last write has failed: before that moment they are not written again, and hold up no others.
    failed: BTreeMap<Place, Instant>,
}

impl Desk {
    pub(super) fn new(client: Client, herald: Herald, metrics: Metrics) -> Self {
        Self {
            client,
            herald,
            metrics,
            writing: JoinSet::new(),
            busy: BTreeMap::new(),
            vain: BTreeMap::new(),
            looked: BTreeMap::new(),
            digests: RandomState::new(),
            patience: Patience::default(),
            failed: BTreeMap::new(),
        }
    }

    /// Makes what is planned ready to be ordered, any number of times.
    pub(super) fn prepare(&self, statuses: Vec<ObjectStatus>) -> Planned {
        let prepared = |status: ObjectStatus| {
            let kind = ObjectKind::find(&wire::api_version(&status.kind), &status.kind)?;
            let digest = self.digests.hash_one(serde_json::to_string(&status).unwrap_or_default());
            Some(((kind, object_name(&status.name)), status, digest))
        };
        Planned(statuses.into_iter().filter_map(prepared).collect())
    }

    /// Writes what of `planned` is not said yet; when it has to be looked at it again, if anything waits. An object that is being written
    /// about, or that there is no room for, is looked at again once a write is done.
    pub(super) fn order(&mut self, planned: &Planned, world: &World, now: &str) -> Option<Instant> {
        self.vain.retain(|(kind, name), _| world.head(*kind, name).is_some());
        self.looked.retain(|(kind, name), _| world.head(*kind, name).is_some());
        self.patience.retain(|(kind, name)| world.head(*kind, name).is_some());
        self.failed.retain(|(kind, name), _| world.head(*kind, name).is_some());
        let moment = Instant::now();
        let mut again = self.failed.values().filter(|until| moment < **until).min().copied();
        for (place, status, digest) in &planned.0 {
            if self.busy.len() >= AT_ONCE {
                break;
            }
            let Some(head) = world.head(place.0, &place.1) else { continue };
            if self.has_just_failed(place, moment) {
                continue;
            }
            let until = match self.looked.get(place).filter(|looked| looked.is_at(head, *digest, moment)) {
                Some(looked) => looked.until,
                None => match self.order_one(place, status, head, now) {
                    Ordered::Begun => {
                        self.looked.remove(place);
                        continue;
                    }
                    Ordered::Not { until } => {
                        let looked = Looked { version: head.resource_version.clone(), digest: *digest, until };
                        self.looked.insert(place.clone(), looked);
                        until
                    }
                },
            };
            again = until.map_or(again, |until| Some(again.map_or(until, |before| before.min(until))));
        }
        again
    }

    /// Writes a status that does not stand there already.
    fn order_one(&mut self, place: &Place, status: &ObjectStatus, head: &Head, now: &str) -> Ordered {
        let ((kind, name), before) = (place, head.status());
        let Some(write) = wire::write(status, &before, now) else {
            self.patience.stands(place);
            return Ordered::Not { until: None };
        };
        if self.busy.contains_key(place) || self.is_vain(*kind, name, head, &write) {
            return Ordered::Begun;
        }
        let moment = Instant::now();
        if let Some(until) = self.patience.until(place, status, &before, moment) {
            return Ordered::Not { until: Some(until) };
        }
        if self.begin(*kind, name, head, write, news(status, &before)) {
            self.patience.is_written(place, moment);
        }
        Ordered::Begun
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

    /// Begins to write, if there is room; whether it has. Where there is none it is looked again once a write is done.
    fn begin(&mut self, kind: ObjectKind, name: &ObjectName, head: &Head, write: Write, news: Vec<News>) -> bool {
        let place = (kind, name.clone());
        if self.busy.len() >= AT_ONCE || self.busy.contains_key(&place) || self.has_just_failed(&place, Instant::now())
        {
            return false;
        }
        let order = Order { kind, name: name.clone(), head: head.clone(), write, news };
        let client = self.client.clone();
        let task = self.writing.spawn(async move {
            let outcome = crate::write::write(client, &order).await;
            (order, outcome)
        });
        self.busy.insert(place, task.id());
        true
    }

    fn has_just_failed(&self, place: &Place, now: Instant) -> bool {
        self.failed.get(place).is_some_and(|until| now < *until)
    }

    /// The next write that is done, with what came of it, if anything; never where none is under way.
    pub(super) async fn settled(&mut self) -> Option<(Order, Outcome)> {
        match self.writing.join_next_with_id().await {
            Some(Ok((_, settled))) => Some(settled),
            Some(Err(error)) => {
                let place = self.busy.iter().find(|(_, task)| **task == error.id()).map(|(place, _)| place.clone());
                if let Some(place) = place {
                    self.busy.remove(&place);
                    self.failed.insert(place, Instant::now() + PAUSE);
                }
                tracing::error!(%error, "a write has ended without an outcome; it is tried again");
                None
            }
            None => std::future::pending().await,
        }
    }

    /// Takes an outcome in; after how long it has to be looked at what there is to be said now, if at all.
    pub(super) fn file(&mut self, (order, outcome): (Order, Outcome), world: &mut World) -> Option<Duration> {
        self.busy.remove(&(order.kind, order.name.clone()));
        self.metrics.status_written(order.kind, &outcome);
        let place = (order.kind, order.name.clone());
        self.failed.remove(&place);
        match outcome {
            Outcome::Written(head) => {
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
                self.failed.insert(place, Instant::now() + PAUSE);
                // For those behind it; it is looked at again when its time comes.
                Some(Duration::ZERO)
            }
        }
    }
}

/// What has become of a status that is to be said.
enum Ordered {
    /// It is being written, or will be looked at once a write is done.
    Begun,
    /// It stands there already, or waits.
    Not { until: Option<Instant> },
}

/// A status that is not written, because it stands there or waits, for as long as the object and the plan are the same.
struct Looked {
    version: String,
    digest: u64,
    /// `None`: it stands there.
    until: Option<Instant>,
}

impl Looked {
    fn is_at(&self, head: &Head, digest: u64, now: Instant) -> bool {
        self.version == head.resource_version && self.digest == digest && self.until.is_none_or(|until| now < until)
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
    use std::sync::Arc;

    use kube::client::Body;
    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;
    use crate::watch::{Change, Place, Source};

    fn head(version: &str) -> Head {
        let metadata = serde_json::from_value(serde_json::json!({ "uid": "1", "resourceVersion": version }));
        Head::new(&metadata.expect("metadata"), &Value::Null)
    }

    /// Sixteen that cannot be written are not all that is written.
    #[tokio::test]
    async fn what_cannot_be_written_holds_up_nobody_behind_it() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let service = {
            let asked = Arc::clone(&asked);
            tower::service_fn(move |request: http::Request<Body>| {
                let path = request.uri().path().to_owned();
                asked.lock().push(path);
                let status = br#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Forbidden","code":403}"#;
                async move {
                    let answer = http::Response::builder().status(403).body(Body::from(status.to_vec()));
                    Ok::<_, std::io::Error>(answer.expect("a response"))
                }
            })
        };
        let client = Client::new(service, "shop");
        let metrics = Metrics::new(crate::fleet::Fleet::default());
        let herald = Herald::start(client.clone(), crate::clock::Clock, "pod".into(), metrics.clone());
        let mut desk = Desk::new(client, herald, metrics);
        let mut world = World::default();
        let names: Vec<_> = (0..AT_ONCE + 4).map(|number| format!("b{number:02}")).collect();
        let seen = |name: &String| {
            let value = serde_json::json!({ "apiVersion": "sallyport.dev/v1alpha1", "kind": "Product",
                "metadata": { "name": name, "namespace": "shop" }, "spec": { "apis": [{ "kind": "HTTPRoute", "name": "a" }] } });
            let object = crate::watch::read(ObjectKind::Product, value);
            crate::watch::Seen { name: ObjectName::new("shop", name), head: head("1"), object }
        };
        let source = Source::Kind(ObjectKind::Product, Place::Everywhere);
        world.take(Change::Listed(source, names.iter().map(seen).collect()));
        let status = |name: &String| ObjectStatus {
            kind: "Product".into(),
            name: format!("shop/{name}"),
            ..ObjectStatus::default()
        };
        let planned = desk.prepare(names.iter().map(status).collect());
        desk.order(&planned, &world, "2026-11-28T00:00:00Z");
        for _ in 0..AT_ONCE {
            let settled = desk.settled().await.expect("an outcome");
            desk.file(settled, &mut world);
        }
        let again = desk.order(&planned, &world, "2026-11-28T00:00:00Z");
        assert!(again.is_some_and(|again| again > Instant::now()), "those that have failed are looked at again");
        assert_eq!(desk.busy.len(), 4, "and those behind them are written");
        while !desk.busy.is_empty() {
            let settled = desk.settled().await.expect("an outcome");
            desk.file(settled, &mut world);
        }
        assert_eq!(asked.lock().len(), names.len(), "each once");
    }

    #[test]
    fn what_was_told_while_it_was_written_about_is_planned_anew() {
        assert_eq!(after_outdated(Some(&head("2")), &head("1")), Some(Duration::ZERO));
        assert_eq!(after_outdated(None, &head("1")), Some(Duration::ZERO));
        assert_eq!(after_outdated(Some(&head("1")), &head("1")), None, "its watch will tell, and wakes whoever plans");
    }
}
