//! Proofs that must be refused, next to those that must not.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PSS_SHA256, RsaKeyPair,
};
use serde_json::json;

use super::*;
use crate::nonces::Nonces;

const NOW_S: i64 = 1_800_000_000;
const NOW: UnixMs = UnixMs(NOW_S * 1000);
const TOKEN: &str = "header.claims.signature";
const ORIGIN: &str = "https://api.example.com";

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whoever signs.
enum Key {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Key {
    fn new() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn jwk(&self) -> Value {
        match self {
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
            }
            Self::Ed(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key()) }),
            Self::Rsa(key) => {
                let public = key.public_key();
                let number = |bytes: &[u8]| encode(bytes);
                json!({ "kty": "RSA", "n": number(public.modulus().big_endian_without_leading_zero()),
                        "e": number(public.exponent().big_endian_without_leading_zero()) })
            }
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
            Self::Rsa(_) => "PS256",
        }
    }

    fn thumbprint(&self) -> Thumbprint {
        thumbprint(&self.jwk()).unwrap()
    }

    fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Ec(key) => key.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PSS_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{signed}.{}", encode(signature))
    }

    fn header(&self) -> Value {
        json!({ "typ": "dpop+jwt", "alg": self.algorithm(), "jwk": self.jwk() })
    }

    /// A good proof but for these members of header and claims; `null` takes one away.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&merged(self.header(), header).to_string(), &merged(good(), claims).to_string())
    }
}

fn good() -> Value {
    json!({ "jti": "one", "htm": "GET", "htu": "https://api.example.com/orders/1", "iat": NOW_S,
            "ath": encode(sha256(TOKEN.as_bytes())) })
}

fn merged(mut base: Value, changes: &Value) -> Value {
    let members = base.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        members.remove(name);
        if !value.is_null() {
            members.insert(name.clone(), value.clone());
        }
    }
    base
}

fn stated() -> v1::Proofs {
    let algorithms = ["ES256", "EdDSA", "PS256"].map(str::to_owned).to_vec();
    v1::Proofs { algorithms, max_age_s: 60, origins: vec![], memory: Memory::Own.into(), nonce_required: false }
}

fn judged_by(stated: &v1::Proofs, key: &Thumbprint, proof: &str) -> Result<Proof, ProofFault> {
    let nonces = Nonces::new(b"key");
    let nonces = OfGateway { nonces: &nonces, gateway: "shop/public" };
    let asked = Asked { method: &Method::GET, origin: Some(ORIGIN), path: "/orders/1", token: TOKEN, key, nonces };
    Rules::build(stated).unwrap().judge(proof, asked, &Verified::default(), NOW)
}

fn judged(key: &Key, header: Value, claims: Value) -> Result<Proof, ProofFault> {
    judged_by(&stated(), &key.thumbprint(), &key.sign(&header, &claims))
}

#[test]
fn a_proof_holds_by_each_kind_of_key() {
    let rsa = Key::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
    for key in [Key::new(), Key::Ed(Ed25519KeyPair::generate().unwrap()), rsa] {
        let proof = judged(&key, json!({}), json!({})).unwrap();
        assert_eq!(proof.until, UnixMs((NOW_S + 60) * 1000));
        assert_eq!(proof.made, NOW);
    }
}

