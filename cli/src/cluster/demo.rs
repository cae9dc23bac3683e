//! `sallyport demo --cluster`: the main job in a cluster, in a namespace of its own, made visible.

mod ask;

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use sallyport_controller::cluster::{ObjectKind, ObjectName, Scope};
use sallyport_controller::watch::resource;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::connect::{Access, Cluster, MANAGER};
use crate::cluster::object::{is_class_of_ours, text};
use crate::cluster::status::report::{Row, State};
use crate::cluster::status::{judge, read};
use crate::cluster::wait::{self, Look, until};
use crate::exit::Outcome;
use crate::print;

/// Where it is if nobody says otherwise.
const NAMESPACE: &str = "sallyport-demo";
/// A namespace that the demo has made, and may remove.
const MARK: (&str, &str) = ("app.kubernetes.io/managed-by", "sallyport-demo");
/// What is applied, in order.
const SHOP: &str = include_str!("demo/shop.yaml");

/// What has to work, in the order in which it does.
const KINDS: [&str; 5] = ["Gateway", "Backend", "Subscription", "ApiPolicy", "HTTPRoute"];

#[derive(clap::Args)]
pub(crate) struct InCluster {
    /// Does it in a cluster, in a namespace of its own, instead of on loopback
    #[arg(long)]
    pub(crate) cluster: bool,
    /// Removes what a demo in a cluster has left; with --cluster only
    #[arg(long, requires = "cluster")]
    clean: bool,
    /// The GatewayClass
    #[arg(long, default_value = "sallyport")]
    class: String,
    /// The image of the sample service, which answers with what it was sent
    #[arg(long, default_value = "registry.k8s.io/gateway-api/echo-basic:v1.5.1")]
    image: String,
    /// How long each step may take, such as 1m30s
    #[arg(long, default_value = "90s", value_parser = wait::duration)]
    timeout: Duration,
    #[command(flatten)]
    access: Access,
}

pub(crate) async fn demo(arguments: InCluster) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let mut cluster = arguments.access.connect().await?;
    cluster.namespace = arguments.access.namespace.clone().unwrap_or_else(|| NAMESPACE.to_owned());
    if arguments.clean {
        return clean(&cluster, arguments.timeout).await;
    }
    ensure_class(&cluster, &arguments.class).await?;
    ensure!(
        standing(&cluster).await? != Standing::Foreign,
        "the namespace {} was not made by a demo; state another one with --namespace",
        cluster.namespace
    );
    for manifest in manifests(&arguments, &cluster.namespace)? {
        apply(&cluster, manifest).await?;
    }
    if let Err(awaited) = until(arguments.timeout, async || look(&cluster).await).await? {
        let namespace = &cluster.namespace;
        print::aside(&format!(
            "the time is over, and still awaited: {awaited}; `sallyport status -n {namespace}` says more, `sallyport demo --cluster --clean` removes it"
        ));
        return Ok(Outcome::Findings);
    }
    ask::ask(&cluster, began).await
}

/// What the namespace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Absent,
    OfDemo,
    Foreign,
}

async fn standing(cluster: &Cluster) -> anyhow::Result<Standing> {
    let found = cluster.api(ObjectKind::Namespace, None).get_opt(&cluster.namespace).await;
    let found = found.map_err(|error| cluster.explained(&error, &format!("namespace {}", cluster.namespace)))?;
    let Some(found) = found else { return Ok(Standing::Absent) };
    let is_marked = found.metadata.labels.is_some_and(|labels| labels.get(MARK.0).is_some_and(|mark| mark == MARK.1));
    Ok(if is_marked { Standing::OfDemo } else { Standing::Foreign })
}

async fn clean(cluster: &Cluster, timeout: Duration) -> anyhow::Result<Outcome> {
    let namespace = &cluster.namespace;
    match standing(cluster).await? {
        Standing::Absent => {
            print::line(&format!("there is no namespace {namespace}: nothing is left of a demo"));
            return Ok(Outcome::Fine);
        }
        Standing::Foreign => bail!("the namespace {namespace} was not made by a demo, and is left alone"),
        Standing::OfDemo => {}
    }
    let deleted = cluster.api(ObjectKind::Namespace, None).delete(namespace, &DeleteParams::default()).await;
    deleted.map_err(|error| cluster.explained(&error, &format!("namespace {namespace}")))?;
    let look = async || {
        Ok(match standing(cluster).await? {
            Standing::Absent => Look::Done(()),
            _ => Look::Awaits(format!("the end of namespace {namespace}")),
        })
    };
    match until(timeout, look).await? {
        Ok(()) => print::line(&format!("namespace {namespace} is gone, and the demo with it")),
        Err(awaited) => {
            print::aside(&format!("the time is over, and still awaited: {awaited}"));
            return Ok(Outcome::Findings);
        }
    }
    Ok(Outcome::Fine)
}

