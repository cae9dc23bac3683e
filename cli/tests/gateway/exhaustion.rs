//! Descriptors that run short, an admin port that is held up, and an end that does not wait for ever.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::kit::caller::{HOST, get, hear, over, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, gateway_with, policy, route};
use crate::kit::process::Process;
use crate::kit::service::Service;

/// Longer than anything here takes, and shorter than the defaults of what is made shorter.
const PATIENCE: Duration = Duration::from_secs(15);

fn manifests(gateway: &str, service: &Service) -> String {
    [gateway, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", OPEN)].concat()
}

/// What the gateway says to a connection of its own accord.
async fn greeting(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 64];
    match timeout(Duration::from_millis(50), stream.read(&mut bytes)).await {
        Ok(Ok(count)) => String::from_utf8_lossy(&bytes[..count]).into_owned(),
        Ok(Err(_)) | Err(_) => String::new(),
    }
}

#[tokio::test]
async fn where_descriptors_run_short_callers_are_shed_and_probes_and_services_are_reached() {
    let service = Service::start().await;
    let gateway = Process::start("ulimit -n 64", &manifests(GATEWAY, &service)).await;
    let mut held = Vec::new();
    for _ in 0..80 {
        held.push(TcpStream::connect(gateway.http).await.unwrap());
    }
    let mut shed = 0;
    for stream in &mut held {
        shed += usize::from(greeting(stream).await.starts_with("HTTP/1.1 503"));
    }
    assert!((32..80).contains(&shed), "{shed} of 80 with 64 descriptors, of which callers have 48");
    for probe in ["/livez", "/readyz"] {
        assert_eq!(send(gateway.admin, get(probe, &[])).await.status, 200, "{probe}");
    }
    let told = String::from_utf8(send(gateway.admin, get("/metrics", &[])).await.body.to_vec()).unwrap();
    assert!(told.lines().any(|line| line.starts_with("sallyport_connections_shed_total ") && !line.ends_with(" 0")));
    let first = held.remove(0);
    assert_eq!(over(first, get("/orders", &[])).await.status, 200, "who was there first is served");
    drop(held);
    let served = async {
        while send_or_none(gateway.http).await != Some(200) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, served).await.expect("there is room again");
}

/// The status of a request on a new connection, unless that is shed.
async fn send_or_none(gateway: std::net::SocketAddr) -> Option<u16> {
    let mut stream = TcpStream::connect(gateway).await.ok()?;
    stream
        .write_all(format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .ok()?;
    hear(&mut stream).await.statuses().first().copied()
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised_as_far_as_it_may_be() {
    let service = Service::start().await;
    let gateway = Process::start("ulimit -Sn 64; ulimit -Hn 256", &manifests(GATEWAY, &service)).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["256", "256"], "{files}");
}

#[tokio::test]
async fn the_admin_port_answers_again_after_descriptors_ran_out_there() {
    let service = Service::start().await;
    let gateway = Process::start("ulimit -n 40", &manifests(GATEWAY, &service)).await;
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(TcpStream::connect(gateway.admin).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(held);
    let answer = timeout(PATIENCE, send(gateway.admin, get("/livez", &[]))).await.expect("an answer");
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn silent_connections_to_the_admin_port_keep_nobody_out_for_long() {
    let service = Service::start().await;
    let gateway = Gateway::start(&manifests(GATEWAY, &service)).await;
    let mut held = Vec::new();
    for number in 0..100 {
        let mut stream = TcpStream::connect(gateway.admin()).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nX: ").await.unwrap();
        }
        held.push(stream);
    }
    let answer = timeout(PATIENCE, send(gateway.admin(), get("/livez", &[]))).await.expect("an answer");
    assert_eq!(answer.status, 200);
    let ended = timeout(PATIENCE, async {
        for stream in &mut held {
            let mut rest = Vec::new();
            let _reset = stream.read_to_end(&mut rest).await;
        }
    });
    ended.await.expect("all of them are closed");
}

#[tokio::test]
async fn a_connection_to_the_admin_port_has_one_request() {
    let service = Service::start().await;
    let gateway = Gateway::start(&manifests(GATEWAY, &service)).await;
    let mut stream = TcpStream::connect(gateway.admin()).await.unwrap();
    stream.write_all(&b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2)).await.unwrap();
    let heard = hear(&mut stream).await;
    assert_eq!((heard.statuses(), heard.closed), (vec![200], true), "{heard:?}");
}

#[tokio::test]
async fn draining_ends_when_the_gateway_says_so() {
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let bounds = "{bounds: {drainTimeout: 300ms}}";
    let manifests = [
        &gateway_with(bounds),
        &*route("orders", "shop"),
        &*backend("shop", silent.local_addr().unwrap(), ""),
        &*policy("orders", OPEN),
    ];
    let mut gateway = Process::start("true", &manifests.concat()).await;
    let mut stuck = TcpStream::connect(gateway.http).await.unwrap();
    stuck.write_all(format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    let (_asked, _) = timeout(PATIENCE, silent.accept()).await.unwrap().unwrap();
    gateway.terminate().await;
    let status = timeout(PATIENCE, gateway.ended()).await.expect("the default of 25 s is not waited for");
    assert!(status.success(), "{status}");
    let heard = hear(&mut stuck).await;
    assert!(heard.closed && heard.text.is_empty(), "{heard:?}");
}
