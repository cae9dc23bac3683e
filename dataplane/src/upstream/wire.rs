//! The form of a request on the wire, made for each attempt: what one connection speaks says nothing of the next.
//!
//! Each form can be made of the other: a request that was not sent comes back in the form that it was to be sent in.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, Version};
use http_body::Body as HttpBody;

/// HTTP/1.1: a path, and the authority in `Host` (RFC 9112, 3.2.1). Who says `TE` names it in `Connection` (RFC 9110, 10.1.4). A
/// body without a length is chunked, whatever the method: hyper takes GET and HEAD without either to have none.
pub(super) fn of_http1<B: HttpBody>(mut request: Request<B>) -> Request<B> {
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
    if has_open_end(&request) {
        request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    *request.version_mut() = Version::HTTP_11;
    request
}

/// Whether nobody can tell beforehand where the body ends.
fn has_open_end<B: HttpBody>(request: &Request<B>) -> bool {
    let body = request.body();
    !body.is_end_stream()
        && body.size_hint().exact().is_none()
        && !request.headers().contains_key(header::CONTENT_LENGTH)
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
    request.headers_mut().remove(header::TRANSFER_ENCODING);
    *request.version_mut() = Version::HTTP_2;
    Some(request)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http_body_util::{BodyExt as _, Empty, Full, StreamBody};

    use super::*;

    type Body = http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>;

    fn handed_over(fields: &[(&'static str, &'static str)]) -> Request<Body> {
        handed_over_with(fields, Empty::new().boxed())
    }

    fn handed_over_with(fields: &[(&'static str, &'static str)], body: Body) -> Request<Body> {
        let mut request = Request::post("/orders?a=b").header(header::HOST, "api.example.com:8443");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(body).unwrap()
    }

    /// Nobody can tell beforehand how much comes.
    fn open_ended() -> Body {
        let frame = Ok(http_body::Frame::data(Bytes::from_static(b"abc")));
        StreamBody::new(futures_util::stream::iter([frame])).boxed()
    }

    /// All that a request says, in one text; its fields have no order.
    fn said(request: &Request<Body>) -> String {
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
        for body in [|| Empty::new().boxed(), open_ended] {
            let direct = said(&of_http2(handed_over_with(FIELDS[1], body()), true).unwrap());
            let tried = of_http1(handed_over_with(FIELDS[1], body()));
            let tried = of_http2(of_http2(tried, false).unwrap(), true).unwrap();
            assert_eq!(said(&tried), direct);
        }
    }

    #[test]
    fn what_has_an_open_end_is_chunked_in_http_1_alone() {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            let asked = |fields, body| {
                let mut request = handed_over_with(fields, body);
                *request.method_mut() = method.clone();
                request
            };
            let chunked = of_http1(asked(&[], open_ended()));
            assert_eq!(chunked.headers()["transfer-encoding"], "chunked", "{method}");
            assert!(!of_http2(chunked, true).unwrap().headers().contains_key("transfer-encoding"), "{method}");
            for (fields, body) in [
                (&[][..], Empty::new().boxed()),
                (&[], Full::from("abc").boxed()),
                (&[("content-length", "3")], Full::from("abc").boxed()),
                (&[("content-length", "3")], open_ended()),
            ] {
                let request = of_http1(asked(fields, body));
                assert!(!request.headers().contains_key("transfer-encoding"), "{method} {fields:?}");
            }
        }
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
