//! The bounds that GatewayParameters set, at the socket: up to them requests are served, and beyond them refused as is documented.

use std::time::Duration;

use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt as _, Empty};
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::kit::caller::{HOST, get, get_http2, hear, http2, open, raw, read, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{OPEN, backend, gateway_with, policy, route};
use crate::kit::pki::Authority;
use crate::kit::process::Process;
use crate::kit::secured::certificate;
use crate::kit::service::Service;

const PATIENCE: Duration = Duration::from_secs(10);

async fn bounded(bounds: &str) -> (Gateway, Service) {
    let service = Service::start().await;
    let manifests = [
        gateway_with(&format!("{{bounds: {bounds}}}")),
        route("orders", "shop"),
        backend("shop", service.address, ""),
        policy("orders", OPEN),
    ];
    (Gateway::start(&manifests.concat()).await, service)
}

/// A head of exactly this many bytes.
fn head_of(bytes: usize) -> String {
    let begun = format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nX-Fill: ");
    let fill = bytes.checked_sub(begun.len() + 4).expect("room for a head");
    format!("{begun}{}\r\n\r\n", "x".repeat(fill))
}

#[rstest]
#[case::the_default("{}", 32 * 1024)]
#[case::the_smallest("{maxHeaderBytes: 1024}", 1024)]
#[case::a_larger_one("{maxHeaderBytes: 100000}", 100_000)]
#[tokio::test]
async fn a_head_may_have_as_many_bytes_and_no_more(#[case] bounds: &str, #[case] most: usize) {
    let (gateway, service) = bounded(bounds).await;
    for bytes in [512, most / 2, most] {
        let heard = raw(gateway.http(), head_of(bytes).as_bytes()).await;
        assert_eq!(heard.statuses(), [200], "{bytes} of {most}: {heard:?}");
    }
    assert_eq!(service.count(), 3);
    for bytes in [most + 1, most * 2, most * 20] {
        let heard = raw(gateway.http(), head_of(bytes).as_bytes()).await;
        assert_eq!(heard.statuses(), [431], "{bytes} of {most}: {heard:?}");
        assert!(heard.text.contains("head-too-large") && heard.closed, "{heard:?}");
    }
    assert_eq!(service.count(), 3);
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "200", "others are served");
}

/// Over HTTP/2 a field counts for its name, its value and 32 more (RFC 9113, 6.5.2).
#[tokio::test]
async fn a_head_is_bounded_over_http_2_as_well() {
    let (gateway, service) = bounded("{maxHeaderBytes: 4096}").await;
    for (bytes, is_served) in [(100, true), (3000, true), (5000, false), (60_000, false)] {
        let stream = TcpStream::connect(gateway.http()).await.unwrap();
        let mut sender = http2::<Empty<Bytes>>(stream).await;
        let request = get_http2("http", HOST, "/orders", &[("x-fill", &"x".repeat(bytes))]);
        let answer = match sender.send_request(request).await {
            Ok(response) => read(response).await.status.as_u16(),
            // The connection may be told off instead.
            Err(_) => 431,
        };
        assert_eq!(answer, if is_served { 200 } else { 431 }, "{bytes}");
    }
    assert_eq!(service.count(), 2);
}

#[rstest]
#[case::the_default("{}", 100)]
#[case::fewer("{maxHeaders: 8}", 8)]
#[case::more("{maxHeaders: 300}", 300)]
#[tokio::test]
async fn a_head_may_have_as_many_fields_and_no_more(#[case] bounds: &str, #[case] most: usize) {
    let (gateway, service) = bounded(bounds).await;
    // `Host` and `Connection` count as well.
    let with = |fields: usize| {
        let fill: String = (2..fields).map(|number| format!("X-{number}: 1\r\n")).collect();
        format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{fill}\r\n")
    };
    for (fields, expected) in [(2, 200), (most, 200), (most + 1, 431), (most * 3, 431)] {
        let heard = raw(gateway.http(), with(fields).as_bytes()).await;
        assert_eq!(heard.statuses(), [expected], "{fields} of {most}: {heard:?}");
    }
    assert_eq!(service.count(), 2);
}

