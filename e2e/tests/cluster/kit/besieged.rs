//! What most tests begin with: an API that serves whoever has a key, and strangers around it.

use super::manifest::{SHOWN, changed, key, protected, replicas};
use super::traffic::{Strangers, Tally};
use super::world::World;

/// An API called `orders` behind two replicas.
pub struct Besieged {
    pub world: World,
    pub key: String,
    pub strangers: Strangers,
}

impl Besieged {
    pub async fn with(test: &str) -> Self {
        let key = key(test);
        let world = World::with(test, &protected("orders", &key, &replicas(2))).await;
        let strangers = Strangers::around(&world, "public", "/orders");
        let besieged = Self { world, key, strangers };
        besieged.world.ready("ApiPolicy", "orders").await;
        besieged.world.replicas("public", 2).await;
        besieged.serves().await;
        besieged.strangers.go_on().await;
        besieged
    }

    /// Whoever has the key is served, and the service is shown the gateway's login.
    pub async fn serves(&self) {
        serves(&self.world, &self.key).await;
    }

    /// A change, and that its status and all replicas follow it.
    pub async fn takes_a_change(&self, number: u8) {
        self.world.apply(&changed(number)).await;
        self.world.condition("ApiPolicy", "orders", "Programmed", true).await;
        self.world.ready("ApiPolicy", "orders").await;
    }

    /// Asks with the key until this is the verdict.
    pub async fn verdict_with_key(&self, verdict: &str) {
        let address = self.world.address("public").await;
        self.world.verdict(&address, "/orders", &[("sallyport-key", &self.key)], verdict).await;
    }

    pub async fn none_came_in(self) -> Tally {
        self.strangers.none_came_in().await
    }
}

pub async fn serves(world: &World, key: &str) {
    let address = world.address("public").await;
    let answer = world.verdict(&address, "/orders", &[("sallyport-key", key)], "200").await;
    assert_eq!(answer.saw("Authorization"), Some(SHOWN));
}
