//! A Backend, ready to be connected to.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use sallyport_snapshot::Hash;
use sallyport_snapshot::v1::{self, backend::Protocol};

use super::failure::UpstreamFailure;
use super::places::Places;
use crate::authorities;
use crate::rejection::Rejection;
use crate::runtime::certificate::private_key;

/// Where a Backend states none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Endpoints and how they are spoken to.
pub struct Target {
    /// Equal for equal settings: connections are shared within it.
    pub identity: Hash,
    pub connect_timeout: Duration,
    pub request_timeout: Option<Duration>,
    pub(super) speech: Speech,
    pub(super) tls: Option<Tls>,
    pub(super) places: Places,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// HTTP/1.1; over TLS what ALPN says.
    Http1,
    /// HTTP/2, whether over TLS or not.
    Http2,
}

pub(super) struct Tls {
    pub(super) name: ServerName<'static>,
    pub(super) config: Arc<ClientConfig>,
    /// Offers HTTP/1.1 alone, for upgrades.
    pub(super) http1: Arc<ClientConfig>,
}

/// Other resources that a Backend refers to.
pub trait Parts {
    /// The ready addresses of an Endpoints resource.
    fn endpoints(&self, name: &str) -> Option<&v1::Endpoints>;
    /// A Certificate resource.
    fn certificate(&self, name: &str) -> Option<&v1::Certificate>;
}

impl Target {
    /// Whether there is anything to connect to.
    pub fn judge_places(&self) -> Result<(), Rejection> {
        let nowhere = UpstreamFailure::NoEndpoint;
        self.places.order(0).next().map(drop).ok_or_else(|| Rejection::because(nowhere.reason(), nowhere.to_string()))
    }

    /// Prepares `backend`; says what is missing or does not parse.
    pub fn build(backend: &v1::Backend, identity: Hash, parts: &impl Parts) -> Result<Self, String> {
        let speech = match backend.protocol() {
            Protocol::Http | Protocol::Http11 => Speech::Http1,
            Protocol::Http2 | Protocol::H2c | Protocol::Grpc => Speech::Http2,
        };
        let tls = backend.tls.as_ref().map(|tls| Tls::build(tls, backend.protocol(), parts)).transpose()?;
        let shown = backend.tls.as_ref().and_then(|tls| parts.certificate(&tls.client_certificate));
        let time = |value_ms: u64| (value_ms != 0).then(|| Duration::from_millis(value_ms));
        Ok(Self {
            // A connection that was made with another client certificate belongs to another target.
            identity: shown
                .map_or(identity, |shown| Hash::of_bytes(&[identity.as_bytes(), &*shown.chain.concat()].concat())),
            connect_timeout: time(backend.connect_timeout_ms).unwrap_or(CONNECT_TIMEOUT),
            request_timeout: time(backend.request_timeout_ms),
            speech,
            tls,
            places: Places::build(backend, parts)?,
        })
    }

    /// Whether all its connections speak HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.speech == Speech::Http2
    }

    /// Whether its connections may speak HTTP/2: over TLS the service says.
    pub(super) fn may_share(&self) -> bool {
        self.is_http2() || self.tls.is_some()
    }

    /// Whether requests go over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl Tls {
    fn build(tls: &v1::BackendTls, protocol: Protocol, parts: &impl Parts) -> Result<Self, String> {
        let name = ServerName::try_from(tls.hostname.clone())
            .map_err(|_| format!("tls.validation.hostname: {:?}", tls.hostname))?;
        let config = |alpn: &[&[u8]]| -> Result<Arc<ClientConfig>, String> {
            let mut config = client_config(tls, parts)?;
            config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
            Ok(Arc::new(config))
        };
        let offered: &[&[u8]] = match protocol {
            Protocol::Http => &[b"h2", b"http/1.1"],
            Protocol::Http11 => &[b"http/1.1"],
            Protocol::Http2 | Protocol::H2c | Protocol::Grpc => &[b"h2"],
        };
        Ok(Self { name, config: config(offered)?, http1: config(&[b"http/1.1"])? })
    }
}

fn client_config(tls: &v1::BackendTls, parts: &impl Parts) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = builder.with_root_certificates(roots(&tls.ca_certificates)?);
    if tls.client_certificate.is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    let missing = || format!("the client certificate {} is not there", tls.client_certificate);
    let certificate = parts.certificate(&tls.client_certificate).ok_or_else(missing)?;
    let chain = certificate.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let config = builder.with_client_auth_cert(chain, private_key(certificate)?);
    config.map_err(|error| format!("the client certificate {}: {error}", tls.client_certificate))
}

fn roots(named: &[Bytes]) -> Result<RootCertStore, String> {
    if named.is_empty() {
        return Ok(authorities::of_system());
    }
    let mut roots = RootCertStore::empty();
    for der in named {
        roots
            .add(CertificateDer::from(der.to_vec()))
            .map_err(|error| format!("tls.validation.caCertificateRefs: {error}"))?;
    }
    Ok(roots)
}
