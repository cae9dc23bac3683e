//! Guarded routes that a broken reference, or a namespace that is not known, has taken off: what they matched denies, so that no
//! broader route takes their requests over (ADR 8).

use std::collections::BTreeSet;

use sallyport_snapshot::Name;
use sallyport_snapshot::v1::{self, resource::Body};

use super::Compiled;
use crate::graph::Graph;
use crate::graph::effective::Index;
use crate::graph::route::{ParentNode, RouteId, RouteNode};
use crate::problem::denial;

/// What stands behind the name of the route.
const CLOSING: &str = "/detached";

/// Writes what closes in place of `route`; `attached` are the listeners that it serves on.
pub(super) fn route(
    graph: &Graph,
    policies: &Index<'_>,
    (id, route): (&RouteId, &RouteNode),
    attached: &BTreeSet<String>,
    compiled: &mut Compiled,
) {
    let first = route.parents.iter().find_map(|parent| parent.closed.first());
    let Some(deny) = first.map(|closed| denial(&id.to_string(), &closed.why)) else { return };
    if !policies.guards(id, route) {
        return;
    }
    let name = format!("detached {id}");
    let policy = v1::Policy { deny: Some(deny.clone()), ..v1::Policy::default() };
    let mut seen = attached.clone();
    let closed = route.parents.iter().flat_map(|parent| places(graph, parent));
    let attachments: Vec<_> = closed
        .filter(|(listener, _)| seen.insert(listener.clone()))
        .map(|(listener, hostnames)| {
            let policies = route.rules.iter().map(|_| name.clone()).collect();
            v1::Attachment { listener, hostnames, policies }
        })
        .collect();
    if attachments.is_empty() {
        return;
    }
    let rule = |rule: &v1::Rule| v1::Rule {
        name: rule.name.clone(),
        matches: rule.matches.clone(),
        deny: Some(deny.clone()),
        ..v1::Rule::default()
    };
    let message = v1::Route {
        object: Some(super::object_of(id)),
        // Of equal matches those of routes that serve win: what it closes is only what they match less precisely.
        created_ms: i64::MAX,
        attachments,
        rules: route.rules.iter().map(|one| rule(&one.message)).collect(),
    };
    compiled.put(id.kind, &id.name, name, Body::Policy(policy));
    compiled.put(id.kind, &id.name, format!("{}/{}{CLOSING}", id.kind, id.name), Body::Route(message));
}

/// Whether a route's resource is the one that closes. Those that serve have no more than two slashes in their names.
pub(super) fn is_closing(resource: &Name) -> bool {
    resource.name.strip_suffix(CLOSING).is_some_and(|served| served.matches('/').count() == 2)
}

/// Listeners that serve, with the hosts that are closed there.
fn places<'a>(graph: &'a Graph, parent: &'a ParentNode) -> impl Iterator<Item = (String, Vec<String>)> {
    let gateway = graph.gateways.get(&parent.gateway);
    let serving = move |listener: &str| {
        gateway.is_some_and(|gateway| gateway.listeners.iter().any(|one| one.name == listener && one.serves()))
    };
    let closed = parent.closed.iter().map(|closed| &closed.attachment).filter(move |one| serving(&one.listener));
    closed.map(|one| (format!("{}/{}", parent.gateway, one.listener), one.hostnames.clone()))
}
