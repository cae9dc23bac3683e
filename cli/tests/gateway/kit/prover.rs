//! Whoever holds a key and proves it (RFC 9449).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use sallyport_dataplane::clock::Clock;
use serde_json::{Value, json};

use super::caller::HOST;
use super::issuer::{encode, merged};

pub struct Prover(EcdsaKeyPair);

impl Prover {
    pub fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
    }

    /// What binds a token to it (RFC 9449, 6.1): the members of the key in the order of RFC 7638.
    pub fn confirmation(&self) -> Value {
        let jwk = self.jwk();
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        json!({ "jkt": encode(digest(&SHA256, canonical.as_bytes())) })
    }

    /// A good proof for a GET of `/orders` over http with this token.
    pub fn proof(&self, token: &str) -> String {
        self.proof_with(token, &json!({}))
    }

    /// The same with some claims of its own; `null` takes one away.
    pub fn proof_with(&self, token: &str, changes: &Value) -> String {
        let claims = json!({
            "jti": format!("{:032x}", rand::random::<u128>()), "htm": "GET", "htu": format!("http://{HOST}/orders"),
            "iat": Clock::default().now().seconds(), "ath": encode(digest(&SHA256, token.as_bytes())),
        });
        self.sign(&json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk() }), &merged(claims, changes))
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature))
    }
}
