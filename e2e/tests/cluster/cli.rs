//! The command line, as people use it beside `kubectl`.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::kit::fate::CONTROLLER;
use crate::kit::manifest::{BY_KEY, GATEWAY, LOGIN, SERVICE, backend, policy, route};
use crate::kit::world::World;

/// What the tests' own service is made of.
const IMAGE: &str = "localhost/echo:e2e";

/// What a run has come to.
struct Ran {
    code: Option<i32>,
    said: String,
    aside: String,
}

/// The program, which is built beside the tests.
fn program() -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    folder.pop();
    folder.join("sallyport")
}

async fn sallyport(arguments: &[&str]) -> Ran {
    let program = program();
    let output = Command::new(&program).args(arguments).output().await;
    let Output { status, stdout, stderr } =
        output.unwrap_or_else(|error| panic!("{}: {error}; `e2e/run` builds it", program.display()));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), said: text(stdout), aside: text(stderr) }
}

/// Standard output of a run that ends with this code.
async fn ends(code: i32, arguments: &[&str]) -> String {
    let ran = sallyport(arguments).await;
    assert_eq!(ran.code, Some(code), "{arguments:?}: {}{}", ran.said, ran.aside);
    ran.said
}

/// A Subscription to a Product of the same namespace that waits for its owner's word; its keys are made by the controller.
const SUBSCRIBED: &str = "
apiVersion: sallyport.dev/v1alpha1
kind: Product
metadata: {name: standard}
spec: {apis: [{kind: HTTPRoute, name: orders}], approval: Manual}
---
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {name: mobile}
spec: {scope: {product: {name: standard}}, keys: {secretName: mobile-keys}}
";

