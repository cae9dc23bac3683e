//! Callers that go away, or break their own request: told apart from services that fail, in the answer and in the log.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::kit::caller::{HOST, get_http2, hear, http2};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};
use crate::kit::service::Service;

const PATIENCE: Duration = Duration::from_secs(10);

async fn world(of_backend: &str) -> (Gateway, Service) {
    let service = Service::start().await;
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, of_backend), &policy("orders", OPEN)];
    (Gateway::start(&manifests.concat()).await, service)
}

/// Status and reason of a line, e.g. "400 request-body-broken".
fn verdict(line: &Value) -> String {
    format!("{} {}", line["status"], line["refusal"]["reason"].as_str().unwrap_or("-"))
}

async fn one_line(gateway: &Gateway) -> Value {
    let mut lines = gateway.log(1).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

async fn counted(gateway: &Gateway, reason: &str) -> bool {
    let counter = format!("sallyport_decisions_total{{reason=\"{reason}\"}} 1");
    gateway.metrics().await.lines().any(|line| line == counter)
}

#[tokio::test]
async fn a_body_that_its_caller_breaks_is_answered_400() {
    for of_backend in ["protocol: HTTP11", "protocol: H2C"] {
        for (what, rest) in [
            ("a bad chunk size", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"),
            ("a chunk of another length", "transfer-encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n"),
            ("a chunked body without end", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            ("less than was announced", "content-length: 10\r\n\r\nabc"),
        ] {
            let (gateway, service) = world(of_backend).await;
            let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
            let request = format!("POST /orders HTTP/1.1\r\nHost: {HOST}\r\n{rest}");
            stream.write_all(request.as_bytes()).await.unwrap();
            // What is missing does not come any more, but an answer can still be heard.
            stream.shutdown().await.unwrap();
            let heard = timeout(PATIENCE, hear(&mut stream)).await.unwrap();
            assert_eq!((heard.statuses(), heard.closed), (vec![400], true), "{of_backend}, {what}: {heard:?}");
            assert!(heard.text.contains("request-body-broken"), "{heard:?}");
            assert_eq!(verdict(&one_line(&gateway).await), "400 request-body-broken", "{of_backend}, {what}");
            assert!(counted(&gateway, "request-body-broken").await);
            assert!(service.take().iter().all(|seen| &*seen.body == b"broken"), "never a whole one");
        }
    }
}

/// No answer can be heard, and the log says whose fault it was.
#[tokio::test]
async fn a_stream_that_is_reset_in_its_body_is_the_callers_fault() {
    let (gateway, _service) = world("").await;
    let frames =
        futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"abc"))), Err(std::io::Error::other("no"))]);
    let request = Request::post(format!("http://{HOST}/orders")).body(StreamBody::new(frames)).unwrap();
    let mut sender = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    assert!(sender.send_request(request).await.is_err());
    let told = verdict(&one_line(&gateway).await);
    assert!(["400 request-body-broken", "499 caller-gone"].contains(&&*told), "{told}");
}

#[tokio::test]
async fn a_caller_that_does_not_wait_for_its_answer_has_a_line_of_its_own() {
    for version in ["1.1", "2"] {
        let (gateway, service) = world("").await;
        let stream = TcpStream::connect(gateway.http()).await.unwrap();
        let waited = if version == "1.1" {
            let mut stream = stream;
            stream.write_all(format!("GET /orders/slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
            timeout(Duration::from_millis(200), hear(&mut stream)).await.is_err()
        } else {
            let mut sender = http2::<Empty<Bytes>>(stream).await;
            let request = get_http2("http", HOST, "/orders/slow", &[]);
            timeout(Duration::from_millis(200), sender.send_request(request)).await.is_err()
        };
        assert!(waited, "the service takes longer");
        let line = one_line(&gateway).await;
        assert_eq!(verdict(&line), "499 caller-gone", "HTTP/{version}: {line}");
        assert_eq!((&line["path"], &line["rule"].is_string()), (&Value::from("/orders/slow"), &true));
        assert!(counted(&gateway, "caller-gone").await && !counted(&gateway, "forwarded").await, "HTTP/{version}");
        assert_eq!(service.count(), 1);
    }
}

#[tokio::test]
async fn a_caller_that_goes_while_its_upgrade_is_decided_is_noticed() {
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let place = silent.local_addr().unwrap();
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", place, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    let request = format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (_asked, _) = timeout(PATIENCE, silent.accept()).await.unwrap().unwrap();
    drop(stream);
    assert_eq!(verdict(&one_line(&gateway).await), "499 caller-gone");
}

/// It is not the caller who went.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_outlasts_the_drain_is_told_apart_in_the_log() {
    let (gateway, _service) = world("").await;
    let log = gateway.log_lines();
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    stream.write_all(format!("GET /orders/slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    gateway.drain(Duration::from_millis(200)).await;
    // All is written by then.
    let lines = log();
    assert_eq!(lines.iter().map(verdict).collect::<Vec<_>>(), ["503 gateway-stopped"], "{lines:?}");
}

#[tokio::test]
async fn a_caller_of_http_1_0_is_answered_in_its_own_way() {
    let (gateway, _service) = world("").await;
    for (target, expected) in [("/orders/hello", "hello\n"), ("/orders/trailers", "body"), ("/orders/200", "body")] {
        let request = format!("POST {target} HTTP/1.0\r\nHost: {HOST}\r\ncontent-length: 4\r\n\r\nbody");
        let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let heard = timeout(PATIENCE, hear(&mut stream)).await.unwrap();
        let (head, body) = heard.text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{heard:?}"));
        assert!(heard.closed && head.starts_with("HTTP/1.0 200"), "{heard:?}");
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
        assert_eq!(body, expected, "{target}");
    }
}
