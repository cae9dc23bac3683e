//! What a tenant's manifests must not lead to.

use serde_json::{Value, json};

use crate::kit::fate::kubectl;
use crate::kit::manifest::{GATEWAY, policy, route};
use crate::kit::world::World;

const OPEN: &str = "authentication: [{name: anybody, public: {}}]";

/// Neither by its name, nor by a Service whose endpoints somebody has made by hand, nor by the Service that is its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_is_behind_no_route() {
    let slices: Value = serde_json::from_str(
        &kubectl(&[
            "get",
            "endpointslices",
            "-n",
            "default",
            "-l",
            "kubernetes.io/service-name=kubernetes",
            "-o",
            "json",
        ])
        .await,
    )
    .unwrap();
    let (slice, port) = (&slices["items"][0], &slices["items"][0]["ports"][0]["port"]);
    let by_hand = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "by-hand", "labels": {"kubernetes.io/service-name": "by-hand"}},
        "addressType": slice["addressType"], "endpoints": [{"addresses": slice["endpoints"][0]["addresses"]}],
        "ports": [{"name": "https", "port": port}],
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "by-hand"},
        "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}]},
    });
    let backend = |name: &str, endpoint: Value| {
        json!({
            "apiVersion": "sallyport.dev/v1alpha1", "kind": "Backend", "metadata": {"name": name},
            "spec": {
                "endpoints": [endpoint],
                "tls": {"validation": {"hostname": "kubernetes.default.svc", "caCertificateRefs": [{"kind": "ConfigMap", "name": "kube-root-ca.crt"}]}},
            },
        })
        .to_string()
    };
    let mut manifests = vec![GATEWAY.to_owned(), service.to_string(), by_hand.to_string()];
    manifests.push(backend("slice", json!({"service": {"name": "by-hand", "port": 443}})));
    manifests.push(backend("name", json!({"host": {"name": "kubernetes.default.svc", "port": 443}})));
    for name in ["slice", "name"] {
        manifests.extend([policy(name, OPEN), route(name)]);
    }
    let world = World::with("egress", &manifests).await;
    let address = world.address("public").await;
    for name in ["slice", "name"] {
        world.condition("HTTPRoute", name, "sallyport.dev/Programmed", true).await;
        world.verdict(&address, &format!("/{name}"), &[], "500 configuration").await;
    }
}
