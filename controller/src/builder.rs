//! What runs each Gateway, brought about and kept: the objects of [`crate::infra`], applied whenever they differ from what was applied last,
//! and whenever somebody else has changed one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher as watch_all};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::cluster::ObjectName;
use crate::graph::infrastructure::{APP_MANAGED_BY, GATEWAY_NAME};
use crate::infra::MANAGER;
use crate::write::FIELD_MANAGER;

/// A pause after something could not be applied.
const PAUSE: Duration = Duration::from_secs(2);
/// Somebody who puts a field back all the time is answered no more often.
const BETWEEN_REPAIRS: Duration = Duration::from_millis(500);

/// The objects of each Gateway, in the order in which they are applied.
pub type Plans = BTreeMap<ObjectName, Arc<Vec<Value>>>;

/// Why a Gateway does not get what it asks for, by Gateway.
pub type Refusals = BTreeMap<ObjectName, String>;

/// Applies what is planned for as long as this controller leads.
pub struct Builder {
    client: Client,
    plans: watch::Receiver<Plans>,
    leads: watch::Receiver<bool>,
    refusals: watch::Sender<Refusals>,
    applied: BTreeMap<ObjectName, Arc<Vec<Value>>>,
    /// Fields of objects that were ours when we had applied them.
    left: BTreeMap<Place, Owned>,
    drifted: mpsc::UnboundedReceiver<(Place, Option<Owned>)>,
}

/// The fields of an object that server-side apply counts as ours: it loses those that somebody else changes.
type Owned = String;

/// Kind, namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    kind: String,
    name: ObjectName,
}

impl Builder {
    pub fn new(
        client: Client,
        plans: watch::Receiver<Plans>,
        leads: watch::Receiver<bool>,
        refusals: watch::Sender<Refusals>,
    ) -> Self {
        let (told, drifted) = mpsc::unbounded_channel();
        for (group, version, kind) in KINDS {
            tokio::spawn(follow(client.clone(), GroupVersionKind::gvk(group, version, kind), told.clone()));
        }
        Self { client, plans, leads, refusals, applied: BTreeMap::new(), left: BTreeMap::new(), drifted }
    }

    pub async fn run(mut self) {
        loop {
            let is_done = self.build().await;
            let pause = async { if is_done { std::future::pending().await } else { tokio::time::sleep(PAUSE).await } };
            tokio::select! {
                changed = self.plans.changed() => if changed.is_err() { return },
                Ok(()) = self.leads.changed() => self.applied.clear(),
                Some((place, owned)) = self.drifted.recv() => {
                    if self.is_foreign(&place, owned) {
                        tokio::time::sleep(BETWEEN_REPAIRS).await;
                    }
                }
                () = pause => {}
            }
            while let Ok((place, owned)) = self.drifted.try_recv() {
                self.is_foreign(&place, owned);
            }
        }
    }

    /// Whether somebody else has changed the object, whose Gateway then is built again.
    fn is_foreign(&mut self, place: &Place, owned: Option<Owned>) -> bool {
        let Some(left) = self.left.get(place) else { return false };
        if owned.as_ref() == Some(left) {
            return false;
        }
        let is_of = |objects: &Arc<Vec<Value>>| objects.iter().any(|object| place_of(object) == *place);
        let gateways: Vec<_> =
            self.applied.iter().filter(|(_, objects)| is_of(objects)).map(|(gateway, _)| gateway.clone()).collect();
        gateways.iter().for_each(|gateway| drop(self.applied.remove(gateway)));
        !gateways.is_empty()
    }

    /// Applies all that is not applied; whether nothing is left to do.
    async fn build(&mut self) -> bool {
        if !*self.leads.borrow_and_update() {
            return true;
        }
        let plans = self.plans.borrow_and_update().clone();
        self.applied.retain(|gateway, _| plans.contains_key(gateway));
        let mut refusals = Refusals::new();
        for (gateway, objects) in plans {
            if self.applied.get(&gateway) == Some(&objects) {
                continue;
            }
            match self.apply(&gateway, &objects).await {
                Ok(()) => drop(self.applied.insert(gateway, objects)),
                Err(error) => {
                    tracing::warn!(%gateway, %error, "what runs the Gateway cannot be applied; it is tried again");
                    refusals.insert(gateway, error.to_string());
                }
            }
        }
        let is_done = refusals.is_empty();
        self.refusals.send_if_modified(|before| std::mem::replace(before, refusals.clone()) != refusals);
        is_done
    }

