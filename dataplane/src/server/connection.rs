//! One connection: TLS where the port has it, the gate where it speaks HTTP/1, hyper behind.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use bytes::BytesMut;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::destination::LastDestination;
use super::drain::{last_call, last_request};
use super::http2::{Head, Streams, Wire, abandoned, field_list_bytes, followed, overdue, timed};
use super::pace::exchange::{LastTurn, PacedExchanges};
use super::pace::socket::PacedSocket;
use super::proxy_header::{self, Fault, Told};
use super::tls;
use super::worker::{ConnectionGuard, Worker};
use crate::client_certificate::shown::CallersCertificate;
use crate::explain::{AsIf, FoundOut};
use crate::gate::{self, GateBounds, GateControl, GatedIo, HeadBounds, Opening, READ_BYTES, Refusal, read_opening};
use crate::gathered::Gathered;
use crate::pipeline;
use crate::rejection::{Reason, Rejection};
use crate::runtime::Runtime;
use crate::runtime::listener::{Gateway, Listener, Port};
use crate::settings::Bounds;

/// The longest request target; more is answered 414.
const MAX_TARGET_BYTES: usize = 8 * 1024;
/// Up to so many times the bound a head over HTTP/2 is read, to be refused by our own table and seen in the log; beyond that h2
/// answers 431 by itself.
const HEAD_LENIENCE: usize = 2;
/// What is kept of a response that the caller of one HTTP/2 stream does not take: two frames.
const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// What a caller may send on one HTTP/2 stream before its service takes it.
const UPLOAD_WINDOW_BYTES: u32 = 128 * 1024;
/// On all streams of one connection.
const UPLOAD_BYTES: u32 = 1024 * 1024;
/// What is sent where too many connections are open: the least that is an answer.
const OVERLOADED: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// What requests have to know of their connection.
pub struct Connection {
    pub peer: SocketAddr,
    own: Origin,
    /// By the word of the peer, where that is a proxy which gives it.
    told: Option<Origin>,
    /// The port of the configuration.
    pub port: u16,
    pub bounds: Bounds,
    pub(crate) last_destination: LastDestination,
    /// Names of the certificates of the listener that it was made for; absent in cleartext. No more of that is kept: a connection may outlast
    /// many changes of its routes.
    certificates: Option<Arc<[String]>>,
    /// What the caller has shown.
    pub(crate) certificate: CallersCertificate,
    /// It is to end, since what is asked for cannot come on it.
    retired: Notify,
    /// Absent for HTTP/2.
    gate: Option<Arc<GateControl>>,
    /// Of HTTP/2.
    streams: Streams,
    /// What the body of a response did last.
    pub(crate) last_turn: Rc<LastTurn>,
    /// It counts as long as anything of it lasts, a tunnel as well.
    _counted: ConnectionGuard,
}

/// The other end of a connection.
pub(crate) struct Origin {
    /// Absent: it has none that is known.
    pub(crate) address: Option<IpAddr>,
    /// As `X-Forwarded-For` has it.
    pub(crate) value: HeaderValue,
}

impl Origin {
    fn new(address: Option<IpAddr>) -> Self {
        let address = address.map(|address| address.to_canonical());
        // RFC 7239, 6.2.
        let unknown = HeaderValue::from_static("unknown");
        let value = address.and_then(|address| HeaderValue::try_from(address.to_string()).ok()).unwrap_or(unknown);
        Self { address, value }
    }
}

impl Connection {
    /// Where it comes from for `gateway`: from the peer, or from whom a proxy that it trusts has told of in a PROXY header. For a Gateway that
    /// does not listen to such a header nobody knows: what comes behind it is not the proxy's own word.
    pub(crate) fn origin(&self, gateway: &Gateway) -> &Origin {
        static NOBODY: LazyLock<Origin> = LazyLock::new(|| Origin::new(None));
        match &self.told {
            Some(told) if gateway.hears(self.peer.ip()) => told,
            Some(_) => &NOBODY,
            None => &self.own,
        }
    }

    /// Whether a proxy has told in front of it whom it speaks for.
    pub(crate) fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Whether requests for `listener` may come on it (RFC 9110, 7.4 and 15.5.20).
    pub fn may_carry(&self, listener: &Listener) -> Result<(), Rejection> {
        let fits = match &self.certificates {
            Some(made_for) => listener.tls.as_ref().is_some_and(|tls| tls.certificates == *made_for),
            None => listener.tls.is_none(),
        };
        if fits {
            Ok(())
        } else {
            Err(Rejection::because(
                Reason::Misdirected,
                format!("the connection was not made for listener {}", listener.name),
            ))
        }
    }

