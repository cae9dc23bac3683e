//! `envoy.service.auth.v3.Authorization/Check`: one message there, one back (gRPC over HTTP/2).

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, StatusCode, Version, response};
use prost::Message as _;

use super::messages::{
    Address, AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpRequest,
    OkHttpResponse, Peer, Request as Told, SocketAddress, Timestamp,
};
use super::{Action, Answer, Change, Lists, MAX_VALUE_BYTES, No, Question, Unasked, Unusable, Yes, joined};

const METHOD: &str = "/envoy.service.auth.v3.Authorization/Check";
const KIND: &str = "application/grpc";
/// A flag and a length of four bytes stand before each message.
const PREFIX_BYTES: usize = 5;

/// Nobody takes them away.
const FRAMING: [HeaderName; 5] =
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::TE, header::TRAILER];

/// `HeaderValueOption.HeaderAppendAction`.
mod append {
    pub(super) const IF_EXISTS_OR_ADD: i32 = 0;
    pub(super) const IF_ABSENT: i32 = 1;
    pub(super) const OVERWRITE_IF_EXISTS_OR_ADD: i32 = 2;
    pub(super) const OVERWRITE_IF_EXISTS: i32 = 3;
}

pub(super) fn question(
    question: &Question,
    timeout: Duration,
    authority: &HeaderValue,
) -> Result<Request<Bytes>, Unasked> {
    let message = CheckRequest { attributes: Some(attributes(question)?) };
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.encoded_len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.encoded_len()).map_err(|_| Unasked::Form)?);
    message.encode(&mut framed).map_err(|_| Unasked::Form)?;
    Request::post(METHOD)
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, KIND)
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, concat!("sallyport/", env!("CARGO_PKG_VERSION")))
        .header("grpc-timeout", format!("{}m", timeout.as_millis()))
        .body(framed.freeze())
        .map_err(|_| Unasked::Form)
}

/// Its messages hold texts.
pub(super) fn judge_headers(question: &Question) -> Result<(), Unasked> {
    question.headers.keys().try_for_each(|name| text(question, name).map(drop))
}

fn text(question: &Question, name: &HeaderName) -> Result<String, Unasked> {
    String::from_utf8(joined(&question.headers, name)).map_err(|_| Unasked::NoText(name.clone()))
}

fn attributes(question: &Question) -> Result<AttributeContext, Unasked> {
    let header = |name: &HeaderName| Ok((name.as_str().to_owned(), text(question, name)?));
    let size = question.body.as_ref().map(|body| body.len() as u64).or(question.size);
    let http = HttpRequest {
        id: question.id.clone(),
        method: question.method.as_str().to_owned(),
        headers: question.headers.keys().map(header).collect::<Result<_, _>>()?,
        path: question.path_and_query(),
        host: String::from_utf8_lossy(question.authority.as_bytes()).into_owned(),
        scheme: question.scheme.to_owned(),
        size: size.and_then(|size| i64::try_from(size).ok()).unwrap_or(-1),
        protocol: if question.version == Version::HTTP_2 { "HTTP/2" } else { "HTTP/1.1" }.to_owned(),
        raw_body: question.body.clone().unwrap_or_default(),
    };
    let millis = i32::try_from(question.time.0.rem_euclid(1000)).unwrap_or_default();
    let time = Timestamp { seconds: question.time.seconds(), nanos: millis * 1_000_000 };
    Ok(AttributeContext {
        source: Some(source(question)),
        request: Some(Told { time: Some(time), http: Some(http) }),
        context_extensions: question.context.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
    })
}

fn source(question: &Question) -> Peer {
    let address = |ip: std::net::IpAddr| Address {
        socket_address: Some(SocketAddress { address: ip.to_string(), port_value: Some(0) }),
    };
    Peer { address: question.address.map(address), principal: question.principal.clone().unwrap_or_default() }
}

pub(super) fn answer(
    lists: &Lists<'_>,
    head: &response::Parts,
    body: &Bytes,
    trailers: Option<&HeaderMap>,
) -> Result<Answer, Unusable> {
    if head.status != StatusCode::OK {
        return Err(Unusable::Status(head.status));
    }
    let kind = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !kind.starts_with(KIND.as_bytes()) {
        return Err(Unusable::Message("its content type is another"));
    }
    let status = trailers.and_then(|trailers| trailers.get("grpc-status")).or(head.headers.get("grpc-status"));
    match status.map(HeaderValue::as_bytes) {
        Some(b"0") => {}
        Some(other) => {
            return Err(Unusable::GrpcStatus(other.escape_ascii().to_string().chars().take(8).collect()));
        }
        None => return Err(Unusable::Message("it has no grpc-status")),
    }
    let message = CheckResponse::decode(unframed(body)?).map_err(|_| Unusable::Message("it cannot be decoded"))?;
    judge(lists, message)
}