/// RFC 7638, 3.1; RFC 8037, A.3; RFC 9449, 6.1.
#[test]
fn thumbprints_are_those_of_the_standards() {
    for (jwk, print) in [
        (
            json!({ "kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
                    "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" }),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        ),
        (
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        ),
        (
            json!({ "kty": "EC", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
                    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA", "crv": "P-256" }),
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
        ),
    ] {
        assert_eq!(thumbprint(&jwk).map(encode).as_deref(), Some(print));
    }
    for jwk in
        [json!({}), json!({ "kty": "oct", "k": "AA" }), json!({ "kty": "EC", "crv": "P-256", "x": "AA" }), json!(1)]
    {
        assert_eq!(thumbprint(&jwk), None, "{jwk}");
    }
}

#[test]
fn the_header_says_what_it_is_and_names_a_key_that_anybody_may_see() {
    let key = Key::new();
    let with = |name: &str, value: Value| {
        let mut jwk = key.jwk();
        jwk[name] = value;
        json!({ "jwk": jwk })
    };
    use ProofFault as F;
    let key_fault = |header: Value| matches!(judged(&key, header, json!({})), Err(F::Key(_)));
    for (header, fault) in [
        (json!({ "typ": "JWT" }), F::Type),
        (json!({ "typ": null }), F::Type),
        (json!({ "typ": "application/dpop+jwt" }), F::Type),
        (json!({ "typ": "DPoP+JWT" }), F::Type),
        (json!({ "alg": "none" }), F::Algorithm),
        (json!({ "alg": "HS256" }), F::Algorithm),
        (json!({ "alg": "es256" }), F::Algorithm),
        (json!({ "alg": "RS256" }), F::Algorithm),
        (json!({ "alg": null }), F::Algorithm),
        (json!({ "crit": ["b64"] }), F::Critical),
        (json!({ "b64": false }), F::Critical),
        (json!({ "zip": "DEF" }), F::Critical),
        (json!({ "jwk": {} }), F::OtherKey),
        (json!({ "jwk": "text" }), F::OtherKey),
        (json!({ "jwk": { "kty": "oct", "k": "AA" } }), F::Key("it holds a secret")),
        (json!({ "jwk": Key::new().jwk() }), F::OtherKey),
    ] {
        assert_eq!(judged(&key, header.clone(), json!({})), Err(fault), "{header}");
    }
    for header in [
        json!({ "jwk": null }),
        with("d", json!("AA")),
        with("p", json!("AA")),
        with("k", json!("AA")),
        with("alg", json!("ES384")),
        with("alg", json!(1)),
        // Its coordinates have nothing to do with this algorithm.
        json!({ "alg": "EdDSA" }),
        json!({ "alg": "PS256" }),
    ] {
        assert!(key_fault(header.clone()), "{header}");
    }
    for header in [
        with("alg", json!("ES256")),
        with("use", json!("sig")),
        with("kid", json!("1")),
        json!({ "kid": "x" }),
        // As browsers write the public half of a key that signs.
        with("key_ops", json!(["sign"])),
    ] {
        assert!(judged(&key, header.clone(), json!({})).is_ok(), "{header}");
    }
}

#[test]
fn a_point_that_is_not_on_the_curve_is_no_key() {
    let key = Key::new();
    let mut jwk = key.jwk();
    jwk["y"] = json!(encode([1; 32]));
    let proof = key.sign(&json!({ "jwk": jwk }), &json!({}));
    let print = thumbprint(&jwk).unwrap();
    assert!(matches!(judged_by(&stated(), &print, &proof), Err(ProofFault::Key(_))));
}

#[test]
fn a_key_that_only_makes_verifying_slow_is_none() {
    let largest = Key::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa4096).unwrap()));
    assert!(judged(&largest, json!({}), json!({})).is_ok());
    let (key, long) = (Key::new(), "A".repeat(MAX_MODULUS_CHARS + 1));
    let jwk = json!({ "kty": "RSA", "n": long, "e": "AQAB" });
    let header = json!({ "alg": "PS256", "jwk": jwk });
    assert_eq!(judged(&key, header, json!({})), Err(ProofFault::Key("it has more than 4096 bits")));
}

