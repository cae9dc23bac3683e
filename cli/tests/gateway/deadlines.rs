//! The time that a route gives: one end for all that a request needs, however many places are tried on the way.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::kit::caller::{get, open, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, policy_on, route};
use crate::kit::service::Service;

/// Far more than any time here, far less than the default for a connection.
const SOON: Duration = Duration::from_secs(2);

/// Takes part of a connection and no more: whoever connects waits.
struct Full {
    _listener: TcpListener,
    _held: Vec<TcpStream>,
    address: SocketAddr,
}

impl Full {
    async fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut held = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            held.push(stream.unwrap());
        }
        Self { _listener: listener, _held: held, address }
    }
}

/// A Backend with one endpoint for each of these.
fn at(places: &[SocketAddr], more: &str) -> String {
    let all: Vec<_> =
        places.iter().map(|place| format!("{{address: {{ip: {}, port: {}}}}}", place.ip(), place.port())).collect();
    let one = backend("shop", places[0], more);
    let first = one.find("endpoints: [").unwrap();
    let end = first + one[first..].find('\n').unwrap();
    format!("{}endpoints: [{}]{}", &one[..first], all.join(", "), &one[end..])
}

async fn timed(timeouts: &str, of_backend: &str) -> Gateway {
    let timed =
        route("orders", "shop").replace("    backendRefs", &format!("    timeouts: {timeouts}\n    backendRefs"));
    let gateway = Gateway::start(&[GATEWAY, &timed, of_backend, &policy("orders", OPEN)].concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    gateway
}

/// Connecting is part of a request, and of an attempt; so is trying the next place.
#[tokio::test]
async fn time_to_connect_is_part_of_the_time_for_a_request() {
    let (one, other, third) = (Full::start().await, Full::start().await, Full::start().await);
    let places = [one.address, other.address, third.address];
    for (timeouts, limit) in [
        ("{request: 300ms}", SOON),
        ("{request: 300ms, backendRequest: 200ms}", SOON),
        // Three attempts, each with its own time.
        ("{backendRequest: 300ms}", SOON),
    ] {
        let gateway = timed(timeouts, &at(&places, "")).await;
        let answer = timeout(limit, send(gateway.http(), get("/orders", &[]))).await;
        assert_eq!(answer.expect("an answer in time").verdict(), "504 upstream-timeout", "{timeouts}");
    }
}

/// A service that answers the first request of its first connections and keeps those; whoever comes again, or later, is left
/// waiting, or finds the connection closed.
async fn answering_once() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut first = true;
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if std::mem::take(&mut first) {
                let mut head = [0; 4096];
                assert!(stream.read(&mut head).await.unwrap() > 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                // The next head comes, and what has been kept is closed under it.
                let _head = stream.read(&mut head).await;
            } else {
                silent.push(stream);
            }
        }
    });
    address
}

#[tokio::test]
async fn a_second_attempt_has_what_is_left_of_the_time() {
    for timeouts in ["{request: 400ms}", "{request: 400ms, backendRequest: 300ms}"] {
        let service = answering_once().await;
        let gateway = timed(timeouts, &backend("shop", service, "")).await;
        assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "200");
        let began = Instant::now();
        for _ in 0..3 {
            let verdict = send(gateway.http(), get("/orders", &[])).await.verdict();
            // Sent on the connection that was kept, it may have been processed: then it is not sent again.
            assert!(["504 upstream-timeout", "502 upstream-protocol"].contains(&&*verdict), "{verdict}");
        }
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn an_attempts_time_covers_its_whole_answer() {
    let service = Service::start().await;
    let gateway = timed("{backendRequest: 400ms}", &backend("shop", service.address, "")).await;
    let mut response = open(TcpStream::connect(gateway.http()).await.unwrap(), get("/orders/drip", &[])).await;
    assert_eq!(response.status(), 200);
    let ended = async {
        let mut last = None;
        while let Some(frame) = response.frame().await {
            last = Some(frame.is_ok());
        }
        last
    };
    let last = timeout(SOON, ended).await.expect("it ends");
    assert_eq!(last, Some(false), "it breaks off, and does not look whole");
}

/// What a Backend says is for the head alone: streams go on.
#[tokio::test]
async fn a_backends_time_is_for_the_head_of_the_answer() {
    let service = Service::start().await;
    let timed = backend("shop", service.address, "timeouts: {request: 300ms}");
    let gateway = Gateway::start(&[GATEWAY, &route("orders", "shop"), &timed, &policy("orders", OPEN)].concat()).await;
    assert_eq!(send(gateway.http(), get("/orders/slow", &[])).await.verdict(), "504 upstream-timeout");
    let mut response = open(TcpStream::connect(gateway.http()).await.unwrap(), get("/orders/drip", &[])).await;
    for _ in 0..6 {
        assert!(response.frame().await.unwrap().is_ok());
    }
}

/// An issuer that does not answer is waited for, and not for longer than the route allows.
#[tokio::test]
async fn time_to_fetch_keys_is_part_of_the_time_for_a_request() {
    let (service, silent) = (Service::start().await, Full::start().await);
    let issuer = format!("http://{}", silent.address);
    let spec = format!("authentication: [{{name: staff, jwt: {{issuer: '{issuer}', audiences: [orders-api]}}}}]");
    let target = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}";
    let timed = route("orders", "shop").replace("    backendRefs", "    timeouts: {request: 300ms}\n    backendRefs");
    let manifests = [GATEWAY, &timed, &backend("shop", service.address, ""), &policy_on("orders", target, &spec)];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    let other = crate::kit::issuer::Issuer::start().await;
    let claims = serde_json::json!({ "iss": issuer });
    let token = format!("Bearer {}", other.token_with("orders-api", &claims));
    let began = Instant::now();
    let answer = send(gateway.http(), get("/orders", &[("authorization", &token)])).await;
    assert_eq!(answer.verdict(), "504 upstream-timeout");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}
