//! What a request takes of limits, and what it leaves.

use std::num::NonZeroU32;
use std::sync::Arc;

use futures_util::FutureExt as _;
use http::Method;
use http::header::HeaderMap;
use sallyport_expression::parse::parse;
use sallyport_expression::wire;
use sallyport_snapshot::v1::limit::Amount;
use sallyport_snapshot::{Hash, v1};

use super::*;
use crate::clock::UnixMs;
use crate::introspection::Introspections;
use crate::limit::registry::Registry;
use crate::map::Map;
use crate::passwords::{self, Passwords};
use crate::path::Query;
use crate::pipeline::authenticate::{Course, Held, Hop};
use crate::pipeline::authorize::Findings;
use crate::pipeline::tokens::{Patience, Tokens};
use crate::replays::{self, Replays};
use crate::runtime::keys::{Api, Door, Keys, Subscription};

fn limit(name: &str, amount: Amount, by: v1::limit::By) -> v1::Limit {
    let object = "ApiPolicy shop/orders".into();
    v1::Limit { object, name: name.into(), amount: Some(amount), by: by.into(), ..v1::Limit::default() }
}

fn per_minute(name: &str, requests: u32, by: v1::limit::By) -> v1::Limit {
    limit(name, Amount::Rate(v1::Rate { requests, per_ms: 60_000 }), by)
}

fn by_expression(name: &str, requests: u32, text: &str) -> v1::Limit {
    let expression = Some(wire::to_wire(&parse(text).unwrap()));
    v1::Limit { expression, ..per_minute(name, requests, v1::limit::By::Expression) }
}

fn policy(limits: Vec<v1::Limit>) -> Policy {
    policy_of("ApiPolicy shop/orders", limits, &mut Registry::default())
}

/// A policy whose callers are known by the word of `object`.
fn policy_of(object: &str, limits: Vec<v1::Limit>, registry: &mut Registry) -> Policy {
    let open = v1::Alternative { name: "open".into(), public: true, ..v1::Alternative::default() };
    let authentication = v1::Authentication { object: object.into(), alternatives: vec![open] };
    let policy = v1::Policy { authentication: Some(authentication), limits, ..v1::Policy::default() };
    let (policy, problem) = Policy::build(&"orders".into(), Hash::of_bytes(b""), &policy, registry);
    assert_eq!(problem, None);
    policy
}

/// Somebody who asks.
#[derive(Clone)]
struct Asker {
    address: Option<&'static str>,
    held: Held,
    team: Option<String>,
    path: &'static str,
    replicas: u32,
}

impl Asker {
    fn nobody() -> Self {
        Self { address: Some("192.0.2.1"), held: Held::default(), team: None, path: "/orders", replicas: 1 }
    }

    fn at(address: &'static str) -> Self {
        Self { address: Some(address), ..Self::nobody() }
    }

    fn for_path(path: &'static str) -> Self {
        Self { path, ..Self::nobody() }
    }

    fn of_team(team: &str) -> Self {
        Self { team: Some(team.to_owned()), ..Self::nobody() }
    }

    fn with_token(identity: &str) -> Self {
        let claims = Some(Arc::new(crate::jwt::claims_of_tests(identity)));
        Self { held: Held { claims, ..Held::default() }, ..Self::nobody() }
    }

    fn with_key(name: &str) -> Self {
        let scope = Some(v1::subscription::Scope::Product("shop/gold".into()));
        let message = v1::Subscription { scope, ..v1::Subscription::default() };
        let subscription = Arc::new(Subscription::build(&name.into(), &message).unwrap());
        Self { held: Held { subscription: Some((subscription, [0; 32])), ..Held::default() }, ..Self::nobody() }
    }

    /// What the steps give, one after the other.
    fn asks(&self, policy: &Policy) -> Result<Taken, Rejection> {
        self.steps(policy, &[Step::Anonymous, Step::Known])
    }

