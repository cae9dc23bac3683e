//! `sallyport demo --cluster`, as far as there is no gateway.

use serde_json::json;

use crate::api::{Api, Place};
use crate::kit::{CLASS, sallyport};

fn namespace(labels: &str) -> String {
    format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: sallyport-demo, labels: {{{labels}}}}}}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_touches_nothing_that_it_has_not_made() {
    let api = Api::start().await;
    let ran = sallyport(&api, &["demo", "--cluster"]).await;
    assert!(ran.code == Some(2) && ran.aside.contains("there is no GatewayClass sallyport"), "{}", ran.aside);
    api.put(&CLASS.replace("sallyport.dev/gateway-controller", "example.com/other"));
    let ran = sallyport(&api, &["demo", "--cluster"]).await;
    assert!(ran.code == Some(2) && ran.aside.contains("is of another controller"), "{}", ran.aside);
    api.put(CLASS);
    api.put(&namespace("theirs: 'yes'"));
    for arguments in [&["demo", "--cluster"][..], &["demo", "--cluster", "--clean"]] {
        let ran = sallyport(&api, arguments).await;
        assert!(ran.code == Some(2) && ran.aside.contains("was not made by a demo"), "{}", ran.aside);
    }
    assert!(api.take_written().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_applies_a_protected_api_says_what_is_awaited_and_removes_all_of_it() {
    let api = Api::start().await;
    api.put(CLASS);
    let ran = sallyport(&api, &["demo", "--cluster", "--timeout", "1s", "--image", "example.com/echo:1"]).await;
    assert_eq!((ran.code, &*ran.said), (Some(1), ""), "{}", ran.aside);
    assert!(ran.aside.contains("still awaited: Gateway: NotSeen") && ran.aside.contains("--clean"), "{}", ran.aside);
    let written = api.take_written();
    assert_eq!(written.len(), 9);
    assert!(written.iter().all(|one| one.form == "apply" && one.answer == 200), "{written:?}");
    let deployment = api.get(&Place::new("apis/apps/v1/deployments", "sallyport-demo/echo")).unwrap();
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "example.com/echo:1");
    for said in ["is gone", "nothing is left"] {
        let ran = sallyport(&api, &["demo", "--cluster", "--clean"]).await;
        assert!(ran.code == Some(0) && ran.said.contains(said), "{}{}", ran.said, ran.aside);
    }
    let deleted: Vec<_> = api.take_written().iter().map(|one| json!([one.verb, one.target])).collect();
    assert_eq!(deleted, [json!(["DELETE", "/api/v1/namespaces/sallyport-demo"])]);
}
