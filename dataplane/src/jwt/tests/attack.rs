//! Tokens that somebody has made for the purpose, and tokens of a size or shape that nobody needs.

use aws_lc_rs::hmac;

use super::*;

/// Everything that an issuer publishes of its RSA key is known to everybody: none of it is a shared secret.
#[test]
fn a_public_key_is_no_shared_secret() {
    let world = World::new();
    let public = world.rsa.public_key();
    let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(public).unwrap();
    let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let modulus = public.modulus().big_endian_without_leading_zero();
    let jwk = json!({ "kty": "RSA", "n": encode(modulus), "e": "AQAB", "kid": "r" }).to_string();
    let secrets: [&[u8]; 8] = [
        pem.as_bytes(),
        pem.trim_end().as_bytes(),
        der.as_ref(),
        body.as_bytes(),
        public.as_ref(),
        jwk.as_bytes(),
        modulus,
        b"",
    ];
    for secret in secrets {
        for header in [r#"{"alg":"HS256","kid":"r"}"#, r#"{"alg":"HS256"}"#, r#"{"alg":"RS256","kid":"r"}"#] {
            let signed = format!("{}.{}", encode(header), encode(claims().to_string()));
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let token = format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes())));
            let fault = if header.contains("HS256") { TokenFault::Algorithm } else { TokenFault::Signature };
            assert_eq!(judge(&world, &token).err(), Some(fault), "{header}");
        }
    }
}

/// What a header brings along is not the issuer's, even where it fits the signature.
#[test]
fn a_key_that_a_token_brings_along_verifies_nothing() {
    let (own, other) = (World::new(), World::new());
    let point = other.ec.public_key().as_ref();
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) });
    for (kid, fault) in [(json!("e"), TokenFault::Signature), (json!("own"), TokenFault::UnknownKey)] {
        for member in ["jwk", "x5c"] {
            let value = if member == "jwk" { jwk.clone() } else { json!([encode(point)]) };
            let header = json!({ "alg": "ES256", "kid": kid, member: value });
            let token = other.sign(&header.to_string(), &claims().to_string());
            assert_eq!(judge(&own, &token).err(), Some(fault.clone()), "{header}");
        }
    }
}

