//! Consumers who have every right in their own namespace, and want more than the owner of the Product has given them.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::kit::fate::{kubectl, refused};
use crate::kit::manifest::{BY_KEY, GATEWAY, SERVICE, backend, policy, route};
use crate::kit::world::World;

/// Longer than it takes the controller to be wrong.
const WHILE: Duration = Duration::from_secs(3);
/// The consumer writes it: he knows his key whatever becomes of the Subscription.
const KEY: &str = "sp_a_consumer_who_wants_more_0123456789abcdef";

/// Two APIs, and a Product of each whose owner is asked.
async fn owner() -> World {
    let product = |name: &str| {
        let subscribers = "subscribers: {namespaces: {from: All}}, approval: Manual";
        format!(
            "{{apiVersion: sallyport.dev/v1alpha1, kind: Product, metadata: {{name: {name}}}, \
             spec: {{displayName: {name}, apis: [{{kind: HTTPRoute, name: {name}}}], {subscribers}}}}}"
        )
    };
    let open = |name: &str| backend(name).replace("  credential: {basic: {secretRef: {name: login}}}\n", "");
    let mut given = vec![SERVICE.to_owned(), GATEWAY.to_owned()];
    for name in ["orders", "vault"] {
        given.extend([open(name), policy(name, BY_KEY), route(name), product(name)]);
    }
    World::with("owner", &given).await
}

/// To one of the Products, with a key of the consumer's own.
fn subscription(owner: &World, product: &str) -> String {
    let product = format!("{{name: {product}, namespace: {}}}", owner.namespace);
    format!(
        "
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {{name: acme}}
spec: {{scope: {{product: {product}}}, keys: {{secretName: acme-keys}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: acme-keys}}
stringData: {{primary: {KEY}}}
"
    )
}

/// An approval of the Subscription as it is now.
async fn approval(consumer: &World, product: &str, decision: &str) -> String {
    let subscription = consumer.get("Subscription", "acme").await.unwrap();
    json!({
        "apiVersion": "sallyport.dev/v1alpha1", "kind": "SubscriptionApproval", "metadata": { "name": format!("acme-{product}") },
        "spec": {
            "productRef": { "name": product }, "decision": decision,
            "subscriptionRef": { "namespace": consumer.namespace, "name": "acme", "uid": subscription["metadata"]["uid"] },
        },
    })
    .to_string()
}

/// A Product's owner, a consumer who has been taken by `orders`, and where both meet.
async fn taken() -> (World, World, String) {
    let owner = owner().await;
    let consumer = World::with("consumer", &[subscription(&owner, "orders")]).await;
    consumer.condition("Subscription", "acme", "Approved", false).await;
    owner.apply(&approval(&consumer, "orders", "Approved").await).await;
    let address = owner.address("public").await;
    opens(&owner, &address).await;
    (owner, consumer, address)
}

async fn opens(owner: &World, address: &str) {
    owner.verdict(address, "/orders", &[("sallyport-key", KEY)], "200").await;
}

/// The key opens `path` neither now nor a while later.
async fn stays_shut(owner: &World, address: &str, path: &str, verdict: &str) {
    owner.verdict(address, path, &[("sallyport-key", KEY)], verdict).await;
    sleep(WHILE).await;
    assert_eq!(owner.ask(address, path, &[("sallyport-key", KEY)]).await.verdict(), verdict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_cannot_take_himself() {
    let owner = owner().await;
    let consumer = World::with("consumer", &[subscription(&owner, "orders")]).await;
    let address = owner.address("public").await;
    assert_eq!(consumer.condition("Subscription", "acme", "Approved", false).await, "AwaitingApproval");
    consumer.apply(&approval(&consumer, "orders", "Approved").await).await;
    let claimed = json!({ "type": "Approved", "status": "True", "reason": "Approved", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" });
    let status = json!({ "status": { "phase": "Active", "conditions": [claimed] } }).to_string();
    let patch = ["patch", "subscription/acme", "--subresource=status", "--type=merge", "-p", &status];
    kubectl(&[&patch[..], &["-n", &consumer.namespace]].concat()).await;
    stays_shut(&owner, &address, "/orders", "403 subscription-inactive").await;
    assert_eq!(consumer.condition("Subscription", "acme", "Approved", false).await, "AwaitingApproval");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_made_anew_under_the_same_name_is_another() {
    let (owner, consumer, address) = taken().await;
    consumer.delete("Subscription", "acme").await;
    owner.verdict(&address, "/orders", &[("sallyport-key", KEY)], "401 key-unknown").await;
    consumer.apply(&subscription(&owner, "orders")).await;
    assert_eq!(consumer.condition("Subscription", "acme", "Approved", false).await, "AwaitingApproval");
    stays_shut(&owner, &address, "/orders", "403 subscription-inactive").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_about_one_product_opens_no_other() {
    let (owner, consumer, address) = taken().await;
    assert_eq!(owner.ask(&address, "/vault", &[("sallyport-key", KEY)]).await.verdict(), "403 key-out-of-scope");
    // Whether its scope may change or not: it opens nothing that its owner has not given.
    let wider = subscription(&owner, "vault");
    let said =
        refused(&["apply", "--server-side", "--force-conflicts", "-n", &consumer.namespace, "-f", "-"], &wider).await;
    assert!(said.contains("scope"), "{said}");
    stays_shut(&owner, &address, "/vault", "403 key-out-of-scope").await;
    opens(&owner, &address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_owner_has_suspended_does_not_come_back_by_himself() {
    let (owner, consumer, address) = taken().await;
    owner.apply(&approval(&consumer, "orders", "Suspended").await).await;
    owner.verdict(&address, "/orders", &[("sallyport-key", KEY)], "403 subscription-inactive").await;
    let set = async |state: &str| {
        let state = json!({ "spec": { "state": state } }).to_string();
        let patch = ["patch", "subscription/acme", "--type=merge", "-p", &state, "-n", &consumer.namespace];
        kubectl(&patch).await;
    };
    set("Suspended").await;
    set("Active").await;
    stays_shut(&owner, &address, "/orders", "403 subscription-inactive").await;
    owner.apply(&approval(&consumer, "orders", "Approved").await).await;
    opens(&owner, &address).await;
    set("Cancelled").await;
    owner.verdict(&address, "/orders", &[("sallyport-key", KEY)], "403 subscription-inactive").await;
    let active = json!({ "spec": { "state": "Active" } }).to_string();
    let said =
        refused(&["patch", "subscription/acme", "--type=merge", "-p", &active, "-n", &consumer.namespace], "").await;
    assert!(said.contains("what is cancelled stays so"), "{said}");
    stays_shut(&owner, &address, "/orders", "403 subscription-inactive").await;
}
