//! New connections.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body::Body as HttpBody;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use super::target::{Speech, Target};
use super::{Purpose, Sender, UpstreamFailure};
use crate::gathered::Gathered;
use crate::server::descriptors::Descriptors;
use crate::server::socket::keepalive;

/// Runs connections on the worker that made them.
#[derive(Clone, Copy, Debug)]
pub struct OnThisWorker;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisWorker {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

pub(super) async fn connect<B>(
    target: &Target,
    address: SocketAddr,
    purpose: Purpose,
    descriptors: Descriptors,
) -> Result<Sender<B>, UpstreamFailure>
where
    B: HttpBody<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let place = || address.to_string();
    let failed = |source| UpstreamFailure::Connect { place: place(), source };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
    if descriptors.too_many_services(&socket) {
        return Err(UpstreamFailure::NoDescriptor { place: place() });
    }
    // Latency counts for more than packets between a gateway and its services.
    let _best_effort = socket.set_nodelay(true);
    // A service whose machine has vanished says nothing: only being asked tells.
    let _best_effort = SockRef::from(&socket).set_tcp_keepalive(&keepalive());
    let stream = socket.connect(address).await.map_err(failed)?;
    let Some(tls) = &target.tls else {
        let http2 = target.speech == Speech::Http2 && purpose == Purpose::Exchange;
        return handshake(Gathered(stream), http2, address).await;
    };
    let config = if purpose == Purpose::Upgrade { &tls.http1 } else { &tls.config };
    let connected = TlsConnector::from(Arc::clone(config)).connect(tls.name.clone(), stream).await;
    let stream = connected.map_err(|source| UpstreamFailure::Tls { place: place(), source })?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if target.speech == Speech::Http2 && !http2 && purpose == Purpose::Exchange {
        let source = std::io::Error::other("the service does not offer HTTP/2 (ALPN h2)");
        return Err(UpstreamFailure::Tls { place: place(), source });
    }
    handshake(stream, http2, address).await
}

async fn handshake<B, T>(stream: T, http2: bool, address: SocketAddr) -> Result<Sender<B>, UpstreamFailure>
where
    B: HttpBody<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |source| UpstreamFailure::Protocol { address, source };
    let io = TokioIo::new(stream);
    if http2 {
        let (sender, connection) =
            http2::Builder::new(OnThisWorker).timer(TokioTimer::new()).handshake(io).await.map_err(failed)?;
        tokio::task::spawn_local(connection);
        return Ok(Sender::Http2(sender));
    }
    let (sender, connection) = http1::Builder::new().handshake(io).await.map_err(failed)?;
    tokio::task::spawn_local(connection.with_upgrades());
    Ok(Sender::Http1(sender))
}