#[test]
fn it_is_about_this_very_request() {
    let key = Key::new();
    use ProofFault as F;
    for (claims, fault) in [
        (json!({ "htm": "POST" }), F::Method),
        (json!({ "htm": "get" }), F::Method),
        (json!({ "htm": null }), F::Method),
        (json!({ "htm": ["GET"] }), F::Method),
        (json!({ "htu": null }), F::Address),
        (json!({ "htu": "" }), F::Address),
        (json!({ "htu": "/orders/1" }), F::Address),
        (json!({ "htu": "api.example.com/orders/1" }), F::Address),
        (json!({ "htu": "http://api.example.com/orders/1" }), F::Address),
        (json!({ "htu": "ftp://api.example.com/orders/1" }), F::Address),
        (json!({ "htu": "https://api.example.com:8443/orders/1" }), F::Address),
        (json!({ "htu": "https://api.example.com.evil.example/orders/1" }), F::Address),
        (json!({ "htu": "https://api.example.com@evil.example/orders/1" }), F::Address),
        (json!({ "htu": "https://evil.example@api.example.com/orders/1" }), F::Address),
        (json!({ "htu": "https://api.example.com/orders/2" }), F::Address),
        (json!({ "htu": "https://api.example.com/orders" }), F::Address),
        (json!({ "htu": "https://api.example.com/orders/1/" }), F::Address),
        (json!({ "htu": "https://api.example.com/Orders/1" }), F::Address),
        (json!({ "htu": "https://api.example.com/x/../orders/1" }), F::Address),
        (json!({ "htu": "https://api.example.com/orders%2f1" }), F::Address),
        (json!({ "htu": ["https://api.example.com/orders/1"] }), F::Address),
        (json!({ "ath": null }), F::Token),
        (json!({ "ath": "" }), F::Token),
        (json!({ "ath": encode(sha256(b"another.token.of-theirs")) }), F::Token),
        (json!({ "ath": format!("{}=", encode(sha256(TOKEN.as_bytes()))) }), F::Token),
        (json!({ "jti": null }), F::Id),
        (json!({ "jti": "" }), F::Id),
        (json!({ "jti": 1 }), F::Id),
        (json!({ "jti": "x".repeat(257) }), F::Id),
    ] {
        assert_eq!(judged(&key, json!({}), claims.clone()), Err(fault), "{claims}");
    }
    for claims in [
        json!({ "htu": "https://api.example.com/orders/1?page=2#top" }),
        json!({ "htu": "https://API.example.com:443/orders/1" }),
        json!({ "htu": "HTTPS://api.example.com./orders/1" }),
        json!({ "htu": "https://api.example.com//%6Frders/1" }),
        json!({ "jti": "x".repeat(256) }),
        json!({ "nonce": "whatever", "other": 1 }),
    ] {
        assert!(judged(&key, json!({}), claims.clone()).is_ok(), "{claims}");
    }
}

#[test]
fn where_nobody_can_tell_what_was_asked_no_proof_is_for_it() {
    let key = Key::new();
    let (print, rules) = (key.thumbprint(), Rules::build(&stated()).unwrap());
    let nonces = Nonces::of_process();
    let nonces = OfGateway { nonces: &nonces, gateway: "shop/public" };
    let asked = Asked { method: &Method::GET, origin: None, path: "/orders/1", token: TOKEN, key: &print, nonces };
    assert_eq!(
        rules.judge(&key.sign(&json!({}), &json!({})), asked, &Verified::default(), NOW),
        Err(ProofFault::Address)
    );
}

#[test]
fn stated_origins_are_the_only_ones() {
    let key = Key::new();
    let print = key.thumbprint();
    let proofs = v1::Proofs { origins: vec!["https://shop.example".into(), "https://[::1]:8443".into()], ..stated() };
    for (address, holds) in [
        ("https://shop.example/orders/1", true),
        ("https://shop.example:443/orders/1", true),
        ("https://[::1]:8443/orders/1", true),
        ("https://[0:0:0:0:0:0:0:1]:8443/orders/1", true),
        ("https://api.example.com/orders/1", false),
        ("http://shop.example/orders/1", false),
        ("https://shop.example:8443/orders/1", false),
        ("https://shop.example/orders/2", false),
    ] {
        let proof = key.sign(&json!({}), &json!({ "htu": address }));
        assert_eq!(judged_by(&proofs, &print, &proof).is_ok(), holds, "{address}");
    }
}

