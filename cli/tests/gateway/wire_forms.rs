//! What is said to a service and to a caller in each version of HTTP, whatever the other side speaks.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Method, Request, Version};
use http_body::Body as HttpBody;
use http_body_util::StreamBody;
use hyper::body::Frame;
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::kit::caller::{HOST, get, get_http2, hear, http2, read, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};
use crate::kit::service::Service;

const PATIENCE: Duration = Duration::from_secs(10);

async fn in_front_of(service: SocketAddr, more: &str) -> Gateway {
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", service, more), &policy("orders", OPEN)];
    Gateway::start(&manifests.concat()).await
}

#[rstest]
#[tokio::test]
async fn te_is_said_as_each_version_says_it(#[values("HTTP11", "H2C")] protocol: &str) {
    let service = Service::start().await;
    let gateway = in_front_of(service.address, &format!("protocol: {protocol}")).await;
    let mut caller = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let request = get_http2("http", HOST, "/orders", &[("te", "trailers")]);
    assert_eq!(read(caller.send_request(request).await.unwrap()).await.status, 200);
    assert_eq!(send(gateway.http(), get("/orders", &[("te", "gzip, trailers")])).await.status, 200);
    assert_eq!(send(gateway.http(), get("/orders", &[("te", "gzip"), ("connection", "te")])).await.status, 200);
    let seen = service.take();
    let said: Vec<_> = seen.iter().map(|seen| (seen.header("te"), seen.header("connection"))).collect();
    let named = (protocol == "HTTP11").then_some("te");
    assert_eq!(said, [(Some("trailers"), named), (Some("trailers"), named), (None, None)]);
    assert!(seen.iter().all(|seen| seen.authority == HOST && seen.target == "/orders"));
}

/// A request with a body whose length is told by nobody, in the form of HTTP/2 or of HTTP/1.1. What it asks for is answered without
/// a body, as HEAD demands.
fn unmeasured(
    method: &Method,
    version: Version,
) -> Request<impl HttpBody<Data = Bytes, Error = Infallible> + Unpin + use<>> {
    let frames = ["fil", "ter"].map(|piece| Ok(Frame::data(Bytes::from(piece))));
    let request = Request::builder().method(method);
    let request = match version {
        Version::HTTP_2 => request.uri(format!("http://{HOST}/orders/headers")),
        _ => request.uri("/orders/headers").header("host", HOST).header("transfer-encoding", "chunked"),
    };
    request.body(StreamBody::new(stream::iter(frames))).unwrap()
}

#[rstest]
#[tokio::test]
async fn a_body_without_a_length_arrives_whatever_the_method(
    #[values("HTTP11", "H2C")] protocol: &str,
    #[values(Method::GET, Method::HEAD, Method::POST)] method: Method,
) {
    let service = Service::start().await;
    let gateway = in_front_of(service.address, &format!("protocol: {protocol}")).await;
    assert_eq!(send(gateway.http(), unmeasured(&method, Version::HTTP_11)).await.status, 200);
    let mut caller = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let answer = caller.send_request(unmeasured(&method, Version::HTTP_2)).await.unwrap();
    assert_eq!(read(answer).await.status, 200);
    let chunked = (protocol == "HTTP11").then_some("chunked");
    for seen in service.take() {
        assert_eq!((&*seen.body, seen.header("transfer-encoding")), (&b"filter"[..], chunked), "{seen:?}");
    }
}

#[rstest]
#[tokio::test]
async fn a_request_without_a_body_is_not_given_one(#[values("HTTP11", "H2C")] protocol: &str) {
    let service = Service::start().await;
    let gateway = in_front_of(service.address, &format!("protocol: {protocol}")).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.status, 200);
    let mut caller = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let answer = caller.send_request(get_http2("http", HOST, "/orders", &[])).await.unwrap();
    assert_eq!(read(answer).await.status, 200);
    for seen in service.take() {
        let framing = (seen.header("transfer-encoding"), seen.header("content-length"));
        assert_eq!((&*seen.body, framing), (&b""[..], (None, None)), "{seen:?}");
    }
}

/// A GET or HEAD over HTTP/2 whose head does not end it, and of whose body nothing has come before `end`.
fn unended<End: Future<Output = ()>>(
    method: &Method,
    target: &str,
    end: End,
) -> Request<impl HttpBody<Data = Bytes, Error = Infallible> + use<End>> {
    let ended = stream::once(end).filter_map(|()| ready(None));
    let request = Request::builder().method(method).uri(format!("http://{HOST}{target}"));
    request.body(StreamBody::new(Box::pin(ended))).unwrap()
}

/// What it ends with is an empty frame, which may come with the head or after it.
#[rstest]
#[tokio::test]
async fn a_body_that_ends_before_it_has_begun_is_none(
    #[values("HTTP11", "H2C")] protocol: &str,
    #[values(Method::GET, Method::HEAD)] method: Method,
) {
    let service = Service::start().await;
    let gateway = in_front_of(service.address, &format!("protocol: {protocol}")).await;
    let mut caller = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    for pause in [Duration::ZERO, Duration::from_millis(50)] {
        let request = unended(&method, "/orders/headers", sleep(pause));
        assert_eq!(read(caller.send_request(request).await.unwrap()).await.status, 200);
        let seen = service.one();
        let framing = (seen.header("transfer-encoding"), seen.header("content-length"));
        assert_eq!((&*seen.body, framing), (&b""[..], (None, None)), "after {pause:?}: {seen:?}");
    }
}

#[tokio::test]
async fn a_caller_that_waits_for_the_answer_before_it_goes_on_has_it() {
    let service = Service::start().await;
    let gateway = in_front_of(service.address, "protocol: HTTP11").await;
    let mut caller = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let asked = caller.send_request(unended(&Method::GET, "/orders/early", pending()));
    assert_eq!(timeout(PATIENCE, asked).await.unwrap().unwrap().status(), 200);
    assert_eq!(service.one().header("transfer-encoding"), Some("chunked"));
}

/// A service that answers in HTTP/1.0, and whose body ends with its connection.
async fn old_service() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _head = stream.read(&mut head).await;
            let _sent = stream.write_all(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nold").await;
        }
    });
    address
}

#[tokio::test]
async fn an_old_service_is_answered_for_in_the_callers_version() {
    let gateway = in_front_of(old_service().await, "protocol: HTTP11").await;
    let asked = format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    for _ in 0..2 {
        stream.write_all(asked.as_bytes()).await.unwrap();
        let heard = timeout(PATIENCE, hear(&mut stream)).await.unwrap();
        assert!(heard.text.starts_with("HTTP/1.1 200"), "{heard:?}");
        assert!(heard.text.ends_with("3\r\nold\r\n0\r\n\r\n") && !heard.closed, "its end can be told: {heard:?}");
    }
    let mut caller = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let answer = read(caller.send_request(get_http2("http", HOST, "/orders", &[])).await.unwrap()).await;
    assert_eq!(&*answer.body, b"old");
}
