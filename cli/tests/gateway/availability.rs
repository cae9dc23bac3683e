//! Slow, silent and dying peers on either side; more work than is taken.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::kit::caller::{HOST, get, hear, read, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{OPEN, backend, gateway_with, policy, route};
use crate::kit::orders::Orders;
use crate::kit::service::Service;
use crate::kit::traffic::Traffic;

async fn bounded(service: std::net::SocketAddr, bounds: &str) -> Gateway {
    let gateway = gateway_with(&format!("{{bounds: {bounds}}}"));
    let manifests = [
        &gateway,
        &route("orders", "shop"),
        &backend("shop", service, "timeouts: {request: 500ms}"),
        &policy("orders", OPEN),
    ];
    let manifests: Vec<&str> = manifests.iter().map(|text| text.as_str()).collect();
    let gateway = Gateway::start(&manifests.concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    gateway
}

#[tokio::test]
async fn a_slow_head_is_answered_408_and_a_silent_connection_closed() {
    let service = Service::start().await;
    let gateway = bounded(service.address, "{headerTimeout: 300ms, idleTimeout: 400ms}").await;
    let mut slow = TcpStream::connect(gateway.http()).await.unwrap();
    slow.write_all(b"GET /orders HTTP/1.1\r\nHost: ").await.unwrap();
    let heard = hear(&mut slow).await;
    assert_eq!((heard.statuses(), heard.closed), (vec![408], true), "{heard:?}");
    let mut silent = TcpStream::connect(gateway.http()).await.unwrap();
    let heard = hear(&mut silent).await;
    assert!(heard.closed && heard.text.is_empty(), "{heard:?}");
    let mut drop_by_drop = TcpStream::connect(gateway.http()).await.unwrap();
    let mut alive = true;
    for byte in b"GET /orders HTTP/1.1\r\nHost: api.example.com\r\nX: " {
        alive = alive && drop_by_drop.write_all(&[*byte]).await.is_ok();
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    assert_eq!(hear(&mut drop_by_drop).await.statuses(), [408], "bytes one by one buy no time: {alive}");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn connections_above_the_bound_are_shed_and_probes_answer() {
    let service = Service::start().await;
    // Two workers, each with its own count.
    let gateway = bounded(service.address, "{maxConnections: 2}").await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(TcpStream::connect(gateway.http()).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut shed = 0;
    for stream in &mut held {
        let mut bytes = [0; 64];
        if let Ok(Ok(count)) = timeout(Duration::from_millis(20), stream.read(&mut bytes)).await {
            shed += usize::from(bytes[..count].starts_with(b"HTTP/1.1 503"));
        }
    }
    assert!(shed >= 36, "{shed}");
    assert_eq!(send(gateway.admin(), get("/livez", &[])).await.status, 200);
    assert_eq!(send(gateway.admin(), get("/readyz", &[])).await.status, 200);
    drop(held);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.status, 200, "room again");
}

/// A probe that waits for those that say nothing would take the data plane for dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_connections_to_the_admin_port_keeps_no_probe_out() {
    let gateway = Gateway::empty().await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(gateway.admin()).await.unwrap());
    }
    let probe = send(gateway.admin(), get("/livez", &[]));
    let answer = timeout(Duration::from_secs(1), probe).await.expect("it waits for nobody");
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_above_the_bound_are_answered_503_with_retry_after() {
    let service = Service::start().await;
    let gateway = bounded(service.address, "{maxRequestsInFlight: 1}").await;
    let http = gateway.http();
    let many: Vec<_> = (0..30).map(|_| tokio::spawn(send(http, get("/orders/slow", &[])))).collect();
    let mut verdicts = Vec::new();
    for one in many {
        let answer = one.await.unwrap();
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some());
        }
        verdicts.push(answer.verdict());
    }
    assert!(verdicts.iter().any(|verdict| verdict == "503 overloaded"), "{verdicts:?}");
    assert!(
        verdicts.iter().all(|verdict| verdict == "503 overloaded" || verdict == "504 upstream-timeout"),
        "{verdicts:?}"
    );
    assert_eq!(send(http, get("/orders", &[])).await.status, 200);
}

