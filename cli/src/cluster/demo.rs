//! `sallyport demo --cluster`: a protected API in a cluster, made visible and taken away again.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use sallyport_controller::cluster::ObjectKind;
use serde_json::Value;

use super::connect::{Cluster, Place, within};
use super::keys::{Key, key_of};
use super::object::{generation, holds, text};
use crate::exit::Outcome;
use crate::print;

/// What it applies, as an example that is read, changed and kept by people as well.
const MANIFESTS: &str = include_str!("../../../examples/cluster/getting-started/main.yaml");
const NAMESPACE: &str = "default";
const NAME: &str = "start";
/// Of its listener, port 80, in a pod.
const PORT: u16 = 10_080;
/// How long images may take to be pulled.
const PATIENCE: Duration = Duration::from_secs(120);

/// Applies the example, makes requests, says what came, and takes it away unless it is kept.
pub(crate) async fn demo(place: &Place, keep: bool) -> anyhow::Result<Outcome> {
    let cluster = Cluster { namespace: NAMESPACE.to_owned(), ..Cluster::of(place).await? };
    let objects = objects()?;
    for (kind, object) in &objects {
        cluster.apply(*kind, object).await?;
        print::line(&format!("applied {}/{}", kind.as_str(), text(object, "/metadata/name")));
    }
    let outcome = perform(&cluster).await;
    if keep {
        print::line("\nIt is kept. To take it away: kubectl delete -f examples/cluster/getting-started");
    } else {
        for (kind, object) in objects.iter().rev() {
            delete(&cluster, *kind, text(object, "/metadata/name")).await?;
        }
        print::line("\nIt is taken away again; --keep leaves it there.");
    }
    outcome
}

fn objects() -> anyhow::Result<Vec<(ObjectKind, Value)>> {
    let documents = MANIFESTS.split("\n---\n").map(serde_saphyr::from_str::<Value>);
    let objects = documents.map(|object| {
        let object = object?;
        let kind = ObjectKind::ALL.iter().find(|kind| kind.as_str() == text(&object, "/kind"));
        Ok((*kind.context("the example holds a kind that is not known")?, object))
    });
    objects.collect()
}

async fn delete(cluster: &Cluster, kind: ObjectKind, name: &str) -> anyhow::Result<()> {
    match cluster.api(kind, NAMESPACE).delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        done => done.map(drop).with_context(|| format!("{} {name} cannot be taken away", kind.as_str())),
    }
}

async fn perform(cluster: &Cluster) -> anyhow::Result<Outcome> {
    let is_ready = async |kind: ObjectKind| -> anyhow::Result<bool> {
        let object = cluster.get(kind, NAMESPACE, NAME).await?;
        Ok(holds(&object["status"], "Ready", generation(&object)))
    };
    let ready = within(PATIENCE, async || {
        let both = is_ready(ObjectKind::ApiPolicy).await? && is_ready(ObjectKind::Subscription).await?;
        Ok(both.then_some(()))
    });
    if ready.await?.is_none() {
        bail!("it is not in force within {} s; `sallyport status -n {NAMESPACE}` says why", PATIENCE.as_secs());
    }
    let pod = data_plane(cluster).await?;
    let key = key_of(cluster, NAME, Key::Primary).await?;
    let mut as_expected = true;
    for (what, shown, expected) in [
        ("no key", None, 401),
        ("an unknown key", Some("spk_nobody"), 401),
        ("the key that the controller made", Some(&*key), 200),
    ] {
        let (status, body) = ask(cluster, &pod, shown).await?;
        as_expected &= status == expected;
        let verdict = if status == expected { "as expected" } else { "NOT as expected" };
        print::line(&format!("\n  {what:<34} -> {status} ({verdict})\n      {}", body.trim().replace('\n', " ")));
    }
    print::line(
        "\nThe service is the Kubernetes API's own /version, reached over TLS. Of the key it has seen nothing.",
    );
    Ok(if as_expected { Outcome::Fine } else { Outcome::Findings })
}

/// A pod that serves the Gateway.
async fn data_plane(cluster: &Cluster) -> anyhow::Result<String> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    let label = format!("gateway.networking.k8s.io/gateway-name={NAME}");
    let found =
        pods.list(&ListParams::default().labels(&label)).await.context("the API server does not tell of pods")?;
    let is_ready = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        pod.metadata.deletion_timestamp.is_none()
            && conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
    };
    let pod = found.items.iter().find(|pod| is_ready(pod)).context("no data plane is ready")?;
    Ok(pod.name_any())
}

/// A request through the API server's port forwarding.
async fn ask(cluster: &Cluster, pod: &str, key: Option<&str>) -> anyhow::Result<(u16, String)> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    let mut forwarder = pods.portforward(pod, &[PORT]).await.context("no port can be forwarded")?;
    let stream = forwarder.take_stream(PORT).context("the API server forwards no stream")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let task = tokio::spawn(connection);
    let mut request = Request::get("/version").header("host", "localhost");
    if let Some(key) = key {
        request = request.header("sallyport-key", key);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    task.abort();
    ensure!(!body.is_empty(), "the answer has no body");
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_of_kinds_that_are_known_and_by_the_names_that_are_asked_for() {
        let objects = objects().unwrap();
        let all = |part: &str, expected: &str| objects.iter().all(|(_, object)| text(object, part) == expected);
        assert!(all("/metadata/namespace", NAMESPACE) && all("/metadata/name", NAME));
        assert!(
            [ObjectKind::ApiPolicy, ObjectKind::Subscription]
                .iter()
                .all(|kind| objects.iter().any(|one| one.0 == *kind))
        );
    }
}
