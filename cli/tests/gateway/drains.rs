//! The end of a process: what is under way ends well, what waits is answered, and what lasts is told.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::kit::caller::{HOST, hear};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, gateway_with, policy, route};
use crate::kit::process::Process;
use crate::kit::service::Service;

const PATIENCE: Duration = Duration::from_secs(20);

fn manifests(gateway: &str, service: &Service) -> String {
    [gateway, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", OPEN)].concat()
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").into_bytes()
}

/// A tunnel through the gateway that echoes; `None` where it is not let in.
async fn tunnel(gateway: &Gateway) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    let request =
        format!("GET /orders/ws HTTP/1.1\r\nHost: {HOST}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut bytes = [0; 1024];
    let count = stream.read(&mut bytes).await.ok()?;
    bytes[..count].starts_with(b"HTTP/1.1 101").then_some(stream)
}

async fn echoes(tunnel: &mut TcpStream) -> bool {
    let mut echo = [0; 4];
    tunnel.write_all(b"ping").await.is_ok() && tunnel.read_exact(&mut echo).await.is_ok() && &echo == b"ping"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_are_connections_and_counted_as_such() {
    let service = Service::start().await;
    // Two workers, each with its own count.
    let gateway = Gateway::start(&manifests(&gateway_with("{bounds: {maxConnections: 2}}"), &service)).await;
    let mut tunnels = Vec::new();
    for _ in 0..24 {
        tunnels.extend(tunnel(&gateway).await);
    }
    assert!((1..=4).contains(&tunnels.len()), "{} tunnels", tunnels.len());
    for tunnel in &mut tunnels {
        assert!(echoes(tunnel).await);
    }
    drop(tunnels);
    let again = async {
        while tunnel(&gateway).await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, again).await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_tunnels_that_are_in_use() {
    let service = Service::start().await;
    let gateway = Gateway::start(&manifests(GATEWAY, &service)).await;
    let mut tunnel = tunnel(&gateway).await.unwrap();
    let began = Instant::now();
    let in_use = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(echoes(&mut tunnel).await, "after {:?}", began.elapsed());
        }
        drop(tunnel);
        began.elapsed()
    };
    let (ended, ()) = tokio::join!(in_use, gateway.drain(PATIENCE));
    assert!(began.elapsed() >= ended && began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_that_outlasts_the_drain_is_told_that_it_ends() {
    let service = Service::start().await;
    let gateway = Gateway::start(&manifests(GATEWAY, &service)).await;
    let mut tunnel = tunnel(&gateway).await.unwrap();
    let began = Instant::now();
    let told = async {
        let mut rest = [0; 64];
        timeout(PATIENCE, tunnel.read(&mut rest)).await.expect("an end").expect("in order, and no reset")
    };
    let (told, ()) = tokio::join!(told, gateway.drain(Duration::from_millis(800)));
    assert_eq!(told, 0);
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}

/// A drain may take minutes: whose right ends meanwhile has no more of them than elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_while_it_drains_ends() {
    let service = Service::start().await;
    let before = manifests(GATEWAY, &service);
    let mut gateway = Gateway::start(&before).await;
    let mut open = tunnel(&gateway).await.unwrap();
    let began = Instant::now();
    let draining = tokio::spawn(gateway.draining(PATIENCE * 3));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(echoes(&mut open).await, "nobody has revoked it");
    gateway.write("main.yaml", &before.replace(OPEN, "authentication: [{name: key, subscriptionKey: {}}]"));
    let mut rest = [0; 64];
    let told = timeout(PATIENCE, open.read(&mut rest)).await.expect("it is not let go on");
    assert_eq!(told.unwrap(), 0);
    draining.await.unwrap();
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

/// What comes until the connection ends, in order or by a reset. A silence says nothing: the process may have to wait for its turn.
async fn to_the_end(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.map(|_count| heard)
}

/// Connections and requests that came while the process could not look are answered, although it is told to stop before it does.
#[tokio::test]
async fn what_waits_to_be_accepted_is_answered() {
    let service = Service::start().await;
    let mut gateway = Process::start("true", &manifests(GATEWAY, &service)).await;
    for _ in 0..3 {
        gateway.signal("STOP").await;
        let mut waiting = Vec::new();
        // More than are accepted in one go.
        for _ in 0..400 {
            let mut stream = TcpStream::connect(gateway.http).await.unwrap();
            stream.write_all(&get("/orders")).await.unwrap();
            waiting.push(stream);
        }
        gateway.terminate().await;
        gateway.signal("CONT").await;
        let mut unanswered = Vec::new();
        for stream in &mut waiting {
            let heard = timeout(PATIENCE, to_the_end(stream)).await.expect("it ends with the process");
            if !matches!(&heard, Ok(heard) if heard.starts_with("HTTP/1.1 200")) {
                unanswered.push(heard);
            }
        }
        assert!(unanswered.is_empty(), "{} of {}: {:?}", unanswered.len(), waiting.len(), unanswered.first());
        let status = timeout(PATIENCE, gateway.ended()).await.expect("nobody is left to be waited for");
        assert!(status.success(), "{status}");
        gateway = Process::start("true", &manifests(GATEWAY, &service)).await;
    }
}

/// It may be about to send something: it has a moment for that, and not all the time that requests have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_does_not_hold_up_a_drain() {
    for begun in [&b""[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /orders HTTP/1.1\r\nHost"] {
        let service = Service::start().await;
        let gateway = Gateway::start(&manifests(GATEWAY, &service)).await;
        let mut silent = TcpStream::connect(gateway.http()).await.unwrap();
        silent.write_all(begun).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        gateway.drain(PATIENCE * 3).await;
        // A head that has begun has its own time, ten seconds.
        assert!(began.elapsed() < PATIENCE, "{begun:?}: {:?}", began.elapsed());
        let _told = silent.read(&mut [0; 64]).await;
    }
}

/// Who has connected just before, and whose request is still on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_comes_just_after_the_word_to_stop_is_answered() {
    let service = Service::start().await;
    let gateway = Gateway::start(&manifests(GATEWAY, &service)).await;
    let mut connected = Vec::new();
    for _ in 0..20 {
        connected.push(TcpStream::connect(gateway.http()).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let asking = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut statuses = Vec::new();
        for stream in &mut connected {
            stream.write_all(&get("/orders")).await.unwrap();
            statuses.extend(timeout(PATIENCE, hear(stream)).await.unwrap().statuses());
            if statuses.len() == 3 {
                break;
            }
        }
        statuses
    };
    let (statuses, ()) = tokio::join!(asking, gateway.drain(PATIENCE));
    assert_eq!(statuses, [200, 200, 200]);
}

/// A caller who keeps its connection may send the next request at any time: nobody has told it otherwise before an answer does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_kept_is_told_of_its_end_by_an_answer() {
    let service = Service::start().await;
    let gateway = Gateway::start(&manifests(GATEWAY, &service)).await;
    let mut kept = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
        stream.write_all(&get("/orders")).await.unwrap();
        assert_eq!(hear(&mut stream).await.statuses(), [200]);
        kept.push(stream);
    }
    let asking = async {
        // At once, and long after whatever was on its way has come.
        for (number, stream) in kept.iter_mut().enumerate() {
            tokio::time::sleep(Duration::from_millis(if number == 5 { 1_000 } else { 50 })).await;
            stream.write_all(&get(if number.is_multiple_of(2) { "/orders" } else { "/nowhere" })).await.unwrap();
            let answer = timeout(PATIENCE, to_the_end(stream)).await.unwrap().unwrap().to_ascii_lowercase();
            let expected = if number.is_multiple_of(2) { "http/1.1 200" } else { "http/1.1 404" };
            assert!(answer.starts_with(expected) && answer.contains("\r\nconnection: close\r\n"), "{number}: {answer}");
        }
    };
    let began = Instant::now();
    tokio::join!(asking, gateway.drain(PATIENCE));
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}
