//! How many requests there may be: what a request takes of the limits of its policy, all of a step or nothing.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use sallyport_expression::Steps;
use sallyport_snapshot::MAX_LOCAL_WINDOW;
use smallvec::SmallVec;

use super::authenticate::Caller;
use super::authorize::Expressions;
use crate::explain::Outcome;
use crate::limit::allowance::{self, Allowance, Told, seconds};
use crate::limit::at_once::Place;
use crate::limit::store::{Asked, Away, Store};
use crate::limit::{Amount, Counters, Share, UsedUp, window};
use crate::rejection::{Reason, Rejection};
use crate::runtime::policy::Policy;
use crate::runtime::policy::limit::{By, Limit};

/// Longer texts of expressions are nobody's own.
const MAX_KEY_BYTES: usize = 256;
/// When a caller may ask again while the store is away: by then it has been tried once more.
const STORE_RETRY_AFTER_S: u16 = 1;

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

/// What a store is asked for.
struct Wanted<'a> {
    limit: &'a Limit,
    counters: &'a Arc<Counters>,
    key: Option<Key>,
}

/// Takes of every limit of the step, and adds it to what was taken `before`; of none of them if one has no more.
pub(super) async fn take(
    (policy, step): (&Policy, Step),
    caller: &Caller<'_>,
    expressions: &Expressions<'_>,
    steps: &mut Steps,
    mut before: Taken,
) -> Result<Taken, Rejection> {
    let told_before = before.allowance.len();
    // What is only reported is counted here alone: it takes nothing from anybody.
    let store = caller.limit_store.filter(|_| caller.beside.is_none());
    let (mut uses, mut wanted) = (SmallVec::<[Use<'_>; 2]>::new(), SmallVec::<[Wanted<'_>; 2]>::new());
    let of_policy = policy.limits.iter().filter(|limit| limit.needs_identity == (step == Step::Known));
    for (limit, known) in of_policy.map(|limit| (limit, None)).chain(of_products(step, caller, expressions)) {
        let counters = limit.counters.as_ref().map_err(|denial| denial.rejection())?;
        if !limit.when.as_ref().is_none_or(|when| expressions.counts(limit, when, steps)) {
            note(caller, limit, Outcome::NotAsked, "`when` does not hold");
            continue;
        }
        let key = known.or_else(|| key((policy, limit), caller, expressions, steps));
        let whose = if key.is_some() { "" } else { "counted together with all that have no key of their own" };
        note(caller, limit, Outcome::Counted, whose);
        if store.is_some() && counters.amount() != Amount::AtOnce {
            let key = key.filter(|key| counters.has_room(key, caller.now));
            // Of what two Subscriptions have no number of their own in, a request is one all the same.
            let is_there = wanted.iter().any(|one| Arc::ptr_eq(one.counters, counters) && one.key == key);
            wanted.extend((!is_there).then_some(Wanted { limit, counters, key }));
            continue;
        }
        // Whoever reports or explains asks no store, and leaves out what only a store can tell.
        let is_left_out = caller.beside.is_some() || caller.asks_nobody && caller.counts_in_store;
        if lasts(counters.amount()) && !is_left_out {
            return Err(without_store(limit));
        }
        match counters.take(key.as_deref(), limit.share(caller.replicas)) {
            Some(Ok(Share::Place(place))) => {
                before.allowance.add_if(may_be_told(limit, place.is_shared()), || told(limit, None));
                before.places.push(place);
            }
            Some(Ok(Share::Use { left, at, is_shared })) => {
                let left = left_of(counters, left);
                before.allowance.add_if(may_be_told(limit, is_shared), || told(limit, Some(left)));
                uses.push(Use { counters, key: key.filter(|_| !is_shared), at });
            }
            Some(Err(used_up)) => {
                uses.iter().for_each(|one| one.counters.give_back(one.key.as_deref(), one.at));
                before.allowance.truncate(told_before);
                return Err(refusal((limit, counters, key.as_ref()), used_up, (step, before.allowance)));
            }
            None => {}
        }
    }
    if let Some(store) = store.filter(|_| !wanted.is_empty()) {
        take_of(store, &wanted, caller, (step, told_before), &mut before).await?;
    }
    Ok(before)
}

/// What the Products allow that the caller's Subscriptions are to, each with whose it is. What is only reported uses nothing of it.
fn of_products<'a>(
    step: Step,
    caller: &'a Caller<'_>,
    expressions: &'a Expressions<'_>,
) -> impl Iterator<Item = (&'a Limit, Option<Key>)> {
    let is_asked = step == Step::Known && caller.beside.is_none();
    let subscriptions = is_asked.then(|| expressions.subscriptions()).into_iter().flatten();
    subscriptions.flat_map(|subscription| {
        let product = subscription.product().and_then(|name| caller.door.products.get(name));
        let limits = product.into_iter().flat_map(|product| &product.limits);
        limits.map(|limit| (limit, Some(Key::from_slice(subscription.id.as_bytes()))))
    })
}

