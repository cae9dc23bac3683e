//! How many requests there may be: in a time, and at once.

use std::any::Any;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Empty};
use rstest::rstest;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::kit::caller::{Answer, HOST, get, get_from, get_http2, http2, open, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, policy_on, route, subscription};
use crate::kit::service::Service;

const KEY_A: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const KEY_B: &str = "sp_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const BY_KEY: &str = "authentication: [{name: customers, subscriptionKey: {}}]";
const ON_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
const ON_ROUTE: &str = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}";
const ANOTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
/// What a busy machine takes to see that something has ended.
const SOON: Duration = Duration::from_secs(3);

struct Shop {
    gateway: Gateway,
    service: Service,
}

impl Shop {
    /// `/orders` and `/reports` with two subscriptions to both.
    async fn start(spec: &str, more: &str) -> Self {
        let service = Service::start().await;
        let both = "{apis: [{kind: HTTPRoute, name: orders}, {kind: HTTPRoute, name: reports}]}";
        let manifests = [
            GATEWAY,
            &route("orders", "shop"),
            &route("reports", "shop"),
            &backend("shop", service.address, ""),
            &subscription("acme", both, &format!("{{primary: {KEY_A}}}")),
            &subscription("bolt", both, &format!("{{primary: {KEY_B}}}")),
            &policy("reports", BY_KEY),
            more,
        ];
        let mut gateway = Gateway::start(&manifests.concat()).await;
        gateway.write("orders.yaml", &policy("orders", spec));
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service }
    }

    async fn by_key(&self, path: &str, key: &str) -> Answer {
        send(self.gateway.http(), get(path, &[("sallyport-key", key)])).await
    }

    async fn admitted(&self, path: &str, key: &str, times: usize) -> usize {
        let mut admitted = 0;
        for _ in 0..times {
            let verdict = self.by_key(path, key).await.verdict();
            admitted += usize::from(verdict == "200");
            assert!(["200", "429 rate-exceeded"].contains(&verdict.as_str()), "{verdict}");
        }
        admitted
    }
}

fn limited(limits: &str) -> String {
    format!("{BY_KEY}\nlimits:\n{limits}\n")
}

