//! Requests that another site has made a browser send, with the cookies that it keeps for this one.

use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::authenticate::Caller;

/// Where the request comes from, by the browser's word (Fetch Metadata Request Headers, 2.3).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a browser says so. What changes nothing is not looked at, since the other site does not see its answer; a connection that becomes
/// another is. Without a word it is no browser of today.
pub(super) fn has_sent(caller: &Caller<'_>) -> bool {
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(caller.method);
    if is_safe && caller.hop.upgrade.is_none() {
        return false;
    }
    match lines(caller.headers, &SITE).as_slice() {
        [] => is_of_other(caller.headers, caller.hop.authority),
        [site] => !matches!(site.as_bytes(), b"same-origin" | b"none"),
        _ => true,
    }
}

/// By what an older browser says (RFC 6454, 7).
fn is_of_other(headers: &HeaderMap, authority: Option<&HeaderValue>) -> bool {
    match lines(headers, &header::ORIGIN).as_slice() {
        [] => false,
        [origin] => {
            let origin = origin.as_bytes();
            let host = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
            !host.zip(authority).is_some_and(|(host, own)| host.eq_ignore_ascii_case(own.as_bytes()))
        }
        _ => true,
    }
}

fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a HeaderValue> {
    headers.get_all(name).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_other(lines: &[(&str, &str)]) -> bool {
        let (mut headers, own) = (HeaderMap::new(), HeaderValue::from_static("api.example.com:8443"));
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        is_of_other(&headers, Some(&own))
    }

    #[test]
    fn an_origin_is_its_own_by_host_and_port() {
        for (origin, other) in [
            ("https://api.example.com:8443", false),
            ("https://API.example.com:8443", false),
            ("http://api.example.com:8443", false),
            ("https://api.example.com", true),
            ("https://evil.example", true),
            ("https://api.example.com:8443.evil.example", true),
            ("https://evil.example/https://api.example.com:8443", true),
            ("api.example.com:8443", true),
            ("null", true),
            ("", true),
        ] {
            assert_eq!(of_other(&[("origin", origin)]), other, "{origin}");
        }
        assert!(!of_other(&[]));
        assert!(of_other(&[("origin", "https://api.example.com:8443"), ("origin", "https://evil.example")]));
    }
}
