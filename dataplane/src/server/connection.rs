//! One connection: TLS where the port has it, the gate where it speaks HTTP/1, hyper behind.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::FutureExt as _;
use http::HeaderValue;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::destination::LastDestination;
use super::tls;
use super::worker::Worker;
use crate::gate::{GateBounds, GateControl, GatedIo, HeadBounds, Opening, read_opening};
use crate::gathered::Gathered;
use crate::pipeline;
use crate::rejection::{Reason, Rejection};
use crate::runtime::listener::Listener;
use crate::settings::Bounds;
use crate::upstream::OnThisWorker;

/// The longest request target; more is answered 414.
const MAX_TARGET_BYTES: usize = 8 * 1024;
/// What is sent where too many connections are open: the least that is an answer.
const OVERLOADED: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// What requests have to know of their connection.
pub struct Connection {
    pub peer: SocketAddr,
    /// The peer's address as `X-Forwarded-For` has it.
    pub peer_value: HeaderValue,
    /// The port of the configuration.
    pub port: u16,
    pub bounds: Bounds,
    pub(crate) last_destination: LastDestination,
    /// The listener whose TLS settings were used; absent in cleartext.
    tls: Option<Arc<Listener>>,
    /// Absent for HTTP/2.
    gate: Option<Arc<GateControl>>,
}

impl Connection {
    /// Whether requests for `listener` may come on it (RFC 9110, 7.4 and 15.5.20).
    pub fn may_carry(&self, listener: &Listener) -> Result<(), Rejection> {
        let fits = match &self.tls {
            Some(made_for) => made_for.shares_connection_with(listener),
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

    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    pub(crate) fn public_port(&self) -> u16 {
        self.port
    }

    /// What the gate has refused.
    pub(crate) fn refusal(&self) -> Rejection {
        let refusal = self.gate.as_ref().and_then(|gate| gate.refusal());
        refusal.map_or_else(
            || Rejection::plain(Reason::Malformed),
            |refusal| Rejection::because(refusal.reason, refusal.detail),
        )
    }

    pub(crate) fn begin_request(&self) {
        if let Some(gate) = &self.gate {
            gate.take_up();
        }
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
        if let Some(gate) = &self.gate {
            gate.finish(ended);
        }
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(worker: Rc<Worker>, port: u16, mut stream: TcpStream, peer: SocketAddr) {
    let runtime = worker.runtime();
    let Some(entry) = runtime.ports.get(&port) else { return };
    let bounds = entry.bounds.clone();
    let Some(_guard) = worker.admit_connection(bounds.max_connections) else {
        if !entry.is_tls {
            // The caller may have gone already.
            let _gone = stream.write_all(OVERLOADED).await;
        }
        return;
    };
    // Latency counts for more than packets between a gateway and its callers.
    let _best_effort = stream.set_nodelay(true);
    let peer_value =
        HeaderValue::try_from(peer.ip().to_canonical().to_string()).unwrap_or(HeaderValue::from_static("unknown"));
    let connection = Connection {
        peer,
        peer_value,
        port,
        bounds,
        last_destination: LastDestination::default(),
        tls: None,
        gate: None,
    };
    if entry.is_tls {
        let accepted =
            tokio::time::timeout(connection.bounds.header_timeout, tls::accept(&runtime, port, stream)).await;
        drop(runtime);
        match accepted {
            Ok(Ok(accepted)) => {
                let connection = Connection { tls: Some(accepted.listener), ..connection };
                if accepted.http2 {
                    serve_http2(worker, connection, accepted.stream).await;
                } else {
                    serve_opening(worker, connection, accepted.stream).await;
                }
            }
            Ok(Err(error)) => tracing::debug!(%peer, port, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, port, "a TLS handshake took too long"),
        }
    } else {
        drop(runtime);
        serve_opening(worker, connection, Gathered(stream)).await;
    }
}

async fn serve_opening<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    worker: Rc<Worker>,
    connection: Connection,
    mut stream: T,
) {
    let opening = tokio::time::timeout(connection.bounds.idle_timeout, read_opening(&mut stream)).await;
    match opening {
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
    let head =
        HeadBounds { bytes: bounds.max_header_bytes, target_bytes: MAX_TARGET_BYTES, fields: bounds.max_headers };
    let gate_bounds = GateBounds { head, head_timeout: bounds.header_timeout, idle_timeout: bounds.idle_timeout };
    let (max_headers, max_bytes) = (bounds.max_headers + 1, bounds.max_header_bytes.max(8192) * 2);
    let (io, gate) = GatedIo::new(stream, begun, gate_bounds);
    let connection = Rc::new(Connection { gate: Some(gate), ..connection });
    let mut draining = worker.draining();
    let service = service_fn(move |request| {
        // Boxed: hyper moves what it is given twice, and this is large.
        let served = Box::pin(pipeline::serve(Rc::clone(&worker), Rc::clone(&connection), request));
        served.map(Ok::<_, Infallible>)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_headers(max_headers).max_buf_size(max_bytes);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service).with_upgrades());
    tokio::select! {
        _ended = served.as_mut() => {}
        _told = draining.wait_for(|draining| *draining) => {
            served.as_mut().graceful_shutdown();
            let _ended = served.await;
        }
    }
}

async fn serve_http2<T: AsyncRead + AsyncWrite + Unpin + 'static>(
    worker: Rc<Worker>,
    connection: Connection,
    stream: T,
) {
    let (streams, header_bytes) = (connection.bounds.max_concurrent_streams, connection.bounds.max_header_bytes);
    let idle = connection.bounds.idle_timeout;
    let connection = Rc::new(connection);
    let mut draining = worker.draining();
    let service = service_fn(move |request| {
        let served = pipeline::serve(Rc::clone(&worker), Rc::clone(&connection), request);
        async move { Ok::<_, Infallible>(served.await) }
    });
    let mut builder = http2::Builder::new(OnThisWorker);
    let list_bytes = u32::try_from(header_bytes).unwrap_or(u32::MAX);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .max_header_list_size(list_bytes)
        .keep_alive_interval(idle / 2);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ended = served.as_mut() => {}
        _told = draining.wait_for(|draining| *draining) => {
            served.as_mut().graceful_shutdown();
            let _ended = served.await;
        }
    }
}
