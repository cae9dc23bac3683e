//! A Backend, ready to be connected to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use sallyport_snapshot::Hash;
use sallyport_snapshot::v1::{self, backend::Protocol, endpoint_source::Source};
use smallvec::SmallVec;

use super::UpstreamFailure;
use crate::egress::AddressRules;
use crate::names::Names;
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
    /// By priority; within one, each place as often as its weight says.
    priorities: Vec<Vec<Place>>,
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

/// Where one endpoint is.
#[derive(Clone, Debug)]
pub enum Place {
    Address(SocketAddr),
    Host(Arc<str>, u16),
}

/// Other resources that a Backend refers to.
pub trait Parts {
    /// The ready addresses of an Endpoints resource.
    fn endpoints(&self, name: &str) -> Option<&v1::Endpoints>;
    /// A Certificate resource.
    fn certificate(&self, name: &str) -> Option<&v1::Certificate>;
}

impl Target {
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
            priorities: priorities(backend, parts)?,
        })
    }

    /// Whether requests go over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The places to try, in their order: of the first priority that has any, from the one whose turn it is.
    pub(super) fn order(&self, turn: u64) -> impl Iterator<Item = &Place> {
        self.priorities.iter().flat_map(move |places| {
            let start = turn.checked_rem(places.len() as u64).and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
            places.iter().cycle().skip(start).take(places.len())
        })
    }
}

/// As a rule there is one.
pub(super) type Addresses = SmallVec<[SocketAddr; 1]>;

impl Place {
    /// The address, where it needs no look-up.
    pub(super) fn address(&self, rules: AddressRules) -> Option<Result<Addresses, UpstreamFailure>> {
        match self {
            Self::Address(address) => Some(permitted(SmallVec::from_buf([*address]), rules)),
            Self::Host(..) => None,
        }
    }

    /// The addresses to connect to.
    pub(super) async fn resolve(&self, names: &Names, rules: AddressRules) -> Result<Addresses, UpstreamFailure> {
        match self {
            Self::Address(address) => permitted(SmallVec::from_buf([*address]), rules),
            Self::Host(name, port) => {
                let resolved = names.addresses(name).await;
                let resolved =
                    resolved.map_err(|source| UpstreamFailure::Connect { place: name.to_string(), source })?;
                permitted(resolved.into_iter().map(|ip| SocketAddr::new(ip, *port)).collect(), rules)
            }
        }
    }
}

/// One that must not be connected to ends the attempt: it was no accident.
fn permitted(addresses: Addresses, rules: AddressRules) -> Result<Addresses, UpstreamFailure> {
    match addresses.iter().find(|address| !rules.permit(address.ip())) {
        Some(forbidden) => Err(UpstreamFailure::Forbidden { address: forbidden.ip() }),
        None => Ok(addresses),
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

fn roots(authorities: &[Bytes]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if authorities.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for der in authorities {
        roots
            .add(CertificateDer::from(der.to_vec()))
            .map_err(|error| format!("tls.validation.caCertificateRefs: {error}"))?;
    }
    Ok(roots)
}

fn priorities(backend: &v1::Backend, parts: &impl Parts) -> Result<Vec<Vec<Place>>, String> {
    let mut by_priority = std::collections::BTreeMap::<u32, Vec<Place>>::new();
    for endpoint in &backend.endpoints {
        let places = match &endpoint.source {
            Some(Source::Endpoints(name)) => {
                let found = parts.endpoints(name).ok_or_else(|| format!("endpoints {name} are not there"))?;
                found.ready.iter().map(address).collect::<Result<Vec<_>, _>>()?
            }
            Some(Source::Address(one)) => vec![address(one)?],
            Some(Source::Host(host)) => vec![Place::Host(host.name.as_str().into(), port(host.port)?)],
            None => return Err("an endpoint names no place".to_owned()),
        };
        let weight = endpoint.weight.max(1);
        let weighted = (0..weight).flat_map(|_| places.iter().cloned());
        by_priority.entry(endpoint.priority).or_default().extend(weighted);
    }
    Ok(by_priority.into_values().filter(|places| !places.is_empty()).collect())
}

fn address(address: &v1::Address) -> Result<Place, String> {
    let ip = address.ip.parse().map_err(|_| format!("{:?} is no IP address", address.ip))?;
    Ok(Place::Address(SocketAddr::new(ip, port(address.port)?)))
}

fn port(port: u32) -> Result<u16, String> {
    u16::try_from(port).ok().filter(|port| *port != 0).ok_or_else(|| format!("{port} is no port"))
}
