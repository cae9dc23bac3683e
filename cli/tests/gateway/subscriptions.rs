//! Subscriptions: when their keys open, what, and for whom.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rstest::rstest;
use sallyport_dataplane::clock::UnixMs;
use serde_json::Value;

use crate::kit::caller::{Answer, get, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, backend, policy_on, route, subscription, subscription_with};
use crate::kit::service::Service;
use crate::kit::traffic::Traffic;

const KEY_A: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const KEY_B: &str = "sp_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const KEY_C: &str = "sp_cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
const ON_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
const BY_KEY: &str = "authentication: [{name: customers, subscriptionKey: {}}]";
const OF_ORDERS: &str = "{apis: [{kind: HTTPRoute, name: orders}]}";

/// `/orders`, `/reports` and `/invoices`, all behind a key.
fn keyed(service: &Service) -> String {
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &route("reports", "shop"),
        &route("invoices", "shop"),
        &backend("shop", service.address, ""),
        &policy_on("keys", ON_GATEWAY, BY_KEY),
    ];
    manifests.concat()
}

async fn with_key(gateway: &Gateway, path: &str, key: &str) -> Answer {
    send(gateway.http(), get(path, &[("sallyport-key", key)])).await
}

async fn verdict(gateway: &Gateway, path: &str, key: &str) -> String {
    with_key(gateway, path, key).await.verdict()
}

fn moment(text: &str) -> UnixMs {
    UnixMs(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// The clock runs over both moments while requests are made; each is judged by what the clock said before and after it.
#[tokio::test]
async fn a_subscription_begins_and_ends_at_the_moments_that_it_states() {
    let service = Service::start().await;
    let dates = "notBefore: 2090-01-01T00:00:00Z\n  expires: 2090-01-01T00:00:03Z";
    let subscription = subscription_with("acme", OF_ORDERS, &format!("{{primary: {KEY_A}}}"), dates);
    let gateway = Gateway::start(&[keyed(&service), subscription].concat()).await;
    let (begin, end) = (moment("2090-01-01T00:00:00Z"), moment("2090-01-01T00:00:03Z"));
    gateway.clock.advance(gateway.clock.now().until(begin) - Duration::from_secs(1));
    let mut seen = BTreeSet::new();
    while gateway.clock.now() < end.plus(Duration::from_millis(500)) {
        let before = gateway.clock.now();
        let verdict = verdict(&gateway, "/orders", KEY_A).await;
        let after = gateway.clock.now();
        match () {
            () if after < begin || before >= end => assert_eq!(verdict, "403 subscription-inactive", "{before:?}"),
            () if before >= begin && after < end => assert_eq!(verdict, "200", "{before:?}"),
            // One of the moments was during the request.
            () => continue,
        }
        seen.insert((before >= begin, before >= end));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(false, false), (true, false), (true, true)]);
}

/// What a caller reads of a subscription that is not active tells nothing of why.
#[tokio::test]
async fn whatever_makes_a_subscription_inactive_is_answered_alike() {
    let service = Service::start().await;
    let mut gateway = Gateway::start(&keyed(&service)).await;
    let mut bodies = BTreeSet::new();
    for field in [
        "state: Suspended",
        "expires: 2020-01-01T00:00:00Z",
        "notBefore: 2099-01-01T00:00:00Z",
        "state: Suspended\n  expires: 2020-01-01T00:00:00Z",
        "state: Cancelled",
    ] {
        let keys = format!("{{primary: {KEY_A}, secondary: {KEY_B}}}");
        gateway.write("keys.yaml", &subscription_with("acme", OF_ORDERS, &keys, field));
        for key in [KEY_A, KEY_B] {
            let answer = with_key(&gateway, "/orders", key).await;
            assert_eq!(answer.verdict(), "403 subscription-inactive", "{field}");
            assert_eq!(answer.header("www-authenticate"), None, "another key is not asked for");
            let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
            body["instance"].take();
            bodies.insert(body.to_string());
        }
        // What is cancelled stays so, and its file is refused.
        let after = if field == "state: Cancelled" { "403 subscription-inactive" } else { "200" };
        gateway.write("keys.yaml", &subscription("acme", OF_ORDERS, &keys));
        assert_eq!(verdict(&gateway, "/orders", KEY_B).await, after, "after {field}");
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(service.count(), 4);
}

const PRODUCT: &str = "
---
apiVersion: sallyport.dev/v1alpha1
kind: Product
metadata: {name: standard, namespace: shop}
spec:
  apis: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}, {group: gateway.networking.k8s.io, kind: HTTPRoute, name: reports}]
