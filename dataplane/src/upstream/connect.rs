//! New connections.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as HttpBody;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use super::peer::{MAX_STREAMS, Peer, heard};
use super::target::{Speech, Target};
use super::{Purpose, UpstreamFailure};
use crate::gathered::Gathered;
use crate::server::descriptors::Descriptors;
use crate::server::socket::keepalive;

/// What a connection reads ahead, HTTP/1.1, and the most of a response's head; what one stream of HTTP/2 has to send. What a caller
/// does not take is held as far as this, and then the service waits.
const BUFFER_BYTES: usize = 64 * 1024;
/// The head of a response over HTTP/2.
const RESPONSE_HEAD_BYTES: u32 = 64 * 1024;
/// What a service may send on one stream before it is taken: at 1 ms away, 128 MB a second.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
/// On one connection: as much as all of its streams may, so that those that are not taken never hold up one that is.
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * MAX_STREAMS as u32;
/// A service that says nothing while something is asked of it is pinged: no more often than servers of gRPC bear (five minutes; more
/// is ENHANCE_YOUR_CALM, and the end of every stream). A machine that has vanished is noticed earlier, by [`UNACKNOWLEDGED`].
const PING_AFTER: Duration = Duration::from_secs(5 * 60 + 5);
/// For the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What was sent and not acknowledged by the service's machine for so long ends the connection, in place of the system's quarter of
/// an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

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

/// A connection just made.
pub(super) enum Made<B> {
    Http1(http1::SendRequest<B>),
    Http2(http2::SendRequest<B>, Rc<Peer>),
}

pub(super) async fn connect<B>(
    target: &Target,
    address: SocketAddr,
    purpose: Purpose,
    descriptors: Descriptors,
) -> Result<Made<B>, UpstreamFailure>
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
    let _best_effort = SockRef::from(&socket).set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let stream = socket.connect(address).await.map_err(failed)?;
    let Some(tls) = &target.tls else {
        let http2 = target.speech == Speech::Http2 && purpose != Purpose::Upgrade;
        return handshake(Gathered(stream), http2, address).await;
    };
    let config = if purpose == Purpose::Upgrade { &tls.http1 } else { &tls.config };
    let connected = TlsConnector::from(Arc::clone(config)).connect(tls.name.clone(), stream).await;
    let stream = connected.map_err(|source| UpstreamFailure::Tls { place: place(), source })?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if target.speech == Speech::Http2 && !http2 && purpose != Purpose::Upgrade {
        let source = std::io::Error::other("the service does not offer HTTP/2 (ALPN h2)");
        return Err(UpstreamFailure::Tls { place: place(), source });
    }
    handshake(stream, http2, address).await
}

async fn handshake<B, T>(stream: T, http2: bool, address: SocketAddr) -> Result<Made<B>, UpstreamFailure>
where
    B: HttpBody<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |source| UpstreamFailure::Protocol { address, source };
    if http2 {
        return handshake_http2(stream, address).await;
    }
    let builder = http1::Builder::new().max_buf_size(BUFFER_BYTES).handshake(TokioIo::new(stream));
    let (sender, connection) = builder.await.map_err(failed)?;
    tokio::task::spawn_local(connection.with_upgrades());
    Ok(Made::Http1(sender))
}

/// Waits for the service's first word: what does not speak HTTP/2 is told before anything is asked of it.
async fn handshake_http2<B, T>(stream: T, address: SocketAddr) -> Result<Made<B>, UpstreamFailure>
where
    B: HttpBody<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let peer = Rc::<Peer>::default();
    let io = TokioIo::new(heard(stream, &peer));
    let handshake = http2_builder().handshake(io).await;
    let (sender, connection) = handshake.map_err(|source| UpstreamFailure::Protocol { address, source })?;
    let connection = Rc::new(RefCell::new(connection));
    let watched = Rc::downgrade(&connection);
    // While it runs it holds itself, and nothing is asked: the number of the moment before counts.
    peer.limited_by(move || {
        let connection = watched.upgrade();
        connection.map_or(0, |one| one.try_borrow().map_or(MAX_STREAMS, |one| one.current_max_send_streams()))
    });
    let of_task = Rc::clone(&peer);
    tokio::task::spawn_local(async move {
        let _ended = poll_fn(|context| Pin::new(&mut *connection.borrow_mut()).poll(context)).await;
        // Before anybody is told: what waits in it is given back by its end.
        drop(connection);
        of_task.retire();
    });
    if peer.speaks().await { Ok(Made::Http2(sender, peer)) } else { Err(UpstreamFailure::NotHttp2 { address }) }
}

