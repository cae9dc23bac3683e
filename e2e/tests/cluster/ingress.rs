//! Ingresses in a real cluster: told where they are reached, under policies, and left alone where they are another controller's.

use crate::kit::manifest::{BY_KEY, GATEWAY, SERVICE};
use crate::kit::world::World;

/// A class is of the whole cluster: each test has one of its own name.
fn class(name: &str, controller: &str, namespace: &str) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: {name}}}
spec:
  controller: {controller}
  parameters: {{apiGroup: gateway.networking.k8s.io, kind: Gateway, scope: Namespace, namespace: {namespace}, name: public}}
"
    )
}

fn ingress(name: &str, class: &str) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}}}
spec:
  ingressClassName: {class}
  rules: [{{http: {{paths: [{{path: /{name}, pathType: Prefix, backend: {{service: {{name: echo, port: {{name: http}}}}}}}}]}}}}]
"
    )
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: sallyport.dev/v1alpha1
kind: ApiPolicy
metadata: {{name: {name}}}
spec:
  targetRefs: [{{group: networking.k8s.io, kind: Ingress, name: {name}}}]
  {spec}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_is_told_where_it_is_reached_and_obeys_its_policy() {
    let world = World::with("ingress", &[SERVICE, GATEWAY]).await;
    let (ours, others) = (world.namespace.clone(), format!("{}-others", world.namespace));
    world.apply(&class(&ours, "sallyport.dev/ingress-controller", &world.namespace)).await;
    world.apply(&class(&others, "example.com/controller", &world.namespace)).await;
    world.apply(&ingress("orders", &ours)).await;
    world.apply(&ingress("foreign", &others)).await;
    let address = world.address("public").await;
    world.verdict(&address, "/orders", &[], "500 unprotected").await;
    world.condition("Gateway", "public", "sallyport.dev/IngressesRefused", true).await;
    world.apply(&policy("orders", "authentication: [{name: open, public: {}}]")).await;
    world.ready("ApiPolicy", "orders").await;
    world.verdict(&address, "/orders", &[], "200").await;
    world.apply(&policy("orders", BY_KEY)).await;
    world.verdict(&address, "/orders", &[], "401 credential-missing").await;
    let told = world.get("Ingress", "orders").await.unwrap();
    assert_eq!(told["status"]["loadBalancer"]["ingress"][0]["ip"], address.as_str(), "{told}");
    let foreign = world.get("Ingress", "foreign").await.unwrap();
    assert!(foreign["status"]["loadBalancer"]["ingress"].is_null(), "{foreign}");
    assert_eq!(world.ask(&address, "/foreign", &[]).await.verdict(), "404 no-route");
    for class in [&ours, &others] {
        world.delete("IngressClass", class).await;
    }
}
