//! Ingress: where it is reached; and what is wrong with it, which its Gateway tells, for an Ingress has no conditions.

use std::collections::BTreeMap;

use sallyport_api::UnprotectedRoutes;
use sallyport_api::condition::{ConditionType, Reason};

use super::condition::{Condition, condition};
use super::{Address, UNPROTECTED, View};
use crate::cluster::ObjectName;
use crate::graph::route::{INGRESS, RouteId, RouteNode};
use crate::problem::Problem;

/// Ingresses that a Gateway names: whoever corrects these sees the others.
const MAX_NAMED: usize = 20;

/// By Gateway, what is wrong with its Ingresses: a sentence for each.
pub(super) type Refused<'a> = BTreeMap<&'a ObjectName, Vec<String>>;

pub(super) fn refused(view: View<'_>) -> Refused<'_> {
    let mut refused = Refused::new();
    let ingresses = view.graph.routes.iter().filter(|(id, _)| id.kind == INGRESS);
    for (id, route) in ingresses {
        for parent in &route.parents {
            let excess = view.compiled.excess.at(&parent.gateway, id.kind, &id.name);
            let unprotected = unprotected(view, id, &parent.gateway);
            let problems = route.problems.iter().chain(&parent.problems).chain(excess).chain(&unprotected);
            let mut texts: Vec<_> = problems.map(text).collect();
            texts.dedup();
            if !texts.is_empty() {
                let sentence = format!("{id}: {}", texts.join("; "));
                refused.entry(&parent.gateway).or_default().push(sentence);
            }
        }
    }
    refused
}

fn text(problem: &Problem) -> String {
    let field = if problem.field.is_empty() { String::new() } else { format!("{}: ", problem.field) };
    format!("{field}{}", problem.message)
}

fn unprotected(view: View<'_>, id: &RouteId, gateway: &ObjectName) -> Option<Problem> {
    let becomes = view.compiled.unprotected.get(id)?.get(gateway)?;
    let is_refused = *becomes == UnprotectedRoutes::Deny;
    is_refused.then(|| Problem::new("", Reason::Unprotected, UNPROTECTED))
}

/// What a Gateway tells of its Ingresses; absent where all are served as they say.
pub(super) fn told(refused: &Refused<'_>, gateway: &ObjectName) -> Option<Condition> {
    let sentences = refused.get(gateway)?;
    let mut texts: Vec<_> = sentences.iter().take(MAX_NAMED).cloned().collect();
    if let Some(more @ 1..) = sentences.len().checked_sub(MAX_NAMED) {
        texts.push(format!("and {more} more"));
    }
    Some(condition(ConditionType::IngressesRefused, true, Reason::IngressesRefused, &texts.join(" | ")))
}

/// Those of the Gateway that serves any of it.
pub(super) fn addresses(view: View<'_>, ingress: &RouteNode) -> Vec<Address> {
    let serving = ingress.parents.iter().filter(|parent| !parent.attachments.is_empty());
    let of = |gateway: &ObjectName| view.addresses?.get(gateway)?.clone().ok();
    serving.filter_map(|parent| of(&parent.gateway)).flatten().collect()
}
