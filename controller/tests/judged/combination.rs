//! How policies combine: section by section, between levels, on one target, and with floors.

use rstest::rstest;
use sallyport_snapshot::v1::{self, Kind, resource::Body};

use crate::judged::{Judged, judge};

const WORLD: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: sallyport}
spec: {controllerName: sallyport.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: shop}
spec:
  gatewayClassName: sallyport
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{name: public}]
  rules: [{name: one, backendRefs: [{group: sallyport.dev, kind: Backend, name: orders}]}]
---
apiVersion: sallyport.dev/v1alpha1
kind: Backend
metadata: {name: orders, namespace: shop}
spec: {endpoints: [{host: {name: orders.example.com, port: 443}}], tls: {validation: {hostname: orders.example.com, wellKnownCACertificates: System}}}
---
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: shop}, stringData: {username: u, password: p, key: k}}
";

/// A policy: name, age (smaller is older), level, spec.
type Given = (&'static str, u8, &'static str, &'static str);

fn world(policies: &[Given]) -> Judged {
    let mut text = WORLD.to_owned();
    for (name, age, level, spec) in policies {
        let target = match *level {
            "gateway" => "kind: Gateway, name: public",
            "listener" => "kind: Gateway, name: public, sectionName: http",
            "route" => "kind: HTTPRoute, name: orders",
            "rule" => "kind: HTTPRoute, name: orders, sectionName: one",
            other => panic!("{other}"),
        };
        text += &format!(
            "---\napiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicy\nmetadata: {{name: {name}, namespace: shop, creationTimestamp: 2026-01-{:02}T00:00:00Z}}\nspec: {{targetRefs: [{{group: gateway.networking.k8s.io, {target}}}], {spec}}}\n",
            age + 1
        );
    }
    let judged = judge(&text);
    assert!(judged.diagnostics.is_empty(), "{:#?}", judged.diagnostics);
    judged
}

fn effective(judged: &Judged) -> v1::Policy {
    let mut policies = judged.compiled.snapshot.iter().filter_map(|(name, resource)| match resource.body().as_ref() {
        Body::Policy(policy) if name.kind == Kind::Policy => Some(policy.clone()),
        _ => None,
    });
    let one = policies.next().expect("a policy");
    assert!(policies.next().is_none());
    one
}

fn alternatives(authentication: &v1::Authentication) -> Vec<String> {
    authentication.alternatives.iter().map(|one| one.name.clone()).collect()
}

const KEY_A: &str = "authentication: [{name: a, subscriptionKey: {}}]";
const KEY_B: &str = "authentication: [{name: b, subscriptionKey: {}}]";
const OPEN: &str = "authentication: [{name: open, public: {}}]";
const FLOOR_A: &str = "enforcement: Floor, authentication: [{name: floor-a, subscriptionKey: {}}]";
const FLOOR_B: &str = "enforcement: Floor, authentication: [{name: floor-b, subscriptionKey: {}}]";

#[rstest]
#[case::one(&[("p", 0, "gateway", KEY_A)], &["a"], &[])]
#[case::a_listener_beats_its_gateway(&[("p", 0, "gateway", KEY_A), ("q", 1, "listener", KEY_B)], &["b"], &[])]
#[case::a_route_beats_a_listener(&[("p", 0, "listener", KEY_A), ("q", 1, "route", KEY_B)], &["b"], &[])]
#[case::a_rule_beats_a_route(&[("p", 0, "route", KEY_A), ("q", 1, "rule", KEY_B)], &["b"], &[])]
#[case::a_nearer_public_opens(&[("p", 0, "gateway", KEY_A), ("q", 1, "route", OPEN)], &["open"], &[])]
#[case::the_older_of_one_target(&[("p", 1, "route", KEY_A), ("q", 0, "route", KEY_B)], &["b"], &[])]
#[case::of_one_age_the_name(&[("q", 0, "route", KEY_B), ("p", 0, "route", KEY_A)], &["a"], &[])]
#[case::public_loses_to_anything_else(&[("p", 0, "route", OPEN), ("q", 1, "route", KEY_B)], &["b"], &[])]
#[case::a_policy_that_states_nothing_changes_nothing(&[("p", 0, "gateway", KEY_A), ("q", 1, "route", "ipFilter: {allow: [10.0.0.0/8]}")], &["a"], &[])]
#[case::a_floor_is_added(&[("p", 0, "gateway", FLOOR_A), ("q", 1, "route", OPEN)], &["open"], &["floor-a"])]
#[case::every_floor_is_added(&[("p", 0, "gateway", FLOOR_A), ("q", 1, "route", FLOOR_B), ("r", 2, "rule", KEY_A)], &["a"], &["floor-a", "floor-b"])]
#[case::a_floor_alone_is_enough(&[("p", 0, "gateway", FLOOR_A)], &["unprotected"], &["floor-a"])]
#[case::a_report_never_counts(&[("p", 0, "gateway", KEY_A), ("q", 1, "route", "mode: Report, authentication: [{name: open, public: {}}]")], &["a"], &[])]
fn authentication(#[case] policies: &[Given], #[case] own: &[&str], #[case] floors: &[&str]) {
    let policy = effective(&world(policies));
    assert_eq!(policy.authentication.as_ref().map(alternatives).unwrap_or_default(), own);
    let mut found: Vec<_> = policy.floors.iter().flat_map(alternatives).collect();
    found.sort();
    assert_eq!(found, floors);
    assert!(policy.deny.is_none());
}

#[rstest]
#[case::nothing(&[])]
#[case::no_authentication(&[("p", 0, "route", "ipFilter: {allow: [10.0.0.0/8]}")])]
#[case::only_a_report(&[("p", 0, "route", "mode: Report, authentication: [{name: a, subscriptionKey: {}}]")])]
#[case::a_floor_without_authentication(&[("p", 0, "gateway", "enforcement: Floor, ipFilter: {allow: [10.0.0.0/8]}")])]
fn unprotected(#[case] policies: &[Given]) {
    let deny = effective(&world(policies)).deny.expect("nobody has said who may call");
    assert_eq!(deny.reason(), v1::deny::Reason::Unprotected);
}

const FROM_TEN: &str = "ipFilter: {allow: [10.0.0.0/8]}";
const FROM_ELEVEN: &str = "ipFilter: {allow: [11.0.0.0/8]}";
const FROM_ANYWHERE: &str = "ipFilter: {}";

#[rstest]
#[case::nearest(&[("p", 0, "gateway", FROM_TEN), ("q", 1, "route", FROM_ELEVEN)], &["11.0.0.0/8"], 1)]
#[case::empty_switches_off(&[("p", 0, "gateway", FROM_TEN), ("q", 1, "route", FROM_ANYWHERE)], &[], 1)]
#[case::both_on_one_target(&[("p", 0, "route", FROM_TEN), ("q", 1, "route", FROM_ELEVEN)], &["10.0.0.0/8", "11.0.0.0/8"], 2)]
#[case::floors_too(&[("p", 0, "gateway", "enforcement: Floor, ipFilter: {allow: [10.0.0.0/8]}"), ("q", 1, "route", FROM_ANYWHERE)], &["10.0.0.0/8"], 2)]
#[case::a_report_not(&[("p", 0, "gateway", "mode: Report, ipFilter: {allow: [10.0.0.0/8]}")], &[], 0)]
fn ip_filter(#[case] policies: &[Given], #[case] allowed: &[&str], #[case] count: usize) {
    let policy = effective(&world(policies));
    let mut found: Vec<_> = policy.ip_filters.iter().flat_map(|filter| filter.allow.clone()).collect();
    found.sort();
    assert_eq!(found, allowed);
    assert_eq!(policy.ip_filters.len(), count, "all must pass");
}

const ASKED_A: &str =
    "externalAuthorization: {backendRef: {group: sallyport.dev, kind: Backend, name: orders}, protocol: GRPC}";
const ASKED_B: &str =
    "externalAuthorization: {backendRef: {group: sallyport.dev, kind: Backend, name: orders}, protocol: HTTP}";
const ASKED_FLOOR: &str = "enforcement: Floor, externalAuthorization: {backendRef: {group: sallyport.dev, kind: Backend, name: orders}, protocol: GRPC}";

#[rstest]
#[case::of_every_level_the_furthest_first(&[("p", 0, "route", ASKED_A), ("q", 1, "gateway", ASKED_B), ("r", 2, "rule", ASKED_A)], &["q", "p", "r"])]
#[case::on_one_target_both(&[("p", 0, "route", ASKED_A), ("q", 1, "route", ASKED_B)], &["q", "p"])]
#[case::floors_before_all(&[("p", 0, "gateway", ASKED_A), ("q", 1, "route", ASKED_FLOOR), ("r", 2, "gateway", ASKED_FLOOR)], &["r", "q", "p"])]
#[case::a_report_not(&[("p", 0, "route", "mode: Report, externalAuthorization: {backendRef: {group: sallyport.dev, kind: Backend, name: orders}, protocol: GRPC}")], &[])]
fn external_authorization(#[case] policies: &[Given], #[case] asked: &[&str]) {
    let policy = effective(&world(policies));
    let told = policy.external_authorizations.iter().map(|one| one.object.trim_start_matches("ApiPolicy shop/"));
    assert_eq!(told.collect::<Vec<_>>(), asked);
    let since = policy.deny.filter(|deny| deny.reason() == v1::deny::Reason::Older).map(|deny| deny.since);
    let is_unprotected = since.is_none();
    assert!(is_unprotected || since == Some(11));
}

const RULE_A: &str = "authorization: [{name: a, require: 'true'}]";
const RULE_B: &str = "authorization: [{name: b, require: 'true'}]";

#[rstest]
#[case::all_levels(&[("p", 0, "gateway", RULE_A), ("q", 1, "listener", RULE_B), ("r", 2, "route", RULE_A), ("t", 3, "rule", RULE_B)], &["t b", "r a", "q b", "p a"])]
#[case::both_on_one_target(&[("p", 0, "route", RULE_A), ("q", 1, "route", RULE_B)], &["p a", "q b"])]
#[case::empty_switches_nothing_off(&[("p", 0, "gateway", RULE_A), ("q", 1, "route", "authorization: []")], &["p a"])]
#[case::floors_too(&[("p", 0, "gateway", "enforcement: Floor, authorization: [{name: f, require: 'true'}]"), ("q", 1, "route", RULE_A)], &["q a", "p f"])]
#[case::a_report_not(&[("p", 0, "route", "mode: Report, authorization: [{name: a, require: 'true'}]")], &[])]
fn authorization(#[case] policies: &[Given], #[case] rules: &[&str]) {
    let own: Given = ("z", 9, "route", KEY_A);
    let policy = effective(&world(&[policies, &[own]].concat()));
    let written = |one: &v1::Authorization| -> Vec<String> {
        let of = one.object.trim_start_matches("ApiPolicy shop/").to_owned();
        one.rules.iter().map(|rule| format!("{of} {}", rule.name)).collect()
    };
    assert_eq!(policy.authorizations.iter().flat_map(written).collect::<Vec<_>>(), rules);
    let of_older = policy.deny.map(|deny| deny.reason());
    assert_eq!(of_older, (!rules.is_empty()).then_some(v1::deny::Reason::Older), "who knows no rules lets nobody in");
}

#[rstest]
#[case::nearest(&[("p", 0, "gateway", "requestHeaders: {set: [{name: X-A, value: far}], remove: [X-B]}"), ("q", 1, "route", "requestHeaders: {set: [{name: X-C, value: near}]}")], &[("x-c", "near")], &[])]
#[case::empty_switches_off(&[("p", 0, "gateway", "requestHeaders: {set: [{name: X-A, value: far}]}"), ("q", 1, "route", "requestHeaders: {}")], &[], &[])]
#[case::by_header_the_older(&[("p", 0, "route", "requestHeaders: {set: [{name: X-A, value: old}]}"), ("q", 1, "route", "requestHeaders: {set: [{name: x-a, value: new}, {name: X-B, value: new}]}")], &[("x-a", "old"), ("x-b", "new")], &[])]
#[case::floors_last(&[("p", 0, "gateway", "enforcement: Floor, requestHeaders: {set: [{name: X-A, value: floor}]}"), ("q", 1, "rule", "requestHeaders: {set: [{name: X-A, value: near}]}")], &[("x-a", "floor")], &[])]
#[case::a_floor_takes_away(&[("p", 0, "gateway", "enforcement: Floor, requestHeaders: {remove: [X-A]}"), ("q", 1, "rule", "requestHeaders: {set: [{name: X-A, value: near}]}")], &[], &["x-a"])]
#[case::a_report_sets_nothing(&[("p", 0, "route", "mode: Report, requestHeaders: {set: [{name: X-A, value: v}]}")], &[], &[])]
fn request_headers(#[case] policies: &[Given], #[case] set: &[(&str, &str)], #[case] removed: &[&str]) {
    let edit = effective(&world(policies)).request_headers.unwrap_or_default();
    let found: Vec<_> = edit.set.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect();
    assert_eq!(found, set);
    assert_eq!(edit.remove, removed);
}

const ENDING: &str = "streams: {endOnExpiry: true}";
const UNENDING: &str = "streams: {endOnExpiry: false}";
const FLOOR_ENDING: &str = "enforcement: Floor, streams: {endOnExpiry: true}";
const FLOOR_UNENDING: &str = "enforcement: Floor, streams: {endOnExpiry: false}";

#[rstest]
#[case::nobody(&[], None)]
#[case::nearest(&[("p", 0, "gateway", ENDING), ("q", 1, "route", UNENDING)], Some(false))]
#[case::a_floor_beats_what_is_nearer(&[("p", 0, "gateway", FLOOR_ENDING), ("q", 1, "route", UNENDING)], Some(true))]
#[case::a_floor_loosens_nothing(&[("p", 0, "gateway", FLOOR_UNENDING), ("q", 1, "route", ENDING)], Some(true))]
#[case::of_floors_the_strictest(&[("p", 0, "gateway", FLOOR_UNENDING), ("q", 1, "listener", FLOOR_ENDING)], Some(true))]
#[case::a_floor_alone(&[("p", 0, "gateway", FLOOR_UNENDING)], Some(false))]
#[case::a_report_not(&[("p", 0, "gateway", "mode: Report, enforcement: Floor, streams: {endOnExpiry: true}"), ("q", 1, "route", UNENDING)], Some(false))]
fn streams(#[case] policies: &[Given], #[case] ends: Option<bool>) {
    assert_eq!(effective(&world(policies)).streams.map(|streams| streams.end_on_expiry), ends);
}

#[rstest]
#[case::of_the_route(&[("p", 0, "route", "credential: {none: {}}")], "ApiPolicy/shop/p")]
#[case::of_the_rule(&[("p", 0, "route", "credential: {none: {}}"), ("q", 1, "rule", "credential: {passThrough: {}}")], "ApiPolicy/shop/q")]
#[case::the_older(&[("p", 1, "route", "credential: {none: {}}"), ("q", 0, "route", "credential: {passThrough: {}}")], "ApiPolicy/shop/q")]
#[case::a_report_shows_nothing(&[("p", 0, "route", "mode: Report, credential: {none: {}}")], "")]
fn credential(#[case] policies: &[Given], #[case] expected: &str) {
    let judged = world(policies);
    let found = judged.compiled.snapshot.iter().find_map(|(_, resource)| match resource.body().as_ref() {
        Body::Route(route) => Some(route.rules[0].backends[0].credential.clone()),
        _ => None,
    });
    assert_eq!(found.as_deref(), Some(expected));
}

#[rstest]
#[case::authentication(KEY_A, KEY_B)]
#[case::credential("credential: {none: {}}", "credential: {passThrough: {}}")]
#[case::request_headers(
    "requestHeaders: {set: [{name: X-A, value: a}]}",
    "requestHeaders: {set: [{name: X-A, value: b}]}"
)]
#[case::streams("streams: {endOnExpiry: true}", "streams: {endOnExpiry: false}")]
fn what_lost_is_said(#[case] older: &'static str, #[case] younger: &'static str) {
    let judged = world(&[("old", 0, "route", older), ("new", 1, "route", younger)]);
    let status =
        |name: &str| judged.statuses.iter().find(|status| status.kind == "ApiPolicy" && status.name == name).unwrap();
    let condition = |name: &str, kind: &str| status(name).conditions.iter().find(|one| one.r#type == kind).cloned();
    assert!(condition("shop/old", "Conflicted").is_none() && condition("shop/old", "Ready").unwrap().status);
    let lost = condition("shop/new", "Conflicted").unwrap();
    assert!(lost.status && lost.message.contains("shop/old"), "{}", lost.message);
    assert!(!condition("shop/new", "Ready").unwrap().status);
}

#[rstest]
#[case::age([("one", 0, "route", KEY_A), ("two", 1, "route", KEY_B)], "two", "one on the same target is older and")]
#[case::name([("one", 1, "route", KEY_A), ("two", 1, "route", KEY_B)], "two", "one on the same target is as old, comes first by name")]
#[case::public([("one", 0, "route", "authentication: [{name: o, public: {}}]"), ("two", 1, "route", KEY_B)], "one", "two on the same target asks who calls")]
#[case::header([("one", 1, "route", "requestHeaders: {set: [{name: X-A, value: a}]}"), ("two", 1, "route", "requestHeaders: {set: [{name: x-a, value: a}]}")], "two", "comes first by name")]
fn why_it_lost_is_said_as_it_is(#[case] policies: [Given; 2], #[case] loser: &str, #[case] ground: &str) {
    let conflicts = world(&policies).compiled.conflicts;
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!(conflicts[0].loser.name, loser);
    assert!(conflicts[0].to_string().contains(ground), "{}", conflicts[0]);
}

#[rstest]
#[case::filters("ipFilter: {allow: [10.0.0.0/8]}", "ipFilter: {allow: [11.0.0.0/8]}")]
#[case::other_headers(
    "requestHeaders: {set: [{name: X-A, value: a}]}",
    "requestHeaders: {set: [{name: X-B, value: b}]}"
)]
#[case::floors(FLOOR_A, FLOOR_B)]
#[case::a_report_beside(KEY_A, "mode: Report, authentication: [{name: b, subscriptionKey: {}}]")]
fn what_adds_up_conflicts_with_nothing(#[case] one: &'static str, #[case] other: &'static str) {
    let judged = world(&[("old", 0, "route", one), ("new", 1, "route", other)]);
    assert_eq!(judged.compiled.conflicts, vec![]);
}

