//! Tokens of a real identity provider: what it issues, how it changes keys, and how it comes and goes.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rstest::rstest;

use crate::kit::gateway::Gateway;
use crate::kit::identity_provider::{IdentityProvider, ORDERS};
use crate::kit::manifest::pem;
use crate::kit::orders::Orders;
use crate::kit::pki::Authority;
use crate::kit::traffic::Traffic;

const POLICY: &str = "ApiPolicy shop/orders";
const READ: &str = "orders.read";
const SCOPED: &str = ", scopes: [orders.read]";
const WITH_CA: &str = ", caCertificateRefs: [{kind: ConfigMap, name: provider-ca}]";

#[rstest]
#[case("RS256")]
#[case("PS256")]
#[case("ES256")]
#[case("EdDSA")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_access_tokens_are_accepted(#[case] algorithm: &str) {
    let provider = IdentityProvider::start(algorithm).await;
    let orders = Orders::behind(&provider.name(), SCOPED).await;
    let token = provider.token(ORDERS, READ).await;
    assert_eq!(orders.verdict(&token).await, "200", "the first request waits for the first look");
    assert_eq!(orders.service.one().header("authorization"), Some(format!("Bearer {token}").as_str()));
    let (of_a_person, _) = provider.sign_in(READ).await;
    assert_eq!(orders.verdict(&of_a_person).await, "200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_else_it_issues_is_refused() {
    let provider = IdentityProvider::start("ES256").await;
    let orders = Orders::behind(&provider.name(), SCOPED).await;
    orders.served(&provider.token(ORDERS, READ).await).await;
    let (_, id_token) = provider.sign_in(READ).await;
    let cases = [
        ("for another audience", provider.token("urn:test:billing", READ).await, "401 token-invalid"),
        ("for an audience that only begins alike", provider.token("urn:orders-api", READ).await, "401 token-invalid"),
        ("with another scope", provider.token(ORDERS, "orders.write").await, "403 scope-insufficient"),
        ("an ID token", id_token, "401 token-invalid"),
        ("an opaque token", provider.token("urn:test:opaque", READ).await, "401 token-invalid"),
    ];
    for (what, token, expected) in cases {
        assert_eq!(orders.verdict(&token).await, expected, "{what}: {token}");
    }
    assert_eq!(orders.service.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_for_one_algorithm_takes_no_other_of_the_same_issuer() {
    let mut provider = IdentityProvider::start("RS256").await;
    let orders = Orders::behind(&provider.name(), ", algorithms: [RS256]").await;
    orders.served(&provider.token(ORDERS, READ).await).await;
    let (pss, rs256) = (provider.make_key("PS256", "pss").await, provider.make_key("RS256", "first").await);
    provider.publish(&[pss, rs256]).await;
    assert_eq!(orders.verdict(&provider.token(ORDERS, READ).await).await, "401 token-invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_with_an_authority_of_its_own() {
    let provider = IdentityProvider::start_with_tls("ES256").await;
    let mut orders = Orders::behind(&provider.name(), "").await;
    let token = provider.token(ORDERS, READ).await;
    let unknown = orders.answer("/orders", &token).await;
    assert_eq!((unknown.verdict().as_str(), unknown.header("retry-after")), ("503 issuer-unreached", Some("10")));
    let said = orders.gateway.until(POLICY, "IssuerHealthy", "IssuerUnreached").await;
    assert!(said.message.contains("the TLS handshake with 127.0.0.1 failed"), "{said:?}");
    orders.require(&provider.name(), WITH_CA);
    assert_eq!(orders.verdict(&token).await, "500 configuration", "the ConfigMap is not there");
    assert!(orders.gateway.said("ApiPolicy shop/orders").contains("provider-ca"), "{:?}", orders.gateway.diagnostics);
    let other = IdentityProvider::start_with_tls("ES256").await;
    orders.gateway.write("ca.yaml", &pem("ConfigMap", "provider-ca", &[("ca.crt", &other.authority())]));
    assert_eq!(orders.verdict(&token).await, "503 issuer-unreached", "it is the authority of somebody else");
    orders.gateway.write("ca.yaml", &pem("ConfigMap", "provider-ca", &[("ca.crt", &provider.authority())]));
    orders.served(&token).await;
    assert_eq!(orders.service.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_health_is_in_the_metrics_as_long_as_it_is_in_the_configuration() {
    let mut provider = IdentityProvider::start("ES256").await;
    let mut orders = Orders::behind(&provider.name(), "").await;
    let token = provider.token(ORDERS, READ).await;
    orders.served(&token).await;
    let states = async |orders: &Orders| {
        let states = ["healthy", "stale", "unreached"].map(|state| format!("state=\"{state}\"}}"));
        let [healthy, stale, unreached] = states.each_ref().map(|end| orders.metric(end));
        (healthy.await, stale.await, unreached.await)
    };
    assert_eq!(states(&orders).await, (1, 0, 0));
    assert_eq!(orders.metric("outcome=\"success\"}").await, 1);
    let second = provider.make_key("ES256", "second").await;
    provider.publish(&[second]).await;
    let of_a_key_not_seen = provider.token(ORDERS, READ).await;
    provider.stop().await;
    assert_eq!(orders.verdict(&of_a_key_not_seen).await, "401 token-invalid", "the look that it asks for fails");
    orders.gateway.until(POLICY, "IssuerHealthy", "IssuerStale").await;
    orders.gateway.until(POLICY, "Ready", "Ready").await;
    assert_eq!(orders.verdict(&token).await, "200", "the keys that are held go on");
    assert_eq!(states(&orders).await, (0, 1, 0));
    assert_eq!(orders.metric("outcome=\"unreachable\"}").await, 1);
    orders.gateway.remove("orders.yaml");
    assert!(!orders.gateway.metrics().await.contains(&provider.name()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_authority_is_exchanged_while_requests_run_and_none_is_refused() {
    let provider = IdentityProvider::start_with_tls("ES256").await;
    let other = Authority::new("successor").pem();
    let mut orders = Orders::behind(&provider.name(), WITH_CA).await;
    let trust = |orders: &mut Orders, authorities: &str| {
        orders.gateway.write("ca.yaml", &pem("ConfigMap", "provider-ca", &[("ca.crt", authorities)]));
    };
    trust(&mut orders, &provider.authority());
    let token = provider.token(ORDERS, READ).await;
    orders.served(&token).await;
    let traffic = traffic(&orders.gateway, &Arc::new(Mutex::new(token.clone())));
    for authorities in [provider.authority() + &other, other.clone() + &provider.authority(), provider.authority()] {
        traffic.more(100).await;
        trust(&mut orders, &authorities);
    }
    traffic.more(100).await;
    let verdicts = traffic.stop().await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["200"], "{verdicts:?}");
    trust(&mut orders, &other);
    assert_eq!(orders.verdict(&token).await, "503 issuer-unreached", "keys are not taken over from other trust");
}

/// Callers that always send the newest token in the cell.
fn traffic(gateway: &Gateway, token: &Arc<Mutex<String>>) -> Traffic {
    let token = Arc::clone(token);
    let script = move || {
        let authorization = format!("Bearer {}", token.lock());
        ("/orders".to_owned(), vec![("authorization".to_owned(), authorization)])
    };
    Traffic::start(gateway.http(), 4, Arc::new(script))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_used_the_moment_it_is_published_is_found() {
    let mut provider = IdentityProvider::start("ES256").await;
    let orders = Orders::behind(&provider.name(), "").await;
    let token = provider.token(ORDERS, READ).await;
    orders.served(&token).await;
    let newest = Arc::new(Mutex::new(token));
    let traffic = traffic(&orders.gateway, &newest);
    traffic.more(100).await;
    let second = provider.make_key("ES256", "second").await;
    provider.publish(&[second]).await;
    *newest.lock() = provider.token(ORDERS, READ).await;
    traffic.more(200).await;
    let verdicts = traffic.stop().await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["200"], "{verdicts:?}");
    assert_eq!(provider.key_sets().await, 2, "at the start, and for the new key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_published_before_they_are_used_change_without_a_refusal() {
    let mut provider = IdentityProvider::start("RS256").await;
    let first = provider.make_key("RS256", "first").await;
    let second = provider.make_key("RS256", "second").await;
    let third = provider.make_key("EdDSA", "third").await;
    provider.publish(std::slice::from_ref(&first)).await;
    let orders = Orders::behind(&provider.name(), "").await;
    let token = provider.token(ORDERS, READ).await;
    orders.served(&token).await;
    let newest = Arc::new(Mutex::new(token));
    let traffic = traffic(&orders.gateway, &newest);
    provider.publish(&[first.clone(), second.clone(), third.clone()]).await;
    traffic.more(50).await;
    // One look finds both new keys, so that the cool-down does not stand in the way of the third.
    for signing in [[second.clone(), first.clone(), third.clone()], [third, second, first]] {
        provider.publish(&signing).await;
        *newest.lock() = provider.token(ORDERS, READ).await;
        traffic.more(100).await;
    }
    let verdicts = traffic.stop().await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["200"], "{verdicts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_keys_makes_one_look_and_disturbs_nobody() {
    let mut provider = IdentityProvider::start("ES256").await;
    let orders = Orders::behind(&provider.name(), "").await;
    let good = provider.token(ORDERS, READ).await;
    orders.served(&good).await;
    let mut unknown = Vec::new();
    for number in 0..20 {
        // Signed by keys that it has taken back at once.
        let short_lived = provider.make_key("ES256", &format!("unknown-{number}")).await;
        provider.publish(&[short_lived]).await;
        unknown.push(provider.token(ORDERS, READ).await);
    }
    let honest = provider.make_key("ES256", "honest").await;
    provider.publish(&[honest]).await;
    let before = provider.key_sets().await;
    let answers = unknown.iter().cycle().take(200).map(|token| orders.verdict(token));
    for verdict in futures_util::future::join_all(answers).await {
        assert_eq!(verdict, "401 token-invalid");
    }
    assert_eq!(provider.key_sets().await - before, 1);
    assert_eq!(orders.verdict(&provider.token(ORDERS, READ).await).await, "200", "that look has found the good key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_known_keys_go_on_while_it_is_away_for_days_and_it_is_welcome_back() {
    let mut provider = IdentityProvider::start("ES256").await;
    let orders = Orders::behind(&provider.name(), "").await;
    let tokens: Vec<_> = futures_util::future::join_all((0..4).map(|_| provider.token(ORDERS, READ))).await;
    orders.served(&tokens[0]).await;
    provider.stop().await;
    for token in &tokens {
        orders.gateway.clock.advance(Duration::from_secs(9 * 86_400));
        assert_eq!(orders.verdict(token).await, "200", "tokens not seen before as well");
    }
    let age = orders.metric("sallyport_issuer_keys_age_seconds{").await;
    assert!((36 * 86_400..36 * 86_400 + 60).contains(&age), "{age}");
    provider.up("ES256").await;
    let second = provider.make_key("ES256", "second").await;
    provider.publish(&[second]).await;
    assert_eq!(orders.verdict(&provider.token(ORDERS, READ).await).await, "200", "the new key is looked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_starts_without_it_says_so_and_heals_by_itself() {
    let mut provider = IdentityProvider::down().await;
    provider.up("ES256").await;
    let token = provider.token(ORDERS, READ).await;
    let stranger = IdentityProvider::start("ES256").await;
    let foreign = stranger.token(ORDERS, READ).await;
    provider.stop().await;
    let mut orders = Orders::behind(&provider.name(), "").await;
    let said = orders.gateway.until(POLICY, "IssuerHealthy", "IssuerUnreached").await;
    assert!(said.message.starts_with(&provider.name()) && said.message.contains("cannot be connected to"), "{said:?}");
    orders.gateway.until(POLICY, "Ready", "IssuerUnreached").await;
    for _ in 0..3 {
        let answer = orders.answer("/orders", &token).await;
        assert_eq!((answer.verdict().as_str(), answer.header("retry-after")), ("503 issuer-unreached", Some("10")));
    }
    assert_eq!(orders.verdict(&foreign).await, "401 token-invalid", "it names another issuer");
    assert_eq!(orders.verdict("opaque").await, "401 token-invalid");
    provider.up("ES256").await;
    orders.served(&token).await;
    assert_eq!(orders.service.count(), 1);
    orders.gateway.until(POLICY, "IssuerHealthy", "IssuerHealthy").await;
    orders.gateway.until(POLICY, "Ready", "Ready").await;
}
