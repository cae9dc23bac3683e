//! Consumers who have every right in their own namespace, and want more than the owner of the Product has given them.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::kit::fate::{kubectl, refused};
use crate::kit::manifest::{BY_KEY, GATEWAY, SERVICE, backend, key, policy, route};
use crate::kit::world::World;

/// Longer than it takes the controller to be wrong.
const WHILE: Duration = Duration::from_secs(3);

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

/// To one of the Products, with a key of the consumer's own: he knows it, whatever becomes of the Subscription.
fn subscription(owner: &World, product: &str, key: &str) -> String {
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
stringData: {{primary: {key}}}
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

/// A Product's owner, a consumer, and where both meet.
struct Market {
    owner: World,
    consumer: World,
    address: String,
    key: String,
}

impl Market {
    /// The consumer has subscribed to `orders`, and nobody has decided about it.
    async fn asked(test: &str) -> Self {
        let (owner, key) = (owner().await, key(test));
        let consumer = World::with("consumer", &[subscription(&owner, "orders", &key)]).await;
        assert_eq!(consumer.condition("Subscription", "acme", "Approved", false).await, "AwaitingApproval");
        let address = owner.address("public").await;
        Self { owner, consumer, address, key }
    }

    /// The owner has taken him.
    async fn taken(test: &str) -> Self {
        let market = Self::asked(test).await;
        market.decides("Approved").await;
        market.becomes("/orders", "200").await;
        market
    }

    async fn decides(&self, decision: &str) {
        self.owner.apply(&approval(&self.consumer, "orders", decision).await).await;
    }

    /// With the key, this comes in the end.
    async fn becomes(&self, path: &str, verdict: &str) {
        self.owner.verdict(&self.address, path, &[("sallyport-key", &self.key)], verdict).await;
    }

    async fn is(&self, path: &str, verdict: &str) {
        let answer = self.owner.ask(&self.address, path, &[("sallyport-key", &self.key)]).await;
        assert_eq!(answer.verdict(), verdict);
    }

    /// The key opens `path` neither now nor a while later.
    async fn stays(&self, path: &str, verdict: &str) {
        self.becomes(path, verdict).await;
        sleep(WHILE).await;
        self.is(path, verdict).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_cannot_take_himself() {
    let market = Market::asked("himself").await;
    let consumer = &market.consumer;
    consumer.apply(&approval(consumer, "orders", "Approved").await).await;
    let claimed = json!({ "type": "Approved", "status": "True", "reason": "Approved", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" });
    let status = json!({ "status": { "phase": "Active", "conditions": [claimed] } }).to_string();
    let patch = ["patch", "subscription/acme", "--subresource=status", "--type=merge", "-p", &status];
    kubectl(&[&patch[..], &["-n", &consumer.namespace]].concat()).await;
    market.stays("/orders", "403 subscription-inactive").await;
    assert_eq!(consumer.condition("Subscription", "acme", "Approved", false).await, "AwaitingApproval");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_made_anew_under_the_same_name_is_another() {
    let market = Market::taken("anew").await;
    market.consumer.delete("Subscription", "acme").await;
    market.becomes("/orders", "401 key-unknown").await;
    market.consumer.apply(&subscription(&market.owner, "orders", &market.key)).await;
    assert_eq!(market.consumer.condition("Subscription", "acme", "Approved", false).await, "AwaitingApproval");
    market.stays("/orders", "403 subscription-inactive").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_about_one_product_opens_no_other() {
    let market = Market::taken("scope").await;
    market.is("/vault", "403 key-out-of-scope").await;
    // Whether its scope may change or not: it opens nothing that its owner has not given.
    let wider = subscription(&market.owner, "vault", &market.key);
    let said =
        refused(&["apply", "--server-side", "--force-conflicts", "-n", &market.consumer.namespace, "-f", "-"], &wider)
            .await;
    assert!(said.contains("scope"), "{said}");
    market.stays("/vault", "403 key-out-of-scope").await;
    market.becomes("/orders", "200").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_owner_has_suspended_does_not_come_back_by_himself() {
    let market = Market::taken("suspended").await;
    market.decides("Suspended").await;
    market.becomes("/orders", "403 subscription-inactive").await;
    let set = async |state: &str| {
        let state = json!({ "spec": { "state": state } }).to_string();
        let patch = ["patch", "subscription/acme", "--type=merge", "-p", &state, "-n", &market.consumer.namespace];
        kubectl(&patch).await;
    };
    set("Suspended").await;
    set("Active").await;
    market.stays("/orders", "403 subscription-inactive").await;
    market.decides("Approved").await;
    market.becomes("/orders", "200").await;
    set("Cancelled").await;
    market.becomes("/orders", "403 subscription-inactive").await;
    let active = json!({ "spec": { "state": "Active" } }).to_string();
    let said =
        refused(&["patch", "subscription/acme", "--type=merge", "-p", &active, "-n", &market.consumer.namespace], "")
            .await;
    assert!(said.contains("what is cancelled stays so"), "{said}");
    market.stays("/orders", "403 subscription-inactive").await;
}

/// A Product takes so many of a namespace, and whoever comes after them has nothing until one of them goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_has_no_more_places_than_the_product_gives_it() {
    let market = Market::taken("places").await;
    let (owner, consumer) = (&market.owner, &market.consumer);
    kubectl(&[
        "patch",
        "product",
        "orders",
        "-n",
        &owner.namespace,
        "--type=merge",
        "-p",
        r#"{"spec": {"approval": "Automatic", "subscribers": {"maxPerNamespace": 1}}}"#,
    ])
    .await;
    // Without a Secret of its own: the controller would make one.
    let product = format!("{{name: orders, namespace: {}}}", owner.namespace);
    let second = "apiVersion: sallyport.dev/v1alpha1\nkind: Subscription\nmetadata: {name: second}\n";
    consumer
        .apply(&format!("{second}spec: {{scope: {{product: {product}}}, keys: {{secretName: second-keys}}}}"))
        .await;
    assert_eq!(consumer.condition("Subscription", "second", "Accepted", false).await, "TooManySubscriptions");
    sleep(WHILE).await;
    assert!(consumer.get("Secret", "second-keys").await.is_none(), "nobody has keys to nothing");
    market.is("/orders", "200").await;
    consumer.delete("Subscription", "acme").await;
    market.becomes("/orders", "401 key-unknown").await;
    consumer.ready("Subscription", "second").await;
    assert!(consumer.get("Secret", "second-keys").await.is_some());
}