";

#[tokio::test]
async fn a_product_opens_its_apis_as_they_are_now() {
    let service = Service::start().await;
    let keys = format!("{{primary: {KEY_A}}}");
    let mut gateway =
        Gateway::start(&[keyed(&service), subscription("acme", "{product: {name: standard}}", &keys)].concat()).await;
    let verdicts = async |gateway: &Gateway| {
        [
            verdict(gateway, "/orders", KEY_A).await,
            verdict(gateway, "/reports", KEY_A).await,
            verdict(gateway, "/invoices", KEY_A).await,
        ]
    };
    let (open, outside, unknown) = ("200", "403 key-out-of-scope", "401 key-unknown");
    assert_eq!(verdicts(&gateway).await, [unknown; 3], "there is no such product");
    gateway.write("product.yaml", PRODUCT);
    assert_eq!(verdicts(&gateway).await, [open, open, outside], "{:?}", gateway.diagnostics);
    gateway.write("product.yaml", &PRODUCT.replace("name: reports}", "name: invoices}"));
    assert_eq!(verdicts(&gateway).await, [open, outside, open]);
    gateway.write("product.yaml", &PRODUCT.replace("name: reports}", "name: nothing}"));
    assert_eq!(verdicts(&gateway).await, [open, outside, outside], "a misspelt API opens no other");
    gateway.remove("product.yaml");
    assert_eq!(verdicts(&gateway).await, [unknown; 3]);
}

const LABELLED: &str = "\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: acme, labels: {tier: gold}}\n";

#[rstest]
#[case::of_its_own_namespace_only("", "401 key-unknown")]
#[case::said_out_loud("  subscribers: {namespaces: {from: Same}}\n", "401 key-unknown")]
#[case::of_all("  subscribers: {namespaces: {from: All}}\n  approval: Automatic\n", "200")]
#[case::by_label(
    "  subscribers: {namespaces: {from: Selector, selector: {matchLabels: {tier: gold}}}}\n  approval: Automatic\n",
    "200"
)]
#[case::by_another_label(
    "  subscribers: {namespaces: {from: Selector, selector: {matchLabels: {tier: lead}}}}\n",
    "401 key-unknown"
)]
#[tokio::test]
async fn a_product_says_itself_who_may_subscribe(#[case] subscribers: &str, #[case] expected: &str) {
    let service = Service::start().await;
    let foreign =
        subscription("acme", "{product: {name: standard, namespace: shop}}", &format!("{{primary: {KEY_A}}}"))
            .replace("namespace: shop}\nspec", "namespace: acme}\nspec")
            .replace("namespace: shop}\nstringData", "namespace: acme}\nstringData");
    let product = PRODUCT.to_owned() + subscribers;
    let gateway = Gateway::start(&[&*keyed(&service), LABELLED, &product, &foreign].concat()).await;
    assert_eq!(verdict(&gateway, "/orders", KEY_A).await, expected, "{:?}", gateway.diagnostics);
    assert_eq!(service.count(), usize::from(expected == "200"));
    assert_eq!(gateway.said("Subscription acme/acme").is_empty(), expected == "200", "{:?}", gateway.diagnostics);
}

#[rstest]
#[case::one(OF_ORDERS, ["200", "403 key-out-of-scope"])]
#[case::two("{apis: [{kind: HTTPRoute, name: reports}, {kind: HTTPRoute, name: orders}]}", ["200", "200"])]
#[case::of_another_kind("{apis: [{kind: GRPCRoute, name: orders}]}", ["403 key-out-of-scope", "403 key-out-of-scope"])]
#[case::misspelt("{apis: [{kind: HTTPRoute, name: order}]}", ["403 key-out-of-scope", "403 key-out-of-scope"])]
#[case::nothing("{}", ["401 key-unknown", "401 key-unknown"])]
#[case::two_things_at_once("{product: {name: standard}, apis: [{kind: HTTPRoute, name: orders}]}", ["401 key-unknown", "401 key-unknown"])]
#[tokio::test]
async fn single_apis_are_those_of_the_list(#[case] scope: &str, #[case] expected: [&str; 2]) {
    let service = Service::start().await;
    let manifests =
        [keyed(&service), PRODUCT.to_owned(), subscription("acme", scope, &format!("{{primary: {KEY_A}}}"))];
    let gateway = Gateway::start(&manifests.concat()).await;
    let found = [verdict(&gateway, "/orders", KEY_A).await, verdict(&gateway, "/reports", KEY_A).await];
    assert_eq!(found, expected, "{:?}", gateway.diagnostics);
}

