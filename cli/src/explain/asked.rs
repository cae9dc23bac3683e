//! The request that is explained.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail, ensure};
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Arguments;
use super::show::Account;

/// As it would come from a caller.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) is_tls: bool,
    /// Host and port, as they are stated.
    pub(super) authority: String,
    pub(super) port: u16,
    /// Path and query.
    pub(super) target: String,
    host: String,
    headers: HeaderMap,
    body_bytes: usize,
}

impl Asked {
    pub(super) fn read(arguments: &Arguments) -> anyhow::Result<Self> {
        let uri: Uri = arguments.url.parse().with_context(|| format!("{} is no address", arguments.url))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => bail!("{} is no address of http or https", arguments.url),
        };
        let authority = uri.authority().ok_or_else(|| anyhow!("{} names no host", arguments.url))?;
        ensure!(!authority.as_str().contains('@'), "a user in the address is nobody's; state it in a header");
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Self {
            method: arguments.method.parse().with_context(|| format!("{} is no method", arguments.method))?,
            is_tls,
            authority: authority.to_string(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            target: target.to_owned(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            headers: headers(&arguments.headers)?,
            body_bytes: usize::try_from(arguments.body_bytes)?,
        })
    }

    /// What the data plane at `ip` says of it.
    pub(super) async fn ask(&self, ip: IpAddr, offset: u16) -> anyhow::Result<Account> {
        let address = SocketAddr::new(ip, self.port.checked_add(offset).unwrap_or(self.port));
        let nobody = || format!("no listener is at port {}; state another port in the address", self.port);
        let stream = TcpStream::connect(address).await.with_context(nobody)?;
        if !self.is_tls {
            return self.over(stream).await;
        }
        let name = ServerName::try_from(self.host.clone()).with_context(|| format!("{} is no host", self.host))?;
        let refused = || {
            format!(
                "the handshake for {} at port {} was refused: no listener with a certificate serves it there",
                self.host, self.port
            )
        };
        self.over(connector()?.connect(name, stream).await.with_context(refused)?).await
    }

    async fn over(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> anyhow::Result<Account> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder().method(&self.method).uri(&self.target);
        if !self.headers.contains_key(header::HOST) {
            request = request.header(header::HOST, &self.authority);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(vec![b'x'; self.body_bytes])))?;
        let answer = sender.send_request(request).await.context("the connection was refused: an ipFilter of a Floor or the origin lock of the Gateway bars the address, or the request is none")?;
        let (status, body) = (answer.status(), answer.into_body().collect().await?.to_bytes());
        driver.abort();
        serde_json::from_slice(&body).with_context(|| format!("it was answered {status}, and not judged"))
    }
}

fn headers(stated: &[String]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in stated {
        match line.strip_prefix('@') {
            None => header(line, &mut headers)?,
            Some(path) => {
                let text = fs::read_to_string(path).with_context(|| format!("--header @{path}"))?;
                text.lines().filter(|line| !line.trim().is_empty()).try_for_each(|line| header(line, &mut headers))?;
            }
        }
    }
    Ok(headers)
}

fn header(line: &str, headers: &mut HeaderMap) -> anyhow::Result<()> {
    // What it holds may be a secret.
    let told = || "a header is written as 'Name: value'".to_owned();
    let (name, value) = line.split_once(':').with_context(told)?;
    let name: HeaderName = name.trim().parse().with_context(told)?;
    headers.append(name, HeaderValue::from_str(value.trim()).with_context(told)?);
    Ok(())
}

/// It is this process that is spoken to: whoever its certificate is of does not matter.
fn connector() -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let anybody = Arc::new(Anybody(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
