//! `sallyport` against a cluster: what it says of one, and what it does in one.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::kit::besieged::Besieged;
use crate::kit::fate::kubectl;
use crate::kit::manifest::{BY_KEY, GATEWAY, SERVICE, backend, policy, route};
use crate::kit::world::World;

/// The program, as `e2e/run` has built it beside these tests.
fn program() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let built = here.ancestors().nth(2).unwrap().join("sallyport");
    assert!(built.is_file(), "{} is not built; run `cargo build --workspace --bin sallyport`", built.display());
    built
}

async fn sallyport(namespace: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).args(["--namespace", namespace]).output().await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// What it said, after it ended with this code.
async fn told(namespace: &str, arguments: &[&str], code: i32) -> String {
    let output = sallyport(namespace, arguments).await;
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    said(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_force_is_said_and_what_is_not_and_why() {
    let api = Besieged::with("status").await;
    let (world, namespace) = (&api.world, api.world.namespace.as_str());
    world.condition("HTTPRoute", "orders", "sallyport.dev/Programmed", true).await;
    world.condition("Gateway", "public", "Programmed", true).await;
    let all_well = told(namespace, &["status", "--output", "wide"], 0).await;
    for object in ["Gateway/public", "HTTPRoute/orders", "ApiPolicy/orders", "Backend/orders", "Subscription/orders"] {
        assert!(all_well.contains(object), "{object}: {all_well}");
    }
    assert!(all_well.contains(&format!("{namespace}/public")), "{all_well}");
    world.delete("Secret", "login").await;
    world.condition("Backend", "orders", "Ready", false).await;
    let rows: Value = serde_json::from_str(&told(namespace, &["status", "-o", "json"], 1).await).unwrap();
    let backend = rows.as_array().unwrap().iter().find(|row| row["kind"] == "Backend").unwrap();
    assert_eq!((&backend["ready"], &backend["reason"]), (&Value::Bool(false), &Value::from("SecretNotFound")));
    assert!(!backend["cure"].as_str().unwrap().is_empty() && backend["message"].as_str().unwrap().contains("login"));
    assert!(told("nobody-is-here", &["status"], 0).await.contains("nothing of Sallyport's"));
    api.none_came_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_checked_before_and_after() {
    let before = told("default", &["check", "--pre"], 0).await;
    assert!(before.contains("Kubernetes 1.") && before.contains("to create clusterroles"), "{before}");
    // Other tests have objects that are not ready.
    let after = said(&sallyport("default", &["check"]).await);
    for line in ["ok     Deployment sallyport-system/sallyport-controller", "ok     GatewayClass sallyport"] {
        assert!(after.contains(line), "{after}");
    }
}

/// A Product whose owner is asked, and a Subscription to it, in one namespace.
const ASKED_FOR: &str = "
apiVersion: sallyport.dev/v1alpha1
kind: Product
metadata: {name: shop}
spec: {displayName: Shop, apis: [{kind: HTTPRoute, name: orders}], approval: Manual, subscribers: {namespaces: {from: All}}}
";
const SUBSCRIPTION: &str = "
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {name: acme}
spec: {scope: {product: {name: shop, namespace: OWNER}}, keys: {secretName: acme-keys}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_taken_suspended_and_its_keys_are_shown_and_made_anew() {
    let by_key = policy("orders", BY_KEY);
    let open = backend("orders").replace("  credential: {basic: {secretRef: {name: login}}}\n", "");
    let given = [SERVICE.to_owned(), GATEWAY.to_owned(), open, by_key, route("orders"), ASKED_FOR.to_owned()];
    let owner = World::with("owner", &given).await;
    let consumer = World::with("consumer", &[SUBSCRIPTION.replace("OWNER", &owner.namespace)]).await;
    let (address, namespace) = (owner.address("public").await, consumer.namespace.as_str());
    assert_eq!(consumer.condition("Subscription", "acme", "Approved", false).await, "AwaitingApproval");
    let none = told(namespace, &["keys", "show", "acme"], 2).await;
    assert!(none.contains("has no Secret with keys"), "{none}");

    told(namespace, &["approve", "acme", "--reason", "welcome", "--wait"], 0).await;
    consumer.ready("Subscription", "acme").await;
    let key = told(namespace, &["keys", "show", "acme"], 0).await.trim().to_owned();
    let other = told(namespace, &["keys", "show", "acme", "--key", "secondary"], 0).await.trim().to_owned();
    let listed = told(namespace, &["keys", "list"], 0).await;
    assert!(listed.contains("acme-keys") && !listed.contains(&key) && !listed.contains(&other), "{listed}");
    owner.verdict(&address, "/orders", &[("sallyport-key", &key)], "200").await;

    told(namespace, &["keys", "rotate", "acme", "primary", "--wait"], 0).await;
    let new = told(namespace, &["keys", "show", "acme"], 0).await.trim().to_owned();
    assert_ne!(new, key);
    owner.verdict(&address, "/orders", &[("sallyport-key", &new)], "200").await;
    owner.verdict(&address, "/orders", &[("sallyport-key", &key)], "401 key-unknown").await;
    assert_eq!(owner.ask(&address, "/orders", &[("sallyport-key", &other)]).await.verdict(), "200");

    told(namespace, &["suspend", "acme"], 0).await;
    owner.verdict(&address, "/orders", &[("sallyport-key", &new)], "403 subscription-inactive").await;
    told(namespace, &["reject", "acme"], 0).await;
    let rejected = ["wait", "subscription/acme", "--for=jsonpath={.status.phase}=Rejected", "--timeout=60s"];
    kubectl(&[&rejected[..], &["-n", namespace]].concat()).await;
    told(namespace, &["approve", "nobody"], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_shows_itself_and_is_taken_away() {
    let output = Command::new(program()).args(["demo", "--cluster"]).output().await.unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.matches("(as expected)").count() == 3 && said.contains("gitVersion"), "{said}");
    assert_eq!(kubectl(&["get", "apipolicies,subscriptions", "-n", "default", "-o", "name"]).await, "");
}
