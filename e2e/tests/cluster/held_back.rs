//! `Programmed` says what every replica does, not what most of them do.

use crate::kit::fate::{kubectl, signal};
use crate::kit::manifest::{changed, key, protected, replicas};
use crate::kit::world::World;

pub const PROGRAM: &str = "sallyport-dataplane";

/// An API behind so many replicas, the name of one of them, and a change that this one has not taken.
pub async fn with_one_held_back(name: &str, number: usize) -> (World, String) {
    let world = World::with(name, &protected("orders", &key(name), &replicas(number))).await;
    world.ready("ApiPolicy", "orders").await;
    world.replicas("public", number).await;
    let held = world.places("public").replicas().await.unwrap().remove(0).pod;
    signal("STOP", PROGRAM, Some(&held)).await;
    world.apply(&changed(1)).await;
    assert_eq!(world.condition("ApiPolicy", "orders", "Programmed", false).await, "Pending");
    // The other has it long since.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(world.condition("ApiPolicy", "orders", "Programmed", false).await, "Pending");
    assert_eq!(world.condition("ApiPolicy", "orders", "Ready", false).await, "Pending");
    (world, held)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_takes_its_time_is_waited_for() {
    let (world, held) = with_one_held_back("held", 2).await;
    signal("CONT", PROGRAM, Some(&held)).await;
    world.condition("ApiPolicy", "orders", "Programmed", true).await;
    world.ready("ApiPolicy", "orders").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_dies_is_waited_for_no_longer() {
    let (world, held) = with_one_held_back("dies", 2).await;
    signal("KILL", PROGRAM, Some(&held)).await;
    world.condition("ApiPolicy", "orders", "Programmed", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_scaled_away_is_waited_for_no_longer() {
    let (world, held) = with_one_held_back("scaled", 2).await;
    world.apply(&replicas(1)).await;
    kubectl(&["delete", "pod", "-n", &world.namespace, &held, "--grace-period=0", "--force"]).await;
    world.replicas("public", 1).await;
    world.condition("ApiPolicy", "orders", "Programmed", true).await;
}
