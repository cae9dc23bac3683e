//! Issuers that answer with anything but keys: they change nothing but their own health.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use crate::kit::hostile::{HostileIssuer, Manner, ok};
use crate::kit::issuer::{Issuer, merged};
use crate::kit::orders::Orders;
use crate::kit::service::Service;
use crate::kit::traffic::Traffic;

/// `/orders` behind an honest issuer and `/hostile` behind a hostile one.
struct World {
    orders: Orders,
    honest: Issuer,
    hostile: HostileIssuer,
}

impl World {
    async fn start() -> Self {
        let (honest, hostile) = (Issuer::start().await, HostileIssuer::start().await);
        let orders = Orders::behind(&honest.name(), "").await;
        orders.served(&honest.token("orders-api")).await;
        Self { orders, honest, hostile }
    }

    fn admit_hostile(&mut self) {
        self.orders.add("hostile", &self.hostile.name(), "");
    }

    async fn verdict(&self, token: &str) -> String {
        self.orders.answer("/hostile", token).await.verdict()
    }

    fn traffic(&self) -> Traffic {
        let authorization = format!("Bearer {}", self.honest.token("orders-api"));
        Traffic::steady(self.orders.gateway.http(), 2, "/orders", &[("authorization", &authorization)])
    }
}

async fn all_served(traffic: Traffic) {
    traffic.more(20).await;
    let verdicts = traffic.stop().await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["200"], "{verdicts:?}");
}

const POLICY: &str = "ApiPolicy shop/hostile";
const HTML: &str = "<!doctype html><title>Sign in</title>";

fn raw(text: &str) -> Manner {
    Manner::Bytes(text.as_bytes().to_vec())
}

fn compressed() -> Manner {
    raw("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x0b\x08\x00")
}

fn redirect() -> Manner {
    raw("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n")
}

/// Announces nothing, and does not end.
fn endless_body() -> Manner {
    Manner::Endless(b"HTTP/1.1 200 OK\r\n\r\n{\"keys\": [".repeat(500))
}

fn endless_head() -> Manner {
    Manner::Endless(b"HTTP/1.1 200 OK\r\nx-pad: 0123456789abcdef\r\n".repeat(500))
}

fn drip() -> Manner {
    Manner::Drip(format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(10_000)).into_bytes())
}

fn deep() -> Manner {
    ok(&format!("{{\"keys\":{}", "[".repeat(200_000)))
}

fn many() -> Manner {
    ok(&json!({ "keys": vec![json!({ "kty": "OKP" }); 101] }).to_string())
}

#[rstest]
#[case::redirect(redirect(), "answered 302 Found")]
#[case::not_there(raw("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"), "answered 404")]
#[case::nothing(raw("HTTP/1.1 204 No Content\r\n\r\n"), "answered 204")]
#[case::html(ok(HTML), "no JSON object")]
#[case::compressed(compressed(), "encoding")]
#[case::endless_body(endless_body(), "larger than")]
#[case::endless_head(endless_head(), "does not speak HTTP")]
#[case::announced_as_gigantic(raw("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{"), "broke off")]
#[case::not_http(raw("SSH-2.0-OpenSSH_9.2\r\n"), "does not speak HTTP")]
#[case::no_answer(raw(""), "does not speak HTTP")]
#[case::drip(drip(), "did not answer within")]
#[case::silence(Manner::Silence, "did not answer within")]
#[case::deep(deep(), "no JSON object")]
#[case::no_key(ok("{\"keys\": []}"), "none of its keys")]
#[case::too_many_keys(many(), "more than 100")]
#[case::a_secret_key(ok("{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}]}"), "none of its keys")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_without_keys_spoils_only_its_own_tokens(#[case] manner: Manner, #[case] why: &str) {
    let mut world = World::start().await;
    world.hostile.answer(manner);
    let traffic = world.traffic();
    world.admit_hostile();
    assert_eq!(world.verdict(&world.hostile.token()).await, "503 issuer-unreached");
    let said = world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerUnreached").await;
    assert!(said.message.contains(why), "{said:?}");
    assert_eq!(world.verdict(&world.hostile.token()).await, "503 issuer-unreached");
    let foreign = world.honest.token("orders-api");
    assert_eq!(world.verdict(&foreign).await, "401 token-invalid", "a token of an issuer in good health");
    all_served(traffic).await;
    world.orders.gateway.until("ApiPolicy shop/orders", "Ready", "Ready").await;
}

