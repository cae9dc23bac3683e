//! What is said to a service and to a caller in each version of HTTP, whatever the other side speaks.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

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