#[tokio::test]
async fn each_subscription_has_so_many_requests_in_a_time() {
    let shop = Shop::start(&limited("- {name: per-customer, requests: 3, per: 1h, by: Subscription}"), "").await;
    assert_eq!(shop.admitted("/orders/1", KEY_A, 5).await, 3);
    assert_eq!(shop.admitted("/orders/1", KEY_B, 5).await, 3);
    assert_eq!(shop.admitted("/reports/1", KEY_A, 5).await, 5, "another policy's");
    assert_eq!(shop.service.count(), 11);
    let refused = shop.by_key("/orders/1", KEY_A).await;
    assert_eq!(refused.verdict(), "429 rate-exceeded");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3590..=3661).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""per-customer";q=3;w=3600"#));
    assert!(refused.header("ratelimit").unwrap().starts_with(r#""per-customer";r=0;t="#), "{refused:?}");
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    let line = shop.gateway.log(16).await.pop().unwrap();
    let told = &line["refusal"];
    assert_eq!((&told["section"], &told["rule"]), (&"limits".into(), &"per-customer".into()), "{line}");
    assert_eq!(told["object"], "ApiPolicy shop/orders");
    assert!(told["message"].as_str().unwrap().starts_with("Subscription shop/acme has had 3 in 3600 s"), "{line}");
}

#[tokio::test]
async fn what_was_used_comes_back() {
    let shop = Shop::start(&limited("- {name: burst, requests: 2, per: 1s, by: Subscription}"), "").await;
    let began = Instant::now();
    let mut admitted = 0_u32;
    while began.elapsed() < Duration::from_millis(2_500) {
        admitted += u32::from(shop.by_key("/orders/1", KEY_A).await.verdict() == "200");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!((4..=6).contains(&admitted), "{admitted} in two and a half seconds");
}

#[tokio::test]
async fn an_answer_tells_what_is_left() {
    let limits = "- {name: wide, requests: 100, per: 1m, by: ClientAddress}\n- {name: tight, requests: 4, per: 1m, by: Subscription}\n- {name: at-once, concurrent: 7, by: Identity}";
    let shop = Shop::start(&limited(limits), "").await;
    let answer = shop.by_key("/orders/1", KEY_A).await;
    let policy = r#""tight";q=4;w=60, "wide";q=100;w=60, "at-once";q=7;qu="concurrent-requests""#;
    assert_eq!((answer.verdict(), answer.header("ratelimit-policy")), ("200".to_owned(), Some(policy)));
    let left = answer.header("ratelimit").unwrap();
    assert!(left.starts_with(r#""tight";r=3;t=6"#) && left.contains(r#""wide";r=99;t=6"#), "{left}");
    let stranger = send(shop.gateway.http(), get("/orders/1", &[])).await;
    assert_eq!(stranger.verdict(), "401 credential-missing");
    assert_eq!((stranger.header("ratelimit"), stranger.header("ratelimit-policy")), (None, None));
}

/// Counted by address, before a credential is asked for: so guessing is bounded.
#[tokio::test]
async fn addresses_are_counted_before_anybody_is_asked_who_it_is() {
    let shop = Shop::start(&limited("- {name: per-address, requests: 3, per: 1h, by: ClientAddress}"), "").await;
    for _ in 0..3 {
        assert_eq!(shop.by_key("/orders/1", "sp_guessed").await.verdict(), "401 key-unknown");
    }
    let refused = shop.by_key("/orders/1", KEY_A).await;
    assert_eq!((refused.verdict(), refused.header("ratelimit")), ("429 rate-exceeded".to_owned(), None));
    let spoofed = get("/orders/1", &[("sallyport-key", KEY_A), ("x-forwarded-for", "192.0.2.1")]);
    assert_eq!(send(shop.gateway.http(), spoofed).await.verdict(), "429 rate-exceeded");
    let another = get_from(ANOTHER, shop.gateway.http(), "/orders/1", &[("sallyport-key", KEY_A)]).await;
    assert_eq!(another.verdict(), "200");
    assert_eq!(shop.service.count(), 1);
}

#[tokio::test]
async fn a_wider_level_counts_what_no_nearer_one_states_and_a_floor_always() {
    let on_gateway = policy_on("wide", ON_GATEWAY, "limits: [{name: wide, requests: 2, per: 1h, by: ClientAddress}]\n");
    let shop = Shop::start(BY_KEY, &on_gateway).await;
    assert_eq!(shop.admitted("/orders/1", KEY_A, 1).await, 1);
    assert_eq!(shop.admitted("/reports/1", KEY_A, 4).await, 1, "one number for all routes of the Gateway");
    let nothing = format!("{BY_KEY}\nlimits: []\n");
    let shop = Shop::start(&nothing, &on_gateway).await;
    assert_eq!(shop.admitted("/orders/1", KEY_A, 4).await, 4, "a nearer policy has said: none");
    let floor = policy_on(
        "floor",
        ON_GATEWAY,
        "enforcement: Floor\nlimits: [{name: floor, requests: 2, per: 1h, by: ClientAddress}]\n",
    );
    let shop = Shop::start(&nothing, &floor).await;
    assert_eq!(shop.admitted("/orders/1", KEY_A, 4).await, 2);
    assert_eq!(shop.by_key("/orders/1", KEY_A).await.header("ratelimit"), None, "of a floor nobody is told");
}

#[tokio::test]
async fn another_number_goes_on_with_what_was_used() {
    let with = |requests: u32, per: &str| {
        limited(&format!("- {{name: l, requests: {requests}, per: {per}, by: Subscription}}"))
    };
    let mut shop = Shop::start(&with(2, "1h"), "").await;
    assert_eq!(shop.admitted("/orders/1", KEY_A, 4).await, 2);
    for (requests, per, admitted) in [(5, "1h", 3), (1, "1h", 0), (5, "30m", 5)] {
        shop.gateway.write("orders.yaml", &policy("orders", &with(requests, per)));
        assert_eq!(shop.admitted("/orders/1", KEY_A, 7).await, admitted, "{requests} in {per}");
    }
}

#[tokio::test]
async fn a_policy_that_only_reports_counts_beside_and_refuses_nobody() {
    let rehearsed = policy_on(
        "next",
        ON_ROUTE,
        "mode: Report\nlimits:\n- {name: soon, requests: 2, per: 1h, by: Subscription}\n- {name: few, concurrent: 1, by: Subscription}\n",
    );
    let shop = Shop::start(BY_KEY, &rehearsed).await;
    assert_eq!(shop.admitted("/orders/1", KEY_A, 4).await, 4);
    let lines = shop.gateway.log(4).await;
    let told: Vec<_> = lines.iter().map(|line| line["would_refuse"].to_string().contains("rate-exceeded")).collect();
    assert_eq!(told, [false, false, true, true], "{lines:#?}");
    assert_eq!(shop.by_key("/orders/1", KEY_A).await.header("ratelimit"), None);
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Events,
    EventsOverHttp2,
    WebSocket,
}

/// Something that lasts until this is dropped.
async fn lasting(kind: Kind, shop: &Shop) -> Box<dyn Any> {
    let stream = TcpStream::connect(shop.gateway.http()).await.unwrap();
    let key = ("sallyport-key", KEY_A);
    match kind {
        Kind::Events => {
            let mut body = open(stream, get("/orders/drip", &[key])).await.into_body();
            assert!(body.frame().await.unwrap().unwrap().is_data());
            Box::new(body)
        }
        Kind::EventsOverHttp2 => {
            let mut sender = http2::<Empty<Bytes>>(stream).await;
            let request = get_http2("http", HOST, "/orders/drip", &[key]);
            Box::new((sender.send_request(request).await.unwrap(), sender))
        }
        Kind::WebSocket => {
            let mut request = get("/orders/ws", &[key]);
            request.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            Box::new(hyper::upgrade::on(open(stream, request).await).await.unwrap())
        }
    }
}

/// A stream that idles holds its place; whoever goes gives it back, however.
#[rstest]
#[tokio::test]
async fn so_many_are_under_way_at_once(#[values(Kind::Events, Kind::EventsOverHttp2, Kind::WebSocket)] kind: Kind) {
    let shop = Shop::start(&limited("- {name: at-once, concurrent: 2, by: Subscription}"), "").await;
    let (first, second) = (lasting(kind, &shop).await, lasting(kind, &shop).await);
    let refused = shop.by_key("/orders/1", KEY_A).await;
    assert_eq!((refused.verdict(), refused.header("retry-after")), ("429 concurrency-exceeded".to_owned(), Some("1")));
    assert_eq!(shop.by_key("/orders/1", KEY_B).await.verdict(), "200", "others have their own");
    drop(first);
    let until = Instant::now() + SOON;
    while shop.by_key("/orders/1", KEY_A).await.verdict() != "200" {
        assert!(Instant::now() < until, "the place is given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(second);
}

/// A thousand that are taken back leave none behind.
#[tokio::test]
async fn what_is_opened_and_reset_gives_its_place_back() {
    let with = |most: u32| limited(&format!("- {{name: at-once, concurrent: {most}, by: Subscription}}"));
    let mut shop = Shop::start(&with(1000), "").await;
    for _ in 0..20 {
        let stream = TcpStream::connect(shop.gateway.http()).await.unwrap();
        // Else each request waits until the reset before it is acknowledged.
        stream.set_nodelay(true).unwrap();
        let mut sender = http2::<Empty<Bytes>>(stream).await;
        for _ in 0..50 {
            let request = get_http2("http", HOST, "/orders/drip", &[("sallyport-key", KEY_A)]);
            drop(sender.send_request(request).await);
        }
    }
    // The places that are taken stay so under another number.
    shop.gateway.write("orders.yaml", &policy("orders", &with(1)));
    let until = Instant::now() + SOON;
    while shop.by_key("/orders/1", KEY_A).await.verdict() != "200" {
        assert!(Instant::now() < until, "all places are given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn redirects_and_preflights_are_counted_by_address_alone() {
    let spec = "limits:\n- {name: per-address, requests: 2, per: 1h, by: ClientAddress}\n- {name: per-customer, requests: 1, per: 1h, by: Subscription}\ncors: {allowOrigins: [\"https://shop.example.com\"], allowMethods: [PUT]}\n";
    let shop = Shop::start(&format!("{OPEN}\n{spec}"), "").await;
    let mut verdicts = Vec::new();
    for _ in 0..3 {
        let preflight = Request::options("/orders/1")
            .header(header::HOST, HOST)
            .header(header::ORIGIN, "https://shop.example.com")
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "PUT")
            .body(Empty::<Bytes>::new())
            .unwrap();
        verdicts.push(send(shop.gateway.http(), preflight).await.verdict());
    }
    assert_eq!(verdicts, ["204", "204", "429 rate-exceeded"]);
    assert_eq!(shop.service.count(), 0);
}

#[tokio::test]
async fn refusals_say_it_in_the_problem() {
    let shop = Shop::start(&limited("- {name: l, requests: 1, per: 1h, by: Subscription}"), "").await;
    assert_eq!(shop.by_key("/orders/1", KEY_A).await.verdict(), "200");
    let refused = shop.by_key("/orders/1", KEY_A).await;
    let told: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((&told["status"], &told["detail"]), (&429.into(), &"Too many requests.".into()), "{told}");
}

/// `/orders` and `/reports` of one Product, and two Subscriptions to it; the limits are the Product's.
async fn offered(limits: &str, of_policy: &str) -> Shop {
    let shop = offered_anyway(limits, of_policy).await;
    assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
    shop
}

/// The same, whatever there is to be said about it.
async fn offered_anyway(limits: &str, of_policy: &str) -> Shop {
    let service = Service::start().await;
    let product = format!(
        "
---
apiVersion: sallyport.dev/v1alpha1
kind: Product
metadata: {{name: standard, namespace: shop}}
spec:
  apis: [{{kind: HTTPRoute, name: orders}}, {{kind: HTTPRoute, name: reports}}]
  limits: [{limits}]
"
    );
    let to_it = "{product: {name: standard}}";
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &route("reports", "shop"),
        &backend("shop", service.address, ""),
        &subscription("acme", to_it, &format!("{{primary: {KEY_A}}}")),
        &subscription("bolt", to_it, &format!("{{primary: {KEY_B}}}")),
        &policy("reports", BY_KEY),
        &policy("orders", &format!("{BY_KEY}\n{of_policy}\n")),
        &product,
    ];
    Shop { gateway: Gateway::start(&manifests.concat()).await, service }
}

#[tokio::test]
async fn a_product_allows_each_subscription_so_many_on_all_of_its_routes() {
    let shop = offered("{name: standard, requests: 5, per: 1h}", "").await;
    assert_eq!(shop.admitted("/orders/1", KEY_A, 3).await, 3);
    assert_eq!(shop.admitted("/reports/1", KEY_A, 4).await, 2, "the routes of a Product have one number together");
    assert_eq!(shop.admitted("/orders/1", KEY_A, 1).await, 0);
    let refused = shop.by_key("/orders/1", KEY_A).await;
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""standard";q=5;w=3600"#));
    assert_eq!(shop.admitted("/orders/1", KEY_B, 6).await, 5, "others have their own");
    let lines = shop.gateway.log(15).await;
    let refused = &lines.iter().find(|line| line["refusal"]["reason"] == "rate-exceeded").unwrap()["refusal"];
    assert_eq!((&refused["object"], &refused["rule"]), (&"Product shop/standard".into(), &"standard".into()));
    assert_eq!(shop.service.count(), 10);
}

#[tokio::test]
async fn limits_of_a_product_count_beside_those_of_policies() {
    let of_policy = "limits: [{name: near, requests: 2, per: 1h, by: Subscription}]";
    let shop = offered("{name: standard, requests: 3, per: 1h}", of_policy).await;
    assert_eq!(shop.admitted("/orders/1", KEY_A, 4).await, 2, "the policy's");
    assert_eq!(
        shop.admitted("/reports/1", KEY_A, 4).await,
        1,
        "what the policy has refused used up nothing of the Product's"
    );
}

#[tokio::test]
async fn whoever_comes_by_no_key_of_it_uses_nothing_of_a_product() {
    let shop = offered("{name: standard, requests: 1, per: 1h}", "").await;
    for _ in 0..3 {
        assert_eq!(shop.by_key("/orders/1", "nobody").await.verdict(), "401 key-unknown");
    }
    assert_eq!(shop.admitted("/orders/1", KEY_A, 2).await, 1);
}

/// What is only reported of a request uses nothing up that is in force.
#[tokio::test]
async fn a_report_uses_nothing_of_a_product() {
    let mut shop = offered("{name: standard, requests: 4, per: 1h}", "").await;
    let report =
        policy("rehearsed", &format!("{BY_KEY}\nmode: Report\n")).replace("name: rehearsed}]", "name: orders}]");
    shop.gateway.write("report.yaml", &report);
    assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
    assert_eq!(shop.admitted("/orders/1", KEY_A, 6).await, 4);
}

#[tokio::test]
async fn a_quota_of_a_product_needs_a_store() {
    let shop = offered_anyway("{name: monthly, requests: 4, per: Month}", "").await;
    assert_eq!(shop.by_key("/orders/1", KEY_A).await.verdict(), "500 configuration");
    let said = shop.gateway.said("Product shop/standard");
    assert!(said.contains("spec.limits[0].per") && said.contains("limits.store: Redis"), "{said}");
    assert_eq!(shop.service.count(), 0);
}
