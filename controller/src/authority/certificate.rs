//! What a certificate says, as far as it matters here.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Characters of a line (RFC 7468, 2).
const LINE: usize = 64;

pub(super) struct Facts {
    pub(super) start_s: i64,
    pub(super) end_s: i64,
    pub(super) public_key: Vec<u8>,
    names: BTreeSet<String>,
}

impl Facts {
    pub(super) fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok()?;
        let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        });
        Some(Self {
            start_s: certificate.validity().not_before.timestamp(),
            end_s: certificate.validity().not_after.timestamp(),
            public_key: certificate.public_key().subject_public_key.data.to_vec(),
            names: names.collect(),
        })
    }

    pub(super) fn is_valid_at(&self, now_s: i64) -> bool {
        self.start_s <= now_s && now_s < self.end_s
    }

    pub(super) fn is_for(&self, names: &[String]) -> bool {
        self.names == names.iter().cloned().collect()
    }
}

/// Whether `authority` has signed `der`.
pub(super) fn is_signed_by(der: &CertificateDer<'_>, authority: &CertificateDer<'_>) -> bool {
    let parsed = X509Certificate::from_der(der).ok().zip(X509Certificate::from_der(authority).ok());
    parsed.is_some_and(|((_, certificate), (_, authority))| {
        certificate.verify_signature(Some(authority.public_key())).is_ok()
    })
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|octets| std::net::IpAddr::from(octets).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|octets| std::net::IpAddr::from(octets).to_string())).ok()
}

/// The textual form (RFC 7468) of `der`.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in encoded.as_bytes().chunks(LINE) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
