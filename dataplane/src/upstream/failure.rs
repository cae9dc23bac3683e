//! Why no response came, and what the caller is told.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use crate::rejection::Reason;

/// Why no response came.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamFailure {
    #[error("no endpoint of the service is ready")]
    NoEndpoint,
    #[error("{address} must not be called; name another endpoint")]
    Forbidden { address: IpAddr },
    #[error("{place} must not be spoken to without TLS; state tls, or have egress.plaintext of the class list it")]
    Plaintext { place: String },
    #[error("{place} cannot be connected to")]
    Connect { place: String, source: std::io::Error },
    #[error("the TLS handshake with {place} failed")]
    Tls { place: String, source: std::io::Error },
    #[error("no file descriptor is left for a connection to {place}; raise the limit of open files")]
    NoDescriptor { place: String },
    #[error("{place} did not accept a connection in time")]
    ConnectTimeout { place: String },
    #[error(
        "{place} takes no more exchanges at once, on as many connections as are made to it, and none ended in time"
    )]
    Busy { place: String },
    #[error("{address} does not speak HTTP/2: it ended the connection at once")]
    NotHttp2 { address: SocketAddr },
    #[error("the host that {address} would be told is none")]
    Host { address: SocketAddr },
    #[error("{address} broke off or does not speak HTTP")]
    Protocol { address: SocketAddr, source: hyper::Error },
    #[error("{address} did not answer in time")]
    Timeout { address: SocketAddr },
}

impl UpstreamFailure {
    /// Whether it was refused here to call the place: then none of the others is called in its stead.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Forbidden { .. } | Self::Plaintext { .. })
    }

    /// What the caller is told.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NoEndpoint => Reason::NoEndpoint,
            Self::NoDescriptor { .. } => Reason::Overloaded,
            Self::Forbidden { .. } | Self::Plaintext { .. } | Self::Host { .. } => Reason::Configuration,
            Self::Connect { .. } => Reason::UpstreamConnect,
            Self::Tls { .. } => Reason::UpstreamTls,
            Self::NotHttp2 { .. } | Self::Protocol { .. } => Reason::UpstreamProtocol,
            Self::ConnectTimeout { .. } | Self::Busy { .. } | Self::Timeout { .. } => Reason::UpstreamTimeout,
        }
    }
}

/// Whether the service says that it has not processed the request, so that it may be sent again whatever it asks for: HTTP/2's
/// REFUSED_STREAM, and streams that came after the last one that a GOAWAY lets end (RFC 9113, 8.7).
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    source.is_some_and(|error| {
        error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// Whether the connection was closed before a response came.
pub(super) fn is_closed(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    let is_reset =
        source.is_some_and(|error| matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
    error.is_incomplete_message() || is_reset
}