/// A second Gateway on another port, with a route of its own.
const OTHER_GATEWAY: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: other, namespace: shop}
spec:
  gatewayClassName: sallyport
  listeners:
  - {name: http, port: 8081, protocol: HTTP}
";

#[tokio::test]
async fn all_apis_are_those_of_one_gateway_and_only_from_its_namespace() {
    let service = Service::start().await;
    let keys = |key: &str| format!("{{primary: {key}}}");
    let all =
        |name: &str, key: &str| subscription(name, "{allApis: {gateway: {name: public, namespace: shop}}}", &keys(key));
    let from_elsewhere = all("far", KEY_B)
        .replace("namespace: shop}\nspec", "namespace: far}\nspec")
        .replace("namespace: shop}\nstringData", "namespace: far}\nstringData");
    let elsewhere = route("lone", "shop").replace("parentRefs: [{name: public}]", "parentRefs: [{name: other}]");
    let manifests = [
        &*keyed(&service),
        OTHER_GATEWAY,
        &elsewhere,
        &policy_on("others", &ON_GATEWAY.replace("public", "other"), BY_KEY),
        &all("acme", KEY_A),
        &from_elsewhere,
    ];
    let mut gateway = Gateway::start(&manifests.concat()).await;
    for path in ["/orders", "/reports", "/invoices"] {
        assert_eq!(verdict(&gateway, path, KEY_A).await, "200", "{path} {:?}", gateway.diagnostics);
        assert_eq!(verdict(&gateway, path, KEY_B).await, "401 key-unknown", "{path}");
    }
    let mut other = gateway.http();
    other.set_port(8081);
    let lone = send(other, get("/lone", &[("sallyport-key", KEY_A)])).await;
    assert_eq!(lone.verdict(), "403 key-out-of-scope", "another Gateway's");
    gateway.write("later.yaml", &route("later", "shop"));
    assert_eq!(verdict(&gateway, "/later", KEY_A).await, "200", "a route that came later as well");
}

