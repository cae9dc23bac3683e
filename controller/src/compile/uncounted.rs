//! What a Gateway has no store for: limits that are counted for longer than a data plane lives, proofs that all replicas are to remember. There no
//! request passes, and who states them is told.

use std::collections::BTreeSet;

use sallyport_api::condition::Reason;

use super::Compiled;
use crate::cluster::ObjectName;
use crate::graph::Graph;
use crate::graph::limits::needs_store;
use crate::graph::policy::PolicyNode;
use crate::graph::product::ProductNode;
use crate::graph::route::{RouteId, RouteNode};
use crate::graph::sender_constraint;
use crate::problem::Problem;

pub(super) fn tell(graph: &Graph, compiled: &mut Compiled) {
    for (id, policies) in &compiled.affected {
        for gateway in graph.routes.get(id).into_iter().flat_map(|route| without_store(graph, route)) {
            for (policy, node) in policies.iter().filter_map(|policy| Some((policy, graph.policies.get(policy)?))) {
                for problem in of_limits(node, gateway).into_iter().chain(of_proofs(node, gateway)) {
                    compiled.withheld.entry(policy.clone()).or_default().insert(problem);
                }
            }
        }
    }
    for (name, product) in &graph.products {
        let Some(at) = product.message.limits.iter().position(needs_store) else { continue };
        let routes = graph.routes.iter().filter(|(id, _)| is_of(product, id));
        for gateway in routes.flat_map(|(_, route)| without_store(graph, route)).collect::<BTreeSet<_>>() {
            compiled.excess.add("Product", name, None, problem(gateway, at));
        }
    }
}

/// The first of a policy's limits that needs a store.
fn of_limits(policy: &PolicyNode, gateway: &ObjectName) -> Option<Problem> {
    let at = policy.sections.limits.as_ref()?.iter().position(needs_store)?;
    Some(problem(gateway, at))
}

/// The alternatives of a policy whose proofs need one.
fn of_proofs<'a>(policy: &'a PolicyNode, gateway: &'a ObjectName) -> impl Iterator<Item = Problem> + 'a {
    let alternatives = policy.sections.authentication.iter().flat_map(|one| &one.alternatives).enumerate();
    alternatives.filter_map(move |(at, alternative)| {
        let jwt = alternative.jwt.as_ref()?;
        jwt.sender_constraint.as_ref().filter(|stated| sender_constraint::needs_store(stated))?;
        let member = if jwt.entra_id.is_some() { "entraId" } else { "jwt" };
        let message = format!(
            "Gateway {gateway} has no store in which replicas could remember proofs together; set limits.store: Redis in its GatewayParameters, or state replay: Replica. Until then tokens with proofs are answered 500 there"
        );
        let field = format!("spec.authentication[{at}].{member}.senderConstraint.dpop.replay");
        Some(Problem::new(field, Reason::UnsupportedValue, message))
    })
}

fn is_of(product: &ProductNode, id: &RouteId) -> bool {
    let mut apis = product.message.limited_apis.iter();
    apis.any(|api| api.kind == id.kind && api.namespace == id.name.namespace && api.name == id.name.name)
}

/// The Gateways of a route that count in each data plane.
fn without_store<'a>(graph: &'a Graph, route: &'a RouteNode) -> impl Iterator<Item = &'a ObjectName> {
    let gateways = route.parents.iter().map(|parent| &parent.gateway);
    gateways.filter(|name| graph.gateways.get(*name).is_some_and(|node| node.message.limit_store.is_none()))
}

fn problem(gateway: &ObjectName, at: usize) -> Problem {
    let message = format!(
        "Gateway {gateway} counts limits in each replica, which forgets what lasts longer than 1h; set limits.store: Redis in its GatewayParameters, or state 1h or less. Until then requests there that this holds for are answered 500"
    );
    Problem::new(format!("spec.limits[{at}].per"), Reason::UnsupportedValue, message)
}
