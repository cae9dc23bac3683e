//! A development issuer: discovery, one key, and tokens for the asking. On loopback only, and with a key that dies with it.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sallyport_dataplane::clock::Clock;
use serde_json::json;
use tokio::net::TcpListener;

/// How long a demo's token holds.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

pub(super) struct Issuer {
    pub(super) address: String,
    key: Arc<Ed25519KeyPair>,
}

impl Issuer {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let key = Arc::new(Ed25519KeyPair::generate().map_err(|_| anyhow::anyhow!("no key could be made"))?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the issuer finds no port")?;
        let address = format!("http://{}", listener.local_addr()?);
        let metadata = json!({ "issuer": address, "jwks_uri": format!("{address}/jwks") }).to_string();
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "demo", "use": "sig", "x": URL_SAFE_NO_PAD.encode(key.public_key()) });
        let keys = json!({ "keys": [jwk] }).to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (metadata, keys) = (metadata.clone(), keys.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let body = if request.uri().path() == "/jwks" { keys.clone() } else { metadata.clone() };
                    async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body)))) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { address, key })
    }

    /// A token for the demo's API.
    pub(super) fn token(&self, scope: &str) -> anyhow::Result<String> {
        let now = Clock::default().now();
        let claims = json!({
            "iss": self.address, "sub": "alice", "aud": "orders-api", "scope": scope,
            "iat": now.seconds(), "exp": now.plus(LIFETIME).seconds(),
        });
        let header = json!({ "alg": "EdDSA", "kid": "demo", "typ": "at+jwt" });
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(signed.as_bytes());
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
