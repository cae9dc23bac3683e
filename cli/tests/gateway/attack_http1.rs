//! Bytes that two parsers could read in two ways: refused, the connection closed, nothing at the service.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use tokio::net::TcpStream;

use crate::kit::caller::{HOST, Heard, http2, over, raw, read};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};
use crate::kit::service::Service;

async fn world() -> (Gateway, Service) {
    let service = Service::start().await;
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", OPEN)];
    (Gateway::start(&manifests.concat()).await, service)
}

/// A POST with these header lines and this body, followed by a GET that must never be seen if the framing is in doubt.
fn post(lines: &str, body: &str) -> String {
    format!(
        "POST /orders HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n\r\n{body}GET /orders/smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    )
}

async fn refused(gateway: &Gateway, service: &Service, what: &str, bytes: &[u8], status: u16) -> Option<String> {
    let Heard { text, closed } = raw(gateway.http(), bytes).await;
    let statuses = Heard { text: text.clone(), closed }.statuses();
    let seen = service.take();
    let fine = statuses == [status] && closed && seen.is_empty();
    (!fine).then(|| format!("{what}: {statuses:?} closed={closed}, at the service: {}", seen.len()))
}

#[tokio::test]
async fn framing_in_doubt_is_refused_and_the_connection_closed() {
    let (gateway, service) = world().await;
    let chunked = "0\r\n\r\n";
    let cases = [
        ("both", post("Content-Length: 4\r\nTransfer-Encoding: chunked", chunked)),
        ("both, the other way round", post("Transfer-Encoding: chunked\r\nContent-Length: 4", chunked)),
        ("two lengths that differ", post("Content-Length: 4\r\nContent-Length: 5", "abcde")),
        ("two lengths that agree", post("Content-Length: 4\r\nContent-Length: 4", "abcd")),
        ("a list of lengths", post("Content-Length: 4, 4", "abcd")),
        ("a list of lengths that differ", post("Content-Length: 4, 5", "abcde")),
        ("a length with a plus", post("Content-Length: +4", "abcd")),
        ("a length with a minus", post("Content-Length: -4", "abcd")),
        ("a length in hexadecimal", post("Content-Length: 0x4", "abcd")),
        ("a length with a letter", post("Content-Length: 4a", "abcd")),
        ("a length with a space in it", post("Content-Length: 4 4", "abcd")),
        ("an empty length", post("Content-Length:", "")),
        ("a length beyond any integer", post("Content-Length: 99999999999999999999999", "abcd")),
        ("an unknown coding", post("Transfer-Encoding: gzip", chunked)),
        ("chunked not last", post("Transfer-Encoding: chunked, gzip", chunked)),
        ("chunked after another", post("Transfer-Encoding: gzip, chunked", chunked)),
        ("chunked twice", post("Transfer-Encoding: chunked, chunked", chunked)),
        ("chunked in two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunked)),
        ("identity", post("Transfer-Encoding: identity", chunked)),
        ("nearly chunked", post("Transfer-Encoding: xchunked", chunked)),
        ("chunked with a parameter", post("Transfer-Encoding: chunked;a=b", chunked)),
        ("quoted", post("Transfer-Encoding: \"chunked\"", chunked)),
        ("a vertical tab before it", post("Transfer-Encoding: \x0bchunked", chunked)),
        ("an empty coding", post("Transfer-Encoding:", chunked)),
        ("a space before the colon", post("Transfer-Encoding : chunked", chunked)),
        ("a space before the colon of the length", post("Content-Length : 4", "abcd")),
        ("a tab before the colon", post("Content-Length\t: 4", "abcd")),
        ("a folded line", post("Transfer-Encoding:\r\n chunked", chunked)),
        ("a folded line elsewhere", post("X: a\r\n b", "")),
        ("a bare line feed", post("X: a\nContent-Length: 4", "abcd")),
        ("a bare carriage return", post("X: a\rContent-Length: 4", "abcd")),
        ("a NUL in a value", post("X: a\0b", "")),
        ("a NUL in a name", post("X\0: a", "")),
        ("a line without a colon", post("Hello", "")),
        ("an empty name", post(": a", "")),
        ("a name with a space", post("X Y: a", "")),
        ("a name with parentheses", post("X(Y): a", "")),
        ("an underscore in framing", post("Transfer_Encoding: chunked\r\nContent-Length: x", "")),
        ("chunked in HTTP/1.0", post("Transfer-Encoding: chunked", chunked).replacen("HTTP/1.1", "HTTP/1.0", 1)),
    ];
    let mut wrong = Vec::new();
    for (what, text) in &cases {
        wrong.extend(refused(&gateway, &service, what, text.as_bytes(), 400).await);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn request_lines_and_hosts_in_doubt_are_refused() {
    let (gateway, service) = world().await;
    let with_host = |line: &str| format!("{line}\r\nHost: {HOST}\r\n\r\n");
    let cases = [
        ("no host", "GET /orders HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("an empty host", "GET /orders HTTP/1.1\r\nHost:\r\n\r\n".to_owned(), 400),
        ("two hosts", format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\nHost: {HOST}\r\n\r\n"), 400),
        ("a host with a path", "GET /orders HTTP/1.1\r\nHost: api.example.com/x\r\n\r\n".to_owned(), 400),
        ("a host with user information", "GET /orders HTTP/1.1\r\nHost: a@api.example.com\r\n\r\n".to_owned(), 400),
        ("a list of hosts", "GET /orders HTTP/1.1\r\nHost: api.example.com, b.example.com\r\n\r\n".to_owned(), 400),
        (
            "a target of another host",
            "GET http://b.example.com/orders HTTP/1.1\r\nHost: api.example.com\r\n\r\n".to_owned(),
            400,
        ),
        ("two spaces", with_host("GET  /orders HTTP/1.1"), 400),
        ("a tab", with_host("GET\t/orders HTTP/1.1"), 400),
        ("no version", with_host("GET /orders"), 400),
        ("version 0.9", with_host("GET /orders HTTP/0.9"), 400),
        ("version 1.2", with_host("GET /orders HTTP/1.2"), 400),
        ("version 2.0 in text", with_host("GET /orders HTTP/2.0"), 400),
        ("a version in lower case", with_host("GET /orders http/1.1"), 400),
        ("a line feed only", format!("GET /orders HTTP/1.1\nHost: {HOST}\n\n"), 400),
        ("a fragment", with_host("GET /orders#x HTTP/1.1"), 400),
        ("a space in the target", with_host("GET /orders /x HTTP/1.1"), 400),
        ("a target without a slash", with_host("GET orders HTTP/1.1"), 400),
        ("a method with a space in front", with_host(" GET /orders HTTP/1.1"), 400),
        ("CONNECT", with_host("CONNECT api.example.com:443 HTTP/1.1"), 501),
        ("a target of 9 kB", with_host(&format!("GET /orders/{} HTTP/1.1", "x".repeat(9000))), 414),
        ("a head of 40 kB", format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\nX: {}\r\n\r\n", "x".repeat(40_000)), 431),
        ("101 fields", format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\n{}\r\n", "X: 1\r\n".repeat(101)), 431),
        ("an odd expectation", format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\nExpect: 200-ok\r\n\r\n"), 417),
    ];
    let mut wrong = Vec::new();
    for (what, text, status) in &cases {
        wrong.extend(refused(&gateway, &service, what, text.as_bytes(), *status).await);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What answers with the request's own head shows a credential that the gateway put in.
#[tokio::test]
async fn methods_that_echo_the_head_reach_no_service() {
    let (gateway, service) = world().await;
    for method in ["TRACE", "TRACK", "trace", "Track"] {
        let answer = over(TcpStream::connect(gateway.http()).await.unwrap(), with_method(method, "/orders")).await;
        assert_eq!(answer.verdict(), "405 method-not-allowed", "{method}");
        let allowed = answer.header("allow").unwrap_or_default().to_owned();
        assert!(allowed.contains("GET") && !allowed.contains("TRACE"), "RFC 9110, 15.5.6: {allowed}");
        let mut sender = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
        let request = with_method(method, &format!("http://{HOST}/orders"));
        let answer = read(sender.send_request(request).await.unwrap()).await;
        assert_eq!(answer.verdict(), "405 method-not-allowed", "{method} in HTTP/2");
    }
    assert_eq!(service.count(), 0);
    let other = over(TcpStream::connect(gateway.http()).await.unwrap(), with_method("TRACER", "/orders")).await;
    assert_eq!((other.verdict(), service.one().method), ("200".to_owned(), "TRACER".to_owned()));
}

fn with_method(method: &str, target: &str) -> Request<Empty<Bytes>> {
    let mut request = Request::builder().method(method).uri(target);
    if !target.starts_with("http") {
        request = request.header(header::HOST, HOST);
    }
    request.body(Empty::new()).unwrap()
}

/// CONNECT in HTTP/2 has no path, and is refused as it is in HTTP/1.
#[tokio::test]
async fn connect_in_http_2_is_not_served() {
    let (gateway, service) = world().await;
    let mut sender = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let request = Request::connect(HOST).body(Empty::<Bytes>::new()).unwrap();
    let answer = read(sender.send_request(request).await.unwrap()).await;
    assert_eq!((answer.verdict().as_str(), service.count()), ("501 method-unsupported", 0));
}

/// Hyper would answer by itself, and nobody would see it in log or metric.
#[tokio::test]
async fn targets_that_no_reader_takes_are_refused_by_the_table() {
    let (gateway, service) = world().await;
    let targets = ["/orders/<x>", "/orders/a`b", "/orders?a=<b>", "/orders?a=\"b\"", "http://", "http://a@/orders"];
    for target in targets {
        let heard = raw(gateway.http(), format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await;
        assert_eq!((heard.statuses(), heard.closed), (vec![400], true), "{target}: {heard:?}");
        assert!(heard.text.contains("malformed-request"), "{target}: {heard:?}");
    }
    let lines = gateway.log(targets.len()).await;
    assert!(lines.iter().all(|line| line["refusal"]["reason"] == "malformed-request"), "{lines:?}");
    let counter = format!("sallyport_decisions_total{{reason=\"malformed-request\"}} {}", targets.len());
    assert!(gateway.metrics().await.contains(&counter));
    assert_eq!(service.count(), 0);
}

/// Chunk framing breaks after the head was good: the request may have begun at the service, but never ends there as a whole one.
#[tokio::test]
async fn broken_chunks_end_the_connection_and_never_make_a_second_request() {
    let (gateway, service) = world().await;
    let cases = [
        ("a negative size", "-1\r\na\r\n0\r\n\r\n"),
        ("a plus", "+1\r\na\r\n0\r\n\r\n"),
        ("0x", "0x1\r\na\r\n0\r\n\r\n"),
        ("a size beyond any integer", "fffffffffffffffff\r\na\r\n0\r\n\r\n"),
        ("a line feed after the size", "1\na\r\n0\r\n\r\n"),
        ("no CRLF after the data", "1\r\nab\r\n0\r\n\r\n"),
        ("a line feed after the data", "1\r\na\n0\r\n\r\n"),
        ("an empty size", "\r\na\r\n0\r\n\r\n"),
        ("a space before the size", " 1\r\na\r\n0\r\n\r\n"),
        ("a space after the size", "1 \r\na\r\n0\r\n\r\n"),
        ("a carriage return in an extension", "1;a\rb\r\na\r\n0\r\n\r\n"),
        ("a line feed in an extension", "1;a\nb\r\na\r\n0\r\n\r\n"),
        ("a NUL in an extension", "1;a\0\r\na\r\n0\r\n\r\n"),
        ("an extension without end", Box::leak(format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(20_000)).into_boxed_str())),
        ("a trailer with a bare line feed", "1\r\na\r\n0\r\nX: a\nY: b\r\n\r\n"),
        ("a trailer without a colon", "1\r\na\r\n0\r\nX\r\n\r\n"),
    ];
    let mut wrong = Vec::new();
    for (what, chunks) in cases {
        let heard = raw(gateway.http(), post("Transfer-Encoding: chunked", chunks).as_bytes()).await;
        let seen = service.take();
        let whole = seen.iter().filter(|seen| seen.target.contains("smuggled") || seen.body != "broken").count();
        if !heard.closed || heard.statuses().first().is_some_and(|status| *status < 400) || whole > 0 {
            wrong.push(format!("{what}: {heard:?} {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Not the service's: the answer, the log and whoever is woken by them speak of the caller.
#[tokio::test]
async fn a_body_whose_framing_is_broken_is_the_callers_fault() {
    let (gateway, service) = world().await;
    for chunks in [
        "x\r\na\r\n0\r\n\r\n",
        "1\r\na\r\n-1\r\n\r\n",
        "1\r\na\r\n0\r\nAuthorization: forged\r\n\r\n",
        "1\r\na\r\n0\r\nHost: forged\r\n\r\n",
    ] {
        let heard = raw(gateway.http(), post("Transfer-Encoding: chunked", chunks).as_bytes()).await;
        assert_eq!((heard.statuses(), heard.closed), (vec![400], true), "{chunks:?}: {heard:?}");
        assert!(heard.text.contains("request-body-broken"), "{chunks:?}: {heard:?}");
        assert!(service.take().iter().all(|seen| seen.body == "broken"), "{chunks:?}");
    }
    let line = gateway.log(4).await.remove(0);
    assert_eq!(line["refusal"]["reason"], "request-body-broken", "{line}");
}

#[tokio::test]
async fn what_is_odd_but_clear_is_served_once_and_framed_anew() {
    let (gateway, service) = world().await;
    let last = format!("GET /orders/last HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    let cases = [
        ("chunked in capitals", "Transfer-Encoding: CHUNKED\r\n", "4\r\nbody\r\n0\r\n\r\n", "body"),
        ("leading zeros", "Content-Length: 0004\r\n", "body", "body"),
        ("an extension", "Transfer-Encoding: chunked\r\n", "4;a=b\r\nbody\r\n0\r\n\r\n", "body"),
        ("two chunks", "Transfer-Encoding: chunked\r\n", "2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n", "body"),
        ("a trailer", "Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n", "body"),
        ("tabs around a value", "Content-Length: \t 4 \t\r\n", "body", "body"),
        ("no body", "Content-Length: 0\r\n", "", ""),
    ];
    for (what, lines, sent, expected) in cases {
        let text = format!("POST /orders HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n{sent}{last}");
        let heard = raw(gateway.http(), text.as_bytes()).await;
        assert_eq!(heard.statuses(), [200, 200], "{what}: {heard:?}");
        let seen = service.take();
        assert_eq!(
            seen.iter().map(|seen| seen.target.as_str()).collect::<Vec<_>>(),
            ["/orders", "/orders/last"],
            "{what}"
        );
        assert_eq!((seen[0].method.as_str(), &*seen[0].body), ("POST", expected.as_bytes()), "{what}");
        let framed = usize::from(seen[0].headers.contains_key("content-length"))
            + usize::from(seen[0].headers.contains_key("transfer-encoding"));
        assert!(framed <= 1, "{what}: {:?}", seen[0].headers);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (gateway, service) = world().await;
    let one = |path: &str| format!("GET /orders/{path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let heard = raw(gateway.http(), [one("201"), one("404"), one("202")].concat().as_bytes()).await;
    assert_eq!(heard.statuses(), [201, 404, 202], "{heard:?}");
    assert_eq!(service.count(), 3);
}

#[tokio::test]
async fn http_1_0_is_served_and_closed() {
    let (gateway, service) = world().await;
    let heard = raw(gateway.http(), format!("GET /orders HTTP/1.0\r\nHost: {HOST}\r\n\r\n").as_bytes()).await;
    assert!(heard.closed && heard.text.contains(" 200 "), "{heard:?}");
    assert_eq!(service.count(), 1);
    let heard = raw(gateway.http(), b"GET /orders HTTP/1.0\r\n\r\n").await;
    assert_eq!(heard.text.get(9..12), Some("400"), "a request has to name its host: {heard:?}");
}
