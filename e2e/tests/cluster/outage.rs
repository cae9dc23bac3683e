//! What befalls the whole cluster: no other test runs meanwhile. Strangers never come in, and statuses say what is.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::kit::besieged::Besieged;
use crate::kit::fate::{CONTROLLER, controller_replicas, kubectl, leader, roll, rolled_out, signal};
use crate::kit::manifest::{BY_KEY, changed, policy};

/// Longer than a lease lasts.
const LEASE_IS_OVER: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread")]
async fn controllers_are_rolled() {
    let api = Besieged::with("rolled").await;
    roll(CONTROLLER.0, CONTROLLER.1).await;
    api.takes_a_change(1).await;
    api.none_came_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_are_killed() {
    let api = Besieged::with("killed").await;
    for number in 0..3 {
        signal("KILL", "sallyport-controller", None).await;
        api.takes_a_change(number).await;
    }
    api.none_came_in().await;
    rolled_out(CONTROLLER.0, CONTROLLER.1).await;
}

/// A data plane that starts while nobody tells it anything does not become ready bare.
#[tokio::test(flavor = "multi_thread")]
async fn no_controller_is_there() {
    let api = Besieged::with("none").await;
    controller_replicas(0).await;
    let replica = api.world.places("public").replicas().await.unwrap().remove(0);
    api.world.evict(&replica.pod).await;
    api.world.delete("ApiPolicy", "orders").await; // nobody hears of it
    sleep(Duration::from_secs(12)).await;
    let now = api.world.places("public").replicas().await.unwrap();
    let new = now.iter().find(|one| one.pod != replica.pod && one.address != replica.address);
    assert!(new.is_some_and(|new| !new.ready), "a new one has taken its place, and waits to be told");
    assert_eq!(now.iter().filter(|one| one.ready).count(), 1);
    api.strangers.go_on().await;
    api.world.apply(&policy("orders", BY_KEY)).await;
    controller_replicas(2).await;
    api.takes_a_change(1).await;
    api.world.replicas("public", 2).await;
    api.none_came_in().await;
}

/// It wakes up, and for a moment two believe that they lead.
#[tokio::test(flavor = "multi_thread")]
async fn the_leader_sleeps_for_longer_than_its_lease() {
    let api = Besieged::with("sleeps").await;
    let asleep = leader().await;
    for number in 1..20 {
        // In the middle of what it writes of these.
        api.world.apply(&changed(number)).await;
    }
    signal("STOP", "sallyport-controller", Some(&asleep)).await;
    let began = Instant::now();
    while leader().await == asleep {
        assert!(began.elapsed() < LEASE_IS_OVER, "nobody takes the lease");
        sleep(Duration::from_millis(200)).await;
    }
    api.takes_a_change(30).await;
    signal("CONT", "sallyport-controller", Some(&asleep)).await;
    api.takes_a_change(31).await;
    api.none_came_in().await;
}

/// What a newer release has stored, this one cannot read: it closes what it speaks of, says so, and goes on with all else.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_stored_under_a_newer_definition() {
    let Besieged { world, strangers, .. } = Besieged::with("newer").await;
    let address = world.address("public").await;
    let crd = world.get("CustomResourceDefinition", "apipolicies.sallyport.dev").await.unwrap();
    let mut newer = crd["spec"].clone();
    newer["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] =
        serde_json::json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let set = async |spec: &serde_json::Value| {
        let patch = serde_json::json!({ "spec": spec }).to_string();
        kubectl(&["patch", "crd", "apipolicies.sallyport.dev", "--type=merge", "-p", &patch]).await;
    };
    set(&newer).await;
    // The schema is in force a moment after it is accepted.
    let passkeys = policy("orders", "authentication: [{name: people, passkey: {relyingParty: example.com}}]");
    world.eventually_apply(&passkeys).await;
    assert_eq!(world.condition("ApiPolicy", "orders", "Accepted", false).await, "Undecodable");
    world.verdict(&address, "/orders", &[], "500 configuration").await;
    strangers.go_on().await;
    world.apply(&policy("orders", BY_KEY)).await;
    world.ready("ApiPolicy", "orders").await;
    set(&crd["spec"]).await;
    strangers.none_came_in().await;
}
