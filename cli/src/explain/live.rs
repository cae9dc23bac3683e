//! What a cluster holds, read as whoever asks.

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow, bail};
use sallyport_controller::cluster::{ClusterState, Object, ObjectKind, ObjectName, Withheld};
use sallyport_controller::compile::compile;
use sallyport_controller::graph::{Environment, Graph};
use sallyport_controller::publish::Replica;
use sallyport_dataplane::process::DataPlane;
use sallyport_snapshot::{Name, of_gateway};
use serde_json::Value;

use crate::cluster::connect::{Access, Cluster};

/// Rounds in which objects are read that others name: what a Secret or ConfigMap holds names no further ones, but may let others be looked for.
const ROUNDS: usize = 4;

/// Puts in force what the data planes of a Gateway are told. Gives what could not be read, and what is not in force.
pub(super) async fn configure(
    access: &Access,
    gateway: Option<&str>,
    data_plane: &DataPlane,
) -> anyhow::Result<Vec<String>> {
    let cluster = access.connect().await?;
    let (state, mut notes) = read(&cluster).await?;
    let graph = Graph::build(&state, Environment::Cluster);
    let compiled = compile(&graph, &state);
    let gateway = chosen(&graph, gateway, &cluster.namespace)?;
    let mut replica = Replica::default();
    let update = replica.update(&of_gateway(&compiled.snapshot, &gateway.to_string()));
    let update = update.ok_or_else(|| anyhow!("Gateway {gateway} has nothing in force"))?;
    for rejected in data_plane.apply(&update).rejected {
        let name = rejected.name.as_ref().and_then(Name::from_wire);
        notes.push(format!(
            "{} is not in force: {}",
            name.map(|name| name.to_string()).unwrap_or_default(),
            rejected.why
        ));
    }
    Ok(notes)
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

async fn read(cluster: &Cluster) -> anyhow::Result<(ClusterState, Vec<String>)> {
    let (mut state, mut notes) = (ClusterState::default(), Vec::new());
    let kinds = ObjectKind::ALL.iter().filter(|kind| !matches!(kind, ObjectKind::Secret | ObjectKind::ConfigMap));
    for kind in kinds.copied() {
        match cluster.list(kind, None).await {
            Ok(objects) => objects.into_iter().for_each(|object| put(&mut state, kind, object)),
            Err(error) => notes.push(format!("no {} is known: {}", kind.as_str(), cluster.why(&error))),
        }
    }
    let mut known = BTreeSet::new();
    for _ in 0..ROUNDS {
        drop(state.asked.take());
        drop(Graph::build(&state, Environment::Cluster));
        let named: Vec<_> = state.asked.take().into_iter().filter(|one| known.insert(one.clone())).collect();
        if named.is_empty() {
            break;
        }
        for (kind, name) in named {
            match cluster.get(kind, &name.namespace, &name.name).await {
                Ok(Some(object)) => put(&mut state, kind, object),
                Ok(None) => {}
                Err(error) => {
                    notes.push(format!(
                        "{error:#}; what needs it is judged as if the controller could not read it either"
                    ));
                    state.withheld.insert((kind, name), Withheld::Forbidden);
                }
            }
        }
    }
    Ok((state, notes))
}

fn put(state: &mut ClusterState, kind: ObjectKind, object: Value) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let name = ObjectName { namespace: text("namespace"), name: text("name") };
    state.apply(name, Object::decode(kind, object, vec![]));
}
