//! The client address: judged on what a trusted proxy sent, and at a Gateway before anything else is told.

use std::net::{Ipv4Addr, SocketAddr};

use rstest::rstest;
use tokio::net::TcpSocket;

use crate::kit::caller::{HOST, connect_from, get, get_from, over, raw, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, gateway_with, policy, policy_on, route};
use crate::kit::service::Service;

const ON_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
const BEHIND_PROXIES: &str = "{trustedProxies: {cidrs: [127.0.0.0/8]}}";
const USUAL: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const BARRED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

#[tokio::test]
async fn a_connection_field_does_not_take_the_clients_address_away() {
    let service = Service::start().await;
    let spec = format!("{OPEN}\nipFilter: {{allow: [127.0.0.0/8, 198.51.100.9]}}");
    let manifests = [
        gateway_with(BEHIND_PROXIES),
        route("orders", "shop"),
        backend("shop", service.address, ""),
        policy("orders", &spec),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let asked = |client: &str| {
        format!(
            "GET /orders HTTP/1.1\r\nHost: {HOST}\r\nConnection: close, X-Forwarded-For\r\nX-Forwarded-For: {client}\r\n\r\n"
        )
    };
    let barred = raw(gateway.http(), asked("203.0.113.7").as_bytes()).await;
    assert_eq!(barred.statuses(), [403], "{barred:?}");
    assert_eq!(service.count(), 0);
    assert_eq!(raw(gateway.http(), asked("198.51.100.9").as_bytes()).await.statuses(), [200]);
    let seen = service.one();
    assert!(seen.header("x-forwarded-for").is_some_and(|told| told.starts_with("198.51.100.9, ")), "{seen:?}");
    let line = gateway.log(2).await.remove(1);
    assert_eq!(line["client"], "198.51.100.9", "{line}");
}

fn floored(service: &Service, gateway: &str, floor: &str) -> String {
    let manifests = [
        gateway,
        &route("orders", "shop"),
        &backend("shop", service.address, ""),
        &policy("orders", OPEN),
        &policy_on("floor", ON_GATEWAY, floor),
    ];
    manifests.concat()
}

#[tokio::test]
async fn a_peer_that_a_floor_of_the_gateway_bars_is_not_even_answered() {
    let service = Service::start().await;
    let floor = "enforcement: Floor\nipFilter: {deny: [127.0.0.66]}";
    let mut gateway = Gateway::start(&floored(&service, GATEWAY, floor)).await;
    assert_eq!(connect_from(BARRED, gateway.http()).await, "");
    assert!(connect_from(USUAL, gateway.http()).await.starts_with("HTTP/1.1 404"), "{:?}", gateway.diagnostics);
    assert_eq!(get_from(USUAL, gateway.http(), "/orders", &[]).await.verdict(), "200");
    gateway
        .write("main.yaml", &floored(&service, GATEWAY, &floor.replace("deny: [127.0.0.66]", "allow: [127.0.0.66]")));
    assert_eq!(connect_from(USUAL, gateway.http()).await, "");
    assert!(connect_from(BARRED, gateway.http()).await.starts_with("HTTP/1.1 404"), "{:?}", gateway.diagnostics);
}

#[rstest]
#[case::the_route("/orders")]
#[case::no_route("/nowhere")]
#[case::another_rule_without_its_parameters("/nowhere;a=b")]
#[tokio::test]
async fn a_client_behind_a_proxy_that_a_floor_of_the_gateway_bars_learns_nothing(#[case] path: &str) {
    let service = Service::start().await;
    let floor = "enforcement: Floor\nipFilter: {deny: [203.0.113.7]}";
    let gateway = Gateway::start(&floored(&service, &gateway_with(BEHIND_PROXIES), floor)).await;
    let barred = send(gateway.http(), get(path, &[("x-forwarded-for", "203.0.113.7")])).await;
    assert_eq!(barred.verdict(), "403 address-denied", "{:?}", gateway.diagnostics);
    let unreadable = send(gateway.http(), get(path, &[("x-forwarded-for", "unknown")])).await;
    assert_eq!(unreadable.verdict(), "403 address-denied");
    let line = gateway.log(2).await.remove(0);
    assert_eq!((&line["client"], &line["refusal"]["object"]), (&"203.0.113.7".into(), &"ApiPolicy shop/floor".into()));
    assert_eq!(service.count(), 0);
    let admitted = send(gateway.http(), get(path, &[("x-forwarded-for", "198.51.100.9")])).await;
    assert_eq!(admitted.verdict(), if path == "/orders" { "200" } else { "404 no-route" });
}

#[tokio::test]
async fn a_trusted_proxy_is_let_in_whatever_a_floor_of_the_gateway_says_of_its_own_address() {
    let service = Service::start().await;
    let floor = "enforcement: Floor\nipFilter: {allow: [198.51.100.0/24]}";
    let gateway = Gateway::start(&floored(&service, &gateway_with(BEHIND_PROXIES), floor)).await;
    let verdict = async |headers: &[(&str, &str)]| send(gateway.http(), get("/orders", headers)).await.verdict();
    assert_eq!(verdict(&[("x-forwarded-for", "198.51.100.9")]).await, "200", "{:?}", gateway.diagnostics);
    assert_eq!(verdict(&[("x-forwarded-for", "203.0.113.7")]).await, "403 address-denied");
    assert_eq!(verdict(&[]).await, "403 address-denied", "the proxy speaks for itself");
}

/// A second Gateway on the same port, for another host and without a floor.
const OTHER_GATEWAY: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: other, namespace: shop}
spec:
  gatewayClassName: sallyport
  listeners:
  - {name: http, port: 8080, protocol: HTTP, hostname: other.example.com}
