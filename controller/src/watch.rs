//! What happens in a cluster, as changes of its state. One watch a kind; of Secrets and ConfigMaps only what is labelled as ours, and
//! what somebody names. Where a controller watches some namespaces only, one watch a kind and namespace.
//!
//! What the API server refuses to tell is never taken for what is not there: there is no list before there is one.

mod refusal;
mod source;
mod world;

use futures_util::{StreamExt as _, TryStreamExt as _};
use kube::Client;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher as follow};
use sallyport_snapshot::Hash;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::cluster::{Object, ObjectKind, ObjectName};
use crate::manifest::served;
use crate::metrics::Metrics;
pub use refusal::Refusal;
pub use source::{Place, Source, USE_LABEL};
pub use world::{Head, World};

/// Field of a Service's status that addresses are read from; statuses of all other kinds are ours to write.
const WITH_STATUS: [ObjectKind; 1] = [ObjectKind::Service];

/// One object as it stands in the cluster.
pub struct Seen {
    pub name: ObjectName,
    pub head: Head,
    pub object: Object,
}

/// Something that has happened.
pub enum Change {
    /// All that there is of a source, in place of whatever was known.
    Listed(Source, Vec<Seen>),
    Applied(Source, Box<Seen>),
    Deleted(Source, ObjectName),
    /// The controller may not know. It asks again, and once it may there is a list.
    Refused(Source, Refusal),
}

impl Change {
    /// The watch that tells it.
    pub fn source(&self) -> &Source {
        match self {
            Self::Listed(source, _)
            | Self::Applied(source, _)
            | Self::Deleted(source, _)
            | Self::Refused(source, _) => source,
        }
    }
}

/// How the API server calls a kind.
pub fn resource(kind: ObjectKind) -> ApiResource {
    let (group, version) = kind.api_version().split_once('/').unwrap_or(("", kind.api_version()));
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.as_str()), &kind.plural())
}

/// Follows `source` for as long as somebody listens. A watch that breaks off begins anew with a list; what was known stays known until
/// that list is whole.
pub async fn run(client: Client, source: Source, metrics: Metrics, changes: mpsc::Sender<Change>) {
    let mut events = follow(source.api(client), source.config()).default_backoff().map_err(Box::new).boxed();
    let mut listing = Vec::new();
    while let Some(event) = events.next().await {
        let change = match event {
            Ok(Event::Init) => {
                listing.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listing.push(seen(source.kind(), object));
                continue;
            }
            Ok(Event::InitDone) => Change::Listed(source.clone(), std::mem::take(&mut listing)),
            Ok(Event::Apply(object)) => Change::Applied(source.clone(), Box::new(seen(source.kind(), object))),
            Ok(Event::Delete(object)) => Change::Deleted(source.clone(), name(&object)),
            Err(error) => {
                metrics.watch_failed(source.kind().as_str());
                match Refusal::of(&source, &error) {
                    Some(refusal) => {
                        tracing::warn!(%refusal, "what is known stays in force");
                        Change::Refused(source.clone(), refusal)
                    }
                    None => {
                        tracing::warn!(kind = source.kind().as_str(), %error, "the API server cannot be followed; what is known stays in force");
                        continue;
                    }
                }
            }
        };
        if changes.send(change).await.is_err() {
            return;
        }
    }
}

fn name(object: &DynamicObject) -> ObjectName {
    let metadata = &object.metadata;
    ObjectName::new(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn seen(kind: ObjectKind, mut object: DynamicObject) -> Seen {
    let name = name(&object);
    let status = object.data.as_object_mut().and_then(|data| data.get("status").cloned()).unwrap_or_default();
    let mut head = Head::new(&object.metadata, &status);
    object.metadata.managed_fields = None;
    let mut value = serde_json::to_value(&object).unwrap_or_default();
    value["apiVersion"] = kind.api_version().into();
    value["kind"] = kind.as_str().into();
    head.substance = substance(kind, &mut value);
    Seen { name, head, object: read(kind, value) }
}

/// An object as an API server hands it out, with its kind.
pub fn read(kind: ObjectKind, value: Value) -> Object {
    if WITH_STATUS.contains(&kind) { Object::decode(kind, value, vec![]) } else { served(kind, value) }
}

/// A digest of what is read of an object: all but its version, and the status, which is ours to write. Of Secrets and ConfigMaps the version
/// is read as well.
fn substance(kind: ObjectKind, value: &mut Value) -> Option<Hash> {
    if [ObjectKind::Secret, ObjectKind::ConfigMap].contains(&kind) {
        return None;
    }
    let version = value["metadata"]["resourceVersion"].take();
    let status = if WITH_STATUS.contains(&kind) { None } else { value.get_mut("status").map(Value::take) };
    let digest = serde_json::to_vec(value).ok().map(|bytes| Hash::of_bytes(&bytes));
    value["metadata"]["resourceVersion"] = version;
    if let Some(status) = status {
        value["status"] = status;
    }
    digest
}

/// A status as it stands, for whoever compares.
pub(crate) fn status_text(status: &Value) -> Box<str> {
    if status.is_null() { Box::default() } else { status.to_string().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_called_as_the_api_server_calls_them() {
        for (kind, group, version, plural) in [
            (ObjectKind::Secret, "", "v1", "secrets"),
            (ObjectKind::EndpointSlice, "discovery.k8s.io", "v1", "endpointslices"),
            (ObjectKind::GatewayClass, "gateway.networking.k8s.io", "v1", "gatewayclasses"),
            (ObjectKind::ApiPolicy, "sallyport.dev", "v1alpha1", "apipolicies"),
            (ObjectKind::GatewayParameters, "sallyport.dev", "v1alpha1", "gatewayparameters"),
        ] {
            let found = resource(kind);
            assert_eq!((&*found.group, &*found.version, &*found.plural), (group, version, plural));
        }
    }
}
