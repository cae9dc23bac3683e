//! Tokens that are opened, and more of those that are not.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der};
use aws_lc_rs::hmac::{self, HMAC_SHA256, HMAC_SHA512};
use aws_lc_rs::kdf::{SskdfDigestAlgorithmId, get_sskdf_digest_algorithm, sskdf_digest};
use aws_lc_rs::key_wrap::{self, KeyEncryptionKey, KeyWrap as _};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::{error, iv::FixedLength};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::header::Agreement;
use super::key::Kind;
use super::*;

const ALGORITHMS: [&str; 5] = ["RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"];
const ENCRYPTIONS: [&str; 4] = ["A128GCM", "A256GCM", "A128CBC-HS256", "A256CBC-HS512"];
/// A signed token whose signature nobody looks at here.
const CLAIMS: &str = r#"{"iss":"https://login.example.com","sub":"alice","aud":["orders"]}"#;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn inner() -> String {
    format!("{}.{}.{}", encode(r#"{"alg":"ES256"}"#), encode(CLAIMS), encode([7; 64]))
}

/// One key of each kind.
struct World {
    rsa: PrivateDecryptingKey,
    curves: [PrivateKey; 2],
}

impl World {
    fn new() -> Self {
        let rsa = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        Self { rsa, curves: [&ECDH_P256, &ECDH_P384].map(|curve| PrivateKey::generate(curve).unwrap()) }
    }

    fn messages(&self) -> [v1::DecryptionKey; 3] {
        let rsa = AsDer::<Pkcs8V1Der<'_>>::as_der(&self.rsa).unwrap().as_ref().to_vec();
        let [p256, p384] = self.curves.each_ref().map(pkcs8);
        [rsa, p256, p384].map(message)
    }

    fn keys(&self) -> DecryptionKeys {
        DecryptionKeys::build(&self.messages()).unwrap()
    }

    /// The content's key, and what of it is sent: header and encrypted key.
    fn content_key(&self, algorithm: &str, encryption: Encryption, curve: usize) -> (Vec<u8>, Value, Vec<u8>) {
        let key = vec![42; encryption.key_bytes()];
        let oaep = match algorithm {
            "RSA-OAEP" => Some(&OAEP_SHA1_MGF1SHA1),
            "RSA-OAEP-256" => Some(&OAEP_SHA256_MGF1SHA256),
            _ => None,
        };
        if let Some(oaep) = oaep {
            let public = OaepPublicEncryptingKey::new(self.rsa.public_key()).unwrap();
            let mut encrypted = vec![0; public.ciphertext_size()];
            public.encrypt(oaep, &key, &mut encrypted, None).unwrap();
            return (key, json!({}), encrypted);
        }
        let (receiver, curve_name) = (&self.curves[curve], ["P-256", "P-384"][curve]);
        let sender = PrivateKey::generate(receiver.algorithm()).unwrap();
        let point = sender.compute_public_key().unwrap();
        let (x, y) = point.as_ref()[1..].split_at(point.as_ref().len() / 2);
        let epk = json!({ "kty": "EC", "crv": curve_name, "x": encode(x), "y": encode(y) });
        let header = json!({ "epk": epk, "apu": encode("Alice"), "apv": encode("Bob") });
        let (name, bytes) = match algorithm {
            "ECDH-ES" => (encryption.name(), encryption.key_bytes()),
            "ECDH-ES+A128KW" => (algorithm, 16),
            _ => (algorithm, 32),
        };
        let length = |text: &str| u32::try_from(text.len()).unwrap().to_be_bytes();
        let bits = u32::try_from(bytes * 8).unwrap().to_be_bytes();
        let parties = [&length("Alice")[..], b"Alice", &length("Bob"), b"Bob"].concat();
        let information = [&length(name)[..], name.as_bytes(), &parties, &bits].concat();
        let mut derived = vec![0; bytes];
        let digest = get_sskdf_digest_algorithm(SskdfDigestAlgorithmId::Sha256).unwrap();
        let public = receiver.compute_public_key().unwrap();
        let peer = UnparsedPublicKey::new(receiver.algorithm(), public.as_ref());
        agreement::agree(&sender, peer, error::Unspecified, |secret| {
            sskdf_digest(digest, secret, &information, &mut derived)
        })
        .unwrap();
        if algorithm == "ECDH-ES" {
            return (derived, header, vec![]);
        }
        let cipher = if bytes == 16 { &key_wrap::AES_128 } else { &key_wrap::AES_256 };
        let mut wrapped = vec![0; key.len() + 8];
        KeyEncryptionKey::new(cipher, &derived).unwrap().wrap(&key, &mut wrapped).unwrap();
        (key, header, wrapped)
    }

    /// `text` in an envelope whose header says `more` besides.
    fn seal(&self, (algorithm, encryption): (&str, &str), more: &Value, text: &str) -> String {
        self.seal_by(algorithm, encryption, 0, more, text)
    }

    fn seal_by(&self, algorithm: &str, encryption: &str, curve: usize, more: &Value, text: &str) -> String {
        let content = Encryption::parse(encryption).unwrap();
        let (key, header, encrypted_key) = self.content_key(algorithm, content, curve);
        let mut full = json!({ "alg": algorithm, "enc": encryption, "cty": "JWT" });
        for (name, value) in header.as_object().unwrap().iter().chain(more.as_object().unwrap()) {
            full[name] = value.clone();
            if value.is_null() {
                full.as_object_mut().unwrap().remove(name);
            }
        }
        let authenticated = encode(full.to_string());
        let (vector, ciphertext, tag) = sealed(content, &key, &authenticated, text);
        [authenticated, encode(encrypted_key), encode(vector), encode(ciphertext), encode(tag)].join(".")
    }
}

fn sealed(encryption: Encryption, key: &[u8], authenticated: &str, text: &str) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let mut content = text.as_bytes().to_vec();
    let gcm = match encryption {
        Encryption::A128Gcm => Some(&AES_128_GCM),
        Encryption::A256Gcm => Some(&AES_256_GCM),
        _ => None,
    };
    if let Some(gcm) = gcm {
        let nonce = Nonce::assume_unique_for_key([9; 12]);
        let key = LessSafeKey::new(UnboundKey::new(gcm, key).unwrap());
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(authenticated.as_bytes()), &mut content).unwrap();
        return (vec![9; 12], content, tag.as_ref().to_vec());
    }
    let (cipher, digest) = match encryption {
        Encryption::A128CbcHs256 => (&AES_128, HMAC_SHA256),
        _ => (&AES_256, HMAC_SHA512),
    };
    let (authenticating, encrypting) = key.split_at(key.len() / 2);
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(cipher, encrypting).unwrap()).unwrap();
    cipher.less_safe_encrypt(&mut content, EncryptionContext::Iv128(FixedLength::from(&[9; 16]))).unwrap();
    let bits = (authenticated.len() as u64 * 8).to_be_bytes();
    let whole = [authenticated.as_bytes(), &[9; 16], &content, &bits].concat();
    let tag = hmac::sign(&hmac::Key::new(digest, authenticating), &whole).as_ref()[..authenticating.len()].to_vec();
    (vec![9; 16], content, tag)
}

