//! An authoriser of Envoy's own types is asked about requests.

use serde_json::json;

use crate::examples::{example, service};
use crate::kit::world::World;

/// It says of a request what the test's own program says (`e2e/authorizer`).
async fn start(world: &World) {
    let container = json!({
        "name": "authorizer", "image": "localhost/authorizer:e2e", "imagePullPolicy": "Never",
        "readinessProbe": { "tcpSocket": { "port": 9191 }, "periodSeconds": 1 },
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "authorizer", "labels": { "app": "authorizer" } },
        "spec": { "terminationGracePeriodSeconds": 1, "containers": [container] },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "authorizer" },
        "spec": { "selector": { "app": "authorizer" }, "ports": [{ "port": 9191 }] },
    });
    world.apply(&pod.to_string()).await;
    world.apply(&service.to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_says_yes_to_passes_and_nothing_else_does() {
    let world = World::with("external-authorization", &[service("orders")]).await;
    world.apply(&example("external-authorization")).await;
    world.condition("ApiPolicy", "orders", "ResolvedRefs", false).await;
    start(&world).await;
    world.ready("ApiPolicy", "orders").await;
    let address = world.address("public").await;
    let buyers = &[("x-team", "buyers"), ("x-decided", "by me")];
    let answer = world.verdict(&address, "/orders/1?a=b", buyers, "200").await;
    let decided = answer.saw("X-Decided").unwrap().to_owned();
    assert!(decided.starts_with("GET /orders/1?a=b from ") && decided.len() > 24, "{decided}");
    for headers in [&[("x-team", "sellers")][..], &[("x_team", "buyers")], &[]] {
        let verdict = world.ask(&address, "/orders", headers).await.verdict();
        assert_eq!(verdict, "403 external-authorization-denied", "{headers:?}");
    }
    world.delete("Pod", "authorizer").await;
    world.verdict(&address, "/orders", buyers, "503 external-authorization-unavailable").await;
    world.delete("Service", "authorizer").await;
    world.condition("ApiPolicy", "orders", "ResolvedRefs", false).await;
    world.verdict(&address, "/orders", buyers, "500 configuration").await;
}
