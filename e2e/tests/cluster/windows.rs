//! The moments in which others have failed open: something is missing, comes late, or is taken away.

use crate::kit::manifest::{BY_KEY, GATEWAY, LOGIN, SERVICE, SHOWN, backend, policy, route, subscription};
use crate::kit::world::World;

const SECRET_KEY: &str = "sp_beside_a_secret_0123456789abcdef0123456789";
const REVOKED_KEY: &str = "sp_that_is_revoked_0123456789abcdef0123456789";

#[tokio::test(flavor = "multi_thread")]
async fn a_route_before_its_policy_is_not_open() {
    let world = World::with("route-first", &[SERVICE, GATEWAY, LOGIN, &backend("orders"), &route("orders")]).await;
    let address = world.address("public").await;
    world.verdict(&address, "/orders", &[], "500 unprotected").await;
    world.condition("HTTPRoute", "orders", "sallyport.dev/Unprotected", true).await;
    world.apply(&policy("orders", BY_KEY)).await;
    world.ready("ApiPolicy", "orders").await;
    assert_eq!(world.ask(&address, "/orders", &[]).await.verdict(), "401 credential-missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_comes_late_goes_and_comes_back_never_sends_a_request_bare() {
    let world = World::with(
        "secret",
        &[
            SERVICE,
            GATEWAY,
            &backend("orders"),
            &route("orders"),
            &policy("orders", BY_KEY),
            &subscription("orders", SECRET_KEY),
        ],
    )
    .await;
    let with_key = &[("sallyport-key", SECRET_KEY)];
    assert_eq!(world.condition("Backend", "orders", "CredentialReady", false).await, "SecretNotFound");
    let address = world.address("public").await;
    world.verdict(&address, "/orders", with_key, "500 configuration").await;
    world.apply(LOGIN).await;
    world.condition("Backend", "orders", "CredentialReady", true).await;
    let answer = world.verdict(&address, "/orders", with_key, "200").await;
    assert_eq!(answer.saw("Authorization"), Some(SHOWN));
    world.delete("Secret", "login").await;
    world.verdict(&address, "/orders", with_key, "500 configuration").await;
    world.apply(LOGIN).await;
    world.verdict(&address, "/orders", with_key, "200").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_with_its_subscription() {
    let manifests = [
        SERVICE,
        GATEWAY,
        LOGIN,
        &backend("orders"),
        &route("orders"),
        &policy("orders", BY_KEY),
        &subscription("orders", REVOKED_KEY),
    ];
    let world = World::with("revoked", &manifests).await;
    let with_key = &[("sallyport-key", REVOKED_KEY)];
    world.ready("Subscription", "orders").await;
    let address = world.address("public").await;
    world.verdict(&address, "/orders", with_key, "200").await;
    world.delete("Subscription", "orders").await;
    world.verdict(&address, "/orders", with_key, "401 key-unknown").await;
}
