//! The one place where a rejection becomes a response: problem JSON (RFC 9457) with the challenges of RFC 9110 and RFC 6750.
//!
//! Callers that speak gRPC read the HTTP status of a refusal as well (gRPC's "HTTP to gRPC Status Code Mapping"), 401 as
//! UNAUTHENTICATED and 503 as UNAVAILABLE. It has no number for a route that leads nowhere: Gateway API asks for UNAVAILABLE there
//! (GRPCRoute, `backendRefs`), while 500 would be read as UNKNOWN. So would 413, which asking again does not help.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{HeaderName, Response, StatusCode};
use serde::Serialize;

use super::body::Body;
use crate::rejection::{Passed, Reason, Rejection, Told};

/// Below it stands one page for each reason.
const TYPE_BASE: &str = "https://sallyport.dev/reasons/";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// gRPC's number for UNAVAILABLE.
const UNAVAILABLE: HeaderValue = HeaderValue::from_static("14");

/// gRPC's number for RESOURCE_EXHAUSTED, which its own bounds on messages answer with.
const RESOURCE_EXHAUSTED: HeaderValue = HeaderValue::from_static("8");

/// In which protocol the caller of a route reads answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Speech {
    #[default]
    Http,
    Grpc,
}

impl Speech {
    /// Of a caller of a GRPCRoute: gRPC where the content type says so. Its relatives, such as gRPC-Web, are read by others.
    pub(super) fn of_grpc_route(headers: &HeaderMap) -> Self {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        match kind.strip_prefix("application/grpc") {
            Some(rest) if rest.is_empty() || rest.starts_with(['+', ';', ' ']) => Self::Grpc,
            _ => Self::Http,
        }
    }
}

/// With a 401 that nobody has a better challenge for (RFC 9110, 15.5.2, wants one).
const CHALLENGE: &str = r#"Bearer realm="sallyport""#;

/// With a refused method (RFC 9110, 15.5.6): those in use that the gateway hands on. The service may take fewer, or others.
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    reason: &'a str,
    instance: &'a str,
}

/// What the caller reads: nothing of the configuration, and the instance under which the operator finds the rest.
pub(super) fn refusal(rejection: &Rejection, speech: Speech, instance: &str) -> Response<Body> {
    if let (Speech::Http, Some(Told::Answer(passed))) = (speech, rejection.told.as_deref()) {
        return in_words_of_others(passed);
    }
    match (speech, rejection.reason) {
        (Speech::Grpc, Reason::Configuration) => trailers_only(UNAVAILABLE, rejection, instance),
        (Speech::Grpc, Reason::BodyTooLarge) => trailers_only(RESOURCE_EXHAUSTED, rejection, instance),
        (Speech::Http | Speech::Grpc, _) => problem(rejection, instance),
    }
}

/// What an authoriser has said. Nobody keeps it, unless that says so.
fn in_words_of_others(passed: &Passed) -> Response<Body> {
    let mut response = Response::new(Body::whole(passed.body.clone()));
    *response.status_mut() = passed.status;
    *response.headers_mut() = passed.headers.clone();
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A response that is nothing but a head, which gRPC calls Trailers-Only: for what its clients would make nothing of by the status of HTTP.
fn trailers_only(status: HeaderValue, rejection: &Rejection, instance: &str) -> Response<Body> {
    let detail = rejection.reason.meaning().detail;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, status);
    if let Ok(message) = HeaderValue::from_str(&format!("{detail} Instance {instance}.")) {
        headers.insert(GRPC_MESSAGE, message);
    }
    response
}

fn problem(rejection: &Rejection, instance: &str) -> Response<Body> {
    let meaning = rejection.reason.meaning();
    let problem = Problem {
        r#type: format!("{TYPE_BASE}{}", meaning.code),
        title: meaning.title,
        status: meaning.status.as_u16(),
        detail: match rejection.told.as_deref() {
            Some(Told::Detail(words)) => words,
            Some(Told::Answer(_)) | None => meaning.detail,
        },
        reason: meaning.code,
        instance,
    };
    let json = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(Body::whole(Bytes::from(json)));
    *response.status_mut() = meaning.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    for challenge in &rejection.challenges {
        headers.append(header::WWW_AUTHENTICATE, challenge.clone());
    }
    if meaning.status == StatusCode::UNAUTHORIZED && rejection.challenges.is_empty() {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    if let Some(seconds) = rejection.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allowance) = &rejection.allowance {
        allowance.write(headers);
    }
    if meaning.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static(ALLOWED));
    }
    if rejection.reason.ends_connection() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rejection::Origin;

    #[test]
    fn only_grpc_itself_is_answered_in_it() {
        for (kind, speech) in [
            ("application/grpc", Speech::Grpc),
            ("application/grpc+proto", Speech::Grpc),
            ("application/grpc;charset=utf-8", Speech::Grpc),
            ("application/grpc ; charset=utf-8", Speech::Grpc),
            ("application/grpc-web", Speech::Http),
            ("application/grpc-web+proto", Speech::Http),
            ("application/grpcx", Speech::Http),
            ("application/json", Speech::Http),
            ("text/application/grpc", Speech::Http),
            ("", Speech::Http),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(Speech::of_grpc_route(&headers), speech, "{kind}");
        }
        assert_eq!(Speech::of_grpc_route(&HeaderMap::new()), Speech::Http);
    }

    #[test]
    fn no_401_leaves_without_a_challenge() {
        let unauthorized = Reason::ALL.iter().filter(|reason| reason.meaning().status == StatusCode::UNAUTHORIZED);
        let refused: Vec<_> =
            unauthorized.map(|reason| refusal(&Rejection::plain(*reason), Speech::Http, "0123")).collect();
        assert!(refused.len() >= 3);
        assert!(refused.iter().all(|response| response.headers().contains_key(header::WWW_AUTHENTICATE)));
    }

    #[test]
    fn of_all_reasons_grpc_has_another_answer_for_those_whose_status_it_does_not_read() {
        for reason in Reason::ALL {
            let response = refusal(&Rejection::plain(*reason), Speech::Grpc, "0123");
            let number = response.headers().get(GRPC_STATUS);
            let expected = match reason {
                Reason::Configuration => Some(UNAVAILABLE),
                Reason::BodyTooLarge => Some(RESOURCE_EXHAUSTED),
                _ => None,
            };
            assert_eq!(number, expected.as_ref(), "{reason:?}");
            let status = if number.is_some() { StatusCode::OK } else { reason.meaning().status };
            assert_eq!(response.status(), status, "{reason:?}");
        }
    }

    #[tokio::test]
    async fn the_caller_reads_nothing_of_the_configuration() {
        use http_body_util::BodyExt as _;
        for reason in Reason::ALL {
            let origin = Origin {
                object: "ApiPolicy shop/secret-name".into(),
                message: "internal words".into(),
                ..Origin::default()
            };
            let response = problem(&Rejection::decided_by(origin, *reason), "0123");
            assert_eq!(response.status(), reason.meaning().status);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert!(!text.contains("secret-name") && !text.contains("internal words"), "{text}");
            assert!(text.contains(reason.code()) && text.contains("0123"), "{text}");
        }
    }
}
