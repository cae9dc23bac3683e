//! Callers: well-behaved ones over HTTP/1.1, HTTP/2 and TLS, and one that writes what bytes it likes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The host that most requests name.
pub const HOST: &str = "api.example.com";

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// `reason` of a problem body; empty where it is none.
    pub fn reason(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// Status and reason, as tables state them: "401 token-invalid", "200".
    pub fn verdict(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.reason()).trim().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A GET with these headers.
pub fn get(target: &str, headers: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = Request::get(target).header(header::HOST, HOST);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).unwrap()
}

/// Sends over a connection of its own.
pub async fn send<B>(gateway: SocketAddr, request: Request<B>) -> Answer
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    over(TcpStream::connect(gateway).await.unwrap(), request).await
}

/// A GET from another loopback address than the usual one.
pub async fn get_from(source: Ipv4Addr, gateway: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Answer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    over(socket.connect(gateway).await.unwrap(), get(target, headers)).await
}

/// What comes on a connection from `source`: nothing but its end where it is refused as a whole.
pub async fn connect_from(source: Ipv4Addr, gateway: SocketAddr) -> String {
    say_from(source, gateway, &format!("GET /nowhere HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")).await
}

/// What comes, until the end, where `asked` is said on a connection from `source`.
pub async fn say_from(source: Ipv4Addr, gateway: SocketAddr, asked: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    let mut stream = socket.connect(gateway).await.unwrap();
    let mut heard = String::new();
    // It may be closed before it has been written to.
    let _closed = stream.write_all(asked.as_bytes()).await;
    let _closed = stream.read_to_string(&mut heard).await;
    heard
}

/// Sends over `stream` with HTTP/1.1.
pub async fn over<B>(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, request: Request<B>) -> Answer
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    read(open(stream, request).await).await
}

/// Sends over `stream` and gives the response as it begins.
pub async fn open<B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<B>,
) -> Response<Incoming>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.unwrap()
}

/// Reads a response to its end.
pub async fn read(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let collected = body.collect().await.expect("the response ends well");
    let trailers = collected.trailers().cloned();
    Answer { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers }
}

/// An HTTP/2 connection with prior knowledge.
pub async fn http2<B>(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> http2::SendRequest<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A GET in HTTP/2's form.
pub fn get_http2(scheme: &str, host: &str, target: &str, headers: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = Request::get(format!("{scheme}://{host}{target}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).unwrap()
}

/// Shakes hands with the server name `name`.
pub async fn tls(gateway: SocketAddr, name: &str, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(gateway).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
}

/// Writes `bytes` and reads whatever comes until the gateway closes, or has been silent for a while.
pub async fn raw(gateway: SocketAddr, bytes: &[u8]) -> Heard {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    // It may close before all is written; what it said then counts.
    let _early = stream.write_all(bytes).await;
    hear(&mut stream).await
}

/// All that comes until the end, or a silence.
pub async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Heard {
    const SILENCE: Duration = Duration::from_millis(700);
    let mut heard = Heard { text: String::new(), closed: false };
    let mut bytes = [0; 4096];
    loop {
        match tokio::time::timeout(SILENCE, stream.read(&mut bytes)).await {
            Ok(Ok(0) | Err(_)) => return Heard { closed: true, ..heard },
            Ok(Ok(count)) => heard.text += &String::from_utf8_lossy(&bytes[..count]),
            Err(_) => return heard,
        }
    }
}

/// What a raw caller heard.
#[derive(Debug)]
pub struct Heard {
    pub text: String,
    pub closed: bool,
}

impl Heard {
    /// The status codes of all answers.
    pub fn statuses(&self) -> Vec<u16> {
        let lines = self.text.split("HTTP/1.1 ").skip(1);
        lines.map(|line| line.get(..3).and_then(|code| code.parse().ok()).expect("a status line")).collect()
    }
}
