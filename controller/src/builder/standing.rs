//! What of ours there is in a cluster, and whether it is as it is planned.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher as watch_all};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::cluster::ObjectName;
use crate::graph::infrastructure::APP_MANAGED_BY;
use crate::infra::MANAGER;
use crate::metrics::Metrics;
use crate::watch;
use crate::write::FIELD_MANAGER;

/// Kinds of what runs a Gateway, in the order in which they are applied: group, version and kind.
pub(super) const KINDS: [(&str, &str, &str); 5] = [
    ("", "v1", "ConfigMap"),
    ("", "v1", "ServiceAccount"),
    ("", "v1", "Service"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("apps", "v1", "Deployment"),
];

/// Where an object is: one of [`KINDS`], namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) kind: &'static str,
    pub(super) name: ObjectName,
}

/// The fields of an object that server-side apply counts as ours, as JSON: it loses those that somebody else changes.
pub(super) type Owned = String;

/// An object that is there.
pub(super) struct Standing {
    pub(super) uid: String,
    /// `metadata.uid` of the Gateway that owns it; empty if none does.
    pub(super) owner: String,
    pub(super) owned: Owned,
}

/// What an object is now; none if it is gone.
pub(super) type Told = Option<Standing>;

/// The kind of that name among those that run Gateways; empty if it is none.
pub(super) fn kind(name: &str) -> &'static str {
    KINDS.iter().find(|(_, _, kind)| *kind == name).map_or("", |(_, _, kind)| kind)
}

/// How late a kind is applied.
pub(super) fn rank(kind: &str) -> usize {
    KINDS.iter().position(|(_, _, one)| *one == kind).unwrap_or_default()
}

