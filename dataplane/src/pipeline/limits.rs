//! How many requests there may be: what a request takes of the limits of its policy, all of a step or nothing.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use sallyport_expression::Steps;
use smallvec::SmallVec;

use super::authenticate::Caller;
use super::authorize::Expressions;
use crate::explain::Outcome;
use crate::limit::allowance::{Allowance, Told, seconds};
use crate::limit::at_once::Place;
use crate::limit::window::Left;
use crate::limit::{Counters, Share, UsedUp};
use crate::rejection::{Reason, Rejection};
use crate::runtime::policy::Policy;
use crate::runtime::policy::limit::{By, Limit};

/// Longer texts of expressions are nobody's own.
const MAX_KEY_BYTES: usize = 256;

/// What tells requests of a limit apart.
pub(super) type Key = SmallVec<[u8; 64]>;

/// When a limit is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Before anybody is asked who it is.
    Anonymous,
    /// Once that is known.
    Known,
}

/// What a request has been given.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) places: SmallVec<[Place; 1]>,
    pub(super) allowance: Allowance,
}

/// A use that can be given back.
struct Use<'a> {
    counters: &'a Counters,
    key: Option<Key>,
    at: u64,
}

/// Takes of every limit of the step, and adds it to what was taken `before`; of none of them if one has no more.
pub(super) fn take(
    (policy, step): (&Policy, Step),
    caller: &Caller<'_>,
    expressions: &Expressions<'_>,
    steps: &mut Steps,
    mut before: Taken,
) -> Result<Taken, Rejection> {
    let told_before = before.allowance.len();
    let mut uses = SmallVec::<[Use<'_>; 2]>::new();
    for limit in policy.limits.iter().filter(|limit| limit.needs_identity == (step == Step::Known)) {
        let counters = limit.counters.as_ref().map_err(|denial| denial.rejection())?;
        if !limit.when.as_ref().is_none_or(|when| expressions.counts(limit, when, steps)) {
            note(caller, limit, Outcome::NotAsked, "`when` does not hold");
            continue;
        }
        let key = key((policy, limit), caller, expressions, steps);
        let whose = if key.is_some() { "" } else { "counted together with all that have no key of their own" };
        note(caller, limit, Outcome::Counted, whose);
        match counters.take(key.as_deref(), limit.share(caller.replicas)) {
            Ok(Share::Place(place)) => {
                before.allowance.add_if(may_be_told(limit, place.is_shared()), || told(limit, None));
                before.places.push(place);
            }
            Ok(Share::Use { left, at, is_shared }) => {
                before
                    .allowance
                    .add_if(may_be_told(limit, is_shared), || told(limit, counters.window().zip(Some(left))));
                uses.push(Use { counters, key: key.filter(|_| !is_shared), at });
            }
            Err(used_up) => {
                uses.iter().for_each(|one| one.counters.give_back(one.key.as_deref(), one.at));
                before.allowance.truncate(told_before);
                return Err(refusal((limit, counters, key.as_ref()), used_up, (step, before.allowance)));
            }
        }
    }
    Ok(before)
}

/// What is used up elsewhere nobody can tell who explains.
fn note(caller: &Caller<'_>, limit: &Limit, outcome: Outcome, message: &str) {
    if let Some(explanation) = caller.explained {
        explanation.note(&limit.origin, outcome, message);
    }
}

/// `None`: there is nothing by which the request could be told from others.
fn key(
    (policy, limit): (&Policy, &Limit),
    caller: &Caller<'_>,
    expressions: &Expressions<'_>,
    steps: &mut Steps,
) -> Option<Key> {
    let key = match &limit.by {
        By::ClientAddress => network(caller.address?),
        By::Subscription => expressions.subscription(limit)?,
        By::Identity => vouched(policy, limit, expressions.identity(limit)?),
        By::Expression(program) => {
            let key = expressions.key(limit, program, steps)?;
            (1..=MAX_KEY_BYTES).contains(&key.len()).then(|| vouched(policy, limit, key))?
        }
    };
    let is_short = key.len() <= 2 * MAX_KEY_BYTES;
    Some(if is_short { key } else { Key::from_slice(digest(&SHA256, &key).as_ref()) })
}

/// Whoever writes a policy can name any issuer beside keys of his own: what is known by his word counts for his namespace alone.
fn vouched(policy: &Policy, limit: &Limit, key: Key) -> Key {
    if limit.is_floor || !limit.needs_identity {
        return key;
    }
    let object = &*policy.authentication.object;
    let namespace = object.rsplit(' ').next().and_then(|name| name.split('/').next()).unwrap_or_default();
    namespace.bytes().chain([b'/']).chain(key).collect()
}

/// Whoever has one address of IPv6 has all of a network of 64 bits, unless it stands for one of IPv4 (RFC 6052).
fn network(address: IpAddr) -> Key {
    match address.to_canonical() {
        IpAddr::V4(address) => Key::from_slice(&address.octets()),
        IpAddr::V6(address) => match address.octets() {
            [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, of_ipv4 @ ..] => Key::from_slice(&of_ipv4),
            octets => octets.into_iter().take(8).collect(),
        },
    }
}

/// Of Floors, and of what others use as well, nobody is told, nor of what somebody else may have chosen.
fn may_be_told(limit: &Limit, is_shared: bool) -> bool {
    !limit.is_floor && !is_shared && !matches!(limit.by, By::Expression(_))
}

fn told(limit: &Limit, window: Option<(std::time::Duration, Left)>) -> Told {
    let window = window.map(|(length, left)| (length, left.requests, left.until));
    Told { name: limit.origin.rule.clone(), quota: limit.most.get(), window }
}

fn refusal(
    (limit, counters, key): (&Limit, &Counters, Option<&Key>),
    used_up: UsedUp,
    (step, mut allowance): (Step, Allowance),
) -> Rejection {
    let UsedUp { until, is_shared } = used_up;
    let whose = whose(limit, key.filter(|_| !is_shared));
    let (reason, used) = match counters.window() {
        Some(window) => (Reason::RateExceeded, format!("has had {} in {} s", limit.most, seconds(window))),
        None => (Reason::ConcurrencyExceeded, format!("has {} under way", limit.most)),
    };
    let message = format!("{whose} {used}, or this replica's share of it");
    let wait = until.unwrap_or_default();
    allowance.add_if(may_be_told(limit, is_shared), || {
        let left = until.map(|until| Left { requests: 0, until });
        told(limit, counters.window().zip(left))
    });
    // Before it is known who calls, nobody learns how much others have used from there.
    let allowance = (step == Step::Known && !allowance.is_empty()).then(|| Box::new(allowance));
    Rejection {
        retry_after_s: Some(u16::try_from(seconds(wait)).unwrap_or(u16::MAX).max(1)),
        allowance,
        ..Rejection::decided_by(limit.origin.with_message(message), reason)
    }
}

/// Who has used it up, for the log, where that may be told.
fn whose(limit: &Limit, key: Option<&Key>) -> String {
    match (&limit.by, key) {
        (_, None) => "whoever has no key of its own, as this request,".to_owned(),
        (By::Subscription, Some(id)) => format!("Subscription {}", String::from_utf8_lossy(id)),
        (By::Identity | By::ClientAddress | By::Expression(_), Some(_)) => "the caller".to_owned(),
    }
}

#[cfg(test)]
mod tests;
