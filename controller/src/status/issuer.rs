//! How the issuers of a policy fare, as the data planes tell it.

use sallyport_api::condition::{ConditionType, Reason};
use sallyport_snapshot::v1::{IssuerHealth, issuer_health::State};

use super::View;
use super::condition::{Condition, condition};
use crate::graph::policy::PolicyNode;

/// The worst that any data plane tells of any issuer; `None` while none has told anything, and where there is nothing to fetch.
pub(super) fn healthy(view: View<'_>, policy: &PolicyNode) -> Option<Condition> {
    let of_keys = policy.brought.key_sets.iter().map(|(name, set)| (name, set.issuer.as_str()));
    let asked = policy.brought.introspections.iter().map(|(name, issuer)| (name, issuer.as_str()));
    let issuers: Vec<_> = of_keys.chain(asked).collect();
    let told = view
        .planes
        .iter()
        .flat_map(|plane| &plane.replicas)
        .flat_map(|replica| issuers.iter().filter_map(|(name, issuer)| Some((*issuer, replica.issuer(name)?))));
    let told: Vec<_> = told.collect();
    let worst = told.iter().map(|(_, health)| health.state()).max_by_key(|state| gravity(*state))?;
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
        State::Unanswered => Reason::IntrospectionUnanswered,
        State::Unreached | State::Unspecified => Reason::IssuerUnreached,
    };
    Some(condition(ConditionType::IssuerHealthy, worst == State::Healthy, reason, &texts.join("; ")))
}

/// That nothing comes in by an issuer is worse than that some has to wait.
fn gravity(state: State) -> u8 {
    match state {
        State::Healthy => 0,
        State::Stale => 1,
        State::Unanswered => 2,
        State::Unspecified | State::Unreached => 3,
    }
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
