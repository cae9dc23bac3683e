//! Encrypted tokens: what a real issuer makes of them, and what is in an envelope that somebody else has sealed.

use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use rstest::rstest;
use serde_json::json;
use tokio::net::TcpStream;

use crate::kit::caller::{get, open, send};
use crate::kit::gateway::Gateway;
use crate::kit::identity_provider::{IdentityProvider, SEALED};
use crate::kit::issuer::{Issuer, encode, merged};
use crate::kit::manifest::{GATEWAY, backend, pem, policy, policy_on, route};
use crate::kit::orders::Orders;
use crate::kit::service::Service;

const OPENS: &str = ", decryptionKeyRefs: [{name: opener, key: current.pem}, {name: opener, key: next.pem}]";

fn armoured(label: &str, der: &[u8]) -> String {
    let body = base64::Engine::encode(&STANDARD, der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

struct Key(PrivateDecryptingKey);

impl Key {
    fn new() -> Self {
        Self(PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap())
    }

    fn private(&self) -> String {
        armoured("PRIVATE KEY", AsDer::<Pkcs8V1Der<'_>>::as_der(&self.0).unwrap().as_ref())
    }

    fn public(&self) -> String {
        armoured("PUBLIC KEY", AsDer::<PublicKeyX509Der<'_>>::as_der(&self.0.public_key()).unwrap().as_ref())
    }

    /// `text` for this key alone.
    fn seal(&self, text: &str) -> String {
        seal(self.0.public_key(), text)
    }
}

fn seal(public: PublicEncryptingKey, text: &str) -> String {
    let key = OaepPublicEncryptingKey::new(public).unwrap();
    let mut encrypted = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA256_MGF1SHA256, &[7; 32], &mut encrypted, None).unwrap();
    let header = encode(r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","cty":"JWT"}"#);
    let mut content = text.as_bytes().to_vec();
    let sealing = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    let nonce = Nonce::assume_unique_for_key([1; 12]);
    let tag = sealing.seal_in_place_separate_tag(nonce, Aad::from(header.as_bytes()), &mut content).unwrap();
    [header, encode(encrypted), encode([1; 12]), encode(content), encode(tag)].join(".")
}

fn opener(keys: [&Key; 2]) -> String {
    pem("Secret", "opener", &[("current.pem", &keys[0].private()), ("next.pem", &keys[1].private())])
}

#[rstest]
#[case("RSA-OAEP", "A128CBC-HS256")]
#[case("RSA-OAEP-256", "A256GCM")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_a_real_issuer_encrypts_are_opened(#[case] algorithm: &str, #[case] encryption: &str) {
    let (mut provider, keys) = (IdentityProvider::start("ES256").await, [Key::new(), Key::new()]);
    let mut orders = Orders::behind(&provider.name(), &format!(", scopes: [orders.read]{OPENS}")).await;
    orders.gateway.write("opener.yaml", &opener([&keys[0], &keys[1]]));
    for key in &keys {
        provider.encrypt(&key.public(), (algorithm, encryption)).await;
        let token = provider.token(SEALED, "orders.read").await;
        assert_eq!(token.matches('.').count(), 4, "{token}");
        for _ in 0..2 {
            assert_eq!(orders.verdict(&token).await, "200");
            assert_eq!(
                orders.service.one().header("authorization"),
                Some(format!("Bearer {token}").as_str()),
                "as it came"
            );
        }
        let other = provider.token(SEALED, "orders.write").await;
        assert_eq!(orders.verdict(&other).await, "403 scope-insufficient");
    }
    provider.encrypt(&Key::new().public(), (algorithm, encryption)).await;
    assert_eq!(orders.verdict(&provider.token(SEALED, "orders.read").await).await, "401 token-invalid");
    assert_eq!(orders.service.count(), 0);
}

/// Anybody can encrypt for a public key: only what stands inside counts.
#[tokio::test]
async fn what_stands_inside_is_judged_as_any_token_is() {
    let (issuer, stranger, key) = (Issuer::start().await, Issuer::start().await, Key::new());
    let mut orders = Orders::behind(&issuer.name(), OPENS).await;
    orders.gateway.write("opener.yaml", &opener([&key, &key]));
    let good = issuer.token("orders-api");
    let (signed, unsigned) = (good.as_str(), good.rsplit_once('.').unwrap().0);
    let as_issuer = merged(issuer.claims("orders-api"), &json!({}));
    for (what, text, expected) in [
        ("a good token", signed.to_owned(), "200"),
        ("no signature", format!("{unsigned}."), "401 token-invalid"),
        ("a forged signature", format!("{unsigned}.{}", encode([1; 64])), "401 token-invalid"),
        ("somebody else's signature", stranger.sign(&issuer.header(), &as_issuer), "401 token-invalid"),
        ("somebody else's token", stranger.token("orders-api"), "401 token-invalid"),
        ("for others", issuer.token("billing-api"), "401 token-invalid"),
        ("expired", issuer.token_with("orders-api", &json!({ "exp": 1 })), "401 token-invalid"),
        ("claims alone", as_issuer.to_string(), "401 token-invalid"),
        ("an envelope", key.seal(signed), "401 token-invalid"),
        ("nothing", String::new(), "401 token-invalid"),
    ] {
        assert_eq!(orders.verdict(&key.seal(&text)).await, expected, "{what}");
    }
    assert_eq!(orders.verdict(signed).await, "200", "signed ones are taken as well");
    assert_eq!(orders.service.count(), 2);
    orders.require(&issuer.name(), "");
    assert_eq!(orders.verdict(&key.seal(signed)).await, "401 token-invalid", "no key is stated any more");
}

#[tokio::test]
async fn expressions_know_what_stands_inside() {
    let (issuer, key, service) = (Issuer::start().await, Key::new(), Service::start().await);
    let spec = format!(
        "authentication: [{{name: staff, jwt: {{issuer: '{}', audiences: [orders-api]{OPENS}}}}}]\n\
         authorization: [{{name: alice, require: 'auth.jwt.subject == \"alice\" && auth.jwt.header.alg == \"ES256\"'}}]\n",
        issuer.name()
    );
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, ""),
        &policy("orders", &spec),
        &opener([&key, &key]),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    for (subject, expected) in
        [("alice", "200"), ("bob", "403 authorization-denied"), ("alice", "200"), ("bob", "403 authorization-denied")]
    {
        let token = key.seal(&issuer.token_with("orders-api", &json!({ "sub": subject })));
        let answer = send(gateway.http(), get("/orders", &[("authorization", &format!("Bearer {token}"))])).await;
        assert_eq!(answer.verdict(), expected, "{subject}");
    }
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn a_key_that_cannot_be_used_closes_the_alternative_until_it_is_there() {
    let (issuer, key) = (Issuer::start().await, Key::new());
    let mut orders = Orders::behind(&issuer.name(), OPENS).await;
    let (signed, sealed) = (issuer.token("orders-api"), key.seal(&issuer.token("orders-api")));
    let sec1 = key.private().replace("PRIVATE KEY", "RSA PRIVATE KEY");
    for (file, told) in [
        (None, "does not exist"),
        (Some(pem("Secret", "opener", &[("current.pem", &key.private())])), "no entry next.pem"),
        (Some(pem("Secret", "opener", &[("current.pem", "nonsense"), ("next.pem", &key.private())])), "openssl pkcs8"),
        (Some(pem("Secret", "opener", &[("current.pem", &sec1), ("next.pem", &key.private())])), "openssl pkcs8"),
        (
            Some(pem("Secret", "opener", &[("current.pem", &key.public()), ("next.pem", &key.private())])),
            "openssl pkcs8",
        ),
    ] {
        if let Some(file) = file {
            orders.gateway.write("opener.yaml", &file);
        }
        for token in [&signed, &sealed] {
            assert_eq!(orders.verdict(token).await, "500 configuration", "{told}");
        }
        let said = orders.gateway.said("ApiPolicy shop/orders");
        assert!(said.contains(told) && said.contains("decryptionKeyRefs"), "{said}");
        assert!(!said.contains("nonsense"), "{said}");
    }
    orders.gateway.write("opener.yaml", &opener([&key, &key]));
    for token in [&signed, &sealed] {
        assert_eq!(orders.verdict(token).await, "200");
    }
}

/// A key that is taken away opens nothing more, though its tokens have been seen.
#[tokio::test]
async fn keys_change_while_tokens_are_under_way() {
    let (issuer, [old, new, later]) = (Issuer::start().await, [Key::new(), Key::new(), Key::new()]);
    let mut orders = Orders::behind(&issuer.name(), OPENS).await;
    let token = issuer.token("orders-api");
    let sealed = [&old, &new, &later].map(|key| key.seal(&token));
    for (pair, expected) in [([&old, &new], [true, true, false]), ([&new, &later], [false, true, true])] {
        orders.gateway.write("opener.yaml", &opener(pair));
        for (token, is_opened) in sealed.iter().zip(expected) {
            assert_eq!(orders.verdict(token).await, if is_opened { "200" } else { "401 token-invalid" });
        }
    }
}

/// Each alternative with a new key in front of the one that is in use, and a Floor and a rehearsal with the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_alternatives_look_whoever_sends_one_token_gets_in() {
    let (issuer, service, [new, current, stranger]) =
        (Issuer::start().await, Service::start().await, [Key::new(), Key::new(), Key::new()]);
    let name = issuer.name();
    let alternative = |at: usize, audience: &str| {
        format!("- {{name: a{at}, jwt: {{issuer: '{name}', audiences: [{audience}]{OPENS}}}}}\n")
    };
    let others = (0..15).map(|at| alternative(at, "billing")).collect::<String>();
    let spec = format!("authentication:\n{others}{}", alternative(15, "orders-api"));
    let floor = format!("enforcement: Floor\nauthentication:\n{}", alternative(0, "orders-api"));
    let report = format!("mode: Report\nauthentication:\n{}", alternative(0, "orders-api"));
    let target = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, ""),
        &policy("orders", &spec),
        &policy_on("floor", target, &floor),
        &policy_on("report", target, &report),
        &opener([&new, &current]),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
    let ask = async |token: &str| {
        send(gateway.http(), get("/orders", &[("authorization", &format!("Bearer {token}"))])).await.verdict()
    };
    let token = issuer.token("orders-api");
    for _ in 0..2 {
        assert_eq!(ask(&current.seal(&token)).await, "200");
    }
    assert_eq!(ask(&stranger.seal(&token)).await, "401 token-invalid");
    let log = gateway.log(3).await;
    assert!(log.iter().all(|line| line["would_refuse"].is_null()), "{log:#?}");
    assert!(log[2]["refusal"]["message"].as_str().unwrap().contains("no key of the policy opens it"), "{}", log[2]);
}

#[tokio::test]
async fn more_keys_than_one_request_may_cost_are_refused_and_told() {
    let (issuer, service) = (Issuer::start().await, Service::start().await);
    let keys = [(); 9].map(|()| Key::new());
    let entries: Vec<_> = keys.iter().enumerate().map(|(at, key)| (format!("{at}.pem"), key.private())).collect();
    let entries: Vec<_> = entries.iter().map(|(name, key)| (name.as_str(), key.as_str())).collect();
    let spec = |count: usize| {
        let alternatives = (0..count).map(|at| {
            let refs = format!("decryptionKeyRefs: [{{name: opener, key: {at}.pem}}]");
            format!("- {{name: a{at}, jwt: {{issuer: '{}', audiences: [orders-api], {refs}}}}}\n", issuer.name())
        });
        format!("authentication:\n{}", alternatives.collect::<String>())
    };
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &pem("Secret", "opener", &entries)];
    let mut gateway = Gateway::start(&manifests.concat()).await;
    for (count, expected) in [(8, "200"), (9, "500 configuration")] {
        gateway.write("policy.yaml", &policy("orders", &spec(count)));
        let token = keys[7].seal(&issuer.token("orders-api"));
        let answer = send(gateway.http(), get("/orders", &[("authorization", &format!("Bearer {token}"))])).await;
        assert_eq!(answer.verdict(), expected, "{count}");
    }
    let said = gateway.until("ApiPolicy shop/orders", "Programmed", "Rejected").await;
    assert!(said.message.contains("more than 8 decryption keys"), "{said:?}");
}

/// Whoever has come in stays in.
#[tokio::test]
async fn a_new_key_ends_no_stream() {
    let (issuer, [old, new]) = (Issuer::start().await, [Key::new(), Key::new()]);
    let mut orders = Orders::behind(&issuer.name(), OPENS).await;
    orders.gateway.write("opener.yaml", &opener([&old, &old]));
    let bearer = format!("Bearer {}", issuer.token("orders-api"));
    let stream = TcpStream::connect(orders.gateway.http()).await.unwrap();
    let mut body = open(stream, get("/orders/drip", &[("authorization", &bearer)])).await.into_body();
    assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
    orders.gateway.write("opener.yaml", &opener([&new, &old]));
    assert_eq!(orders.verdict(&new.seal(&issuer.token("orders-api"))).await, "200");
    let end = tokio::time::Instant::now() + Duration::from_millis(1500);
    while tokio::time::Instant::now() < end {
        assert!(body.frame().await.is_some_and(|frame| frame.is_ok()), "it goes on");
    }
}
