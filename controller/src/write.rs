//! Statuses on their way to the API server. Nothing here decides what a status says.

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::cluster::{ObjectKind, ObjectName};
use crate::status::News;
use crate::status::wire::Write;
use crate::watch::{Head, resource};

/// Who writes, for server-side apply.
pub const FIELD_MANAGER: &str = "sallyport-controller";

/// One status to be written.
#[derive(Debug)]
pub struct Order {
    pub kind: ObjectKind,
    pub name: ObjectName,
    /// The object as it was when the status was planned: another one is written nothing about.
    pub head: Head,
    pub write: Write,
    /// What is new in it.
    pub news: Vec<News>,
}

/// What became of an order.
#[derive(Debug)]
pub enum Outcome {
    /// The object as it stands now.
    Written(Head),
    /// The object has changed meanwhile, or is gone: what is said of it has to be planned again.
    Outdated,
    Failed(kube::Error),
}

/// Writes one status, if the object is still the one that it was planned for.
pub async fn write(client: Client, order: &Order) -> Outcome {
    let resource = resource(order.kind);
    let api: Api<DynamicObject> = if order.name.namespace.is_empty() {
        Api::all_with(client, &resource)
    } else {
        Api::namespaced_with(client, &order.name.namespace, &resource)
    };
    let (parameters, patch) = patch(order);
    match api.patch_status(&order.name.name, &parameters, &patch).await {
        Ok(object) => Outcome::Written(Head::new(&object.metadata, &object.data["status"])),
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Outcome::Outdated,
        Err(error) => Outcome::Failed(error),
    }
}

/// Both forms name the version of the object that they were planned for: who writes about another loses (HTTP 409).
fn patch(order: &Order) -> (PatchParams, Patch<Value>) {
    let Order { kind, name, head, write, .. } = order;
    let metadata = json!({ "name": name.name, "uid": head.uid, "resourceVersion": head.resource_version });
    let mut body = json!({ "metadata": metadata });
    if let Some(status) = write.status() {
        body["status"] = status.clone();
    }
    match write {
        Write::Apply(_) | Write::Withdraw => {
            body["apiVersion"] = kind.api_version().into();
            body["kind"] = kind.as_str().into();
            (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(body))
        }
        Write::Replace(_) => (
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() },
            Patch::Merge(body),
        ),
    }
}