    fn steps(&self, policy: &Policy, asked: &[Step]) -> Result<Taken, Rejection> {
        let mut headers = HeaderMap::new();
        if let Some(team) = &self.team {
            headers.insert("x-team", team.parse().unwrap());
        }
        let api = Api { kind: "HTTPRoute".into(), namespace: "shop".into(), name: "orders".into() };
        let (key_sets, unusable, products, tokens, keys) =
            (Map::default(), Map::default(), Map::default(), Tokens::default(), Keys::default());
        let caller = Caller {
            method: &Method::GET,
            host: "api.example.com",
            path: self.path,
            headers: &headers,
            query: Query(None),
            address: self.address.map(|address| address.parse().unwrap()),
            door: Door { api: &api, gateway: "shop/public", products: &products },
            hop: Hop::default(),
            body_bytes: None,
            replicas: NonZeroU32::new(self.replicas).unwrap(),
            rule: "0",
            keys: &keys,
            tokens: &tokens,
            key_sets: &key_sets,
            unusable_key_sets: &unusable,
            trusts: &Map::default(),
            password_files: &Map::default(),
            passwords: &Passwords::new(passwords::Counters::default()).unwrap(),
            introspections: &Introspections::of_tests(),
            patience: Patience::Waits,
            beside: None,
            replays: &Replays::new(replays::Counters::default(), crate::clock::Clock::default()),
            nonces: None,
            course: &Course::default(),
            now: UnixMs(1_800_000_000_000),
            explained: None,
            asks_nobody: false,
            limit_store: None,
            counts_in_store: false,
        };
        let findings = Findings { near: &self.held, floors: &[] };
        let expressions = Expressions::new(policy, &caller, &findings);
        let mut left = Steps::default();
        asked.iter().try_fold(Taken::default(), |taken, step| {
            let taking = take((policy, *step), &caller, &expressions, &mut left, taken);
            taking.now_or_never().expect("nobody else is asked")
        })
    }

    fn admitted(&self, policy: &Policy, times: usize) -> usize {
        (0..times).filter(|_| self.asks(policy).is_ok()).count()
    }
}

#[test]
fn each_has_its_own_number() {
    use v1::limit::By;
    for (by, askers) in [
        (By::ClientAddress, [Asker::at("192.0.2.1"), Asker::at("192.0.2.2"), Asker::at("2001:db8::1")]),
        (
            By::Identity,
            [Asker::with_token("jwt:3:joe:ada"), Asker::with_token("jwt:3:joe:bob"), Asker::with_key("a/b")],
        ),
        (By::Subscription, [Asker::with_key("acme/one"), Asker::with_key("acme/two"), Asker::with_key("shop/one")]),
    ] {
        let policy = policy(vec![per_minute("l", 3, by)]);
        assert_eq!(askers.each_ref().map(|asker| asker.admitted(&policy, 5)), [3; 3], "{by:?}");
    }
}

/// One more address, one more spelling, one more name: none is one more share.
#[test]
fn what_one_caller_can_change_buys_nothing() {
    use v1::limit::By;
    let by_address = policy(vec![per_minute("l", 2, By::ClientAddress)]);
    assert_eq!(Asker::at("2001:db8:0:1::1").admitted(&by_address, 3), 2);
    assert_eq!(Asker::at("2001:db8:0:1:ffff::2").admitted(&by_address, 1), 0, "of the same network");
    assert_eq!(Asker::at("2001:db8:0:2::1").admitted(&by_address, 1), 1);
    assert_eq!(Asker::at("192.0.2.7").admitted(&by_address, 3), 2);
    assert_eq!(Asker::at("::ffff:192.0.2.7").admitted(&by_address, 1), 0, "the same address");
    assert_eq!(Asker::at("64:ff9b::192.0.2.7").admitted(&by_address, 1), 0, "translated, the same");
    assert_eq!(Asker::at("64:ff9b::192.0.2.8").admitted(&by_address, 3), 2, "translated, another");
    let nowhere = Asker { address: None, ..Asker::nobody() };
    assert_eq!(nowhere.admitted(&by_address, 3), 2, "all who cannot be told apart have one share");
    let by_subscription = policy(vec![per_minute("l", 2, By::Subscription)]);
    assert_eq!(Asker::with_token("jwt:3:joe:ada").admitted(&by_subscription, 1), 1);
    assert_eq!(Asker::with_token("jwt:3:joe:bob").admitted(&by_subscription, 2), 1, "they share");
    assert_eq!(Asker::with_key("acme/one").admitted(&by_subscription, 2), 2);
}

