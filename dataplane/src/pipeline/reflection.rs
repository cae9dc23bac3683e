//! What no caller may read in an answer: the credential that the service was shown in the query.
//!
//! Services that redirect often repeat the query that they were asked with. A credential in a header is repeated by none of their
//! own accord; bodies are not looked at.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::credential::QueryParameter;
use crate::path::Query;
use crate::rejection::{Reason, Rejection};

/// Fields whose value is an address (RFC 9110, 10.2.2 and 8.7).
static ADDRESSES: [HeaderName; 2] = [header::LOCATION, header::CONTENT_LOCATION];

/// How the names of fields end whose values are base64 (gRPC over HTTP/2, Custom-Metadata). `grpc-status-details-bin` is a message in
/// which texts stand as they are.
const BINARY: &str = "-bin";

/// As lenient as whoever reads such a value: senders should leave the padding out, and receivers have to take both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Takes the parameter out of the addresses in `headers`. Where the secret is somewhere else, nothing is answered.
pub(super) fn withdraw(headers: &mut HeaderMap, shown: &QueryParameter) -> Result<(), Rejection> {
    for name in &ADDRESSES {
        let cleaned = headers.get(name).and_then(|value| without(value, shown));
        if let Some(cleaned) = cleaned {
            headers.insert(name, cleaned);
        }
    }
    let repeating = headers.iter().find(|(name, value)| repeats(name, value, shown));
    repeating.map_or(Ok(()), |(name, _)| Err(reflected(&format!("in {name}"))))
}

/// Drops the trailers that the secret is in: the response is under way, and cannot be another any more. What is told of it.
pub(super) fn withhold(trailers: &mut HeaderMap, shown: &QueryParameter) -> Option<Rejection> {
    let repeating = trailers.iter().filter(|(name, value)| repeats(name, value, shown));
    let repeating: Vec<_> = repeating.map(|(name, _)| name.clone()).collect();
    for name in &repeating {
        trailers.remove(name);
    }
    repeating.first().map(|name| reflected(&format!("in the trailer {name}, which was dropped,")))
}

fn repeats(name: &HeaderName, value: &HeaderValue, shown: &QueryParameter) -> bool {
    shown.is_in(value.as_bytes())
        || (name.as_str().ends_with(BINARY) && decoded(value).any(|bytes| shown.is_in(&bytes)))
}

/// What is in a binary value, or in several that a comma joins. What cannot be decoded, nobody reads.
fn decoded(value: &HeaderValue) -> impl Iterator<Item = Vec<u8>> {
    let values = value.as_bytes().split(|byte| *byte == b',');
    values.filter_map(|value| BASE64.decode(value.trim_ascii()).ok())
}

fn reflected(place: &str) -> Rejection {
    Rejection::because(
        Reason::CredentialReflected,
        format!("the service's answer repeats {place} the secret that it was shown in the query"),
    )
}

