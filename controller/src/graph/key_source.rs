//! Where the keys of a token's issuer are.

use std::net::IpAddr;

use prost::Message as _;
use sallyport_api::condition::Reason;
use sallyport_api::policy::{EntraId, Jwt, Keys};
use sallyport_snapshot::Hash;
use sallyport_snapshot::v1::{self, key_set::Source};

use super::Environment;
use super::certificate::{all_authorities, config_entry, entry, secret};
use super::entra_id;
use super::grant::End;
use super::token::Token;
use crate::cluster::{ClusterState, ObjectName};
use crate::problem::Problem;

/// The key set that `token` names, with the name that its settings give it.
pub fn key_set(
    cluster: &ClusterState,
    environment: Environment,
    policy: &ObjectName,
    token: Token<'_>,
    field: &str,
) -> Result<(String, v1::KeySet), Problem> {
    let referrer = End { group: sallyport_api::GROUP, kind: "ApiPolicy", namespace: &policy.namespace };
    let references = &token.rules().ca_certificate_refs;
    let ca_certificates = all_authorities(cluster, referrer, references, &format!("{field}.caCertificateRefs"))?;
    let (issuer, source) = match token {
        Token::Jwt(jwt) => (jwt.issuer.clone(), source(cluster, environment, policy, jwt, field)?),
        Token::EntraId(entra) => entra_metadata(environment, entra, field)?,
    };
    let set = v1::KeySet { issuer, source: Some(source), ca_certificates };
    let name = format!("{}#{}", set.issuer, Hash::of_bytes(&set.encode_to_vec()));
    Ok((name, set))
}

/// The issuer of the keys, and where they are found.
fn entra_metadata(environment: Environment, entra: &EntraId, field: &str) -> Result<(String, Source), Problem> {
    if let Some(authority) = &entra.authority {
        judge_address(environment, authority, &format!("{field}.authority"))?;
    }
    let (issuer, metadata_uri) = entra_id::metadata(entra);
    Ok((issuer, Source::Discovery(v1::Discovery { metadata_uri })))
}

fn source(
    cluster: &ClusterState,
    environment: Environment,
    policy: &ObjectName,
    jwt: &Jwt,
    field: &str,
) -> Result<Source, Problem> {
    let Some(keys) = &jwt.keys else {
        judge_address(environment, &jwt.issuer, &format!("{field}.issuer"))?;
        return Ok(Source::Discovery(v1::Discovery::default()));
    };
    let place = |name: &str| ObjectName::new(&policy.namespace, name);
    let json = match keys {
        Keys { jwks: Some(jwks), .. } => {
            judge_address(environment, &jwks.uri, &format!("{field}.keys.jwks.uri"))?;
            return Ok(Source::JwksUri(jwks.uri.clone()));
        }
        Keys { config_map_ref: Some(reference), .. } => {
            config_entry(cluster, &place(&reference.name), &reference.key, &format!("{field}.keys.configMapRef"))?
                .into_bytes()
        }
        Keys { secret_ref: Some(reference), .. } => {
            let (field, name) = (format!("{field}.keys.secretRef"), place(&reference.name));
            entry(secret(cluster, &name, &field)?, &name, &reference.key, &field)?.to_vec()
        }
        Keys { inline, .. } => inline.clone().unwrap_or_default().into_bytes(),
    };
    judge_set(&json, &format!("{field}.keys"))?;
    Ok(Source::Jwks(cluster.shared.of(&json)))
}

/// A JWK Set whose keys verify and hold no secret. The data plane leaves out single keys that it cannot use.
fn judge_set(json: &[u8], field: &str) -> Result<(), Problem> {
    let invalid = |why: &str| Err(Problem::new(field, Reason::SecretInvalid, format!("this is no JWK Set: {why}")));
    let Ok(set) = serde_json::from_slice::<serde_json::Value>(json) else {
        return invalid("it is no JSON; store {\"keys\": [...]}");
    };
    let Some(keys) = set["keys"].as_array() else { return invalid("it has no list keys; store {\"keys\": [...]}") };
    let is_public =
        |key: &serde_json::Value| key["d"].is_null() && matches!(key["kty"].as_str(), Some("RSA" | "EC" | "OKP"));
    if !keys.iter().any(is_public) {
        return invalid("none of its keys is a public key; store the public keys of the issuer");
    }
    if keys.iter().any(|key| !key["d"].is_null()) {
        return invalid("it holds a private key; store public keys only");
    }
    Ok(())
}

/// https, or in standalone http to loopback.
pub(super) fn judge_address(environment: Environment, address: &str, field: &str) -> Result<(), Problem> {
    let invalid = |why: String| Err(Problem::new(field, Reason::Invalid, why));
    let Ok(uri) = address.parse::<http::Uri>() else {
        return invalid(format!("{address:?} is no address; write https://..."));
    };
    let Some(host) = uri.host() else { return invalid(format!("{address:?} names no host; write https://...")) };
    let is_loopback =
        host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_loopback && environment == Environment::Standalone => Ok(()),
        _ => invalid(format!(
            "{address:?} is not https; plain http is taken only to loopback, and only outside a cluster"
        )),
    }
}
