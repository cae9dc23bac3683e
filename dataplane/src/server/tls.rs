//! TLS at the listener: settings are chosen by the server name, before anything is answered.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::client_certificate::shown::CallersCertificate;
use crate::runtime::Runtime;
use crate::runtime::listener::Tls;

/// A connection, and the names of the certificates of the listener that it was made for.
pub(super) struct Accepted {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) certificates: Arc<[String]>,
    /// Of the caller.
    pub(super) certificate: CallersCertificate,
    pub(super) http2: bool,
}

/// Handshakes that came to nothing, by cause.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub server_name: Counter,
    pub certificate: Counter,
    pub protocol: Counter,
    pub timeout: Counter,
}

impl Counters {
    /// Counts one.
    pub(super) fn count(&self, failed: &Failed) {
        match failed {
            Failed::ServerName { .. } => self.server_name.inc(),
            Failed::Certificate(_) => self.certificate.inc(),
            Failed::Protocol(_) => self.protocol.inc(),
        };
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("server name {name:?}: {why}")]
    ServerName { name: String, why: String },
    /// What the caller has shown, or has not.
    #[error("the caller's certificate: {0}")]
    Certificate(std::io::Error),
    #[error(transparent)]
    Protocol(std::io::Error),
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        use rustls::Error as E;
        let fault = error.get_ref().and_then(|fault| fault.downcast_ref::<E>());
        match fault {
            Some(E::InvalidCertificate(_) | E::NoCertificatesPresented | E::General(_)) => Self::Certificate(error),
            _ => Self::Protocol(error),
        }
    }
}

/// Shakes hands. A name that no listener has, or whose listener has no certificate, is refused.
/// Somebody who explains speaks for others, who have to show what he cannot.
pub(super) async fn accept(
    runtime: &Runtime,
    (port, explains): (u16, bool),
    stream: TcpStream,
) -> Result<Accepted, Failed> {
    let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
    let start = acceptor.await?;
    let name = start.client_hello().server_name().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    let refused = |why: &str| Failed::ServerName { name: name.clone(), why: why.to_owned() };
    let listener = runtime.ports.get(&port).and_then(|port| port.listener(&name));
    let listener = listener.ok_or_else(|| refused("no listener has it"))?;
    let tls = listener.tls.as_ref().ok_or_else(|| refused("its listener speaks no TLS"))?;
    let config = tls.config.clone().ok_or_else(|| refused(why_closed(tls)))?;
    let config = if explains && tls.asked.validation().is_some() {
        tls.for_others().map_err(|why| refused(&why))?
    } else {
        config
    };
    let stream = start.into_stream(config).await?;
    let certificate = CallersCertificate::of(stream.get_ref().1.peer_certificates(), tls.asked.is_for_certificate());
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Accepted { stream, certificates: Arc::clone(&tls.certificates), certificate, http2 })
}

/// Why a listener refuses every handshake.
fn why_closed(tls: &Tls) -> &'static str {
    match tls.asked.validation() {
        Some(validation) if !validation.has_authorities() => {
            "nobody is there to vouch for callers of its listener: tls.frontend"
        }
        _ => "its listener has no certificate",
    }
}
