//! A client that says what it is told to, whether that is right or not.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::stream::{StreamExt as _, poll_fn};
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use sallyport_controller::authority::Stored;
use sallyport_snapshot::pieces::MAX_WHOLE_BYTES;
use sallyport_snapshot::v1;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;
use tonic::codec::{Codec as _, EncodeBody};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use super::controller::{Controller, SERVER_NAME};
use super::within;

pub const FOLLOW: &str = "/sallyport.snapshot.v1.Updates/Follow";
pub const WATCH: &str = "/sallyport.snapshot.v1.Standings/Watch";

/// A stream that is open.
pub struct Raw {
    pub updates: Streaming<v1::Update>,
    pub outgoing: mpsc::Sender<v1::Message>,
}

/// A client's settings that trusts the controller and offers `alpn`.
pub fn trusting(stored: &Stored, alpn: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(stored.bundle_pem().as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A connection with TLS.
pub async fn connect(address: SocketAddr, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(SERVER_NAME.try_into().unwrap(), stream).await
}

/// The response to a request for `path`, with these messages in it.
pub async fn ask<M: Message + Send + Sync + 'static>(
    controller: &Controller,
    path: &str,
    authorization: &[&str],
    mut messages: mpsc::Receiver<M>,
) -> Response<Incoming> {
    let stream = connect(controller.address, trusting(&controller.stored, &["h2"])).await.unwrap();
    let (mut sender, connection) =
        http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut codec = ProstCodec::<M, v1::Update>::default();
    let messages = poll_fn(move |cx| messages.poll_recv(cx)).map(Ok::<_, Status>);
    let body = Body::new(EncodeBody::new_client(codec.encoder(), messages, None, None));
    let mut request = Request::post(format!("https://{SERVER_NAME}{path}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers");
    for authorization in authorization {
        request = request.header(header::AUTHORIZATION, *authorization);
    }
    within("a response", sender.send_request(request.body(body).unwrap())).await.unwrap()
}

/// How a request for `path` is refused.
pub async fn refusal(controller: &Controller, path: &str, authorization: Option<&str>) -> Code {
    refusal_of(controller, path, authorization.as_slice()).await
}

/// The same, with any number of headers.
pub async fn refusal_of(controller: &Controller, path: &str, authorization: &[&str]) -> Code {
    let (_outgoing, messages) = mpsc::channel::<v1::Message>(1);
    let response = ask(controller, path, authorization, messages).await;
    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
}

impl Raw {
    /// A stream with the token `token`; nothing is said on it yet.
    pub async fn open(controller: &Controller, token: &str) -> Self {
        let (outgoing, messages) = mpsc::channel(64);
        let response = ask(controller, FOLLOW, &[&format!("Bearer {token}")], messages).await;
        assert!(Status::from_header_map(response.headers()).is_none_or(|status| status.code() == Code::Ok));
        let (head, body) = response.into_parts();
        let decoder = ProstCodec::<v1::Message, v1::Update>::default().decoder();
        let updates = Streaming::new_response(decoder, body, head.status, None, Some(MAX_WHOLE_BYTES));
        Self { updates, outgoing }
    }

    /// The same, and it has said what it has.
    pub async fn greeted(controller: &Controller, token: &str, hello: v1::Hello) -> Self {
        let raw = Self::open(controller, token).await;
        raw.say(v1::message::Message::Hello(hello)).await;
        raw
    }

    pub async fn say(&self, message: v1::message::Message) {
        let message = v1::Message { message: Some(message) };
        within("room for a message", self.outgoing.send(message)).await.unwrap();
    }

    pub async fn ack(&self, nonce: u64) {
        self.say(v1::message::Message::Ack(v1::Ack { nonce, ..v1::Ack::default() })).await;
    }

    /// The next update.
    pub async fn update(&mut self) -> v1::Update {
        within("an update", self.updates.message()).await.unwrap().unwrap()
    }

    /// How the stream ends, whatever comes before.
    pub async fn end(mut self) -> Code {
        within("the end of the stream", async {
            loop {
                match self.updates.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Code::Ok,
                    Err(status) => return status.code(),
                }
            }
        })
        .await
    }
}
