//! Limits that a store counts for all replicas together, and what becomes of requests while it is away.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::kit::caller::{Answer, get, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{backend, gateway_with, pem, policy, route, subscription};
use crate::kit::pki::Authority;
use crate::kit::redis::{PASSWORD, Redis};
use crate::kit::service::Service;

const KEY_A: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const KEY_B: &str = "sp_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const READY: &str = "sallyport.dev/LimitStoreReady";
const PER_HOUR: &str = "{name: per-customer, requests: 10, per: 1h, by: Subscription}";
const MONTHLY: &str = "{name: monthly, requests: 10, per: Month, by: Subscription}";
/// The longest that a connection to a store that is there again takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// All that a gateway is told; the limits are of `/orders`.
fn manifests(parameters: &str, service: &Service, limits: &str) -> String {
    let scope = "{apis: [{kind: HTTPRoute, name: orders}]}";
    [
        gateway_with(parameters).as_str(),
        &route("orders", "shop"),
        &backend("shop", service.address, ""),
        &format!(
            "\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: store, namespace: shop, annotations: {{sallyport.dev/hosts: 127.0.0.1}}}}\nstringData: {{password: {PASSWORD}}}\n"
        ),
        &subscription("acme", scope, &format!("{{primary: {KEY_A}}}")),
        &subscription("bolt", scope, &format!("{{primary: {KEY_B}}}")),
        &policy(
            "orders",
            &format!("authentication: [{{name: customers, subscriptionKey: {{}}}}]\nlimits: [{limits}]\n"),
        ),
    ]
    .concat()
}

fn stored(redis: &Redis, more: &str) -> String {
    let address = redis.address();
    format!(
        "{{limits: {{store: Redis, redis: {{addresses: ['{address}'], timeout: 1s, secretRef: {{name: store}}{more}}}}}}}"
    )
}

async fn connected(manifests: &str) -> Gateway {
    let mut gateway = Gateway::start(manifests).await;
    assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
    gateway.until("Gateway shop/public", READY, "Ready").await;
    gateway
}

async fn asks(gateway: &Gateway, key: &str) -> Answer {
    send(gateway.http(), get("/orders/1", &[("sallyport-key", key)])).await
}

async fn verdicts(gateway: &Gateway, key: &str, times: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..times {
        all.push(asks(gateway, key).await.verdict());
    }
    all
}

fn admitted(verdicts: &[String]) -> usize {
    verdicts.iter().filter(|verdict| *verdict == "200").count()
}

#[tokio::test]
async fn three_replicas_have_one_number_together() {
    let (redis, service) = (Redis::start(), Service::start().await);
    for (limits, refused) in [(PER_HOUR, "429 rate-exceeded"), (MONTHLY, "429 quota-exceeded")] {
        let manifests = manifests(&stored(&redis, ""), &service, limits);
        let replicas = [connected(&manifests).await, connected(&manifests).await, connected(&manifests).await];
        let mut all = Vec::new();
        for _ in 0..5 {
            for replica in &replicas {
                all.extend(verdicts(replica, KEY_A, 1).await);
            }
        }
        assert_eq!(admitted(&all), 10, "{all:?}");
        assert!(all[10..].iter().all(|verdict| verdict == refused), "{all:?}");
        assert_eq!(admitted(&verdicts(&replicas[0], KEY_B, 3).await), 3, "others have their own");
    }
    assert_eq!(service.count(), 2 * 13);
}

