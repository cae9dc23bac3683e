//! The request that is explained.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
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
use sallyport_dataplane::explain::{Account, Decision, FoundOut};
use sallyport_dataplane::process::DataPlane;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_rustls::TlsConnector;

use super::Arguments;
use crate::cluster::connect::printable;

type Receiver = UnboundedReceiver<FoundOut>;

/// What is asked for is what the Gateway states, wherever `run --port-offset` has it listen.
fn no_listener(port: u16, ports: &[u16]) -> String {
    let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
    match ports.is_empty() {
        true => format!("no listener is at port {port}, nor at any other"),
        false => format!(
            "no listener is at port {port}; there are some at {}: state in the address the port that the Gateway states, without the --port-offset of `run`",
            ports.join(", ")
        ),
    }
}

/// As it would come from a caller.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) is_tls: bool,
    /// Host and port, as they are stated.
    pub(super) authority: String,
    pub(super) port: u16,
    pub(super) path: String,
    /// It may hold a key.
    pub(super) query: Option<String>,
    host: String,
    headers: HeaderMap,
    body_bytes: usize,
}

impl Asked {
    pub(super) fn read(arguments: &Arguments) -> anyhow::Result<Self> {
        let url = match arguments.url.strip_prefix('@') {
            Some(path) => fs::read_to_string(path).with_context(|| format!("@{path}"))?,
            None => arguments.url.clone(),
        };
        // Its query may hold a key.
        let shown = printable(url.split('?').next().unwrap_or_default());
        let wrong = || format!("{shown} is no address; write one as https://api.example.com/orders");
        let uri: Uri = url.trim().parse().with_context(wrong)?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => bail!("{shown} is no address of http or https; begin it with http:// or https://"),
        };
        let authority = uri.authority().ok_or_else(|| anyhow!("{shown} names no host"))?;
        ensure!(!authority.as_str().contains('@'), "a user in the address is nobody's; state it in a header");
        Ok(Self {
            method: arguments
                .method
                .parse()
                .with_context(|| format!("{} is no method", printable(&arguments.method)))?,
            is_tls,
            authority: authority.to_string(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            headers: headers(&arguments.headers)?,
            body_bytes: usize::try_from(arguments.body_bytes)?,
        })
    }

    /// What the data plane finds out about it.
    pub(super) async fn ask(&self, data_plane: &DataPlane, found_out: &mut Receiver) -> anyhow::Result<Account> {
        match (data_plane.speaks_tls(self.port), self.is_tls) {
            (None, _) => bail!("{}", no_listener(self.port, &data_plane.ports())),
            (Some(true), false) => bail!("the listener at port {} speaks TLS; state https", self.port),
            (Some(false), true) => bail!("the listener at port {} speaks no TLS; state http", self.port),
            (Some(_), _) => {}
        }
        let (ours, theirs, own) = connected().await?;
        data_plane.take(self.port, theirs, own);
        let answered = self.answered(ours);
        tokio::select! {
            biased;
            found = found_out.recv() => self.read_found(found),
            answered = answered => match found_out.try_recv() {
                Ok(found) => self.read_found(Some(found)),
                // It was refused before anything judged it, in the gateway's words.
                Err(_) => answered,
            },
        }
    }

    fn read_found(&self, found: Option<FoundOut>) -> anyhow::Result<Account> {
        match found.context("the data plane has ended")? {
            FoundOut::Judged(account) => Ok(*account),
            FoundOut::Closed(why) => {
                let object = format!("port {}", self.port);
                let decision = Decision { closed: true, object, message: why, ..Decision::default() };
                Ok(Account { decision, ..Account::default() })
            }
        }
    }

    async fn answered(&self, stream: TcpStream) -> anyhow::Result<Account> {
        if !self.is_tls {
            return self.over(stream).await;
        }
        let name = ServerName::try_from(self.host.clone()).with_context(|| format!("{:?} is no host", self.host))?;
        self.over(connector()?.connect(name, stream).await.context("the handshake was refused")?).await
    }

    async fn over(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> anyhow::Result<Account> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let target = if self.method == Method::CONNECT { self.authority.clone() } else { self.target() };
        let mut request = Request::builder().method(&self.method).uri(target);
        if !self.headers.contains_key(header::HOST) {
            request = request.header(header::HOST, &self.authority);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(vec![b'x'; self.body_bytes])))?;
        let answer = sender.send_request(request).await.context("the connection was closed before it was judged")?;
        let (status, body) = (answer.status().as_u16(), answer.into_body().collect().await?.to_bytes());
        driver.abort();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
        let decision = Decision { status, reason: text("title"), told: text("detail"), ..Decision::default() };
        Ok(Account { decision, ..Account::default() })
    }

    fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

/// Two ends of a connection that nobody else has a part in, and the address of the first.
async fn connected() -> anyhow::Result<(TcpStream, std::net::TcpStream, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let ours = TcpStream::connect(listener.local_addr()?).await?;
    let own = ours.local_addr()?;
    loop {
        let (theirs, peer) = listener.accept().await?;
        // Anybody on this machine may have been faster.
        if peer == own {
            return Ok((ours, theirs.into_std()?, own));
        }
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