/// A key on a curve in the form of PKCS #8 (RFC 5208, RFC 5915).
fn pkcs8(key: &PrivateKey) -> Vec<u8> {
    let inner = AsDer::<EcPrivateKeyRfc5915Der<'_>>::as_der(key).unwrap().as_ref().to_vec();
    let curve: &[u8] = match key.algorithm() {
        curve if curve == &ECDH_P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        curve if curve == &ECDH_P384 => &[0x2b, 0x81, 4, 0, 0x22],
        _ => &[0x2b, 0x81, 4, 0, 0x23],
    };
    let names = [der(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]), der(6, curve)].concat();
    der(0x30, &[der(2, &[0]), der(0x30, &names), der(4, &inner)].concat())
}

/// Tag, length, content (X.690, 8.1).
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length: Vec<_> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let head = match (content.len(), length.len()) {
        (short @ 0..128, _) => vec![tag, u8::try_from(short).unwrap()],
        (_, bytes) => [vec![tag, 0x80 | u8::try_from(bytes).unwrap()], length].concat(),
    };
    [head, content.to_vec()].concat()
}

fn message(pkcs8: Vec<u8>) -> v1::DecryptionKey {
    v1::DecryptionKey { pkcs8: Some(v1::Secret { value: Bytes::from(pkcs8) }) }
}

