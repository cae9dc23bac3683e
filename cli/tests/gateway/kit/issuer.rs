//! An issuer that the test holds the keys of: it signs whatever it is told to.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use sallyport_dataplane::clock::{Clock, UnixMs};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::AbortHandle;

pub struct Issuer {
    pub address: SocketAddr,
    keys: Mutex<Vec<(String, EcdsaKeyPair)>>,
    published: Arc<Mutex<String>>,
    pub fetches: Arc<AtomicUsize>,
    /// Has the port while nobody listens there, so that no other test gets it meanwhile.
    held: Mutex<Option<TcpSocket>>,
    accepting: Mutex<Option<AbortHandle>>,
}

impl Issuer {
    pub async fn start() -> Self {
        let issuer = Self::down().await;
        issuer.up().await;
        issuer
    }

    /// Has a name and keys, and cannot be reached.
    pub async fn down() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let issuer = Self {
            address: socket.local_addr().unwrap(),
            keys: Mutex::default(),
            published: Arc::default(),
            fetches: Arc::default(),
            held: Mutex::new(Some(socket)),
            accepting: Mutex::default(),
        };
        issuer.rotate("first");
        issuer
    }

    /// Can be reached from now on.
    pub async fn up(&self) {
        let held = self.held.lock().take();
        let listener = match held {
            Some(socket) => socket.listen(1024).unwrap(),
            None => TcpListener::bind(self.address).await.unwrap(),
        };
        let (published, fetches, name) = (Arc::clone(&self.published), Arc::clone(&self.fetches), self.name());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (published, fetches, name) = (Arc::clone(&published), Arc::clone(&fetches), name.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let path = request.uri().path();
                    let body = if path.ends_with(KEYS) {
                        fetches.fetch_add(1, Ordering::SeqCst);
                        published.lock().clone()
                    } else {
                        metadata(&name, path).to_string()
                    };
                    async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body)))) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        *self.accepting.lock() = Some(serving.abort_handle());
    }

    /// Cannot be reached any more.
    pub fn stop(&self) {
        self.accepting.lock().take().expect("it is up").abort();
    }

    /// `iss` of its tokens.
    pub fn name(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a key, publishes it beside the others, and signs with it: nobody gets a token of it before it is published.
    pub fn rotate(&self, kid: &str) {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let mut keys = self.keys.lock();
        keys.push((kid.to_owned(), key));
        *self.published.lock() = public(&keys).to_string();
    }

    /// Publishes `text` instead of a key set.
    pub fn publish(&self, text: &str) {
        text.clone_into(&mut self.published.lock());
    }

    /// Its public keys.
    pub fn key_set(&self) -> Value {
        public(&self.keys.lock())
    }

    /// The claims of a good token for `audience`.
    pub fn claims(&self, audience: &str) -> Value {
        let now = Clock::default().now();
        json!({ "iss": self.name(), "sub": "alice", "aud": audience, "iat": now.seconds(), "exp": in_an_hour(now) })
    }

    /// A good token for `audience`.
    pub fn token(&self, audience: &str) -> String {
        self.token_with(audience, &json!({}))
    }

    /// A good token with some claims of its own; `null` takes one away.
    pub fn token_with(&self, audience: &str, changes: &Value) -> String {
        let claims = merged(self.claims(audience), changes);
        // The key that the header names is the one that signs, also while another thread rotates.
        let keys = self.keys.lock();
        let (kid, key) = keys.last().unwrap();
        sign_with(key, &header_of(kid).to_string(), &claims.to_string())
    }

    /// The header of a good token.
    pub fn header(&self) -> Value {
        header_of(&self.keys.lock().last().unwrap().0)
    }

    /// Signs anything.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// Signs what may be no JSON.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        sign_with(&self.keys.lock().last().unwrap().1, header, claims)
    }
}

/// Where its keys are, whatever stands before it.
const KEYS: &str = "/jwks";
/// Below a tenant it is what Microsoft Entra ID has there; `common` is all of them.
const OF_TENANT: &str = "/v2.0/.well-known/openid-configuration";

fn metadata(name: &str, path: &str) -> Value {
    let Some(tenant) = path.strip_suffix(OF_TENANT) else {
        return json!({ "issuer": name, "jwks_uri": format!("{name}{KEYS}") });
    };
    let called = if tenant == "/common" { "/{tenantid}" } else { tenant };
    json!({ "issuer": format!("{name}{called}/v2.0"), "jwks_uri": format!("{name}{tenant}{KEYS}") })
}

fn public(keys: &[(String, EcdsaKeyPair)]) -> Value {
    let keys: Vec<_> = keys
        .iter()
        .map(|(kid, key)| {
            let point = key.public_key().as_ref();
            json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
                    "x": encode(&point[1..33]), "y": encode(&point[33..]) })
        })
        .collect();
    json!({ "keys": keys })
}

fn header_of(kid: &str) -> Value {
    json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid })
}

fn sign_with(key: &EcdsaKeyPair, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", encode(signature))
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn in_an_hour(now: UnixMs) -> i64 {
    now.seconds() + 3600
}

/// `changes` over `base`; `null` takes away.
pub fn merged(mut base: Value, changes: &Value) -> Value {
    let object = base.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    base
}
