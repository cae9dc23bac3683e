//! Which data planes there are, and what they have in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sallyport_snapshot::Snapshot;
use tokio::time::Instant;

use crate::builder::Refusals;
use crate::cluster::{ClusterState, ObjectName, Stored};
use crate::fleet::Standings;
use crate::graph::Graph;
use crate::graph::replicas;
use crate::infra;
use crate::publish::Standing;
use crate::status::{Address, Plane};

/// How long data planes that are ready may take to say what they have, after this controller has begun to write: before that it would
/// call unfinished what is only not known here yet.
const GRACE: Duration = Duration::from_secs(10);

/// Namespace and name of a ServiceAccount.
pub type Identity = (String, String);

/// What each data plane has said last, for as long as its pod is ready: a connection that is lost takes nothing out of force.
pub(super) struct Planes {
    since: Instant,
    said: BTreeMap<(ObjectName, String), Vec<Arc<Standing>>>,
    nothing: Standing,
}

impl Planes {
    pub(super) fn new(since: Instant) -> Self {
        Self { since, said: BTreeMap::new(), nothing: Standing::default() }
    }

    /// Another controller has written until now.
    pub(super) fn begin_anew(&mut self, since: Instant) {
        self.since = since;
    }

    /// Takes in what data planes say; whether all that are ready have said something, or were waited for long enough.
    pub(super) fn know_all(
        &mut self,
        state: &ClusterState,
        graph: &Graph,
        standings: &Standings,
        now: Instant,
    ) -> bool {
        let ready: BTreeSet<_> = graph
            .gateways
            .keys()
            .flat_map(|gateway| ready_pods(state, graph, gateway).into_iter().map(|pod| (gateway.clone(), pod)))
            .collect();
        self.said.retain(|pod, _| ready.contains(pod));
        for (gateway, pods) in standings {
            for (pod, standings) in pods {
                self.said.insert((gateway.clone(), pod.clone()), standings.clone());
            }
        }
        ready.iter().all(|pod| self.said.contains_key(pod)) || self.since + GRACE <= now
    }

    /// The data planes of each Gateway that have to have what it says: those that take requests.
    pub(super) fn told<'a>(
        &'a self,
        state: &ClusterState,
        graph: &Graph,
        parts: &'a BTreeMap<ObjectName, Arc<Snapshot>>,
    ) -> Vec<Plane<'a>> {
        let plane = |(gateway, snapshot): (&'a ObjectName, &'a Arc<Snapshot>)| {
            let ready = ready_pods(state, graph, gateway).into_iter();
            let replicas = ready.flat_map(|pod| match self.said.get(&(gateway.clone(), pod)) {
                Some(said) => said.iter().map(AsRef::as_ref).collect(),
                None => vec![&self.nothing],
            });
            Plane { gateway: Some(gateway), snapshot, replicas: replicas.collect() }
        };
        parts.iter().map(plane).collect()
    }
}

/// Pods that the Service of a Gateway sends requests to.
fn ready_pods(state: &ClusterState, graph: &Graph, gateway: &ObjectName) -> BTreeSet<String> {
    let Some(service) = infra::name_of(graph, gateway) else { return BTreeSet::new() };
    replicas::ready_pods(state, &gateway.namespace, &service).into_iter().map(str::to_owned).collect()
}

/// Where each Gateway is reached.
pub(super) fn addresses(
    state: &ClusterState,
    graph: &Graph,
    refusals: &Refusals,
) -> BTreeMap<ObjectName, Result<Vec<Address>, String>> {
    let of = |gateway: &ObjectName| {
        let name = ObjectName::new(&gateway.namespace, infra::name_of(graph, gateway)?);
        let Stored::Decoded(service) = state.services.get(&name)? else { return None };
        Some(infra::addresses(service))
    };
    let told = |gateway: &ObjectName| match refusals.get(gateway) {
        Some(why) => Err(why.clone()),
        None => Ok(of(gateway).unwrap_or_default()),
    };
    graph.gateways.keys().map(|gateway| (gateway.clone(), told(gateway))).collect()
}

/// Whose data plane each ServiceAccount is.
pub(super) fn identities(graph: &Graph) -> BTreeMap<Identity, ObjectName> {
    let identity = |gateway: &ObjectName| Some((gateway.namespace.clone(), infra::name_of(graph, gateway)?));
    graph.gateways.keys().filter_map(|gateway| Some((identity(gateway)?, gateway.clone()))).collect()
}
