//! The controller's own certificate authority, and the certificate by which data planes know the controller.
//!
//! Everything follows from what is stored and from the time. An authority lives for a year; at two thirds of that its successor is
//! made, and joins the bundle that clients trust. Nothing is signed by the successor until it has been in the bundle for
//! [`ANNOUNCED_S`]: whoever has read the bundle within that time can connect before, during and after. The older authority loses its
//! key when the successor begins to sign, and leaves the bundle when the last certificate that it has signed has ended.

mod certificate;

use std::sync::Arc;

use jiff::Timestamp;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::seed::Seed;
use certificate::{Facts, is_signed_by, pem};

const DAY_S: i64 = 24 * 60 * 60;
/// How long an authority lives.
pub const AUTHORITY_S: i64 = 365 * DAY_S;
/// How long a server's certificate lives; it is renewed at half of that.
pub const SERVER_S: i64 = 30 * DAY_S;
/// How long a bundle may be old that a client trusts.
pub const ANNOUNCED_S: i64 = 10 * DAY_S;
/// Certificates begin this much before they are made, for clients whose clocks are behind.
const BACKDATED_S: i64 = 60 * 60;

const AUTHORITY_NAME: &str = "Sallyport controller";

/// PEM texts, as a Secret keeps them. Has no `Debug`: half of it is private.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Certificates of all authorities that are trusted, the oldest first.
    pub authorities: String,
    /// Private keys of those that sign, now or later.
    pub authority_keys: String,
    pub server_certificate: String,
    pub server_key: String,
}

