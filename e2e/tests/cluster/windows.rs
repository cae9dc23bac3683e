//! The moments in which others have failed open: something is missing, comes late, is misspelt, or is taken away. Meanwhile callers without a
//! credential ask at every replica all the time, and the service never sees one.

use std::time::Duration;

use tokio::time::sleep;

use crate::kit::besieged::{Besieged, serves};
use crate::kit::manifest::{BY_KEY, LOGIN, SERVICE, backend, key, policy, protected, replicas, route, subscription};
use crate::kit::traffic::Strangers;
use crate::kit::world::World;

/// Time for strangers to find what is half made.
const BETWEEN_STEPS: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn a_route_before_its_policy_is_not_open() {
    let manifests = [SERVICE, &replicas(2), LOGIN, &backend("orders"), &route("orders")];
    let world = World::with("route-first", &manifests).await;
    let strangers = Strangers::around(&world, "public", "/orders");
    let address = world.address("public").await;
    world.verdict(&address, "/orders", &[], "500 unprotected").await;
    world.condition("HTTPRoute", "orders", "sallyport.dev/Unprotected", true).await;
    world.apply(&policy("orders", BY_KEY)).await;
    world.ready("ApiPolicy", "orders").await;
    assert_eq!(world.ask(&address, "/orders", &[]).await.verdict(), "401 credential-missing");
    strangers.none_came_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_before_its_route_holds_from_the_first_request() {
    let world = World::with("policy-first", &[SERVICE, &replicas(2), LOGIN, &backend("orders")]).await;
    let strangers = Strangers::around(&world, "public", "/orders");
    world.apply(&policy("orders", BY_KEY)).await;
    assert_eq!(world.condition("ApiPolicy", "orders", "Accepted", false).await, "TargetNotFound");
    let address = world.address("public").await;
    world.verdict(&address, "/orders", &[], "404 no-route").await;
    world.apply(&route("orders")).await;
    world.apply(&subscription("orders", &key("policy-first"))).await;
    world.ready("ApiPolicy", "orders").await;
    serves(&world, &key("policy-first")).await;
    strangers.none_came_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_target_says_so_and_leaves_the_route_closed() {
    let manifests = [SERVICE, &replicas(2), LOGIN, &backend("orders"), &route("orders")];
    let world = World::with("misspelt", &manifests).await;
    let strangers = Strangers::around(&world, "public", "/orders");
    world.apply(&policy("orders", BY_KEY).replace("HTTPRoute, name: orders", "HTTPRoute, name: order")).await;
    assert_eq!(world.condition("ApiPolicy", "orders", "Accepted", false).await, "TargetNotFound");
    let address = world.address("public").await;
    world.verdict(&address, "/orders", &[], "500 unprotected").await;
    strangers.none_came_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_gets_another_name_takes_no_open_door_with_it() {
    let api = Besieged::with("rename").await;
    // The new name first, then the old one goes, and last comes the policy after it: as a rename in a repository is rolled out.
    let renamed = route("orders").replace("{name: orders}\nspec", "{name: purchases}\nspec");
    api.world.apply(&renamed).await;
    api.strangers.go_on().await;
    api.world.delete("HTTPRoute", "orders").await;
    api.verdict_with_key("500 unprotected").await;
    api.strangers.go_on().await;
    api.world.apply(&policy("orders", BY_KEY).replace("HTTPRoute, name: orders", "HTTPRoute, name: purchases")).await;
    // The subscription is to the route of the old name, and opens nothing.
    api.verdict_with_key("401 key-unknown").await;
    api.none_came_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_comes_late_is_malformed_goes_and_comes_back_never_sends_a_request_bare() {
    let key = key("secret");
    let manifests = [
        SERVICE,
        &replicas(2),
        &backend("orders"),
        &route("orders"),
        &policy("orders", BY_KEY),
        &subscription("orders", &key),
    ];
    let world = World::with("secret", &manifests).await;
    let strangers = Strangers::around(&world, "public", "/orders");
    let with_key = &[("sallyport-key", key.as_str())];
    assert_eq!(world.condition("Backend", "orders", "CredentialReady", false).await, "SecretNotFound");
    let address = world.address("public").await;
    world.verdict(&address, "/orders", with_key, "500 configuration").await;
    world.apply(LOGIN).await;
    world.condition("Backend", "orders", "CredentialReady", true).await;
    serves(&world, &key).await;
    world.apply(&LOGIN.replace("username: gateway", "username: \"gate:way\"")).await;
    assert_eq!(world.condition("Backend", "orders", "CredentialReady", false).await, "SecretInvalid");
    world.verdict(&address, "/orders", with_key, "500 configuration").await;
    world.apply(LOGIN).await;
    serves(&world, &key).await;
    world.delete("Secret", "login").await;
    world.verdict(&address, "/orders", with_key, "500 configuration").await;
    world.apply(LOGIN).await;
    serves(&world, &key).await;
    strangers.none_came_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_with_its_subscription() {
    let api = Besieged::with("revoked").await;
    api.world.delete("Subscription", "orders").await;
    api.verdict_with_key("401 key-unknown").await;
    api.none_came_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_an_issuer_that_was_never_there_admit_nobody() {
    let manifests = [SERVICE, &replicas(2), LOGIN, &backend("orders"), &route("orders")];
    let world = World::with("issuer", &manifests).await;
    let strangers = Strangers::around(&world, "public", "/orders");
    // An address of the cluster's network where nobody is.
    let token = "authentication: [{name: staff, jwt: {issuer: https://10.90.0.77, audiences: [orders]}}]";
    world.apply(&policy("orders", token)).await;
    world.condition("ApiPolicy", "orders", "IssuerHealthy", false).await;
    let address = world.address("public").await;
    world.verdict(&address, "/orders", &[], "401 credential-missing").await;
    let forged = format!("Bearer {FORGED}");
    let answer = world.ask(&address, "/orders", &[("authorization", &forged)]).await;
    assert_eq!(answer.verdict(), "503 issuer-unreached");
    strangers.none_came_in().await;
}

/// Of that issuer, by its words; the signature is nobody's.
const FORGED: &str = concat!(
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEiLCJ0eXAiOiJKV1QifQ",
    ".eyJpc3MiOiJodHRwczovLzEwLjkwLjAuNzciLCJhdWQiOiJvcmRlcnMiLCJleHAiOjQwMDAwMDAwMDB9",
    ".c2lnbmF0dXJlIG9mIG5vYm9keSBhdCBhbGwsIGJ1dCBpdCBpcyBsb25nIGVub3VnaA"
);

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_deleted_and_comes_back_serves_the_same_and_nobody_else() {
    let api = Besieged::with("again").await;
    api.world.emptied().await;
    for manifest in protected("orders", &api.key, &replicas(2)) {
        api.world.apply(&manifest).await;
        sleep(BETWEEN_STEPS).await;
    }
    api.world.ready("ApiPolicy", "orders").await;
    api.serves().await;
    api.none_came_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_deleted_closes_its_route() {
    let api = Besieged::with("policy-gone").await;
    api.world.delete("ApiPolicy", "orders").await;
    api.verdict_with_key("500 unprotected").await;
    api.world.apply(&policy("orders", BY_KEY)).await;
    api.serves().await;
    api.none_came_in().await;
}
