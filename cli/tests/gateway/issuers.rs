//! Issuers that are late, away, or new to their own keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use crate::kit::caller::{get, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{GATEWAY, backend, policy, route};
use crate::kit::service::Service;
use crate::kit::traffic::Traffic;

async fn behind(issuer: &Issuer, service: &Service) -> Gateway {
    let spec =
        format!("authentication: [{{name: staff, jwt: {{issuer: '{}', audiences: [orders-api]}}}}]", issuer.name());
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", &spec)];
    Gateway::start(&manifests.concat()).await
}

async fn verdict(gateway: &Gateway, token: &str) -> String {
    send(gateway.http(), get("/orders", &[("authorization", &format!("Bearer {token}"))])).await.verdict()
}

async fn until_served(gateway: &Gateway, token: &str) -> Vec<String> {
    let mut verdicts = Vec::new();
    for _ in 0..400 {
        verdicts.push(verdict(gateway, token).await);
        if verdicts.last().is_some_and(|verdict| verdict == "200") {
            return verdicts;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never served: {verdicts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn started_without_its_issuer_it_says_503_and_heals_by_itself() {
    let (issuer, service) = (Issuer::down().await, Service::start().await);
    let gateway = behind(&issuer, &service).await;
    let token = issuer.token("orders-api");
    let answer = send(gateway.http(), get("/orders", &[("authorization", &format!("Bearer {token}"))])).await;
    assert_eq!((answer.verdict().as_str(), answer.header("retry-after").is_some()), ("503 issuer-unreached", true));
    let foreign = issuer.token_with("orders-api", &json!({ "iss": "https://other.example.com" }));
    assert_eq!(verdict(&gateway, &foreign).await, "401 token-invalid", "it names another issuer");
    assert_eq!(verdict(&gateway, "x.y.z").await, "401 token-invalid");
    issuer.up().await;
    let verdicts = until_served(&gateway, &token).await;
    assert!(verdicts.iter().all(|verdict| verdict == "503 issuer-unreached" || verdict == "200"), "{verdicts:?}");
    assert_eq!(service.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_while_requests_run_and_none_is_refused() {
    let (issuer, service) = (Arc::new(Issuer::start().await), Service::start().await);
    let gateway = behind(&issuer, &service).await;
    until_served(&gateway, &issuer.token("orders-api")).await;
    // The cool-down holds back a second look for a while after the first.
    let signer = Arc::clone(&issuer);
    let script = move || {
        ("/orders".to_owned(), vec![("authorization".to_owned(), format!("Bearer {}", signer.token("orders-api")))])
    };
    let traffic = Traffic::start(gateway.http(), 4, Arc::new(script));
    traffic.more(100).await;
    issuer.rotate("second");
    traffic.more(100).await;
    let verdicts = traffic.stop().await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["200"], "{verdicts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_goes_away_is_not_missed_while_its_keys_are_known() {
    let (issuer, service) = (Issuer::start().await, Service::start().await);
    let gateway = behind(&issuer, &service).await;
    let far = gateway.clock.now().seconds() + 40 * 86_400;
    let token = issuer.token_with("orders-api", &json!({ "exp": far }));
    until_served(&gateway, &token).await;
    issuer.stop();
    for _ in 0..3 {
        gateway.clock.advance(Duration::from_secs(10 * 86_400));
        assert_eq!(verdict(&gateway, &token).await, "200");
        let fresh =
            issuer.token_with("orders-api", &json!({ "exp": far, "jti": gateway.clock.now().seconds().to_string() }));
        assert_eq!(verdict(&gateway, &fresh).await, "200", "not only tokens that were seen before");
    }
    gateway.clock.advance(Duration::from_secs(11 * 86_400));
    assert_eq!(verdict(&gateway, &token).await, "401 token-invalid", "a token ends all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_keys_costs_the_issuer_one_look() {
    let (issuer, service) = (Issuer::start().await, Service::start().await);
    let gateway = behind(&issuer, &service).await;
    until_served(&gateway, &issuer.token("orders-api")).await;
    let before = issuer.fetches.load(Ordering::SeqCst);
    for number in 0..50 {
        let header = json!({ "alg": "ES256", "kid": format!("unknown-{number}") });
        let token = issuer.sign(&header, &issuer.claims("orders-api"));
        assert_eq!(verdict(&gateway, &token).await, "401 token-invalid");
    }
    assert!(issuer.fetches.load(Ordering::SeqCst) - before <= 1);
    assert_eq!(service.count(), 1);
}
