//! Peers that stop in the middle: a body that does not go on, a response that nobody takes, a tunnel that nobody uses.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::kit::caller::{HOST, get, hear, http2, open, read};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{OPEN, backend, gateway_with, policy, policy_on, route};
use crate::kit::service::Service;

const PATIENCE: Duration = Duration::from_secs(10);

async fn bounded(bounds: &str, of_backend: &str) -> (Gateway, Service) {
    let service = Service::start().await;
    let manifests = [
        gateway_with(&format!("{{bounds: {bounds}}}")),
        route("orders", "shop"),
        backend("shop", service.address, of_backend),
        policy("orders", OPEN),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    (gateway, service)
}

#[tokio::test]
async fn a_body_that_stops_is_answered_408_and_the_service_is_not_left_waiting() {
    for of_backend in ["protocol: HTTP11", "protocol: H2C"] {
        let (gateway, service) = bounded("{bodyTimeout: 300ms}", of_backend).await;
        for framing in ["content-length: 10\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
            let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
            let request = format!("POST /orders HTTP/1.1\r\nHost: {HOST}\r\n{framing}");
            stream.write_all(request.as_bytes()).await.unwrap();
            let heard = timeout(PATIENCE, hear(&mut stream)).await.unwrap();
            assert_eq!((heard.statuses(), heard.closed), (vec![408], true), "{of_backend} {framing}: {heard:?}");
            assert!(heard.text.contains("request-body-timeout"), "{heard:?}");
        }
        let seen = service.take();
        assert!(seen.iter().all(|seen| &*seen.body == b"broken"), "never a whole one: {seen:?}");
    }
}

/// What comes after the last piece of a body.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Ends,
    Stops,
}

/// `pieces` of a body with a pause before each.
fn upload(
    pieces: usize,
    pause: Duration,
    then: Then,
) -> Request<impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin + Send> {
    let stream = futures_util::stream::unfold(0, move |number| async move {
        let has_ended = number >= pieces && then == Then::Ends;
        tokio::time::sleep(if number < pieces || has_ended { pause } else { PATIENCE * 10 }).await;
        (!has_ended).then(|| (Ok(Frame::data(Bytes::from_static(b"piece"))), number + 1))
    });
    Request::post(format!("http://{HOST}/orders")).body(StreamBody::new(Box::pin(stream))).unwrap()
}