fn opened(keys: &DecryptionKeys, token: &str) -> Result<String, TokenFault> {
    keys.open(token, &Decryptions::default())
}

#[test]
fn every_way_to_encrypt_is_opened() {
    let world = World::new();
    let keys = world.keys();
    for algorithm in ALGORITHMS {
        for encryption in ENCRYPTIONS {
            for curve in [0, 1] {
                let token = world.seal_by(algorithm, encryption, curve, &json!({}), &inner());
                assert!(is_encrypted(&token));
                assert_eq!(opened(&keys, &token), Ok(inner()), "{algorithm} {encryption} {curve}");
            }
        }
    }
}

#[test]
fn somebody_elses_key_opens_nothing() {
    let (world, other) = (World::new(), World::new());
    for algorithm in ALGORITHMS {
        for encryption in ENCRYPTIONS {
            let token = world.seal((algorithm, encryption), &json!({}), &inner());
            assert_eq!(opened(&other.keys(), &token), Err(TokenFault::Sealed), "{algorithm} {encryption}");
            assert_eq!(opened(&DecryptionKeys::default(), &token), Err(TokenFault::Sealed));
        }
    }
}

#[test]
fn headers_that_ask_for_more_or_for_less_are_refused() {
    let world = World::new();
    let keys = world.keys();
    let off_curve = json!({ "kty": "EC", "crv": "P-256", "x": encode([1; 32]), "y": encode([2; 32]) });
    let with = |member: &str, value: Value| {
        let mut key = off_curve.clone();
        key[member] = value;
        json!({ "epk": key })
    };
    use TokenFault as F;
    let no_point = F::Malformed("its epk is no point of P-256 or P-384");
    let no_type = F::Malformed("its cty is not JWT, so that no token is said to be in it");
    let no_party = F::Malformed("its apu or apv is no short base64url");
    for (more, fault) in [
        (json!({ "zip": "DEF" }), F::Critical),
        (json!({ "zip": null, "crit": ["exp"] }), F::Critical),
        (json!({ "b64": false }), F::Critical),
        (json!({ "p2c": 1_000_000_000 }), F::Critical),
        (json!({ "p2s": "AAAA" }), F::Critical),
        (json!({ "cty": null }), no_type.clone()),
        (json!({ "cty": "json" }), no_type.clone()),
        (json!({ "cty": ["JWT"] }), no_type),
        (json!({ "alg": "dir" }), F::Algorithm),
        (json!({ "alg": "RSA1_5" }), F::Algorithm),
        (json!({ "alg": "A128KW" }), F::Algorithm),
        (json!({ "alg": "A256GCMKW" }), F::Algorithm),
        (json!({ "alg": "PBES2-HS256+A128KW" }), F::Algorithm),
        (json!({ "alg": "ECDH-ES+A192KW" }), F::Algorithm),
        (json!({ "alg": "ecdh-es" }), F::Algorithm),
        (json!({ "alg": "none" }), F::Algorithm),
        (json!({ "alg": "RS256" }), F::Algorithm),
        (json!({ "alg": null }), F::Algorithm),
        (json!({ "enc": "A192GCM" }), F::Algorithm),
        (json!({ "enc": "none" }), F::Algorithm),
        (json!({ "enc": null }), F::Algorithm),
        (json!({ "alg": "RSA-OAEP" }), F::Sealed),
        (json!({ "alg": "ECDH-ES+A128KW" }), F::Sealed),
        (json!({ "enc": "A256GCM" }), F::Sealed),
        (json!({ "apu": null }), F::Sealed),
        (json!({ "apv": encode("Eve") }), F::Sealed),
        (json!({ "apu": "a" }), no_party.clone()),
        (json!({ "apu": 7 }), no_party.clone()),
        (json!({ "apv": encode([1; 257]) }), no_party),
        (json!({ "epk": null }), no_point.clone()),
        (json!({ "epk": "x" }), no_point.clone()),
        (with("crv", json!("P-521")), no_point.clone()),
        (with("crv", json!("X25519")), no_point.clone()),
        (with("kty", json!("OKP")), no_point.clone()),
        (with("x", json!(encode([1; 31]))), no_point.clone()),
        (with("y", json!(null)), no_point.clone()),
        (with("d", json!(encode([1; 32]))), no_point),
        (json!({ "epk": off_curve }), F::Sealed),
        (json!({ "epk": { "kty": "EC", "crv": "P-256", "x": encode([0; 32]), "y": encode([0; 32]) } }), F::Sealed),
    ] {
        let token = world.seal(("ECDH-ES", "A128GCM"), &more, &inner());
        assert_eq!(opened(&keys, &token), Err(fault), "{more}");
    }
}

