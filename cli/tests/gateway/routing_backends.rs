//! Where a rule's requests go: by weight, nowhere, or into another namespace.

use std::collections::BTreeMap;

use rstest::rstest;

use crate::kit::caller::{get, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};
use crate::kit::service::Service;

/// `/orders` to these backends, as a flow sequence goes on inside.
fn to(backends: &str) -> String {
    route("orders", "shop").replace("[{group: sallyport.dev, kind: Backend, name: shop}]", &format!("[{backends}]"))
}

fn weighted(name: &str, weight: u32) -> String {
    format!("{{group: sallyport.dev, kind: Backend, name: {name}, weight: {weight}}}")
}

/// How often each verdict comes.
async fn verdicts(gateway: &Gateway, count: usize) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for _ in 0..count {
        *found.entry(send(gateway.http(), get("/orders", &[])).await.verdict()).or_default() += 1;
    }
    found
}

#[tokio::test]
async fn requests_are_shared_by_weight_and_a_weight_of_zero_gets_none() {
    let (much, little, none) = (Service::start().await, Service::start().await, Service::start().await);
    let shares = [weighted("much", 9), weighted("none", 0), weighted("little", 1)].join(", ");
    let manifests = [
        GATEWAY,
        &to(&shares),
        &backend("much", much.address, ""),
        &backend("little", little.address, ""),
        &backend("none", none.address, ""),
        &policy("orders", OPEN),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(verdicts(&gateway, 400).await, BTreeMap::from([("200".to_owned(), 400)]), "{:?}", gateway.diagnostics);
    // 40 expected, 6 the standard deviation: beyond seven of them once in 10^11.
    assert!((4..=90).contains(&little.count()), "{}", little.count());
    assert_eq!((none.count(), much.count() + little.count()), (0, 400));
}

#[tokio::test]
async fn a_rule_whose_every_weight_is_zero_serves_nothing() {
    let service = Service::start().await;
    let manifests =
        [GATEWAY, &to(&weighted("shop", 0)), &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(verdicts(&gateway, 20).await, BTreeMap::from([("500 configuration".to_owned(), 20)]));
    assert_eq!(service.count(), 0);
}

#[rstest]
#[case::not_there(weighted("nobody", 1))]
#[case::of_an_unknown_kind("{group: example.com, kind: Thing, name: x, weight: 1}".to_owned())]
#[case::a_service_that_is_not_there("{name: nobody, port: 80, weight: 1}".to_owned())]
#[case::a_service_of_another_namespace("{name: shop, namespace: other, port: 80, weight: 1}".to_owned())]
#[tokio::test]
async fn a_backend_that_cannot_be_resolved_answers_500_for_its_share(#[case] broken: String) {
    let service = Service::start().await;
    let shares = [weighted("shop", 1), broken].join(", ");
    let manifests = [GATEWAY, &to(&shares), &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    let found = verdicts(&gateway, 200).await;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["200", "500 configuration"], "{found:?}");
    // 100 expected, 7 the standard deviation.
    assert!((45..=155).contains(&found["200"]), "{found:?}");
    assert_eq!(service.count(), found["200"]);
    assert!(gateway.said("HTTPRoute shop/orders").contains("backendRefs[1]"), "{:?}", gateway.diagnostics);
}

/// Whoever may not come in does not learn that a rule leads nowhere.
#[tokio::test]
async fn callers_are_judged_before_the_backend_is() {
    let key = "authentication: [{name: customers, subscriptionKey: {}}]";
    let manifests = [GATEWAY, &to(&weighted("nobody", 1)), &policy("orders", key)];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "401 credential-missing");
}

const FAR: &str = "{group: sallyport.dev, kind: Backend, name: shop, namespace: far}";

/// A grant in the namespace `far` for routes of `shop`, as `spec`.
fn grant(spec: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {{name: lend, namespace: far}}
spec: {spec}
"
    )
}

const FROM_SHOP: &str = "from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]";

#[rstest]
#[case::of_all(&format!("{{{FROM_SHOP}, to: [{{group: sallyport.dev, kind: Backend}}]}}"), "200")]
#[case::of_this_one(&format!("{{{FROM_SHOP}, to: [{{group: sallyport.dev, kind: Backend, name: shop}}]}}"), "200")]
#[case::of_another(&format!("{{{FROM_SHOP}, to: [{{group: sallyport.dev, kind: Backend, name: other}}]}}"), "500 configuration")]
#[case::of_services(&format!("{{{FROM_SHOP}, to: [{{group: '', kind: Service}}]}}"), "500 configuration")]
#[case::for_another_namespace(
    "{from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: other}], to: [{group: sallyport.dev, kind: Backend}]}",
    "500 configuration"
)]
#[case::for_another_kind(
    "{from: [{group: gateway.networking.k8s.io, kind: GRPCRoute, namespace: shop}], to: [{group: sallyport.dev, kind: Backend}]}",
    "500 configuration"
)]
#[tokio::test]
async fn a_backend_of_another_namespace_is_lent_by_a_grant_and_not_otherwise(
    #[case] lent: &str,
    #[case] expected: &str,
) {
    let service = Service::start().await;
    let far = backend("shop", service.address, "").replace("namespace: shop", "namespace: far");
    let mut gateway = Gateway::start(&[GATEWAY, &to(FAR), &far, &policy("orders", OPEN)].concat()).await;
    let verdict = async |gateway: &Gateway| send(gateway.http(), get("/orders", &[])).await.verdict();
    assert_eq!(verdict(&gateway).await, "500 configuration");
    assert!(gateway.said("HTTPRoute shop/orders").contains("ReferenceGrant"), "{:?}", gateway.diagnostics);
    gateway.write("grant.yaml", &grant(lent));
    assert_eq!(verdict(&gateway).await, expected, "{:?}", gateway.diagnostics);
    gateway.remove("grant.yaml");
    assert_eq!(verdict(&gateway).await, "500 configuration", "taken back");
    assert_eq!(service.count(), usize::from(expected == "200"));
}

/// A grant counts in the namespace of what is lent; a borrower cannot write its own.
#[tokio::test]
async fn a_grant_in_the_borrowers_namespace_lends_nothing() {
    let service = Service::start().await;
    let far = backend("shop", service.address, "").replace("namespace: shop", "namespace: far");
    let own = grant(&format!("{{{FROM_SHOP}, to: [{{group: sallyport.dev, kind: Backend}}]}}"))
        .replace("name: lend, namespace: far", "name: lend, namespace: shop");
    let gateway = Gateway::start(&[GATEWAY, &to(FAR), &far, &policy("orders", OPEN), &own].concat()).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "500 configuration");
    assert_eq!(service.count(), 0);
}