#[test]
fn what_an_expression_cannot_tell_is_shared() {
    let policy = policy(vec![by_expression("l", 2, r#"request.headers["x-team"][0]"#)]);
    assert_eq!(Asker::of_team("blue").admitted(&policy, 3), 2);
    assert_eq!(Asker::of_team("red").admitted(&policy, 3), 2);
    assert_eq!(Asker::nobody().admitted(&policy, 1), 1, "no such header");
    assert_eq!(Asker::of_team("").admitted(&policy, 1), 1, "nothing in it");
    assert_eq!(Asker::of_team(&"x".repeat(257)).admitted(&policy, 1), 0, "too long: one share with the others");
    assert_eq!(Asker::of_team(&"x".repeat(256)).admitted(&policy, 3), 2);
}

/// Services cut parameters off a path (RFC 3986 section 3.3): whoever appends some is neither uncounted nor another.
#[test]
fn parameters_of_a_path_buy_nothing() {
    let when = Some(wire::to_wire(&parse("request.path == '/orders/1'").unwrap()));
    let counting = policy(vec![v1::Limit { when, ..per_minute("l", 2, v1::limit::By::ClientAddress) }]);
    assert_eq!(Asker::for_path("/orders/1;a").admitted(&counting, 1), 1);
    assert_eq!(Asker::for_path("/orders;b=c/1").admitted(&counting, 1), 1);
    assert_eq!(Asker::for_path("/orders/1").admitted(&counting, 1), 0);
    assert_eq!(Asker::for_path("/orders/2;/1").admitted(&counting, 3), 3, "another that is not meant");
    let by_path = policy(vec![by_expression("l", 2, "request.path")]);
    let spelled = ["/orders/1;a", "/orders/1;b", "/orders/1"].map(|path| Asker::for_path(path).admitted(&by_path, 1));
    assert_eq!(spelled, [1, 1, 0]);
    // A parameter that is meant counts as well.
    let when = Some(wire::to_wire(&parse("request.path.endsWith(';full')").unwrap()));
    let counting = policy(vec![v1::Limit { when, ..per_minute("l", 1, v1::limit::By::ClientAddress) }]);
    assert_eq!(Asker::for_path("/orders;full").admitted(&counting, 2), 1);
    assert_eq!(Asker::for_path("/orders;part").admitted(&counting, 2), 2);
}

/// Whoever writes a policy may name an issuer of his own and have it say anything.
#[test]
fn whom_a_namespace_vouches_for_uses_up_nothing_of_another() {
    use v1::limit::By;
    let ada = Asker::with_token("jwt:3:joe:ada");
    for (limit, admitted) in [
        (per_minute("wide", 2, By::Identity), 2),
        (v1::Limit { is_floor: true, ..per_minute("floor", 2, By::Identity) }, 0),
    ] {
        let limit = v1::Limit { object: "ApiPolicy infra/wide".into(), ..limit };
        let mut registry = Registry::default();
        let [shop, again, other] = ["ApiPolicy shop/orders", "ApiPolicy shop/reports", "ApiPolicy evil/orders"]
            .map(|object| policy_of(object, vec![limit.clone()], &mut registry));
        assert_eq!(ada.admitted(&other, 3), 2);
        assert_eq!(ada.admitted(&shop, 3), admitted, "{limit:?}");
        assert_eq!(ada.admitted(&again, 1), 0, "one namespace is one");
    }
    // What a Subscription is no policy says.
    let limit = v1::Limit { object: "ApiPolicy infra/wide".into(), ..per_minute("wide", 2, By::Subscription) };
    let mut registry = Registry::default();
    let policies = ["ApiPolicy shop/orders", "ApiPolicy shop2/orders"]
        .map(|object| policy_of(object, vec![limit.clone()], &mut registry));
    assert_eq!(policies.map(|policy| Asker::with_key("acme/one").admitted(&policy, 2)), [2, 0]);
}

/// A token without `sub` names its issuer alone.
#[test]
fn who_is_not_named_shares_with_all_of_whom_nobody_knows_who_they_are() {
    let policy = policy(vec![per_minute("l", 2, v1::limit::By::Identity)]);
    assert_eq!(Asker::with_token("jwt:3:joe:").admitted(&policy, 1), 1);
    assert_eq!(Asker::nobody().admitted(&policy, 2), 1, "they share");
    assert_eq!(Asker::with_token("jwt:3:eve:").admitted(&policy, 1), 0);
    assert_eq!(Asker::with_token("jwt:3:joe::").admitted(&policy, 2), 2, "a subject of one colon");
}

/// Names of identities have no bound of ours, and each is told from each.
#[test]
fn long_identities_have_their_own_number() {
    let policy = policy(vec![per_minute("l", 2, v1::limit::By::Identity)]);
    for last in ["a", "b"] {
        let long = format!("jwt:3:joe:{}{last}", "x".repeat(2000));
        assert_eq!(Asker::with_token(&long).admitted(&policy, 3), 2, "{last}");
    }
}

#[test]
fn a_refusal_tells_only_of_what_it_has_asked() {
    use v1::limit::By;
    let policy = policy(vec![per_minute("wide", 9, By::Identity), per_minute("tight", 1, By::Identity)]);
    let ada = Asker::with_token("jwt:3:joe:ada");
    assert!(ada.asks(&policy).is_ok());
    let told = ada.asks(&policy).err().unwrap().allowance.unwrap();
    assert_eq!(told.len(), 1, "the other use was given back");
}

#[test]
fn a_limit_that_refuses_leaves_those_of_its_step_as_they_were() {
    use v1::limit::By;
    let policy = policy(vec![per_minute("wide", 5, By::Identity), per_minute("tight", 2, By::Subscription)]);
    let refused = Asker::with_key("acme/one");
    assert_eq!(refused.admitted(&policy, 20), 2);
    let by_token = Asker::with_token("subscription:acme/one");
    assert_eq!(by_token.admitted(&policy, 2), 2, "it has used two, not twenty, of the wide one");
    assert!(by_token.asks(&policy).is_err());
}

#[test]
fn places_end_with_what_holds_them() {
    let policy = policy(vec![limit("at-once", Amount::Concurrent(2), v1::limit::By::Identity)]);
    let ada = Asker::with_token("jwt:3:joe:ada");
    let held: Vec<_> = (0..2).map(|_| ada.asks(&policy).ok().unwrap()).collect();
    let refused = ada.asks(&policy).err().unwrap();
    assert_eq!((refused.reason, refused.retry_after_s), (Reason::ConcurrencyExceeded, Some(1)));
    drop(held);
    assert!(ada.asks(&policy).is_ok());
}

#[test]
fn which_requests_count_an_expression_says_and_if_it_cannot_all_do() {
    let counting = |when: &str| {
        let when = Some(wire::to_wire(&parse(when).unwrap()));
        policy(vec![v1::Limit { when, ..per_minute("l", 1, v1::limit::By::ClientAddress) }])
    };
    for (when, admitted) in
        [("request.method == 'POST'", 5), ("request.method == 'GET'", 1), ("request.headers['x-team'][0] == 'blue'", 1)]
    {
        assert_eq!(Asker::nobody().admitted(&counting(when), 5), admitted, "{when}");
    }
}

#[test]
fn a_share_is_what_is_left_of_the_number_by_replicas() {
    let policy = policy(vec![per_minute("l", 10, v1::limit::By::ClientAddress)]);
    let of_three = Asker { replicas: 3, ..Asker::nobody() };
    assert_eq!(of_three.admitted(&policy, 20), 3);
    assert_eq!(Asker::nobody().admitted(&policy, 20), 7, "what was used stays used when others go");
}

#[test]
fn a_limit_that_cannot_be_used_lets_nobody_pass() {
    let unavailable = Some(v1::Deny { reason: v1::deny::Reason::Configuration.into(), ..v1::Deny::default() });
    let broken = v1::Limit { unavailable, amount: None, ..per_minute("l", 1, v1::limit::By::ClientAddress) };
    assert_eq!(Asker::nobody().asks(&policy(vec![broken])).err().unwrap().reason, Reason::Configuration);
}

/// Who calls is not known there, so that what others have used is not told to whoever comes by.
#[test]
fn callers_are_told_of_their_own_use_once_it_is_known_who_they_are() {
    use v1::limit::By;
    let by_address = policy(vec![per_minute("per-address", 1, By::ClientAddress)]);
    assert!(!Asker::nobody().asks(&by_address).ok().unwrap().allowance.is_empty());
    let refused = Asker::nobody().asks(&by_address).err().unwrap();
    assert!(refused.allowance.is_none() && refused.retry_after_s.is_some_and(|wait| (60..=61).contains(&wait)));
    let by_identity = policy(vec![per_minute("per-person", 1, By::Identity)]);
    let ada = Asker::with_token("jwt:3:joe:ada");
    assert!(ada.asks(&by_identity).is_ok());
    assert!(ada.asks(&by_identity).err().unwrap().allowance.is_some());
    for (limit, asker) in [
        (v1::Limit { is_floor: true, ..per_minute("floor", 1, By::ClientAddress) }, Asker::nobody()),
        (by_expression("expression", 1, "request.path"), Asker::nobody()),
        (per_minute("shared", 1, By::Identity), Asker::nobody()),
        (limit("places", Amount::Concurrent(1), By::Identity), Asker::nobody()),
    ] {
        let policy = policy(vec![limit.clone()]);
        assert!(asker.asks(&policy).ok().unwrap().allowance.is_empty(), "{}", limit.name);
    }
}