fn hex(key: &str) -> String {
    digest(&SHA256, key.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A Subscription to `/orders` that has only digests of its keys, created in this year.
fn digests(name: &str, year: u32, keys: &str) -> String {
    format!(
        "
---
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {{name: {name}, namespace: shop, creationTimestamp: '{year}-01-01T00:00:00Z'}}
spec:
  scope: {OF_ORDERS}
  keys: {{sha256: {keys}}}
"
    )
}

#[tokio::test]
async fn keys_may_be_known_by_their_digests_alone() {
    let service = Service::start().await;
    let mut gateway = Gateway::start(&keyed(&service)).await;
    gateway
        .write("keys.yaml", &digests("acme", 2020, &format!("{{primary: {}, secondary: {}}}", hex(KEY_A), hex(KEY_B))));
    for (key, expected) in [
        (KEY_A, "200"),
        (KEY_B, "200"),
        (KEY_C, "401 key-unknown"),
        (&*hex(KEY_A), "401 key-unknown"),
        (&*KEY_A.to_uppercase(), "401 key-unknown"),
        (&KEY_A[..KEY_A.len() - 1], "401 key-unknown"),
    ] {
        assert_eq!(verdict(&gateway, "/orders", key).await, expected, "{key} {:?}", gateway.diagnostics);
    }
    gateway.write("keys.yaml", &digests("acme", 2020, &format!("{{secondary: {}}}", hex(KEY_C))));
    for (key, expected) in [(KEY_A, "401 key-unknown"), (KEY_B, "401 key-unknown"), (KEY_C, "200")] {
        assert_eq!(verdict(&gateway, "/orders", key).await, expected, "{key}");
    }
}

#[rstest]
#[case::upper_case(&hex(KEY_A).to_uppercase())]
#[case::cut_short(&hex(KEY_A)[..62])]
#[case::the_key_itself(KEY_A)]
#[case::no_digits(&"z".repeat(64))]
#[tokio::test]
async fn what_is_no_digest_opens_nothing(#[case] text: &str) {
    let service = Service::start().await;
    let manifests = [keyed(&service), digests("acme", 2020, &format!("{{primary: '{text}'}}"))];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(verdict(&gateway, "/orders", KEY_A).await, "401 key-unknown");
    assert!(!gateway.said("Subscription shop/acme").is_empty(), "{:?}", gateway.diagnostics);
}

/// Whoever writes down somebody else's digest gets nothing by it, and takes nothing away.
#[tokio::test]
async fn a_key_belongs_to_the_older_subscription_and_its_state_counts() {
    let service = Service::start().await;
    let keys = format!("{{primary: {}}}", hex(KEY_A));
    let of_reports = |year| digests("thief", year, &keys).replace("name: orders", "name: reports");
    let mut gateway = Gateway::start(&[keyed(&service), digests("owner", 2020, &keys)].concat()).await;
    gateway.write("thief.yaml", &of_reports(2021));
    assert_eq!(verdict(&gateway, "/orders", KEY_A).await, "200");
    assert_eq!(verdict(&gateway, "/reports", KEY_A).await, "403 key-out-of-scope");
    let log = gateway.log(2).await;
    assert_eq!(log[0]["subscription"], "shop/owner");
    assert!(gateway.said("Subscription shop/thief").contains("older"), "{:?}", gateway.diagnostics);
    let suspended = digests("owner", 2020, &keys) + "  state: Suspended\n";
    gateway.write("main.yaml", &[keyed(&service), suspended].concat());
    assert_eq!(verdict(&gateway, "/orders", KEY_A).await, "403 subscription-inactive");
    assert_eq!(verdict(&gateway, "/reports", KEY_A).await, "403 subscription-inactive", "the key is the owner's still");
}

#[tokio::test]
async fn keys_in_two_header_fields_are_an_invalid_request() {
    let service = Service::start().await;
    let spec =
        "authentication: [{name: customers, subscriptionKey: {headers: [X-One, X-Two], queryParameters: [k, key]}}]";
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, ""),
        &policy_on("keys", ON_GATEWAY, spec),
        &subscription("acme", OF_ORDERS, &format!("{{primary: {KEY_A}}}")),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 8] = [
        ("/orders", &[("x-one", KEY_A)], "200"),
        ("/orders", &[("x-two", KEY_A)], "200"),
        ("/orders", &[("x-one", KEY_A), ("x-two", KEY_A)], "400 credential-ambiguous"),
        ("/orders", &[("x-one", KEY_A), ("x-two", "other")], "400 credential-ambiguous"),
        ("/orders", &[("x-one", ""), ("x-two", KEY_A)], "400 credential-ambiguous"),
        ("/orders?k=x&key=x", &[], "400 credential-ambiguous"),
        ("/orders?key=x", &[("x-two", KEY_A)], "400 credential-ambiguous"),
        ("/orders?%6bey=x", &[("x-two", KEY_A)], "400 credential-ambiguous"),
    ];
    for (target, headers, expected) in cases {
        let answer = send(gateway.http(), get(target, headers)).await;
        assert_eq!(answer.verdict(), expected, "{target} {headers:?} {:?}", gateway.diagnostics);
        if answer.status == 400 {
            assert_eq!(answer.header("www-authenticate"), Some(r#"Sallyport-Key error="invalid_request""#));
        }
    }
    for seen in service.take() {
        assert!(["x-one", "x-two"].iter().all(|name| seen.header(name).is_none()), "{seen:?}");
    }
}

/// The customer uses one key while the other is exchanged, and goes on with that one; only digests are known here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digests_are_exchanged_one_after_the_other_under_load_and_none_is_refused() {
    let service = Service::start().await;
    let mut gateway = Gateway::start(&keyed(&service)).await;
    let with = |primary: &str, secondary: &str| {
        digests("acme", 2020, &format!("{{primary: {}, secondary: {}}}", hex(primary), hex(secondary)))
    };
    gateway.write("keys.yaml", &with(KEY_A, KEY_B));
    let by_a = Traffic::steady(gateway.http(), 2, "/orders", &[("sallyport-key", KEY_A)]);
    by_a.more(40).await;
    gateway.write("keys.yaml", &with(KEY_A, KEY_C));
    by_a.more(40).await;
    let by_c = Traffic::steady(gateway.http(), 2, "/orders", &[("sallyport-key", KEY_C)]);
    by_c.more(40).await;
    let by_a = by_a.stop().await;
    gateway.write("keys.yaml", &with(KEY_B, KEY_C));
    by_c.more(40).await;
    let by_c = by_c.stop().await;
    assert!(by_a.keys().chain(by_c.keys()).all(|verdict| verdict == "200"), "{by_a:?} {by_c:?}");
    assert_eq!(verdict(&gateway, "/orders", KEY_A).await, "401 key-unknown");
}