#[rstest]
#[case::another_issuer(json!({ "issuer": "https://accounts.example.com", "jwks_uri": "JWKS" }), "metadata is that of")]
#[case::one_slash_more(json!({ "issuer": "NAME/", "jwks_uri": "JWKS" }), "metadata is that of")]
#[case::no_issuer(json!({ "jwks_uri": "JWKS" }), "no JSON object")]
#[case::no_keys(json!({ "issuer": "NAME" }), "names no jwks_uri")]
#[case::a_file(json!({ "issuer": "NAME", "jwks_uri": "file:///etc/passwd" }), "no https address")]
#[case::metadata_of_the_cloud(json!({ "issuer": "NAME", "jwks_uri": "http://169.254.169.254/" }), "must not be called")]
#[case::the_same_written_otherwise(json!({ "issuer": "NAME", "jwks_uri": "http://[::ffff:a9fe:a9fe]/" }), "must not be called")]
#[case::plain_http_elsewhere(json!({ "issuer": "NAME", "jwks_uri": "http://192.0.2.1/" }), "is not allowed")]
#[case::credentials_in_the_address(json!({ "issuer": "NAME", "jwks_uri": "https://me:secret@192.0.2.1/" }), "no https address")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_that_leads_elsewhere_is_not_followed(#[case] metadata: Value, #[case] why: &str) {
    let mut world = World::start().await;
    let name = world.hostile.name();
    let text = metadata.to_string().replace("NAME", &name).replace("JWKS", &format!("{name}/jwks"));
    world.hostile.introduce(ok(&text));
    world.admit_hostile();
    let said = world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerUnreached").await;
    assert!(said.message.contains(why), "{said:?}");
    assert_eq!(world.verdict(&world.hostile.token()).await, "503 issuer-unreached");
    assert_eq!(world.orders.verdict(&world.honest.token("orders-api")).await, "200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_brings_the_callers_nowhere() {
    let (mut world, elsewhere) = (World::start().await, Service::start().await);
    let moved =
        format!("HTTP/1.1 307 Moved\r\nlocation: http://{}/jwks\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    world.hostile.introduce(raw(&moved));
    world.admit_hostile();
    world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerUnreached").await;
    assert_eq!(elsewhere.count(), 0);
}

#[rstest]
#[case::redirect(redirect())]
#[case::html(ok(HTML))]
#[case::compressed(compressed())]
#[case::endless_body(endless_body())]
#[case::no_key(ok("{\"keys\": []}"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_turns_hostile_loses_no_key_and_is_welcome_back(#[case] manner: Manner) {
    let mut world = World::start().await;
    world.admit_hostile();
    world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerHealthy").await;
    world.hostile.answer(manner);
    let traffic = world.traffic();
    assert_eq!(world.verdict(&world.hostile.token_of_another_key()).await, "401 token-invalid");
    world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerStale").await;
    world.orders.gateway.until(POLICY, "Ready", "Ready").await;
    assert_eq!(world.verdict(&world.hostile.token()).await, "200");
    all_served(traffic).await;
    world.hostile.behave();
    world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerHealthy").await;
}

/// While it has been asked and says nothing, nobody can tell whether a key is new: its tokens are not called bad.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_falls_silent_has_no_token_refused_for_good_while_it_is_asked() {
    let mut world = World::start().await;
    world.admit_hostile();
    world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerHealthy").await;
    world.hostile.answer(Manner::Silence);
    let traffic = world.traffic();
    let of_another_key = world.hostile.token_of_another_key();
    assert_eq!(world.verdict(&of_another_key).await, "503 issuer-unreached");
    assert_eq!(world.verdict(&world.hostile.token()).await, "200", "its known keys go on");
    world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerStale").await;
    world.orders.gateway.until(POLICY, "Ready", "Ready").await;
    assert_eq!(
        world.verdict(&of_another_key).await,
        "401 token-invalid",
        "the look is over, and has found no such key"
    );
    assert_eq!(world.verdict(&world.hostile.token()).await, "200");
    all_served(traffic).await;
    world.hostile.behave();
    world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerHealthy").await;
}

#[rstest]
#[case::another_curve(json!({ "crv": "P-224" }), "kty or crv")]
#[case::another_purpose(json!({ "use": "enc" }), "its use is not sig")]
#[case::no_point(json!({ "y": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }), "no point")]
#[case::anothers_private_half(json!({ "d": "AAAA", "x": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }), "private")]
#[case::a_number_for_a_name(json!({ "kid": 7 }), "kid is no text")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_keys_among_bad_ones_go_on_and_the_bad_ones_are_named(#[case] changes: Value, #[case] why: &str) {
    let mut world = World::start().await;
    let good = world.hostile.key_set()["keys"][0].clone();
    let bad = merged(good.clone(), &changes);
    world.hostile.answer(ok(&json!({ "keys": [7, bad, good] }).to_string()));
    world.admit_hostile();
    let said = world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerHealthy").await;
    assert!(said.message.contains("keys[0]: it is no object") && said.message.contains(why), "{said:?}");
    assert_eq!(world.verdict(&world.hostile.token()).await, "200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_whose_private_half_is_published_verifies_nothing() {
    let mut world = World::start().await;
    let mut key = world.hostile.key_set()["keys"][0].clone();
    key["d"] = key["x"].clone();
    world.hostile.answer(ok(&json!({ "keys": [key] }).to_string()));
    world.admit_hostile();
    let said = world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerUnreached").await;
    assert!(said.message.contains("private"), "{said:?}");
    assert_eq!(world.verdict(&world.hostile.token()).await, "503 issuer-unreached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_keys_under_one_id_verify_what_each_has_signed() {
    let mut world = World::start().await;
    let (own, other) = (world.hostile.key_set()["keys"][0].clone(), world.honest.key_set()["keys"][0].clone());
    assert_eq!(own["kid"], other["kid"]);
    world.hostile.answer(ok(&json!({ "keys": [other, own] }).to_string()));
    world.admit_hostile();
    world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerHealthy").await;
    assert_eq!(world.verdict(&world.hostile.token()).await, "200");
    // The honest issuer's key is in this set as well, and yet its tokens name another issuer.
    assert_eq!(world.verdict(&world.honest.token("orders-api")).await, "401 token-invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_never_answers_is_not_asked_by_every_request() {
    let mut world = World::start().await;
    world.hostile.introduce(Manner::Silence);
    world.admit_hostile();
    world.orders.gateway.until(POLICY, "IssuerHealthy", "IssuerUnreached").await;
    let asked = tokio::time::timeout(Duration::from_secs(2), async {
        for _ in 0..100 {
            assert_eq!(world.verdict(&world.hostile.token()).await, "503 issuer-unreached");
        }
    });
    asked.await.expect("nobody waits for it");
    assert!(world.hostile.connections.load(Ordering::SeqCst) <= 2, "the gateway's own attempts");
}
