//! Conditions, made here only.

use sallyport_api::condition::{ConditionType, Reason};
use sallyport_snapshot::{Name, v1::Kind};
use serde::Serialize;

use super::{Plane, View};
use crate::cluster::ObjectName;
use crate::compile::is_closing;
use crate::problem::Problem;
use crate::publish::Enforced;

/// The longest message that an API server takes.
const MAX_MESSAGE_BYTES: usize = 32_768;

/// A condition without its times, which move only when the rest does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    pub r#type: &'static str,
    pub status: bool,
    pub reason: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Condition {
    /// Whether it says that something is wrong, or not finished.
    pub(crate) fn is_bad(&self) -> bool {
        self.status != self.is_good_when_true()
    }

    /// Whether it only repeats what other conditions say.
    pub(crate) fn repeats_others(&self) -> bool {
        use ConditionType as T;
        [T::Ready, T::Reconciling, T::Stalled, T::CredentialReady].iter().any(|kind| kind.as_str() == self.r#type)
    }

    /// Whether true is what one hopes for.
    pub(super) fn is_good_when_true(&self) -> bool {
        is_good_when_true(self.r#type)
    }
}

/// Whether true is what one hopes for in a condition of that type. Of [`ConditionType::ApiPolicyAffected`] nothing is hoped.
pub fn is_good_when_true(kind: &str) -> bool {
    use ConditionType as T;
    let bad = [T::Conflicted, T::Reconciling, T::Stalled, T::Unprotected, T::PartiallyInvalid, T::IngressesRefused];
    bad.iter().chain(&[T::InsecureFrontendValidationMode, T::ApiPolicyAffected]).all(|bad| bad.as_str() != kind)
}

/// Whether what a reason tells of comes without a correction.
pub fn is_under_way(reason: &str) -> bool {
    UNDER_WAY.iter().any(|one| one.as_str() == reason)
}

/// A condition; a message that is too long is cut.
pub(super) fn condition(kind: ConditionType, status: bool, reason: Reason, message: &str) -> Condition {
    debug_assert!(stands_in(kind, reason), "{reason} is no reason of {kind}; add it to the reason's row in the table");
    let end = message.floor_char_boundary(MAX_MESSAGE_BYTES);
    let message = message.get(..end).unwrap_or_default().to_owned();
    Condition { r#type: kind.as_str(), status, reason: reason.as_str(), message }
}

/// Whether the table of reasons has the pair. What sums up repeats the reason of what it sums up.
fn stands_in(kind: ConditionType, reason: Reason) -> bool {
    use ConditionType as T;
    [T::Ready, T::Reconciling, T::Stalled].contains(&kind) || reason.conditions().contains(&kind)
}

/// `Accepted` and `ResolvedRefs`.
pub(super) fn of_problems(problems: &[Problem]) -> [Condition; 2] {
    let (references, own): (Vec<_>, Vec<_>) = problems.iter().partition(|problem| problem.is_reference());
    [
        first_of(ConditionType::Accepted, Reason::Accepted, &own),
        first_of(ConditionType::ResolvedRefs, Reason::ResolvedRefs, &references),
    ]
}

/// False with the first problem's reason and all problems' texts, or true.
pub(super) fn first_of(kind: ConditionType, fine: Reason, problems: &[&Problem]) -> Condition {
    let Some(first) = problems.first() else { return condition(kind, true, fine, "") };
    let texts: Vec<_> = problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
    condition(kind, false, first.reason, &texts.join("; "))
}

/// True only when every data plane has acknowledged every resource that the object has a share in, and there is one.
/// `at` is the Gateway that it is said of; absent for all.
pub(super) fn programmed(view: View<'_>, at: Option<&ObjectName>, kind: &str, name: &ObjectName) -> Condition {
    let resources = view.compiled.provenance.get(&(kind.to_owned(), name.clone()));
    let is_in_force = |resource: &Name| enforces(view, kind, resource) && is_told(view, at, kind, resource);
    if !resources.into_iter().flatten().any(is_in_force) {
        return in_force_nowhere();
    }
    acknowledged(view, at, || resources.into_iter().flatten())
}

/// Whether the data planes that it is about are told of the resource. A Backend waits for routes, and does its work as soon as one
/// leads there.
fn is_told(view: View<'_>, at: Option<&ObjectName>, kind: &str, resource: &Name) -> bool {
    let holds = |plane: &Plane<'_>| plane.snapshot.find(resource).is_some();
    at.is_none() && kind == "Backend" || view.planes.iter().any(|plane| is_of(plane, at) && holds(plane))
}

/// Whether it is a plane of that Gateway; of all, if none is named.
fn is_of(plane: &Plane<'_>, at: Option<&ObjectName>) -> bool {
    at.is_none() || plane.gateway.is_none() || plane.gateway == at
}

/// Nobody can bring what it says about.
pub(super) fn in_force_nowhere() -> Condition {
    let message = "it is in force nowhere: nothing that is served has a share of it";
    condition(ConditionType::Programmed, false, Reason::NotInForce, message)
}

/// Keys and credentials that a policy brings along enforce nothing by themselves; what a route closes, it does not serve, nor does a
/// Gateway whose listeners only keep their hostnames.
fn enforces(view: View<'_>, kind: &str, resource: &Name) -> bool {
    let is_served =
        || view.graph.gateways.iter().any(|(name, node)| node.serves() && *resource.name == *name.to_string());
    match kind {
        "ApiPolicy" => resource.kind == Kind::Policy || resource.kind == Kind::Gateway && is_served(),
        "HTTPRoute" | "GRPCRoute" | "Ingress" => resource.kind == Kind::Route && !is_closing(resource),
        _ => true,
    }
}

/// True only when every data plane that needs any of `resources` has acknowledged each of those.
pub(super) fn acknowledged<'a, R: Iterator<Item = &'a Name>>(
    view: View<'_>,
    at: Option<&ObjectName>,
    resources: impl Fn() -> R,
) -> Condition {
    let (mut all, mut waiting, mut rejected, mut is_missing) = (0, 0, Vec::new(), false);
    for plane in view.planes.iter().filter(|plane| is_of(plane, at)) {
        let needed: Vec<_> = resources().filter(|name| plane.snapshot.find(name).is_some()).collect();
        if needed.is_empty() {
            continue;
        }
        all += plane.replicas.len();
        is_missing |= plane.replicas.is_empty();
        for replica in &plane.replicas {
            let mut behind = false;
            for resource in &needed {
                match replica.enforces(plane.snapshot, resource) {
                    Enforced::Yes => {}
                    Enforced::NotYet => behind = true,
                    Enforced::Rejected(why) => rejected.push(format!("{resource}: {why}")),
                }
            }
            waiting += usize::from(behind);
        }
    }
    let message = match all {
        0 if !is_missing && at.is_some() => return in_force_nowhere(),
        0 if !is_missing => "no route leads there yet".to_owned(),
        all => format!("acknowledged by {} of {all} replicas", all - waiting),
    };
    match (rejected.is_empty(), waiting == 0 && !is_missing) {
        (false, _) => condition(ConditionType::Programmed, false, Reason::Rejected, &rejected.join("; ")),
        (true, false) => condition(ConditionType::Programmed, false, Reason::Pending, &message),
        (true, true) => condition(ConditionType::Programmed, true, Reason::Programmed, &message),
    }
}

/// What comes without a correction: data planes acknowledge, keys are made, and the owner of a Product decides.
const UNDER_WAY: [Reason; 3] = [Reason::Pending, Reason::KeysPending, Reason::AwaitingApproval];

/// Adds `Ready`, `Reconciling` and `Stalled`. What waits for data planes, for keys or for a decision is on its way; anything else has to
/// be corrected.
pub(super) fn summed_up(mut conditions: Vec<Condition>) -> Vec<Condition> {
    let failed = conditions.iter().find(|one| one.status != one.is_good_when_true()).cloned();
    let pending = failed.as_ref().is_some_and(|failed| is_under_way(failed.reason));
    let ready = match &failed {
        Some(failed) => Condition { r#type: ConditionType::Ready.as_str(), status: false, ..failed.clone() },
        None => condition(ConditionType::Ready, true, Reason::Ready, ""),
    };
    // Who waits for an object reads why in these two alone, as kstatus does.
    let sum = |kind: ConditionType, holds: bool| match holds {
        true => Condition { r#type: kind.as_str(), status: true, ..ready.clone() },
        false => condition(kind, false, Reason::Ready, ""),
    };
    let sums = [sum(ConditionType::Reconciling, pending), sum(ConditionType::Stalled, failed.is_some() && !pending)];
    conditions.push(ready);
    conditions.extend(sums);
    conditions
}
