//! Whatever is missing, broken or not there yet: nobody comes in who has not shown a credential. Each case under continuous traffic.

use std::time::Duration;

use rstest::rstest;

use crate::kit::caller::{get, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{GATEWAY, OPEN, backend, gateway_with, policy, policy_on, route, secret, subscription};
use crate::kit::service::Service;
use crate::kit::traffic::Traffic;

const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BY_KEY: &str = "authentication: [{name: customers, subscriptionKey: {}}]";
const OF_ORDERS: &str = "{apis: [{kind: HTTPRoute, name: orders}]}";

fn base(service: &Service) -> String {
    let parts = [GATEWAY, &backend("shop", service.address, ""), &route("side", "shop"), &policy("side", OPEN)];
    parts.concat()
}

fn subscribed() -> String {
    subscription("acme", OF_ORDERS, &format!("{{primary: {KEY}}}"))
}

/// Callers without a credential at `/orders`, from before the first step to after the last; all steps are put in force one by one.
async fn nobody_comes_in(gateway: &mut Gateway, service: &Service, steps: &[(&str, Option<&str>)]) {
    let traffic = Traffic::steady(gateway.http(), 4, "/orders", &[]);
    for (file, text) in steps {
        traffic.more(40).await;
        match text {
            Some(text) => gateway.write(file, text),
            None => gateway.remove(file),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    traffic.more(40).await;
    let verdicts = traffic.stop().await;
    assert_eq!(service.count(), 0, "{verdicts:?}");
    assert!(!verdicts.contains_key("200") && !verdicts.contains_key("broken"), "{verdicts:?}");
}

/// A caller with the right key, and an open route beside it: nothing else was spoilt.
async fn the_neighbour_still_serves(gateway: &Gateway, service: &Service) {
    assert_eq!(send(gateway.http(), get("/side", &[])).await.verdict(), "200", "{:#?}", gateway.diagnostics);
    service.take();
}

async fn with_key(gateway: &Gateway) -> String {
    send(gateway.http(), get("/orders", &[("sallyport-key", KEY)])).await.verdict()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_file_before_the_route() {
    let service = Service::start().await;
    let mut gateway = Gateway::start(&base(&service)).await;
    let (policy, route) = (policy("orders", BY_KEY), route("orders", "shop"));
    nobody_comes_in(&mut gateway, &service, &[("a.yaml", Some(&policy)), ("b.yaml", Some(&route))]).await;
    gateway.write("c.yaml", &subscribed());
    assert_eq!(with_key(&gateway).await, "200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_route_before_the_policy() {
    let service = Service::start().await;
    let mut gateway = Gateway::start(&base(&service)).await;
    let (policy, route) = (policy("orders", BY_KEY), route("orders", "shop"));
    let steps: [(&str, Option<&str>); 5] = [
        ("b.yaml", Some(&route)),
        ("a.yaml", Some(&policy)),
        ("a.yaml", None),
        ("a.yaml", Some(&policy)),
        ("b.yaml", Some(&route)),
    ];
    nobody_comes_in(&mut gateway, &service, &steps).await;
    gateway.write("c.yaml", &subscribed());
    assert_eq!(with_key(&gateway).await, "200");
}

#[tokio::test]
async fn under_allow_there_is_a_window_between_route_and_policy() {
    let service = Service::start().await;
    let mut gateway =
        Gateway::start(&[gateway_with("{unprotectedRoutes: Allow}"), backend("shop", service.address, "")].concat())
            .await;
    gateway.write("b.yaml", &route("orders", "shop"));
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "200", "who says Allow has this window");
    gateway.write("a.yaml", &policy("orders", BY_KEY));
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "401 credential-missing");
}

#[rstest]
#[case::keys_secret_missing(None)]
#[case::keys_secret_empty(Some("{}"))]
#[case::keys_too_short(Some("{primary: short}"))]
#[case::keys_not_there(Some("{other: sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_without_usable_keys_opens_nothing(#[case] keys: Option<&str>) {
    let service = Service::start().await;
    let mut gateway =
        Gateway::start(&[base(&service), route("orders", "shop"), policy("orders", BY_KEY)].concat()).await;
    let bare = subscribed().split("\n---\napiVersion: v1").next().unwrap().to_owned();
    let broken = keys.map(|keys| bare.clone() + &secret("acme-keys", keys)).unwrap_or(bare);
    nobody_comes_in(&mut gateway, &service, &[("s.yaml", Some(&broken))]).await;
    assert_eq!(with_key(&gateway).await, "401 key-unknown");
    let said = gateway.said("Subscription shop/acme");
    assert!(said.contains("spec.keys.secretName"), "{said}");
    gateway.write("s.yaml", &subscribed());
    assert_eq!(with_key(&gateway).await, "200");
    gateway.write("s.yaml", &broken);
    assert_ne!(with_key(&gateway).await, "200", "a key that is taken away opens nothing any more");
}

#[rstest]
#[case::no_json("this is no JSON")]
#[case::html("<html></html>")]
#[case::no_keys(r#"{"keys": []}"#)]
#[case::only_secret_keys(r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#)]
#[case::empty("")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_sets_that_are_none(#[case] keys: &str) {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    issuer.publish(keys);
    let fetched = format!(
        "authentication: [{{name: staff, jwt: {{issuer: '{0}', audiences: [orders-api], keys: {{jwks: {{uri: '{0}/jwks'}}}}}}}}]",
        issuer.name()
    );
    let referenced = format!(
        "authentication: [{{name: staff, jwt: {{issuer: '{}', audiences: [orders-api], keys: {{configMapRef: {{name: keys, key: jwks}}}}}}}}]",
        issuer.name()
    );
    let map = format!(
        "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: keys, namespace: shop}}\ndata: {{jwks: '{keys}'}}\n"
    );
    let token = format!("Bearer {}", issuer.token("orders-api"));
    for (spec, more, expected) in
        [(fetched, "", "503 issuer-unreached"), (referenced, map.as_str(), "500 configuration")]
    {
        let mut gateway = Gateway::start(&[base(&service), route("orders", "shop")].concat()).await;
        nobody_comes_in(&mut gateway, &service, &[("p.yaml", Some(&(policy("orders", &spec) + more)))]).await;
        let answer = send(gateway.http(), get("/orders", &[("authorization", &token)])).await;
        assert_eq!(answer.verdict(), expected, "{keys}");
        assert_eq!(service.count(), 0);
        the_neighbour_still_serves(&gateway, &service).await;
    }
}

#[rstest]
#[case::unknown_field("authenticaton: []\n")]
#[case::wrong_type("authentication: yes-please\n")]
#[case::two_members("authentication: [{name: a, public: {}, subscriptionKey: {}}]\n")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_cannot_be_decoded_closes_its_target_and_nothing_else(#[case] spec: &str) {
    let service = Service::start().await;
    let manifests = [base(&service), route("orders", "shop"), policy_on("gateway", ON_GATEWAY, OPEN)].concat();
    let mut gateway = Gateway::start(&manifests).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "200");
    service.take();
    gateway.write("p.yaml", &policy("orders", spec));
    nobody_comes_in(&mut gateway, &service, &[("p.yaml", Some(&policy("orders", spec)))]).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "500 configuration");
    assert!(!gateway.said("ApiPolicy shop/orders").is_empty());
    the_neighbour_still_serves(&gateway, &service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_whose_target_cannot_even_be_read_closes_its_namespace() {
    let service = Service::start().await;
    let mut gateway = Gateway::start(&[base(&service), route("orders", "shop"), policy("orders", OPEN)].concat()).await;
    let unreadable = "apiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicy\nmetadata: {name: broken, namespace: shop}\nspec: {targetRefs: 7}\n";
    gateway.write("p.yaml", unreadable);
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "500 configuration");
    assert_eq!(send(gateway.http(), get("/side", &[])).await.verdict(), "500 configuration");
    gateway.remove("p.yaml");
    the_neighbour_still_serves(&gateway, &service).await;
}

