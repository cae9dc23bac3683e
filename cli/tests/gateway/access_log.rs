//! `accessLog` of GatewayParameters: each Gateway says which of its requests have a line, and nothing that went wrong is left out.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rstest::rstest;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::kit::caller::{get, read, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{OPEN, backend, gateway_with, other_gateway, policy, policy_on, route};
use crate::kit::service::Service;

const ON_REHEARSED: &str = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: rehearsed}";

/// A route that everybody may call, one that nobody may, and one that would let nobody pass; all under `accessLog` of the class.
fn world(access_log: &str, service: &Service) -> String {
    let parts = [
        gateway_with(&format!("{{accessLog: {access_log}}}")),
        route("open", "shop"),
        route("barred", "shop"),
        route("rehearsed", "shop"),
        backend("shop", service.address, ""),
        policy("open", OPEN),
        policy("barred", &format!("{OPEN}\nipFilter: {{deny: [127.0.0.0/8]}}")),
        policy("rehearsed", OPEN),
        policy_on("later", ON_REHEARSED, "mode: Report\nipFilter: {deny: [127.0.0.0/8]}"),
    ];
    parts.concat()
}

async fn started(access_log: &str) -> (Gateway, Service) {
    let (mut gateway, service) = (Gateway::silent().await, Service::start().await);
    gateway.write("main.yaml", &world(access_log, &service));
    (gateway, service)
}

/// Many good requests and one of each other kind; the paths of the lines that were written.
async fn lines(gateway: Gateway, good: usize) -> Vec<String> {
    for _ in 0..good {
        assert_eq!(send(gateway.http(), get("/open", &[])).await.verdict(), "200");
    }
    for (path, verdict) in [("/barred", "403 address-denied"), ("/rehearsed", "200"), ("/nowhere", "404 no-route")] {
        assert_eq!(send(gateway.http(), get(path, &[])).await.verdict(), verdict);
    }
    assert_eq!(send(gateway.http(), get("/a/../open", &[])).await.verdict(), "400 malformed-request");
    let lines = gateway.log_lines();
    gateway.drain(Duration::from_secs(2)).await;
    let path = |line: Value| line["path"].as_str().unwrap_or_default().to_owned();
    lines().into_iter().map(path).collect()
}

#[tokio::test]
async fn what_goes_wrong_is_told_where_nothing_else_is() {
    let (gateway, _service) = started("{enabled: true, samplePercent: 0}").await;
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    assert_eq!(lines(gateway, 30).await, ["/barred", "/rehearsed", "/nowhere", ""]);
}

#[tokio::test]
async fn answers_of_a_service_that_fails_are_told_and_others_are_not() {
    let (gateway, _service) = started("{enabled: true, samplePercent: 0}").await;
    for status in [404, 500, 499, 503, 200] {
        assert_eq!(send(gateway.http(), get(&format!("/open/{status}"), &[])).await.status, status);
    }
    let lines = gateway.log_lines();
    gateway.drain(Duration::from_secs(2)).await;
    let statuses: Vec<_> = lines().iter().map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [500, 503]);
}

#[tokio::test]
async fn a_share_of_what_goes_well_is_told() {
    let (gateway, _service) = started("{enabled: true, samplePercent: 50}").await;
    let told = lines(gateway, 200).await.iter().filter(|path| *path == "/open").count();
    assert!((50..150).contains(&told), "{told} of 200");
}

#[rstest]
#[case::off("{enabled: false}")]
#[case::off_whatever_the_share("{enabled: false, samplePercent: 100}")]
#[case::as_the_process_was_started("{}")]
#[case::a_share_is_no_word_for_lines("{samplePercent: 100}")]
#[tokio::test]
async fn without_a_word_for_it_nothing_is_told(#[case] access_log: &str) {
    let (gateway, _service) = started(access_log).await;
    assert_eq!(lines(gateway, 5).await, [""; 0]);
}

#[tokio::test]
async fn a_process_that_writes_lines_writes_none_for_a_gateway_that_wants_none() {
    let service = Service::start().await;
    let gateway = Gateway::start(&world("{enabled: false}", &service)).await;
    assert_eq!(lines(gateway, 5).await, [""; 0]);
}

#[rstest]
#[case::more_than_all("{samplePercent: 101}")]
#[case::less_than_nothing("{samplePercent: -1}")]
#[case::text("{samplePercent: \"50\"}")]
#[case::no_word("{enabled: sometimes}")]
#[case::unknown("{enabled: false, everything: true}")]
#[tokio::test]
async fn what_cannot_be_read_is_told_of(#[case] access_log: &str) {
    let (gateway, _service) = started(access_log).await;
    assert!(!gateway.said("GatewayParameters shop/ours").is_empty(), "{:?}", gateway.diagnostics);
}

#[tokio::test]
async fn a_change_counts_at_once_on_connections_that_are_open() {
    let (mut gateway, service) = started("{enabled: false}").await;
    let stream = TokioIo::new(TcpStream::connect(gateway.http()).await.unwrap());
    let (mut held, connection) = http1::handshake::<_, Empty<Bytes>>(stream).await.unwrap();
    tokio::spawn(connection);
    for (access_log, told) in
        [("{enabled: true}", 1), ("{enabled: false}", 1), ("{enabled: true, samplePercent: 0}", 1)]
    {
        gateway.write("main.yaml", &world(access_log, &service));
        assert_eq!(read(held.send_request(get("/open", &[])).await.unwrap()).await.verdict(), "200");
        assert_eq!(gateway.log(told).await.len(), told, "{access_log}");
    }
    gateway.write("main.yaml", &world("{enabled: true}", &service));
    assert_eq!(read(held.send_request(get("/open", &[])).await.unwrap()).await.verdict(), "200");
    gateway.log(2).await;
}

#[tokio::test]
async fn gateways_of_one_port_have_each_its_own_word() {
    let (mut gateway, service) = started("{enabled: true, samplePercent: 0}").await;
    gateway.write("other.yaml", &other_gateway("accessLog: {enabled: false}"));
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    let nowhere = |host: &str| {
        let mut request = get("/nowhere", &[]);
        request.headers_mut().insert("host", host.parse().unwrap());
        request
    };
    for host in ["other.example.com", "api.example.com"] {
        assert_eq!(send(gateway.http(), nowhere(host)).await.verdict(), "404 no-route");
    }
    gateway.write("other.yaml", &other_gateway("accessLog: {samplePercent: 100}"));
    assert_eq!(send(gateway.http(), get("/open", &[])).await.verdict(), "200", "its share is not the other's");
    assert_eq!(send(gateway.http(), nowhere("other.example.com")).await.verdict(), "404 no-route");
    drop(service);
    let lines = gateway.log_lines();
    gateway.drain(Duration::from_secs(2)).await;
    let told: Vec<_> = lines().iter().map(|line| line["path"].to_string()).collect();
    assert_eq!(told, ["\"/nowhere\"", "\"/nowhere\""]);
}