#[test]
fn whatever_is_changed_on_the_way_is_noticed() {
    let world = World::new();
    let keys = world.keys();
    for algorithm in ALGORITHMS {
        for encryption in ENCRYPTIONS {
            let token = world.seal((algorithm, encryption), &json!({}), &inner());
            let parts: Vec<_> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
            for at in 1..parts.len() {
                for change in [
                    |part: &mut Vec<u8>| part.iter_mut().take(1).for_each(|byte| *byte ^= 1),
                    |part: &mut Vec<u8>| part.iter_mut().rev().take(1).for_each(|byte| *byte ^= 0x80),
                    |part: &mut Vec<u8>| part.truncate(part.len() / 2),
                    |part: &mut Vec<u8>| part.push(0),
                    Vec::clear,
                ] {
                    let mut changed = parts.clone();
                    change(&mut changed[at]);
                    let is_same = changed == parts;
                    let text = changed.iter().map(encode).collect::<Vec<_>>().join(".");
                    let expected = if is_same { Ok(inner()) } else { Err(TokenFault::Sealed) };
                    assert_eq!(opened(&keys, &text), expected, "{algorithm} {encryption} {at}");
                }
            }
            let respelt = encode([b" ", parts[0].as_slice()].concat());
            let (_, rest) = token.split_once('.').unwrap();
            assert_eq!(
                opened(&keys, &format!("{respelt}.{rest}")),
                Err(TokenFault::Sealed),
                "the header is sealed too"
            );
        }
    }
}

