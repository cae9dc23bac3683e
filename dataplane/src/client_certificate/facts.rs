//! What a certificate says, read once.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

use crate::clock::UnixMs;

/// As RFC 4514, 3 writes the types that everybody knows.
const SHORT: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];
/// What a value of RFC 4514 has a backslash before.
const ESCAPED: [char; 7] = [',', '+', '"', '\\', '<', '>', ';'];
const SPIFFE: &str = "spiffe://";
/// Alternative names of one certificate: who has more is known by none of them.
const MAX_NAMES: usize = 256;

/// All that anybody asks of it later.
pub struct Facts {
    pub subject: DistinguishedName,
    pub issuer: DistinguishedName,
    /// Lower-case hexadecimal, without leading zeros.
    pub serial_number: String,
    /// Of the whole certificate, in lower-case hexadecimal.
    pub sha256_fingerprint: String,
    pub not_before: UnixMs,
    pub not_after: UnixMs,
    pub uris: Vec<String>,
    pub dns_names: Vec<String>,
    pub emails: Vec<String>,
    pub ips: Vec<Vec<u8>>,
    /// Its key usage has digitalSignature and its extended key usage clientAuth, where it has them.
    pub(super) is_for_callers: bool,
}

/// Relative names in the order of the certificate; each a set of type and value, which is absent where it is no text that can be read.
#[derive(Clone, Debug)]
pub struct DistinguishedName(pub Vec<Vec<(String, Option<String>)>>);

/// What cannot be read is equal to nothing.
impl PartialEq for DistinguishedName {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().flatten().all(|(_, value)| value.is_some()) && self.0 == other.0
    }
}

impl Facts {
    /// Reads a certificate; `None` where something of it cannot be read, or could be read in two ways.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let mut facts = Self {
            subject: DistinguishedName::read(certificate.subject())?,
            issuer: DistinguishedName::read(certificate.issuer())?,
            serial_number: serial_number(certificate.raw_serial()),
            sha256_fingerprint: hex(digest(&SHA256, der).as_ref()),
            not_before: UnixMs::from_seconds(certificate.validity().not_before.timestamp()),
            not_after: UnixMs::from_seconds(certificate.validity().not_after.timestamp()),
            uris: vec![],
            dns_names: vec![],
            emails: vec![],
            ips: vec![],
            is_for_callers: is_for_callers(&certificate)?,
        };
        let names = certificate.subject_alternative_name().ok()?;
        if names.iter().any(|extension| extension.value.general_names.len() > MAX_NAMES) {
            return None;
        }
        for name in names.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::URI(uri) => facts.uris.push(plain(uri)?),
                GeneralName::DNSName(dns) => facts.dns_names.push(plain(dns)?.to_ascii_lowercase()),
                GeneralName::RFC822Name(email) => facts.emails.push(with_plain_domain(&plain(email)?)),
                GeneralName::IPAddress(ip) => facts.ips.push(ip.to_vec()),
                GeneralName::Invalid(..) => return None,
                _ => {}
            }
        }
        Some(facts)
    }

    /// Its addresses as people write them; others than IPv4 and IPv6 cannot be.
    pub fn ips_written(&self) -> Vec<String> {
        let written = |ip: &Vec<u8>| match ip.len() {
            4 => <[u8; 4]>::try_from(ip.as_slice()).ok().map(|ip| IpAddr::from(ip).to_string()),
            _ => <[u8; 16]>::try_from(ip.as_slice()).ok().map(|ip| IpAddr::from(ip).to_string()),
        };
        self.ips.iter().filter_map(written).collect()
    }

    /// Whether its only URI name is a SPIFFE ID of `trust_domain`.
    pub(super) fn is_of_trust_domain(&self, trust_domain: &str) -> bool {
        let [uri] = self.uris.as_slice() else { return false };
        let rest = uri.strip_prefix(SPIFFE).and_then(|rest| rest.strip_prefix(trust_domain));
        rest.is_some_and(|path| path.len() > 1 && path.starts_with('/'))
    }

    /// Whether `uri` is among its URI names; a SPIFFE ID stands alone (SPIFFE X.509-SVID, 2).
    pub(super) fn has_uri(&self, uri: &str) -> bool {
        let is_there = self.uris.iter().any(|one| one == uri);
        is_there && (!uri.starts_with(SPIFFE) || self.uris.len() == 1)
    }
}

impl DistinguishedName {
    fn read(name: &X509Name<'_>) -> Option<Self> {
        let relative = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            let value = attribute.as_str().ok().map(plain);
            // One with a NUL in it is no name at all.
            if value == Some(None) { None } else { Some((attribute.attr_type().to_id_string(), value.flatten())) }
        };
        name.iter_rdn().map(|one| one.iter().map(relative).collect()).collect::<Option<Vec<_>>>().map(Self)
    }

    /// As RFC 4514 writes it: from its end.
    pub fn written(&self) -> String {
        let relative = |attributes: &Vec<(String, Option<String>)>| {
            let attributes = attributes.iter().map(|(kind, value)| {
                let short = SHORT.iter().find(|(known, _)| known == kind).map_or(kind.as_str(), |(_, short)| short);
                format!("{short}={}", escaped(value.as_deref().unwrap_or("\u{fffd}")))
            });
            attributes.collect::<Vec<_>>().join("+")
        };
        self.0.iter().rev().map(relative).collect::<Vec<_>>().join(",")
    }
}

/// RFC 4514, 2.4.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::new();
    for (at, letter) in value.chars().enumerate() {
        let is_at_edge = letter == ' ' && (at == 0 || at == last) || letter == '#' && at == 0;
        if ESCAPED.contains(&letter) || is_at_edge {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

/// A text without control characters: a NUL ends it for one reader and not for another.
fn plain(text: &str) -> Option<String> {
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// Of a mail address the domain is the same in any case.
fn with_plain_domain(email: &str) -> String {
    email
        .rsplit_once('@')
        .map_or_else(|| email.to_owned(), |(name, domain)| format!("{name}@{}", domain.to_ascii_lowercase()))
}

/// `None` where an extension cannot be read.
fn is_for_callers(certificate: &X509Certificate<'_>) -> Option<bool> {
    let signs = certificate.key_usage().ok()?.is_none_or(|usage| usage.value.digital_signature());
    let calls = certificate.extended_key_usage().ok()?.is_none_or(|usage| usage.value.client_auth);
    Some(signs && calls)
}

fn serial_number(bytes: &[u8]) -> String {
    let hex = hex(bytes);
    let short = hex.trim_start_matches('0');
    if short.is_empty() { "0".to_owned() } else { short.to_owned() }
}

/// In lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