    /// What the gate judges of HTTP/1, for a head that came by HTTP/2.
    pub(crate) fn judge_http2<B>(&self, request: &Request<B>) -> Result<(), Rejection> {
        let refused = |refusal: Refusal| Rejection::because(refusal.reason, refusal.detail);
        let method = request.method().as_str().as_bytes();
        gate::judge_method(method).map_err(refused)?;
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        gate::judge_target(method, target.as_bytes(), &self.head_bounds()).map_err(refused)?;
        let headers = request.headers();
        for expectation in headers.get_all(header::EXPECT) {
            gate::judge_expectation(expectation.as_bytes()).map_err(refused)?;
        }
        self.judge_size(target, headers)
    }

    fn judge_size(&self, target: &str, headers: &HeaderMap) -> Result<(), Rejection> {
        if target.len() + field_list_bytes(headers) > self.bounds.max_header_bytes {
            return Err(Rejection::because(Reason::HeadTooLarge, "the head is larger than bounds.maxHeaderBytes"));
        }
        let max = self.bounds.max_headers;
        // Cookies are one field in as many lines as their sender likes (RFC 9113, 8.2.3).
        if headers.len() > max && headers.len() - headers.get_all(header::COOKIE).iter().count().saturating_sub(1) > max
        {
            return Err(Rejection::because(Reason::HeadTooLarge, "the head has more fields than bounds.maxHeaders"));
        }
        Ok(())
    }

    fn head_bounds(&self) -> HeadBounds {
        let bounds = &self.bounds;
        HeadBounds { bytes: bounds.max_header_bytes, target_bytes: MAX_TARGET_BYTES, fields: bounds.max_headers }
    }

    /// Has it end once what runs on it has been answered: callers that keep it for all they ask would never come on another one. Over HTTP/1 a
    /// response says so.
    pub(crate) fn retire(&self) {
        self.retired.notify_one();
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.certificates.is_some() { "https" } else { "http" }
    }

    pub(crate) fn public_port(&self) -> u16 {
        self.port
    }

    /// What the gate has refused.
    pub(crate) fn refusal(&self) -> Rejection {
        match self.gate.as_ref().and_then(|gate| gate.refusal()) {
            // The gate knows no other credential.
            Some(refusal) if refusal.reason == Reason::CredentialAmbiguous => {
                Rejection::of_two_authorizations(refusal.detail)
            }
            Some(refusal) => Rejection::because(refusal.reason, refusal.detail),
            None => Rejection::plain(Reason::Malformed),
        }
    }

    pub(crate) fn begin_request(&self) {
        match &self.gate {
            Some(gate) => gate.take_up(),
            None => self.streams.begin(),
        }
    }

    /// A request was taken back as soon as it had come. (Over HTTP/1 that takes a connection each.)
    pub(crate) fn taken_back(&self) {
        self.streams.taken_back();
    }

    pub(crate) fn resume(&self) {
        if let Some(gate) = &self.gate {
            gate.resume();
        }
    }

    pub(crate) fn tunnel(&self) {
        if let Some(gate) = &self.gate {
            gate.tunnel();
        }
    }

    pub(crate) fn finish_request(&self, ended: Instant) {
        match &self.gate {
            Some(gate) => gate.finish(ended),
            None => self.streams.finish(ended),
        }
    }
}