/// The same of what the store counts: all at once. While it is away each data plane has its share, or nobody passes.
async fn take_of(
    store: &Store,
    wanted: &[Wanted<'_>],
    caller: &Caller<'_>,
    (step, told_before): (Step, usize),
    before: &mut Taken,
) -> Result<(), Rejection> {
    let asked =
        wanted.iter().map(|one| Asked { counters: one.counters, key: one.key.as_deref(), most: one.limit.most.get() });
    let asked: SmallVec<[Asked<'_>; 2]> = asked.collect();
    let answers = match store.take(&asked).await {
        Ok(answers) => answers,
        Err(Away(why)) if store.denies_when_away => return Err(unavailable(store, wanted.first(), &why)),
        Err(Away(why)) => return take_beside((store, &why), wanted, caller, (step, told_before), before),
    };
    if let Some((one, answer)) = wanted.iter().zip(&answers).find(|(_, answer)| !answer.is_taken) {
        before.allowance.truncate(told_before);
        let used_up = UsedUp { until: Some(answer.until), is_shared: one.key.is_none() };
        let allowance = std::mem::take(&mut before.allowance);
        return Err(refusal((one.limit, one.counters, one.key.as_ref()), used_up, (step, allowance)));
    }
    for (one, answer) in wanted.iter().zip(&answers) {
        let left = window::Left { requests: answer.left, until: answer.until };
        let may_be_told = may_be_told(one.limit, one.key.is_none());
        before.allowance.add_if(may_be_told, || told(one.limit, Some(left_of(one.counters, left))));
    }
    Ok(())
}

/// The same of this data plane's shares.
fn take_beside(
    (store, why): (&Store, &str),
    wanted: &[Wanted<'_>],
    caller: &Caller<'_>,
    (step, told_before): (Step, usize),
    before: &mut Taken,
) -> Result<(), Rejection> {
    let mut uses = SmallVec::<[Use<'_>; 2]>::new();
    let give_back = |uses: &[Use<'_>]| {
        uses.iter().for_each(|one| one.counters.give_back_beside(one.key.as_deref(), one.at));
    };
    for one @ Wanted { limit, counters, key } in wanted {
        let most = (limit.most.get(), caller.replicas.get());
        match counters.take_beside(key.as_deref(), most, caller.now) {
            Some(Ok(Share::Use { left, at, is_shared })) => {
                let left = left_of(counters, left);
                before.allowance.add_if(may_be_told(limit, is_shared), || told(limit, Some(left)));
                uses.push(Use { counters, key: key.clone().filter(|_| !is_shared), at });
            }
            Some(Ok(Share::Place(place))) => before.places.push(place),
            Some(Err(used_up)) => {
                give_back(&uses);
                before.allowance.truncate(told_before);
                let allowance = std::mem::take(&mut before.allowance);
                return Err(refusal((limit, counters, key.as_ref()), used_up, (step, allowance)));
            }
            None => {
                give_back(&uses);
                return Err(unavailable(store, Some(one), why));
            }
        }
    }
    Ok(())
}

/// Nobody can tell whether the request is within its limits.
fn unavailable(store: &Store, wanted: Option<&Wanted<'_>>, why: &str) -> Rejection {
    let message = format!("the store of {} that counts it is away: {why}", store.object());
    let origin = wanted.map(|one| one.limit.origin.with_message(message)).unwrap_or_default();
    Rejection { retry_after_s: Some(STORE_RETRY_AFTER_S), ..Rejection::decided_by(origin, Reason::StoreUnavailable) }
}

/// Whether it lasts longer than data planes remember.
fn lasts(amount: Amount) -> bool {
    match amount {
        Amount::Window(length) => length > MAX_LOCAL_WINDOW,
        Amount::Quota(_) => true,
        Amount::AtOnce => false,
    }
}

fn without_store(limit: &Limit) -> Rejection {
    let message = "what lasts longer than 1h is counted in a store; set limits.store: Redis in the GatewayParameters of the Gateway";
    Rejection::decided_by(limit.origin.with_message(message.to_owned()), Reason::Configuration)
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

fn told(limit: &Limit, left: Option<allowance::Left>) -> Told {
    Told { name: limit.origin.rule.clone(), quota: limit.most.get(), left }
}

fn left_of(counters: &Counters, left: window::Left) -> allowance::Left {
    let window = match counters.amount() {
        Amount::Window(length) => Some(length),
        Amount::Quota(_) | Amount::AtOnce => None,
    };
    allowance::Left { window, requests: left.requests, until: left.until }
}

fn refusal(
    (limit, counters, key): (&Limit, &Counters, Option<&Key>),
    used_up: UsedUp,
    (step, mut allowance): (Step, Allowance),
) -> Rejection {
    let UsedUp { until, is_shared } = used_up;
    let whose = whose(limit, key.filter(|_| !is_shared));
    let (reason, used) = match counters.amount() {
        Amount::Window(window) => (Reason::RateExceeded, format!("has had {} in {} s", limit.most, seconds(window))),
        Amount::Quota(period) => {
            (Reason::QuotaExceeded, format!("has had {} this {} of UTC", limit.most, period.as_str()))
        }
        Amount::AtOnce => (Reason::ConcurrencyExceeded, format!("has {} under way", limit.most)),
    };
    let message = format!("{whose} {used}, or this replica's share of it");
    let wait = until.unwrap_or_default();
    allowance.add_if(may_be_told(limit, is_shared), || {
        told(limit, until.map(|until| left_of(counters, window::Left { requests: 0, until })))
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
