//! Connections that a service knows by who was on them (RFC 4559, 5): NTLM, and Negotiate as it is commonly used.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::kit::caller::{get, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};

/// Answers each request with the challenge, if there is one, and counts its connections.
async fn service(challenge: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(answer(stream, challenge));
        }
    });
    (address, connections)
}

async fn answer(mut stream: TcpStream, challenge: &'static str) {
    let mut head = [0; 4096];
    while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
        let challenge = if challenge.is_empty() { String::new() } else { format!("www-authenticate: {challenge}\r\n") };
        let response = format!("HTTP/1.1 200 OK\r\n{challenge}content-length: 2\r\n\r\nok");
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[rstest]
#[case::asked_by_ntlm("NTLM TlRMTVNTUAAB", "", false)]
#[case::asked_by_negotiate("negotiate YII=", "", false)]
#[case::challenged("", "Negotiate oYG2", false)]
#[case::basic("Basic eDp5", "Basic realm=x", true)]
#[case::a_token("Bearer ntlm", "Bearer", true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_authenticates_a_connection_is_the_last_to_use_it(
    #[case] credential: &str,
    #[case] challenge: &'static str,
    #[case] is_kept: bool,
) {
    let (address, connections) = service(challenge).await;
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    const ASKED: usize = 8;
    for _ in 0..ASKED {
        let headers = [("authorization", credential)];
        let headers = if credential.is_empty() { &headers[1..] } else { &headers[..] };
        assert_eq!(send(gateway.http(), get("/orders", headers)).await.verdict(), "200");
    }
    let made = connections.load(Ordering::SeqCst);
    const WORKERS: usize = 2;
    assert!(if is_kept { made <= WORKERS } else { made == ASKED }, "{made} connections");
}