    async fn apply(&mut self, gateway: &ObjectName, objects: &[Value]) -> kube::Result<()> {
        for object in objects {
            let place = place_of(object);
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &place.name.namespace, &resource_of(object));
            let parameters = PatchParams::apply(FIELD_MANAGER).force();
            let applied = api.patch(&place.name.name, &parameters, &Patch::Apply(object)).await?;
            self.left.insert(place, owned(&applied.metadata));
        }
        self.clear_away(gateway, objects).await
    }

    /// Takes away what a former class or name has left.
    async fn clear_away(&mut self, gateway: &ObjectName, objects: &[Value]) -> kube::Result<()> {
        let wanted: BTreeSet<_> = objects.iter().map(place_of).collect();
        let Some(uid) = objects.iter().find_map(|object| object["metadata"]["ownerReferences"][0]["uid"].as_str())
        else {
            return Ok(());
        };
        let selector = format!("{GATEWAY_NAME}={},{APP_MANAGED_BY}={MANAGER}", crate::infra::label_of(gateway));
        for (group, version, kind) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let api: Api<PartialObjectMeta<DynamicObject>> =
                Api::namespaced_with(self.client.clone(), &gateway.namespace, &resource);
            for found in api.list_metadata(&ListParams::default().labels(&selector)).await? {
                let name = ObjectName::new(&gateway.namespace, found.metadata.name.clone().unwrap_or_default());
                let place = Place { kind: kind.to_owned(), name };
                let is_ours = found.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid);
                if is_ours && !wanted.contains(&place) {
                    api.delete(&place.name.name, &DeleteParams::background()).await?;
                    self.left.remove(&place);
                }
            }
        }
        Ok(())
    }
}

/// Kinds of what runs a Gateway.
const KINDS: [(&str, &str, &str); 5] = [
    ("", "v1", "ConfigMap"),
    ("", "v1", "ServiceAccount"),
    ("", "v1", "Service"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("apps", "v1", "Deployment"),
];

/// Tells which of our objects has changed, and what of it is ours still; none if it is gone.
async fn follow(client: Client, kind: GroupVersionKind, told: mpsc::UnboundedSender<(Place, Option<Owned>)>) {
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &resource);
    let config = watcher::Config::default().labels(&format!("{APP_MANAGED_BY}={MANAGER}"));
    let mut events = watch_all(api, config).default_backoff().boxed();
    while let Some(event) = events.next().await {
        let (object, is_there) = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => (object, true),
            Ok(Event::Delete(object)) => (object, false),
            Ok(Event::Init | Event::InitDone) => continue,
            Err(error) => {
                tracing::debug!(kind = kind.kind, %error, "what runs Gateways cannot be followed");
                continue;
            }
        };
        let metadata = object.metadata;
        let owned = is_there.then(|| owned(&metadata));
        let name = ObjectName::new(metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
        if told.send((Place { kind: kind.kind.clone(), name }, owned)).is_err() {
            return;
        }
    }
}

fn owned(metadata: &ObjectMeta) -> Owned {
    let entries = metadata.managed_fields.iter().flatten();
    let mut ours =
        entries.filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.subresource.is_none());
    let fields = ours.next().and_then(|entry| entry.fields_v1.as_ref());
    fields.map(|fields| fields.0.to_string()).unwrap_or_default()
}

fn place_of(object: &Value) -> Place {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    Place { kind: text(&object["kind"]), name: ObjectName::new(text(&metadata["namespace"]), text(&metadata["name"])) }
}

fn resource_of(object: &Value) -> ApiResource {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")))
}
