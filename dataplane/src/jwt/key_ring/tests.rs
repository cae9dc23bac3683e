//! Key sets as issuers write them, and as they must not count.

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ed25519(pair: &Ed25519KeyPair) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": "one", "x": encode(pair.public_key()) })
}

fn parse(keys: &[Value]) -> Result<KeyRing, KeySetFault> {
    KeyRing::parse(json!({ "keys": keys }).to_string().as_bytes())
}

/// Why the only key of a set is of no use.
fn fault(key: &Value) -> String {
    match parse(std::slice::from_ref(key)) {
        Ok(_) => panic!("{key} is taken"),
        Err(fault) => fault.to_string(),
    }
}

fn verifies(ring: &KeyRing, algorithm: Algorithm, pair: &Ed25519KeyPair) -> bool {
    ring.verify(Some("one"), algorithm, b"text", pair.sign(b"text").as_ref()).is_ok()
}

#[test]
fn a_set_of_too_many_keys_is_given_up_at_the_first_that_is_too_many() {
    let begun = format!(r#"{{"keys":[{}"#, vec!["{}"; 101].join(","));
    for tail in ["]}", "", ", nothing that is JSON", &",[".repeat(1000)] {
        let fault = KeyRing::parse(format!("{begun}{tail}").as_bytes()).err();
        assert_eq!(fault, Some(KeySetFault::TooMany), "{}", tail.len());
    }
    let full = format!(r#"{{"keys":[{}"#, vec!["{}"; 100].join(","));
    assert_eq!(KeyRing::parse(full.as_bytes()).err(), Some(KeySetFault::Form), "it breaks off");
}

/// What would not fit into a tree of values shows that none is made.
#[test]
fn members_that_are_of_no_use_are_read_over() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let key = ed25519(&pair).to_string().replacen('{', &format!(r#"{{"x5c":{deep},"":1,"":2,"#), 1);
    let set = format!(r#"{{"pad":{deep},"pad":[{{}},{{}}],"keys":[{key},{deep},{{"kid":{deep},"key_ops":{deep}}}]}}"#);
    let ring = KeyRing::parse(set.as_bytes()).unwrap();
    assert!(verifies(&ring, Algorithm::EdDSA, &pair));
    assert_eq!(ring.left_out.len(), 2, "{:?}", ring.left_out);
}

#[test]
fn what_is_no_set_is_refused() {
    for text in [
        "",
        "[]",
        "null",
        "1",
        "\"keys\"",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"keys":"[]"}"#,
        r#"{"Keys":[]}"#,
        r#"{"keys":[]"#,
        r#"{"keys":[]} x"#,
        r#"{"keys":[{"kid":}]}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"[{"keys":[]}]"#,
    ] {
        assert_eq!(KeyRing::parse(text.as_bytes()).err(), Some(KeySetFault::Form), "{text}");
    }
    assert_eq!(KeyRing::parse(b"{\"keys\":[{\"kid\":\"\xff\"}]}").err(), Some(KeySetFault::Form));
}

/// Whoever reads the last of two members and whoever reads the first would hold two keys for one.
#[test]
fn a_key_with_a_member_twice_is_left_out() {
    let (pair, other) = (Ed25519KeyPair::generate().unwrap(), Ed25519KeyPair::generate().unwrap());
    let twice =
        ed25519(&other).to_string().replacen('{', &format!(r#"{{"\u0078":"{}","#, encode(pair.public_key())), 1);
    let set = format!(r#"{{"keys":[{twice},{}]}}"#, ed25519(&pair));
    let ring = KeyRing::parse(set.as_bytes()).unwrap();
    assert!(verifies(&ring, Algorithm::EdDSA, &pair) && !verifies(&ring, Algorithm::EdDSA, &other));
    assert!(ring.left_out[0].contains("twice"), "{:?}", ring.left_out);
}

#[test]
fn members_of_a_wrong_form_are_named() {
    let key = |member: &str, value: Value| {
        let mut key = ed25519(&Ed25519KeyPair::generate().unwrap());
        key[member] = value;
        key
    };
    for (key, why) in [
        (json!(7), "it is no object"),
        (json!("key"), "it is no object"),
        (json!([]), "it is no object"),
        (Value::Null, "it is no object"),
        (key("kid", json!(7)), "its kid is no text"),
        (key("kid", Value::Null), "its kid is no text"),
        (key("use", json!(["sig"])), "its use is not sig"),
        (key("use", json!("SIG")), "its use is not sig"),
        (key("key_ops", json!("verify")), "its key_ops"),
        (key("key_ops", json!([["verify"], {"verify": 1}, 1])), "its key_ops"),
        (key("alg", json!("none")), "its alg is no asymmetric"),
        (key("alg", json!("HS256")), "its alg is no asymmetric"),
        (key("alg", json!(["EdDSA"])), "its alg is no asymmetric"),
        (key("alg", json!("ES256")), "its alg does not fit"),
        (key("kty", json!(["OKP"])), "its kty or crv"),
        (key("crv", json!("ed25519")), "its kty or crv"),
        (key("x", json!([1])), "a parameter is missing"),
        (key("x", json!("AQ")), "another length"),
        (key("x", json!(encode([7; 32]) + "=")), "not base64url"),
        (key("d", Value::Null), "private half"),
        (key("oth", json!([])), "private half"),
    ] {
        assert!(fault(&key).contains(why), "{key}: {}", fault(&key));
    }
    assert!(parse(&[key("key_ops", json!(["sign", "verify"]))]).is_ok());
}

#[test]
fn a_set_of_which_nothing_is_of_use_says_why_of_each() {
    let said = KeyRing::parse(br#"{"keys":[{"kty":"oct"},7,{"kty":"OKP","use":"enc"}]}"#).err().unwrap().to_string();
    for why in ["keys[0]: its kty or crv", "keys[1]: it is no object", "keys[2]: its use is not sig"] {
        assert!(said.contains(why), "{said}");
    }
}

/// RFC 9864: the name that says the curve as well means the same key.
#[test]
fn an_ed25519_key_has_two_names_for_its_algorithm() {
    let pair = Ed25519KeyPair::generate().unwrap();
    for name in ["EdDSA", "Ed25519"] {
        let mut key = ed25519(&pair);
        key["alg"] = json!(name);
        assert!(verifies(&parse(&[key]).unwrap(), Algorithm::parse(name).unwrap(), &pair), "{name}");
    }
    let mut key = ed25519(&pair);
    key["alg"] = json!("Ed448");
    assert!(fault(&key).contains("alg"));
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Value {
    json!({ "kty": "RSA", "kid": "one", "n": encode(modulus), "e": encode(exponent) })
}

#[test]
fn zeros_in_front_of_an_rsa_key_change_nothing() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let (modulus, exponent) = (pair.public_key().modulus(), pair.public_key().exponent());
    let (modulus, exponent) = (modulus.big_endian_without_leading_zero(), exponent.big_endian_without_leading_zero());
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &aws_lc_rs::rand::SystemRandom::new(), b"text", &mut signature).unwrap();
    for zeros in 0..3 {
        let padded = |value: &[u8]| [&vec![0; zeros], value].concat();
        let ring = parse(&[rsa(&padded(modulus), &padded(exponent))]).unwrap();
        assert!(ring.verify(Some("one"), Algorithm::RS256, b"text", &signature).is_ok(), "{zeros}");
    }
}

#[test]
fn weak_rsa_keys_are_refused_in_every_spelling() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let modulus = pair.public_key().modulus().big_endian_without_leading_zero();
    let small = [&[0; 200][..], &[0xff; 128]].concat();
    let short_of_a_bit = [&[0x7f][..], &[0xff; 255]].concat();
    for (key, why) in [
        (rsa(modulus, &[3]), "smaller than 65537"),
        (rsa(modulus, &[0, 0, 0, 3]), "smaller than 65537"),
        (rsa(modulus, &[0; 8]), "smaller than 65537"),
        (rsa(modulus, &[]), "smaller than 65537"),
        (rsa(modulus, &[1]), "smaller than 65537"),
        (rsa(modulus, &[17]), "smaller than 65537"),
        (rsa(modulus, &[0xff, 0xff]), "smaller than 65537"),
        (rsa(modulus, &[1, 0, 0]), "smaller than 65537"),
        (rsa(modulus, &[1, 0, 2]), "even"),
        (rsa(modulus, &[2, 0, 0, 0, 1]), "33 bits"),
        (rsa(modulus, &[1; 256]), "33 bits"),
        (rsa(&[0xff; 128], &[1, 0, 1]), "2048 to 8192 bits"),
        (rsa(&small, &[1, 0, 1]), "2048 to 8192 bits"),
        (rsa(&short_of_a_bit, &[1, 0, 1]), "2048 to 8192 bits"),
        (rsa(&[0xff; 1025], &[1, 0, 1]), "2048 to 8192 bits"),
        (rsa(&[0; 256], &[1, 0, 1]), "2048 to 8192 bits"),
        (rsa(&[], &[1, 0, 1]), "2048 to 8192 bits"),
    ] {
        assert!(fault(&key).contains(why), "{key}: {}", fault(&key));
    }
    for exponent in [&[1, 0, 1][..], &[1, 0, 3], &[0, 1, 0, 1], &[1, 0, 0, 1], &[1, 0, 0, 0, 1]] {
        assert!(parse(&[rsa(modulus, exponent)]).is_ok(), "{exponent:?}");
    }
}

/// Whoever has the private half signs for its public half wherever that stands.
#[test]
fn a_key_whose_private_half_stands_beside_it_verifies_nothing() {
    let (exposed, other) = (Ed25519KeyPair::generate().unwrap(), Ed25519KeyPair::generate().unwrap());
    let mut private = ed25519(&exposed);
    private["d"] = json!(encode([1; 32]));
    private["kid"] = json!("private");
    for set in [[private.clone(), ed25519(&exposed), ed25519(&other)], [ed25519(&exposed), ed25519(&other), private]] {
        let ring = parse(&set).unwrap();
        assert!(verifies(&ring, Algorithm::EdDSA, &other) && !verifies(&ring, Algorithm::EdDSA, &exposed));
        assert_eq!(ring.left_out.len(), 2, "{:?}", ring.left_out);
    }
}
