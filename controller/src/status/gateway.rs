//! GatewayClass, GatewayParameters, and Gateway with its listeners.

use std::collections::{BTreeMap, BTreeSet};

use sallyport_api::condition::{ConditionType, Reason};
use sallyport_snapshot::{Name, v1::Kind};
use serde::Serialize;

use super::condition::{Condition, acknowledged, condition, first_of, of_problems, programmed, summed_up};
use super::features::SUPPORTED;
use super::ingress::{self, Refused};
use super::limit_store;
use super::policy::affected;
use super::{ObjectStatus, View, named};
use crate::cluster::ObjectName;
use crate::graph::Graph;
use crate::graph::class::ClassNode;
use crate::graph::gateway::{GatewayNode, ListenerNode};
use crate::graph::policy::Targets;
use crate::problem::Problem;

/// What is said where nothing can be in force, and why stands elsewhere.
const SEE_OTHERS: &str = "see the other conditions";

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
    ObjectStatus { conditions, features: SUPPORTED.to_vec(), ..named("GatewayClass", name, class.generation) }
}

pub(super) fn parameters(name: &ObjectName, node: &ClassNode) -> ObjectStatus {
    let conditions = summed_up(of_problems(&node.problems).into());
    ObjectStatus { conditions, ..named("GatewayParameters", name, node.generation) }
}

/// How many routes each listener has, by Gateway and listener.
pub(super) type AttachedRoutes<'a> = BTreeMap<(&'a ObjectName, &'a str), usize>;

/// Counted once for all listeners: a route counts once on a listener, by however many references it is there.
pub(super) fn attached_routes(graph: &Graph) -> AttachedRoutes<'_> {
    let mut counts = AttachedRoutes::new();
    for route in graph.routes.values() {
        let attachments = route.parents.iter().flat_map(|parent| {
            parent.attachments.iter().map(|attachment| (&parent.gateway, attachment.listener.as_str()))
        });
        for place in attachments.collect::<BTreeSet<_>>() {
            *counts.entry(place).or_default() += 1;
        }
    }
    counts
}

pub(super) fn plan(
    view: View<'_>,
    (attached, refused): (&AttachedRoutes<'_>, &Refused<'_>),
    name: &ObjectName,
    gateway: &GatewayNode,
) -> ObjectStatus {
    let listeners: Vec<_> = gateway.listeners.iter().map(|one| listener(view, attached, name, one)).collect();
    let programmed = if gateway.serves() {
        programmed(view, Some(name), "Gateway", name)
    } else {
        condition(ConditionType::Programmed, false, Reason::Invalid, SEE_OTHERS)
    };
    let addresses = view.addresses.and_then(|all| all.get(name)).cloned();
    let programmed = match &addresses {
        _ if programmed.reason == Reason::Invalid.as_str() => programmed,
        Some(Err(why)) => not_brought_about(why),
        Some(Ok(addresses)) if addresses.is_empty() => unreachable_yet(),
        Some(Ok(_)) | None => programmed,
    };
    let told = policies_on(view, name).into_iter().chain(ingress::told(refused, name)).chain(insecure(gateway));
    let told = told.chain(limit_store::ready(view, name, gateway));
    let conditions = [accepted(view, name, gateway), programmed].into_iter().chain(told).collect();
    let addresses = addresses.and_then(Result::ok).unwrap_or_default();
    ObjectStatus { conditions, addresses, listeners, ..named("Gateway", name, gateway.generation) }
}

fn not_brought_about(why: &str) -> Condition {
    let message = format!("what runs the Gateway cannot be applied, and is tried again: {why}");
    condition(ConditionType::Programmed, false, Reason::Pending, &message)
}

fn unreachable_yet() -> Condition {
    let message = "no address has been given to its Service yet; a load balancer has to, or set service.type in its GatewayParameters";
    condition(ConditionType::Programmed, false, Reason::AddressNotAssigned, message)
}

