//! Events, and what they may cost.

use serde_json::{Value, json};

use crate::api::{Api, Written};
use crate::kit::controller::Controller;
use crate::kit::manifest::{CLASS, ENDPOINTS, GATEWAY, NAMESPACE, POLICY};
use crate::kit::plane::Plane;
use crate::kit::{ours, written};

fn events(written: &[Written]) -> Vec<&Value> {
    written.iter().filter(|one| one.target.contains("/events")).map(|one| &one.body).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_goes_to_and_fro_costs_little() {
    let api = Api::start().await;
    api.put(NAMESPACE);
    let controller = Controller::start(&api, "controller-1");
    controller.ready().await;
    written(&api, 1).await;
    api.put(POLICY);
    let first = written(&api, 1).await;
    assert!(!events(&first).is_empty());
    let mut told = events(&first).len();
    for round in 0..40 {
        let named = if round % 2 == 0 { "elsewhere" } else { "orders" };
        api.edit(&ours("apipolicies", "shop/orders"), |policy| policy["spec"]["targetRefs"][0]["name"] = named.into());
        told += events(&written(&api, 1).await).len();
    }
    assert_eq!(told, 25, "as much as an object has");
    let kept = api.all("apis/events.k8s.io/v1/events").len();
    assert!(kept <= 4, "the same words are one Event: {kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_data_plane_rejects_is_told_with_its_reason_and_counted_up() {
    let api = Api::start().await;
    for manifest in [NAMESPACE, CLASS, GATEWAY] {
        api.put(manifest);
    }
    let controller = Controller::start(&api, "controller-1");
    controller.ready().await;
    written(&api, 8).await;
    api.edit(&crate::api::Place::new("api/v1/services", "shop/public-sallyport"), |service| {
        service["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "203.0.113.1" }] } });
    });
    let mut plane = Plane::connect(&api, &controller, "shop/public", "pod-1").await;
    let update = plane.update().await;
    plane.reject(&update, "port 80 is taken; give the listener another");
    api.put(ENDPOINTS);
    let written = written(&api, 2).await;
    let told = events(&written);
    let rejected = told.iter().find(|event| event["reason"] == "Rejected").unwrap_or_else(|| panic!("{told:#?}"));
    assert_eq!(
        (&rejected["type"], &rejected["reportingController"]),
        (&json!("Warning"), &json!("sallyport.dev/gateway-controller"))
    );
    assert!(rejected["note"].as_str().unwrap().contains("port 80 is taken; give the listener another"), "{rejected:#}");
    for line in [
        "sallyport_controller_rejections_total 1",
        r#"sallyport_controller_data_planes{gateway="shop/public"} 1"#,
        r#"sallyport_controller_objects{kind="Gateway"} 1"#,
        "sallyport_controller_programming_duration_seconds_count 0",
    ] {
        controller.counts(line).await;
    }
}
