//! Who may come in.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use crate::kit::caller::{connect_from, get, get_from, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::{Issuer, encode, merged};
use crate::kit::manifest::{
    GATEWAY, OPEN, backend, gateway_with, policy, policy_on, route, subscription, subscription_with,
};
use crate::kit::service::Service;
use crate::kit::traffic::Traffic;

/// A token policy with the issuer's keys inline, so that nothing has to be fetched first.
fn token_policy(issuer: &Issuer, more: &str) -> String {
    let keys = issuer.key_set();
    format!(
        "authentication:\n- name: staff\n  jwt:\n    issuer: {}\n    audiences: [orders-api]\n    keys: {{inline: '{keys}'}}\n{more}",
        issuer.name()
    )
}

struct Shop {
    gateway: Gateway,
    service: Service,
    issuer: Issuer,
}

impl Shop {
    /// `/orders` behind a token of the issuer, with the scope `orders.read` and the role buyer or admin.
    async fn start() -> Self {
        let (service, issuer) = (Service::start().await, Issuer::start().await);
        let spec =
            token_policy(&issuer, "    scopes: [orders.read]\n    claims: [{name: roles, anyOf: [buyer, admin]}]\n");
        let manifests =
            [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", &spec)]
                .concat();
        let gateway = Gateway::start(&manifests).await;
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service, issuer }
    }

    fn claims(&self) -> Value {
        let more = json!({ "scope": "openid orders.read", "roles": ["buyer"] });
        merged(self.issuer.claims("orders-api"), &more)
    }

    async fn verdict(&self, authorization: &str) -> String {
        send(self.gateway.http(), get("/orders/1", &[("authorization", authorization)])).await.verdict()
    }
}

#[tokio::test]
async fn scenario_1_a_token_is_validated_and_reaches_the_service_byte_for_byte() {
    let shop = Shop::start().await;
    let token = shop.issuer.sign(&shop.issuer.header(), &shop.claims());
    for authorization in [format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER   {token}")] {
        let answer = send(shop.gateway.http(), get("/orders/1?a=%20b&c", &[("Authorization", &authorization)])).await;
        assert_eq!(answer.verdict(), "200", "{answer:?}");
        let seen = shop.service.one();
        assert_eq!(seen.header("authorization"), Some(authorization.as_str()));
        assert_eq!(seen.target, "/orders/1?a=%20b&c");
    }
}

