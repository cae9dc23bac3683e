//! One connection: a handshake, and streams for as long as one of them is admitted.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::service::Service;
use super::strangers::{Stranger, Strangers};

/// The one protocol that is spoken (RFC 9113, 3.1).
const ALPN: &[u8] = b"h2";
/// Streams of one connection: a client has one, and one more while it ends.
const MAX_STREAMS: u32 = 4;
/// Of all headers: a token, and little else.
const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// Streams that the other side may have reset without our doing: it has no reason to.
const MAX_RESETS: usize = 8;
/// For what is under way, once the connection is told to end.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the streams of one connection tell it.
pub(super) struct Line {
    admitted: watch::Sender<usize>,
    ended: CancellationToken,
    stranger: Stranger,
}

impl Line {
    /// A token of it is being verified: there are bounds of their own for that.
    pub(super) fn is_verifying(&self) {
        self.stranger.is_known();
    }

    /// A stream has been admitted, and goes on until what is returned is dropped.
    pub(super) fn admitted(self: &Arc<Self>) -> Presence {
        self.admitted.send_modify(|streams| *streams += 1);
        Presence(Arc::clone(self))
    }

    /// The connection has nothing more to offer: one that was refused may try again on another.
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    /// Ends when there was no admitted stream for as long as `idle`.
    async fn is_idle(&self, idle: Duration) {
        let mut streams = self.admitted.subscribe();
        loop {
            // The sender is in `self`: it is not gone.
            drop(streams.wait_for(|streams| *streams == 0).await);
            if tokio::time::timeout(idle, streams.wait_for(|streams| *streams > 0)).await.is_err() {
                return;
            }
        }
    }
}

/// An admitted stream of a connection.
pub(super) struct Presence(Arc<Line>);

impl Presence {
    /// Ends the connection as well.
    pub(super) fn end(&self) {
        self.0.end();
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.admitted.send_modify(|streams| *streams = streams.saturating_sub(1));
    }
}

pub(super) async fn serve(stream: TcpStream, tls: Arc<ServerConfig>, strangers: &Strangers, service: Arc<Service>) {
    let Ok(peer) = stream.peer_addr() else { return };
    let (stranger, has_evicted) = strangers.enter(peer.ip());
    if has_evicted {
        service.fleet().counts().evicted_stranger();
    }
    let line = Arc::new(Line { admitted: watch::Sender::default(), ended: CancellationToken::new(), stranger });
    let serving = async {
        match handshake(stream, tls, service.bounds().handshake).await {
            Some(stream) => speak(stream, Arc::clone(&line), &service).await,
            None => service.fleet().counts().failed_handshake(),
        }
    };
    tokio::select! {
        () = line.stranger.evicted() => {}
        () = serving => {}
    }
}

async fn handshake(stream: TcpStream, tls: Arc<ServerConfig>, within: Duration) -> Option<TlsStream<TcpStream>> {
    // Small messages both ways: none waits for the next.
    let _unset = stream.set_nodelay(true);
    let stream = tokio::time::timeout(within, TlsAcceptor::from(tls).accept(stream)).await.ok()?.ok()?;
    (stream.get_ref().1.alpn_protocol() == Some(ALPN)).then_some(stream)
}

async fn speak(stream: TlsStream<TcpStream>, line: Arc<Line>, service: &Arc<Service>) {
    let bounds = service.bounds();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(bounds.keepalive)
        .keep_alive_timeout(bounds.keepalive)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS);
    let answers = {
        let (line, service) = (Arc::clone(&line), Arc::clone(service));
        service_fn(move |request: Request<Incoming>| {
            let (line, service) = (Arc::clone(&line), Arc::clone(&service));
            async move { Ok::<_, Infallible>(service.answer(request, &line).await) }
        })
    };
    let connection = builder.serve_connection(TokioIo::new(stream), answers);
    tokio::pin!(connection);
    tokio::select! {
        // The other side may have gone, or have sent what is no HTTP/2.
        _ended = &mut connection => return,
        () = line.is_idle(bounds.idle) => {}
        () = line.ended.cancelled() => {}
        () = service.closing().cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ended = tokio::time::timeout(GOODBYE, connection).await;
}
