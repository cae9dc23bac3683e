//! Changes that no request notices: ten thousand of them go through each, as often as is asked for.

use crate::kit::endurance::{record, rounds};
use crate::kit::fate::{kubectl, roll};
use crate::kit::manifest::{changed, key, protected, replicas};
use crate::kit::traffic::{customers, none_is_lost};
use crate::kit::world::World;

/// Of a round.
pub const REQUESTS: u64 = 10_000;
/// Of a Gateway of class `sallyport` that is called `public`.
pub const DATA_PLANE: &str = "public-sallyport";

/// An API with two replicas and customers who call it all the time, while `change` is made, once in each round.
pub async fn nobody_notices(name: &str, change: impl AsyncFn(&World)) {
    let key = key(name);
    let world = World::with(name, &protected("orders", &key, &replicas(2))).await;
    world.replicas("public", 2).await;
    let address = world.address("public").await;
    world.verdict(&address, "/orders", &[("sallyport-key", &key)], "200").await;
    let traffic = customers(&address, "/orders", &[("sallyport-key", &key)]);
    for round in 1..=rounds() {
        traffic.more(REQUESTS / 10).await;
        change(&world).await;
        traffic.more(REQUESTS / 10).await;
        traffic.made(REQUESTS * u64::from(round)).await;
    }
    let made = none_is_lost(&traffic.stop().await);
    record(&format!("Load: {name}"), &format!("{} times under load: of {made} requests none was lost.", rounds()));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_planes_restart_one_after_the_other() {
    nobody_notices("roll", async |world| roll(&world.namespace, DATA_PLANE).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_grows_and_shrinks() {
    nobody_notices("scale", async |world| {
        for number in [1, 3, 1] {
            world.apply(&replicas(number)).await;
            world.replicas("public", number).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_changes_in_a_row() {
    nobody_notices("changes", async |world| {
        for number in 0..100 {
            world.apply(&changed(number)).await;
        }
        world.ready("ApiPolicy", "orders").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_evicted() {
    nobody_notices("eviction", async |world| {
        let before = world.places("public").replicas().await.unwrap();
        world.evict(&before[0].pod).await;
        kubectl(&["wait", "-n", &world.namespace, "--for=delete", &format!("pod/{}", before[0].pod), "--timeout=60s"])
            .await;
        world.replicas("public", 2).await;
    })
    .await;
}