/// No certificate can be made, or what is stored cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityFault {
    #[error("a certificate cannot be made")]
    Make(#[from] rcgen::Error),
    #[error("what is stored is no PEM")]
    Pem(#[from] rustls_pki_types::pem::Error),
    #[error("what is stored cannot be used for TLS")]
    Tls(#[from] rustls::Error),
    #[error("{0} is no time for a certificate")]
    Time(i64),
}

/// An authority, with its key if it still signs.
struct Authority {
    der: CertificateDer<'static>,
    facts: Facts,
    key: Option<KeyPair>,
}

impl Stored {
    /// What is to be stored at `now`, and whether that differs from `existing`. What cannot be read is made anew.
    pub fn renewed(existing: Option<&Self>, now: Timestamp, names: &[String]) -> Result<(Self, bool), AuthorityFault> {
        let now_s = now.as_second();
        let mut authorities = existing.map(|stored| stored.read(now_s)).unwrap_or_default();
        if authorities.last().is_none_or(|newest| newest.key.is_none() || newest.has_had_its_time(now_s)) {
            authorities.push(Authority::made(now_s)?);
        }
        let signer = signer(&authorities, now_s);
        for former in authorities.iter_mut().take(signer) {
            former.key = None;
        }
        let Some(signing) = authorities.get(signer) else { return Err(AuthorityFault::Time(now_s)) };
        let has_signed_all = now_s >= signing.announced_s() + ANNOUNCED_S + SERVER_S;
        let (certificate, key) = match existing.filter(|stored| stored.is_served(signing, now_s, names)) {
            Some(stored) => (stored.server_certificate.clone(), stored.server_key.clone()),
            None => signing.issue(now_s, names)?,
        };
        let kept = authorities.iter().skip(if has_signed_all { signer } else { 0 });
        let stored = Self {
            authorities: kept.clone().map(|authority| pem("CERTIFICATE", &authority.der)).collect(),
            authority_keys: kept.filter_map(|authority| Some(authority.key.as_ref()?.serialize_pem())).collect(),
            server_certificate: certificate,
            server_key: key,
        };
        let is_changed = existing != Some(&stored);
        Ok((stored, is_changed))
    }

    /// What clients have to trust.
    pub fn bundle_pem(&self) -> &str {
        &self.authorities
    }

    /// What all replicas know and nobody else, until another authority signs.
    pub fn seed(&self) -> Result<Seed, AuthorityFault> {
        Ok(Seed::of(PrivateKeyDer::from_pem_slice(self.authority_keys.as_bytes())?.secret_der()))
    }

    /// What the update stream is served with.
    pub fn server_config(&self) -> Result<ServerConfig, AuthorityFault> {
        let certificate = CertificateDer::from_pem_slice(self.server_certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(self.server_key.as_bytes())?;
        let builder =
            ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
        let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Each connection is verified anew.
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// With what one controller calls another.
    pub fn client_config(&self) -> Result<ClientConfig, AuthorityFault> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.authorities.as_bytes()) {
            roots.add(certificate?)?;
        }
        let builder =
            ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    /// When its newest authority ends, and its server's certificate, in seconds since 1970 UTC; 0 of what cannot be read.
    pub fn ends_s(&self) -> (i64, i64) {
        let ends = |pem: &str| {
            let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok);
            certificates.filter_map(|der| Some(Facts::of(&der)?.end_s)).max().unwrap_or_default()
        };
        (ends(&self.authorities), ends(&self.server_certificate))
    }

    /// Authorities that are valid, the oldest first.
    fn read(&self, now_s: i64) -> Vec<Authority> {
        let mut keys: Vec<_> = PrivateKeyDer::pem_slice_iter(self.authority_keys.as_bytes())
            .filter_map(|key| KeyPair::try_from(&key.ok()?).ok())
            .collect();
        let certificates = CertificateDer::pem_slice_iter(self.authorities.as_bytes()).filter_map(Result::ok);
        let mut authorities: Vec<_> = certificates
            .filter_map(|der| {
                let facts = Facts::of(&der).filter(|facts| facts.is_valid_at(now_s))?;
                let key = keys.iter().position(|key| facts.public_key == key.public_key_raw());
                let key = key.map(|index| keys.swap_remove(index));
                Some(Authority { der, facts, key })
            })
            .collect();
        authorities.sort_by_key(|authority| authority.facts.start_s);
        authorities
    }

    /// Whether the server's certificate is still good.
    fn is_served(&self, signing: &Authority, now_s: i64, names: &[String]) -> bool {
        let Ok(der) = CertificateDer::from_pem_slice(self.server_certificate.as_bytes()) else { return false };
        let Some(facts) = Facts::of(&der) else { return false };
        let Ok(key) = KeyPair::from_pem(&self.server_key) else { return false };
        let half_s = i64::midpoint(facts.start_s, facts.end_s);
        facts.public_key == key.public_key_raw()
            && facts.is_valid_at(now_s)
            && now_s < half_s
            && facts.is_for(names)
            && is_signed_by(&der, &signing.der)
    }
}

/// The newest that clients know; where there is none, the oldest: it is known best.
fn signer(authorities: &[Authority], now_s: i64) -> usize {
    let can_sign = |authority: &Authority| authority.key.is_some();
    let is_known = |authority: &Authority| now_s >= authority.announced_s() + ANNOUNCED_S;
    let newest = authorities.iter().rposition(|authority| can_sign(authority) && is_known(authority));
    newest.or_else(|| authorities.iter().position(can_sign)).unwrap_or(authorities.len())
}

impl Authority {
    fn made(now_s: i64) -> Result<Self, AuthorityFault> {
        let mut params = params(now_s, now_s + AUTHORITY_S)?;
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, AUTHORITY_NAME);
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let made = CertifiedIssuer::self_signed(params, &key)?;
        let der = made.der().clone();
        drop(made);
        let facts = Facts::of(&der).ok_or(AuthorityFault::Time(now_s))?;
        Ok(Self { der, facts, key: Some(key) })
    }

    /// Since when it is in the bundle.
    fn announced_s(&self) -> i64 {
        self.facts.start_s + BACKDATED_S
    }

    /// Whether its successor has to be there.
    fn has_had_its_time(&self, now_s: i64) -> bool {
        now_s >= self.announced_s() + AUTHORITY_S / 3 * 2
    }

    /// A certificate for `names`, and its key.
    fn issue(&self, now_s: i64, names: &[String]) -> Result<(String, String), AuthorityFault> {
        let mut params = params(now_s, (now_s + SERVER_S).min(self.facts.end_s))?;
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let signer = self.key.as_ref().ok_or(AuthorityFault::Time(now_s))?;
        let certificate = params.signed_by(&key, &Issuer::from_ca_cert_der(&self.der, signer)?)?;
        Ok((pem("CERTIFICATE", certificate.der()), key.serialize_pem()))
    }
}

fn params(now_s: i64, end_s: i64) -> Result<CertificateParams, AuthorityFault> {
    let time = |at_s| time::OffsetDateTime::from_unix_timestamp(at_s).map_err(|_| AuthorityFault::Time(at_s));
    let mut params = CertificateParams::default();
    params.not_before = time(now_s - BACKDATED_S)?;
    params.not_after = time(end_s)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests;