fn unframed(body: &Bytes) -> Result<Bytes, Unusable> {
    let Some((&[flag, a, b, c, d], message)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(Unusable::Message("there is none"));
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    match flag {
        0 if length == message.len() => Ok(body.slice(PREFIX_BYTES..)),
        0 => Err(Unusable::Message("its length is another")),
        _ => Err(Unusable::Message("it is compressed")),
    }
}

/// What is not there is no yes, whatever it would be by default.
fn judge(lists: &Lists<'_>, said: CheckResponse) -> Result<Answer, Unusable> {
    let CheckResponse { status, denied_response, ok_response, error_response } = said;
    if error_response.is_some() {
        return Err(Unusable::Demand("error_response"));
    }
    match (status, denied_response) {
        (Some(status), None) if status.code == 0 => yes(lists, ok_response.unwrap_or_default()),
        (status, denied) => {
            // Its own words may be of somebody, and are not logged.
            let code = status.map_or("no status".to_owned(), |status| format!("status {}", status.code));
            let told = format!("it says no, with {code}");
            let passed = denied.map(|denied| passed(lists, denied)).transpose()?.flatten();
            Ok(Answer::No(No { told, passed }))
        }
    }
}

fn passed(lists: &Lists<'_>, denied: DeniedHttpResponse) -> Result<Option<Box<crate::rejection::Passed>>, Unusable> {
    let code = denied.status.map_or(0, |status| status.code);
    // Nothing stated is a plain no (`HttpStatus`: Empty).
    let status = if code == 0 { Some(StatusCode::FORBIDDEN) } else { u16::try_from(code).ok().and_then(status) };
    let Some(status) = status.filter(|_| lists.passes_denials) else { return Ok(None) };
    let mut said = HeaderMap::new();
    let listed: Vec<_> = lists.to_caller.iter().cloned().chain([header::CONTENT_TYPE]).collect();
    for change in changes(&denied.headers, &listed, Unstated::Add)?.0 {
        change.make(&mut said);
    }
    let kind = said.get(header::CONTENT_TYPE).cloned();
    let mut passed = lists.passed(status, &said, &Bytes::from(denied.body));
    if let (Some(passed), Some(kind)) = (&mut passed, kind) {
        passed.headers.insert(header::CONTENT_TYPE, kind);
    }
    Ok(passed)
}

fn status(code: u16) -> Option<StatusCode> {
    StatusCode::from_u16(code).ok()
}

fn yes(lists: &Lists<'_>, said: OkHttpResponse) -> Result<Answer, Unusable> {
    if !said.query_parameters_to_set.is_empty() || !said.query_parameters_to_remove.is_empty() {
        return Err(Unusable::Demand("another query"));
    }
    let removed = removed(&said.headers_to_remove)?;
    let (to_backend, one) = changes(&said.headers, lists.to_backend, Unstated::Set)?;
    let (to_caller, other) = changes(&said.response_headers_to_add, lists.to_caller, Unstated::Add)?;
    Ok(Answer::Yes(Box::new(Yes { removed, to_backend, to_caller, dropped: one + other })))
}

/// What is done with a header of which it is not said: it depends on where the list stands.
#[derive(Clone, Copy)]
enum Unstated {
    Set,
    Add,
}

/// Those that are listed, and how many are not.
fn changes(
    said: &[HeaderValueOption],
    listed: &[HeaderName],
    unstated: Unstated,
) -> Result<(Vec<Change>, usize), Unusable> {
    let mut changes = Vec::<Change>::new();
    let mut dropped = 0;
    for option in said {
        match change(option, unstated)? {
            Some(change) if listed.contains(&change.name) => changes.push(change),
            Some(_) => dropped += 1,
            None => {}
        }
    }
    Ok((changes, dropped))
}

/// What an entry sets; `None` for one that is empty.
fn change(option: &HeaderValueOption, unstated: Unstated) -> Result<Option<Change>, Unusable> {
    let Some(header) = &option.header else { return Ok(None) };
    let unusable = |why| Unusable::Header { name: header.key.chars().take(64).collect(), why };
    let name = HeaderName::from_bytes(header.key.as_bytes()).map_err(|_| unusable("this is no name of a header"))?;
    let value = if header.value.is_empty() { &*header.raw_value } else { header.value.as_bytes() };
    if value.len() > MAX_VALUE_BYTES {
        return Err(unusable("the value is too large"));
    }
    let value = HeaderValue::from_bytes(value).map_err(|_| unusable("no header can have that value"))?;
    let stated = match option.append_action {
        append::IF_EXISTS_OR_ADD => None,
        append::IF_ABSENT => Some(Action::AddIfAbsent),
        append::OVERWRITE_IF_EXISTS_OR_ADD => Some(Action::Set),
        append::OVERWRITE_IF_EXISTS => Some(Action::SetIfPresent),
        _ => return Err(unusable("append_action is not known")),
    };
    let action = match (&option.append, stated, unstated) {
        (Some(append), ..) => {
            if append.value {
                Action::Add
            } else {
                Action::Set
            }
        }
        (None, Some(action), _) => action,
        (None, None, Unstated::Set) => Action::Set,
        (None, None, Unstated::Add) => Action::Add,
    };
    Ok((!value.is_empty()).then_some(Change { name, value, action }))
}

/// What is not to reach the service. What frames a message is the gateway's own.
fn removed(said: &[String]) -> Result<Vec<HeaderName>, Unusable> {
    let read = |name: &String| {
        let unusable =
            || Unusable::Header { name: name.chars().take(64).collect(), why: "this is no name of a header" };
        // Envoy passes over these two.
        if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
            return Ok(None);
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
        Ok(Some(name).filter(|name| !FRAMING.contains(name)))
    };
    said.iter().map(read).filter_map(Result::transpose).collect()
}
