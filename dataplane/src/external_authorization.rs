//! Questions to authorisers, whether a request may pass, and what they answer: the two protocols of Envoy's ext_authz. Who asks, and when, is
//! the pipeline's affair.

mod grpc;
mod http;
mod messages;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, Request, StatusCode, Version, response};
use bytes::Bytes;

use crate::clock::UnixMs;
use crate::rejection::Passed;
use crate::runtime::policy::external_authorization::{Asked, Speech};

/// The largest answer.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The largest head of one.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The largest value of a header that it sets.
const MAX_VALUE_BYTES: usize = 8 * 1024;
/// The largest body that is passed on.
const MAX_PASSED_BYTES: usize = 8 * 1024;

/// What an authoriser is told of a request.
#[derive(Clone)]
pub struct Question {
    /// Names the exchange in the log.
    pub id: String,
    pub time: UnixMs,
    pub method: Method,
    /// As a trusted proxy says, if one does; so is the host that is told besides.
    pub scheme: &'static str,
    pub forwarded_host: HeaderValue,
    /// Host and port, as they were asked for.
    pub authority: HeaderValue,
    /// In the canonical form.
    pub path: String,
    /// Without what credentials stand in.
    pub query: Option<String>,
    pub version: Version,
    /// Of the client, where it can be read.
    pub address: Option<IpAddr>,
    /// Whom a certificate is of that has been verified.
    pub principal: Option<String>,
    /// Of the caller's those that are told.
    pub headers: HeaderMap,
    pub context: Vec<(Box<str>, String)>,
    /// How long its body is, where that is said.
    pub size: Option<u64>,
    /// The whole of it, where it is shown.
    pub body: Option<Bytes>,
}

/// Why something cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unasked {
    /// It is the caller's fault.
    #[error("{0} is to be shown to the authoriser, and is no UTF-8")]
    NoText(HeaderName),
    #[error("context {0} cannot stand in a header")]
    Context(Box<str>),
    #[error("the question cannot be written")]
    Form,
}

/// What came of a question.
#[cfg_attr(test, derive(Debug))]
pub enum Answer {
    Yes(Box<Yes>),
    No(No),
}

/// The request may pass.
#[derive(Default)]
#[cfg_attr(test, derive(Debug))]
pub struct Yes {
    /// Headers that the service is not sent, whoever has set them.
    pub removed: Vec<HeaderName>,
    pub to_backend: Vec<Change>,
    pub to_caller: Vec<Change>,
    /// Headers that it wanted to set, and that nobody has listed.
    pub dropped: usize,
}

/// A header that an authoriser sets.
#[cfg_attr(test, derive(Debug))]
pub struct Change {
    pub name: HeaderName,
    pub value: HeaderValue,
    pub action: Action,
}

/// What is done with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// In place of what is there.
    Set,
    /// Beside what is there.
    Add,
    AddIfAbsent,
    SetIfPresent,
}

impl Change {
    /// Makes it.
    pub fn make(&self, headers: &mut HeaderMap) {
        let is_there = headers.contains_key(&self.name);
        match self.action {
            Action::Add => drop(headers.append(self.name.clone(), self.value.clone())),
            Action::AddIfAbsent if is_there => {}
            Action::SetIfPresent if !is_there => {}
            Action::Set | Action::AddIfAbsent | Action::SetIfPresent => {
                drop(headers.insert(self.name.clone(), self.value.clone()));
            }
        }
    }
}

/// It may not.
#[cfg_attr(test, derive(Debug))]
pub struct No {
    /// In the operator's words.
    pub told: String,
    pub passed: Option<Box<Passed>>,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it answered with the gRPC status {0}")]
    GrpcStatus(String),
    #[error("its answer is no CheckResponse in one message: {0}")]
    Message(&'static str),
    #[error("the head of its answer is larger than {MAX_HEAD_BYTES} bytes")]
    Head,
    #[error("it sets {name}: {why}")]
    Header { name: String, why: &'static str },
    #[error("it asks for {0}, which is not done here")]
    Demand(&'static str),
}

impl Question {
    /// Whether it can be written at all; its body does not matter for that.
    pub fn judge(&self, asked: &Asked) -> Result<(), Unasked> {
        match &asked.speech {
            Speech::Grpc { .. } => grpc::judge_headers(self),
            Speech::Http { prefix } => http::question(self, prefix).map(drop),
        }
    }

    /// The question as `asked` is spoken to.
    pub fn written(&self, asked: &Asked) -> Result<Request<Bytes>, Unasked> {
        match &asked.speech {
            Speech::Grpc { authority } => grpc::question(self, asked.timeout, authority),
            Speech::Http { prefix } => http::question(self, prefix),
        }
    }

    fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

/// What `asked` says.
pub fn read(
    asked: &Asked,
    to_backend: &[HeaderName],
    head: &response::Parts,
    body: &Bytes,
    trailers: Option<&HeaderMap>,
) -> Result<Answer, Unusable> {
    let bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > MAX_HEAD_BYTES {
        return Err(Unusable::Head);
    }
    let lists = Lists { to_backend, to_caller: &asked.headers_to_caller, passes_denials: asked.passes_denials };
    match asked.speech {
        Speech::Grpc { .. } => grpc::answer(&lists, head, body, trailers),
        Speech::Http { .. } => http::answer(&lists, head, body),
    }
}

/// What of an answer is heard.
struct Lists<'a> {
    to_backend: &'a [HeaderName],
    to_caller: &'a [HeaderName],
    passes_denials: bool,
}

impl Lists<'_> {
    /// A no in the authoriser's own words, if they are those of a refusal; `None` if the caller reads ours.
    fn passed(&self, status: StatusCode, said: &HeaderMap, body: &Bytes) -> Option<Box<Passed>> {
        if !self.passes_denials || body.len() > MAX_PASSED_BYTES {
            return None;
        }
        let mut headers = HeaderMap::new();
        for name in self.to_caller {
            for value in said.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        let is_whole = match status {
            StatusCode::FOUND | StatusCode::SEE_OTHER | StatusCode::TEMPORARY_REDIRECT => {
                headers.contains_key(::http::header::LOCATION)
            }
            StatusCode::UNAUTHORIZED => headers.contains_key(::http::header::WWW_AUTHENTICATE),
            status => status.is_client_error() && !matches!(status.as_u16(), 407 | 408 | 421 | 426 | 431),
        };
        is_whole.then(|| Box::new(Passed { status, headers, body: body.clone() }))
    }
}

/// Where lines of one name have to be told as one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let lines: Vec<_> = headers.get_all(name).into_iter().map(HeaderValue::as_bytes).collect();
    let between: &[u8] = if *name == ::http::header::COOKIE { b"; " } else { b", " };
    lines.join(between)
}
