//! The form of a request on the wire, made for each attempt: what one connection speaks says nothing of the next.
//!
//! Each form can be made of the other: a request that was not sent comes back in the form that it was to be sent in.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, Version};

/// HTTP/1.1: a path, and the authority in `Host` (RFC 9112, 3.2.1). Who says `TE` names it in `Connection` (RFC 9110, 10.1.4).
pub(super) fn of_http1<B>(mut request: Request<B>) -> Request<B> {
    if let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    }
    if request.headers().contains_key(header::TE) {
        let upgrades = request.headers().contains_key(header::UPGRADE);
        let named = HeaderValue::from_static(if upgrades { "upgrade, te" } else { "te" });
        request.headers_mut().insert(header::CONNECTION, named);
    }
    *request.version_mut() = Version::HTTP_11;
    request
}

/// HTTP/2: scheme and authority beside the path (RFC 9113, 8.3.1), no `Host`, and nothing of the connection (8.2.2). `None` if it
/// names no host.
pub(super) fn of_http2<B>(mut request: Request<B>, is_tls: bool) -> Option<Request<B>> {
    let host = request.headers().get(header::HOST);
    let named = host.and_then(|host| Authority::from_maybe_shared(Bytes::copy_from_slice(host.as_bytes())).ok());
    let mut parts = request.uri().clone().into_parts();
    parts.authority = named.or(parts.authority);
    parts.scheme = Some(if is_tls { Scheme::HTTPS } else { Scheme::HTTP });
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    request.headers_mut().remove(header::HOST);
    request.headers_mut().remove(header::CONNECTION);
    *request.version_mut() = Version::HTTP_2;
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed_over(fields: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::post("/orders?a=b").header(header::HOST, "api.example.com:8443");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    /// All that a request says, in one text; its fields have no order.
    fn said(request: &Request<()>) -> String {
        let mut fields: Vec<_> = request.headers().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        fields.sort();
        format!("{} {} {:?} {fields:?}", request.method(), request.uri(), request.version())
    }

    const FIELDS: [&[(&str, &str)]; 3] = [
        &[("x-one", "1"), ("content-length", "3")],
        &[("te", "trailers")],
        &[("te", "trailers"), ("upgrade", "websocket"), ("connection", "upgrade")],
    ];

    #[test]
    fn what_was_tried_before_changes_nothing() {
        for fields in FIELDS {
            let plain = said(&of_http1(handed_over(fields)));
            for is_tls in [true, false] {
                let after = of_http1(of_http2(of_http1(handed_over(fields)), is_tls).unwrap());
                assert_eq!(said(&after), plain);
            }
        }
        let direct = said(&of_http2(handed_over(FIELDS[1]), true).unwrap());
        let tried = of_http2(of_http2(of_http1(handed_over(FIELDS[1])), false).unwrap(), true).unwrap();
        assert_eq!(said(&tried), direct);
    }

    #[test]
    fn http_1_has_a_path_and_its_host_in_a_field() {
        let request = of_http1(handed_over(FIELDS[0]));
        assert_eq!((request.uri().to_string().as_str(), request.version()), ("/orders?a=b", Version::HTTP_11));
        assert_eq!(request.headers()["host"], "api.example.com:8443");
        assert!(!request.headers().contains_key("connection"));
        assert_eq!(of_http1(handed_over(FIELDS[1])).headers()["connection"], "te");
        assert_eq!(of_http1(handed_over(FIELDS[2])).headers()["connection"], "upgrade, te");
    }

    #[test]
    fn http_2_has_its_authority_beside_the_path_and_nothing_of_the_connection() {
        let request = of_http2(of_http1(handed_over(FIELDS[1])), true).unwrap();
        assert_eq!(request.uri(), "https://api.example.com:8443/orders?a=b");
        assert_eq!((request.version(), request.headers()["te"].as_bytes()), (Version::HTTP_2, &b"trailers"[..]));
        assert!(!request.headers().contains_key("host") && !request.headers().contains_key("connection"));
    }

    #[test]
    fn a_request_that_names_no_host_is_not_sent_without_one() {
        for host in ["", "a b", "a/b"] {
            let mut request = handed_over(&[]);
            request.headers_mut().insert(header::HOST, HeaderValue::from_static(host));
            assert!(of_http2(request, true).is_none(), "{host}");
        }
    }
}
