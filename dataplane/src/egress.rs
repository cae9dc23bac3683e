//! The one client for calls that a configuration makes us place: for keys of issuers, and questions about tokens.
//!
//! It follows no redirect, takes no compressed answer, and refuses addresses that a tenant must not reach through us, after
//! the name has been resolved. Each call is bounded in bytes and time.

mod address_rules;
pub mod leave;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::authorities;
use crate::names::Names;
pub use address_rules::AddressRules;

/// The largest answer: a key set of 100 keys has about 50 kB, and several times that where each comes with certificates.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// The whole call, resolution and handshake included.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Of which for connecting: each address of the name gets its share, so that a dead one leaves time for the others.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A call that gave no usable answer. Names the host, never the query.
#[derive(Debug, thiserror::Error)]
pub enum CallFault {
    #[error("{0:?} is no https address with a host")]
    Address(String),
    #[error("plain http to {0} is not allowed; use https")]
    Plaintext(String),
    #[error("the name {host} cannot be resolved")]
    Resolve { host: String, source: std::io::Error },
    #[error("{host} is at {address}, which must not be called")]
    Forbidden { host: String, address: std::net::IpAddr },
    #[error("{host} cannot be connected to")]
    Connect { host: String, source: std::io::Error },
    #[error("the TLS handshake with {host} failed")]
    Tls { host: String, source: std::io::Error },
    #[error("{host} does not speak HTTP")]
    Protocol { host: String, source: hyper::Error },
    #[error("{host} answered {status}, not 200; redirects are not followed")]
    Status { host: String, status: StatusCode },
    #[error("{host} answered in an encoding that was not asked for")]
    Encoding { host: String },
    #[error("the answer of {host} broke off or is larger than {most} bytes")]
    Body { host: String, most: usize },
    #[error("{host} did not answer within {} ms", within.as_millis())]
    Timeout { host: String, within: Duration },
}

/// An answer with status 200.
pub struct Answer {
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What is asked of a place. By default a document of any kind that is JSON.
pub struct Call {
    /// What is sent: a form, or nothing, where it is only fetched.
    pub form: Option<String>,
    /// A login, for `Authorization`.
    pub authorization: Option<HeaderValue>,
    /// The whole call, resolution and handshake included.
    pub within: Duration,
    /// The largest answer.
    pub most: usize,
}

impl Default for Call {
    fn default() -> Self {
        Self { form: None, authorization: None, within: CALL_TIMEOUT, most: MAX_BODY_BYTES }
    }
}

/// A connection, whatever lies beneath it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Places calls under one set of rules.
#[derive(Clone)]
pub struct Egress {
    rules: AddressRules,
    names: Names,
    /// Read when a call first needs them.
    system_roots: Arc<OnceLock<Arc<RootCertStore>>>,
}

impl Egress {
    /// A client under `rules`. Certificate authorities of the system are trusted where a call names none.
    pub fn new(rules: AddressRules) -> Self {
        Self { rules, names: Names::of_system(), system_roots: Arc::default() }
    }

    /// Fetches `address`. With some `authorities` (DER), only these are trusted.
    pub async fn get(&self, address: &str, authorities: &[Bytes]) -> Result<Answer, CallFault> {
        self.call(address, self.trusting(authorities), Call::default()).await
    }

    /// The same client with connections and names of its own, for another runtime.
    pub fn apart(&self) -> Self {
        Self { names: Names::of_system(), ..self.clone() }
    }

    /// Places `call` at `address`, which is known by `tls`.
    pub async fn call(&self, address: &str, tls: Arc<ClientConfig>, call: Call) -> Result<Answer, CallFault> {
        let (place, within) = (Place::parse(address)?, call.within);
        let answer = self.answer(&place, tls, call);
        let answer = tokio::time::timeout(within, answer).await;
        answer.map_err(|_| CallFault::Timeout { host: place.host.clone(), within })?
    }

    async fn answer(&self, place: &Place, tls: Arc<ClientConfig>, call: Call) -> Result<Answer, CallFault> {
        let stream = self.connect(place).await?;
        if !place.is_tls {
            return exchange(stream, place, call).await;
        }
        let connector = TlsConnector::from(tls);
        let name = ServerName::try_from(place.host.clone()).map_err(|_| CallFault::Address(place.host.clone()))?;
        let stream = connector.connect(name, stream).await;
        exchange(stream.map_err(|source| CallFault::Tls { host: place.host.clone(), source })?, place, call).await
    }

    /// A connection for another protocol than HTTP, under the same rules. Whether it may be in the clear, whoever states it has judged.
    pub async fn open(
        &self,
        host: &str,
        port: u16,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    ) -> Result<Box<dyn Stream>, CallFault> {
        let addresses = self.resolve(host, port).await?;
        let connected = connect_to_first(&addresses).await;
        let stream = connected.map_err(|source| CallFault::Connect { host: host.to_owned(), source })?;
        // Questions are small, and none waits for the next.
        let _best_effort = stream.set_nodelay(true);
        let Some((config, name)) = tls else { return Ok(Box::new(stream)) };
        let stream = TlsConnector::from(config).connect(name, stream).await;
        Ok(Box::new(stream.map_err(|source| CallFault::Tls { host: host.to_owned(), source })?))
    }

