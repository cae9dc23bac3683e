//! Others write too: other controllers, other replicas, people. And sometimes the API server refuses.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::api::{Api, Place};
use crate::kit::controller::Controller;
use crate::kit::manifest::{BACKEND, CLASS, GATEWAY, NAMESPACE, OTHER_CLASS, POLICY, ROUTE};
use crate::kit::{gateway, ours, route, within, written};

const RUNS_A_GATEWAY: [&str; 5] = [
    "api/v1/configmaps",
    "api/v1/serviceaccounts",
    "api/v1/services",
    "apis/policy/v1/poddisruptionbudgets",
    "apis/apps/v1/deployments",
];

fn class() -> Place {
    Place::new("apis/gateway.networking.k8s.io/v1/gatewayclasses", "sallyport")
}

/// All that runs Gateways, by collection.
fn running(api: &Api) -> usize {
    RUNS_A_GATEWAY.iter().map(|collection| api.all(collection).len()).sum()
}

async fn with(manifests: &[&str]) -> (Api, Controller) {
    let api = Api::start().await;
    manifests.iter().for_each(|manifest| api.put(manifest));
    let controller = Controller::start(&api, "controller-1");
    controller.ready().await;
    (api, controller)
}

fn entries<'a>(object: &'a Value, list: &str) -> Vec<&'a Value> {
    object["status"][list].as_array().into_iter().flatten().collect()
}

/// Waits until something stands in that list of the object's status, and nothing else is written.
async fn stands(api: &Api, place: &Place, list: &str) {
    let is_there = || api.get(place).is_some_and(|object| !entries(&object, list).is_empty());
    within(list, async {
        while !is_there() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    written(api, 0).await;
}

fn ancestor(name: &str) -> Value {
    let reference =
        json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "shop", "name": name });
    json!({ "ancestorRef": reference, "controllerName": "example.com/other", "conditions": [] })
}

