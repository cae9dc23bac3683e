//! An authoriser that says what it is told to, over HTTP and over gRPC, and keeps what it was asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// A question, as it came.
#[derive(Clone, Debug)]
pub struct Question {
    pub method: String,
    pub target: String,
    pub authority: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What it says.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    pub trailers: Vec<(&'static str, &'static str)>,
    pub after: Duration,
}

pub struct Authorizer {
    pub address: SocketAddr,
    reply: Arc<Mutex<Reply>>,
    asked: Arc<Mutex<Vec<Question>>>,
    accepting: AbortHandle,
}

impl Authorizer {
    pub async fn saying(reply: Reply) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reply, asked) = (Arc::new(Mutex::new(reply)), Arc::<Mutex<Vec<Question>>>::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&reply), Arc::clone(&asked))).abort_handle();
        Self { address, reply, asked, accepting }
    }

    /// Says this from now on.
    pub fn say(&self, reply: Reply) {
        *self.reply.lock() = reply;
    }

    /// Closes the socket.
    pub fn stop(&self) {
        self.accepting.abort();
    }

    /// What it was asked so far; forgets it.
    pub fn take(&self) -> Vec<Question> {
        std::mem::take(&mut self.asked.lock())
    }

    /// The one question that came.
    pub fn one(&self) -> Question {
        let mut asked = self.take();
        assert_eq!(asked.len(), 1, "{asked:#?}");
        asked.remove(0)
    }

    pub fn count(&self) -> usize {
        self.asked.lock().len()
    }
}

impl Question {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// What was told by gRPC.
    pub fn told(&self) -> Attributes {
        let (prefix, message) = self.body.split_at(5);
        assert_eq!(prefix[1..], u32::try_from(message.len()).unwrap().to_be_bytes());
        CheckRequest::decode(message).unwrap().attributes.unwrap()
    }
}

impl Reply {
    /// By HTTP.
    pub fn http(status: u16, headers: &[(&'static str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { status, headers, body: Bytes::new(), trailers: vec![], after: Duration::ZERO }
    }

    /// By gRPC: a message as it is written in the frame.
    pub fn grpc(message: &CheckResponse) -> Self {
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(u32::try_from(message.encoded_len()).unwrap());
        message.encode(&mut body).unwrap();
        let headers = vec![("content-type", "application/grpc".to_owned())];
        Self { status: 200, headers, body: body.freeze(), trailers: vec![("grpc-status", "0")], after: Duration::ZERO }
    }

    /// A yes by gRPC that sets these on the request.
    pub fn yes(headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| option(name, value)).collect();
        let ok_response = Some(OkResponse { headers, ..OkResponse::default() });
        Self::grpc(&CheckResponse { status: Some(Status::default()), ok_response, ..CheckResponse::default() })
    }

    /// A no by gRPC.
    pub fn no() -> Self {
        Self::grpc(&CheckResponse { status: Some(Status { code: 7 }), ..CheckResponse::default() })
    }

    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

pub fn option(name: &str, value: &str) -> HeaderOption {
    HeaderOption { header: Some(Header { key: name.into(), value: value.into() }) }
}

async fn accept(listener: TcpListener, reply: Arc<Mutex<Reply>>, asked: Arc<Mutex<Vec<Question>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (reply, asked) = (Arc::clone(&reply), Arc::clone(&asked));
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let (reply, asked) = (Arc::clone(&reply), Arc::clone(&asked));
                async move { Ok::<_, Infallible>(answer(request, &reply, &asked).await) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ended = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    reply: &Mutex<Reply>,
    asked: &Mutex<Vec<Question>>,
) -> Response<BoxBody<Bytes, Infallible>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let host = head.headers.get("host").map(|host| host.to_str().unwrap().to_owned());
    asked.lock().push(Question {
        method: head.method.to_string(),
        target: head.uri.path_and_query().unwrap().to_string(),
        authority: head.uri.authority().map(|authority| authority.to_string()).or(host).unwrap_or_default(),
        headers: head.headers,
        body,
    });
    let reply = reply.lock().clone();
    tokio::time::sleep(reply.after).await;
    let trailers = reply.trailers.iter();
    let trailers: HeaderMap =
        trailers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
    let mut frames = vec![Ok(Frame::data(reply.body))];
    if !trailers.is_empty() {
        frames.push(Ok(Frame::trailers(trailers)));
    }
    let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap();
    for (name, value) in reply.headers {
        response.headers_mut().append(name, HeaderValue::from_str(&value).unwrap());
    }
    response
}

/// What of `envoy.service.auth.v3` is told and said here.
#[derive(Clone, PartialEq, Message)]
pub struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    pub attributes: Option<Attributes>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attributes {
    #[prost(message, optional, tag = "1")]
    pub source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    pub request: Option<Asked>,
    #[prost(btree_map = "string, string", tag = "10")]
    pub context_extensions: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Peer {
    #[prost(string, tag = "4")]
    pub principal: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Asked {
    #[prost(message, optional, tag = "2")]
    pub http: Option<Http>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Http {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub method: String,
    #[prost(btree_map = "string, string", tag = "3")]
    pub headers: BTreeMap<String, String>,
    #[prost(string, tag = "4")]
    pub path: String,
    #[prost(string, tag = "5")]
    pub host: String,
    #[prost(int64, tag = "9")]
    pub size: i64,
    #[prost(bytes = "bytes", tag = "12")]
    pub raw_body: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    pub denied_response: Option<DeniedResponse>,
    #[prost(message, optional, tag = "3")]
    pub ok_response: Option<OkResponse>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct DeniedResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderOption>,
    #[prost(string, tag = "3")]
    pub body: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct OkResponse {
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderOption>,
    #[prost(string, repeated, tag = "5")]
    pub headers_to_remove: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub response_headers_to_add: Vec<HeaderOption>,
}

#[derive(Clone, PartialEq, Message)]
pub struct HeaderOption {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Header {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}
