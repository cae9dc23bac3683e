//! A Gateway behind a firewall: who goes around it is refused, and what cannot be told lets nobody pass.

use crate::kit::manifest::{SERVICE, policy, route};
use crate::kit::world::{World, until};

const OPEN: &str = "authentication: [{name: anybody, public: {}}]";
const FIRST: &str = "0123456789abcdef0123456789abcdef";
const SECOND: &str = "fedcba9876543210fedcba9876543210";
/// The same in base64.
const FIRST_ENTRY: &str = "primary: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const SECOND_ENTRY: &str = "secondary: ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
const SHORT_ENTRY: &str = "primary: c2hvcnQ=";
const LOCKED: &str = "403 origin-locked";
const CLOSED: &str = "500 configuration";
const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public}
spec:
  gatewayClassName: sallyport
  infrastructure: {parametersRef: {group: sallyport.dev, kind: GatewayParameters, name: edge}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
";
const PARAMETERS: &str = "
apiVersion: sallyport.dev/v1alpha1
kind: GatewayParameters
metadata: {name: edge}
spec: {originLock: {header: {name: X-Origin, secretRef: {name: firewall}}}}
";
const BACKEND: &str = "
apiVersion: sallyport.dev/v1alpha1
kind: Backend
metadata: {name: orders}
spec: {endpoints: [{service: {name: echo, port: 80}}]}
";

fn values(entries: &[&str]) -> String {
    format!("\napiVersion: v1\nkind: Secret\nmetadata: {{name: firewall}}\ndata: {{{}}}\n", entries.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_around_the_firewall_is_refused() {
    let both = values(&[FIRST_ENTRY, SECOND_ENTRY]);
    let given = [SERVICE, PARAMETERS, &both, GATEWAY, BACKEND, &route("orders"), &policy("orders", OPEN)];
    let world = World::with("origin-lock", &given.map(str::to_owned)).await;
    world.ready("ApiPolicy", "orders").await;
    world.ready("GatewayParameters", "edge").await;
    let address = world.address("public").await;
    let answers = async |path: &str, value: &str, verdict: &str| {
        world.verdict(&address, path, &[("x-origin", value)], verdict).await
    };
    let answer = answers("/orders", FIRST, "200").await;
    assert_eq!(answer.saw("X-Origin"), None, "it is nobody's but the firewall's and the gateway's");
    answers("/orders", SECOND, "200").await;
    answers("/orders", "guess", LOCKED).await;
    answers("/nowhere", "guess", LOCKED).await;
    world.verdict(&address, "/orders", &[("x_origin", FIRST)], LOCKED).await;

    world.apply(&values(&[SECOND_ENTRY])).await;
    answers("/orders", FIRST, LOCKED).await;
    answers("/orders", SECOND, "200").await;
    world.apply(&values(&[SHORT_ENTRY])).await;
    answers("/orders", SECOND, CLOSED).await;
    world.condition("GatewayParameters", "edge", "ResolvedRefs", false).await;
    world.apply(&both).await;
    answers("/orders", FIRST, "200").await;
    world.delete("Secret", "firewall").await;
    answers("/orders", FIRST, CLOSED).await;
    let told = async || world.get("Gateway", "public").await?.to_string().contains("originLock").then_some(());
    until("the lock in the status of the Gateway", told).await;
    world.apply(&both).await;
    answers("/orders", FIRST, "200").await;
    world.delete("GatewayParameters", "edge").await;
    answers("/orders", FIRST, CLOSED).await;
    world.condition("Gateway", "public", "Accepted", false).await;
    world.apply(PARAMETERS).await;
    answers("/orders", FIRST, "200").await;
}