#[test]
fn an_encrypted_token_is_not_opened() {
    let world = World::new();
    let (header, text) = (encode(r#"{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF","kid":"r"}"#), encode([7; 200]));
    let no_parts = Some(TokenFault::Malformed("it is not three parts with dots between them"));
    for token in [
        format!("{header}.{text}.{text}.{text}.{text}"),
        format!("{header}..{text}.{text}.{text}"),
        format!("{header}....{text}"),
        format!("{header}...."),
    ] {
        assert_eq!(judge(&world, &token).err(), no_parts, "{token}");
    }
    let plain = encode(claims().to_string());
    assert_eq!(judge(&world, &format!("{header}.{plain}.{text}")).err(), Some(TokenFault::Critical));
}

#[test]
fn a_signature_has_one_spelling() {
    let world = World::new();
    let good = world.sign(r#"{"alg":"ES256","kid":"e"}"#, &claims().to_string());
    let (head, signature) = good.rsplit_once('.').unwrap();
    // 64 bytes end with four bits that say nothing.
    let (rest, last) = signature.split_at(signature.len() - 1);
    assert!("AQgw".contains(last), "{last}");
    let strays = "BCDEFRSTUVhijklxyz01+/=".chars().map(|letter| format!("{rest}{letter}"));
    for stray in strays.chain([format!("{signature}=="), format!("{signature}AAA"), format!("{rest}\n{last}")]) {
        let fault = judge(&world, &format!("{head}.{stray}")).err();
        assert_eq!(fault, Some(TokenFault::Malformed("a part is not base64url")), "{stray}");
    }
    assert!(judge(&world, &good).is_ok());
}

#[test]
fn nesting_is_bounded_in_both_parts() {
    let world = World::new();
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let with =
        |object: &Value, depth: usize| object.to_string().replacen('{', &format!(r#"{{"x":{},"#, nested(depth)), 1);
    let header = json!({ "alg": "EdDSA", "kid": "d" });
    let judged =
        |in_header, in_claims| judge(&world, &world.sign(&with(&header, in_header), &with(&claims(), in_claims)));
    assert!(judged(100, 100).is_ok());
    assert_eq!(judged(1, 200).err(), Some(TokenFault::Malformed("the claims are no plain JSON object")));
    assert_eq!(judged(200, 1).err(), Some(TokenFault::Malformed("the header is no plain JSON object")));
    assert_eq!(judged(1, 4000).err(), Some(TokenFault::Malformed("the claims are no plain JSON object")));
}

#[test]
fn a_token_of_exactly_the_bound_is_read() {
    let world = World::new();
    let padded = |header: usize, claims_bytes: usize| {
        let header = json!({ "alg": "EdDSA", "kid": "d", "x": "x".repeat(header) });
        let mut claims = claims();
        claims["x"] = json!("x".repeat(claims_bytes));
        world.sign(&header.to_string(), &claims.to_string())
    };
    // Each part by itself misses some lengths; together they hit all.
    let room = MAX_TOKEN_BYTES - padded(0, 0).len();
    let lengths =
        (0..4).flat_map(|header| (room * 3 / 4 - 8..room * 3 / 4 + 4).map(move |claims| padded(header, claims)));
    let (mut at, mut over) = (0, 0);
    for token in lengths {
        match token.len() {
            MAX_TOKEN_BYTES => {
                at += 1;
                assert!(judge(&world, &token).is_ok());
            }
            length if length > MAX_TOKEN_BYTES => {
                over += usize::from(length == MAX_TOKEN_BYTES + 1);
                assert_eq!(judge(&world, &token).err(), Some(TokenFault::TooLong));
            }
            _ => {}
        }
    }
    assert!(at > 0 && over > 0, "{at} {over}");
}

#[test]
fn a_key_id_is_bounded() {
    let world = World::new();
    let judged = |bytes: usize| {
        let header = json!({ "alg": "RS256", "kid": "k".repeat(bytes) });
        judge(&world, &world.sign(&header.to_string(), &claims().to_string())).err()
    };
    assert_eq!(judged(MAX_KEY_ID_BYTES), Some(TokenFault::UnknownKey));
    assert_eq!(judged(MAX_KEY_ID_BYTES + 1), Some(TokenFault::Malformed("kid is no short text")));
    assert_eq!(judged(8000), Some(TokenFault::Malformed("kid is no short text")));
}

/// What tells it apart is that it is for the client, or what the issuer says in `typ`.
#[test]
fn an_id_token_opens_nothing() {
    let world = World::new();
    let mut id_token = json!({ "iss": ISSUER, "sub": "alice", "aud": "web-client", "azp": "web-client", "nonce": "n", "at_hash": "h",
                               "auth_time": NOW_S, "iat": NOW_S, "exp": NOW_S + 300 });
    let header = r#"{"alg":"RS256","kid":"r","typ":"JWT"}"#;
    assert_eq!(judge(&world, &world.sign(header, &id_token.to_string())).err(), Some(TokenFault::Audience));
    id_token["aud"] = json!(["web-client", "orders"]);
    let missing = TokenFault::InsufficientScope { missing: "orders.read".into() };
    assert_eq!(judge(&world, &world.sign(header, &id_token.to_string())).err(), Some(missing));
}

#[test]
fn dates_may_have_fractions() {
    let world = World::new();
    for (exp, is_admitted) in [(NOW_S as f64 + 300.5, true), (NOW_S as f64 - 59.5, true), (NOW_S as f64 - 60.5, false)]
    {
        let mut claims = claims();
        claims["exp"] = json!(exp);
        let token = world.sign(r#"{"alg":"RS256","kid":"r"}"#, &claims.to_string());
        assert_eq!(judge(&world, &token).is_ok(), is_admitted, "{exp}");
    }
}
