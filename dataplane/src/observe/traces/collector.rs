//! A collector that a Gateway names: reached as everything is that a configuration makes us call.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithTonicConfig as _};
use tokio::net::TcpStream;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tower_service::Service;

use crate::authorities;
use crate::egress::AddressRules;
use crate::names::Names;

/// For connecting, and for handing over what waits: the exporter gives up after as long.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why spans cannot be sent there.
#[derive(Debug, thiserror::Error)]
pub enum CollectorFault {
    #[error("telemetry.otlpEndpoint: {0:?} is no http or https address with a host and a port")]
    Address(String),
    #[error("telemetry.otlpEndpoint cannot be used")]
    Channel(#[from] tonic::transport::Error),
    #[error("spans cannot be exported")]
    Exporter(#[from] ExporterBuildError),
}

/// An exporter to `endpoint`. Nothing that the process was started with for its own collector (`OTEL_EXPORTER_OTLP_HEADERS`) goes there.
pub fn exporter(endpoint: &str, rules: AddressRules) -> Result<SpanExporter, CollectorFault> {
    let channel = channel(endpoint, rules)?;
    let bare = |mut request: tonic::Request<()>| {
        request.metadata_mut().clear();
        Ok(request)
    };
    Ok(SpanExporter::builder().with_tonic().with_channel(channel).with_interceptor(bare).build()?)
}

fn channel(endpoint: &str, rules: AddressRules) -> Result<Channel, CollectorFault> {
    let invalid = || CollectorFault::Address(endpoint.to_owned());
    let uri: Uri = endpoint.parse().map_err(|_| invalid())?;
    let port = uri.authority().and_then(http::uri::Authority::port_u16);
    let is_tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(invalid()),
    };
    let (Some(host), Some(port)) = (uri.host(), port) else { return Err(invalid()) };
    let connector =
        Connector { host: host.trim_matches(['[', ']']).to_owned(), port, rules, names: Names::of_system() };
    let endpoint = Endpoint::from(uri).timeout(TIMEOUT).connect_timeout(TIMEOUT);
    let tls = || ClientTlsConfig::new().trust_anchors(authorities::of_system().roots);
    let endpoint = if is_tls { endpoint.tls_config(tls())? } else { endpoint };
    Ok(endpoint.connect_with_connector_lazy(connector))
}

/// Connects to one place, whatever it is asked for.
#[derive(Clone)]
struct Connector {
    host: String,
    port: u16,
    rules: AddressRules,
    names: Names,
}

impl Connector {
    /// What is refused is so by the address that would be dialled, each time anew.
    async fn connect(self) -> io::Result<TcpStream> {
        let addresses = self.names.addresses(&self.host).await?;
        if let Some(forbidden) = addresses.iter().find(|address| !self.rules.permit(**address)) {
            let why = format!("{} is at {forbidden}, which must not be called", self.host);
            tracing::warn!(host = self.host, address = %forbidden, "no span is sent to a collector that must not be called");
            return Err(io::Error::other(why));
        }
        let addresses: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect();
        TcpStream::connect(&*addresses).await
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connecting = self.clone().connect();
        Box::pin(async move { connecting.await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::settings::Environment;

    fn connector(environment: Environment, host: &str, port: u16) -> Connector {
        Connector { host: host.to_owned(), port, rules: AddressRules::of(environment), names: Names::of_system() }
    }

    #[rstest]
    #[case(Environment::Cluster, "127.0.0.1")]
    #[case(Environment::Cluster, "localhost")]
    #[case(Environment::Cluster, "::1")]
    #[case(Environment::Standalone, "169.254.169.254")]
    #[case(Environment::Standalone, "::ffff:169.254.169.254")]
    #[case(Environment::Standalone, "fd00:ec2::254")]
    #[tokio::test]
    async fn what_must_not_be_called_is_not_dialled(#[case] environment: Environment, #[case] host: &str) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let refused = connector(environment, host, port).connect().await.unwrap_err();
        assert!(refused.to_string().contains("must not be called"), "{refused}");
    }

    #[tokio::test]
    async fn what_may_be_is() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(connector(Environment::Standalone, "127.0.0.1", port).connect().await.is_ok());
    }

    #[rstest]
    #[case("")]
    #[case("collector:4317")]
    #[case("http://collector")]
    #[case("ftp://collector:4317")]
    #[case("http://collector:0x1")]
    #[tokio::test]
    async fn what_is_no_address_of_a_collector_makes_no_exporter(#[case] endpoint: &str) {
        let built = exporter(endpoint, AddressRules::of(Environment::Standalone));
        assert!(matches!(built, Err(CollectorFault::Address(_))), "{endpoint}");
    }
}
