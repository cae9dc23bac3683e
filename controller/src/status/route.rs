//! HTTPRoute and GRPCRoute: one entry for each parent. So it is with an Ingress, whose status has a place for addresses only.

use serde::Serialize;

use sallyport_api::UnprotectedRoutes;
use sallyport_api::condition::{ConditionType, Reason};

use super::condition::{Condition, condition, in_force_nowhere, of_problems, programmed};
use super::policy::affected;
use super::{ObjectStatus, View, ingress, named};
use crate::cluster::ObjectName;
use crate::graph::form::ParentForm;
use crate::graph::route::{INGRESS, ParentNode, RouteId, RouteNode};
use crate::graph::rule::RuleNode;
use crate::problem::Problem;

/// What is said of a route that nobody has spoken about, where those are refused.
pub const UNPROTECTED: &str = "no policy says who may call it; attach an ApiPolicy with authentication to it or to its Gateway. Until then it answers 500";
/// And where they are not.
pub const LEFT_OPEN: &str = "no policy says who may call it, and the class's GatewayParameters let anybody in; attach an ApiPolicy with authentication";

/// What a route is told about one parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// The Gateway, and the listener or port that the reference names.
    pub parent: String,
    /// The same as the route states it.
    #[serde(skip)]
    pub reference: ParentForm,
    pub conditions: Vec<Condition>,
}

pub(super) fn plan(view: View<'_>, id: &RouteId, route: &RouteNode) -> ObjectStatus {
    let parents = route.parents.iter().map(|one| parent(view, id, route, one)).collect();
    let addresses = if id.kind == INGRESS { ingress::addresses(view, route) } else { vec![] };
    ObjectStatus { parents, addresses, ..named(id.kind, &id.name, route.generation) }
}

fn parent(view: View<'_>, id: &RouteId, route: &RouteNode, parent: &ParentNode) -> ParentStatus {
    let is_partly_served = route.rules.iter().any(RuleNode::serves) && !route.is_undecodable();
    let (dropped, whole): (Vec<_>, Vec<_>) =
        route.problems.iter().partition(|problem| is_partly_served && !problem.is_reference());
    let excess = view.compiled.excess.at(&parent.gateway, id.kind, &id.name);
    let problems: Vec<Problem> = parent.problems.iter().chain(whole).chain(excess).cloned().collect();
    let programmed = if is_served(view, parent) {
        programmed(view, Some(&parent.gateway), id.kind, &id.name)
    } else {
        in_force_nowhere()
    };
    let programmed = Condition { r#type: ConditionType::RouteProgrammed.as_str(), ..programmed };
    let conditions = of_problems(&problems).into_iter().chain([programmed]);
    let policies = view.compiled.affected.get(id).into_iter().flatten();
    let section = parent.reference.section_name.iter().map(|section| format!(" {section}"));
    let port = parent.reference.port.iter().map(|port| format!(" {port}"));
    ParentStatus {
        reference: parent.reference.clone(),
        parent: format!("{}{}", parent.gateway, section.chain(port).collect::<String>()),
        conditions: conditions
            .chain(partially_invalid(&dropped))
            .chain(affected(policies))
            .chain(unprotected(view, id, &parent.gateway))
            .collect(),
    }
}

/// Whether some listener that it is attached to can answer.
fn is_served(view: View<'_>, parent: &ParentNode) -> bool {
    let gateway = view.graph.gateways.get(&parent.gateway);
    let listeners = gateway.into_iter().flat_map(|gateway| &gateway.listeners).filter(|listener| listener.answers());
    let mut attached = listeners.filter(|listener| parent.attachments.iter().any(|one| one.listener == listener.name));
    attached.next().is_some()
}

/// Rules that are not served beside some that are (Gateway API, RouteConditionPartiallyInvalid, which wants these first words).
fn partially_invalid(dropped: &[&Problem]) -> Option<Condition> {
    let reason = dropped.first()?.reason;
    let texts: Vec<_> = dropped.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
    Some(condition(ConditionType::PartiallyInvalid, true, reason, &format!("Dropped Rule: {}", texts.join("; "))))
}

/// Said where no policy says who may call: absent everywhere else.
fn unprotected(view: View<'_>, id: &RouteId, gateway: &ObjectName) -> Option<Condition> {
    let (reason, message) = match view.compiled.unprotected.get(id)?.get(gateway)? {
        UnprotectedRoutes::Deny => (Reason::Unprotected, UNPROTECTED),
        UnprotectedRoutes::Allow => (Reason::LeftOpen, LEFT_OPEN),
    };
    Some(condition(ConditionType::Unprotected, true, reason, message))
}

#[cfg(test)]
mod tests;
