//! `sallyport keys`.

use serde_json::{Value, json};

use crate::api::{Api, Place};
use crate::kit::{ours, sallyport};

const KEY: &str = "spk_0123456789abcdef0123456789abcdef";

const SUBSCRIPTION: &str = "
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {name: mobile, namespace: shop}
spec: {keys: {secretName: mobile-keys}}
status:
  phase: Active
  secretRef: {name: mobile-keys}
  keys: {primaryMade: '2026-11-01T00:00:00Z', secondaryMade: '2026-11-01T00:00:00Z'}
";

const SECRET: &str = "
apiVersion: v1
kind: Secret
metadata: {name: mobile-keys, namespace: shop}
data: {primary: c3BrXzAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm, broken: Gw==}
";

async fn with_keys() -> Api {
    let api = Api::start().await;
    api.put(SUBSCRIPTION);
    api.put(SECRET);
    api
}

fn place() -> Place {
    ours("subscriptions", "shop/mobile")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_printed_only_where_it_is_asked_for() {
    let api = with_keys().await;
    for arguments in [
        &["keys", "list"][..],
        &["keys", "list", "-A", "-o", "wide"],
        &["keys", "list", "-o", "json"],
        &["keys", "show", "mobile"],
        &["keys", "show", "shop/mobile", "-n", "other"],
        &["keys", "show", "mobile", "-o", "wide"],
        &["keys", "show", "mobile", "-o", "json"],
    ] {
        let ran = sallyport(&api, arguments).await;
        assert_eq!(ran.code, Some(0), "{}", ran.aside);
        assert!(ran.said.contains("mobile-keys") && ran.said.contains("2026-11-01"), "{}", ran.said);
        assert!(!ran.said.contains("spk_") && !ran.said.contains("c3Br"), "{arguments:?}: {}", ran.said);
    }
    let ran = sallyport(&api, &["keys", "show", "mobile", "--reveal", "primary"]).await;
    assert_eq!((ran.code, ran.said), (Some(0), format!("{KEY}\n")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_there_is_told_where_to_look() {
    let api = with_keys().await;
    for (arguments, said) in [
        (&["keys", "show", "mobile", "--reveal", "secondary"][..], "no entry secondary"),
        (&["keys", "show", "nobody"], "keys list -A"),
        (&["keys", "show", "mobile", "-n", "other"], "no Subscription other/mobile"),
        (&["keys", "show", "other/mobile"], "no Subscription other/mobile"),
        (&["keys", "rotate", "nobody", "primary"], "no Subscription shop/nobody"),
        (&["keys", "rotate", "other/mobile", "primary"], "no Subscription other/mobile"),
    ] {
        let ran = sallyport(&api, arguments).await;
        assert_eq!((ran.code, &*ran.said), (Some(2), ""));
        assert!(ran.aside.contains(said), "{}", ran.aside);
    }
    api.delete(&Place::new("api/v1/secrets", "shop/mobile-keys"));
    let ran = sallyport(&api, &["keys", "show", "mobile", "--reveal", "primary"]).await;
    assert!(ran.code == Some(2) && ran.aside.contains("Secret shop/mobile-keys does not exist"), "{}", ran.aside);
    assert!(api.take_written().is_empty());
}

/// What asks for a new key, once it is there.
async fn asked(api: &Api) -> String {
    loop {
        let found = api.get(&place()).unwrap();
        if let Some(text) = found["metadata"]["annotations"]["sallyport.dev/rotate"].as_str() {
            return text.to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_asked_for_once_and_waited_for() {
    let api = with_keys().await;
    // The controller writes a status at the same moment.
    api.contend(&place(), 1);
    let controller = async {
        let text = asked(&api).await;
        api.edit(&place(), |subscription| {
            subscription["status"]["keys"]["rotated"] = json!(text);
            subscription["status"]["keys"]["secondaryMade"] = json!("2026-11-26T09:00:00Z");
            subscription["status"]["conditions"] =
                json!([{ "type": "Programmed", "status": "True", "reason": "Programmed", "message": "" }]);
        });
        text
    };
    let (ran, text) = tokio::join!(
        sallyport(&api, &["keys", "rotate", "shop/mobile", "secondary", "--wait", "-n", "other"]),
        controller
    );
    assert_eq!(ran.code, Some(0), "{}", ran.aside);
    assert!(
        ran.said.contains("secondary of Subscription shop/mobile was made anew at 2026-11-26T09:00:00Z"),
        "{}",
        ran.said
    );
    assert!(text.starts_with("secondary 20"), "{text}");
    let answers: Vec<_> = api.take_written().iter().map(|written| (written.verb.clone(), written.answer)).collect();
    assert_eq!(answers, [("PATCH".to_owned(), 409), ("PATCH".to_owned(), 200)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_does_not_come_ends_with_one_and_says_what_is_awaited() {
    let api = with_keys().await;
    let ran = sallyport(&api, &["keys", "rotate", "mobile", "primary", "--wait", "--timeout", "1s"]).await;
    assert_eq!((ran.code, &*ran.said), (Some(1), ""));
    assert!(
        ran.aside.contains("still awaited: the controller makes primary of Subscription shop/mobile anew"),
        "{}",
        ran.aside
    );
    // The first request still stands: another one would take its place.
    api.take_written();
    let ran = sallyport(&api, &["keys", "rotate", "mobile", "secondary"]).await;
    assert!(ran.code == Some(2) && ran.aside.contains("waits for another new key already"), "{}", ran.aside);
    assert!(api.take_written().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_leaves_everything_else_as_it_is() {
    let api = with_keys().await;
    api.edit(&place(), |subscription| subscription["metadata"]["annotations"] = json!({ "theirs": "kept" }));
    let ran = sallyport(&api, &["keys", "rotate", "mobile", "primary"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.aside);
    let found = api.get(&place()).unwrap();
    assert_eq!(found["metadata"]["annotations"]["theirs"], "kept");
    assert_eq!(found["spec"], json!({ "keys": { "secretName": "mobile-keys" } }));
    let written = api.take_written();
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].body["spec"], Value::Null);
    assert!(written[0].target.contains("fieldManager=sallyport-cli"), "{}", written[0].target);
}
