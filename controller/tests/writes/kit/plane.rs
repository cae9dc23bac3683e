//! A data plane that says what it is told to say.

use std::sync::Arc;

use base64::Engine as _;
use futures_util::stream;
use http::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sallyport_snapshot::pieces::MAX_PIECE_BYTES;
use sallyport_snapshot::v1::{self, message::Message};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::codec::{Codec as _, EncodeBody};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use super::controller::Controller;
use super::{SITE, within};
use crate::api::{Api, Place};

/// One pod of a Gateway, connected to a controller.
pub struct Plane {
    outgoing: mpsc::UnboundedSender<v1::Message>,
    incoming: Streaming<v1::Update>,
}

impl Plane {
    /// Connects, and says that it has nothing yet. `gateway` is e.g. `shop/public`, of the class `sallyport`.
    pub async fn connect(api: &Api, controller: &Controller, gateway: &str, pod: &str) -> Self {
        let (namespace, name) = gateway.split_once('/').unwrap();
        let account = format!("system:serviceaccount:{namespace}:{name}-sallyport");
        let user = json!({ "username": account, "extra": { "authentication.kubernetes.io/pod-name": [pod] } });
        let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(user.to_string());
        let authority = Place::new("api/v1/configmaps", &format!("{gateway}-sallyport"));
        let pem = api.get(&authority).unwrap()["data"]["ca.crt"].as_str().unwrap().to_owned();
        within("a stream", Self::open(&pem, controller.stream_port, &token)).await
    }

    async fn open(pem: &str, port: u16, token: &str) -> Self {
        let mut roots = RootCertStore::empty();
        CertificateDer::pem_slice_iter(pem.as_bytes()).for_each(|one| roots.add(one.unwrap()).unwrap());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let host = format!("sallyport-controller.{SITE}.svc");
        let stream =
            TlsConnector::from(Arc::new(config)).connect(host.clone().try_into().unwrap(), stream).await.unwrap();
        let (mut sender, connection) =
            http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (outgoing, queue) = mpsc::unbounded_channel();
        let hello = Message::Hello(v1::Hello::default());
        outgoing.send(v1::Message { message: Some(hello) }).unwrap();
        let messages =
            stream::unfold(queue, |mut queue| async move { Some((Ok::<_, Status>(queue.recv().await?), queue)) });
        let mut codec = ProstCodec::<v1::Message, v1::Update>::default();
        let body = Body::new(EncodeBody::new_client(codec.encoder(), Box::pin(messages), None, None));
        let request = Request::post(format!("https://{host}/sallyport.snapshot.v1.Updates/Follow"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {token}"))
            .body(body)
            .unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        assert!(head.headers.get("grpc-status").is_none(), "{:?}", head.headers);
        let incoming = Streaming::new_response(codec.decoder(), body, head.status, None, Some(MAX_PIECE_BYTES));
        Self { outgoing, incoming }
    }

    /// The next update; it is not acknowledged yet.
    pub async fn update(&mut self) -> v1::Update {
        let update = within("an update", self.incoming.message()).await.unwrap().expect("the stream has ended");
        assert!(!update.more, "it is small enough for one piece");
        update
    }

    pub fn acknowledge(&self, update: &v1::Update) {
        self.answer(update, vec![]);
    }

    /// Rejects one of its resources.
    pub fn reject(&self, update: &v1::Update, why: &str) {
        let name = update.changed[0].name.clone();
        self.answer(update, vec![v1::Rejected { name, why: why.to_owned() }]);
    }

    fn answer(&self, update: &v1::Update, rejected: Vec<v1::Rejected>) {
        let ack = v1::Ack { nonce: update.nonce, rejected, more: false };
        self.outgoing.send(v1::Message { message: Some(Message::Ack(ack)) }).unwrap();
    }
}
