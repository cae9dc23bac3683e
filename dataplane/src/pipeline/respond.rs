//! The one place where a rejection becomes a response: problem JSON (RFC 9457) with the challenges of RFC 9110 and RFC 6750.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderName, Response};
use serde::Serialize;

use super::body::Body;
use crate::rejection::Rejection;

/// Below it stands one page for each reason.
const TYPE_BASE: &str = "https://sallyport.dev/reasons/";

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
pub(super) fn problem(rejection: &Rejection, instance: &str) -> Response<Body> {
    let meaning = rejection.reason.meaning();
    let problem = Problem {
        r#type: format!("{TYPE_BASE}{}", meaning.code),
        title: meaning.title,
        status: meaning.status.as_u16(),
        detail: meaning.detail,
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
    if let Some(seconds) = rejection.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if rejection.reason.ends_connection() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rejection::{Origin, Reason};

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
