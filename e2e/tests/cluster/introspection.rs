//! Tokens that a real identity provider in the cluster is asked about.

use crate::examples::{example, service};
use crate::kit::identity_provider::{issuer, opaque_token, revoke, start};
use crate::kit::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_in_until_it_is_revoked() {
    let world = World::with("introspection", &[service("orders")]).await;
    start(&world).await;
    let written = example("introspection");
    let issuer = issuer(&world);
    let host = issuer.trim_start_matches("https://").split(':').next().unwrap();
    let ours = written.replace("https://login.example.com", &issuer).replace("login.example.com", host);
    assert_ne!(written, ours);
    world.apply(&ours).await;
    world.ready("ApiPolicy", "orders").await;
    let address = world.address("public").await;
    let (token, unfit) = (opaque_token(&world, "orders.read").await, opaque_token(&world, "orders.write").await);
    assert!(!token.contains('.'), "it says nothing by itself");
    let verdict = async |token: &str, verdict: &str| {
        world.verdict(&address, "/orders", &[("authorization", &format!("Bearer {token}"))], verdict).await
    };
    let answer = verdict(&token, "200").await;
    assert_eq!(answer.saw("X-Client"), Some("test-client"));
    verdict(&unfit, "403 scope-insufficient").await;
    verdict("nonsense", "401 token-invalid").await;
    world.condition("ApiPolicy", "orders", "IssuerHealthy", true).await;
    revoke(&world, &token).await;
    verdict(&token, "401 token-invalid").await;
    world.delete("Pod", "login").await;
    verdict(&opaque_looking(), "503 introspection-unavailable").await;
    world.condition("ApiPolicy", "orders", "IssuerHealthy", false).await;
}

/// Nobody knows it, and nobody can be asked.
fn opaque_looking() -> String {
    "x".repeat(43)
}