    async fn connect(&self, place: &Place) -> Result<TcpStream, CallFault> {
        let addresses = self.resolve(&place.host, place.port).await?;
        if !place.is_tls && !addresses.iter().all(|address| self.rules.permit_plaintext(address.ip())) {
            return Err(CallFault::Plaintext(place.host.clone()));
        }
        let connected = connect_to_first(&addresses).await;
        connected.map_err(|source| CallFault::Connect { host: place.host.clone(), source })
    }

    /// An address that must not be called ends the attempt: it was no accident.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, CallFault> {
        let resolved = self.names.addresses(host).await;
        let resolved = resolved.map_err(|source| CallFault::Resolve { host: host.to_owned(), source })?;
        let addresses: Vec<_> = resolved.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        match addresses.iter().find(|address| !self.rules.permit(address.ip())) {
            Some(forbidden) => Err(CallFault::Forbidden { host: host.to_owned(), address: forbidden.ip() }),
            None => Ok(addresses),
        }
    }

    /// By whom places are known: with some `authorities` (DER), only these are trusted.
    pub fn trusting(&self, authorities: &[Bytes]) -> Arc<ClientConfig> {
        let roots = if authorities.is_empty() {
            Arc::clone(self.system_roots.get_or_init(|| Arc::new(authorities::of_system())))
        } else {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(authorities.iter().map(|der| CertificateDer::from(der.to_vec())));
            Arc::new(roots)
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider supports the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

/// Connects to the first of `addresses` that answers in its share of the time.
async fn connect_to_first(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let share = CONNECT_TIMEOUT / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = std::io::Error::other("the name has no address");
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Where a call goes.
struct Place {
    is_tls: bool,
    /// As the address spells it, for the header `Host`.
    authority: String,
    host: String,
    port: u16,
    target: String,
}

impl Place {
    fn parse(address: &str) -> Result<Self, CallFault> {
        let invalid = || CallFault::Address(without_secrets(address));
        let uri: Uri = address.parse().map_err(|_| invalid())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(invalid()),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(invalid)?;
        let port = port(authority).ok_or_else(invalid)?.unwrap_or(if is_tls { 443 } else { 80 });
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let target = uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        Ok(Self { is_tls, authority: authority.to_string(), host, port, target })
    }
}

/// The port that `authority` states, or none; `None` if what it states is no port.
fn port(authority: &Authority) -> Option<Option<u16>> {
    let Some(stated) = authority.as_str().strip_prefix(authority.host())?.strip_prefix(':') else {
        return (authority.as_str() == authority.host()).then_some(None);
    };
    let is_number = stated.bytes().all(|byte| byte.is_ascii_digit());
    stated.parse().ok().filter(|port| is_number && *port != 0).map(Some)
}

/// What may be told of an address that cannot be read: up to the query, without user and password.
fn without_secrets(address: &str) -> String {
    let ends = |c: char| c == '?' || c == '#' || c.is_whitespace() || c.is_control();
    let told = address.split(ends).next().unwrap_or_default();
    let (scheme, rest) = told.split_once("://").unwrap_or(("", told));
    let rest = rest.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") }
}

async fn exchange<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: T,
    place: &Place,
    call: Call,
) -> Result<Answer, CallFault> {
    let protocol = |source| CallFault::Protocol { host: place.host.clone(), source };
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.map_err(protocol)?;
    // It ends with whoever asks, also where the time is over.
    let _driver = AbortOnDropHandle::new(tokio::spawn(connection));
    let most = call.most;
    let response = sender.send_request(request(place, call)?).await.map_err(protocol);
    read(response?, place, most).await
}

fn request(place: &Place, call: Call) -> Result<Request<Full<Bytes>>, CallFault> {
    let mut request = Request::builder()
        .method(if call.form.is_some() { Method::POST } else { Method::GET })
        .uri(&place.target)
        .header(header::HOST, &place.authority)
        .header(header::ACCEPT, "application/json")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::USER_AGENT, concat!("sallyport/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    if let Some(authorization) = call.authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    if call.form.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let body = call.form.map(Bytes::from).unwrap_or_default();
    request.body(Full::new(body)).map_err(|_| CallFault::Address(place.host.clone()))
}

async fn read(response: Response<hyper::body::Incoming>, place: &Place, most: usize) -> Result<Answer, CallFault> {
    let host = || place.host.clone();
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(CallFault::Status { host: host(), status: head.status });
    }
    if head.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(CallFault::Encoding { host: host() });
    }
    let body = Limited::new(body, most).collect().await.map_err(|_| CallFault::Body { host: host(), most })?;
    Ok(Answer { headers: head.headers, body: body.to_bytes() })
}

#[cfg(test)]
mod tests;