/// The address without the parameter; `None` if it does not hold it.
fn without(value: &HeaderValue, shown: &QueryParameter) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let (address, fragment) = text.split_once('#').map_or((text, None), |(address, rest)| (address, Some(rest)));
    let (path, query) = address.split_once('?')?;
    let kept = Query(Some(query)).without(|name| name == shown.name.as_bytes());
    if kept.as_deref() == Some(query) {
        return None;
    }
    let query = kept.map(|kept| format!("?{kept}")).unwrap_or_default();
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    HeaderValue::try_from(format!("{path}{query}{fragment}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> QueryParameter {
        QueryParameter::new("api key", b"s&cret/value")
    }

    #[test]
    fn trailers_lose_what_holds_the_secret_and_nothing_else() {
        let field = |name: &str| name.parse::<HeaderName>().unwrap();
        let trailers = [
            ("x-sum", "1"),
            ("grpc-message", "no such row: s%26cret%2Fvalue"),
            ("location", "/dir/?api%20key=s%26cret%2Fvalue"),
            ("x-asked", "/dir/"),
            ("x-asked", "s&cret/value"),
        ];
        let trailers = trailers.iter().map(|(name, value)| (field(name), HeaderValue::from_static(value)));
        let mut trailers: HeaderMap = trailers.collect();
        let told = withhold(&mut trailers, &shown()).unwrap();
        assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
        assert!(told.reason == Reason::CredentialReflected && !told.origin.message.contains("cret/"));
        assert!(withhold(&mut trailers, &shown()).is_none() && trailers.len() == 1);
    }

    /// `s&cret/value` behind one, two and three bytes: each time it is other letters.
    #[test]
    fn what_is_binary_is_looked_into() {
        for (name, value, repeats) in [
            ("grpc-status-details-bin", "MXMmY3JldC92YWx1ZQ==", true),
            ("grpc-status-details-bin", "MXMmY3JldC92YWx1ZQ", true),
            ("grpc-status-details-bin", "MXMmY3JldC92YWx1ZR", true),
            ("x-bin", "MTJzJmNyZXQvdmFsdWU=", true),
            ("x-bin", "MTIzcyZjcmV0L3ZhbHVl", true),
            ("x-bin", "MTIz, MTIzcyZjcmV0L3ZhbHVl", true),
            // Percent-encoded before: `?key=s%26cret%2Fvalue`.
            ("x-bin", "P2tleT1zJTI2Y3JldCUyRnZhbHVl", true),
            ("x-bin", "MTIz", false),
            ("x-bin", "no base64", false),
            ("x-bin", "", false),
            ("x-text", "MTIzcyZjcmV0L3ZhbHVl", false),
        ] {
            let mut trailers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
            assert_eq!(withhold(&mut trailers, &shown()).is_some(), repeats, "{name}: {value}");
            assert_eq!(trailers.is_empty(), repeats, "{name}: {value}");
            // Where there is no body, what would be in trailers is in the head.
            assert_eq!(answered(name, value).is_err(), repeats, "{name}: {value}");
        }
    }

    fn answered(name: &str, value: &str) -> Result<HeaderMap, Rejection> {
        let name: HeaderName = name.parse().unwrap();
        let mut headers = HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())]);
        withdraw(&mut headers, &shown()).map(|()| headers)
    }

    #[test]
    fn addresses_lose_the_parameter_and_nothing_else() {
        for (sent, left) in [
            ("/dir/?api%20key=s%26cret%2Fvalue", "/dir/"),
            ("/dir/?a=1&api+key=s%26cret/value&b=%41#top", "/dir/?a=1&b=%41#top"),
            ("https://a.example.com/?api%20key=other", "https://a.example.com/"),
            ("/dir/?a=1#api", "/dir/?a=1#api"),
            ("/dir/", "/dir/"),
        ] {
            for name in ["location", "content-location"] {
                assert_eq!(answered(name, sent).unwrap()[name], left, "{name}: {sent}");
            }
        }
    }

    #[test]
    fn a_secret_anywhere_else_is_not_answered() {
        for (name, value) in [
            ("location", "/s%26cret%2fvalue/"),
            ("location", "/#api%20key=s%26cret%2Fvalue"),
            ("link", "</next?api%20key=s%26cret%2Fvalue>; rel=next"),
            ("refresh", "0; url=/?api key=s&cret/value"),
            ("x-asked", "%73%26cret%2Fvalue"),
            ("location", "/login?next=/dir%3Fapi%2520key%3Ds%2526cret%252Fvalue"),
            ("location", "/?to=%2Flogin%3Fnext%3D%2Fdir%253Fkey%253Ds%252526cret%25252Fvalue"),
            ("x-asked", "%2525252525252525252541"),
        ] {
            let refused = answered(name, value).unwrap_err();
            assert_eq!(refused.reason, Reason::CredentialReflected, "{name}: {value}");
            assert!(!refused.origin.message.contains("cret/"), "{}", refused.origin.message);
        }
        for value in ["</next>; rel=next", "</a?to=%2Fdir%3Fq%3D100%2525>; rel=next", "100%"] {
            assert!(answered("link", value).is_ok(), "{value}");
        }
    }
}
