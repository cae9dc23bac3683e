//! One look at an issuer: where its keys are, and what they are.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};
use sallyport_snapshot::v1::{Discovery, KeySet, key_set::Source};
use serde::Deserialize;

use crate::egress::{Answer, CallFault, Egress};
use crate::jwt::{Discredited, KeyRing, KeySetFault};

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

impl FetchFault {
    /// Keys that the issuer names, and of which it gives none that can be used.
    pub(super) fn discredited(&self) -> Option<&Discredited> {
        match self {
            Self::KeySet(KeySetFault::NoKey { discredited, .. }) => Some(discredited),
            _ => None,
        }
    }
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
async fn at_usual_places(egress: &Egress, set: &KeySet) -> Result<Answer, CallFault> {
    let [openid, oauth] = metadata_addresses(&set.issuer);
    match egress.get(&openid, &set.ca_certificates).await {
        Err(CallFault::Status { .. }) => egress.get(&oauth, &set.ca_certificates).await,
        other => other,
    }
}

/// The address of the keys, by the issuer's metadata.
async fn discover(egress: &Egress, set: &KeySet) -> Result<String, FetchFault> {
    let answer = match &set.source {
        Some(Source::Discovery(Discovery { metadata_uri })) if !metadata_uri.is_empty() => {
            egress.get(metadata_uri, &set.ca_certificates).await
        }
        _ => at_usual_places(egress, set).await,
    };
    let metadata = Metadata::parse(&answer.map_err(FetchFault::Metadata)?.body).ok_or(FetchFault::MetadataForm)?;
    if metadata.issuer != set.issuer {
        return Err(FetchFault::OtherIssuer { found: metadata.issuer, expected: set.issuer.clone() });
    }
    metadata.jwks_uri.ok_or(FetchFault::NoKeys)
}

/// What of an issuer's metadata is of use; all else is read over, and nothing is made of it.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Option<String>,
}

impl Metadata {
    /// `None` if it is no object, names no issuer, or has a member twice.
    fn parse(json: &[u8]) -> Option<Self> {
        // A list of the two values would be read as well.
        let is_object = json.trim_ascii_start().starts_with(b"{");
        serde_json::from_slice(json).ok().filter(|_| is_object)
    }
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

/// How long an answer may be used (RFC 9111, 4.2 and 5.2.2). Where it says several things, the shortest counts.
fn lifetime(headers: &HeaderMap) -> Duration {
    let lines = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|line| line.to_str().ok());
    let said = lines.flat_map(directives).filter_map(|(name, value)| match &*name {
        "no-store" | "no-cache" => Some(Duration::ZERO),
        "max-age" => seconds(value),
        _ => None,
    });
    let age = headers.get(AGE).and_then(|age| seconds(age.to_str().ok()?)).unwrap_or_default();
    let left = said.min().map_or(DEFAULT_LIFETIME, |lifetime| lifetime.saturating_sub(age));
    left.clamp(LIFETIME.0, LIFETIME.1)
}

/// The directives of one line: names in lower case, and values as they are written, without quotes.
fn directives(line: &str) -> impl Iterator<Item = (String, &str)> {
    let mut quoting = Quoting::Outside;
    let parts = line.split(move |letter| {
        quoting = quoting.after(letter);
        letter == ',' && matches!(quoting, Quoting::Outside)
    });
    parts.map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'))
    })
}

/// Where in a quoted string a line has come (RFC 9110, 5.6.4): a comma in it separates nothing.
#[derive(Clone, Copy)]
enum Quoting {
    Outside,
    Inside,
    Escaped,
}

impl Quoting {
    fn after(self, letter: char) -> Self {
        match (self, letter) {
            (Self::Outside, '"') | (Self::Escaped, _) => Self::Inside,
            (Self::Inside, '"') => Self::Outside,
            (Self::Inside, '\\') => Self::Escaped,
            (state, _) => state,
        }
    }
}

/// A number of seconds; one that is too large is as good as the largest (RFC 9111, 1.2.2).
fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
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
    fn of_metadata_only_what_is_asked_for_is_read() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let text = format!(r#"{{"issuer":"https://a","claims":{deep},"jwks_uri":"https://a/jwks","":1,"":2}}"#);
        let metadata = Metadata::parse(text.as_bytes()).unwrap();
        assert_eq!((&*metadata.issuer, metadata.jwks_uri.as_deref()), ("https://a", Some("https://a/jwks")));
        for text in [
            "",
            "null",
            r#"["https://a","https://a/jwks"]"#,
            r#"{"jwks_uri":"https://a/jwks"}"#,
            r#"{"issuer":["https://a"]}"#,
            r#"{"issuer":"https://a","issuer":"https://a"}"#,
            r#"{"issuer":"https://a","jwks_uri":"https://a/","jwks_uri":"https://b/"}"#,
            r#"{"issuer":"https://a","jwks_uri":7}"#,
            r#"{"issuer":"https://a"} x"#,
        ] {
            assert!(Metadata::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn lifetimes_are_bounded() {
        for (value, seconds) in [
            ("max-age=600", 600),
            ("public, max-age=900", 900),
            ("max-age=1", 300),
            ("max-age=999999999", 86_400),
            ("max-age=99999999999999999999999", 86_400),
            ("max-age=x", 3600),
            ("max-age=", 3600),
            ("max-age=-1", 3600),
            ("max-age", 3600),
            ("x-max-age=600", 3600),
            ("", 3600),
            ("public, Max-Age=900", 900),
            ("MAX-AGE=900", 900),
            ("max-age=\"900\"", 900),
            (" , max-age = 900 ,", 900),
            ("private=\"a, max-age=600\", max-age=900", 900),
            ("ext=\"a\\\", max-age=600\", max-age=900", 900),
            ("max-age=900, max-age=600", 600),
            ("no-store", 300),
            ("No-Store", 300),
            ("no-cache", 300),
            ("no-cache=\"set-cookie\"", 300),
            ("max-age=7200, no-cache", 300),
            ("no-storefront, max-age=7200", 7200),
            ("must-revalidate, max-age=7200", 7200),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, value.parse().unwrap())]);
            assert_eq!(lifetime(&headers), Duration::from_secs(seconds), "{value}");
        }
    }

    #[test]
    fn what_has_aged_on_the_way_is_used_the_shorter() {
        for (value, age, seconds) in [
            ("max-age=7200", "1200", 6000),
            ("max-age=7200", "7000", 300),
            ("max-age=7200", "99999999999999999999999", 300),
            ("max-age=7200", "-1", 7200),
            ("max-age=7200", "soon", 7200),
            ("public", "1200", 3600),
            ("max-age=999999999", "600", 86_400),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, value.parse().unwrap()), (AGE, age.parse().unwrap())]);
            assert_eq!(lifetime(&headers), Duration::from_secs(seconds), "{value}, {age}");
        }
    }

    #[test]
    fn lines_are_read_as_one() {
        let line = |text: &'static str| (CACHE_CONTROL, text.parse().unwrap());
        let headers = HeaderMap::from_iter([]);
        assert_eq!(lifetime(&headers), DEFAULT_LIFETIME);
        let mut headers = HeaderMap::from_iter([line("public")]);
        headers.append(CACHE_CONTROL, "max-age=900".parse().unwrap());
        assert_eq!(lifetime(&headers), Duration::from_secs(900));
        headers.append(CACHE_CONTROL, "no-store".parse().unwrap());
        assert_eq!(lifetime(&headers), LIFETIME.0);
    }
}
