//! Certificates with their keys, and what a TLS listener shows for each server name.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sallyport_snapshot::v1::{self, certificate::KeyEncoding};

/// The key of `certificate` beside its chain; says what does not fit.
pub fn certified_key(certificate: &v1::Certificate) -> Result<CertifiedKey, String> {
    if !certificate.unusable.is_empty() {
        return Err(certificate.unusable.clone());
    }
    let chain: Vec<_> = certificate.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = private_key(certificate)?;
    CertifiedKey::from_der(chain, key, &provider).map_err(|error| format!("certificate and key: {error}"))
}

/// The private key in the encoding that the resource names.
pub fn private_key(certificate: &v1::Certificate) -> Result<PrivateKeyDer<'static>, String> {
    let key = certificate.private_key.as_ref().ok_or("the private key is missing")?;
    let der = key.value.to_vec();
    Ok(match certificate.encoding() {
        KeyEncoding::Pkcs8 => PrivateKeyDer::Pkcs8(der.into()),
        KeyEncoding::Pkcs1 => PrivateKeyDer::Pkcs1(der.into()),
        KeyEncoding::Sec1 => PrivateKeyDer::Sec1(der.into()),
    })
}

/// TLS settings of a listener that shows these certificates; the first is the one for names that none is made for.
pub fn server_config(certificates: Vec<Arc<CertifiedKey>>) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByName { certificates }));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Tickets are sealed with a key of this listener alone: no session resumes at a listener with other settings.
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| error.to_string())?;
    Ok(config)
}

struct ByName {
    certificates: Vec<Arc<CertifiedKey>>,
}

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ByName({} certificates)", self.certificates.len())
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let made_for_it = |key: &&Arc<CertifiedKey>| name.as_ref().is_some_and(|name| is_for(key, name));
        self.certificates.iter().find(made_for_it).or_else(|| self.certificates.first()).cloned()
    }
}

/// Whether the leaf of `key` is made for `name`.
fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let leaf = key.cert.first().and_then(|leaf| webpki::EndEntityCert::try_from(leaf).ok());
    leaf.is_some_and(|leaf| leaf.verify_is_valid_for_subject_name(name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(name: &str) -> v1::Certificate {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        v1::Certificate {
            chain: vec![made.cert.der().to_vec().into()],
            private_key: Some(v1::Secret { value: made.signing_key.serialize_der().into() }),
            ..v1::Certificate::default()
        }
    }

    #[test]
    fn a_certificate_serves_its_own_name() {
        let key = certified_key(&certificate("a.example.com")).unwrap();
        assert!(is_for(&key, &ServerName::try_from("a.example.com").unwrap()));
        assert!(!is_for(&key, &ServerName::try_from("b.example.com").unwrap()));
        assert!(server_config(vec![Arc::new(key)]).is_ok());
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (mut one, other) = (certificate("a.example.com"), certificate("a.example.com"));
        one.private_key = other.private_key;
        assert!(certified_key(&one).unwrap_err().contains("certificate and key"));
    }

    #[test]
    fn what_the_controller_calls_unusable_is_rejected_in_its_words() {
        let unusable = v1::Certificate { unusable: "tls.crt does not parse".into(), ..certificate("a.example.com") };
        assert_eq!(certified_key(&unusable).unwrap_err(), "tls.crt does not parse");
    }

    #[test]
    fn a_missing_key_is_named() {
        let bare = v1::Certificate { private_key: None, ..certificate("a.example.com") };
        assert!(certified_key(&bare).unwrap_err().contains("private key"));
    }
}
