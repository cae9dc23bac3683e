//! What a cluster holds, read as whoever asks.

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow, bail};
use sallyport_controller::cluster::reach::Reach;
use sallyport_controller::cluster::{ClusterState, ObjectKind, ObjectName, Withheld};
use sallyport_controller::compile::compile;
use sallyport_controller::graph::{Environment, Graph};
use sallyport_controller::publish::Replica;
use sallyport_controller::watch;
use sallyport_dataplane::process::DataPlane;
use sallyport_snapshot::{Name, of_gateway};
use serde_json::Value;

use super::{Arguments, Ground};
use crate::cluster::connect::Cluster;

/// Rounds in which objects are read that others name: what a Secret or ConfigMap holds names no further ones, but may let others be looked for.
const ROUNDS: usize = 4;
/// As charts call the namespace of the controller.
const HOME: &str = "sallyport-system";

/// Puts in force what the data planes of a Gateway are told.
pub(super) async fn configure(arguments: &Arguments, data_plane: &DataPlane) -> anyhow::Result<Ground> {
    let cluster = arguments.access.connect().await?;
    let reach = Reach::within(arguments.watch_namespaces.iter().cloned(), HOME).map_err(|why| anyhow!("{why}"))?;
    let (state, mut ground) = read(&cluster, reach).await?;
    let graph = Graph::build(&state, Environment::Cluster);
    let compiled = compile(&graph, &state);
    let gateway = chosen(&graph, arguments.gateway.as_deref(), &cluster.namespace)?;
    let mut replica = Replica::default();
    let update = replica.update(&of_gateway(&compiled.snapshot, &gateway.to_string()));
    let update = update.ok_or_else(|| anyhow!("Gateway {gateway} has nothing in force"))?;
    for rejected in data_plane.apply(&update).rejected {
        let name = rejected.name.as_ref().and_then(Name::from_wire).map(|name| name.to_string()).unwrap_or_default();
        ground.notes.push(format!("{name} is not in force: {}", rejected.why));
    }
    Ok(ground)
}

/// The Gateway that is meant: the one that is named, or the only one.
fn chosen(graph: &Graph, stated: Option<&str>, namespace: &str) -> anyhow::Result<ObjectName> {
    let there = || graph.gateways.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match (stated, graph.gateways.len()) {
        (_, 0) => bail!("there is no Gateway of a class of this controller"),
        (None, 1) => graph.gateways.keys().next().cloned().context("there is one"),
        (None, _) => bail!("there are several Gateways: {}; state one by --gateway", there()),
        (Some(stated), _) => {
            let (namespace, name) = stated.split_once('/').unwrap_or((namespace, stated));
            let name = ObjectName::new(namespace, name);
            let is_there = graph.gateways.contains_key(&name);
            is_there.then_some(name).with_context(|| format!("there is no Gateway {stated}; there are {}", there()))
        }
    }
}

async fn read(cluster: &Cluster, reach: Reach) -> anyhow::Result<(ClusterState, Ground)> {
    let (mut state, mut ground) = (ClusterState::default(), Ground::default());
    let kinds = ObjectKind::ALL.iter().filter(|kind| !matches!(kind, ObjectKind::Secret | ObjectKind::ConfigMap));
    for kind in kinds.copied() {
        for object in list(cluster, kind, &reach, &mut ground).await? {
            put(&mut state, kind, object);
        }
    }
    state.reach = reach;
    let mut known = BTreeSet::new();
    for _ in 0..ROUNDS {
        drop(state.asked.take());
        drop(Graph::build(&state, Environment::Cluster));
        let named: Vec<_> = state.asked.take().into_iter().filter(|one| known.insert(one.clone())).collect();
        if named.is_empty() {
            break;
        }
        for (kind, name) in named {
            get(cluster, (kind, name), &mut state, &mut ground).await;
        }
    }
    Ok((state, ground))
}

/// All objects of a kind. Where they cannot be had nothing is explained: what is not known may guard what is. A kind that is not installed has
/// none.
async fn list(cluster: &Cluster, kind: ObjectKind, reach: &Reach, ground: &mut Ground) -> anyhow::Result<Vec<Value>> {
    let namespaces: Vec<_> = match reach.namespaces(kind) {
        None => vec![None],
        Some(namespaces) => namespaces.into_iter().map(Some).collect(),
    };
    let mut found = Vec::new();
    for namespace in namespaces {
        match cluster.list(kind, namespace).await {
            Ok(objects) => found.extend(objects),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                ground.notes.push(format!("the kind {} is not installed", kind.as_str()));
            }
            Err(error) => {
                let what = format!("what holds of a request cannot be told without each {}", kind.as_str());
                return Err(cluster.explained(&error, &what));
            }
        }
    }
    Ok(found)
}

/// An object that others name.
async fn get(cluster: &Cluster, (kind, name): (ObjectKind, ObjectName), state: &mut ClusterState, ground: &mut Ground) {
    match cluster.get(kind, &name.namespace, &name.name).await {
        Ok(Some(object)) => put(state, kind, object),
        Ok(None) => {}
        Err(error) => {
            ground.is_incomplete = true;
            ground
                .notes
                .push(format!("{error:#}; what needs it is judged as if the controller could not read it either"));
            state.withheld.insert((kind, name), Withheld::Forbidden);
        }
    }
}

fn put(state: &mut ClusterState, kind: ObjectKind, object: Value) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let name = ObjectName { namespace: text("namespace"), name: text("name") };
    state.apply(name, watch::read(kind, object));
}
