//! Issuers that are late, away, or new to their own keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use crate::kit::issuer::Issuer;
use crate::kit::orders::Orders;
use crate::kit::traffic::Traffic;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn started_without_its_issuer_it_says_503_and_heals_by_itself() {
    let issuer = Issuer::down().await;
    let orders = Orders::behind(&issuer.name(), "").await;
    let token = issuer.token("orders-api");
    let answer = orders.answer("/orders", &token).await;
    assert_eq!((answer.verdict().as_str(), answer.header("retry-after").is_some()), ("503 issuer-unreached", true));
    let foreign = issuer.token_with("orders-api", &json!({ "iss": "https://other.example.com" }));
    assert_eq!(orders.verdict(&foreign).await, "401 token-invalid", "it names another issuer");
    assert_eq!(orders.verdict("x.y.z").await, "401 token-invalid");
    issuer.up().await;
    orders.served(&token).await;
    assert_eq!(orders.service.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_while_requests_run_and_none_is_refused() {
    let issuer = Arc::new(Issuer::start().await);
    let orders = Orders::behind(&issuer.name(), "").await;
    orders.served(&issuer.token("orders-api")).await;
    // The cool-down holds back a second look for a while after the first.
    let signer = Arc::clone(&issuer);
    let script = move || {
        ("/orders".to_owned(), vec![("authorization".to_owned(), format!("Bearer {}", signer.token("orders-api")))])
    };
    let traffic = Traffic::start(orders.gateway.http(), 4, Arc::new(script));
    traffic.more(100).await;
    issuer.rotate("second");
    traffic.more(100).await;
    let verdicts = traffic.stop().await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["200"], "{verdicts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_goes_away_is_not_missed_while_its_keys_are_known() {
    let issuer = Issuer::start().await;
    let orders = Orders::behind(&issuer.name(), "").await;
    let far = orders.gateway.clock.now().seconds() + 40 * 86_400;
    let token = issuer.token_with("orders-api", &json!({ "exp": far }));
    orders.served(&token).await;
    issuer.stop();
    for _ in 0..3 {
        orders.gateway.clock.advance(Duration::from_secs(10 * 86_400));
        assert_eq!(orders.verdict(&token).await, "200");
        let fresh = issuer
            .token_with("orders-api", &json!({ "exp": far, "jti": orders.gateway.clock.now().seconds().to_string() }));
        assert_eq!(orders.verdict(&fresh).await, "200", "not only tokens that were seen before");
    }
    orders.gateway.clock.advance(Duration::from_secs(11 * 86_400));
    assert_eq!(orders.verdict(&token).await, "401 token-invalid", "a token ends all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_keys_costs_the_issuer_one_look() {
    let issuer = Issuer::start().await;
    let orders = Orders::behind(&issuer.name(), "").await;
    orders.served(&issuer.token("orders-api")).await;
    let before = issuer.fetches.load(Ordering::SeqCst);
    for number in 0..50 {
        let header = json!({ "alg": "ES256", "kid": format!("unknown-{number}") });
        let token = issuer.sign(&header, &issuer.claims("orders-api"));
        assert_eq!(orders.verdict(&token).await, "401 token-invalid");
    }
    assert!(issuer.fetches.load(Ordering::SeqCst) - before <= 1);
    assert_eq!(orders.service.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_names_one_key_and_is_signed_by_another_is_refused() {
    let issuer = Issuer::start().await;
    let orders = Orders::behind(&issuer.name(), "").await;
    orders.served(&issuer.token("orders-api")).await;
    let first = issuer.header();
    issuer.rotate("second");
    assert_eq!(orders.verdict(&issuer.token("orders-api")).await, "200", "both keys are known from here on");
    let mixed = issuer.sign(&first, &issuer.claims("orders-api"));
    assert_eq!(orders.verdict(&mixed).await, "401 token-invalid");
}