/// No setting of a Gateway: longer than every browser's, and than most services'.
#[tokio::test]
async fn a_target_may_have_8_kib_and_no_more() {
    const MOST: usize = 8 * 1024;
    let (gateway, service) = bounded("{}").await;
    for (form, begun) in [("path", "/orders/"), ("query", "/orders?"), ("both", "/orders/a?b=")] {
        for (bytes, expected) in [(MOST, 200), (MOST + 1, 414), (MOST * 2, 414)] {
            let target = format!("{begun}{}", "x".repeat(bytes - begun.len()));
            let head = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
            let heard = raw(gateway.http(), head.as_bytes()).await;
            assert_eq!(heard.statuses(), [expected], "{form} of {bytes}: {heard:?}");
        }
    }
    assert_eq!(service.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_has_as_many_streams_at_once_and_no_more() {
    let (gateway, service) = bounded("{maxConcurrentStreams: 2}").await;
    let stream = TcpStream::connect(gateway.http()).await.unwrap();
    let mut sender = http2::<Empty<Bytes>>(stream).await;
    // The gateway's settings have come with the first answer.
    let first = get_http2("http", HOST, "/orders", &[]);
    assert_eq!(read(sender.send_request(first).await.unwrap()).await.verdict(), "200");
    let mut lasting = Vec::new();
    for _ in 0..2 {
        let request = get_http2("http", HOST, "/orders/drip", &[]);
        lasting.push(sender.send_request(request).await.unwrap().into_body());
    }
    let third = sender.send_request(get_http2("http", HOST, "/orders", &[]));
    tokio::pin!(third);
    let waited = tokio::time::timeout(Duration::from_millis(500), &mut third).await;
    assert!(waited.is_err(), "a well-behaved caller waits: {waited:?}");
    assert_eq!(service.count(), 3);
    drop(lasting.pop());
    let answer = tokio::time::timeout(PATIENCE, third).await.expect("there is room again").unwrap();
    assert_eq!(answer.status(), 200);
    assert!(lasting[0].frame().await.unwrap().is_ok(), "the other goes on");
}

#[tokio::test]
async fn a_kept_connection_is_closed_when_it_has_been_idle_for_long_enough() {
    let (gateway, _service) = bounded("{idleTimeout: 300ms, headerTimeout: 60s}").await;
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    let asked = format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    for _ in 0..3 {
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "it is used again while it is in use");
    }
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed").unwrap();
    assert!(rest.is_empty(), "without a word: {}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn a_head_that_is_begun_has_its_time_and_not_the_idle_one() {
    let (gateway, service) = bounded("{headerTimeout: 300ms, idleTimeout: 60s}").await;
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    stream.write_all(b"GET /orders HTTP/1.1\r\nHost: ").await.unwrap();
    let mut heard = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("it is answered and closed").unwrap();
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.starts_with("HTTP/1.1 408") && heard.contains("request-head-timeout"), "{heard}");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_handshake_has_the_time_of_a_head() {
    let service = Service::start().await;
    let listener = "  - {name: https, port: 8443, protocol: HTTPS, hostname: api.example.com, tls: {certificateRefs: [{name: front}]}}\n";
    let front = certificate("front", &Authority::new("public").issue(&[HOST]));
    let gateway = gateway_with("{bounds: {headerTimeout: 300ms, idleTimeout: 60s}}")
        .replace("  - {name: http,", &format!("{listener}  - {{name: http,"));
    let manifests =
        [gateway, route("orders", "shop"), backend("shop", service.address, ""), policy("orders", OPEN), front];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    // The first bytes of a record that never ends.
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(gateway.https()).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let mut heard = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
        assert!(ended.is_ok(), "{begun:?} is waited for");
        assert!(!heard.starts_with(b"HTTP"), "no answer before TLS");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stops_gives_requests_the_time_that_is_stated() {
    let service = Service::start().await;
    for (bounds, target, is_answered) in
        [("{drainTimeout: 60s}", "/orders/slow", true), ("{drainTimeout: 300ms}", "/orders/drip", false)]
    {
        let manifests = [
            gateway_with(&format!("{{bounds: {bounds}}}")),
            route("orders", "shop"),
            backend("shop", service.address, ""),
            policy("orders", OPEN),
        ];
        let mut process = Process::start("true", &manifests.concat()).await;
        let response = tokio::spawn(open(TcpStream::connect(process.http).await.unwrap(), get(target, &[])));
        while service.take().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        process.terminate().await;
        let answered = async { response.await.unwrap().into_body().collect().await.is_ok() };
        assert_eq!(answered.await, is_answered, "{bounds}");
        let ended =
            tokio::time::timeout(PATIENCE, process.ended()).await.expect("it ends when all is answered, or time is up");
        assert!(ended.success(), "{bounds}: {ended}");
    }
}

/// Bounds that are none are not taken for none: the object says so, and the defaults hold.
#[rstest]
#[case::no_bytes("{maxHeaderBytes: 0}")]
#[case::too_few_bytes("{maxHeaderBytes: 100}")]
#[case::too_many_bytes("{maxHeaderBytes: 100000000}")]
#[case::too_few_fields("{maxHeaders: 1}")]
#[case::too_many_fields("{maxHeaders: 100000}")]
#[case::no_connection("{maxConnections: 0}")]
#[case::no_stream("{maxConcurrentStreams: 0}")]
#[case::a_negative_number("{maxConcurrentStreams: -1}")]
#[case::no_time("{headerTimeout: 0s}")]
#[case::too_much_time("{idleTimeout: 2h}")]
#[case::no_length("{bodyTimeout: soon}")]
#[case::misspelt("{maxHeaderByte: 2048}")]
#[tokio::test]
async fn bounds_that_are_none_are_said_and_widen_nothing(#[case] bounds: &str) {
    let (gateway, _service) = bounded(bounds).await;
    assert!(!gateway.said("GatewayParameters shop/ours").is_empty(), "{:?}", gateway.diagnostics);
    let heard = raw(gateway.http(), head_of(32 * 1024 + 1).as_bytes()).await;
    assert!(heard.statuses().first().is_none_or(|status| *status == 431), "{heard:?}");
}

/// A Gateway's own beat the class's, field by field.
#[tokio::test]
async fn a_gateways_own_bounds_beat_the_classs_field_by_field() {
    let service = Service::start().await;
    let own = "
---
apiVersion: sallyport.dev/v1alpha1
kind: GatewayParameters
metadata: {name: own, namespace: shop}
spec: {bounds: {maxHeaderBytes: 4096}}
";
    let gateway = gateway_with("{bounds: {maxHeaderBytes: 2048, maxHeaders: 10}}").replace(
        "spec:\n  gatewayClassName: sallyport",
        "spec:\n  infrastructure: {parametersRef: {group: sallyport.dev, kind: GatewayParameters, name: own}}\n  gatewayClassName: sallyport",
    );
    let manifests =
        [&*gateway, own, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    for (bytes, expected) in [(3000, 200), (4096, 200), (4097, 431)] {
        let heard = raw(gateway.http(), head_of(bytes).as_bytes()).await;
        assert_eq!(heard.statuses(), [expected], "{bytes}: {heard:?} {:?}", gateway.diagnostics);
    }
    let many: Vec<_> = (0..12).map(|number| (format!("x-{number}"), "1")).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(send(gateway.http(), get("/orders", &many)).await.verdict(), "431 head-too-large");
}

/// A changed bound counts for connections that are made after it.
#[tokio::test]
async fn a_changed_bound_counts_for_the_next_connection() {
    let (mut gateway, service) = bounded("{maxHeaders: 10}").await;
    let many: Vec<_> = (0..20).map(|number| (format!("x-{number}"), "1")).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(send(gateway.http(), get("/orders", &many)).await.verdict(), "431 head-too-large");
    let manifests = [
        gateway_with("{bounds: {maxHeaders: 50}}"),
        route("orders", "shop"),
        backend("shop", service.address, ""),
        policy("orders", OPEN),
    ];
    gateway.write("main.yaml", &manifests.concat());
    assert_eq!(send(gateway.http(), get("/orders", &many)).await.verdict(), "200");
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    stream.write_all(format!("GET /orders HTTP/1.1\r\n{}: {HOST}\r\n\r\n", header::HOST).as_bytes()).await.unwrap();
    assert_eq!(hear(&mut stream).await.statuses(), [200]);
}
