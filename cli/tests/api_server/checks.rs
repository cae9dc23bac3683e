//! `sallyport check`.

use serde_json::{Value, json};

use crate::api::{Api, Place};
use crate::kit::{CLASS, sallyport};

const CONTROLLER: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: sallyport-controller, namespace: sallyport-system, labels: {app.kubernetes.io/name: sallyport-controller}}
spec: {replicas: 1}
status: {observedGeneration: 1, updatedReplicas: 1}
";

const SERVED: [(&str, &[&str]); 8] = [
    ("gateway.networking.k8s.io/v1", &["GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute", "ReferenceGrant"]),
    ("apps/v1", &["Deployment"]),
    ("authentication.k8s.io/v1", &["TokenReview"]),
    ("coordination.k8s.io/v1", &["Lease"]),
    ("discovery.k8s.io/v1", &["EndpointSlice"]),
    ("events.k8s.io/v1", &["Event"]),
    ("networking.k8s.io/v1", &["Ingress", "IngressClass"]),
    ("policy/v1", &["PodDisruptionBudget"]),
];

/// A cluster without Sallyport in it.
async fn cluster() -> Api {
    let api = Api::start().await;
    let version = json!({
        "major": "1", "minor": "37", "gitVersion": "v1.37.0", "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": "",
    });
    api.say("/version", version);
    for (version, kinds) in SERVED {
        let resource =
            |kind: &&str| json!({ "name": kind, "singularName": "", "namespaced": true, "kind": kind, "verbs": [] });
        let resources: Vec<_> = kinds.iter().map(resource).collect();
        api.say(&format!("/apis/{version}"), json!({ "groupVersion": version, "resources": resources }));
    }
    api
}

fn install(api: &Api) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_sallyport")).arg("crds").output().unwrap();
    let crds = String::from_utf8(output.stdout).unwrap();
    crds.split("---\n").filter(|one| !one.trim().is_empty()).for_each(|crd| api.put(crd));
    api.put(CONTROLLER);
    api.put(CLASS);
}

fn checks(said: &str) -> Vec<(String, String)> {
    let all: Vec<Value> = serde_json::from_str(said).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.iter().map(|check| (text(&check["name"]), text(&check["verdict"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn before_an_installation_it_says_what_is_lacking_and_who_may_install() {
    let api = cluster().await;
    let ran = sallyport(&api, &["check", "--pre"]).await;
    assert_eq!((ran.code, &*ran.aside), (Some(0), ""), "{}", ran.said);
    assert!(
        ran.said.contains("ok    api-server: Kubernetes v1.37.0") && ran.said.contains("all is as it should be"),
        "{}",
        ran.said
    );
    api.deny("clusterroles");
    api.say(
        "/apis/gateway.networking.k8s.io/v1",
        json!({ "groupVersion": "gateway.networking.k8s.io/v1", "resources": [] }),
    );
    let ran = sallyport(&api, &["check", "--pre", "-o", "json"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    let failed: Vec<_> = checks(&ran.said).into_iter().filter(|(_, verdict)| verdict != "Pass").collect();
    let names: Vec<_> = failed.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute", "ReferenceGrant"].map(|kind| format!("kind/{kind}"));
    assert_eq!(names[..5], expected);
    assert_eq!(names[5..], ["right/create clusterroles.rbac.authorization.k8s.io"]);
    assert!(api.take_written().is_empty(), "whoever checks writes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn afterwards_it_waits_until_everything_is_ready() {
    let api = cluster().await;
    let ran = sallyport(&api, &["check"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(ran.said.contains("FAIL  controller: ") && ran.said.contains("helm install"), "{}", ran.said);
    install(&api);
    let ran = sallyport(&api, &["check", "--wait", "--timeout", "1s", "-o", "json"]).await;
    let failed: Vec<_> = checks(&ran.said).into_iter().filter(|(_, verdict)| verdict != "Pass").collect();
    let expected = ("controller/sallyport-system/sallyport-controller".to_owned(), "Fail".to_owned());
    assert_eq!((ran.code, failed), (Some(1), vec![expected]), "{}", ran.aside);
    assert!(
        ran.aside.contains("awaited: controller/sallyport-system/sallyport-controller: 0 of 1 replicas"),
        "{}",
        ran.aside
    );
    let becomes = async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let place = Place::new("apis/apps/v1/deployments", "sallyport-system/sallyport-controller");
        api.edit(&place, |deployment| deployment["status"]["availableReplicas"] = json!(1));
    };
    let (ran, ()) = tokio::join!(sallyport(&api, &["check", "--wait"]), becomes);
    assert_eq!(ran.code, Some(0), "{}{}", ran.said, ran.aside);
    assert!(ran.said.contains("ok    class/sallyport: ready"), "{}", ran.said);
}