/// Closes a connection for which there is no room. Without TLS it is said why; a handshake would cost what there is none of.
pub(super) fn shed(stream: TcpStream, is_tls: bool) {
    if !is_tls && let Ok(mut stream) = stream.into_std() {
        // There is room for this in every new socket; the caller may have gone already.
        let _gone = stream.write_all(OVERLOADED);
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(
    worker: Rc<Worker>,
    port: u16,
    (mut stream, peer): (TcpStream, SocketAddr),
    counted: ConnectionGuard,
) {
    let runtime = worker.runtime();
    let as_if = worker.shared().explains.as_ref();
    let peer = as_if.map_or(peer, |as_if| SocketAddr::new(as_if.proxy.unwrap_or(as_if.address), peer.port()));
    let Some(entry) = runtime.ports.get(&port) else { return };
    // Whoever explains wants to know who bars it.
    if as_if.is_none() && entry.bars(peer.ip()) {
        worker.shared().metrics.barred_connections.inc();
        tracing::debug!(%peer, port, "Floors or origin locks bar the peer from all that is served here");
        return;
    }
    let bounds = entry.bounds.clone();
    if !worker.admits_connection(bounds.max_connections) {
        return shed(stream, entry.is_tls);
    }
    // Latency counts for more than packets between a gateway and its callers.
    let _best_effort = stream.set_nodelay(true);
    let told = match as_if {
        Some(as_if) => told_as_if(entry, as_if),
        None => told(entry, &mut stream, peer).await,
    };
    let told = match told {
        Ok(told) => told,
        Err(why) => {
            if matches!(why, Untold::Barred(_)) {
                worker.shared().metrics.barred_connections.inc();
            }
            closed(&worker, &why);
            return tracing::debug!(%peer, port, %why, "what the peer says of the connection is not taken");
        }
    };
    let connection = Connection {
        peer,
        own: Origin::new(Some(peer.ip())),
        told,
        port,
        bounds,
        last_destination: LastDestination::default(),
        certificates: None,
        certificate: CallersCertificate::NotAskedFor,
        retired: Notify::new(),
        gate: None,
        streams: Streams::new(),
        last_turn: Rc::default(),
        _counted: counted,
    };
    if entry.is_tls {
        serve_tls(worker, (connection, runtime), stream).await;
    } else {
        drop(runtime);
        let stream = PacedSocket::new(Gathered(stream), connection.bounds.body_timeout);
        serve_opening(worker, connection, stream).await;
    }
}

/// Shakes hands, and serves what comes then.
async fn serve_tls(worker: Rc<Worker>, (connection, runtime): (Connection, Arc<Runtime>), stream: TcpStream) {
    let (peer, port) = (connection.peer, connection.port);
    let place = (port, worker.shared().explains.is_some());
    let accepted = timeout(connection.bounds.header_timeout, tls::accept(&runtime, place, stream)).await;
    drop(runtime);
    match accepted {
        Ok(Ok(accepted)) => {
            let connection = Connection {
                certificates: Some(accepted.certificates),
                certificate: shown(accepted.certificate, &worker),
                ..connection
            };
            let stream = PacedSocket::new(accepted.stream, connection.bounds.body_timeout);
            if accepted.http2 {
                serve_http2(worker, connection, stream).await;
            } else {
                serve_opening(worker, connection, stream).await;
            }
        }
        Ok(Err(error)) => {
            worker.shared().metrics.failed_handshakes.count(&error);
            closed(&worker, &error);
            tracing::debug!(%peer, port, %error, "a TLS handshake failed");
        }
        Err(_) => {
            worker.shared().metrics.failed_handshakes.timeout.inc();
            tracing::debug!(%peer, port, "a TLS handshake took too long");
        }
    }
}

/// What the caller has shown, or is to have shown.
fn shown(certificate: CallersCertificate, worker: &Worker) -> CallersCertificate {
    match &worker.shared().explains {
        // Nobody shows one who is not asked.
        Some(as_if) if matches!(certificate, CallersCertificate::NotShown) => {
            CallersCertificate::of(Some(&as_if.certificates), true)
        }
        _ => certificate,
    }
}

/// Tells whoever wants to know why it came to no request.
fn closed(worker: &Worker, why: &dyn std::fmt::Display) {
    if let Some(as_if) = &worker.shared().explains {
        // Whoever wanted to know may have gone.
        let _gone = as_if.told.send(FoundOut::Closed(why.to_string()));
    }
}

/// What a proxy would say in front of all else.
fn told_as_if(port: &Port, as_if: &AsIf) -> Result<Option<Origin>, Untold> {
    match as_if.proxy {
        Some(proxy) if port.hears(proxy) && port.bars_told(proxy, as_if.address) => Err(Untold::Barred(as_if.address)),
        Some(proxy) if port.hears(proxy) => Ok(Some(Origin::new(Some(as_if.address)))),
        Some(_) => Err(Untold::NoProxy),
        None if port.hears(as_if.address) => Err(Untold::NoHeader),
        None => Ok(None),
    }
}

/// What a trusted proxy says in front of all else, where it has to; `None` where the connection is the peer's own.
async fn told(port: &Port, stream: &mut TcpStream, peer: SocketAddr) -> Result<Option<Origin>, Untold> {
    if !port.hears(peer.ip()) {
        return Ok(None);
    }
    let header = timeout(port.bounds.header_timeout, proxy_header::read(stream)).await;
    Ok(match header.map_err(|_| Untold::TooLate)?? {
        Told::Itself => None,
        Told::Nobody => Some(Origin::new(None)),
        Told::From(address) if port.bars_told(peer.ip(), address) => return Err(Untold::Barred(address)),
        Told::From(address) => Some(Origin::new(Some(address))),
    })
}

/// Why a connection of a trusted proxy is closed before anything else is read.
#[derive(Debug, thiserror::Error)]
enum Untold {
    #[error("the PROXY header took too long")]
    TooLate,
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("Floors or origin locks bar {0} from all that is served here")]
    Barred(IpAddr),
    #[error(
        "a Gateway of the port has proxyProtocol, and takes connections of a trusted proxy only with a PROXY header"
    )]
    NoHeader,
    #[error(
        "no Gateway of the port listens to a PROXY header of that proxy: proxyProtocol and trustedProxies of its parameters say of whom"
    )]
    NoProxy,
}

