//! A controller that may not see everything: what it is not told is never taken for what is not there.

use std::time::Duration;

use http::StatusCode;
use tokio::time::sleep;

use crate::api::{Api, Place};
use crate::kit::controller::Controller;
use crate::kit::manifest::{BACKEND, CLASS, GATEWAY, LOGIN, NAMESPACE, POLICY, ROUTE};
use crate::kit::{SITE, gateway, ours, route, written};

const SECRETS: &str = "api/v1/secrets";
const ROUTES: &str = "apis/gateway.networking.k8s.io/v1/httproutes";
/// What belongs to no namespace.
const CLUSTER_SCOPED: [&str; 3] = [
    "api/v1/namespaces",
    "apis/gateway.networking.k8s.io/v1/gatewayclasses",
    "apis/networking.k8s.io/v1/ingressclasses",
];
/// What a controller has to know of its own namespace.
const AT_HOME: [&str; 2] = ["apis/discovery.k8s.io/v1/endpointslices", "apis/sallyport.dev/v1alpha1/gatewayparameters"];
/// Longer than a refused list takes to be asked for again.
const A_WHILE: Duration = Duration::from_secs(3);

async fn with(manifests: &[&str]) -> Api {
    let api = Api::start().await;
    manifests.iter().for_each(|manifest| api.put(manifest));
    api
}

/// The same manifest in a namespace that nobody watches.
fn elsewhere(manifest: &str) -> String {
    manifest.replace("namespace: shop", "namespace: billing").replace("name: shop", "name: billing")
}

fn ready_of(api: &Api, place: &Place) -> (String, String) {
    let object = api.get(place).unwrap();
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.iter().find(|one| one["type"] == "Ready").cloned().unwrap_or_default();
    let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
    (text("reason"), text("message"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_of_one_namespace_asks_for_nothing_of_others() {
    let all = [GATEWAY, BACKEND, LOGIN, ROUTE, POLICY];
    let api = with(&[NAMESPACE, CLASS]).await;
    for manifest in all {
        api.put(manifest);
        api.put(&elsewhere(manifest));
    }
    let controller = Controller::within(&api, "shop");
    controller.ready().await;
    let written = written(&api, 10).await;
    assert!(written.iter().any(|one| one.target.contains("/namespaces/shop/gateways/public/status")), "it works");
    let of_others: Vec<_> = written.iter().filter(|one| one.target.contains("/namespaces/billing/")).collect();
    assert!(of_others.is_empty(), "it writes there: {:?}", of_others.iter().map(|one| &one.target).collect::<Vec<_>>());
    for read in api.read() {
        let (collection, name) = (read.collection.as_str(), read.name.as_str());
        let is_allowed = match read.namespace.as_str() {
            "" => CLUSTER_SCOPED.contains(&collection),
            "shop" => true,
            SITE => AT_HOME.contains(&collection) || collection.ends_with("/leases"),
            "default" => name == "kubernetes",
            _ => false,
        };
        assert!(is_allowed, "{read:?} is read");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_refused_is_no_empty_list() {
    for (namespaces, namespace, told) in [
        ("", "", "may not list httproutes.gateway.networking.k8s.io; bind it a ClusterRole"),
        ("shop", "shop", "may not list httproutes.gateway.networking.k8s.io in namespace shop; bind it a Role"),
    ] {
        let api = with(&[NAMESPACE, CLASS, GATEWAY, BACKEND, LOGIN, ROUTE, POLICY]).await;
        api.forbid(ROUTES, namespace);
        let controller = if namespaces.is_empty() {
            Controller::start(&api, "controller-1")
        } else {
            Controller::within(&api, namespaces)
        };
        sleep(A_WHILE).await;
        let (status, text) = controller.ask("/readyz").await.unwrap();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains(told), "{text}");
        let written = api.take_written();
        assert!(!written.iter().any(|one| one.target.contains("/namespaces/shop/")), "nothing is concluded from it");
        api.permit(ROUTES, namespace);
        controller.ready().await;
        let (_, text) = controller.ask("/readyz").await.unwrap();
        assert_eq!(text, "ok\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_takes_nothing_out_of_force() {
    let api = with(&[NAMESPACE, CLASS, GATEWAY, BACKEND, LOGIN, ROUTE, POLICY]).await;
    let controller = Controller::within(&api, "shop");
    controller.ready().await;
    written(&api, 10).await;
    api.forbid(ROUTES, "shop");
    api.end_watches(ROUTES);
    controller.counts("sallyport_controller_watch_failures_total{kind=\"HTTPRoute\"} 1").await;
    api.edit(&gateway("shop/public"), |gateway| gateway["spec"]["newer"] = true.into());
    written(&api, 1).await;
    let listeners = &api.get(&gateway("shop/public")).unwrap()["status"]["listeners"];
    assert_eq!(listeners[0]["attachedRoutes"], 1, "{listeners}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_may_not_be_read_is_said_and_holds_nobody_else_up() {
    let api = with(&[NAMESPACE, CLASS, GATEWAY, BACKEND, LOGIN, ROUTE, POLICY]).await;
    api.forbid_one(SECRETS, "shop", "login");
    let controller = Controller::start(&api, "controller-1");
    controller.ready().await;
    written(&api, 10).await;
    let (reason, message) = ready_of(&api, &ours("backends", "shop/orders"));
    assert_eq!(reason, "SecretWithheld");
    assert!(message.contains("may not list and watch Secret shop/login; bind it a Role there"), "{message}");
    for label in ["one", "two"] {
        api.edit(&route("shop/orders"), |route| route["spec"]["hostnames"] = vec![format!("{label}.example")].into());
        assert!(!written(&api, 1).await.is_empty(), "a change after it is seen");
    }
}

/// Whatever an object names: a list of one Secret that does not come is no reason to tell nobody anything any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_one_secret_that_fails_holds_nobody_else_up() {
    let api = with(&[NAMESPACE, CLASS, GATEWAY, BACKEND, LOGIN, ROUTE, POLICY]).await;
    let controller = Controller::start(&api, "controller-1");
    controller.ready().await;
    written(&api, 10).await;
    let backend = ours("backends", "shop/orders");
    for (name, code) in [("other", 500), ("another", 429)] {
        api.fail_one(SECRETS, "shop", name, code);
        api.edit(&backend, |backend| backend["spec"]["credential"]["basic"]["secretRef"]["name"] = name.into());
        until_ready_says(&api, &backend, name).await;
        api.edit(&route("shop/orders"), |route| route["spec"]["hostnames"] = vec![format!("{code}.example")].into());
        assert!(!written(&api, 1).await.is_empty(), "a change after it is seen");
    }
    api.edit(&backend, |backend| backend["spec"]["credential"]["basic"]["secretRef"]["name"] = "other".into());
    until_ready_says(&api, &backend, "has told nothing of Secret shop/other yet").await;
    api.put(&LOGIN.replace("name: login", "name: other"));
    api.permit_one(SECRETS, "shop", "other");
    until_ready_says(&api, &backend, "").await;
}

async fn until_ready_says(api: &Api, place: &Place, text: &str) {
    let began = tokio::time::Instant::now();
    loop {
        let (reason, message) = ready_of(api, place);
        if message.contains(text) && (text.is_empty() == (reason == "Ready" || reason == "Pending")) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "{reason}: {message}");
        sleep(Duration::from_millis(50)).await;
    }
}