fn parent() -> Value {
    json!({ "parentRef": { "name": "public" }, "controllerName": "example.com/other", "conditions": [] })
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_other_controllers_stay_in_their_places() {
    let (api, _controller) = with(&[NAMESPACE, CLASS, GATEWAY]).await;
    stands(&api, &gateway("shop/public"), "conditions").await;
    let theirs = json!({ "type": "example.com/Audited", "status": "True", "reason": "Yes", "message": "" });
    api.edit(&gateway("shop/public"), |gateway| {
        gateway["status"]["conditions"].as_array_mut().unwrap().push(theirs.clone());
    });
    for (manifest, place, list, entry) in [
        (ROUTE, route("shop/orders"), "parents", parent()),
        (POLICY, ours("apipolicies", "shop/orders"), "ancestors", ancestor("public")),
    ] {
        api.put(manifest);
        stands(&api, &place, list).await;
        api.edit(&place, |object| object["status"][list].as_array_mut().unwrap().insert(0, entry.clone()));
        assert!(written(&api, 0).await.is_empty(), "theirs is none of our business");
        // Whoever is told of it anew writes, and keeps them.
        api.edit(&place, |object| object["spec"]["newer"] = true.into());
        assert!(!written(&api, 1).await.is_empty());
        let object = api.get(&place).unwrap();
        assert!(entries(&object, list).contains(&&entry), "{object:#}");
        assert!(entries(&object, list).len() <= 2, "ours stands there once: {object:#}");
    }
    let gateway = api.get(&gateway("shop/public")).unwrap();
    assert!(entries(&gateway, "conditions").iter().any(|one| one["type"] == theirs["type"]), "{gateway:#}");
}

/// By server-side apply what another has put there stays: whoever goes on writing against it never ends.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_another_that_looks_like_ours_is_written_against_once() {
    let (api, _controller) = with(&[NAMESPACE, CLASS, GATEWAY]).await;
    stands(&api, &gateway("shop/public"), "conditions").await;
    let theirs = json!({ "type": "Ready", "status": "True", "reason": "Yes", "message": "" });
    api.edit(&gateway("shop/public"), |gateway| {
        gateway["status"]["conditions"].as_array_mut().unwrap().push(theirs.clone());
    });
    let written = written(&api, 1).await;
    assert!(written.len() <= 2, "{} writes", written.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_others_have_all_places_ours_takes_none() {
    let (api, _controller) = with(&[NAMESPACE, CLASS, GATEWAY, ROUTE]).await;
    written(&api, 8).await;
    let theirs: Vec<_> = (0..16).map(|number| ancestor(&format!("other-{number}"))).collect();
    let mut policy: Value = serde_saphyr::from_str(POLICY).unwrap();
    policy["status"] = json!({ "ancestors": theirs.clone() });
    api.put(&policy.to_string());
    stands(&api, &ours("apipolicies", "shop/orders"), "conditions").await;
    let policy = api.get(&ours("apipolicies", "shop/orders")).unwrap();
    assert_eq!(policy["status"]["ancestors"], json!(theirs));
    assert!(!entries(&policy, "conditions").is_empty(), "it is told about itself all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_meets_another_is_made_anew_once() {
    let (api, _controller) = with(&[NAMESPACE]).await;
    written(&api, 1).await;
    api.contend(&class(), 1);
    api.put(CLASS);
    let written = written(&api, 3).await;
    let answers: Vec<_> = written.iter().filter(|one| one.target.contains("gatewayclasses")).collect();
    let versions: Vec<_> =
        answers.iter().map(|one| (one.answer, one.body["metadata"]["resourceVersion"].as_str().unwrap())).collect();
    assert_eq!(versions, [(409, "<outdated>"), (200, "<current>")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_refuses_is_not_flooded() {
    let (api, controller) = with(&[NAMESPACE]).await;
    written(&api, 1).await;
    api.refuse(&class(), &[403; 1000]);
    api.put(CLASS);
    sleep(Duration::from_secs(3)).await;
    let refused = api.take_written();
    assert!((1..=3).contains(&refused.len()), "{} writes in three seconds", refused.len());
    assert!(refused.iter().all(|one| one.answer == 403));
    api.refuse(&class(), &[]);
    controller.counts(r#"sallyport_controller_status_writes_total{kind="GatewayClass",outcome="written"} 1"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_writes_and_the_next_goes_on_where_it_ended() {
    let (api, first) = with(&[NAMESPACE, CLASS]).await;
    first.counts("sallyport_controller_leader 1").await;
    written(&api, 2).await;
    let second = Controller::start(&api, "controller-2");
    second.ready().await;
    api.put(GATEWAY);
    let mut once = written(&api, 6).await;
    once.retain(|one| !one.target.contains("/events"));
    let targets: std::collections::BTreeSet<_> = once.iter().map(|one| one.target.clone()).collect();
    assert_eq!(targets.len(), once.len(), "nothing is written twice: {targets:?}");
    let (_, text) = second.ask("/metrics").await.unwrap();
    assert!(text.contains("sallyport_controller_leader 0\n") && !text.contains("outcome=\"written\""), "{text}");
    first.stop().await;
    second.counts("sallyport_controller_leader 1").await;
    let mut more = written(&api, 0).await;
    // The stream of the second has another port here, and data planes are told.
    more.retain(|one| !one.target.contains("/deployments/"));
    assert!(more.is_empty(), "all was said already: {more:#?}");
    api.put(BACKEND);
    assert!(!written(&api, 1).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_concluded_before_every_list_is_whole() {
    let api = Api::start().await;
    for manifest in [NAMESPACE, CLASS, GATEWAY, ROUTE] {
        api.put(manifest);
    }
    api.hold_back("apis/gateway.networking.k8s.io/v1/gatewayclasses");
    let controller = Controller::start(&api, "controller-1");
    controller.says("/readyz", StatusCode::SERVICE_UNAVAILABLE).await;
    sleep(Duration::from_secs(1)).await;
    controller.says("/readyz", StatusCode::SERVICE_UNAVAILABLE).await;
    controller.says("/livez", StatusCode::OK).await;
    let written: Vec<_> = api.take_written().into_iter().map(|one| one.target).collect();
    assert!(written.iter().all(|target| target.contains("/secrets")), "{written:?}");
    api.let_go("apis/gateway.networking.k8s.io/v1/gatewayclasses");
    controller.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_a_gateway_goes_while_nobody_looked() {
    let (api, first) = with(&[NAMESPACE, CLASS, OTHER_CLASS, GATEWAY]).await;
    written(&api, 8).await;
    assert_eq!(running(&api), 5);
    first.stop().await;
    api.delete(&class());
    // Called as ours, and owned by nobody that is not ours: it stays.
    let label = "app.kubernetes.io/managed-by: sallyport-controller";
    api.put(&format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: theirs, namespace: shop, labels: {{{label}}}}}}}"
    ));
    let second = Controller::start(&api, "controller-2");
    second.ready().await;
    let written = written(&api, 6).await;
    let deleted: Vec<_> = written.iter().filter(|one| one.verb == "DELETE").map(|one| one.target.clone()).collect();
    assert_eq!(deleted.len(), 5, "{deleted:?}");
    assert!(deleted[0].contains("/deployments/"), "pods end before what leads to them: {deleted:?}");
    assert_eq!(running(&api), 1, "the other Service stays");
    let gateway = api.get(&gateway("shop/public")).unwrap();
    assert!(entries(&gateway, "conditions").is_empty(), "nobody says that it is served: {gateway:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_cannot_be_told_whose_a_gateway_is_it_keeps_what_it_has() {
    let (api, _controller) = with(&[NAMESPACE, CLASS, GATEWAY]).await;
    written(&api, 7).await;
    api.edit(&class(), |class| class["spec"] = json!({ "newer": true }));
    let written = written(&api, 1).await;
    assert!(written.iter().all(|one| one.verb != "DELETE"), "{written:?}");
    assert_eq!(running(&api), 5);
}
