//! Guarded routes that a broken reference, or a namespace that is not known, has taken off: what they matched denies, so that no
//! broader route takes their requests over (ADR 8).

use std::collections::BTreeSet;

use sallyport_snapshot::Name;
use sallyport_snapshot::v1::{self, resource::Body};

use super::Compiled;
use crate::graph::Graph;
use crate::graph::effective::Index;
use crate::graph::route::{ParentNode, PartNode, RouteId, RouteNode};
use crate::problem::denial;

/// What stands behind the name of the route.
const CLOSING: &str = "/detached";

/// Writes what closes in place of a part of `route`; `attached` are the listeners that the part serves on.
pub(super) fn part(
    graph: &Graph,
    policies: &Index<'_>,
    (id, route, part): (&RouteId, &RouteNode, &PartNode),
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
    let at = route.parts.iter().position(|one| std::ptr::eq(one, part));
    let closed = route.parents.iter().flat_map(|parent| places(graph, parent, at));
    let attachments: Vec<_> = closed
        .filter(|(listener, _)| seen.insert(listener.clone()))
        .map(|(listener, hostnames)| {
            let policies = part.rules.clone().map(|_| name.clone()).collect();
            v1::Attachment { listener, hostnames, policies }
        })
        .collect();
    if attachments.is_empty() {
        return;
    }
    let message = v1::Route {
        object: Some(super::object_of(id)),
        // Of equal matches those of routes that serve win: what it closes is only what they match less precisely.
        created_ms: i64::MAX,
        attachments,
        rules: route
            .rules
            .get(part.rules.clone())
            .unwrap_or_default()
            .iter()
            .map(|one| denying(&one.message, &deny))
            .collect(),
    };
    compiled.put(id.kind, &id.name, name, Body::Policy(policy));
    compiled.put(id.kind, &id.name, super::resource_of(id, part) + CLOSING, Body::Route(message));
}

/// `route` with every rule denying. It names no policies: what they would decide does not matter.
pub(super) fn denied(route: v1::Route, deny: &v1::Deny) -> v1::Route {
    let attachments = route.attachments.into_iter().map(|one| v1::Attachment { policies: vec![], ..one }).collect();
    let rules = route.rules.iter().map(|rule| denying(rule, deny)).collect();
    v1::Route { attachments, rules, ..route }
}

/// What `rule` matches, and nobody is served.
fn denying(rule: &v1::Rule, deny: &v1::Deny) -> v1::Rule {
    v1::Rule { name: rule.name.clone(), matches: rule.matches.clone(), deny: Some(deny.clone()), ..v1::Rule::default() }
}

/// Whether a route's resource is the one that closes. One that serves may end alike if that is the name of the object: then less
/// stands in front of it.
pub(super) fn is_closing(resource: &Name) -> bool {
    resource.name.strip_suffix(CLOSING).is_some_and(|served| served.matches('/').count() >= 2)
}

/// Listeners that serve, with the hosts that are closed there for one part.
fn places<'a>(
    graph: &'a Graph,
    parent: &'a ParentNode,
    part: Option<usize>,
) -> impl Iterator<Item = (String, Vec<String>)> {
    let gateway = graph.gateways.get(&parent.gateway);
    let serving = move |listener: &str| {
        gateway.is_some_and(|gateway| gateway.listeners.iter().any(|one| one.name == listener && one.serves()))
    };
    let of_part = parent.closed.iter().map(|closed| &closed.attachment).filter(move |one| Some(one.part) == part);
    let closed = of_part.filter(move |one| serving(&one.listener));
    closed.map(|one| (format!("{}/{}", parent.gateway, one.listener), one.hostnames.clone()))
}