#[test]
fn what_is_no_token_is_none_in_an_envelope_either() {
    let world = World::new();
    let keys = world.keys();
    let kind = ("RSA-OAEP-256", "A256GCM");
    let nested = world.seal(kind, &json!({}), &inner());
    for text in
        ["", "x", "a.b.c", CLAIMS, &nested, &inner().replace('.', ""), &format!("{}.{}.", encode("{}"), encode("{}"))]
    {
        assert_eq!(opened(&keys, &world.seal(kind, &json!({}), text)), Err(TokenFault::Sealed), "{text}");
    }
    let five = format!("{}....", encode(r#"{"alg":"dir","enc":"A128GCM","cty":"JWT"}"#));
    assert_eq!(opened(&keys, &five), Err(TokenFault::Algorithm));
    assert_eq!(opened(&keys, "...."), Err(TokenFault::Malformed("the header is no plain JSON object")));
    let twice = encode(r#"{"alg":"RSA-OAEP","alg":"RSA-OAEP","enc":"A128GCM","cty":"JWT"}"#);
    assert_eq!(
        opened(&keys, &format!("{twice}....")),
        Err(TokenFault::Malformed("the header is no plain JSON object"))
    );
    assert!(!is_encrypted(&inner()) && !is_encrypted("") && !is_encrypted("a.b.c.d.e.f"));
}

#[test]
fn a_token_may_be_called_by_its_kind() {
    let world = World::new();
    let keys = world.keys();
    for (kind, is_taken) in [
        ("JWT", true),
        ("jwt", true),
        ("at+jwt", true),
        ("application/at+jwt", true),
        ("jwe", false),
        ("", false),
        ("JWT ", false),
    ] {
        let token = world.seal(("ECDH-ES", "A128GCM"), &json!({ "cty": kind }), &inner());
        assert_eq!(opened(&keys, &token).is_ok(), is_taken, "{kind}");
    }
}

#[test]
fn what_the_header_repeats_is_what_stands_inside() {
    let world = World::new();
    let keys = world.keys();
    for (more, is_right) in [
        (json!({ "iss": "https://login.example.com", "sub": "alice", "aud": ["orders"] }), true),
        (json!({ "exp": 1 }), true),
        (json!({ "sub": "mallory" }), false),
        (json!({ "iss": "https://login.example.com/" }), false),
        (json!({ "aud": "orders" }), false),
    ] {
        let token = world.seal(("RSA-OAEP", "A128CBC-HS256"), &more, &inner());
        assert_eq!(opened(&keys, &token).is_ok(), is_right, "{more}");
    }
}

#[test]
fn one_request_looks_once_with_each_key_and_with_few() {
    let worlds = [(); MAX_KEYS + 2].map(|()| World::new());
    let messages: Vec<_> = worlds.iter().flat_map(World::messages).collect();
    let keys = DecryptionKeys::build(&messages).unwrap();
    for (at, world) in worlds.iter().enumerate() {
        for algorithm in ["RSA-OAEP-256", "ECDH-ES"] {
            let token = world.seal((algorithm, "A128GCM"), &json!({}), &inner());
            let expected = if at < MAX_KEYS { Ok(inner()) } else { Err(TokenFault::TooDear) };
            assert_eq!(opened(&keys, &token), expected, "{at} {algorithm}: what fits by kind alone costs something");
        }
    }
    let (spared, [one, other, ..]) = (Decryptions::default(), &worlds);
    let token = one.seal(("RSA-OAEP-256", "A128GCM"), &json!({}), &inner());
    let looks = |keys: &DecryptionKeys, token: &str| (keys.open(token, &spared).is_ok(), MAX_KEYS - spared.left.get());
    for (keys, expected) in
        [(other.keys(), (false, 1)), (one.keys(), (true, 2)), (other.keys(), (false, 2)), (one.keys(), (true, 2))]
    {
        assert_eq!(looks(&keys, &token), expected, "of each key, in whatever alternative, one");
    }
    for (made, expected) in (3..=MAX_KEYS).map(|made| (made, true)).chain([(MAX_KEYS, false)]) {
        let another = one.seal(("RSA-OAEP-256", "A128GCM"), &json!({ "kid": made }), &inner());
        assert_eq!(looks(&one.keys(), &another), (expected, made), "of each token");
    }
    spared.renew();
    assert_eq!(looks(&one.keys(), &token), (true, 0), "what is known is known");
}

/// What goes on after a padding that is wrong is what goes on after one that is right.
#[test]
fn an_encrypted_key_that_is_none_is_one_by_chance() {
    let world = World::new();
    let key = DecryptionKey::build(&world.messages()[0]).unwrap();
    for algorithm in ["RSA-OAEP", "RSA-OAEP-256"] {
        let token = world.seal((algorithm, "A256GCM"), &json!({}), &inner());
        let (_, header, mut parts) = read(&token).unwrap();
        assert_eq!(key.content_key(&header, &parts), Some(vec![42; 32]));
        parts.encrypted_key[200] ^= 1;
        let by_chance = [(); 2].map(|()| key.content_key(&header, &parts));
        assert!(by_chance.iter().all(|key| key.as_ref().is_some_and(|key| key.len() == 32)), "{algorithm}");
        assert!(by_chance[0] != by_chance[1] && by_chance[0] != Some(vec![42; 32]), "{algorithm}");
    }
}

/// A point that is not on the curve would tell of the private key, bit by bit.
#[test]
fn with_a_point_off_the_curve_nothing_is_agreed_on() {
    let world = World::new();
    let key = DecryptionKey::build(&world.messages()[1]).unwrap();
    for algorithm in ["ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"] {
        let token = world.seal((algorithm, "A128GCM"), &json!({}), &inner());
        let (_, mut header, parts) = read(&token).unwrap();
        assert!(key.content_key(&header, &parts).is_some());
        for off in [[vec![4], vec![1; 64]].concat(), [vec![4], vec![0; 64]].concat(), vec![0], vec![4]] {
            let Agreement::Agreed(agreed) = &mut header.agreement else { panic!("{algorithm}") };
            agreed.point = off;
            assert_eq!(key.content_key(&header, &parts), None, "{algorithm}");
        }
    }
}

#[test]
fn keys_that_open_nothing_are_not_built() {
    let p521 = PrivateKey::generate(&ECDH_P521).unwrap();
    // Making one takes long.
    let large = include_bytes!("rsa6144.der").to_vec();
    for (der, why) in [
        (vec![], "neither of RSA"),
        (b"nonsense".to_vec(), "neither of RSA"),
        (pkcs8(&p521), "neither of RSA"),
        (large, "2048 to 4096"),
    ] {
        let refused = DecryptionKeys::build(&[message(der)]).err();
        assert!(refused.is_some_and(|told| told.contains(why)), "{why}: {refused:?}");
    }
    assert!(DecryptionKeys::build(&[v1::DecryptionKey::default()]).is_err());
    assert_eq!(format!("{:?}", World::new().keys()), "DecryptionKeys(3)", "nothing is shown");
}

/// A group's key of project Wycheproof, if it is of a kind that is taken here.
pub(in crate::jwt) fn key_of(jwk: &Value) -> Option<DecryptionKeys> {
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap_or_default()).unwrap();
    let key = match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
        (Some("EC"), Some("P-256")) => DecryptionKey::new(
            Kind::Curve(PrivateKey::from_private_key(&ECDH_P256, &bytes("d")).unwrap()),
            Hash::of_bytes(b""),
        ),
        (Some("EC"), Some("P-384")) => DecryptionKey::new(
            Kind::Curve(PrivateKey::from_private_key(&ECDH_P384, &bytes("d")).unwrap()),
            Hash::of_bytes(b""),
        ),
        (Some("RSA"), _) => {
            let number = |name: &str| {
                let bytes = bytes(name);
                let sign = bytes.first().is_some_and(|first| *first >= 0x80).then_some(0);
                der(2, &sign.into_iter().chain(bytes).collect::<Vec<_>>())
            };
            let numbers = ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(number).concat();
            let inner = der(0x30, &[der(2, &[0]), numbers].concat());
            let name = der(0x30, &[der(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]), der(5, &[])].concat());
            DecryptionKey::build(&message(der(0x30, &[der(2, &[0]), name, der(4, &inner)].concat()))).ok()?
        }
        _ => return None,
    };
    Some(DecryptionKeys(Arc::from([key])))
}

/// What stands in `token`, whatever it is and whether its header says so or not.
pub(in crate::jwt) fn content(keys: &DecryptionKeys, token: &str) -> Result<Vec<u8>, TokenFault> {
    let parts: Vec<_> = token.split('.').collect();
    let [authenticated, rest @ ..] = parts.as_slice() else { return Err(TokenFault::Sealed) };
    let mut members = strict_json::object(&decode(authenticated)?).ok_or(TokenFault::Sealed)?;
    members.insert("cty".into(), json!("JWT"));
    let header = Header::read(&members)?;
    let rest = rest.iter().map(|part| decode(part)).collect::<Result<Vec<_>, _>>()?;
    let [encrypted_key, vector, ciphertext, tag] = <[Vec<u8>; 4]>::try_from(rest).map_err(|_| TokenFault::Sealed)?;
    let parts = Parts { authenticated, encrypted_key, vector, ciphertext, tag };
    keys.decrypt(&header, &parts, (Hash::of_bytes(b""), &Decryptions::default()))
}