/// Policies with full address filters on the route, and one on a Gateway of another namespace.
fn crowded(count: usize) -> Judged {
    let entry = |at: usize| format!("\"2001:db8::{at:x}-2001:db8:ffff:ffff:ffff:ffff:ffff:{at:x}\"");
    let entries: Vec<_> = (1..=1024).map(entry).collect();
    let filter = format!("ipFilter: {{allow: [{0}], deny: [{0}]}}", entries.join(", "));
    let mut text = WORLD
        .to_owned()
        .replace("metadata: {name: public, namespace: shop}", "metadata: {name: public, namespace: infra}");
    text = text
        .replace("port: 80, protocol: HTTP}", "port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}");
    text = text.replace("parentRefs: [{name: public}]", "parentRefs: [{name: public, namespace: infra}]");
    let mut policy = |name: &str, namespace: &str, target: &str, spec: &str| {
        text += &format!(
            "---\napiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{targetRefs: [{{group: gateway.networking.k8s.io, {target}}}], {spec}}}\n"
        );
    };
    policy("platform", "infra", "kind: Gateway, name: public", KEY_A);
    (0..count).for_each(|at| policy(&format!("p{at}"), "shop", "kind: HTTPRoute, name: orders", &filter));
    judge(&text)
}

/// Accepted of an object, at its first parent or ancestor where it has those.
fn accepted(judged: &Judged, kind: &str, name: &str) -> bool {
    let status = judged.statuses.iter().find(|one| one.kind == kind && one.name == name).unwrap();
    let own = status.conditions.iter();
    let parents = status.parents.iter().flat_map(|parent| &parent.conditions);
    own.chain(parents).find(|one| one.r#type == "Accepted").unwrap().status
}

#[test]
fn too_much_at_one_place_denies_and_is_told_where_it_belongs() {
    let fine = crowded(6);
    assert!(effective(&fine).deny.is_none());
    assert!(accepted(&fine, "HTTPRoute", "shop/orders") && accepted(&fine, "ApiPolicy", "shop/p0"));
    let crowded = crowded(20);
    assert!(effective(&crowded).deny.unwrap().message.contains("meet at HTTPRoute shop/orders"));
    assert!(!accepted(&crowded, "HTTPRoute", "shop/orders") && !accepted(&crowded, "ApiPolicy", "shop/p0"));
    assert!(accepted(&crowded, "ApiPolicy", "infra/platform"), "elsewhere it does what it says");
    let largest = crowded.compiled.snapshot.iter().map(|(_, resource)| resource.to_wire().len()).max();
    assert!(largest < Some(100_000), "{largest:?}");
}

#[test]
fn a_place_that_denies_takes_no_credential_away_from_those_that_serve() {
    let mut text = WORLD.replace("parentRefs: [{name: public}]", "parentRefs: [{name: public}, {name: zebra}]");
    text += "---\n{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: zebra, namespace: shop}, spec: {gatewayClassName: sallyport, listeners: [{name: http, port: 81, protocol: HTTP}]}}\n";
    let mut policy = |name: &str, target: &str, spec: &str| {
        text += &format!(
            "---\napiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{targetRefs: [{{group: gateway.networking.k8s.io, {target}}}], {spec}}}\n"
        );
    };
    policy(
        "own",
        "kind: HTTPRoute, name: orders",
        "authentication: [{name: open, public: {}}], credential: {none: {}}",
    );
    (0..65).for_each(|at| policy(&format!("z{at}"), "kind: Gateway, name: zebra", "ipFilter: {allow: [10.0.0.0/8]}"));
    let judged = judge(&text);
    assert!(judged.diagnostics.is_empty(), "{:#?}", judged.diagnostics);
    let denies = judged
        .compiled
        .snapshot
        .of_kind(Kind::Policy)
        .filter(|(_, one)| matches!(one.body().as_ref(), Body::Policy(policy) if policy.deny.is_some()));
    assert_eq!(denies.count(), 1, "the place on zebra");
    let route = judged.statuses.iter().find(|one| one.kind == "HTTPRoute").unwrap();
    let told: Vec<_> = route.parents.iter().map(|one| (one.parent.as_str(), one.conditions[0].status)).collect();
    assert_eq!(told, [("shop/public", true), ("shop/zebra", false)], "what is too much on zebra is told there");
    let routes: Vec<_> = judged.compiled.snapshot.of_kind(Kind::Route).collect();
    let Body::Route(route) = routes[0].1.body().as_ref() else { panic!() };
    assert_eq!(route.rules[0].backends[0].credential, "ApiPolicy/shop/own");
}
