//! Everything that follows from the state of the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sallyport_snapshot::{Snapshot, of_gateway};

use super::graph_of;
use crate::cluster::{ClusterState, ObjectKind, ObjectName};
use crate::compile::{Compiled, compile};
use crate::graph::Graph;

/// The judged graph, and what becomes of it.
pub(super) struct Built {
    pub(super) graph: Graph,
    pub(super) compiled: Compiled,
    /// What the data planes of each Gateway are to have.
    pub(super) parts: BTreeMap<ObjectName, Arc<Snapshot>>,
    /// Secrets and ConfigMaps that were looked for on the way, there or not.
    pub(super) asked: BTreeSet<(ObjectKind, ObjectName)>,
}

impl Built {
    pub(super) fn of(state: &ClusterState) -> Self {
        drop(state.asked.take());
        let graph = graph_of(state);
        let compiled = compile(&graph, state);
        let part = |name: &ObjectName| Arc::new(of_gateway(&compiled.snapshot, &name.to_string()));
        let parts = graph.gateways.keys().map(|name| (name.clone(), part(name))).collect();
        Self { graph, compiled, parts, asked: state.asked.take() }
    }
}