/// A service that says these bytes to whoever connects, after the head has come, and closes.
async fn saying(bytes: Vec<u8>) -> std::net::SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let mut head = [0; 1024];
                let _read = stream.read(&mut head).await;
                let _sent = stream.write_all(&bytes).await;
            });
        }
    });
    address
}

/// It does not say `Connection: close`: whoever keeps its connection for the next request finds it closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_closes_its_connections_fails_no_request() {
    let service = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()).await;
    let gateway = bounded(service, "{}").await;
    for number in 0..300 {
        assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "200", "request {number}");
    }
}

/// A service that answers once on each connection, and closes it when the next request has come.
async fn closing_at_the_second() -> std::net::SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 1024];
                let _read = stream.read(&mut head).await;
                let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                let _read = stream.read(&mut head).await;
            });
        }
    });
    address
}

/// Whether it has read the request before it closed, nobody can tell: what may be asked twice is, and nothing else.
#[rstest]
#[case::nothing_but_looks(&[("GET", "", "200"), ("GET", "", "200"), ("OPTIONS", "", "200"), ("GET", "", "200")])]
#[case::what_comes_to_the_same(&[("GET", "", "200"), ("DELETE", "", "200"), ("PUT", "", "200")])]
#[case::what_may_have_been_done(&[("GET", "", "200"), ("POST", "", "502 upstream-protocol")])]
#[case::what_is_not_known(&[("GET", "", "200"), ("PATCH", "", "502 upstream-protocol")])]
#[case::what_has_been_sent_away(&[("GET", "", "200"), ("PUT", "once", "502 upstream-protocol")])]
#[tokio::test]
async fn what_may_be_repeated_is_asked_again_where_a_kept_connection_is_closed(
    #[case] asked: &[(&str, &'static str, &str)],
) {
    let gateway = bounded(closing_at_the_second().await, "{}").await;
    // By one connection: that of another is another worker's.
    let stream = TcpStream::connect(gateway.http()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (method, body, verdict) in asked {
        let request = Request::builder().method(*method).uri("/orders").header(header::HOST, HOST);
        sender.ready().await.unwrap();
        let response = sender.send_request(request.body(Full::<Bytes>::from(*body)).unwrap()).await.unwrap();
        assert_eq!(read(response).await.verdict(), *verdict, "{method}");
    }
}

#[tokio::test]
async fn services_that_answer_no_http_are_502() {
    let huge = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: ".to_vec(), vec![b'a'; 4 * 1024 * 1024]].concat();
    let many = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: 1\r\n".repeat(5_000), b"\r\n".to_vec()].concat();
    for (what, bytes) in [
        ("nothing", vec![]),
        ("garbage", b"hello, who is there?\r\n\r\n".to_vec()),
        (
            "an unasked switch",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".to_vec(),
        ),
        ("a head of four megabytes", huge),
        ("five thousand fields", many),
        ("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_vec()),
    ] {
        let gateway = bounded(saying(bytes).await, "{}").await;
        assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "502 upstream-protocol", "{what}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_a_whole_one_for_the_caller() {
    let service = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec()).await;
    let gateway = bounded(service, "{}").await;
    let request = format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let heard = crate::kit::caller::raw(gateway.http(), request.as_bytes()).await;
    assert!(heard.closed && heard.text.ends_with("half"), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_holds_nobody_else_up() {
    let service = Service::start().await;
    let gateway = bounded(service.address, "{}").await;
    let mut stuck = TcpStream::connect(gateway.http()).await.unwrap();
    let body = vec![b'x'; 64 * 1024];
    let head = format!("POST /orders HTTP/1.1\r\nHost: {HOST}\r\ncontent-length: {}\r\n\r\n", 200 * body.len());
    stuck.write_all(head.as_bytes()).await.unwrap();
    let sending = tokio::spawn(async move {
        for _ in 0..200 {
            if stuck.write_all(&body).await.is_err() {
                break;
            }
        }
        stuck
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..20 {
        assert_eq!(send(gateway.http(), get("/orders", &[])).await.status, 200);
    }
    sending.abort();
}

/// A service that answers one request after the other on kept connections, until it is dropped: then every connection breaks.
async fn mortal(address: std::net::SocketAddr) -> JoinSet<()> {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let listener = TcpListener::bind(address).await.unwrap();
    let mut life = JoinSet::new();
    life.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut head = [0; 4096];
                while stream.read(&mut head).await.is_ok_and(|count| count > 0) {
                    if stream.write_all(ANSWER).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    life
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_dies_under_load_costs_what_was_under_way_and_is_used_again_when_it_is_back() {
    let address = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut service = mortal(address).await;
    let gateway = bounded(address, "{}").await;
    for _ in 0..3 {
        let traffic = Traffic::steady(gateway.http(), 4, "/orders", &[]);
        traffic.more(200).await;
        service.shutdown().await;
        traffic.more(20).await;
        let verdicts = traffic.stop().await;
        let known = ["200", "502 upstream-connect", "502 upstream-protocol"];
        assert!(verdicts.keys().all(|verdict| known.contains(&&**verdict)), "{verdicts:?}");
        assert!(verdicts.get("502 upstream-protocol").copied().unwrap_or(0) <= 4, "one for each caller: {verdicts:?}");
        service = mortal(address).await;
        let traffic = Traffic::steady(gateway.http(), 4, "/orders", &[]);
        traffic.more(200).await;
        let verdicts = traffic.stop().await;
        assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["200"], "{verdicts:?}");
    }
}

/// The places of a Backend in this order, each its own priority.
fn endpoints(places: &[std::net::SocketAddr]) -> String {
    let one = |(priority, place): (usize, &std::net::SocketAddr)| {
        format!("{{address: {{ip: {}, port: {}}}, priority: {priority}}}", place.ip(), place.port())
    };
    let all: Vec<_> = places.iter().enumerate().map(one).collect();
    format!("endpoints: [{}]", all.join(", "))
}

#[tokio::test]
async fn a_lower_priority_is_used_while_the_higher_one_cannot_be_connected_to() {
    let (first, second) = (Service::start().await, Service::start().await);
    let of_backend = backend("shop", first.address, "");
    let one = format!("endpoints: [{{address: {{ip: {}, port: {}}}}}]", first.address.ip(), first.address.port());
    let both = of_backend.replace(&one, &endpoints(&[first.address, second.address]));
    assert_ne!(of_backend, both);
    let manifests = [gateway_with("{}"), route("orders", "shop"), both, policy("orders", OPEN)].concat();
    let mut gateway = Gateway::start(&manifests).await;
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    for _ in 0..10 {
        assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "200");
    }
    assert_eq!((first.take().len(), second.count()), (10, 0));
    let dead = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    gateway.write("main.yaml", &manifests.replace(&first.address.port().to_string(), &dead.port().to_string()));
    for _ in 0..10 {
        assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "200");
    }
    assert_eq!((first.count(), second.count()), (0, 10));
}

/// Tokens are good or not by the clock as it stands, and nothing that was measured before it was moved makes anything fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_judges_tokens_by_what_it_says() {
    let issuer = Issuer::start().await;
    let orders = Orders::behind(&issuer.name(), "").await;
    let now = orders.gateway.clock.now().seconds();
    let fresh = issuer.token_with("orders-api", &json!({ "nbf": now - 60, "exp": now + 600 }));
    let dates = json!({ "iat": now - 90_000, "nbf": now - 90_000, "exp": now - 3600, "jti": "old" });
    let expired = issuer.token_with("orders-api", &dates);
    orders.served(&fresh).await;
    assert_eq!(orders.verdict(&expired).await, "401 token-invalid");
    orders.gateway.clock.set_back(Duration::from_secs(2 * 3600));
    assert_eq!(orders.verdict(&expired).await, "200", "it is good still");
    assert!(orders.gateway.metrics().await.contains("sallyport_panics_total 0"));
    orders.gateway.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(orders.verdict(&fresh).await, "200");
    assert_eq!(orders.verdict(&expired).await, "401 token-invalid");
}
