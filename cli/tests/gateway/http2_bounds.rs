//! The bounds of heads and connections, kept over HTTP/2 as over HTTP/1.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::kit::caller::{HOST, get_http2, http2, read, tls};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{OPEN, backend, gateway_with, policy, route};
use crate::kit::pki::Authority;
use crate::kit::process::Process;
use crate::kit::secured::certificate;
use crate::kit::service::Service;

const PATIENCE: Duration = Duration::from_secs(10);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

async fn bounded(bounds: &str) -> (Gateway, Service) {
    let service = Service::start().await;
    let manifests = [
        gateway_with(&format!("{{bounds: {bounds}}}")),
        route("orders", "shop"),
        backend("shop", service.address, ""),
        policy("orders", OPEN),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    (gateway, service)
}

#[tokio::test]
async fn heads_with_too_many_fields_or_too_long_a_target_are_refused() {
    let (gateway, service) = bounded("{maxHeaders: 20}").await;
    let mut sender = http2::<Empty<Bytes>>(TcpStream::connect(gateway.http()).await.unwrap()).await;
    for (name, distinct, count, target, verdict) in [
        ("x-{}", true, 20, "/orders".to_owned(), "200"),
        ("x-{}", true, 21, "/orders".to_owned(), "431 head-too-large"),
        ("x-same", false, 21, "/orders".to_owned(), "431 head-too-large"),
        // One field in as many lines as its sender likes.
        ("cookie", false, 60, "/orders".to_owned(), "200"),
        ("x-{}", true, 1, format!("/orders?{}", "q".repeat(8 * 1024 - 8)), "200"),
        ("x-{}", true, 1, format!("/orders?{}", "q".repeat(8 * 1024 - 7)), "414 target-too-long"),
    ] {
        let mut request = get_http2("http", HOST, &target, &[]);
        for number in 0..count {
            let name = if distinct { name.replace("{}", &number.to_string()) } else { name.to_owned() };
            request.headers_mut().append(name.parse::<header::HeaderName>().unwrap(), HeaderValue::from_static("a=1"));
        }
        sender.ready().await.unwrap();
        let answer = read(sender.send_request(request).await.unwrap()).await;
        assert_eq!(answer.verdict(), verdict, "{count} of {name} at {} bytes", target.len());
    }
    assert_eq!(service.count(), 3);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET http /orders` with the literal host, in HPACK without an index.
fn head() -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, 0x07];
    block.extend(b"/orders");
    block.extend([0x01, u8::try_from(HOST.len()).unwrap()]);
    block.extend(HOST.as_bytes());
    block
}

/// The kinds of all frames until the gateway closes.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _reset = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection ends");
    let (mut kinds, mut rest) = (Vec::new(), &bytes[..]);
    while let [high, middle, low, kind, ..] = *rest {
        kinds.push(kind);
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    kinds
}

#[tokio::test]
async fn a_connection_without_streams_ends_with_a_goodbye() {
    let (gateway, _service) = bounded("{idleTimeout: 300ms, headerTimeout: 60s}").await;
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, &head());
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &request].concat()).await.unwrap();
    let kinds = until_closed(&mut stream).await;
    assert!(kinds.contains(&HEADERS) && kinds.contains(&GOAWAY), "{kinds:?}");
}

#[tokio::test]
async fn a_connection_without_any_request_ends_with_a_goodbye() {
    let (gateway, _service) = bounded("{idleTimeout: 60s, headerTimeout: 300ms}").await;
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    let kinds = until_closed(&mut stream).await;
    assert!(kinds.contains(&GOAWAY) && !kinds.contains(&HEADERS), "{kinds:?}");
}

/// Sends `begun` at once, then `drop` again and again until the gateway closes.
async fn drip(gateway: &Gateway, begun: &[u8], drops: impl Fn(usize) -> Vec<u8> + Send + 'static) -> bool {
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    stream.write_all(begun).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let dripping = tokio::spawn(async move {
        for number in 0.. {
            if writer.write_all(&drops(number)).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut bytes = Vec::new();
    let ended = timeout(PATIENCE, reader.read_to_end(&mut bytes)).await.is_ok();
    dripping.abort();
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preface_or_a_head_that_comes_drop_by_drop_buys_no_time() {
    let (gateway, service) = bounded("{idleTimeout: 60s, headerTimeout: 300ms}").await;
    let preface = |number: usize| PREFACE.get(number + 1..number + 2).unwrap_or_default().to_vec();
    assert!(
        drip(&gateway, &PREFACE[..1], move |number| if number < 20 { preface(number) } else { vec![] }).await,
        "preface"
    );
    let settings = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let first = [settings.clone(), frame(HEADERS, END_STREAM, 1, &head())].concat();
    let continuation = |_| frame(CONTINUATION, 0, 1, &[]);
    assert!(drip(&gateway, &first, continuation).await, "the first head");
    let served = frame(HEADERS, END_STREAM | END_HEADERS, 1, &head());
    let second = [settings, served, frame(HEADERS, END_STREAM, 3, &head())].concat();
    assert!(drip(&gateway, &second, |_| frame(CONTINUATION, 0, 3, &[])).await, "the second head");
    assert!(service.count() <= 1, "what was served was whole");
}

/// A gateway that takes HTTPS, and who signed its certificate.
async fn bounded_https(bounds: &str) -> (Gateway, Authority) {
    let authority = Authority::new("public");
    let listener = "- {name: http, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: site}]}, allowedRoutes";
    let gateway = gateway_with(&format!("{{bounds: {bounds}}}"));
    let manifests = [
        gateway.replace("- {name: http, port: 8080, protocol: HTTP, allowedRoutes", listener),
        certificate("site", &authority.issue(&[HOST])),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    (gateway, authority)
}

#[tokio::test]
async fn a_handshake_for_http2_that_nothing_follows_buys_no_time() {
    let (gateway, authority) = bounded_https("{idleTimeout: 60s, headerTimeout: 300ms}").await;
    for begun in [&b""[..], &PREFACE[..1], &PREFACE[..23], PREFACE, b"GET / HTTP/1.1\r\n"] {
        let mut stream = tls(gateway.https(), HOST, authority.client(&["h2"])).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        stream.write_all(begun).await.unwrap();
        stream.flush().await.unwrap();
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{begun:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_nothing_follows_ends_like_a_connection_without_tls() {
    let (gateway, authority) = bounded_https("{idleTimeout: 300ms, headerTimeout: 300ms}").await;
    let mut stream = tls(gateway.https(), HOST, authority.client(&["http/1.1"])).await.unwrap();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok());
}

/// What the protocol's own reader would answer by itself, uncounted.
#[tokio::test]
async fn a_head_that_is_too_large_is_refused_by_the_table() {
    let (gateway, service) = bounded("{maxHeaderBytes: 4096}").await;
    for (bytes, verdict) in [(3000, "200"), (4100, "431 head-too-large"), (6000, "431 head-too-large")] {
        let mut sender = http2::<Empty<Bytes>>(TcpStream::connect(gateway.http()).await.unwrap()).await;
        let request = get_http2("http", HOST, "/orders", &[("x-large", &"x".repeat(bytes))]);
        assert_eq!(read(sender.send_request(request).await.unwrap()).await.verdict(), verdict, "{bytes}");
    }
    assert_eq!(service.count(), 1);
    assert!(gateway.metrics().await.contains("sallyport_decisions_total{reason=\"head-too-large\"} 2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_goes_on_keeps_its_connection() {
    let (gateway, _service) = bounded("{idleTimeout: 200ms, headerTimeout: 200ms}").await;
    let mut sender = http2::<Empty<Bytes>>(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let response = sender.send_request(get_http2("http", HOST, "/orders/drip", &[])).await.unwrap();
    let mut body = response.into_body();
    for _ in 0..20 {
        assert!(body.frame().await.unwrap().unwrap().is_data());
    }
    let answer = read(sender.send_request(get_http2("http", HOST, "/orders", &[])).await.unwrap()).await;
    assert_eq!(answer.verdict(), "200");
}

/// A service whose answers have no end, as fast as they are taken.
async fn endless() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|_: Request<Incoming>| async {
                let piece = || Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b'x'; 64 * 1024])));
                let body = StreamBody::new(futures_util::stream::repeat_with(piece));
                Ok::<_, Infallible>(Response::new(body))
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move { builder.serve_connection(TokioIo::new(stream), service).await.is_ok() });
        }
    });
    address
}

/// The caller opens every window as far as it goes, and reads nothing: what was sent and what waits to be is the gateway's to hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nobody_reads_cost_little_each() {
    const STREAMS: u32 = 100;
    const INITIAL_WINDOW_SIZE: [u8; 6] = [0, 4, 0x7f, 0xff, 0xff, 0xff];
    const REST_OF_WINDOW: [u8; 4] = [0x7f, 0xff, 0, 0];
    for protocol in ["HTTP11", "H2C"] {
        let service = endless().await;
        let of_backend = backend("shop", service, &format!("protocol: {protocol}"));
        let manifests = [gateway_with("{}"), route("orders", "shop"), of_backend, policy("orders", OPEN)];
        let gateway = Process::start("true", &manifests.concat()).await;
        let before = gateway.resident_kb();
        let mut caller = TcpStream::connect(gateway.http).await.unwrap();
        let mut said = [PREFACE, &frame(SETTINGS, 0, 0, &INITIAL_WINDOW_SIZE)].concat();
        said.extend(frame(WINDOW_UPDATE, 0, 0, &REST_OF_WINDOW));
        said.extend((0..STREAMS).flat_map(|number| frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, &head())));
        caller.write_all(&said).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let each = gateway.resident_kb().saturating_sub(before) / STREAMS as usize;
        println!("{each} kB {protocol}");
        // What was read ahead of the service, or came within its window; and what is to be sent.
        assert!(each <= 320, "{each} kB for each stream that nobody reads, {protocol}");
    }
}