#[tokio::test]
async fn a_stream_that_stops_is_answered_408_and_its_connection_goes_on() {
    let (gateway, _service) = bounded("{bodyTimeout: 300ms}", "").await;
    let mut sender = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    // What trickles never stops, and is no better.
    for pieces in [0, 1, 5, usize::MAX] {
        sender.ready().await.unwrap();
        let response = timeout(PATIENCE, sender.send_request(upload(pieces, Duration::from_millis(100), Then::Stops)))
            .await
            .unwrap();
        assert_eq!(read(response.unwrap()).await.verdict(), "408 request-body-timeout", "{pieces} pieces");
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_answered_408() {
    let (gateway, service) = bounded("{bodyTimeout: 300ms}", "").await;
    let (mut answer, mut caller) = TcpStream::connect(gateway.http()).await.unwrap().into_split();
    let request = format!("POST /orders HTTP/1.1\r\nHost: {HOST}\r\ncontent-length: 100000\r\n\r\n");
    caller.write_all(request.as_bytes()).await.unwrap();
    let trickling = tokio::spawn(async move {
        while caller.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let heard = timeout(PATIENCE, hear(&mut answer)).await.unwrap();
    trickling.abort();
    assert_eq!((heard.statuses(), heard.closed), (vec![408], true), "{heard:?}");
    assert!(service.take().iter().all(|seen| &*seen.body == b"broken"), "never a whole one");
}

#[tokio::test]
async fn a_slow_body_is_taken_where_it_comes_or_ends() {
    let (gateway, service) = bounded("{bodyTimeout: 600ms}", "").await;
    for (piece, pieces) in [("x", 3), (&*"x".repeat(1024), 15)] {
        let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
        let length = piece.len() * pieces;
        let head = format!("POST /orders/hello HTTP/1.1\r\nHost: {HOST}\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..pieces {
            tokio::time::sleep(Duration::from_millis(60)).await;
            stream.write_all(piece.as_bytes()).await.unwrap();
        }
        let heard = timeout(PATIENCE, hear(&mut stream)).await.unwrap();
        assert_eq!(heard.statuses(), [200], "{pieces} of {} bytes: {heard:?}", piece.len());
        assert_eq!(service.one().body.len(), length);
    }
}

/// It is answered when it ends, and may have little to say until then.
#[tokio::test]
async fn small_messages_of_a_call_are_enough_until_they_stop() {
    let service = Service::start().await;
    let greeter = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: greeter, namespace: shop}
spec:
  parentRefs: [{name: public}]
  rules: [{backendRefs: [{group: sallyport.dev, kind: Backend, name: shop}]}]
";
    let manifests = [
        &*gateway_with("{bounds: {bodyTimeout: 600ms}}"),
        greeter,
        &backend("shop", service.address, "protocol: H2C"),
        &policy_on("greeter", "{group: gateway.networking.k8s.io, kind: GRPCRoute, name: greeter}", OPEN),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let mut sender = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let call = |pieces, then| {
        let mut call = upload(pieces, Duration::from_millis(60), then);
        *call.uri_mut() = format!("http://{HOST}/hello.Greeter/Upload").parse().unwrap();
        call
    };
    let ended = timeout(PATIENCE, sender.send_request(call(15, Then::Ends))).await.unwrap();
    let ended = read(ended.unwrap()).await;
    assert_eq!((ended.status.as_u16(), ended.body.len()), (200, 15 * 5), "{:?}", gateway.diagnostics);
    sender.ready().await.unwrap();
    let stopped = timeout(PATIENCE, sender.send_request(call(15, Then::Stops))).await.unwrap();
    assert_eq!(read(stopped.unwrap()).await.verdict(), "408 request-body-timeout");
}

/// The author of the service says so, and not the route.
#[tokio::test]
async fn a_call_of_small_and_rare_messages_may_come_through_an_http_route_as_well() {
    for (protocol, verdict) in [("GRPC", "200"), ("H2C", "408 request-body-timeout")] {
        let (gateway, _service) = bounded("{bodyTimeout: 600ms}", &format!("protocol: {protocol}")).await;
        let mut sender = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
        let call = sender.send_request(upload(15, Duration::from_millis(60), Then::Ends));
        let answer = read(timeout(PATIENCE, call).await.unwrap().unwrap()).await;
        assert_eq!(answer.verdict(), verdict, "{protocol}");
    }
}

#[tokio::test]
async fn a_response_that_nobody_takes_ends() {
    let (gateway, _service) = bounded("{bodyTimeout: 300ms}", "").await;
    let mut stuck = TcpStream::connect(gateway.http()).await.unwrap();
    stuck.write_all(format!("GET /orders/flood HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    let ended = timeout(PATIENCE, async { while gateway.metrics().await.contains("http_server_active_requests 1") {} });
    let line = first_line(&gateway).await;
    assert_eq!(line["path"], "/orders/flood");
    ended.await.expect("nothing is under way");
}

#[tokio::test]
async fn a_stream_that_nobody_takes_ends_and_its_connection_goes_on() {
    let (gateway, _service) = bounded("{bodyTimeout: 300ms}", "").await;
    let mut sender = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let echoed = |target: &str, bytes: usize| {
        let body = http_body_util::Full::new(Bytes::from(vec![b'x'; bytes]));
        Request::post(format!("http://{HOST}{target}")).body(body).unwrap()
    };
    // Its window is never opened again.
    let untaken = sender.send_request(echoed("/orders/large", 1 << 20)).await.unwrap();
    let line = first_line(&gateway).await;
    assert_eq!(line["path"], "/orders/large");
    sender.ready().await.unwrap();
    assert_eq!(read(sender.send_request(echoed("/orders", 1)).await.unwrap()).await.verdict(), "200");
    drop(untaken);
}

/// The first line of the access log, which is written when an exchange has ended.
async fn first_line(gateway: &Gateway) -> serde_json::Value {
    let logged = async {
        loop {
            if let Ok(mut lines) = timeout(Duration::from_millis(1), gateway.log(1)).await {
                return lines.remove(0);
            }
        }
    };
    timeout(PATIENCE, logged).await.expect("the exchange ends")
}

#[tokio::test]
async fn a_service_may_pause_for_longer_than_a_caller() {
    let (gateway, _service) = bounded("{bodyTimeout: 40ms}", "").await;
    for version in ["1.1", "2"] {
        let stream = TcpStream::connect(gateway.http()).await.unwrap();
        let mut response = match version {
            "1.1" => open(stream, get("/orders/drip", &[])).await,
            _ => {
                let request = Request::get(format!("http://{HOST}/orders/drip"));
                let request = request.body(http_body_util::Empty::<Bytes>::new()).unwrap();
                http2(stream).await.send_request(request).await.unwrap()
            }
        };
        for _ in 0..8 {
            let frame = http_body_util::BodyExt::frame(&mut response).await;
            assert!(frame.unwrap().unwrap().is_data(), "HTTP/{version}");
        }
    }
}

#[tokio::test]
async fn a_tunnel_that_nobody_uses_is_closed_and_one_in_use_is_not() {
    let (gateway, _service) = bounded("{tunnelIdleTimeout: 400ms}", "").await;
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    let request =
        format!("GET /orders/ws HTTP/1.1\r\nHost: {HOST}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = [0; 1024];
    let count = stream.read(&mut bytes).await.unwrap();
    assert!(bytes[..count].starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&bytes[..count]));
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(b"ping").await.unwrap();
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 4);
    }
    assert_eq!(timeout(PATIENCE, stream.read(&mut bytes)).await.expect("an end").unwrap_or(0), 0);
}
