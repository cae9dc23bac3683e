//! A connection to a controller, and a stream on it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{StreamExt as _, poll_fn};
use http::{HeaderValue, Request, StatusCode, header};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rand::seq::SliceRandom as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use sallyport_snapshot::{pieces, v1};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;
use tonic::codec::{Codec as _, EncodeBody};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{FollowFault, Whereabouts};
use crate::names::Names;

/// Until there is a connection with TLS, all addresses of the name tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Of which for one address.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);
/// Until the controller has verified the token.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// For a message to be taken: the controller reads all the time, but for moments in which it sends.
pub(super) const TAKEN_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection without traffic is asked for a sign of life after this, and has as much again to give it.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Of a file: hundreds of authorities, and many times a token.
const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Messages that wait for the connection.
const QUEUE: usize = 4;

const FOLLOW: &str = "/sallyport.snapshot.v1.Updates/Follow";

/// What goes both ways. The connection ends with it.
pub(super) struct Stream {
    pub(super) updates: Streaming<v1::Update>,
    pub(super) outgoing: mpsc::Sender<v1::Message>,
}

pub(super) async fn open(whereabouts: &Whereabouts, names: &Names) -> Result<Stream, FollowFault> {
    let authorization = authorization(&whereabouts.token)?;
    let connection = timeout(CONNECT_TIMEOUT, connect(whereabouts, names)).await.map_err(|_| FollowFault::Late)??;
    let opened = follow(connection, &whereabouts.server_name, authorization);
    timeout(OPEN_TIMEOUT, opened).await.map_err(|_| FollowFault::Late)?
}

async fn connect(whereabouts: &Whereabouts, names: &Names) -> Result<TlsStream<TcpStream>, FollowFault> {
    let tls = TlsConnector::from(Arc::new(tls(&whereabouts.authorities)?));
    let name = ServerName::try_from(whereabouts.server_name.clone());
    let name = name.map_err(|_| FollowFault::ServerName(whereabouts.server_name.clone()))?;
    let host = || whereabouts.host.clone();
    let found = names.addresses_in_search(&whereabouts.host).await;
    let mut addresses = found.map_err(|source| FollowFault::Resolve { host: host(), source })?;
    // Data planes spread over the controllers.
    addresses.shuffle(&mut rand::rng());
    let mut last = std::io::Error::other("the name has no address");
    for address in addresses {
        let connecting = TcpStream::connect(SocketAddr::new(address, whereabouts.port));
        match timeout(ADDRESS_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => {
                // Small messages both ways: none waits for the next.
                let _unset = stream.set_nodelay(true);
                return tls.connect(name, stream).await.map_err(FollowFault::Tls);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(FollowFault::Connect { host: host(), source: last })
}

async fn follow(
    connection: TlsStream<TcpStream>,
    server_name: &str,
    authorization: HeaderValue,
) -> Result<Stream, FollowFault> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(KEEPALIVE).keep_alive_timeout(KEEPALIVE);
    let (mut sender, connection) = builder.handshake(TokioIo::new(connection)).await?;
    // It ends with the stream that is returned.
    tokio::spawn(connection);
    let mut codec = ProstCodec::<v1::Message, v1::Update>::default();
    let (outgoing, mut queue) = mpsc::channel(QUEUE);
    let messages = poll_fn(move |cx| queue.poll_recv(cx)).map(Ok::<_, Status>);
    let body = Body::new(EncodeBody::new_client(codec.encoder(), messages, None, None));
    let request = Request::post(format!("https://{server_name}{FOLLOW}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::AUTHORIZATION, authorization)
        .body(body)
        .map_err(|_| FollowFault::ServerName(server_name.to_owned()))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    match Status::from_header_map(&head.headers) {
        Some(status) if status.code() != Code::Ok => return Err(FollowFault::Ended(status)),
        _ if head.status != StatusCode::OK => return Err(FollowFault::Ended(Status::unknown("no gRPC"))),
        _ => {}
    }
    let updates = Streaming::new_response(codec.decoder(), body, head.status, None, Some(pieces::MAX_PIECE_BYTES));
    Ok(Stream { updates, outgoing })
}

/// Trusts those authorities only, and speaks TLS 1.3 only: both ends are ours.
fn tls(authorities: &Path) -> Result<ClientConfig, FollowFault> {
    let none = || FollowFault::Authorities { path: authorities.to_owned() };
    let text = read(authorities)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        roots.add(certificate.map_err(|_| none())?).map_err(|_| none())?;
    }
    if roots.is_empty() {
        return Err(none());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider supports TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn authorization(token: &Path) -> Result<HeaderValue, FollowFault> {
    let none = || FollowFault::Token { path: token.to_owned() };
    let text = String::from_utf8(read(token)?).map_err(|_| none())?;
    let text = text.trim();
    if text.is_empty() {
        return Err(none());
    }
    let mut value = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| none())?;
    value.set_sensitive(true);
    Ok(value)
}

fn read(path: &Path) -> Result<Vec<u8>, FollowFault> {
    let fault = |source| FollowFault::File { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(fault)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(fault(std::io::Error::other("it is too large")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_token_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert!(matches!(authorization(&file), Err(FollowFault::File { .. })));
        for content in [&b""[..], b" \n", b"\xff\xfe", b"a\nb", b"a\0b"] {
            std::fs::write(&file, content).unwrap();
            assert!(matches!(authorization(&file), Err(FollowFault::Token { .. })), "{content:?}");
        }
        std::fs::write(&file, "secret\n").unwrap();
        let value = authorization(&file).unwrap();
        assert_eq!(value, "Bearer secret");
        assert!(!format!("{value:?}").contains("secret"));
    }

    #[test]
    fn what_holds_no_authority_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        assert!(matches!(tls(&file), Err(FollowFault::File { .. })));
        for content in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&file, content).unwrap();
            assert!(matches!(tls(&file), Err(FollowFault::Authorities { .. })), "{content:?}");
        }
        std::fs::write(&file, vec![b' '; MAX_FILE_BYTES + 1]).unwrap();
        assert!(matches!(tls(&file), Err(FollowFault::File { .. })));
    }
}
