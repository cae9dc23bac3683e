//! A stream to another controller.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http::{HeaderValue, Request, StatusCode, header};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use sallyport_snapshot::{pieces, v1};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::codec::{Codec as _, EncodeBody};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{Means, Peer, PeerFault};
use crate::stream::WATCH;

/// Until the other side has said that the stream is open: it asks the API server first.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// A connection without traffic is asked for a sign of life after this, and has as much again to give it.
const KEEPALIVE: Duration = Duration::from_secs(10);

pub(super) async fn watch(peer: &Peer, means: &Means) -> Result<Streaming<v1::Standing>, PeerFault> {
    timeout(OPEN_TIMEOUT, open(peer, means)).await.map_err(|_| PeerFault::Late)?
}

async fn open(peer: &Peer, means: &Means) -> Result<Streaming<v1::Standing>, PeerFault> {
    let authorization = authorization(means)?;
    let stream = TcpStream::connect(peer.address).await.map_err(PeerFault::Connect)?;
    // Small messages both ways: none waits for the next.
    let _unset = stream.set_nodelay(true);
    let tls = TlsConnector::from(Arc::clone(&means.tls.borrow()));
    let stream = tls.connect(peer.server_name.clone(), stream).await.map_err(PeerFault::Connect)?;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(KEEPALIVE).keep_alive_timeout(KEEPALIVE);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    // It ends with the stream that is returned.
    tokio::spawn(connection);
    let mut codec = ProstCodec::<v1::WatchRequest, v1::Standing>::default();
    let messages = stream::iter([Ok::<_, Status>(v1::WatchRequest {})]);
    let body = Body::new(EncodeBody::new_client(codec.encoder(), messages, None, None));
    let response = sender.send_request(request(peer, authorization, body)?).await?;
    let (head, body) = response.into_parts();
    match Status::from_header_map(&head.headers) {
        Some(status) if status.code() != Code::Ok => return Err(status.into()),
        _ if head.status != StatusCode::OK => return Err(PeerFault::Garbled("it answers no gRPC")),
        _ => {}
    }
    Ok(Streaming::new_response(codec.decoder(), body, head.status, None, Some(pieces::MAX_PIECE_BYTES)))
}

fn authorization(means: &Means) -> Result<HeaderValue, PeerFault> {
    let path = || means.token.clone();
    let token = std::fs::read_to_string(&means.token).map_err(|source| PeerFault::Token { path: path(), source })?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim_end()))
        .map_err(|_| PeerFault::NoToken { path: path() })?;
    value.set_sensitive(true);
    Ok(value)
}

fn request(peer: &Peer, authorization: HeaderValue, body: Body) -> Result<Request<Body>, PeerFault> {
    Request::post(format!("https://{}{WATCH}", peer.server_name.to_str()))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::AUTHORIZATION, authorization)
        .body(body)
        .map_err(|_| PeerFault::Garbled("its name is none for a request"))
}
