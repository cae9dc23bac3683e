//! What is asked of a cluster. Nothing here judges.

use std::collections::BTreeMap;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use sallyport_controller::cluster::ObjectKind;
use serde_json::Value;

use super::judge::{KINDS, RIGHTS, Right};
use crate::cluster::connect::Cluster;
use crate::cluster::status::{World, read};

/// By what a controller's Deployment is found.
const CONTROLLER: &str = "app.kubernetes.io/name=sallyport-controller";
/// Where the documents install it.
pub(super) const SYSTEM_NAMESPACE: &str = "sallyport-system";

/// An answer, or why there is none.
pub(super) type Told<T> = Result<T, String>;

/// What a cluster is, and what it holds.
#[derive(Default)]
pub(super) struct Facts {
    /// E.g. `1.37` and `v1.37.2`.
    pub(super) version: Option<Told<(String, String)>>,
    /// Kinds by the version of their group; none where that is not served.
    pub(super) served: BTreeMap<&'static str, Told<Vec<String>>>,
    /// Our CRDs by name; none where one is not there.
    pub(super) crds: Vec<(String, Told<Option<Value>>)>,
    pub(super) rights: Vec<(Right, Told<bool>)>,
    pub(super) controllers: Option<Told<Vec<Value>>>,
    pub(super) world: World,
}

impl Facts {
    pub(super) async fn before(cluster: &Cluster, system: Option<&str>) -> Self {
        let mut facts = Self::of_api_server(cluster).await;
        if matches!(facts.version, Some(Ok(_))) {
            for right in RIGHTS {
                let told = is_allowed(cluster, *right, system.unwrap_or(SYSTEM_NAMESPACE)).await;
                facts.rights.push((*right, told));
            }
        }
        facts
    }

    pub(super) async fn after(cluster: &Cluster, namespace: Option<&str>, system: Option<&str>) -> Self {
        let facts = Self::of_api_server(cluster).await;
        if !matches!(facts.version, Some(Ok(_))) {
            return facts;
        }
        let kind = GroupVersionKind::gvk("apps", "v1", "Deployment");
        let controllers = labelled(cluster, &kind, system).await;
        Self { controllers: Some(controllers), world: read(cluster, namespace).await, ..facts }
    }

    async fn of_api_server(cluster: &Cluster) -> Self {
        let client = &cluster.client;
        let version = client.apiserver_version().await.map_err(|error| cluster.why(&error));
        let version = version.map(|info| (format!("{}.{}", info.major, info.minor), info.git_version));
        let mut facts = Self { version: Some(version), ..Self::default() };
        // Of an API server that does not answer there is nothing more to ask.
        if matches!(facts.version, Some(Err(_))) {
            return facts;
        }
        for (version, _) in KINDS {
            facts.served.insert(version, served(cluster, version).await);
        }
        for crd in sallyport_api::schema::custom_resource_definitions() {
            let name = crd.metadata.name.unwrap_or_default();
            let found = definitions(client).get_opt(&name).await.map_err(|error| cluster.why(&error));
            facts.crds.push((name, found.map(|found| found.and_then(|crd| serde_json::to_value(crd).ok()))));
        }
        facts
    }
}

async fn served(cluster: &Cluster, version: &str) -> Told<Vec<String>> {
    match cluster.client.list_api_group_resources(version).await {
        Ok(list) => Ok(list.resources.into_iter().map(|resource| resource.kind).collect()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(vec![]),
        Err(error) => Err(cluster.why(&error)),
    }
}

fn definitions(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    Api::all_with(client.clone(), &ApiResource::from_gvk(&kind))
}

async fn labelled(cluster: &Cluster, kind: &GroupVersionKind, namespace: Option<&str>) -> Told<Vec<Value>> {
    let resource = ApiResource::from_gvk(kind);
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
        None => Api::all_with(cluster.client.clone(), &resource),
    };
    let list = api.list(&ListParams::default().labels(CONTROLLER)).await.map_err(|error| cluster.why(&error))?;
    Ok(list.items.into_iter().filter_map(|object| serde_json::to_value(object).ok()).collect())
}

/// Whether whoever asks may do that (Kubernetes, SelfSubjectAccessReview).
async fn is_allowed(cluster: &Cluster, right: Right, namespace: &str) -> Told<bool> {
    let attributes = ResourceAttributes {
        group: Some(right.group.to_owned()),
        resource: Some(right.resource.to_owned()),
        verb: Some("create".to_owned()),
        namespace: right.is_namespaced.then(|| namespace.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let done = api.create(&PostParams::default(), &review).await.map_err(|error| cluster.why(&error))?;
    Ok(done.status.is_some_and(|status| status.allowed))
}

/// The kinds of Gateway API that have to be served, as the controller reads them.
pub(super) fn gateway_api_kinds() -> impl Iterator<Item = ObjectKind> {
    let is_of_it = |kind: &ObjectKind| kind.api_version().starts_with(sallyport_api::gateway_api::GROUP);
    ObjectKind::ALL.iter().copied().filter(is_of_it)
}
