//! Subscription: a phase beside the conditions, what the Product's owner says, and what became of the keys.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sallyport_api::condition::{ConditionType, Reason};
use sallyport_api::reference::SecretReference;
use sallyport_api::{KeysStatus, Phase};

use super::condition::{condition, of_problems, programmed, summed_up};
use super::{Condition, ObjectStatus, View, named};
use crate::cluster::ObjectName;
use crate::graph::approval::Standing;
use crate::graph::subscription::SubscriptionNode;
use crate::graph::subscription::keys::{KeySource, Made};

const KIND: &str = "Subscription";

pub(super) fn plan(view: View<'_>, name: &ObjectName, subscription: &SubscriptionNode) -> ObjectStatus {
    let [accepted, resolved] = of_problems(&subscription.problems);
    let phase = subscription.phase(view.now_s);
    let mut conditions = vec![accepted];
    conditions.extend(approved(subscription));
    conditions.push(if resolved.status {
        with_keys(view, name, subscription, phase).unwrap_or(resolved)
    } else {
        resolved
    });
    conditions.push(programmed(view, None, KIND, name));
    let keys = &subscription.keys;
    let is_there = matches!(keys.source, KeySource::Given | KeySource::Made(_));
    let secret = keys.secret.as_ref().filter(|_| is_there);
    ObjectStatus {
        phase: Some(phase.as_str()),
        secret_ref: secret.map(|secret| SecretReference { name: secret.name.clone() }),
        keys: made(&keys.source),
        conditions: summed_up(conditions),
        ..named(KIND, name, subscription.generation)
    }
}

/// Absent where nobody can be asked: the Subscription is not taken for another reason.
fn approved(subscription: &SubscriptionNode) -> Option<Condition> {
    let word = subscription.word.as_ref()?;
    let holds = word.standing == Standing::Taken;
    Some(condition(ConditionType::Approved, holds, word.reason, &word.message))
}

/// What is to be said of keys that the controller has to make, or has made.
fn with_keys(view: View<'_>, name: &ObjectName, subscription: &SubscriptionNode, phase: Phase) -> Option<Condition> {
    let keys = &subscription.keys;
    let is_missing = keys.source == KeySource::Missing;
    let said = |reason: Reason, message: &str| Some(condition(ConditionType::ResolvedRefs, false, reason, message));
    let place = keys.secret.as_ref()?;
    if let Some(why) = view.unwritten.get(name) {
        return said(Reason::KeysNotWritten, &format!("Secret {place} cannot be written: {why}"));
    }
    match phase {
        Phase::Submitted | Phase::Active if is_missing => {
            said(Reason::KeysPending, &format!("Secret {place} is made as soon as the Subscription is approved"))
        }
        Phase::Suspended if is_missing => {
            said(Reason::KeysPending, &format!("Secret {place} is made as soon as the Subscription is active"))
        }
        _ => None,
    }
}

fn made(source: &KeySource) -> Option<KeysStatus> {
    let KeySource::Made(Made { primary_made_s, secondary_made_s, secondary_ends_s, rotated, .. }) = source else {
        return None;
    };
    let time = |second: i64| Timestamp::from_second(second).ok().map(Time);
    Some(KeysStatus {
        primary_made: time(*primary_made_s),
        secondary_made: time(*secondary_made_s),
        secondary_ends: secondary_ends_s.and_then(time),
        rotated: rotated.clone(),
    })
}
