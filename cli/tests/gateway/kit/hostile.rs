//! An issuer that answers with whatever bytes it is told to, at whatever pace.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::issuer::Issuer;

pub struct HostileIssuer {
    address: SocketAddr,
    answers: Arc<Mutex<Answers>>,
    pub connections: Arc<AtomicUsize>,
    keys: Issuer,
}

struct Answers {
    metadata: Manner,
    keys: Manner,
}

/// How it answers.
#[derive(Clone)]
pub enum Manner {
    /// At once, and then the connection ends.
    Bytes(Vec<u8>),
    /// The same bytes again and again after these, until nobody takes any more.
    Endless(Vec<u8>),
    /// A byte at a time, and never the last.
    Drip(Vec<u8>),
    /// Not at all.
    Silence,
}

impl HostileIssuer {
    /// Well-behaved until it is told otherwise.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let keys = Issuer::down().await;
        let honest = Answers { metadata: metadata(address), keys: ok(&keys.key_set().to_string()) };
        let issuer = Self { address, answers: Arc::new(Mutex::new(honest)), connections: Arc::default(), keys };
        let (answers, connections) = (Arc::clone(&issuer.answers), Arc::clone(&issuer.connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&answers)));
            }
        });
        issuer
    }

    pub fn name(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its honest public keys.
    pub fn key_set(&self) -> Value {
        self.keys.key_set()
    }

    /// Answers so when asked for its keys.
    pub fn answer(&self, manner: Manner) {
        self.answers.lock().keys = manner;
    }

    /// Answers so when asked for its metadata.
    pub fn introduce(&self, manner: Manner) {
        self.answers.lock().metadata = manner;
    }

    /// Behaves again.
    pub fn behave(&self) {
        *self.answers.lock() = Answers { metadata: metadata(self.address), keys: ok(&self.keys.key_set().to_string()) };
    }

    /// A good token of this issuer.
    pub fn token(&self) -> String {
        self.keys.token_with("orders-api", &json!({ "iss": self.name() }))
    }

    /// A token that makes a gateway look for another key.
    pub fn token_of_another_key(&self) -> String {
        let header = json!({ "alg": "ES256", "kid": "another" });
        let mut claims = self.keys.claims("orders-api");
        claims["iss"] = self.name().into();
        self.keys.sign(&header, &claims)
    }
}

/// Status 200 with this body.
pub fn ok(body: &str) -> Manner {
    Manner::Bytes(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn metadata(address: SocketAddr) -> Manner {
    ok(&json!({ "issuer": format!("http://{address}"), "jwks_uri": format!("http://{address}/jwks") }).to_string())
}

async fn serve(mut stream: TcpStream, answers: Arc<Mutex<Answers>>) {
    let mut head = [0; 4096];
    let read = stream.read(&mut head).await.unwrap_or_default();
    let asks_for_keys = head[..read].starts_with(b"GET /jwks ");
    let manner = {
        let answers = answers.lock();
        if asks_for_keys { answers.keys.clone() } else { answers.metadata.clone() }
    };
    say(&mut stream, manner).await;
}

/// It does not care whether anybody listens.
pub async fn say(stream: &mut TcpStream, manner: Manner) {
    const PACE: Duration = Duration::from_millis(100);
    match manner {
        Manner::Bytes(bytes) => drop(stream.write_all(&bytes).await),
        Manner::Endless(bytes) => while stream.write_all(&bytes).await.is_ok() {},
        Manner::Drip(bytes) => {
            for byte in bytes {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(PACE).await;
            }
        }
        Manner::Silence => std::future::pending().await,
    }
}
