//! How the issuers of a policy fare, as the data planes tell it.

use sallyport_api::condition::{ConditionType, Reason};
use sallyport_snapshot::v1::{IssuerHealth, issuer_health::State};

use super::View;
use super::condition::{Condition, condition};
use crate::graph::policy::PolicyNode;

/// The worst that any data plane tells of any issuer; `None` while none has told anything, and where there is nothing to fetch.
pub(super) fn healthy(view: View<'_>, policy: &PolicyNode) -> Option<Condition> {
    let told = view.planes.iter().flat_map(|plane| &plane.replicas).flat_map(|replica| {
        policy.brought.key_sets.iter().filter_map(|(name, set)| Some((set.issuer.as_str(), replica.issuer(name)?)))
    });
    let told: Vec<_> = told.collect();
    let worst = told.iter().map(|(_, health)| health.state()).max()?;
    let mut texts: Vec<_> = told
        .iter()
        .filter(|(_, health)| health.state() == worst && !health.message.is_empty())
        .map(|(issuer, health)| text(issuer, health))
        .collect();
    // Several data planes tend to say the same.
    texts.sort();
    texts.dedup();
    let reason = match worst {
        State::Healthy => Reason::IssuerHealthy,
        State::Stale => Reason::IssuerStale,
        State::Unreached | State::Unspecified => Reason::IssuerUnreached,
    };
    Some(condition(ConditionType::IssuerHealthy, worst == State::Healthy, reason, &texts.join("; ")))
}

/// Whether nothing can come in by this issuer: it takes `Ready` with it. With stale keys a policy does its work.
pub(super) fn is_barred(condition: &Condition) -> bool {
    condition.reason == Reason::IssuerUnreached.as_str()
}

fn text(issuer: &str, health: &IssuerHealth) -> String {
    format!("{issuer}: {}", health.message)
}

#[cfg(test)]
mod tests;
