//! What befalls the whole cluster: no other test runs meanwhile. Strangers never come in, and statuses say what is.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::kit::fate::{CONTROLLER, controller_replicas, kubectl, leader, roll, rolled_out, signal};
use crate::kit::manifest::{BY_KEY, policy, protected, replicas};
use crate::kit::traffic::Strangers;
use crate::kit::world::World;

/// Longer than a lease lasts.
const LEASE_IS_OVER: Duration = Duration::from_secs(25);

/// An API with strangers around it.
struct Busy {
    world: World,
    strangers: Strangers,
}

impl Busy {
    async fn with(name: &str, number: usize) -> Self {
        let key = format!("sp_of_{name}_0123456789abcdef0123456789abcdef");
        let world = World::with(name, &protected("orders", &key, &replicas(number))).await;
        let strangers = Strangers::around(&world, "public", "/orders");
        world.ready("ApiPolicy", "orders").await;
        world.replicas("public", number).await;
        let address = world.address("public").await;
        world.verdict(&address, "/orders", &[("sallyport-key", &key)], "200").await;
        strangers.go_on().await;
        Self { world, strangers }
    }

    /// A change, and that its status and all replicas follow it.
    async fn takes_a_change(&self, number: u8) {
        self.world.apply(&policy("orders", &format!("{BY_KEY}\n  ipFilter: {{deny: [192.0.2.{number}]}}"))).await;
        self.world.condition("ApiPolicy", "orders", "Programmed", true).await;
        self.world.ready("ApiPolicy", "orders").await;
    }

    /// No stranger came in.
    async fn ends_well(self) {
        self.strangers.none_came_in().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_are_rolled() {
    let busy = Busy::with("rolled", 2).await;
    roll(CONTROLLER.0, CONTROLLER.1).await;
    busy.takes_a_change(1).await;
    busy.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_are_killed() {
    let busy = Busy::with("killed", 2).await;
    for number in 0..3 {
        signal("KILL", "sallyport-controller", None).await;
        busy.takes_a_change(number).await;
    }
    busy.ends_well().await;
    rolled_out(CONTROLLER.0, CONTROLLER.1).await;
}

/// A data plane that starts while nobody tells it anything does not become ready bare.
#[tokio::test(flavor = "multi_thread")]
async fn no_controller_is_there() {
    let busy = Busy::with("none", 2).await;
    controller_replicas(0).await;
    let replica = busy.world.places("public").replicas().await.unwrap().remove(0);
    busy.world.evict(&replica.pod).await;
    busy.world.delete("ApiPolicy", "orders").await; // nobody hears of it
    sleep(Duration::from_secs(12)).await;
    let now = busy.world.places("public").replicas().await.unwrap();
    let new = now.iter().find(|one| one.pod != replica.pod && one.address != replica.address);
    assert_eq!(now.iter().filter(|one| one.ready).count(), 1, "the new one waits to be told");
    busy.strangers.go_on().await;
    assert!(new.is_some() || now.len() == 1, "its place is taken by a new one");
    busy.world.apply(&policy("orders", BY_KEY)).await;
    controller_replicas(2).await;
    busy.takes_a_change(1).await;
    busy.world.replicas("public", 2).await;
    busy.ends_well().await;
}

/// It wakes up, and for a moment two believe that they lead.
#[tokio::test(flavor = "multi_thread")]
async fn the_leader_sleeps_for_longer_than_its_lease() {
    let busy = Busy::with("sleeps", 2).await;
    let asleep = leader().await;
    for number in 1..20 {
        // In the middle of what it writes of these.
        busy.world.apply(&policy("orders", &format!("{BY_KEY}\n  ipFilter: {{deny: [192.0.2.{number}]}}"))).await;
    }
    signal("STOP", "sallyport-controller", Some(&asleep)).await;
    let began = Instant::now();
    while leader().await == asleep {
        assert!(began.elapsed() < LEASE_IS_OVER, "nobody takes the lease");
        sleep(Duration::from_millis(200)).await;
    }
    busy.takes_a_change(30).await;
    signal("CONT", "sallyport-controller", Some(&asleep)).await;
    busy.takes_a_change(31).await;
    busy.ends_well().await;
}

/// What a newer release has stored, this one cannot read: it closes what it speaks of, says so, and goes on with all else.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_stored_under_a_newer_definition() {
    let world =
        World::with("newer", &protected("orders", "sp_of_newer_0123456789abcdef0123456789abcdef", &replicas(2))).await;
    world.ready("ApiPolicy", "orders").await;
    let (address, strangers) = (world.address("public").await, Strangers::around(&world, "public", "/orders"));
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