";

#[tokio::test]
async fn a_peer_is_turned_away_only_where_every_gateway_of_the_port_bars_it() {
    let service = Service::start().await;
    let floor = "enforcement: Floor\nipFilter: {deny: [127.0.0.66]}";
    let shared = floored(&service, GATEWAY, floor) + OTHER_GATEWAY;
    let gateway = Gateway::start(&shared).await;
    assert_eq!(get_from(BARRED, gateway.http(), "/nowhere", &[]).await.verdict(), "403 address-denied");
    let host = [("host", "other.example.com")];
    let mut request = get("/nowhere", &[]);
    request.headers_mut().insert(host[0].0, host[0].1.parse().unwrap());
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((BARRED, 0))).unwrap();
    let stream = socket.connect(gateway.http()).await.unwrap();
    assert_eq!(over(stream, request).await.verdict(), "404 no-route", "the other has no floor");
    drop(gateway);
    let second = policy_on("second", &ON_GATEWAY.replace("public", "other"), floor);
    let gateway = Gateway::start(&(shared + &second)).await;
    assert_eq!(connect_from(BARRED, gateway.http()).await, "", "{:?}", gateway.diagnostics);
}

#[tokio::test]
async fn a_floor_that_only_reports_or_stands_on_a_section_turns_nobody_away() {
    let service = Service::start().await;
    let section = ON_GATEWAY.replace("name: public", "name: public, sectionName: http");
    let manifests = floored(&service, GATEWAY, "enforcement: Floor\nmode: Report\nipFilter: {deny: [127.0.0.66]}")
        + &policy_on("section", &section, "enforcement: Floor\nipFilter: {deny: [127.0.0.77]}");
    let gateway = Gateway::start(&manifests).await;
    assert_eq!(get_from(BARRED, gateway.http(), "/orders", &[]).await.verdict(), "200", "{:?}", gateway.diagnostics);
    let other = Ipv4Addr::new(127, 0, 0, 77);
    assert_eq!(get_from(other, gateway.http(), "/nowhere", &[]).await.verdict(), "404 no-route");
    assert_eq!(get_from(other, gateway.http(), "/orders", &[]).await.verdict(), "403 address-denied");
}
