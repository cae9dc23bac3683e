//! One look at an issuer: where its keys are, and what they are.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::CACHE_CONTROL;
use sallyport_snapshot::v1::{KeySet, key_set::Source};
use serde_json::Value;

use crate::egress::{CallFault, Egress};
use crate::jwt::{KeyRing, KeySetFault};

/// How long keys are used before the next look, whatever the issuer says.
const LIFETIME: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(86_400));
/// Where the issuer says nothing.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

/// Keys, and how long they may be used before the next look.
pub(super) struct Fresh {
    pub ring: Arc<KeyRing>,
    pub lifetime: Duration,
}

/// Why a look gave no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchFault {
    #[error("the issuer's metadata cannot be had")]
    Metadata(#[source] CallFault),
    #[error("the issuer's metadata is no JSON object")]
    MetadataForm,
    #[error("the metadata is that of {found:?}, not of {expected:?}")]
    OtherIssuer { found: String, expected: String },
    #[error("the metadata names no jwks_uri")]
    NoKeys,
    #[error("the key set cannot be had")]
    Keys(#[source] CallFault),
    #[error("the key set cannot be used")]
    KeySet(#[source] KeySetFault),
}

/// Looks once.
pub(super) async fn key_ring(egress: &Egress, set: &KeySet) -> Result<Fresh, FetchFault> {
    let address = match &set.source {
        Some(Source::JwksUri(address)) => address.clone(),
        _ => discover(egress, set).await?,
    };
    let answer = egress.get(&address, &set.ca_certificates).await.map_err(FetchFault::Keys)?;
    let ring = KeyRing::parse(&answer.body).map_err(FetchFault::KeySet)?;
    Ok(Fresh { ring: Arc::new(ring), lifetime: lifetime(&answer.headers) })
}

/// OpenID Connect Discovery 1.0, 4; if that is not there, RFC 8414, 3.1.
async fn discover(egress: &Egress, set: &KeySet) -> Result<String, FetchFault> {
    let [openid, oauth] = metadata_addresses(&set.issuer);
    let answer = match egress.get(&openid, &set.ca_certificates).await {
        Err(CallFault::Status { .. }) => egress.get(&oauth, &set.ca_certificates).await,
        other => other,
    };
    let metadata: Value =
        serde_json::from_slice(&answer.map_err(FetchFault::Metadata)?.body).map_err(|_| FetchFault::MetadataForm)?;
    let found = metadata.get("issuer").and_then(Value::as_str).ok_or(FetchFault::MetadataForm)?;
    if found != set.issuer {
        return Err(FetchFault::OtherIssuer { found: found.to_owned(), expected: set.issuer.clone() });
    }
    metadata.get("jwks_uri").and_then(Value::as_str).map(str::to_owned).ok_or(FetchFault::NoKeys)
}

fn metadata_addresses(issuer: &str) -> [String; 2] {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    let origin_end =
        base.find("://").and_then(|at| base.get(at + 3..).and_then(|rest| rest.find('/')).map(|slash| at + 3 + slash));
    let (origin, path) = base.split_at(origin_end.unwrap_or(base.len()));
    [
        format!("{base}/.well-known/openid-configuration"),
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
    ]
}

fn lifetime(headers: &HeaderMap) -> Duration {
    let directives = headers
        .get_all(CACHE_CONTROL)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let mut ages = directives.filter_map(|directive| directive.trim().strip_prefix("max-age=")?.parse().ok());
    ages.next().map_or(DEFAULT_LIFETIME, Duration::from_secs).clamp(LIFETIME.0, LIFETIME.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_below_the_issuer_and_below_the_origin() {
        let [openid, oauth] = metadata_addresses("https://login.example.com/realms/shop");
        assert_eq!(openid, "https://login.example.com/realms/shop/.well-known/openid-configuration");
        assert_eq!(oauth, "https://login.example.com/.well-known/oauth-authorization-server/realms/shop");
        let [openid, oauth] = metadata_addresses("https://login.example.com/");
        assert_eq!(openid, "https://login.example.com/.well-known/openid-configuration");
        assert_eq!(oauth, "https://login.example.com/.well-known/oauth-authorization-server");
    }

    #[test]
    fn lifetimes_are_bounded() {
        for (value, seconds) in [
            ("max-age=600", 600),
            ("public, max-age=900", 900),
            ("max-age=1", 300),
            ("max-age=999999999", 86_400),
            ("no-store", 3600),
            ("max-age=x", 3600),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, value.parse().unwrap())]);
            assert_eq!(lifetime(&headers), Duration::from_secs(seconds), "{value}");
        }
    }
}