#[tokio::test]
async fn tokens_that_must_be_refused_are_refused_and_nothing_reaches_the_service() {
    let shop = Shop::start().await;
    let (issuer, good, header) = (&shop.issuer, shop.claims(), shop.issuer.header());
    let stranger = Issuer::down().await;
    let now = sallyport_dataplane::clock::Clock::default().now().seconds();
    let with = |changes: Value| issuer.sign(&header, &merged(good.clone(), &changes));
    let headed = |changes: Value| issuer.sign(&merged(header.clone(), &changes), &good);
    let sound = issuer.sign(&header, &good);
    let parts: Vec<_> = sound.split('.').collect();
    let unsigned = |alg: &str| format!("{}.{}.", encode(json!({ "alg": alg }).to_string()), parts[1]);
    let changed = encode(merged(good.clone(), &json!({ "sub": "root" })).to_string());
    let doubled = good.to_string().replacen('{', r#"{"aud":"other","#, 1);
    let refused = [
        ("no token at all", String::new()),
        ("no signature", unsigned("none")),
        ("no signature, spelt otherwise", unsigned("nOnE")),
        ("a shared secret instead of a key", unsigned("HS256")),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{sound}.x")),
        ("another payload under the signature", format!("{}.{changed}.{}", parts[0], parts[2])),
        ("a signature of zeros", format!("{}.{}.{}", parts[0], parts[1], encode([0; 64]))),
        ("a signature cut short", sound[..sound.len() - 3].to_owned()),
        ("padding", format!("{sound}=")),
        ("signed by a stranger", stranger.sign(&header, &good)),
        ("of another issuer", with(json!({ "iss": "https://other.example.com" }))),
        ("an issuer with one slash more", with(json!({ "iss": format!("{}/", issuer.name()) }))),
        ("no issuer", with(json!({ "iss": null }))),
        ("an array of issuers", with(json!({ "iss": [issuer.name()] }))),
        ("for another audience", with(json!({ "aud": "billing-api" }))),
        ("for a longer audience", with(json!({ "aud": "orders-api-2" }))),
        ("no audience", with(json!({ "aud": null }))),
        ("an object as audience", with(json!({ "aud": { "orders-api": true } }))),
        ("expired", with(json!({ "exp": now - 61 }))),
        ("without an end", with(json!({ "exp": null }))),
        ("an end that is a text", with(json!({ "exp": "4102444800" }))),
        ("not yet begun", with(json!({ "nbf": now + 3600 }))),
        ("issued in the future", with(json!({ "iat": now + 3600 }))),
        ("a critical extension", headed(json!({ "crit": ["x"], "x": 1 }))),
        ("an unencoded payload", headed(json!({ "crit": ["b64"], "b64": false }))),
        ("another algorithm than the key's", headed(json!({ "alg": "RS256" }))),
        ("an unknown key", headed(json!({ "kid": "second" }))),
        ("a key to be fetched", headed(json!({ "kid": "x", "jku": format!("{}/jwks", issuer.name()) }))),
        ("an ID token", headed(json!({ "typ": "logout+jwt" }))),
        ("one member twice", issuer.sign_text(&header.to_string(), &doubled)),
        ("trailing text", issuer.sign_text(&header.to_string(), &format!("{good} x"))),
        ("larger than 16 kB", with(json!({ "more": "x".repeat(17_000) }))),
    ];
    let mut wrong = Vec::new();
    for (what, token) in &refused {
        let verdict = shop.verdict(&format!("Bearer {token}")).await;
        if !["401 token-invalid", "401 credential-missing", "431 head-too-large"].contains(&verdict.as_str()) {
            wrong.push(format!("{what}: {verdict}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(refused.len() >= 30);
    assert_eq!(shop.service.count(), 0);
    assert_eq!(shop.verdict(&format!("Bearer {sound}")).await, "200");
}

#[rstest]
#[case::scope_missing(json!({ "scope": "openid" }), "403 scope-insufficient")]
#[case::scope_as_part_of_another(json!({ "scope": "orders.readonly xorders.read" }), "403 scope-insufficient")]
#[case::scope_absent(json!({ "scope": null }), "403 scope-insufficient")]
#[case::scope_in_scp(json!({ "scope": null, "scp": "orders.read" }), "200")]
#[case::role_missing(json!({ "roles": ["reader"] }), "403 claim-insufficient")]
#[case::role_as_text(json!({ "roles": "admin" }), "200")]
#[case::roles_absent(json!({ "roles": null }), "403 claim-insufficient")]
#[case::role_as_part_of_another(json!({ "roles": ["buyers"] }), "403 claim-insufficient")]
#[case::several_audiences(json!({ "aud": ["x", "orders-api"] }), "200")]
#[tokio::test]
async fn a_valid_token_may_not_be_enough(#[case] changes: Value, #[case] expected: &str) {
    let shop = Shop::start().await;
    let token = shop.issuer.sign(&shop.issuer.header(), &merged(shop.claims(), &changes));
    assert_eq!(shop.verdict(&format!("Bearer {token}")).await, expected);
    assert_eq!(shop.service.count(), usize::from(expected == "200"));
}

#[tokio::test]
async fn a_refusal_says_how_to_come_in_and_nothing_more() {
    let shop = Shop::start().await;
    let missing = send(shop.gateway.http(), get("/orders", &[])).await;
    assert_eq!(missing.verdict(), "401 credential-missing");
    assert_eq!(missing.header("www-authenticate"), Some(r#"Bearer realm="sallyport""#));
    let invalid = send(shop.gateway.http(), get("/orders", &[("authorization", "Bearer x")])).await;
    assert_eq!(invalid.header("www-authenticate"), Some(r#"Bearer realm="sallyport", error="invalid_token""#));
    let poor = shop.issuer.sign(&shop.issuer.header(), &merged(shop.claims(), &json!({ "scope": "" })));
    let poor = send(shop.gateway.http(), get("/orders", &[("authorization", &format!("Bearer {poor}"))])).await;
    assert_eq!(
        poor.header("www-authenticate"),
        Some(r#"Bearer realm="sallyport", error="insufficient_scope", scope="orders.read""#)
    );
    assert_eq!(poor.header("content-type"), Some("application/problem+json"));
    let text = String::from_utf8(poor.body.to_vec()).unwrap();
    assert!(!text.contains("shop/orders") && !text.contains("roles"), "{text}");
    let log = shop.gateway.log(3).await;
    assert_eq!(log[2]["refusal"]["object"], "ApiPolicy shop/orders");
    assert_eq!(log[2]["refusal"]["rule"], "staff");
    let instance: Value = serde_json::from_slice(&poor.body).unwrap();
    assert_eq!(log[2]["instance"], instance["instance"]);
}

#[tokio::test]
async fn two_authorization_fields_are_refused_as_ambiguous() {
    let shop = Shop::start().await;
    let token = format!("Bearer {}", shop.issuer.sign(&shop.issuer.header(), &shop.claims()));
    let twice = get("/orders", &[("authorization", &token), ("authorization", &token)]);
    assert!(send(shop.gateway.http(), twice).await.verdict().starts_with("400"));
    assert_eq!(shop.service.count(), 0);
}

const KEY_A: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const KEY_B: &str = "sp_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const KEY_C: &str = "sp_cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

const BY_KEY: &str = "authentication: [{name: customers, subscriptionKey: {}}]";
const OF_REPORTS: &str = "{apis: [{kind: HTTPRoute, name: reports}]}";

/// `/reports` behind a key, `/orders` behind a key for something else.
fn keyed(service: &Service) -> String {
    [
        GATEWAY,
        &route("reports", "shop"),
        &route("orders", "shop"),
        &backend("shop", service.address, ""),
        &policy("reports", BY_KEY),
        &policy("orders", BY_KEY),
    ]
    .concat()
}

#[tokio::test]
async fn a_key_opens_what_it_is_for() {
    let service = Service::start().await;
    let keys = format!("{{primary: {KEY_A}, secondary: {KEY_B}}}");
    let gateway = Gateway::start(&[keyed(&service), subscription("acme", OF_REPORTS, &keys)].concat()).await;
    let cases = [
        ("/reports", Some(KEY_A), "200"),
        ("/reports", Some(KEY_B), "200"),
        ("/reports", Some(KEY_C), "401 key-unknown"),
        ("/reports", Some(""), "401 key-unknown"),
        ("/reports", None, "401 credential-missing"),
        ("/orders", Some(KEY_A), "403 key-out-of-scope"),
        ("/orders", Some(KEY_C), "401 key-unknown"),
    ];
    for (path, key, expected) in cases {
        let headers: Vec<_> = key.map(|key| ("Sallyport-Key", key)).into_iter().collect();
        let answer = send(gateway.http(), get(path, &headers)).await;
        assert_eq!(answer.verdict(), expected, "{path} {key:?}");
        if answer.status == 401 {
            assert_eq!(answer.header("www-authenticate"), Some(r#"Sallyport-Key realm="sallyport""#));
        }
    }
    for seen in service.take() {
        assert_eq!(seen.header("sallyport-key"), None, "a key never travels");
    }
    let twice = get("/reports", &[("Sallyport-Key", KEY_A), ("Sallyport-Key", KEY_B)]);
    assert_eq!(send(gateway.http(), twice).await.verdict(), "400 credential-ambiguous");
}

#[tokio::test]
async fn a_key_may_stand_in_the_query_where_the_policy_says_so_and_never_travels() {
    let service = Service::start().await;
    let spec = "authentication: [{name: customers, subscriptionKey: {headers: [X-Key], queryParameters: [key]}}]";
    let manifests = [
        GATEWAY,
        &route("reports", "shop"),
        &backend("shop", service.address, ""),
        &policy("reports", spec),
        &subscription("acme", OF_REPORTS, &format!("{{primary: {KEY_A}}}")),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let verdict =
        async |target: &str, headers: &[(&str, &str)]| send(gateway.http(), get(target, headers)).await.verdict();
    assert_eq!(verdict(&format!("/reports?a=1&key={KEY_A}&b=2"), &[]).await, "200");
    assert_eq!(service.one().target, "/reports?a=1&b=2");
    assert_eq!(verdict("/reports", &[("x-key", KEY_A)]).await, "200");
    assert_eq!(service.one().header("x-key"), None);
    assert_eq!(verdict(&format!("/reports?key={KEY_A}"), &[("x-key", KEY_A)]).await, "400 credential-ambiguous");
    assert_eq!(verdict(&format!("/reports?key={KEY_A}&key={KEY_A}"), &[]).await, "400 credential-ambiguous");
    assert_eq!(verdict("/reports", &[("sallyport-key", KEY_A)]).await, "401 credential-missing");
}

#[rstest]
#[case::suspended("state: Suspended", "403 subscription-inactive")]
#[case::cancelled("state: Cancelled", "403 subscription-inactive")]
#[case::expired("expires: 2020-01-01T00:00:00Z", "403 subscription-inactive")]
#[case::not_begun("notBefore: 2099-01-01T00:00:00Z", "403 subscription-inactive")]
#[case::within_dates("notBefore: 2020-01-01T00:00:00Z\n  expires: 2099-01-01T00:00:00Z", "200")]
#[tokio::test]
async fn a_subscription_holds_as_long_as_it_says(#[case] field: &str, #[case] expected: &str) {
    let service = Service::start().await;
    let manifests = [keyed(&service), subscription_with("acme", OF_REPORTS, &format!("{{primary: {KEY_A}}}"), field)];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(send(gateway.http(), get("/reports", &[("sallyport-key", KEY_A)])).await.verdict(), expected);
}

#[tokio::test]
async fn a_subscription_ends_to_the_second() {
    let service = Service::start().await;
    let manifests = [
        keyed(&service),
        subscription_with("acme", OF_REPORTS, &format!("{{primary: {KEY_A}}}"), "expires: 2090-01-01T00:00:00Z"),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let verdict = async || send(gateway.http(), get("/reports", &[("sallyport-key", KEY_A)])).await.verdict();
    let end: jiff::Timestamp = "2090-01-01T00:00:00Z".parse().unwrap();
    let left = gateway.clock.now().until(sallyport_dataplane::clock::UnixMs(end.as_millisecond()));
    gateway.clock.advance(left - Duration::from_secs(5));
    assert_eq!(verdict().await, "200");
    gateway.clock.advance(Duration::from_secs(5));
    assert_eq!(verdict().await, "403 subscription-inactive");
}

#[tokio::test]
async fn a_key_in_addition_to_a_token() {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let spec = token_policy(&issuer, "  subscriptionKey: {}\n");
    let manifests = [
        GATEWAY,
        &route("reports", "shop"),
        &backend("shop", service.address, ""),
        &policy("reports", &spec),
        &subscription("acme", OF_REPORTS, &format!("{{primary: {KEY_A}}}")),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let bearer = format!("Bearer {}", issuer.token("orders-api"));
    let token = ("authorization", bearer.as_str());
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[token, ("sallyport-key", KEY_A)], "200"),
        (&[token], "401 credential-missing"),
        (&[("sallyport-key", KEY_A)], "401 credential-missing"),
        (&[token, ("sallyport-key", KEY_C)], "401 key-unknown"),
        (&[("authorization", "Bearer x"), ("sallyport-key", KEY_A)], "401 token-invalid"),
    ];
    for (headers, expected) in cases {
        assert_eq!(send(gateway.http(), get("/reports", headers)).await.verdict(), expected, "{headers:?}");
    }
    assert_eq!(service.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_keys_are_swapped_one_after_the_other_under_load_and_none_is_refused() {
    let service = Service::start().await;
    let mut gateway = Gateway::start(&keyed(&service)).await;
    let with = |primary: &str, secondary: &str| {
        subscription("acme", OF_REPORTS, &format!("{{primary: {primary}, secondary: {secondary}}}"))
    };
    gateway.write("keys.yaml", &with(KEY_A, KEY_B));
    // The customer goes from one key to the other whenever the first is about to change, as rotation is meant.
    let use_second = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&use_second);
    let script = move || {
        let key = if now.load(Ordering::SeqCst) { KEY_B } else { KEY_A };
        ("/reports".to_owned(), vec![("sallyport-key".to_owned(), key.to_owned())])
    };
    let traffic = Traffic::start(gateway.http(), 4, Arc::new(script));
    traffic.more(200).await;
    use_second.store(true, Ordering::SeqCst);
    traffic.more(20).await;
    gateway.write("keys.yaml", &with(KEY_C, KEY_B));
    traffic.more(200).await;
    gateway.write("keys.yaml", &with(KEY_A, KEY_B));
    use_second.store(false, Ordering::SeqCst);
    traffic.more(20).await;
    gateway.write("keys.yaml", &with(KEY_A, KEY_C));
    traffic.more(200).await;
    let verdicts = traffic.stop().await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["200"], "{verdicts:?}");
    assert_eq!(send(gateway.http(), get("/reports", &[("sallyport-key", KEY_B)])).await.verdict(), "401 key-unknown");
}

#[rstest]
#[case::allowed("{allow: [127.0.0.0/30]}", &[], "200")]
#[case::not_allowed("{allow: [10.0.0.0/8]}", &[], "403 address-denied")]
#[case::range("{allow: [127.0.0.1-127.0.0.3]}", &[], "200")]
#[case::deny_beats_allow("{allow: [127.0.0.0/8], deny: [127.0.0.2]}", &[], "403 address-denied")]
#[case::denied_only("{deny: [127.0.0.3]}", &[], "200")]
#[case::forwarded_by_a_stranger("{allow: [203.0.113.7]}", &["203.0.113.7"], "403 address-denied")]
#[tokio::test]
async fn addresses_are_judged(#[case] filter: &str, #[case] forwarded: &[&str], #[case] expected: &str) {
    let service = Service::start().await;
    let spec = format!("{OPEN}\nipFilter: {filter}");
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", &spec)];
    let gateway = Gateway::start(&manifests.concat()).await;
    let headers: Vec<_> = forwarded.iter().map(|line| ("x-forwarded-for", *line)).collect();
    let answer = get_from(Ipv4Addr::new(127, 0, 0, 2), gateway.http(), "/orders", &headers).await;
    assert_eq!(answer.verdict(), expected);
    assert_eq!(service.count(), usize::from(expected == "200"));
}

#[rstest]
#[case::the_client_behind("203.0.113.7", "200")]
#[case::the_rightmost_that_is_no_proxy("203.0.113.7, 198.51.100.9", "403 address-denied")]
#[case::what_the_client_wrote_first_is_not_believed("10.1.1.1, 203.0.113.7", "200")]
#[case::through_a_second_trusted_proxy("203.0.113.7, 127.0.0.9", "200")]
#[case::unreadable("203.0.113.7, unknown", "403 address-denied")]
#[case::empty("", "403 address-denied")]
#[case::mapped("::ffff:203.0.113.7", "200")]
#[tokio::test]
async fn trusted_proxies_are_believed_from_the_right(#[case] forwarded: &str, #[case] expected: &str) {
    let service = Service::start().await;
    let gateway = gateway_with("{trustedProxies: {cidrs: [127.0.0.0/8]}}");
    let spec = format!("{OPEN}\nipFilter: {{allow: [203.0.113.7]}}");
    let manifests = [gateway, route("orders", "shop"), backend("shop", service.address, ""), policy("orders", &spec)];
    let gateway = Gateway::start(&manifests.concat()).await;
    let answer = send(gateway.http(), get("/orders", &[("x-forwarded-for", forwarded)])).await;
    assert_eq!(answer.verdict(), expected, "{:?}", gateway.diagnostics);
}

#[tokio::test]
async fn alternatives_are_tried_in_order_and_the_one_that_came_furthest_speaks() {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let spec = format!("{}- {{name: customers, subscriptionKey: {{}}}}\n", token_policy(&issuer, ""));
    let manifests = [
        GATEWAY,
        &route("reports", "shop"),
        &backend("shop", service.address, ""),
        &policy("reports", &spec),
        &subscription("acme", OF_REPORTS, &format!("{{primary: {KEY_A}}}")),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let bearer = format!("Bearer {}", issuer.token("orders-api"));
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<&'a str>);
    let cases: [Case<'_>; 6] = [
        (&[("authorization", &bearer)], "200", Some("staff")),
        (&[("sallyport-key", KEY_A)], "200", Some("customers")),
        (&[("authorization", &bearer), ("sallyport-key", KEY_A)], "200", Some("staff")),
        (&[("authorization", "Bearer x"), ("sallyport-key", KEY_A)], "200", Some("customers")),
        (&[("authorization", "Bearer x")], "401 token-invalid", None),
        (&[], "401 credential-missing", None),
    ];
    for (index, (headers, expected, alternative)) in cases.into_iter().enumerate() {
        let answer = send(gateway.http(), get("/reports", headers)).await;
        assert_eq!(answer.verdict(), expected, "{headers:?}");
        let line = gateway.log(index + 1).await.remove(index);
        assert_eq!(line["alternative"].as_str(), alternative, "{line}");
    }
    let missing = send(gateway.http(), get("/reports", &[])).await;
    let challenges: Vec<_> = missing.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, [r#"Bearer realm="sallyport""#, r#"Sallyport-Key realm="sallyport""#]);
}

const ON_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";

#[tokio::test]
async fn a_floor_holds_whatever_a_route_says() {
    let service = Service::start().await;
    let floor = format!("enforcement: Floor\nipFilter: {{deny: [127.0.0.66]}}\n{BY_KEY}");
    let manifests = [
        GATEWAY,
        &route("reports", "shop"),
        &backend("shop", service.address, ""),
        &policy("reports", OPEN),
        &policy_on("floor", ON_GATEWAY, &floor),
        &subscription("acme", OF_REPORTS, &format!("{{primary: {KEY_A}}}")),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let key: &[_] = &[("sallyport-key", KEY_A)];
    let usual = Ipv4Addr::new(127, 0, 0, 3);
    assert_eq!(get_from(usual, gateway.http(), "/reports", &[]).await.verdict(), "401 credential-missing");
    assert_eq!(get_from(usual, gateway.http(), "/reports", key).await.verdict(), "200");
    let barred = Ipv4Addr::new(127, 0, 0, 66);
    assert!(connect_from(barred, gateway.http()).await.is_empty(), "the Gateway does not even answer it");
    assert_eq!(service.one().header("sallyport-key"), None);
}

#[tokio::test]
async fn the_nearest_policy_wins_and_a_level_above_holds_where_none_is_stated() {
    let service = Service::start().await;
    let manifests = [
        keyed(&service),
        subscription("acme", OF_REPORTS, &format!("{{primary: {KEY_A}}}")),
        route("open", "shop"),
        route("bare", "shop"),
        policy("open", OPEN),
        policy_on("gateway", ON_GATEWAY, BY_KEY),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let verdict = async |path: &str| send(gateway.http(), get(path, &[])).await.verdict();
    assert_eq!(verdict("/open").await, "200");
    assert_eq!(verdict("/bare").await, "401 credential-missing");
    assert_eq!(verdict("/reports").await, "401 credential-missing");
}

#[tokio::test]
async fn a_policy_in_report_mode_refuses_nothing_opens_nothing_and_tells() {
    let service = Service::start().await;
    let manifests = [
        GATEWAY,
        &route("open", "shop"),
        &route("bare", "shop"),
        &backend("shop", service.address, ""),
        &policy("open", OPEN),
        &policy_on(
            "rehearsal",
            "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: open}",
            &format!("mode: Report\n{BY_KEY}\nrequestHeaders: {{set: [{{name: X-Rehearsed, value: yes}}]}}"),
        ),
        &policy_on(
            "rehearsal-bare",
            "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: bare}",
            &format!("mode: Report\n{OPEN}"),
        ),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(send(gateway.http(), get("/open", &[])).await.verdict(), "200", "{:?}", gateway.diagnostics);
    assert_eq!(service.one().header("x-rehearsed"), None);
    assert_eq!(send(gateway.http(), get("/bare", &[])).await.verdict(), "500 unprotected");
    let line = gateway.log(1).await.remove(0);
    assert_eq!(line["would_refuse"][0]["refusal"]["reason"], "credential-missing", "{line}");
    let metrics = send(gateway.admin(), get("/metrics", &[])).await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains(r#"sallyport_rehearsed_refusals_total{reason="credential-missing"} 1"#), "{text}");
}

#[tokio::test]
async fn a_route_that_nobody_has_spoken_about_is_refused() {
    let service = Service::start().await;
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, "")];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "500 unprotected");
    assert_eq!(send(gateway.http(), get("/nothing", &[])).await.verdict(), "404 no-route");
    assert_eq!(service.count(), 0);
}
