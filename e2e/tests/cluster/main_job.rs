//! Both doors of an API, by `kubectl apply`.

use crate::kit::manifest::{GATEWAY, SHOWN, protected};
use crate::kit::world::World;

const KEY: &str = "sp_of_the_main_job_0123456789abcdef0123456789";

#[tokio::test(flavor = "multi_thread")]
async fn an_api_is_protected_and_the_service_sees_the_login_of_the_gateway() {
    let world = World::with("main-job", &protected("orders", KEY, GATEWAY)).await;
    for kind in ["ApiPolicy", "Backend", "Subscription"] {
        world.ready(kind, "orders").await;
    }
    world.condition("HTTPRoute", "orders", "sallyport.dev/Programmed", true).await;
    let address = world.address("public").await;
    // A moment after it is known, the address leads somewhere.
    world.verdict(&address, "/orders", &[], "401 credential-missing").await;
    for (headers, verdict) in [
        (&[("sallyport-key", "nobody")][..], "401 key-unknown"),
        (&[("authorization", "Bearer x")], "401 credential-missing"),
    ] {
        assert_eq!(world.ask(&address, "/orders", headers).await.verdict(), verdict);
    }
    assert_eq!(world.ask(&address, "/else", &[("sallyport-key", KEY)]).await.verdict(), "404 no-route");
    let answer = world.verdict(&address, "/orders", &[("sallyport-key", KEY)], "200").await;
    assert_eq!((answer.saw("Authorization"), answer.saw("Sallyport-Key")), (Some(SHOWN), None));
}