async fn ensure_class(cluster: &Cluster, class: &str) -> anyhow::Result<()> {
    let found = cluster.api(ObjectKind::GatewayClass, None).get_opt(class).await;
    let found = found.map_err(|error| cluster.explained(&error, &format!("GatewayClass {class}")))?;
    let found = found.with_context(|| {
        format!("there is no GatewayClass {class}; install the chart, or name one with --class: `kubectl get gatewayclasses`")
    })?;
    ensure!(
        is_class_of_ours(&found.data),
        "GatewayClass {class} is of another controller; name one of ours with --class"
    );
    Ok(())
}

fn manifests(arguments: &InCluster, namespace: &str) -> anyhow::Result<Vec<DynamicObject>> {
    let text = SHOP
        .replace("${NAMESPACE}", namespace)
        .replace("${CLASS}", &arguments.class)
        .replace("${IMAGE}", &arguments.image);
    let documents = text.split("\n---\n");
    documents.map(|document| Ok(serde_saphyr::from_str(document)?)).collect()
}

async fn apply(cluster: &Cluster, mut object: DynamicObject) -> anyhow::Result<()> {
    let kind = object.types.clone().unwrap_or_default();
    let name = object.metadata.name.clone().unwrap_or_default();
    let known = ObjectKind::find(&kind.api_version, &kind.kind);
    let resource = match known {
        Some(known) => resource(known),
        None => ApiResource::from_gvk(&GroupVersionKind::try_from(&kind)?),
    };
    let api: Api<DynamicObject> = match known.map(ObjectKind::scope) {
        Some(Scope::Cluster) => Api::all_with(cluster.client.clone(), &resource),
        _ => {
            object.metadata.namespace = Some(cluster.namespace.clone());
            Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource)
        }
    };
    let applied = api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await;
    applied.map_err(|error| cluster.explained(&error, &format!("{} {name}", kind.kind)))?;
    Ok(())
}

/// Whether everything works, but for an address: not every cluster gives one.
async fn look(cluster: &Cluster) -> anyhow::Result<Look<()>> {
    let namespace = cluster.namespace.as_str();
    let report = judge::judge(&read(cluster, Some(namespace)).await);
    if let Some(unread) = report.unread.first() {
        bail!("{}: {}", unread.kind, unread.why);
    }
    let of = |kind: &&str| report.objects.iter().find(|row| row.namespace == namespace && row.kind == **kind);
    let Some(kind) = KINDS.iter().find(|kind| !of(kind).is_some_and(works)) else { return Ok(Look::Done(())) };
    let finding = of(kind).and_then(|row| row.findings.first());
    let why = finding.map(|finding| format!("{}: {}", finding.reason, finding.message));
    Ok(Look::Awaits(format!("{kind}: {}", why.unwrap_or_else(|| "it is not there yet".to_owned()))))
}

fn works(row: &Row) -> bool {
    let only_lacks_address = || row.findings.iter().all(|finding| finding.reason == "AddressNotAssigned");
    row.ready == State::True || row.kind == "Gateway" && only_lacks_address()
}

/// The key that the controller has made.
async fn key(cluster: &Cluster) -> anyhow::Result<String> {
    let place = ObjectName::new(&cluster.namespace, "orders-keys");
    let secret = cluster.get(ObjectKind::Secret, &place.namespace, &place.name).await?;
    let secret = secret.with_context(|| format!("Secret {place} does not exist; begin anew with --clean"))?;
    crate::cluster::keys::entry(&secret, sallyport_api::rotation::KeyName::Primary)
}

/// Where the Gateway is reached, if anywhere, and the name of its Service.
async fn whereabouts(cluster: &Cluster) -> anyhow::Result<(Option<String>, String)> {
    let gateway = cluster.get(ObjectKind::Gateway, &cluster.namespace, "public").await?.unwrap_or(Value::Null);
    let address = text(&gateway, "/status/addresses/0/value");
    let services = cluster.list(ObjectKind::Service, Some(&cluster.namespace)).await;
    let services = services.map_err(|error| cluster.explained(&error, "Services"))?;
    let label = "gateway.networking.k8s.io/gateway-name";
    let service = services.iter().find(|service| service["metadata"]["labels"][label] == "public");
    let service = service.context("the Gateway has no Service; `sallyport check` says more")?;
    let address = Some(address.to_owned()).filter(|address| !address.is_empty());
    Ok((address, text(service, "/metadata/name").to_owned()))
}

#[cfg(test)]
mod tests;
