//! What befalls the whole cluster: no other test runs meanwhile. Customers notice nothing, strangers never come in, and statuses say what is.

use std::time::Duration;

use jiff::{ToSpan as _, Unit};
use tokio::time::{Instant, sleep};

use crate::held_back::{PROGRAM, with_one_held_back};
use crate::kit::besieged::Besieged;
use crate::kit::endurance::{outage, record, rounds};
use crate::kit::fate::{CONTROLLER, controller_replicas, kubectl, leader, now, roll, rolled_out, signal};
use crate::kit::manifest::{BY_KEY, changed, policy, subscription};
use crate::kit::traffic::{Traffic, customers, none_is_lost};
use crate::kit::world::until;
use crate::lossless::REQUESTS;

/// Longer than a lease lasts.
const LEASE_IS_OVER: Duration = Duration::from_secs(25);

/// An API with strangers and customers around it.
struct Busy {
    api: Besieged,
    customers: Traffic,
}

/// How many requests there were of each, all of which ended as they should.
struct Ended {
    admitted: u64,
    refused: u64,
}

impl Ended {
    fn record(&self, what: &str, text: &str) {
        let Self { admitted, refused } = self;
        record(
            what,
            &format!(
                "{text}: of {admitted} requests of customers none was lost, of {refused} of strangers none came in."
            ),
        );
    }
}

impl Busy {
    async fn with(test: &str) -> Self {
        let api = Besieged::with(test).await;
        let address = api.world.address("public").await;
        let customers = customers(&address, "/orders", &[("sallyport-key", &api.key)]);
        customers.made(100).await;
        Self { api, customers }
    }

    /// No customer has lost a request, and no stranger came in.
    async fn ends_well(self) -> Ended {
        self.customers.more(100).await;
        let admitted = none_is_lost(&self.customers.stop().await);
        let refused = self.api.none_came_in().await.values().sum();
        Ended { admitted, refused }
    }
}

