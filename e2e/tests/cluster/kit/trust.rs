//! Whom callers believe over TLS.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::authority::Identity;

pub type Caller = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// An authority, and the host that is asked for wherever it is. Over plain text neither is of any account.
pub struct Trust {
    roots: RootCertStore,
    config: ClientConfig,
    host: ServerName<'static>,
}

impl Trust {
    /// Of those who speak plain text.
    pub fn nobody() -> Self {
        Self::of(RootCertStore::empty(), "nobody.invalid")
    }

    /// In what is signed by this authority, in PEM.
    pub fn new(authority: &str, host: &'static str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        Self::of(roots, host)
    }

    fn of(roots: RootCertStore, host: &'static str) -> Self {
        let config = builder(&roots).with_no_client_auth();
        Self { roots, config, host: host.try_into().unwrap() }
    }

    /// The same, of one who shows this certificate where it is asked for.
    pub fn showing(self, identity: &Identity) -> Self {
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = builder(&self.roots).with_client_auth_cert(vec![certificate], key).unwrap();
        Self { config, ..self }
    }

    pub fn caller(&self) -> Caller {
        Client::builder(TokioExecutor::new()).build(self.connector())
    }

    /// One that makes a new connection for each request.
    pub fn caller_without_pool(&self) -> Caller {
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(self.connector())
    }

    fn connector(&self) -> HttpsConnector<HttpConnector> {
        let schemes = HttpsConnectorBuilder::new().with_tls_config(self.config.clone()).https_or_http();
        schemes.with_server_name_resolver(FixedServerNameResolver::new(self.host.clone())).enable_http1().build()
    }

    /// What a new connection is shown, if it is the authority's, for the host, and in force: the certificate, as DER.
    pub async fn shown(&self, address: &str) -> Result<Vec<u8>, String> {
        let stream = TcpStream::connect((address, 443)).await.map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::new(self.config.clone()));
        let stream = connector.connect(self.host.clone(), stream).await.map_err(|error| error.to_string())?;
        let (_, session) = stream.get_ref();
        Ok(session.peer_certificates().unwrap()[0].to_vec())
    }
}

fn builder(roots: &RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(roots.clone())
}
