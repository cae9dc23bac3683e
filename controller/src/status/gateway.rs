//! GatewayClass, GatewayParameters, and Gateway with its listeners.

use sallyport_api::condition::{ConditionType, Reason};
use serde::Serialize;

use super::condition::{Condition, condition, first_of, of_problems, programmed, summed_up};
use super::policy::affected;
use super::{ObjectStatus, View, named};
use crate::cluster::ObjectName;
use crate::graph::class::ClassNode;
use crate::graph::gateway::{GatewayNode, ListenerNode};
use crate::graph::policy::Targets;
use crate::problem::Problem;

/// What a listener is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    pub name: String,
    /// Routes on this listener.
    pub attached_routes: usize,
    pub supported_kinds: Vec<&'static str>,
    pub conditions: Vec<Condition>,
}

pub(super) fn class(name: &ObjectName, class: &ClassNode) -> ObjectStatus {
    let problems: Vec<_> = class.problems.iter().collect();
    let conditions = vec![first_of(ConditionType::Accepted, Reason::Accepted, &problems)];
    ObjectStatus { conditions, ..named("GatewayClass", name, class.generation) }
}

pub(super) fn parameters(name: &ObjectName, node: &ClassNode) -> ObjectStatus {
    let [accepted, _] = of_problems(&node.problems);
    ObjectStatus { conditions: summed_up(vec![accepted]), ..named("GatewayParameters", name, node.generation) }
}

pub(super) fn plan(view: View<'_>, name: &ObjectName, gateway: &GatewayNode) -> ObjectStatus {
    let listeners: Vec<_> = gateway.listeners.iter().map(|one| listener(view, name, one)).collect();
    let programmed = programmed(view, "Gateway", name);
    let conditions = [accepted(gateway), programmed].into_iter().chain(policies_on(view, name)).collect();
    ObjectStatus { conditions, listeners, ..named("Gateway", name, gateway.generation) }
}

/// False only where no listener serves; what is ignored of the parameters is said beside it.
fn accepted(gateway: &GatewayNode) -> Condition {
    let problems: Vec<_> = gateway.problems.iter().collect();
    let of_parameters = first_of(ConditionType::Accepted, Reason::Accepted, &problems);
    let broken = gateway.listeners.iter().filter(|listener| !listener.problems.is_empty()).count();
    let serving = gateway.listeners.iter().any(|listener| !listener.conflicted);
    match (of_parameters.status, broken) {
        (false, _) => of_parameters,
        (true, 0) => of_parameters,
        (true, _) => {
            let message =
                format!("{broken} of {} listeners are not valid; see their conditions", gateway.listeners.len());
            condition(ConditionType::Accepted, serving, Reason::ListenersNotValid, &message)
        }
    }
}

fn policies_on(view: View<'_>, name: &ObjectName) -> Option<Condition> {
    let on_it = |targets: &Targets| match targets {
        Targets::Named(targets) => targets
            .iter()
            .any(|target| target.kind == sallyport_api::policy::TargetKind::Gateway && target.name == name.name),
        Targets::Unreadable => true,
    };
    let policies = view.graph.policies.iter();
    affected(
        policies
            .filter(|(policy, node)| policy.namespace == name.namespace && on_it(&node.targets))
            .map(|(name, _)| name),
    )
}

fn listener(view: View<'_>, gateway: &ObjectName, listener: &ListenerNode) -> ListenerStatus {
    let attached = view.graph.routes.values().flat_map(|route| &route.parents).filter(|parent| {
        parent.gateway == *gateway && parent.attachments.iter().any(|attachment| attachment.listener == listener.name)
    });
    ListenerStatus {
        name: listener.name.clone(),
        attached_routes: attached.count(),
        supported_kinds: listener.kinds.clone(),
        conditions: conditions(listener),
    }
}

fn conditions(listener: &ListenerNode) -> Vec<Condition> {
    let of = |reasons: &[Reason]| -> Vec<&Problem> {
        listener.problems.iter().filter(|problem| reasons.contains(&problem.reason)).collect()
    };
    let conflicts = of(&[Reason::HostnameConflict, Reason::ProtocolConflict]);
    let references = of(&[Reason::InvalidCertificateRef, Reason::RefNotPermitted, Reason::InvalidRouteKinds]);
    let others: Vec<_> = listener.problems.iter().filter(|problem| !references.contains(problem)).collect();
    let conflicted = first_of(ConditionType::Conflicted, Reason::NoConflicts, &conflicts);
    let conflicted = Condition { status: !conflicted.status, ..conflicted };
    let programmed = match listener.problems.first() {
        Some(_) => condition(ConditionType::Programmed, false, Reason::Invalid, "see the other conditions"),
        None => condition(ConditionType::Programmed, true, Reason::Programmed, ""),
    };
    vec![
        first_of(ConditionType::Accepted, Reason::Accepted, &others),
        conflicted,
        first_of(ConditionType::ResolvedRefs, Reason::ResolvedRefs, &references),
        programmed,
    ]
}
