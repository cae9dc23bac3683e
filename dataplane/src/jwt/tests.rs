//! Tokens that must be refused, next to those that must not.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use sallyport_snapshot::v1;
use serde_json::json;

use super::*;

mod attack;

const NOW_S: i64 = 1_800_000_000;
const ISSUER: &str = "https://login.example.com";

struct World {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    keys: KeyRing,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl World {
    fn new() -> Self {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        let point = ec.public_key().as_ref();
        let public = rsa.public_key();
        let set = json!({ "keys": [
            { "kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": encode(public.modulus().big_endian_without_leading_zero()), "e": encode(public.exponent().big_endian_without_leading_zero()) },
            { "kty": "EC", "kid": "e", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) },
            { "kty": "OKP", "kid": "d", "crv": "Ed25519", "x": encode(ed.public_key()) },
            { "kty": "oct", "kid": "s", "k": encode("secret") },
        ]});
        let keys = KeyRing::parse(set.to_string().as_bytes()).unwrap();
        Self { rsa, ec, ed, keys }
    }

    fn sign(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(payload));
        let random = SystemRandom::new();
        let signature = if header.contains("ES256") {
            self.ec.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec()
        } else if header.contains("EdDSA") || header.contains("Ed25519") {
            self.ed.sign(signed.as_bytes()).as_ref().to_vec()
        } else {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
            signature
        };
        format!("{signed}.{}", encode(signature))
    }
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "alice", "aud": ["orders", "other"], "exp": NOW_S + 300, "nbf": NOW_S - 10, "iat": NOW_S - 10,
            "scope": "orders.read orders.write", "roles": ["buyer"], "tier": "gold" })
}

fn jwt() -> v1::Jwt {
    v1::Jwt {
        issuer: ISSUER.into(),
        audiences: vec!["orders".into()],
        scopes: vec!["orders.read".into()],
        claims: vec![v1::ClaimRule {
            name: "roles".into(),
            any_of: vec!["buyer".into(), "admin".into()],
            ..Default::default()
        }],
        algorithms: ["RS256", "ES256", "EdDSA"].map(str::to_owned).to_vec(),
        clock_skew_s: 60,
        ..Default::default()
    }
}

fn judge(world: &World, token: &str) -> Result<Claims, TokenFault> {
    verify(token, &Rules::build(&jwt()).unwrap(), Some(&world.keys), UnixMs::from_seconds(NOW_S))
}

#[test]
fn good_tokens_of_every_family_are_admitted() {
    let world = World::new();
    for header in [
        r#"{"alg":"RS256","kid":"r"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"ES256","kid":"e","typ":"at+jwt"}"#,
        r#"{"alg":"EdDSA","kid":"d","typ":"JWT"}"#,
        r#"{"alg":"RS256","kid":"r","typ":"application/at+jwt"}"#,
        r#"{"alg":"Ed25519","kid":"d"}"#,
        r#"{"alg":"RS256","kid":"r","typ":"AT+JWT"}"#,
        r#"{"alg":"RS256","kid":"r","typ":"application/jwt"}"#,
        r#"{"alg":"RS256","kid":"r","jku":"https://evil.example"}"#,
        r#"{"alg":"RS256","kid":"r","x5u":"https://evil.example","x5c":["AAAA"],"x5t#S256":"AAAA"}"#,
        r#"{"alg":"RS256","kid":"r","jwk":{"kty":"oct","k":"c2VjcmV0"}}"#,
        r#"{"alg":"RS256","kid":"r","cty":"JWT","nonce":"x"}"#,
    ] {
        let admitted = judge(&world, &world.sign(header, &claims().to_string()))
            .unwrap_or_else(|fault| panic!("{header}: {fault}"));
        assert_eq!(admitted.admitted_until(), UnixMs::from_seconds(NOW_S + 360));
        assert_eq!(admitted.identity(), "jwt:25:https://login.example.com:alice");
    }
}