/// False where something that it asks for is not done, and where no listener serves. What is ignored while it serves is told.
fn accepted(view: View<'_>, name: &ObjectName, gateway: &GatewayNode) -> Condition {
    let excess = view.compiled.excess.of("Gateway", name);
    let problems: Vec<_> = gateway.problems.iter().chain(excess).collect();
    let of_itself = first_of(ConditionType::Accepted, Reason::Accepted, &problems);
    let broken = gateway.listeners.iter().filter(|listener| !listener.problems.is_empty()).count();
    let of_itself = if of_itself.status { with_ignored(of_itself, gateway) } else { of_itself };
    match (of_itself.status, broken) {
        (false, _) | (true, 0) => of_itself,
        (true, _) => {
            let message =
                format!("{broken} of {} listeners are not valid; see their conditions", gateway.listeners.len());
            condition(ConditionType::Accepted, gateway.serves(), Reason::ListenersNotValid, &message)
        }
    }
}

fn with_ignored(accepted: Condition, gateway: &GatewayNode) -> Condition {
    let ignored: Vec<_> = gateway.ignored.iter().collect();
    let told = first_of(ConditionType::Accepted, Reason::Accepted, &ignored);
    if told.status { accepted } else { Condition { status: true, ..told } }
}

/// Said while some port lets callers in whom nobody vouches for, though authorities are stated.
fn insecure(gateway: &GatewayNode) -> Option<Condition> {
    let fields = gateway.insecure_frontends.join(", ");
    let message = format!(
        "{fields}: AllowInsecureFallback lets callers in without a certificate, and with any; state AllowValidOnly"
    );
    let kind = ConditionType::InsecureFrontendValidationMode;
    (!fields.is_empty()).then(|| condition(kind, true, Reason::ConfigurationChanged, &message))
}

fn policies_on(view: View<'_>, name: &ObjectName) -> Option<Condition> {
    let on_it = |targets: &Targets| match targets {
        Targets::Named(targets) => targets
            .iter()
            .any(|target| target.kind == sallyport_api::policy::TargetKind::Gateway && target.name == name.name),
        Targets::Unreadable => true,
    };
    // They stand in the order of their namespaces.
    let policies = view.graph.policies.range(ObjectName::new(&name.namespace, "")..);
    let there = policies.take_while(|(policy, _)| policy.namespace == name.namespace);
    affected(there.filter(|(_, node)| on_it(&node.targets)).map(|(name, _)| name))
}

fn listener(
    view: View<'_>,
    attached: &AttachedRoutes<'_>,
    gateway: &ObjectName,
    listener: &ListenerNode,
) -> ListenerStatus {
    ListenerStatus {
        name: listener.name.clone(),
        attached_routes: attached.get(&(gateway, listener.name.as_str())).copied().unwrap_or_default(),
        supported_kinds: listener.kinds.clone(),
        conditions: conditions(view, gateway, listener),
    }
}

fn conditions(view: View<'_>, gateway: &ObjectName, listener: &ListenerNode) -> Vec<Condition> {
    let of = |reasons: &[Reason]| -> Vec<&Problem> {
        listener.problems.iter().filter(|problem| reasons.contains(&problem.reason)).collect()
    };
    let conflicts = of(&[Reason::HostnameConflict, Reason::ProtocolConflict]);
    let references: Vec<_> = listener.problems.iter().filter(|problem| problem.is_reference()).collect();
    let others: Vec<_> = listener.problems.iter().filter(|problem| !problem.is_reference()).collect();
    let conflicted = first_of(ConditionType::Conflicted, Reason::NoConflicts, &conflicts);
    let conflicted = Condition { status: !conflicted.status, ..conflicted };
    let certificates = listener.tls.iter().flat_map(BTreeMap::keys);
    let resources: Vec<_> = certificates
        .map(|name| Name::new(Kind::Certificate, name.as_str()))
        .chain([Name::new(Kind::Listener, format!("{gateway}/{}", listener.name))])
        .collect();
    let programmed = match listener.problems.first() {
        Some(_) => condition(ConditionType::Programmed, false, Reason::Invalid, SEE_OTHERS),
        None => acknowledged(view, Some(gateway), || resources.iter()),
    };
    vec![
        first_of(ConditionType::Accepted, Reason::Accepted, &others),
        conflicted,
        first_of(ConditionType::ResolvedRefs, Reason::ResolvedRefs, &references),
        programmed,
    ]
}