/// Waits until somebody else writes.
async fn led_by_another_than(gone: &str) {
    let began = Instant::now();
    while leader().await == gone {
        assert!(began.elapsed() < LEASE_IS_OVER, "nobody takes the lease");
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_are_rolled() {
    let busy = Busy::with("rolled").await;
    for round in 1..=rounds() {
        roll(CONTROLLER.0, CONTROLLER.1).await;
        busy.api.takes_a_change(round).await;
        busy.customers.made(REQUESTS * u64::from(round)).await;
    }
    busy.ends_well().await.record("Outage: controllers are rolled", &format!("{} times", rounds()));
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_are_killed() {
    let busy = Busy::with("killed").await;
    for number in 0..3 {
        signal("KILL", "sallyport-controller", None).await;
        busy.api.takes_a_change(number).await;
    }
    busy.ends_well().await;
    rolled_out(CONTROLLER.0, CONTROLLER.1).await;
}

/// A data plane that starts while nobody tells it anything does not become ready bare.
#[tokio::test(flavor = "multi_thread")]
async fn no_controller_is_there() {
    let busy = Busy::with("none").await;
    controller_replicas(0).await;
    let before = busy.api.world.places("public").replicas().await.unwrap();
    busy.api.world.evict(&before[0].pod).await;
    busy.api.world.delete("ApiPolicy", "orders").await; // nobody hears of it
    sleep(Duration::from_secs(12)).await;
    let now = busy.api.world.places("public").replicas().await.unwrap();
    let new = now.iter().find(|one| before.iter().all(|old| old.pod != one.pod));
    assert!(new.is_some_and(|new| !new.ready), "a new one has taken its place, and waits to be told");
    assert_eq!(now.iter().filter(|one| one.ready).count(), 1);
    busy.api.strangers.go_on().await;
    busy.api.world.apply(&policy("orders", BY_KEY)).await;
    controller_replicas(2).await;
    busy.api.takes_a_change(1).await;
    busy.api.world.replicas("public", 2).await;
    busy.ends_well().await;
}

/// Data planes know when a subscription begins and ends, and ask nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_begins_and_ends_while_no_controller_is_there() {
    let busy = Busy::with("moments").await;
    let (world, key) = (&busy.api.world, "sp_of_moments_that_are_passing_by_0123456789abcdef");
    let [begin, end] = [20_i64, 28].map(|seconds| (now() + seconds.seconds()).round(Unit::Second).unwrap());
    let moments = format!("notBefore: {begin}\n  expires: {end}\n  scope:");
    let passing = subscription("passing", key).replace("HTTPRoute, name: passing", "HTTPRoute, name: orders");
    world.apply(&passing.replace("scope:", &moments)).await;
    world.condition("Subscription", "passing", "Programmed", true).await;
    controller_replicas(0).await;
    let address = world.places("public").replicas().await.unwrap().remove(0).address;
    let mut seen = vec![];
    while now() < end + 2_i64.seconds() {
        let before = now();
        let verdict = world.ask(&address, "/orders", &[("sallyport-key", key)]).await.verdict();
        let after = now();
        let is_active = match () {
            () if after < begin || before >= end => false,
            () if before >= begin && after < end => true,
            // One of the moments was during the request.
            () => continue,
        };
        assert_eq!(verdict, if is_active { "200" } else { "403 subscription-inactive" }, "{before}, {begin} to {end}");
        seen.push(is_active);
        sleep(Duration::from_millis(50)).await;
    }
    seen.dedup();
    assert_eq!(seen, [false, true, false]);
    controller_replicas(2).await;
    busy.ends_well().await;
}

/// It wakes up, and for a moment two believe that they lead.
#[tokio::test(flavor = "multi_thread")]
async fn the_leader_sleeps_for_longer_than_its_lease() {
    let busy = Busy::with("sleeps").await;
    let asleep = leader().await;
    for number in 1..20 {
        // In the middle of what it writes of these.
        busy.api.world.apply(&changed(number)).await;
    }
    signal("STOP", "sallyport-controller", Some(&asleep)).await;
    led_by_another_than(&asleep).await;
    busy.api.takes_a_change(30).await;
    signal("CONT", "sallyport-controller", Some(&asleep)).await;
    busy.api.takes_a_change(31).await;
    busy.ends_well().await;
}

/// What the replicas of one controller have not done, another one does not say they have, whoever leads.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_controllers_leads_no_more() {
    controller_replicas(3).await;
    let (world, held) = with_one_held_back("three", 6).await;
    let dead = leader().await;
    kubectl(&["delete", "pod", "-n", CONTROLLER.0, &dead, "--grace-period=0", "--force"]).await;
    world.apply(&changed(2)).await;
    led_by_another_than(&dead).await;
    let places = world.places("public");
    // What stands still for long answers no probe: then nobody waits for it, and who leads now says so.
    until("orders waits for the replica that is held back, or its probes fail", async || {
        let is_out = places.replicas().await?.iter().any(|one| one.pod == held && !one.ready);
        let policy = world.get("ApiPolicy", "orders").await?;
        let mut said = policy["status"]["conditions"].as_array()?.iter();
        let waits = said.any(|one| one["type"] == "Programmed" && one["reason"] == "Pending");
        (is_out || waits).then_some(())
    })
    .await;
    signal("CONT", PROGRAM, Some(&held)).await;
    world.condition("ApiPolicy", "orders", "Programmed", true).await;
    controller_replicas(2).await;
}

/// What is in force stays, and a data plane that starts meanwhile does not become ready bare.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_does_not_answer() {
    let Busy { api, customers } = Busy::with("api-server").await;
    let replicas = api.world.places("public").replicas().await.unwrap();
    signal("STOP", "kube-apiserver", None).await;
    let (began, length) = (Instant::now(), outage());
    sleep(length / 2).await;
    let admitted = none_is_lost(&customers.stop().await);
    // Nobody can vouch for the token that it shows when it comes back: it is told nothing, and serves nothing.
    signal("KILL", PROGRAM, Some(&replicas[0].pod)).await;
    sleep(length.saturating_sub(began.elapsed())).await;
    api.strangers.go_on().await;
    signal("CONT", "kube-apiserver", None).await;
    let is_over = Instant::now();
    api.world.replicas("public", 2).await;
    api.takes_a_change(1).await;
    api.serves().await;
    let recovered_s = is_over.elapsed().as_secs();
    let refused = api.none_came_in().await.values().sum();
    let text = format!("For {} s, and {recovered_s} s until all was as before", length.as_secs());
    Ended { admitted, refused }.record("Outage: the API server does not answer", &text);
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