fn http2_builder() -> http2::Builder<OnThisWorker> {
    let mut builder = http2::Builder::new(OnThisWorker);
    builder
        .timer(TokioTimer::new())
        .initial_max_send_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(BUFFER_BYTES)
        .max_header_list_size(RESPONSE_HEAD_BYTES)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task::LocalSet;
    use tokio::time::{Instant, timeout};

    use super::*;

    const PREFACE_BYTES: usize = 24;
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const PING: u8 = 6;
    const ACKNOWLEDGED: u8 = 1;

    fn address() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 80))
    }

    /// A service that says what it takes, and from then on nothing, or no more than answers to pings; it counts them.
    async fn serve(mut stream: DuplexStream, answers: bool) -> u32 {
        stream.write_all(&SETTINGS).await.unwrap();
        stream.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        let mut pings = 0;
        loop {
            let mut header = [0; 9];
            if stream.read_exact(&mut header).await.is_err() {
                return pings;
            }
            let [high, middle, low, kind, flags, ..] = header;
            let mut payload = vec![0; usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)];
            stream.read_exact(&mut payload).await.unwrap();
            if kind == PING && flags & ACKNOWLEDGED == 0 {
                pings += 1;
                header[4] = ACKNOWLEDGED;
                if answers {
                    stream.write_all(&[&header[..], &payload].concat()).await.unwrap();
                }
            }
        }
    }

    /// How long a request waits for its answer, at most two hours, and how often the service was pinged.
    async fn waited(answers: bool) -> (Option<Duration>, u32) {
        let (near, far) = duplex(1 << 16);
        let service = tokio::task::spawn_local(serve(far, answers));
        let Ok(Made::Http2(mut sender, _peer)) = handshake_http2::<Empty<Bytes>, _>(near, address()).await else {
            panic!("a handshake")
        };
        let began = Instant::now();
        let request = Request::get("http://a/").body(Empty::new()).unwrap();
        let failed = timeout(Duration::from_secs(7200), sender.try_send_request(request)).await;
        let took = failed.is_ok_and(|answer| answer.is_err()).then(|| began.elapsed());
        drop(sender);
        (took, service.await.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_has_fallen_silent_is_noticed() {
        let (took, pings) = LocalSet::new().run_until(waited(false)).await;
        let noticed = took.expect("the exchange is given up");
        assert!(noticed >= PING_AFTER && noticed <= PING_AFTER + PING_TIMEOUT * 2, "{noticed:?}");
        assert_eq!(pings, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_its_time_is_not_and_pings_are_few() {
        let (took, pings) = LocalSet::new().run_until(waited(true)).await;
        assert_eq!(took, None);
        assert!((20..=24).contains(&pings), "{pings} in two hours; gRPC bears one in five minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn who_ends_the_connection_at_once_does_not_speak_http_2() {
        let handshake = async {
            let (near, mut far) = duplex(1 << 16);
            tokio::task::spawn_local(async move { far.read_exact(&mut [0; PREFACE_BYTES]).await });
            handshake_http2::<Empty<Bytes>, _>(near, address()).await.err()
        };
        let failure = LocalSet::new().run_until(handshake).await;
        assert!(matches!(failure, Some(UpstreamFailure::NotHttp2 { .. })), "{failure:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_waited_for() {
        let (near, _far) = duplex(1 << 16);
        let handshake = timeout(PING_AFTER, handshake_http2::<Empty<Bytes>, _>(near, address()));
        assert!(LocalSet::new().run_until(handshake).await.is_err());
    }
}