#[test]
fn it_is_new() {
    let key = Key::new();
    for (claims, fault) in [
        (json!({ "exp": NOW_S }), None),
        (json!({ "exp": NOW_S - 1 }), Some(ProofFault::Old)),
        (json!({ "exp": "never" }), Some(ProofFault::Old)),
        (json!({ "nbf": NOW_S + 5 }), None),
        (json!({ "nbf": NOW_S + 6 }), Some(ProofFault::Future)),
    ] {
        assert_eq!(judged(&key, json!({}), claims.clone()).err(), fault, "{claims}");
    }
    let short = judged(&key, json!({}), json!({ "exp": NOW_S + 9 })).unwrap();
    assert_eq!(short.until, UnixMs((NOW_S + 9) * 1000));
    for (made, fault) in [
        (json!(NOW_S), None),
        (json!(NOW_S - 60), None),
        (json!(NOW_S + 5), None),
        (json!(NOW_S as f64 - 0.5), None),
        (json!(NOW_S - 61), Some(ProofFault::Old)),
        (json!(NOW_S + 6), Some(ProofFault::Future)),
        (json!(0), Some(ProofFault::Old)),
        (json!(-1), Some(ProofFault::Old)),
        (json!(1e300), Some(ProofFault::Old)),
        (json!(NOW_S.to_string()), Some(ProofFault::Old)),
        (json!(null), Some(ProofFault::Old)),
        (json!([NOW_S]), Some(ProofFault::Old)),
    ] {
        assert_eq!(judged(&key, json!({}), json!({ "iat": made })).err(), fault, "{made}");
    }
}

#[test]
fn where_a_number_of_the_gateway_is_demanded_it_holds_one() {
    let (key, demanding) = (Key::new(), v1::Proofs { nonce_required: true, ..stated() });
    let handed_out = |gateway: &str, ago_s: i64| {
        let nonces = Nonces::new(b"key");
        let ones = OfGateway { nonces: &nonces, gateway };
        ones.hand_out(UnixMs(NOW.0 - ago_s * 1000)).unwrap().to_str().unwrap().to_owned()
    };
    for (nonce, expected) in [
        (json!(handed_out("shop/public", 0)), Ok(false)),
        (json!(handed_out("shop/public", 200)), Ok(true)),
        (json!(handed_out("shop/public", 400)), Err(ProofFault::Nonce)),
        (json!(handed_out("shop/other", 0)), Err(ProofFault::Nonce)),
        (json!(""), Err(ProofFault::Nonce)),
        (json!([handed_out("shop/public", 0)]), Err(ProofFault::NoNonce)),
        (json!(null), Err(ProofFault::NoNonce)),
    ] {
        let proof = key.sign(&json!({}), &json!({ "nonce": nonce }));
        let judged = judged_by(&demanding, &key.thumbprint(), &proof);
        assert_eq!(judged.map(|proof| proof.wants_nonce), expected, "{nonce}");
        assert_eq!(judged_by(&stated(), &key.thumbprint(), &proof).map(|proof| proof.wants_nonce), Ok(false));
    }
    let wrong = key.sign(&json!({}), &json!({ "htm": "POST" }));
    assert_eq!(
        judged_by(&demanding, &key.thumbprint(), &wrong),
        Err(ProofFault::Method),
        "what is wrong is told first"
    );
}

#[test]
fn nobody_else_has_signed_it() {
    let (key, other) = (Key::new(), Key::new());
    let print = key.thumbprint();
    let forged = other.sign(&json!({ "jwk": key.jwk() }), &json!({}));
    assert_eq!(judged_by(&stated(), &print, &forged), Err(ProofFault::Signature));
    assert_eq!(judged_by(&stated(), &print, &other.sign(&json!({}), &json!({}))), Err(ProofFault::OtherKey));
    let good = key.sign(&json!({}), &json!({}));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let claims = encode(merged(self::good(), &json!({ "jti": "two" })).to_string());
    let changed = format!("{}.{claims}.{signature}", signed.split_once('.').unwrap().0);
    assert_eq!(judged_by(&stated(), &print, &changed), Err(ProofFault::Signature));
}

