//! The service behind the gateway: keeps everything it saw, and behaves as the path asks.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

type Body = BoxBody<Bytes, Infallible>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub version: http::Version,
    /// Path and query.
    pub target: String,
    pub authority: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
    /// The client's certificate (DER), where the service asks for one.
    pub certificate: Option<Vec<u8>>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub struct Service {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepting: AbortHandle,
}

impl Service {
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    pub async fn with_tls(config: ServerConfig) -> Self {
        Self::listen(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    /// What came so far; forgets it.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock())
    }

    /// What forgets all that came, wherever it is called, in runs that would fill the memory with it.
    #[cfg(feature = "endure")]
    pub fn forgetter(&self) -> impl Fn() + Send + Sync + use<> {
        let seen = Arc::clone(&self.seen);
        move || seen.lock().clear()
    }

    /// The one request that came.
    pub fn one(&self) -> Seen {
        let mut seen = self.take();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.remove(0)
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.seen.lock().len()
    }

    /// Closes the socket; connections that are open stay.
    pub fn stop(&self) {
        self.accepting.abort();
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<Seen>>>::default());
        let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&seen))).abort_handle();
        Self { address, seen, accepting }
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, seen: Arc<Mutex<Vec<Seen>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, seen) = (tls.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            let Some(tls) = tls else { return serve(stream, None, seen).await };
            // A handshake that fails is what some tests are about.
            let Ok(stream) = tls.accept(stream).await else { return };
            let certificate =
                stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.to_vec());
            serve(stream, certificate, seen).await;
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    certificate: Option<Vec<u8>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    let service = service_fn(move |request| {
        let (seen, certificate) = (Arc::clone(&seen), certificate.clone());
        async move { Ok::<_, Infallible>(answer(request, certificate, &seen).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // More than any gateway lets through.
    builder.http1().max_headers(2000).http2().max_header_list_size(1 << 20);
    let _ended = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

async fn answer(
    mut request: Request<Incoming>,
    certificate: Option<Vec<u8>>,
    seen: &Mutex<Vec<Seen>>,
) -> Response<Body> {
    let upgrade = request.headers().contains_key(header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let early = path.ends_with("/early");
    let (body, trailers) = if early || upgrade.is_some() { (Bytes::new(), None) } else { read(body).await };
    let authority = head.uri.authority().map(|authority| authority.to_string());
    let host = head.headers.get(header::HOST).map(|host| host.to_str().unwrap().to_owned());
    seen.lock().push(Seen {
        method: head.method.to_string(),
        version: head.version,
        target: head.uri.path_and_query().unwrap().to_string(),
        authority: authority.or(host).unwrap_or_default(),
        headers: head.headers,
        body: body.clone(),
        trailers: trailers.clone(),
        certificate,
    });
    if let Some(upgrade) = upgrade {
        return switch(upgrade);
    }
    match path.rsplit('/').next() {
        Some("moved") => repeating(StatusCode::FOUND, header::LOCATION, &head.uri),
        Some("repeated-last") => repeating_last(&head.uri),
        Some("repeated") => repeating(StatusCode::OK, header::LINK, &head.uri),
        _ => behave(&path, body, trailers).await,
    }
}

/// Says in `name` what it was asked for.
fn repeating(status: StatusCode, name: header::HeaderName, asked: &http::Uri) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response.headers_mut().insert(name, HeaderValue::from_str(&asked.to_string()).unwrap());
    response
}

/// Says after its body what it was asked for.
fn repeating_last(asked: &http::Uri) -> Response<Body> {
    let trailers = [("x-asked", &*asked.to_string()), ("x-sum", "1")]
        .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
    let frames = [Ok(Frame::data(Bytes::from_static(b"rows"))), Ok(Frame::trailers(trailers.into_iter().collect()))];
    let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed());
    response.headers_mut().insert(header::TRAILER, HeaderValue::from_static("x-asked, x-sum"));
    response
}

async fn read(body: Incoming) -> (Bytes, Option<HeaderMap>) {
    match body.collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().cloned();
            (collected.to_bytes(), trailers)
        }
        Err(_) => (Bytes::from_static(b"broken"), None),
    }
}

/// Echoes whatever comes after the switch.
fn switch(upgrade: hyper::upgrade::OnUpgrade) -> Response<Body> {
    tokio::spawn(async move {
        let Ok(stream) = upgrade.await else { return };
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(stream));
        let _ended = tokio::io::copy(&mut reader, &mut writer).await;
    });
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

async fn behave(path: &str, body: Bytes, trailers: Option<HeaderMap>) -> Response<Body> {
    let last = path.rsplit('/').next().unwrap_or_default();
    match last {
        "slow" => {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Response::new(whole(Bytes::from_static(b"late")))
        }
        "hello" => Response::new(whole(Bytes::from_static(b"hello\n"))),
        "flood" => Response::new(events(Duration::ZERO)),
        "drip" => Response::new(events(Duration::from_millis(100))),
        "trailers" => {
            let trailers =
                trailers.unwrap_or_else(|| [(header::ETAG, HeaderValue::from_static("t"))].into_iter().collect());
            let frames = [Ok(Frame::data(body)), Ok(Frame::trailers(trailers))];
            Response::new(StreamBody::new(stream::iter(frames)).boxed())
        }
        "open-to-all" => {
            let mut response = Response::new(whole(Bytes::new()));
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("DELETE"));
            response
        }
        "headers" => {
            let mut response = Response::new(whole(Bytes::new()));
            response.headers_mut().insert(header::SERVER, HeaderValue::from_static("secret/1.0"));
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("x-internal"));
            response.headers_mut().insert("x-internal", HeaderValue::from_static("1"));
            response
        }
        _ => match last.parse().ok().and_then(|code: u16| StatusCode::from_u16(code).ok()) {
            Some(status) => {
                let mut response = Response::new(whole(body));
                *response.status_mut() = status;
                response
            }
            None => Response::new(whole(body)),
        },
    }
}

/// Server-sent events without end. Those without a pause are large: what waits for buffers to fill waits for them.
fn events(every: Duration) -> Body {
    let comment = if every.is_zero() { format!(": {}\n", "x".repeat(4096)) } else { String::new() };
    let numbered = stream::unfold((0_u32, comment), move |(number, comment)| async move {
        if !every.is_zero() {
            tokio::time::sleep(every).await;
        }
        Some((Ok(Frame::data(Bytes::from(format!("{comment}data: {number}\n\n")))), (number + 1, comment)))
    });
    StreamBody::new(numbered).boxed()
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).boxed()
}
