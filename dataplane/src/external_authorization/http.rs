//! Envoy's ext_authz over HTTP: the request itself, at the authoriser.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, StatusCode, Uri, response};

use super::{Action, Answer, Change, Lists, MAX_VALUE_BYTES, No, Question, Unasked, Unusable, Yes, joined};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

pub(super) fn question(question: &Question, prefix: &str) -> Result<Request<Bytes>, Unasked> {
    let target = Uri::try_from(format!("{prefix}{}", question.path_and_query())).map_err(|_| Unasked::Form)?;
    let mut request = Request::new(question.body.clone().unwrap_or_default());
    *request.method_mut() = question.method.clone();
    *request.uri_mut() = target;
    let headers = request.headers_mut();
    told(question, headers)?;
    headers.insert(header::HOST, question.authority.clone());
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(address) = question.address {
        headers.insert(FORWARDED_FOR, HeaderValue::try_from(address.to_string()).map_err(|_| Unasked::Form)?);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(question.scheme));
    headers.insert(FORWARDED_HOST, question.forwarded_host.clone());
    Ok(request)
}

/// The caller's headers, and what is said besides.
fn told(question: &Question, headers: &mut HeaderMap) -> Result<(), Unasked> {
    *headers = question.headers.clone();
    if headers.contains_key(header::COOKIE) {
        let cookie = HeaderValue::from_bytes(&joined(headers, &header::COOKIE)).map_err(|_| Unasked::Form)?;
        headers.insert(header::COOKIE, cookie);
    }
    for (name, value) in &question.context {
        let unfit = || Unasked::Context(name.clone());
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
        // Whoever reads ` root` reads `root`.
        let is_padded = value.trim().len() != value.len();
        let value = HeaderValue::from_bytes(value.as_bytes()).ok().filter(|_| !is_padded).ok_or_else(unfit)?;
        headers.insert(header, value);
    }
    Ok(())
}

/// A yes is 200, and nothing else.
pub(super) fn answer(lists: &Lists<'_>, head: &response::Parts, body: &Bytes) -> Result<Answer, Unusable> {
    let status = head.status;
    if status == StatusCode::OK {
        let to_backend = listed(&head.headers, lists.to_backend)?;
        let to_caller = listed(&head.headers, lists.to_caller)?;
        return Ok(Answer::Yes(Box::new(Yes { to_backend, to_caller, ..Yes::default() })));
    }
    if status.is_server_error() || status.is_informational() {
        return Err(Unusable::Status(status));
    }
    let is_plain = head.headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    let mut passed = lists.passed(status, &head.headers, body).filter(|_| is_plain);
    if status.is_redirection() && passed.is_none() {
        // It has another answer somewhere, and nobody goes there.
        return Err(Unusable::Status(status));
    }
    if let (Some(passed), Some(kind)) = (&mut passed, head.headers.get(header::CONTENT_TYPE)) {
        passed.headers.insert(header::CONTENT_TYPE, kind.clone());
    }
    Ok(Answer::No(No { told: format!("it answered {status}"), passed }))
}

/// Of several lines each is heard.
fn listed(said: &HeaderMap, names: &[HeaderName]) -> Result<Vec<Change>, Unusable> {
    let mut changes = Vec::new();
    for name in names {
        for (at, value) in said.get_all(name).into_iter().enumerate() {
            if value.len() > MAX_VALUE_BYTES {
                return Err(Unusable::Header { name: name.to_string(), why: "the value is too large" });
            }
            // A cookie of the authoriser's takes none of the service's away.
            let action = if at > 0 || *name == header::SET_COOKIE { Action::Add } else { Action::Set };
            changes.push(Change { name: name.clone(), value: value.clone(), action });
        }
    }
    Ok(changes)
}
