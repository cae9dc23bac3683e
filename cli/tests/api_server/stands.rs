//! `sallyport status`.

use serde_json::Value;

use crate::api::Api;
use crate::kit::{CLASS, kubeconfig, run, sallyport};

fn backend(namespace: &str, ready: &str) -> String {
    format!(
        "
apiVersion: sallyport.dev/v1alpha1
kind: Backend
metadata: {{name: orders, namespace: {namespace}}}
spec: {{}}
status:
  observedGeneration: 1
  conditions:
  - {{type: Ready, status: '{ready}', reason: SecretNotFound, message: there is no login, observedGeneration: 1}}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_namespace_is_told_of_itself_and_the_exit_code_says_whether_all_is_ready() {
    let api = Api::start().await;
    for manifest in [CLASS, &backend("shop", "True"), &backend("other", "False")] {
        api.put(manifest);
    }
    let ran = sallyport(&api, &["status"]).await;
    assert_eq!((ran.code, &*ran.aside), (Some(0), ""), "{}", ran.said);
    assert!(ran.said.contains("shop       Backend/orders") && !ran.said.contains("other"), "{}", ran.said);
    for arguments in [&["status", "-n", "other"][..], &["status", "-A", "-o", "wide"]] {
        let ran = sallyport(&api, arguments).await;
        assert_eq!(ran.code, Some(1), "{}", ran.said);
        assert!(ran.said.contains("there is no login\n    cure: Create the object"), "{}", ran.said);
    }
    let ran = sallyport(&api, &["status", "-A", "-o", "json"]).await;
    let told: Value = serde_json::from_str(&ran.said).unwrap();
    let objects = told["objects"].as_array().unwrap();
    assert_eq!((ran.code, objects.len()), (Some(1), 3));
    assert_eq!(objects[1]["findings"][0]["reason"], "SecretNotFound");
    assert!(api.take_written().is_empty(), "whoever looks writes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_anything_of_ours_is_told_so() {
    let api = Api::start().await;
    let ran = sallyport(&api, &["status"]).await;
    assert_eq!(
        (ran.code, &*ran.said),
        (Some(0), "there is nothing here for a gateway; `-A` looks in all namespaces\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_not_reached_ends_with_two_and_a_cure() {
    let nowhere = kubeconfig("http://127.0.0.1:1");
    for arguments in [
        &["status"][..],
        &["status", "-o", "json"],
        &["keys", "list"],
        &["keys", "rotate", "a", "primary"],
        &["approve", "a"],
        &["check"],
        &["check", "--pre", "-o", "json"],
        &["demo", "--cluster"],
        &["demo", "--cluster", "--clean"],
    ] {
        let ran = run(&nowhere, arguments).await;
        assert_eq!(ran.code, Some(2), "{arguments:?}: {} {}", ran.said, ran.aside);
        let all = format!("{}{}", ran.said, ran.aside);
        assert!(all.contains("kubectl version"), "{arguments:?}: {all}");
    }
    for arguments in [
        &["status", "--context", "nowhere"][..],
        &["status", "--kubeconfig", "/nowhere"],
        &["status", "-A", "-n", "shop"],
        &["status", "-o", "yaml"],
        &["keys"],
        &["keys", "show"],
        &["keys", "rotate", "a"],
        &["keys", "rotate", "a", "both"],
        &["keys", "rotate", "a", "primary", "--timeout", "soon"],
        &["keys", "show", "a", "--reveal"],
        &["approve"],
        &["approve", "a", "--uid", "u"],
        &["approve", "a", "--expires", "tomorrow"],
        &["check", "--pre", "--wait"],
        &["demo", "--clean"],
        &["demo", "--cluster", "--once"],
    ] {
        let ran = run(&nowhere, arguments).await;
        assert_eq!((ran.code, &*ran.said), (Some(2), ""), "{arguments:?}");
        assert!(!ran.aside.is_empty(), "{arguments:?} says why");
    }
}
