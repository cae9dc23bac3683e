//! Secrets with subscription keys: which are to be made, and which keys in them are to be made anew.
//!
//! Pure: from judged Subscriptions and the time to orders. Only a Secret that is not there is made, and only one that was made for the
//! very Subscription is written again; what somebody else has stored is never touched. Where randomness comes from is not known here.

pub mod form;
pub mod secret;

use std::collections::BTreeMap;

use sallyport_api::rotation::RotationRequest;
use sallyport_api::{Phase, State};

use crate::cluster::ObjectName;
use crate::graph::approval::Standing;
use crate::graph::subscription::SubscriptionNode;
use crate::graph::subscription::keys::{KeySource, Made, Schedule};

/// Nothing is made before a Subscription is this old: whoever applies it together with a Secret of his own has applied both by then.
pub const SETTLED_AFTER_S: i64 = 2;

/// By so much the clock of the controller before may have been ahead.
const CLOCKS_DIFFER_S: i64 = 300;

/// One Secret to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The Subscription that owns it.
    pub owner: ObjectName,
    /// Its `metadata.uid`.
    pub uid: String,
    pub secret: ObjectName,
    pub work: Work,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Both keys, in a Secret that is not there. The request that stood when it was made is not carried out again.
    Make { request: Option<String> },
    /// One of the keys, in a Secret of that version.
    Renew { version: String, renewal: Renewal },
}

/// A key that is made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The one that was asked for, at once; the other goes on.
    ByHand(RotationRequest),
    /// `primary`; the one before is `secondary` until `ends_s`.
    Primary { ends_s: i64 },
    /// `secondary`, which was `primary` before, and has gone on for long enough.
    Secondary,
}

/// All that is to be written now.
pub fn plan(subscriptions: &BTreeMap<ObjectName, SubscriptionNode>, now_s: i64) -> Vec<Order> {
    subscriptions.iter().filter_map(|(name, node)| order(name, node, now_s)).collect()
}

/// When there is something to be written for a Subscription next, if it is not already.
pub fn next_moment(node: &SubscriptionNode, now_s: i64) -> Option<i64> {
    if node.is_over(now_s) {
        return None;
    }
    match &node.keys.source {
        KeySource::Missing => Some(settled_s(node)),
        KeySource::Made(made) => {
            let schedule = node.keys.schedule;
            let primary_ends_s = schedule.map(|schedule| primary_ends_s(made, schedule, now_s));
            [primary_ends_s, secondary_ends_s(made, schedule, now_s)]
                .into_iter()
                .flatten()
                .filter(|at| *at > now_s)
                .min()
        }
        KeySource::Given | KeySource::Nowhere => None,
    }
}

fn order(name: &ObjectName, node: &SubscriptionNode, now_s: i64) -> Option<Order> {
    let uid = node.uid.clone().filter(|_| !node.is_going)?;
    let secret = node.keys.secret.clone()?;
    let work = match &node.keys.source {
        KeySource::Missing if is_awaited(node, now_s) => {
            Work::Make { request: node.keys.request.as_ref().map(|request| request.text.clone()) }
        }
        KeySource::Made(made) if !node.is_over(now_s) => {
            let renewal = renewal(made, node.keys.schedule, node.keys.request.as_ref(), now_s)?;
            Work::Renew { version: made.version.clone(), renewal }
        }
        _ => return None,
    };
    Some(Order { owner: name.clone(), uid, secret, work })
}

/// Whether keys are all that the Subscription lacks.
fn is_awaited(node: &SubscriptionNode, now_s: i64) -> bool {
    let is_taken = node.word.as_ref().is_some_and(|word| word.standing == Standing::Taken);
    let is_active = node.state == State::Active && node.phase(now_s) == Phase::Submitted;
    is_taken && is_active && settled_s(node) <= now_s
}

fn settled_s(node: &SubscriptionNode) -> i64 {
    node.created_ms.div_euclid(1_000) + SETTLED_AFTER_S
}

/// One at a time: by hand before by the clock.
fn renewal(made: &Made, schedule: Option<Schedule>, request: Option<&RotationRequest>, now_s: i64) -> Option<Renewal> {
    if let Some(request) = request.filter(|request| made.rotated.as_ref() != Some(&request.text)) {
        return Some(Renewal::ByHand(request.clone()));
    }
    if let Some(schedule) = schedule.filter(|schedule| primary_ends_s(made, *schedule, now_s) <= now_s) {
        return Some(Renewal::Primary { ends_s: now_s.saturating_add(schedule.overlap_s) });
    }
    secondary_ends_s(made, schedule, now_s).filter(|end| *end <= now_s).map(|_| Renewal::Secondary)
}

/// When the next `primary` is due.
fn primary_ends_s(made: &Made, schedule: Schedule, now_s: i64) -> i64 {
    primary_made_s(made, now_s).saturating_add(schedule.every_s)
}

/// What is dated in the future, by a clock that was wrong or a hand that wrote the annotation, would never end. Such a key is as old as
/// its Secret, by the API server's clock.
fn primary_made_s(made: &Made, now_s: i64) -> i64 {
    if made.primary_made_s > now_s.saturating_add(CLOCKS_DIFFER_S) { made.created_s } else { made.primary_made_s }
}

/// The key before does not go on for longer than the overlap after the one that took its place.
fn secondary_ends_s(made: &Made, schedule: Option<Schedule>, now_s: i64) -> Option<i64> {
    let longest = schedule.map_or(i64::MAX, |schedule| primary_made_s(made, now_s).saturating_add(schedule.overlap_s));
    made.secondary_ends_s.map(|end| end.min(longest))
}

#[cfg(test)]
mod tests;
