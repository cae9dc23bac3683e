//! Limits that a Gateway has no store for, which counts them for longer than a data plane lives: there no request passes, and who states
//! them is told.

use std::collections::BTreeSet;

use sallyport_api::condition::Reason;

use super::Compiled;
use crate::cluster::ObjectName;
use crate::graph::Graph;
use crate::graph::limits::needs_store;
use crate::graph::product::ProductNode;
use crate::graph::route::{RouteId, RouteNode};
use crate::problem::Problem;

pub(super) fn tell(graph: &Graph, compiled: &mut Compiled) {
    for (id, policies) in &compiled.affected {
        for gateway in graph.routes.get(id).into_iter().flat_map(|route| without_store(graph, route)) {
            for (policy, at) in policies.iter().filter_map(|policy| Some((policy, of_policy(graph, policy)?))) {
                compiled.withheld.entry(policy.clone()).or_default().insert(problem(gateway, at));
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
fn of_policy(graph: &Graph, policy: &ObjectName) -> Option<usize> {
    graph.policies.get(policy)?.sections.limits.as_ref()?.iter().position(needs_store)
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
