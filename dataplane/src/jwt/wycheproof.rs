//! Project Wycheproof's vectors for JSON Web Signature, Key and Encryption: each is answered as it says, but for what is listed here.
//!
//! `make test` fetches them into the cache; `WYCHEPROOF` names another folder.

use std::fs;
use std::path::PathBuf;

use sallyport_snapshot::v1;

use super::*;

const VERSION: &str = "v0.0.0-20260902155932-3fa63dd0344a";

/// Valid by the RFCs, and refused by policy.
fn is_refused_by_policy(algorithm: &str, test: &Value) -> bool {
    // A secret that both sides hold would let every gateway sign: symmetric algorithms do not exist here.
    let symmetric = algorithm.starts_with("HS");
    // P-521 is offered by no policy: issuers that would use it have not been met.
    let unsupported = algorithm == "ES512";
    // A token without claims is no JWT.
    let empty = test["comment"] == "emptyPayload";
    // The key says PS256, and the token is signed with PS384: a key is bound to its algorithm (RFC 8725, 3.1).
    let other_than_the_keys = test["comment"] == "Figure20";
    symmetric || unsupported || empty || other_than_the_keys
}

/// Invalid by Wycheproof, and accepted. The key is the issuer's choice, and is checked for its size and exponent; that the card which
/// made it was flawed (ROCA, CVE-2017-15361) is not looked for.
const ACCEPTED: [&str; 1] = ["rejectsKeyWithRocaVulnerability"];

fn folder() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME")).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map_or_else(home, PathBuf::from);
    let usual = || cache.join("sallyport").join(format!("wycheproof-jose-{VERSION}"));
    std::env::var_os("WYCHEPROOF").map_or_else(usual, PathBuf::from)
}

fn vectors(name: &str) -> Value {
    let path = folder().join(name);
    let text = fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `make unit`, which fetches it", path.display()));
    serde_json::from_slice(&text).unwrap()
}

fn rules() -> Rules {
    let algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
    let jwt = v1::Jwt {
        issuer: "https://issuer.example.com".into(),
        audience_unchecked: true,
        algorithms: algorithms.map(str::to_owned).to_vec(),
        key_set: "keys".into(),
        ..v1::Jwt::default()
    };
    Rules::build(&jwt).unwrap()
}

/// The public halves of what a group signs with.
fn key_ring(group: &Value) -> Result<KeyRing, KeySetFault> {
    let given = if group["public"].is_object() { &group["public"] } else { &group["private"] };
    let mut keys = given["keys"].as_array().cloned().unwrap_or_else(|| vec![given.clone()]);
    for key in &mut keys {
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
            key.as_object_mut().unwrap().remove(member);
        }
    }
    KeyRing::parse(serde_json::json!({ "keys": keys }).to_string().as_bytes())
}

fn holds(group: &Value, token: &str) -> Result<(), String> {
    let keys = key_ring(group).map_err(|fault| fault.to_string())?;
    let verified = Parts::split(token).and_then(|parts| {
        decode(parts.payload)?;
        Seal::read((token, &parts), &rules())?.verify(&keys)
    });
    verified.map(drop).map_err(|fault| fault.to_string())
}

/// What the header names, read as leniently as can be.
fn algorithm(token: &str) -> String {
    let header = token.split('.').next().unwrap_or_default();
    let header: String =
        header.chars().filter(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter)).collect();
    let bytes = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let header: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    header["alg"].as_str().unwrap_or_default().to_owned()
}

fn judge(name: &str) -> (usize, Vec<String>) {
    let (vectors, mut wrong, mut accepted) = (vectors(name), Vec::new(), 0);
    for group in vectors["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let token = test["jws"].as_str().unwrap_or_default();
            let answer = holds(group, token);
            accepted += usize::from(answer.is_ok());
            let excepted = ACCEPTED.iter().any(|comment| test["comment"] == *comment);
            let expected = (test["result"] == "valid" && !is_refused_by_policy(&algorithm(token), test)) || excepted;
            if answer.is_ok() != expected {
                wrong.push(format!("{} {} {}: {answer:?}", test["tcId"], test["comment"], test["result"]));
            }
        }
    }
    (accepted, wrong)
}

#[test]
fn signatures() {
    let (accepted, wrong) = judge("json_web_signature_test.json");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(accepted > 10, "{accepted}");
}

#[test]
fn keys() {
    let (_, wrong) = judge("json_web_key_test.json");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Valid by the RFCs, and refused by policy.
fn is_not_opened_by_policy(header: &Value) -> bool {
    let named = |name: &str| header[name].as_str().unwrap_or_default().to_owned();
    let (algorithm, encryption) = (named("alg"), named("enc"));
    // A secret that both sides hold would be in every gateway; RSA with the older padding tells too much by how it fails.
    let unsafe_or_shared = algorithm == "dir" || algorithm == "RSA1_5" || algorithm.starts_with('A');
    // Sizes between the two that are taken are asked for by nobody.
    let middle = algorithm == "ECDH-ES+A192KW" || encryption.starts_with("A192");
    // What is unpacked can be larger than anybody has room for.
    unsafe_or_shared || middle || header.get("zip").is_some()
}

#[test]
fn encrypted_contents() {
    let (vectors, mut wrong, mut accepted) = (vectors("json_web_encryption_test.json"), Vec::new(), 0);
    for group in vectors["testGroups"].as_array().unwrap() {
        let keys = encrypted::tests::key_of(&group["private"]);
        for test in group["tests"].as_array().unwrap() {
            let token = test["jwe"].as_str().unwrap_or_default();
            let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap_or_default()).unwrap_or_default();
            let header = serde_json::from_slice(&header).unwrap_or_default();
            let found = keys.as_ref().map(|keys| encrypted::tests::content(keys, token));
            let found = found
                .and_then(Result::ok)
                .map(|content| content.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            accepted += usize::from(found.is_some());
            let is_opened = test["result"] == "valid" && !is_not_opened_by_policy(&header);
            let expected = is_opened.then(|| test["pt"].as_str().unwrap().to_owned());
            if found != expected {
                wrong.push(format!("{} {} {header}: {found:?}", test["tcId"], test["comment"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(accepted > 20, "{accepted}");
}