#[test]
fn what_can_be_read_in_two_ways_is_none() {
    let key = Key::new();
    let (print, header) = (key.thumbprint(), key.header().to_string());
    let good = key.sign(&json!({}), &json!({}));
    let twice = self::good().to_string().replacen('{', r#"{"htm":"POST","#, 1);
    for proof in [
        String::new(),
        "x".into(),
        "..".into(),
        "a.b.c".into(),
        format!("{good}."),
        format!("{good},{good}"),
        format!(" {good}"),
        good.replace('.', "="),
        key.sign_text(&header, &twice),
        key.sign_text(&header, "[]"),
        key.sign_text(&header.replacen('{', r#"{"typ":"dpop+jwt","#, 1), &self::good().to_string()),
        key.sign_text(&header.replacen(r#""crv""#, r#""kty":"EC","crv""#, 1), &self::good().to_string()),
    ] {
        assert!(matches!(judged_by(&stated(), &print, &proof), Err(ProofFault::Malformed(_))), "{proof}");
    }
    let long = format!("{good}{}", "A".repeat(MAX_PROOF_BYTES));
    assert_eq!(judged_by(&stated(), &print, &long), Err(ProofFault::TooLong));
}

#[test]
fn a_signature_is_verified_once_in_a_request_and_never_for_another_proof() {
    let (key, other) = (Key::new(), Key::new());
    let (print, rules, verified) = (key.thumbprint(), Rules::build(&stated()).unwrap(), Verified::default());
    let nonces = Nonces::new(b"key");
    let nonces = OfGateway { nonces: &nonces, gateway: "shop/public" };
    let asked =
        Asked { method: &Method::GET, origin: Some(ORIGIN), path: "/orders/1", token: TOKEN, key: &print, nonces };
    let (good, forged) = (key.sign(&json!({}), &json!({})), other.sign(&json!({ "jwk": key.jwk() }), &json!({})));
    for _ in 0..2 {
        assert!(rules.judge(&good, asked, &verified, NOW).is_ok());
        assert_eq!(rules.judge(&forged, asked, &verified, NOW), Err(ProofFault::Signature));
    }
    let elsewhere = Asked { path: "/orders/2", ..asked };
    assert_eq!(rules.judge(&good, elsewhere, &verified, NOW), Err(ProofFault::Address));
}

#[test]
fn what_is_remembered_of_it_nobody_else_can_use_up() {
    let (key, other) = (Key::new(), Key::new());
    let one = judged(&key, json!({}), json!({})).unwrap();
    assert_eq!(judged(&key, json!({}), json!({ "iat": NOW_S - 1 })).unwrap().id, one.id, "the same id, signed anew");
    for elsewhere in [
        judged(&other, json!({}), json!({})),
        judged(&key, json!({}), json!({ "jti": "two" })),
        judged(&key, json!({}), json!({ "htu": "https://api.example.com/orders/1?page=2" })),
    ] {
        assert_ne!(elsewhere.unwrap().id, one.id);
    }
}

#[test]
fn rules_that_nobody_could_meet_are_refused() {
    for origin in ["", "api.example.com", "https://", "https://a b", "ftp://a", "https://a:99999"] {
        assert!(Rules::build(&v1::Proofs { origins: vec![origin.into()], ..stated() }).is_err(), "{origin}");
    }
    for algorithms in [vec![], vec!["HS256".to_owned()], vec!["ES256".into(), "none".into()]] {
        assert!(Rules::build(&v1::Proofs { algorithms: algorithms.clone(), ..stated() }).is_err(), "{algorithms:?}");
    }
}