pub(super) fn resource(kind: &str) -> ApiResource {
    let found = KINDS.iter().find(|(_, _, one)| *one == kind);
    let (group, version, kind) = found.copied().unwrap_or(("", "v1", ""));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Tells of all objects of a kind that run Gateways, and of each change of one.
pub(super) async fn follow(
    client: Client,
    (_, _, kind): (&str, &str, &'static str),
    at: watch::Place,
    metrics: Metrics,
    teller: mpsc::UnboundedSender<(Place, Told)>,
) {
    let api: Api<PartialObjectMeta<DynamicObject>> = match &at {
        watch::Place::Everywhere => Api::all_with(client, &resource(kind)),
        watch::Place::Namespace(namespace) => Api::namespaced_with(client, namespace, &resource(kind)),
    };
    let config = watcher::Config::default().labels(&format!("{APP_MANAGED_BY}={MANAGER}"));
    let mut events = watch_all(api, config).default_backoff().boxed();
    let mut listed = Listed::default();
    while let Some(event) = events.next().await {
        let told: Vec<_> = match event {
            Ok(Event::Apply(object)) => vec![listed.there(object.metadata)],
            Ok(Event::Delete(object)) => vec![listed.gone(object.metadata)],
            Ok(Event::Init) => {
                listed.begin();
                continue;
            }
            Ok(Event::InitApply(object)) => vec![listed.there(object.metadata)],
            Ok(Event::InitDone) => listed.missing(),
            Err(error) => {
                metrics.watch_failed(kind);
                tracing::debug!(kind, %error, "what runs Gateways cannot be followed");
                continue;
            }
        };
        for (name, standing) in told {
            if teller.send((Place { kind, name }, standing)).is_err() {
                return;
            }
        }
    }
}

/// What a watch has told of. After a break it lists what is there, and says nothing of what has gone meanwhile.
#[derive(Default)]
struct Listed {
    known: BTreeSet<ObjectName>,
    before: BTreeSet<ObjectName>,
}

impl Listed {
    fn begin(&mut self) {
        self.before.append(&mut self.known);
    }

    fn there(&mut self, metadata: ObjectMeta) -> (ObjectName, Told) {
        let name = name(&metadata);
        self.known.insert(name.clone());
        (name, Some(standing(&metadata)))
    }

    fn gone(&mut self, metadata: ObjectMeta) -> (ObjectName, Told) {
        let name = name(&metadata);
        self.known.remove(&name);
        (name, None)
    }

    fn missing(&mut self) -> Vec<(ObjectName, Told)> {
        let before = std::mem::take(&mut self.before);
        before.difference(&self.known).map(|name| (name.clone(), None)).collect()
    }
}

fn name(metadata: &ObjectMeta) -> ObjectName {
    ObjectName::new(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn standing(metadata: &ObjectMeta) -> Standing {
    let mut owners = metadata.owner_references.iter().flatten().filter(|owner| owner.kind == "Gateway");
    Standing {
        uid: metadata.uid.clone().unwrap_or_default(),
        owner: owners.next().map(|owner| owner.uid.clone()).unwrap_or_default(),
        owned: owned(metadata),
    }
}

pub(super) fn owned(metadata: &ObjectMeta) -> Owned {
    let entries = metadata.managed_fields.iter().flatten();
    let mut ours =
        entries.filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.subresource.is_none());
    let fields = ours.next().and_then(|entry| entry.fields_v1.as_ref());
    fields.map(|fields| fields.0.to_string()).unwrap_or_default()
}

/// Whether all that is planned stands in `found`, and nothing is `owned` that is not planned. What an API server writes in another way
/// than we do, quantities for one, counts as different: it is applied once more than needed.
pub(super) fn is_as_planned(planned: &Value, found: &Value, owned: &Owned) -> bool {
    let Ok(fields) = serde_json::from_str::<Value>(owned) else { return false };
    contains(found, planned) && is_planned(&fields, planned)
}

fn contains(found: &Value, planned: &Value) -> bool {
    match (found, planned) {
        (Value::Object(found), Value::Object(planned)) => {
            planned.iter().all(|(name, value)| found.get(name).is_some_and(|found| contains(found, value)))
        }
        (Value::Array(found), Value::Array(planned)) => {
            found.len() == planned.len() && found.iter().zip(planned).all(|(found, planned)| contains(found, planned))
        }
        _ => found == planned,
    }
}

/// Whether each of these fields (`fieldsV1` of server-side apply) is planned: `f:` names a member, `k:` an entry of a list by its keys,
/// `v:` one by its value.
fn is_planned(fields: &Value, planned: &Value) -> bool {
    let entries = fields.as_object().into_iter().flatten();
    entries.into_iter().all(|(name, below)| match name.split_once(':') {
        Some(("f", member)) => planned.get(member).is_some_and(|planned| is_planned(below, planned)),
        Some(("k", keys)) => entry(keys, planned).is_some_and(|planned| is_planned(below, planned)),
        Some(("v", value)) => {
            let is_listed = |value: &Value| planned.as_array().is_some_and(|list| list.contains(value));
            serde_json::from_str(value).is_ok_and(|value| is_listed(&value))
        }
        _ => true,
    })
}

/// The entry with these keys; those that it leaves to defaults count as the same.
fn entry<'a>(keys: &str, list: &'a Value) -> Option<&'a Value> {
    let keys: Value = serde_json::from_str(keys).ok()?;
    let keys = keys.as_object()?;
    let has = |one: &&Value| keys.iter().all(|(key, value)| one.get(key).is_none_or(|stated| stated == value));
    list.as_array()?.iter().find(has)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(name: &str) -> ObjectMeta {
        ObjectMeta { name: Some(name.to_owned()), namespace: Some("shop".to_owned()), ..ObjectMeta::default() }
    }

    #[test]
    fn what_has_gone_while_nobody_watched_is_told() {
        let mut listed = Listed::default();
        listed.begin();
        assert!(listed.there(metadata("a")).1.is_some() && listed.there(metadata("b")).1.is_some());
        assert!(listed.missing().is_empty(), "before the first list nothing was known");
        listed.there(metadata("c"));
        assert!(listed.gone(metadata("c")).1.is_none());
        listed.begin();
        listed.there(metadata("b"));
        listed.begin();
        listed.there(metadata("b"));
        let missing: Vec<_> = listed.missing().into_iter().map(|(name, told)| (name.name, told.is_none())).collect();
        assert_eq!(missing, [("a".to_owned(), true)], "also where the first attempt to list was broken off");
        assert!(listed.missing().is_empty());
    }

    fn planned() -> Value {
        json!({ "metadata": { "name": "a" }, "spec": { "replicas": 2, "ports": [{ "name": "http", "port": 80 }], "args": ["x", "y"] } })
    }

    fn fields() -> Value {
        json!({ "f:spec": {
            "f:replicas": {},
            "f:ports": { "k:{\"port\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:name": {}, "f:port": {} } },
            "f:args": { "v:\"x\"": {} },
        } })
    }

    #[test]
    fn what_a_server_adds_does_not_count() {
        let mut found = planned();
        found["metadata"]["uid"] = "1".into();
        found["spec"]["ports"][0]["protocol"] = "TCP".into();
        assert!(is_as_planned(&planned(), &found, &fields().to_string()));
    }

    #[test]
    fn what_somebody_has_changed_counts() {
        for (pointer, value) in [
            ("/spec/replicas", json!(3)),
            ("/spec/ports/0/port", json!(81)),
            ("/spec/ports", json!([])),
            ("/spec/args", json!(["x"])),
            ("/spec/args", json!(["x", "y", "z"])),
            ("/spec", Value::Null),
        ] {
            let mut found = planned();
            *found.pointer_mut(pointer).unwrap() = value;
            assert!(!is_as_planned(&planned(), &found, &fields().to_string()), "{pointer}");
        }
    }

    #[test]
    fn what_is_ours_and_is_not_planned_any_more_counts() {
        for more in [
            json!({ "f:spec": { "f:paused": {} } }),
            json!({ "f:metadata": { "f:labels": { "f:a": {} } } }),
            json!({ "f:spec": { "f:ports": { "k:{\"port\":81}": {} } } }),
            json!({ "f:spec": { "f:ports": { "k:{\"port\":80}": { "f:nodePort": {} } } } }),
            json!({ "f:spec": { "f:args": { "v:\"z\"": {} } } }),
        ] {
            assert!(!is_as_planned(&planned(), &planned(), &more.to_string()), "{more}");
        }
        assert!(!is_as_planned(&planned(), &planned(), &Owned::new()), "nothing is ours");
    }
}
