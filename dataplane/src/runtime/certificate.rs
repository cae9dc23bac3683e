//! Certificates with their keys, and what a TLS listener shows for each server name.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sallyport_snapshot::v1::{self, certificate::KeyEncoding};

use super::frontend::{Asked, Holder};

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

/// TLS settings of a listener that shows these certificates, and asks its callers for one.
pub fn server_config(shown: &Shown, asked: &Asked) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?;
    let builder = match Holder::asked(asked, provider) {
        Some(holder) => builder.with_client_cert_verifier(Arc::new(holder)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(shown.clone()));
    // What is to be resumed travels with the caller, his certificates among it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if asked.validation().is_some() {
        // A session that resumes brings the certificate that it began with, for as long as it is resumed: who has renewed his would not get in.
        config.send_tls13_tickets = 0;
    } else {
        // Tickets are sealed with a key of this listener alone: no session resumes at a listener with other settings.
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| error.to_string())?;
    }
    Ok(config)
}

/// What a listener shows: names with a certificate of their own have that one or none; all others the first that is made for them, and
/// the first of all where none is.
#[derive(Clone, Default)]
pub struct Shown {
    certificates: Vec<Arc<CertifiedKey>>,
    /// By name, or by "*." and what follows exactly one label.
    names: BTreeMap<Box<str>, Option<Arc<CertifiedKey>>>,
}

impl Shown {
    /// What `tls` names, of what there is.
    pub fn of(tls: &v1::ListenerTls, held: impl Fn(&str) -> Option<Arc<CertifiedKey>>) -> Self {
        let certificates = tls.certificates.iter().filter_map(|name| held(name)).collect();
        let names = tls.server_names.iter().map(|name| (name.hostname.as_str().into(), held(&name.certificate)));
        Self { certificates, names: names.collect() }
    }

    /// Whether nobody is shown anything.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.names.values().all(Option::is_none)
    }

    /// Whether both are the same certificates, for the same names.
    pub fn is_same(&self, other: &Self) -> bool {
        let all = |one: &Self| -> Vec<_> { one.certificates.iter().map(Arc::as_ptr).collect() };
        let named = |one: &Self| -> Vec<_> {
            one.names.iter().map(|(name, key)| (name.clone(), key.as_ref().map(Arc::as_ptr))).collect()
        };
        all(self) == all(other) && named(self) == named(other)
    }

    fn for_name(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        if let Some(own) = name.as_deref().filter(|_| !self.names.is_empty()).and_then(|name| self.of_its_own(name)) {
            return own.clone();
        }
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let made_for_it = |key: &&Arc<CertifiedKey>| name.as_ref().is_some_and(|name| is_for(key, name));
        self.certificates.iter().find(made_for_it).or_else(|| self.certificates.first()).cloned()
    }

    fn of_its_own(&self, name: &str) -> Option<&Option<Arc<CertifiedKey>>> {
        let wildcard = || Some(format!("*.{}", name.split_once('.')?.1));
        self.names.get(name).or_else(|| self.names.get(wildcard()?.as_str()))
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shown({} certificates, {} names)", self.certificates.len(), self.names.len())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_name(hello.server_name())
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
        let tls = v1::ListenerTls { certificates: vec!["a".into()], ..v1::ListenerTls::default() };
        let key = Arc::new(key);
        assert!(
            [Asked::Nothing, Asked::Any].iter().all(|asked| server_config(
                &Shown::of(&tls, |_| Some(Arc::clone(&key))),
                asked
            )
            .is_ok())
        );
    }

    #[test]
    fn a_name_with_a_certificate_of_its_own_is_shown_that_one_or_none() {
        let made = |name: &str| Arc::new(certified_key(&certificate(name)).unwrap());
        // Its own need not be the one that is made for it.
        let (wide, own, other) = (made("*.example.com"), made("own.example.com"), made("other.example.com"));
        let name = |hostname: &str, certificate: &str| v1::ServerName {
            hostname: hostname.to_owned(),
            certificate: certificate.to_owned(),
        };
        let tls = v1::ListenerTls {
            certificates: vec!["wide".into()],
            server_names: vec![
                name("own.example.com", "own"),
                name("missing.example.com", "missing"),
                name("unnamed.example.com", ""),
                name("*.shop.example.com", "other"),
            ],
            ..v1::ListenerTls::default()
        };
        let held = |name: &str| match name {
            "wide" => Some(Arc::clone(&wide)),
            "own" => Some(Arc::clone(&own)),
            "other" => Some(Arc::clone(&other)),
            _ => None,
        };
        let shown = Shown::of(&tls, held);
        for (name, expected) in [
            (Some("own.example.com"), Some(&own)),
            (Some("OWN.example.com"), Some(&own)),
            (Some("missing.example.com"), None),
            (Some("Missing.Example.com"), None),
            (Some("unnamed.example.com"), None),
            (Some("a.shop.example.com"), Some(&other)),
            (Some("a.b.shop.example.com"), Some(&wide)),
            (Some("shop.example.com"), Some(&wide)),
            (Some("else.example.com"), Some(&wide)),
            (None, Some(&wide)),
        ] {
            let found = shown.for_name(name);
            assert_eq!(found.as_ref().map(Arc::as_ptr), expected.map(Arc::as_ptr), "{name:?}");
        }
        let bare = v1::ListenerTls { certificates: vec![], ..tls.clone() };
        assert!(Shown::of(&bare, held).for_name(Some("else.example.com")).is_none(), "none is for it");
        assert!(!Shown::of(&bare, held).is_empty() && Shown::of(&bare, |_| None).is_empty());
        assert!(shown.is_same(&Shown::of(&tls, held)));
        assert!(!shown.is_same(&Shown::of(&bare, held)) && !shown.is_same(&Shown::of(&tls, |_| None)));
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