async fn subscribed(test: &str) -> World {
    let own = [backend("orders"), policy("orders", BY_KEY), route("orders")];
    let fixed = [SERVICE, GATEWAY, LOGIN, SUBSCRIBED].map(str::to_owned);
    World::with(test, &fixed.into_iter().chain(own).collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_approved_and_its_keys_are_shown_rotated_suspended_and_rejected() {
    let world = subscribed("cli").await;
    let namespace = world.namespace.as_str();
    let address = world.address("public").await;
    assert_eq!(world.condition("Subscription", "mobile", "Approved", false).await, "AwaitingApproval");
    let said = ends(1, &["status", "-n", namespace]).await;
    assert!(said.contains("AwaitingApproval") && said.contains("cure: Ask the Product's owner"), "{said}");
    ends(2, &["keys", "show", "mobile", "-n", namespace, "--reveal", "primary"]).await;
    ends(0, &["approve", "mobile", "-n", namespace, "--reason", "paid"]).await;
    world.ready("Subscription", "mobile").await;
    let gateway = format!("{namespace}/public");
    let explain = ["explain", "http://orders.example.com/orders", "--gateway", &gateway];
    let said = ends(1, &explain).await;
    assert!(said.contains("401 credential-missing") && said.contains("authentication"), "{said}");
    let reveal = async |key: &str| {
        let said = ends(0, &["keys", "show", "mobile", "-n", namespace, "--reveal", key]).await;
        said.trim_end().to_owned()
    };
    let (primary, secondary) = (reveal("primary").await, reveal("secondary").await);
    for key in [&primary, &secondary] {
        world.verdict(&address, "/orders", &[("sallyport-key", key)], "200").await;
    }
    ends(0, &["keys", "rotate", "mobile", "secondary", "-n", namespace, "--wait"]).await;
    let renewed = reveal("secondary").await;
    assert!(renewed != secondary && reveal("primary").await == primary);
    let key = format!("Sallyport-Key: {renewed}");
    let said = ends(0, &[&explain[..], &["-H", &key]].concat()).await;
    assert!(said.contains("forwarded to a service") && !said.contains(&renewed), "{said}");
    for (key, verdict) in [(&renewed, "200"), (&secondary, "401 key-unknown"), (&primary, "200")] {
        world.verdict(&address, "/orders", &[("sallyport-key", key)], verdict).await;
    }
    let listed = ends(0, &["keys", "list", "-n", namespace, "-o", "wide"]).await;
    assert!(listed.contains("Controller") && !listed.contains("spk_"), "{listed}");
    for (verb, verdict) in [("suspend", "403"), ("approve", "200"), ("reject", "403")] {
        ends(0, &[verb, &format!("{namespace}/mobile"), "-n", namespace]).await;
        let refused = async |verdict: &str| {
            for _ in 0..600 {
                let answer = world.ask(&address, "/orders", &[("sallyport-key", &primary)]).await;
                if (answer.status.as_u16() == 200) == (verdict == "200") {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            panic!("after {verb} it is not {verdict}");
        };
        refused(verdict).await;
    }
    // Data planes are told before the status is written.
    world.condition("Subscription", "mobile", "Approved", false).await;
    ends(2, &["keys", "rotate", "mobile", "primary", "-n", namespace]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_what_is_in_force_where() {
    let world = subscribed("cli-status").await;
    let namespace = world.namespace.as_str();
    ends(0, &["approve", "mobile", "-n", namespace]).await;
    world.ready("Subscription", "mobile").await;
    world.ready("ApiPolicy", "orders").await;
    world.address("public").await;
    world.condition("HTTPRoute", "orders", "sallyport.dev/Programmed", true).await;
    let told: Value = serde_json::from_str(&ends(0, &["status", "-n", namespace, "-o", "json"]).await).unwrap();
    let objects = told["objects"].as_array().unwrap();
    let of = |kind: &str| objects.iter().find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("{kind}: {told}"));
    let place = format!("{namespace}/public");
    for kind in ["HTTPRoute", "ApiPolicy"] {
        assert_eq!(of(kind)["places"][0]["gateway"], *place);
        assert_eq!(of(kind)["places"][0]["programmed"], true);
    }
    assert_eq!(of("Subscription")["phase"], "Active");
    world.delete("Secret", "login").await;
    world.condition("Backend", "orders", "CredentialReady", false).await;
    let said = ends(1, &["status", "-n", namespace]).await;
    assert!(said.contains(&format!("Backend {namespace}/orders: SecretNotFound")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_passes_before_and_after_and_fails_without_a_controller_to_be_found() {
    let (system, _) = CONTROLLER;
    let before = ends(0, &["check", "--pre"]).await;
    assert!(before.contains("ok    kind/ReferenceGrant"), "{before}");
    // Of a namespace in which nothing is: what other tests break is not counted.
    let world = World::with("cli-check", &[] as &[&str]).await;
    let all = ["check", "-n", &world.namespace, "--system-namespace", system, "--wait", "-o", "json"];
    let checks: Vec<Value> = serde_json::from_str(&ends(0, &all).await).unwrap();
    assert!(checks.iter().any(|check| check["name"] == "class/sallyport"), "{checks:?}");
    let nowhere = ["check", "-n", &world.namespace, "--system-namespace", &world.namespace];
    let said = ends(1, &nowhere).await;
    assert!(said.contains("FAIL  controller: no Deployment"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_protects_an_api_shows_it_and_goes_without_a_trace() {
    let namespace = format!("demo-{:06x}", rand::random::<u32>() & 0x00ff_ffff);
    let said = ends(0, &["demo", "--cluster", "-n", &namespace, "--image", IMAGE]).await;
    for line in [
        "no key           -> 401 credential-missing (as expected)",
        "an unknown key   -> 401 key-unknown (as expected)",
        "the key          -> 200 (as expected)",
        "curl -i http://",
    ] {
        assert!(said.contains(line), "{said}");
    }
    // The line that is to be pasted does what is said of it.
    let line = said.lines().find(|line| line.starts_with("curl") && line.contains("Sallyport-Key")).unwrap();
    // A moment after the first connection through the address, each one finds its way.
    let patient = format!("{line} --silent --show-error --retry 5 --retry-connrefused --retry-delay 1");
    let output = Command::new("sh").args(["-c", &patient]).output().await.unwrap();
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        answer.contains("200 OK") && answer.contains("Basic Z2F0ZXdheTpvbmx5LXRoZS1nYXRld2F5LWtub3dz"),
        "{answer} {output:?}"
    );
    let said = ends(0, &["demo", "--cluster", "--clean", "-n", &namespace]).await;
    assert!(said.contains("is gone"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_leaves_a_namespace_of_somebody_else_alone() {
    let world = World::with("cli-foreign", &[] as &[&str]).await;
    let ran = sallyport(&["demo", "--cluster", "-n", &world.namespace, "--image", IMAGE]).await;
    assert!(ran.code == Some(2) && ran.aside.contains("was not made by a demo"), "{}{}", ran.said, ran.aside);
    let ran = sallyport(&["demo", "--cluster", "--clean", "-n", &world.namespace]).await;
    assert!(ran.code == Some(2) && ran.aside.contains("is left alone"), "{}{}", ran.said, ran.aside);
}