#[test]
fn headers_that_must_be_refused() {
    let world = World::new();
    use TokenFault as F;
    for (header, fault) in [
        (r#"{"alg":"none"}"#, F::Algorithm),
        (r#"{"alg":"None"}"#, F::Algorithm),
        (r#"{"alg":""}"#, F::Algorithm),
        (r#"{"alg":"HS256","kid":"s"}"#, F::Algorithm),
        (r#"{"alg":"HS256","kid":"r"}"#, F::Algorithm),
        (r#"{"alg":"rs256","kid":"r"}"#, F::Algorithm),
        (r#"{"alg":"RS384","kid":"r"}"#, F::Algorithm),
        (r#"{"alg":"PS256","kid":"r"}"#, F::Algorithm),
        (r#"{"alg":["RS256"],"kid":"r"}"#, F::Algorithm),
        (r#"{"kid":"r"}"#, F::Algorithm),
        (r#"{"alg":"nOnE","kid":"r"}"#, F::Algorithm),
        (r#"{"alg":"none ","kid":"r"}"#, F::Algorithm),
        (r#"{"alg":"RS256 ","kid":"r"}"#, F::Algorithm),
        (r#"{"alg":null,"kid":"r"}"#, F::Algorithm),
        (r#"{"alg":"Ed448","kid":"d"}"#, F::Algorithm),
        (r#"{"alg":"ed25519","kid":"d"}"#, F::Algorithm),
        (r#"{"alg":"Ed25519","kid":"e"}"#, F::Algorithm),
        (r#"{"alg":"Ed25519","kid":"r"}"#, F::Algorithm),
        (r#"{"alg":"ES256","kid":"d"}"#, F::Algorithm),
        (r#"{"alg":"RS256","jwk":{"kty":"RSA"},"kid":"evil"}"#, F::UnknownKey),
        (r#"{"alg":"RS256","kid":"../../../../etc/passwd"}"#, F::UnknownKey),
        (r#"{"alg":"RS256","kid":"file:///dev/null"}"#, F::UnknownKey),
        (r#"{"alg":"RS256","kid":"r' OR '1'='1"}"#, F::UnknownKey),
        (r#"{"alg":"RS256","kid":"R"}"#, F::UnknownKey),
        (r#"{"alg":"RS256","kid":"r "}"#, F::UnknownKey),
        (r#"{"alg":"RS256","kid":null}"#, F::Malformed("kid is no short text")),
        (r#"{"alg":"RS256","kid":["r"]}"#, F::Malformed("kid is no short text")),
        ("{\"alg\":\"RS256\",\"kid\":\"r\\u007f\"}", F::Malformed("kid is no short text")),
        (r#"{"alg":"RS256","kid":"r","enc":"A256GCM"}"#, F::Critical),
        (r#"{"alg":"RS256","kid":"r","zip":null}"#, F::Critical),
        (r#"{"alg":"RS256","kid":"r","typ":""}"#, F::Type),
        (r#"{"alg":"RS256","kid":"r","typ":null}"#, F::Type),
        (r#"{"alg":"RS256","kid":"r","typ":"JWT "}"#, F::Type),
        (r#"{"alg":"RS256","kid":"r","typ":"id_token"}"#, F::Type),
        (r#"{"alg":"RS256","kid":"r","typ":"dpop+jwt"}"#, F::Type),
        (r#"{"alg":"RS256","kid":"r","typ":"application/application/jwt"}"#, F::Type),
        (r#"{"alg":"RS256","kid":"r","kid":"e"}"#, F::Malformed("the header is no plain JSON object")),
        (r#"{"alg":"RS256","kid":"r","jwk":{"kty":1,"kty":2}}"#, F::Malformed("the header is no plain JSON object")),
        (r#"{"alg":"ES256","kid":"r"}"#, F::Algorithm),
        (r#"{"alg":"RS256","kid":"e"}"#, F::Algorithm),
        (r#"{"alg":"RS256","kid":"unknown"}"#, F::UnknownKey),
        (r#"{"alg":"RS256","kid":"../r"}"#, F::UnknownKey),
        (r#"{"alg":"RS256","kid":"s"}"#, F::UnknownKey),
        (r#"{"alg":"RS256","kid":""}"#, F::UnknownKey),
        (r#"{"alg":"RS256","kid":1}"#, F::Malformed("kid is no short text")),
        ("{\"alg\":\"RS256\",\"kid\":\"r\\u0000\"}", F::Malformed("kid is no short text")),
        (r#"{"alg":"RS256","kid":"r","crit":["exp"],"exp":1}"#, F::Critical),
        (r#"{"alg":"RS256","kid":"r","crit":[]}"#, F::Critical),
        (r#"{"alg":"RS256","kid":"r","b64":false}"#, F::Critical),
        (r#"{"alg":"RS256","kid":"r","zip":"DEF"}"#, F::Critical),
        (r#"{"alg":"RS256","kid":"r","typ":"logout+jwt"}"#, F::Type),
        (r#"{"alg":"RS256","kid":"r","typ":1}"#, F::Type),
        (r#"{"alg":"RS256","kid":"r","typ":"JOSE+JSON"}"#, F::Type),
        (r#"{"alg":"RS256","alg":"RS256","kid":"r"}"#, F::Malformed("the header is no plain JSON object")),
        (r#"[]"#, F::Malformed("the header is no plain JSON object")),
        ("{", F::Malformed("the header is no plain JSON object")),
    ] {
        assert_eq!(judge(&world, &world.sign(header, &claims().to_string())).err(), Some(fault), "{header}");
    }
}

#[test]
fn claims_that_must_be_refused() {
    let world = World::new();
    use TokenFault as F;
    let cases: Vec<(&str, Value, TokenFault)> = vec![
        ("iss", json!("https://login.example.com/"), F::Issuer),
        ("iss", json!("HTTPS://login.example.com"), F::Issuer),
        ("iss", json!([ISSUER]), F::Issuer),
        ("iss", json!(1), F::Issuer),
        ("iss", Value::Null, F::Issuer),
        ("aud", json!("order"), F::Audience),
        ("aud", json!("orders2"), F::Audience),
        ("aud", json!([]), F::Audience),
        ("aud", json!({"orders": 1}), F::Audience),
        ("aud", json!([["orders"]]), F::Audience),
        ("aud", json!(["orders", 1]), F::Audience),
        ("aud", Value::Null, F::Audience),
        ("aud", json!("orders other"), F::Audience),
        ("aud", json!("Orders"), F::Audience),
        ("aud", json!("orders "), F::Audience),
        ("aud", json!(""), F::Audience),
        ("aud", json!(true), F::Audience),
        ("aud", json!([null]), F::Audience),
        ("aud", json!("*"), F::Audience),
        ("exp", json!(NOW_S - 61), F::Expired),
        ("exp", json!(NOW_S - 60), F::Expired),
        ("exp", json!((NOW_S + 300).to_string()), F::ClaimForm("exp")),
        ("exp", json!(-1), F::ClaimForm("exp")),
        ("exp", json!(1e300), F::ClaimForm("exp")),
        ("exp", json!(-1e300), F::ClaimForm("exp")),
        ("exp", json!(u64::MAX), F::ClaimForm("exp")),
        ("exp", json!(i64::MIN), F::ClaimForm("exp")),
        ("exp", json!(253_402_300_800_i64), F::ClaimForm("exp")),
        ("exp", json!(0), F::Expired),
        ("exp", json!(0.0), F::Expired),
        ("exp", json!(-0.5), F::ClaimForm("exp")),
        ("exp", json!("2099-01-01T00:00:00Z"), F::ClaimForm("exp")),
        ("exp", json!({}), F::ClaimForm("exp")),
        ("nbf", json!(-1), F::ClaimForm("nbf")),
        ("nbf", json!(u64::MAX), F::ClaimForm("nbf")),
        ("exp", json!([NOW_S + 300]), F::ClaimForm("exp")),
        ("exp", Value::Null, F::ClaimForm("exp")),
        ("exp", json!(true), F::ClaimForm("exp")),
        ("nbf", json!(NOW_S + 61), F::NotYetValid),
        ("nbf", json!("0"), F::ClaimForm("nbf")),
        ("iat", json!(NOW_S + 61), F::NotYetValid),
        ("iat", json!({}), F::ClaimForm("iat")),
        ("sub", json!(1), F::ClaimForm("sub")),
        ("cnf", json!({"jkt": "x"}), F::Bound),
        ("scope", json!("orders.reader"), F::InsufficientScope { missing: "orders.read".into() }),
        ("scope", json!("ORDERS.READ"), F::InsufficientScope { missing: "orders.read".into() }),
        ("scope", json!("xorders.read"), F::InsufficientScope { missing: "orders.read".into() }),
        ("scope", json!(["orders.read"]), F::InsufficientScope { missing: "orders.read".into() }),
        ("scope", json!("orders.write,orders.read"), F::InsufficientScope { missing: "orders.read".into() }),
        ("roles", json!(["buyers"]), F::ClaimMismatch { claim: "roles".into() }),
        ("roles", json!({"buyer": true}), F::ClaimMismatch { claim: "roles".into() }),
        ("roles", json!(["buyer", 1]), F::ClaimMismatch { claim: "roles".into() }),
        ("roles", json!([]), F::ClaimMismatch { claim: "roles".into() }),
    ];
    for (name, value, fault) in cases {
        let mut claims = claims();
        claims[name] = value.clone();
        let token = world.sign(r#"{"alg":"RS256","kid":"r"}"#, &claims.to_string());
        assert_eq!(judge(&world, &token).err(), Some(fault), "{name}: {value}");
    }
    for (name, fault) in [("exp", F::Expired), ("iss", F::Issuer), ("aud", F::Audience)] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        let token = world.sign(r#"{"alg":"RS256","kid":"r"}"#, &claims.to_string());
        assert_eq!(judge(&world, &token).err(), Some(fault), "without {name}");
    }
}

#[test]
fn forms_that_must_be_refused() {
    let world = World::new();
    let good = world.sign(r#"{"alg":"RS256","kid":"r"}"#, &claims().to_string());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = head.split_once('.').unwrap();
    let other = world.sign(r#"{"alg":"ES256","kid":"e"}"#, &claims().to_string());
    let twice = format!(r#"{{"iss":"{ISSUER}","iss":"{ISSUER}","aud":"orders","exp":{}}}"#, NOW_S + 300);
    let tokens = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        format!("{header}.{payload}"),
        format!("{head}."),
        format!("{good}.x"),
        format!("{good}.x.y"),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{good}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{good} "),
        format!(" {good}"),
        good.replace('_', "/").replace('-', "+") + "/",
        format!("{head}.{}", &signature[..signature.len() - 2]),
        format!("{head}.{}", other.rsplit_once('.').unwrap().1),
        format!("{header}.{}.{signature}", encode(claims().to_string().replace("alice", "mallory"))),
        format!("{head}.{}", encode([0u8; 256])),
        format!("{head}.{}", encode([0u8; 64])),
        world.sign(r#"{"alg":"RS256","kid":"r"}"#, &twice),
        world.sign(r#"{"alg":"RS256","kid":"r"}"#, "[]"),
        world.sign(r#"{"alg":"RS256","kid":"r"}"#, "null"),
        format!(r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#),
        format!(r#"{{"payload":"{payload}","protected":"{header}","signature":"{signature}"}}"#),
        format!("{header}.{payload}.{signature}.{header}.{payload}.{signature}"),
        world.sign(
            r#"{"alg":"RS256","kid":"r"}"#,
            &json!({ "iss": ISSUER, "pad": "x".repeat(MAX_TOKEN_BYTES) }).to_string(),
        ),
    ];
    for token in tokens {
        assert!(judge(&world, &token).is_err(), "{}", token.chars().take(120).collect::<String>());
    }
    assert!(judge(&world, &good).is_ok());
}

#[test]
fn a_signature_of_zeros_is_none() {
    let world = World::new();
    let good = world.sign(r#"{"alg":"ES256","kid":"e"}"#, &claims().to_string());
    let head = good.rsplit_once('.').unwrap().0;
    assert_eq!(judge(&world, &format!("{head}.{}", encode([0u8; 64]))).err(), Some(TokenFault::Signature));
}

#[test]
fn a_key_of_another_issuer_signs_nothing_here() {
    let (own, other) = (World::new(), World::new());
    let token = other.sign(r#"{"alg":"RS256","kid":"r"}"#, &claims().to_string());
    assert_eq!(judge(&own, &token).err(), Some(TokenFault::Signature));
}

#[test]
fn without_keys_only_a_token_of_the_issuer_waits_for_them() {
    let world = World::new();
    let rules = Rules::build(&jwt()).unwrap();
    let own = world.sign(r#"{"alg":"RS256","kid":"r"}"#, &claims().to_string());
    let mut foreign = claims();
    foreign["iss"] = json!("https://other.example.com");
    let foreign = world.sign(r#"{"alg":"RS256","kid":"r"}"#, &foreign.to_string());
    let fault = |token: &str| verify(token, &rules, None, UnixMs::from_seconds(NOW_S)).err();
    assert_eq!(fault(&own), Some(TokenFault::KeyUnavailable));
    assert_eq!(fault(&foreign), Some(TokenFault::Issuer));
}

/// Whatever else is wrong with it: it is for another alternative to judge.
#[test]
fn a_token_of_another_issuer_has_no_other_fault() {
    let world = World::new();
    let mut foreign = claims();
    foreign["iss"] = json!("https://other.example.com");
    foreign["exp"] = json!(1);
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS256","kid":"s"}"#,
        r#"{"alg":"PS512","kid":"r"}"#,
        r#"{"alg":"RS256","kid":"r","typ":"id_token"}"#,
        r#"{"alg":"RS256","kid":"r","crit":["exp"]}"#,
        r#"{"alg":"RS256","kid":7}"#,
        r#"{"alg":"RS256","kid":"unknown"}"#,
        "{",
    ] {
        let token = world.sign(header, &foreign.to_string());
        assert_eq!(judge(&world, &token).err(), Some(TokenFault::Issuer), "{header}");
        let unsigned = format!("{}.%", token.rsplit_once('.').unwrap().0);
        assert_eq!(judge(&world, &unsigned).err(), Some(TokenFault::Issuer), "{header}");
    }
}

#[test]
fn claim_rules_exclude_and_require() {
    let world = World::new();
    let token = world.sign(r#"{"alg":"RS256","kid":"r"}"#, &claims().to_string());
    let judged = |change: fn(&mut v1::ClaimRule)| {
        let mut rule = v1::ClaimRule { name: "roles".into(), ..Default::default() };
        change(&mut rule);
        let rules = Rules::build(&v1::Jwt { claims: vec![rule], ..jwt() }).unwrap();
        verify(&token, &rules, Some(&world.keys), UnixMs::from_seconds(NOW_S)).is_ok()
    };
    assert!(judged(|rule| rule.all_of = vec!["buyer".into()]));
    assert!(!judged(|rule| rule.all_of = vec!["buyer".into(), "admin".into()]));
    assert!(!judged(|rule| rule.none_of = vec!["buyer".into()]));
    assert!(judged(|rule| rule.none_of = vec!["guest".into()]));
    assert!(judged(|rule| (rule.name, rule.any_of) = ("tier".into(), vec!["gold".into()])));
    assert!(!judged(|rule| (rule.name, rule.any_of) = ("absent".into(), vec!["gold".into()])));
    assert!(judged(|rule| (rule.name, rule.none_of) = ("absent".into(), vec!["gold".into()])));
}

#[test]
fn only_types_that_the_policy_lists_are_taken() {
    let world = World::new();
    let listed = Rules::build(&v1::Jwt { types: vec!["at+jwt".into(), "example".into()], ..jwt() }).unwrap();
    for (typ, taken) in [
        (r#","typ":"at+jwt""#, true),
        (r#","typ":"application/AT+JWT""#, true),
        (r#","typ":"Example""#, true),
        ("", false),
        (r#","typ":"JWT""#, false),
        (r#","typ":"""#, false),
        (r#","typ":null"#, false),
        (r#","typ":["at+jwt"]"#, false),
        (r#","typ":"at+jwt ""#, false),
        (r#","typ":"application/application/at+jwt""#, false),
        (r#","typ":"text/at+jwt""#, false),
        (r#","typ":"dpop+jwt""#, false),
    ] {
        let token = world.sign(&format!(r#"{{"alg":"RS256","kid":"r"{typ}}}"#), &claims().to_string());
        let verdict = verify(&token, &listed, Some(&world.keys), UnixMs::from_seconds(NOW_S));
        assert_eq!(verdict.err(), (!taken).then_some(TokenFault::Type), "{typ}");
    }
}

#[test]
fn no_token_lasts_longer_than_the_policy_allows() {
    let world = World::new();
    let bounded = Rules::build(&v1::Jwt { max_lifetime_ms: Some(600_000), ..jwt() }).unwrap();
    for (iat, exp, fault) in [
        (json!(NOW_S - 300), NOW_S + 300, None),
        (json!(NOW_S + 30), NOW_S + 630, None),
        (json!(NOW_S - 300), NOW_S + 301, Some(TokenFault::Lifetime)),
        (json!(1_799_999_699.5), NOW_S + 300, Some(TokenFault::Lifetime)),
        (json!(0), NOW_S + 300, Some(TokenFault::Lifetime)),
        (json!(NOW_S - 10), 253_402_300_799, Some(TokenFault::Lifetime)),
        (Value::Null, NOW_S + 300, Some(TokenFault::ClaimForm("iat"))),
        (json!("1800000000"), NOW_S + 300, Some(TokenFault::ClaimForm("iat"))),
        (json!(NOW_S + 100), NOW_S + 300, Some(TokenFault::NotYetValid)),
    ] {
        let mut stated = claims();
        (stated["iat"], stated["exp"]) = (iat.clone(), json!(exp));
        let token = world.sign(r#"{"alg":"RS256","kid":"r"}"#, &stated.to_string());
        let verdict = verify(&token, &bounded, Some(&world.keys), UnixMs::from_seconds(NOW_S));
        assert_eq!(verdict.err(), fault, "{iat} to {exp}");
    }
    let mut undated = claims();
    undated.as_object_mut().unwrap().remove("iat");
    let token = world.sign(r#"{"alg":"RS256","kid":"r"}"#, &undated.to_string());
    let verdict = verify(&token, &bounded, Some(&world.keys), UnixMs::from_seconds(NOW_S));
    assert_eq!(verdict.err(), Some(TokenFault::Lifetime));
    assert!(judge(&world, &token).is_ok(), "without a bound nobody asks");
}

#[test]
fn rules_without_a_word_about_the_audience_are_refused() {
    assert!(Rules::build(&v1::Jwt { audiences: vec![], ..jwt() }).is_err());
    assert!(Rules::build(&v1::Jwt { audience_unchecked: true, ..jwt() }).is_err());
    assert!(Rules::build(&v1::Jwt { audiences: vec![], audience_unchecked: true, ..jwt() }).is_ok());
    assert!(Rules::build(&v1::Jwt { algorithms: vec!["HS256".into()], ..jwt() }).is_err());
    assert!(Rules::build(&v1::Jwt { algorithms: vec![], ..jwt() }).is_err());
    assert!(Rules::build(&v1::Jwt { clock_skew_s: 301, ..jwt() }).is_err());
}

#[test]
fn one_bad_key_spoils_no_other() {
    let world = World::new();
    assert_eq!(world.keys.left_out.len(), 1, "{:?}", world.keys.left_out);
    let small = encode([0xff; 128]);
    for (set, why) in [
        (json!({ "keys": [] }), "none"),
        (json!([]), "list"),
        (json!({ "keys": {} }), "list"),
        (json!({ "keys": [{ "kty": "RSA", "n": small, "e": "AQAB" }] }), "2048"),
        (json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": encode([1u8; 32]), "y": encode([1u8; 32]) }] }), "point"),
        (json!({ "keys": [{ "kty": "EC", "crv": "P-521", "x": "", "y": "" }] }), "not supported"),
        (json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": encode([1u8; 32]), "use": "enc" }] }), "use"),
        (
            json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": encode([1u8; 32]), "d": encode([2u8; 32]) }] }),
            "private",
        ),
        (
            json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": encode([1u8; 32]), "key_ops": ["sign"] }] }),
            "key_ops",
        ),
        (json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": encode([1u8; 32]), "alg": "RS256" }] }), "alg"),
        (json!({ "keys": vec![json!({}); 101] }), "more than"),
    ] {
        let fault = KeyRing::parse(set.to_string().as_bytes()).err().unwrap().to_string();
        assert!(fault.contains(why), "{set}: {fault}");
    }
    assert!(KeyRing::parse(b"<html>").is_err());
}

#[test]
fn a_verdict_lasts_no_longer_than_what_it_rests_on() {
    let world = World::new();
    let rules = Rules::build(&jwt()).unwrap();
    let token = world.sign(r#"{"alg":"RS256","kid":"r"}"#, &claims().to_string());
    let now = UnixMs::from_seconds(NOW_S);
    let cache = TokenCache::default();
    let claims = std::sync::Arc::new(verify(&token, &rules, Some(&world.keys), now).unwrap());
    cache.keep(TokenCache::case(&token, &rules, &world.keys), &claims, now);
    let find = |rules: &Rules, keys: &KeyRing, now| cache.find(&TokenCache::case(&token, rules, keys), now).is_some();
    assert!(find(&rules, &world.keys, now));
    assert!(!find(&rules, &world.keys, claims.admitted_until()));
    assert!(!find(&rules, &World::new().keys, now), "other keys");
    let others = Rules::build(&v1::Jwt { scopes: vec!["admin".into()], ..jwt() }).unwrap();
    assert!(!find(&others, &world.keys, now), "other rules");
}
