//! What all replicas of a Gateway let pass together.

use crate::kit::manifest::{BY_KEY, key, policy, protected, replicas};
use crate::kit::world::{World, until};

/// How many of `times` requests a replica lets pass.
async fn admitted(world: &World, place: &str, key: &str, times: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..times {
        let verdict = world.ask(place, "/orders", &[("sallyport-key", key)]).await.verdict();
        assert!(["200", "429 rate-exceeded"].contains(&verdict.as_str()), "{verdict}");
        admitted += usize::from(verdict == "200");
    }
    admitted
}

/// Each has its part; where one goes, the other has all of it, less what it has used.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_what_a_limit_allows() {
    let key = key("limits");
    let world = World::with("limits", &protected("orders", &key, &replicas(2))).await;
    world.ready("ApiPolicy", "orders").await;
    world.replicas("public", 2).await;
    let places: Vec<_> = world.places("public").replicas().await.unwrap().into_iter().map(|one| one.address).collect();
    for place in &places {
        world.verdict(place, "/orders", &[("sallyport-key", &key)], "200").await;
    }
    world
        .apply(&policy(
            "orders",
            &format!("{BY_KEY}\n  limits: [{{name: l, requests: 11, per: 1h, by: Subscription}}]"),
        ))
        .await;
    world.ready("ApiPolicy", "orders").await;
    for place in &places {
        assert_eq!(admitted(&world, place, &key, 9).await, 5, "rounded down: together never more than eleven");
    }
    world.apply(&replicas(1)).await;
    world.replicas("public", 1).await;
    let place = world.places("public").replicas().await.unwrap().remove(0).address;
    let told = async || {
        let answer = world.ask(&place, "/orders", &[("sallyport-key", &key)]).await;
        (answer.verdict() == "200").then_some(())
    };
    until("the share of the one that is left", told).await;
    assert_eq!(admitted(&world, &place, &key, 9).await, 5, "eleven altogether, of which it has given six");
}