const ON_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_undecodable_manifests_beside_good_ones() {
    let service = Service::start().await;
    let manifests = [base(&service), route("orders", "shop"), policy("orders", BY_KEY), subscribed()].concat();
    let mut gateway = Gateway::start(&manifests).await;
    let broken = [
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: x, namespace: shop}\nspec: {rules: 7}\n",
        "apiVersion: sallyport.dev/v1alpha1\nkind: Backend\nmetadata: {name: x, namespace: shop}\nspec: {endpoints: []}\n",
        "apiVersion: sallyport.dev/v1alpha1\nkind: Subscription\nmetadata: {name: x, namespace: shop}\nspec: {}\n",
        "apiVersion: sallyport.dev/v1alpha1\nkind: Nonsense\nmetadata: {name: x}\n",
        "kind: [",
        "\u{0}",
    ];
    for text in broken {
        nobody_comes_in(&mut gateway, &service, &[("x.yaml", Some(text))]).await;
        assert!(!gateway.diagnostics.is_empty(), "{text}");
        assert_eq!(with_key(&gateway).await, "200", "{text}");
        the_neighbour_still_serves(&gateway, &service).await;
    }
}

#[rstest]
#[case::another_name("{group: gateway.networking.k8s.io, kind: HTTPRoute, name: order}")]
#[case::another_kind("{group: gateway.networking.k8s.io, kind: GRPCRoute, name: orders}")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misspelt_target_leaves_the_route_refused_and_is_said(#[case] target: &str) {
    let service = Service::start().await;
    let mut gateway = Gateway::start(&[base(&service), route("orders", "shop"), subscribed()].concat()).await;
    let policy = policy_on("orders", target, BY_KEY);
    nobody_comes_in(&mut gateway, &service, &[("p.yaml", Some(&policy))]).await;
    assert_eq!(with_key(&gateway).await, "500 unprotected");
    let said = gateway.said("ApiPolicy shop/orders");
    assert!(said.contains("targetRefs[0]"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misspelt_section_denies_there() {
    let service = Service::start().await;
    let manifests = [base(&service), route("orders", "shop"), policy_on("gateway", ON_GATEWAY, OPEN)].concat();
    let mut gateway = Gateway::start(&manifests).await;
    let target = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders, sectionName: nowhere}";
    gateway.write("p.yaml", &policy_on("orders", target, BY_KEY));
    nobody_comes_in(&mut gateway, &service, &[("q.yaml", Some(&subscribed()))]).await;
    assert_eq!(with_key(&gateway).await, "500 configuration");
    assert!(gateway.said("ApiPolicy shop/orders").contains("sectionName"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_floor_and_a_looser_policy_below_in_any_order() {
    let service = Service::start().await;
    let (floor, looser) =
        (policy_on("floor", ON_GATEWAY, &format!("enforcement: Floor\n{BY_KEY}")), policy("orders", OPEN));
    let route = route("orders", "shop");
    let orders: [[(&str, Option<&str>); 3]; 3] = [
        [("f.yaml", Some(&floor)), ("r.yaml", Some(&route)), ("p.yaml", Some(&looser))],
        [("f.yaml", Some(&floor)), ("p.yaml", Some(&looser)), ("r.yaml", Some(&route))],
        [("p.yaml", Some(&looser)), ("f.yaml", Some(&floor)), ("r.yaml", Some(&route))],
    ];
    for steps in orders {
        let mut gateway = Gateway::start(&base(&service)).await;
        nobody_comes_in(&mut gateway, &service, &steps).await;
        gateway.write("s.yaml", &subscribed());
        assert_eq!(with_key(&gateway).await, "200");
        service.take();
        drop(gateway);
    }
}

#[tokio::test]
async fn before_the_first_configuration_nothing_is_served_and_it_is_not_ready() {
    let gateway = Gateway::empty().await;
    assert_eq!(send(gateway.admin(), get("/readyz", &[])).await.status, 503);
    assert_eq!(send(gateway.admin(), get("/livez", &[])).await.status, 200);
    assert!(tokio::net::TcpStream::connect(gateway.http()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guarded_route_that_breaks_does_not_hand_its_requests_to_an_open_one() {
    let service = Service::start().await;
    let all = route("all", "shop").replace("value: /all", "value: /");
    let manifests = [base(&service), all, policy("all", OPEN), policy("orders", BY_KEY), subscribed()];
    let orders = route("orders", "shop");
    // Put in force from nothing each time: there is no last good form to go on with.
    for broken in [
        orders.replace("kind: Backend, name: shop", "kind: Backend, name: nowhere"),
        orders.replace("  rules:", "  nonsense: 1\n  rules:"),
        orders.replace("type: PathPrefix, value: /orders", "type: Nonsense, value: /orders"),
        orders.replace("type: PathPrefix", "type: 7"),
    ] {
        let mut gateway = Gateway::start(&manifests.concat()).await;
        gateway.write("orders.yaml", &broken);
        nobody_comes_in(&mut gateway, &service, &[("orders.yaml", Some(&broken))]).await;
        assert_eq!(with_key(&gateway).await, "500 configuration", "{broken}");
        gateway.write("orders.yaml", &orders);
        assert_eq!(with_key(&gateway).await, "200");
        service.take();
    }
}