#[tokio::test]
async fn callers_are_told_what_is_left_of_all() {
    let (redis, service) = (Redis::start(), Service::start().await);
    let both = format!("{PER_HOUR}, {MONTHLY}");
    let gateway = connected(&manifests(&stored(&redis, ""), &service, &both)).await;
    let answer = asks(&gateway, KEY_A).await;
    assert_eq!(answer.header("ratelimit-policy"), Some(r#""per-customer";q=10;w=3600, "monthly";q=10"#));
    let left = answer.header("ratelimit").unwrap();
    assert!(left.starts_with(r#""per-customer";r=9;t="#) && left.contains(r#""monthly";r=9;t="#), "{left}");
    verdicts(&gateway, KEY_A, 9).await;
    let refused = asks(&gateway, KEY_A).await;
    assert_eq!(refused.verdict(), "429 rate-exceeded");
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 3_500);
    let metrics = gateway.metrics().await;
    assert!(metrics.contains(r#"sallyport_limit_store_questions_total{outcome="answered"} 11"#), "{metrics}");
}

/// A month's quota outlives the gateway, the server, and both at once.
#[tokio::test]
async fn quotas_outlive_whoever_counts_them() {
    let (mut redis, service) = (Redis::start(), Service::start().await);
    let manifests = manifests(&stored(&redis, ""), &service, MONTHLY);
    let gateway = connected(&manifests).await;
    assert_eq!(admitted(&verdicts(&gateway, KEY_A, 4).await), 4);
    drop(gateway);
    redis.start_again(PASSWORD);
    let gateway = connected(&manifests).await;
    assert_eq!(admitted(&verdicts(&gateway, KEY_A, 9).await), 6);
}

#[tokio::test]
async fn while_the_store_is_away_each_goes_on_with_its_share() {
    let (mut redis, service) = (Redis::start(), Service::start().await);
    let mut gateway = connected(&manifests(&stored(&redis, ""), &service, PER_HOUR)).await;
    assert_eq!(admitted(&verdicts(&gateway, KEY_A, 4).await), 4);
    redis.stop();
    let all = verdicts(&gateway, KEY_A, 8).await;
    assert_eq!(admitted(&all), 6, "what was used up stays so: {all:?}");
    assert!(all[6..].iter().all(|verdict| verdict == "429 rate-exceeded"), "{all:?}");
    let condition = gateway.until("Gateway shop/public", READY, "StoreUnreached").await;
    assert!(!condition.status && !condition.message.contains(PASSWORD), "{condition:?}");
    redis.start_again(PASSWORD);
    gateway.until("Gateway shop/public", READY, "Ready").await;
    assert_eq!(admitted(&verdicts(&gateway, KEY_A, 3).await), 0, "what was admitted meanwhile is counted");
    assert_eq!(admitted(&verdicts(&gateway, KEY_B, 3).await), 3);
    assert_eq!(service.count(), 13);
}

#[tokio::test]
async fn where_it_is_said_nobody_passes_while_the_store_is_away() {
    let (mut redis, service) = (Redis::start(), Service::start().await);
    let parameters = stored(&redis, ", whenAway: Deny");
    let mut gateway = connected(&manifests(&parameters, &service, PER_HOUR)).await;
    assert_eq!(admitted(&verdicts(&gateway, KEY_A, 2).await), 2);
    redis.stop();
    for key in [KEY_A, KEY_B] {
        let refused = asks(&gateway, key).await;
        assert_eq!((refused.verdict().as_str(), refused.header("retry-after")), ("503 store-unavailable", Some("1")));
    }
    assert_eq!(asks(&gateway, "nobody").await.verdict(), "401 key-unknown", "who is nobody learns nothing of it");
    redis.start_again(PASSWORD);
    gateway.until("Gateway shop/public", READY, "StoreUnreached").await;
    gateway.until("Gateway shop/public", READY, "Ready").await;
    assert_eq!(admitted(&verdicts(&gateway, KEY_A, 1).await), 1);
    assert_eq!(service.count(), 3);
}

/// Killing the store is no way past a quota: what nothing is known of is not begun anew.
#[tokio::test]
async fn a_quota_is_not_begun_beside_the_store() {
    let (mut redis, service) = (Redis::start(), Service::start().await);
    let gateway = connected(&manifests(&stored(&redis, ""), &service, MONTHLY)).await;
    assert_eq!(admitted(&verdicts(&gateway, KEY_A, 7).await), 7);
    redis.stop();
    let known = verdicts(&gateway, KEY_A, 5).await;
    assert_eq!(known, ["200", "200", "200", "429 quota-exceeded", "429 quota-exceeded"]);
    assert_eq!(asks(&gateway, KEY_B).await.verdict(), "503 store-unavailable");
    assert_eq!(service.count(), 10);
}

/// Under load no more pass than are allowed, whatever becomes of the store; nobody waits for long, and nothing fails otherwise.
#[tokio::test]
async fn a_store_that_is_killed_under_load_lets_no_more_pass() {
    let (mut redis, service) = (Redis::start(), Service::start().await);
    let limits = "{name: per-customer, requests: 300, per: 1h, by: Subscription}";
    let gateway = connected(&manifests(&stored(&redis, ""), &service, limits)).await;
    let (address, until) = (gateway.http(), Instant::now() + Duration::from_secs(3));
    let load = (0..4).map(|_| {
        tokio::spawn(async move {
            let (mut all, mut longest) = (Vec::new(), Duration::ZERO);
            while Instant::now() < until {
                let began = Instant::now();
                all.push(send(address, get("/orders/1", &[("sallyport-key", KEY_A)])).await.verdict());
                longest = longest.max(began.elapsed());
                sleep(Duration::from_millis(5)).await;
            }
            (all, longest)
        })
    });
    let load: Vec<_> = load.collect();
    for _ in 0..2 {
        sleep(Duration::from_millis(500)).await;
        redis.stop();
        sleep(Duration::from_millis(300)).await;
        redis.start_again(PASSWORD);
    }
    let mut passed = 0;
    for one in load {
        let (all, longest) = one.await.unwrap();
        passed += admitted(&all);
        let others: Vec<_> =
            all.iter().filter(|verdict| !["200", "429 rate-exceeded"].contains(&verdict.as_str())).collect();
        assert!(others.is_empty(), "{others:?}");
        assert!(longest < PATIENCE, "{longest:?}");
    }
    // Those that are under way at the moment that it comes back were let in on this replica's word, while the store does not know of them yet.
    assert!((300..=308).contains(&passed) && passed == service.count(), "{passed}, {}", service.count());
}

#[tokio::test]
async fn what_lasts_longer_than_an_hour_needs_a_store() {
    let service = Service::start().await;
    for limits in [MONTHLY, "{name: daily, requests: 10, per: 24h, by: Subscription}"] {
        let gateway = Gateway::start(&manifests("{}", &service, limits)).await;
        assert_eq!(asks(&gateway, KEY_A).await.verdict(), "500 configuration");
        let said = gateway.said("ApiPolicy shop/orders");
        assert!(said.contains("spec.limits[0].per") && said.contains("limits.store: Redis"), "{said}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn over_tls_the_server_proves_who_it_is() {
    let (authority, other, service) = (Authority::new("store"), Authority::new("other"), Service::start().await);
    let redis = Redis::secured(&authority, "valkey.infra.svc");
    let tls =
        ", tls: {validation: {hostname: valkey.infra.svc, caCertificateRefs: [{kind: ConfigMap, name: store-ca}]}}";
    let with = |authority: &Authority, tls: &str| {
        let ca = pem("ConfigMap", "store-ca", &[("ca.crt", &authority.pem())]);
        manifests(&stored(&redis, tls), &service, PER_HOUR) + &ca
    };
    let gateway = connected(&with(&authority, tls)).await;
    assert_eq!(admitted(&verdicts(&gateway, KEY_A, 11).await), 10);
    for wrong in
        [with(&other, tls), with(&authority, &tls.replace("valkey.infra", "redis.infra")), with(&authority, "")]
    {
        let mut gateway = Gateway::start(&wrong).await;
        gateway.until("Gateway shop/public", READY, "StoreUnreached").await;
    }
}

#[tokio::test]
async fn a_password_that_changes_is_taken_at_once() {
    let (mut redis, service) = (Redis::start(), Service::start().await);
    let mut gateway = connected(&manifests(&stored(&redis, ", whenAway: Deny"), &service, PER_HOUR)).await;
    assert_eq!(admitted(&verdicts(&gateway, KEY_A, 4).await), 4);
    redis.start_again("another password");
    let condition = gateway.until("Gateway shop/public", READY, "StoreUnreached").await;
    assert!(!condition.message.contains(PASSWORD), "{condition:?}");
    let changed =
        manifests(&stored(&redis, ", whenAway: Deny"), &service, PER_HOUR).replace(PASSWORD, "another password");
    gateway.write("main.yaml", &changed);
    gateway.until("Gateway shop/public", READY, "Ready").await;
    assert_eq!(admitted(&verdicts(&gateway, KEY_A, 9).await), 6);
}

#[tokio::test]
async fn a_store_that_cannot_be_had_as_it_is_stated_is_away() {
    let service = Service::start().await;
    let redis = |more: &str| format!("{{limits: {{store: Redis, redis: {{whenAway: Deny, {more}}}}}}}");
    for (parameters, field) in [
        (redis("addresses: ['redis.example.com:6379']"), "spec.limits.redis.addresses[0]"),
        (redis("addresses: ['127.0.0.1:1'], secretRef: {name: missing}"), "spec.limits.redis.secretRef"),
        // Whoever keeps the Secret says where it may be sent.
        (redis("addresses: ['127.0.0.2:1'], secretRef: {name: store}"), "spec.limits.redis.secretRef"),
    ] {
        let mut gateway = Gateway::start(&manifests(&parameters, &service, PER_HOUR)).await;
        assert_eq!(asks(&gateway, KEY_A).await.verdict(), "503 store-unavailable");
        let said = gateway.said("GatewayParameters shop/ours");
        assert!(said.contains(field), "{said}");
        gateway.until("Gateway shop/public", READY, "StoreUnreached").await;
    }
    assert_eq!(service.count(), 0);
}

/// A Product's quota is one number on all of its routes, through every replica.
#[tokio::test]
async fn a_product_has_one_quota_through_all_replicas() {
    let (redis, service) = (Redis::start(), Service::start().await);
    let product = "
---
apiVersion: sallyport.dev/v1alpha1
kind: Product
metadata: {name: standard, namespace: shop}
spec: {apis: [{kind: HTTPRoute, name: orders}], limits: [{name: monthly, requests: 5, per: Month}]}
";
    let to_it = manifests(&stored(&redis, ""), &service, PER_HOUR);
    let to_it = to_it.replace("{apis: [{kind: HTTPRoute, name: orders}]}", "{product: {name: standard}}") + product;
    let (one, other) = (connected(&to_it).await, connected(&to_it).await);
    let both = [verdicts(&one, KEY_A, 3).await, verdicts(&other, KEY_A, 3).await].concat();
    assert_eq!((admitted(&both), both[5].as_str()), (5, "429 quota-exceeded"));
    assert_eq!(admitted(&verdicts(&one, KEY_B, 1).await), 1);
}

/// Somebody else's limits are not counted with ours: names are of object, limit and key.
#[tokio::test]
async fn requests_of_other_policies_are_other_requests() {
    let (redis, service) = (Redis::start(), Service::start().await);
    let manifests = manifests(&stored(&redis, ""), &service, PER_HOUR);
    let (one, other) = (connected(&manifests).await, connected(&manifests.replace("per-customer", "per-buyer")).await);
    assert_eq!(admitted(&verdicts(&one, KEY_A, 11).await), 10);
    assert_eq!(admitted(&verdicts(&other, KEY_A, 11).await), 10);
}