async fn serve_opening<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    worker: Rc<Worker>,
    connection: Connection,
    mut stream: T,
) {
    let mut begun = BytesMut::with_capacity(READ_BYTES);
    tokio::select! {
        biased;
        first = timeout(connection.bounds.idle_timeout, stream.read_buf(&mut begun)) => {
            if !matches!(first, Ok(Ok(_))) {
                return;
            }
        }
        () = worker.draining().first_word() => return,
    }
    // What has begun goes on in time, or is not waited for.
    match timeout(connection.bounds.header_timeout, read_opening(&mut stream, begun)).await {
        Ok(Ok((Opening::Http2, begun))) => serve_http2(worker, connection, GatedIo::open(stream, begun)).await,
        Ok(Ok((Opening::Http1, begun))) => serve_http1(worker, connection, stream, begun).await,
        Ok(Err(_)) | Err(_) => {}
    }
}

async fn serve_http1<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    worker: Rc<Worker>,
    connection: Connection,
    stream: T,
    begun: BytesMut,
) {
    let bounds = &connection.bounds;
    let head = connection.head_bounds();
    let gate_bounds = GateBounds { head, head_timeout: bounds.header_timeout, idle_timeout: bounds.idle_timeout };
    let (max_headers, max_bytes) = (bounds.max_headers + 1, bounds.max_header_bytes.max(8192) * 2);
    let (io, gate) = GatedIo::new(stream, begun, gate_bounds);
    let connection = Rc::new(Connection { gate: Some(Arc::clone(&gate)), ..connection });
    let draining = worker.draining();
    let service = service_fn(move |request| {
        // Boxed: hyper moves what it is given twice, and this is large.
        let served = Box::pin(pipeline::serve(Rc::clone(&worker), Rc::clone(&connection), request));
        let worker = Rc::clone(&worker);
        served.map(move |response| Ok::<_, Infallible>(last_of(&worker, response)))
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_headers(max_headers).max_buf_size(max_bytes);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service).with_upgrades());
    // What has been read is served before anything is ended.
    tokio::select! {
        biased;
        _ended = served.as_mut() => {}
        () = last_request(draining, || gate.has_begun()) => {
            served.as_mut().graceful_shutdown();
            let _ended = served.await;
        }
    }
}

/// Says that it is the last response of its HTTP/1 connection, once the worker drains. What is switched to is told in other ways.
fn last_of<B>(worker: &Worker, mut response: Response<B>) -> Response<B> {
    if worker.shared().is_draining() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn serve_http2<T: AsyncRead + AsyncWrite + Unpin + 'static>(
    worker: Rc<Worker>,
    connection: Connection,
    stream: T,
) {
    let connection = Rc::new(connection);
    let bounds = &connection.bounds;
    let exchanges = PacedExchanges { last_turn: Rc::clone(&connection.last_turn), limit: bounds.body_timeout };
    let mut builder = http2::Builder::new(exchanges);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.max_concurrent_streams)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_stream_window_size(UPLOAD_WINDOW_BYTES)
        .initial_connection_window_size(UPLOAD_BYTES)
        .max_header_list_size(u32::try_from(bounds.max_header_bytes * HEAD_LENIENCE).unwrap_or(u32::MAX))
        .keep_alive_interval(bounds.idle_timeout / 2);
    let draining = worker.draining();
    let of_requests = Rc::clone(&connection);
    let service = service_fn(move |request| {
        let served = pipeline::serve(Rc::clone(&worker), Rc::clone(&of_requests), request);
        async move { Ok::<_, Infallible>(served.await) }
    });
    let (head, wire) = (Rc::<Head>::default(), Rc::new(Wire::new()));
    let io = TokioIo::new(timed(followed(stream, &head), &wire));
    let mut served = std::pin::pin!(builder.serve_connection(io, service));
    tokio::select! {
        biased;
        () = connection.streams.abused() => return,
        _ended = served.as_mut() => return,
        () = last_call(draining, || head.is_open()) => {}
        () = connection.retired.notified() => {}
        () = overdue(bounds, &connection.streams, &head) => {}
    }
    served.as_mut().graceful_shutdown();
    // Until the caller has heard of it, it may begin streams; and it need not say that it has.
    tokio::select! {
        biased;
        () = connection.streams.abused() => {}
        _ended = served => {}
        () = abandoned(bounds, &connection.streams, &wire) => {}
    }
}
