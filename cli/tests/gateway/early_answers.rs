//! Services that answer before they have the whole request: whose bytes may follow on their connection, and whose may not.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::kit::caller::{HOST, get, hear, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};

const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A service that answers each head that it sees with `answer`, whatever of the body has come; and what each connection brought it.
struct Hasty {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<String>>>,
}

impl Hasty {
    async fn start(answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let of_service = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                of_service.lock().push(String::new());
                let number = of_service.lock().len() - 1;
                tokio::spawn(converse(stream, answer, number, Arc::clone(&of_service)));
            }
        });
        Self { address, connections }
    }

    /// Heads on each connection.
    fn heads(&self) -> Vec<usize> {
        self.connections.lock().iter().map(|heard| heard.matches("\r\n\r\n").count()).collect()
    }
}

async fn converse(mut stream: TcpStream, answer: &'static [u8], number: usize, connections: Arc<Mutex<Vec<String>>>) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
        connections.lock()[number] += &text;
        for _ in text.matches("\r\n\r\n") {
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}

async fn in_front_of(service: SocketAddr) -> Gateway {
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", service, "protocol: HTTP11"), &policy("orders", OPEN)];
    Gateway::start(&manifests.concat()).await
}

/// A caller that has been answered and has not sent all of its body: `left` bytes are missing.
async fn answered_early(gateway: &Gateway, left: usize) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    let length = 4 + left;
    let begun = format!("POST /orders HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {length}\r\n\r\nbody");
    stream.write_all(begun.as_bytes()).await.unwrap();
    assert_eq!(hear(&mut stream).await.statuses(), [200]);
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_with_an_unfinished_body_serves_nobody_else() {
    let service = Hasty::start(ANSWER).await;
    let gateway = in_front_of(service.address).await;
    // Two workers, each with connections of its own.
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(answered_early(&gateway, 10).await);
    }
    for number in 0..12 {
        let answer = timeout(PATIENCE / 5, send(gateway.http(), get("/orders", &[]))).await;
        assert_eq!(answer.expect("somebody else's body is not waited for").verdict(), "200", "request {number}");
    }
    let uploads = service.connections.lock().iter().filter(|heard| heard.contains("POST")).count();
    assert_eq!(uploads, 4, "each has its own connection");
    for heard in &*service.connections.lock() {
        assert!(!(heard.contains("POST") && heard.contains("GET")), "{heard}");
    }
}

/// It is not thrown away either: what the caller goes on sending reaches the service.
#[tokio::test]
async fn the_rest_of_a_body_follows_its_early_answer() {
    let service = Hasty::start(ANSWER).await;
    let gateway = in_front_of(service.address).await;
    let mut caller = answered_early(&gateway, 5).await;
    caller.write_all(b"-rest").await.unwrap();
    let arrived = async {
        while !service.connections.lock().iter().any(|heard| heard.ends_with("body-rest")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, arrived).await.expect("the body arrives");
    caller.write_all(format!("GET /orders HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(hear(&mut caller).await.statuses(), [200], "the caller's connection goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_whose_body_was_whole_is_used_again() {
    let service = Hasty::start(ANSWER).await;
    let gateway = in_front_of(service.address).await;
    for _ in 0..8 {
        drop(answered_early(&gateway, 0).await);
    }
    let heads = service.heads();
    assert!(heads.len() <= 2 && heads.iter().sum::<usize>() == 8, "one for each worker: {heads:?}");
}
