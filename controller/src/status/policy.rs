//! ApiPolicy: summed up, and for each Gateway that it works at (Gateway API, PolicyStatus).

use std::collections::BTreeSet;

use sallyport_api::condition::{ConditionType, Reason};
use sallyport_api::policy::TargetKind;
use serde::Serialize;

use super::condition::{Condition, condition, of_problems, programmed, summed_up};
use super::{ObjectStatus, View, issuer, named};
use crate::cluster::ObjectName;
use crate::graph::policy::{PolicyNode, Targets, kind_name};
use crate::graph::route::RouteId;

/// Gateways that a policy's status speaks of (Gateway API, PolicyStatus).
pub(super) const MAX_ANCESTORS: usize = 16;

/// What holds for a policy at one Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AncestorStatus {
    pub gateway: String,
    pub conditions: Vec<Condition>,
}

pub(super) fn plan(view: View<'_>, name: &ObjectName, policy: &PolicyNode) -> ObjectStatus {
    let withheld = view.compiled.withheld.get(name).into_iter().flatten();
    let problems: Vec<_> = policy.problems.iter().chain(withheld).cloned().collect();
    let [accepted, resolved] = of_problems(&problems);
    let accepted = if policy.is_report && accepted.status { only_reported(accepted) } else { accepted };
    let conditions = |at: Option<&ObjectName>| -> Vec<_> {
        let programmed = programmed(view, at, "ApiPolicy", name);
        [accepted.clone(), resolved.clone(), programmed].into_iter().chain(conflicted(view, name)).collect()
    };
    let gateways = gateways(view, name, policy).into_iter().take(MAX_ANCESTORS);
    let ancestor =
        |gateway: ObjectName| AncestorStatus { gateway: gateway.to_string(), conditions: conditions(Some(&gateway)) };
    let ancestors = gateways.map(ancestor).collect();
    let (barred, told): (Vec<_>, Vec<_>) = issuer::healthy(view, policy).into_iter().partition(issuer::is_barred);
    let mut conditions = summed_up(conditions(None).into_iter().chain(barred).collect());
    conditions.extend(told);
    ObjectStatus { conditions, ancestors, ..named("ApiPolicy", name, policy.generation) }
}

/// Whoever reads that a policy is accepted takes it for enforced.
fn only_reported(accepted: Condition) -> Condition {
    Condition { message: "mode: Report: it only reports, and refuses nothing".to_owned(), ..accepted }
}

/// Names the policies in effect on a target; absent where there is none.
pub(super) fn affected<'a>(policies: impl Iterator<Item = &'a ObjectName>) -> Option<Condition> {
    let names: Vec<_> = policies.map(ToString::to_string).collect();
    let affected =
        |names: &[String]| condition(ConditionType::ApiPolicyAffected, true, Reason::Affected, &names.join(", "));
    (!names.is_empty()).then(|| affected(&names))
}

/// What it lost to a policy of the same target.
fn conflicted(view: View<'_>, name: &ObjectName) -> Option<Condition> {
    // They are sorted by who lost.
    let conflicts = &view.compiled.conflicts;
    let first = conflicts.partition_point(|conflict| conflict.loser < *name);
    let lost = conflicts.iter().skip(first).take_while(|conflict| conflict.loser == *name);
    let texts: Vec<_> = lost.map(|conflict| format!("spec.{}: {conflict}", conflict.section)).collect();
    (!texts.is_empty()).then(|| condition(ConditionType::Conflicted, true, Reason::Conflicted, &texts.join("; ")))
}

/// The Gateways at which it works: its targets, or those that its routes are attached to.
fn gateways(view: View<'_>, name: &ObjectName, policy: &PolicyNode) -> BTreeSet<ObjectName> {
    let Targets::Named(targets) = &policy.targets else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    for target in targets {
        let place = ObjectName::new(&name.namespace, &target.name);
        if target.kind == TargetKind::Gateway {
            found.extend(view.graph.gateways.contains_key(&place).then_some(place));
        } else {
            let id = RouteId { kind: kind_name(target.kind), name: place };
            let parents = view.graph.routes.get(&id).into_iter().flat_map(|route| &route.parents);
            found.extend(parents.map(|parent| parent.gateway.clone()));
        }
    }
    found
}
