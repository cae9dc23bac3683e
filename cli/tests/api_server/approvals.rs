//! `sallyport approve`, `reject`, `suspend`.

use serde_json::{Value, json};

use crate::api::Api;
use crate::kit::{ours, sallyport};

const SUBSCRIPTION: &str = "
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {name: mobile, namespace: apps}
spec: {scope: {product: {name: standard, namespace: shop}}, keys: {secretName: mobile-keys}}
";

async fn with_subscription() -> (Api, String) {
    let api = Api::start().await;
    api.put(SUBSCRIPTION);
    let uid = api.get(&ours("subscriptions", "apps/mobile")).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    (api, uid)
}

/// The one approval that there is.
fn approval(api: &Api) -> Value {
    let all = api.all("apis/sallyport.dev/v1alpha1/subscriptionapprovals");
    assert_eq!((all.len(), &*all[0].namespace), (1, "shop"), "{all:?}");
    api.get(&all[0]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_word_is_said_in_one_object_of_the_products_namespace() {
    let (api, uid) = with_subscription().await;
    for (arguments, decision, expires) in [
        (
            &["approve", "apps/mobile", "--expires", "2027-01-01T00:00:00Z"][..],
            "Approved",
            json!("2027-01-01T00:00:00Z"),
        ),
        (&["suspend", "mobile", "-n", "apps", "--reason", "not paid"], "Suspended", json!("2027-01-01T00:00:00Z")),
        (&["reject", "apps/mobile", "--expires", "never"], "Rejected", Value::Null),
        (&["approve", "apps/mobile", "--product", "shop/standard", "--uid", &uid], "Approved", Value::Null),
    ] {
        let ran = sallyport(&api, arguments).await;
        assert_eq!((ran.code, &*ran.aside), (Some(0), ""), "{}", ran.said);
        assert!(ran.said.contains(decision) && ran.said.contains(&uid), "{}", ran.said);
        let spec = approval(&api)["spec"].clone();
        assert_eq!((&spec["decision"], &spec["expires"]), (&json!(decision), &expires));
        assert_eq!(spec["subscriptionRef"], json!({ "namespace": "apps", "name": "mobile", "uid": uid }));
        assert_eq!(spec["reason"], if decision == "Suspended" { json!("not paid") } else { Value::Null });
    }
    assert!(api.take_written().iter().all(|written| written.form == "apply" && !written.target.contains("force")));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_overruled_learns_of_it() {
    let (api, uid) = with_subscription().await;
    api.put(&format!(
        "
apiVersion: sallyport.dev/v1alpha1
kind: SubscriptionApproval
metadata: {{name: by-hand, namespace: shop}}
spec:
  productRef: {{name: standard}}
  subscriptionRef: {{namespace: apps, name: mobile, uid: {uid}}}
  decision: Suspended
"
    ));
    let ran = sallyport(&api, &["approve", "apps/mobile"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.aside);
    assert!(ran.aside.contains("SubscriptionApproval shop/by-hand says Suspended"), "{}", ran.aside);
    let ran = sallyport(&api, &["reject", "apps/mobile"]).await;
    assert_eq!((ran.code, &*ran.aside), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_about_what_needs_no_word_or_is_not_there() {
    let (api, _) = with_subscription().await;
    api.put(
        "
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {name: own, namespace: shop}
spec: {scope: {apis: [{kind: HTTPRoute, name: orders}]}, keys: {secretName: own}}
",
    );
    for (arguments, why) in [
        (&["approve", "own"][..], "is to no Product"),
        (&["approve", "mobile"], "there is no Subscription shop/mobile"),
        (&["approve", "apps/mobile", "--product", "shop/gold"], "is to Product shop/standard, not to shop/gold"),
    ] {
        let ran = sallyport(&api, arguments).await;
        assert_eq!((ran.code, &*ran.said), (Some(2), ""));
        assert!(ran.aside.contains(why), "{}", ran.aside);
    }
    assert!(api.take_written().is_empty());
}
