//! Certificates that callers show: whom a policy trusts, and who is meant.

use std::net::IpAddr;
use std::str::FromStr as _;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject as _;
use sallyport_api::condition::Reason;
use sallyport_api::policy::{CertificateIdentity, ClientCertificate, CrlReference, OnUnknown, SubjectAltName};
use sallyport_api::reference::{CaCertificateKind, CaCertificateReference};
use sallyport_snapshot::v1::{self, certificate_identity::SubjectAltName as Named};
use webpki::OwnedCertRevocationList;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Any, Tag, Tagged as _};
use x509_cert::name::RdnSequence;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::certificate::{authorities, config_entry, entry, first_certificate, secret};
use super::grant::End;
use crate::cluster::{ClusterState, ObjectName};
use crate::hex;
use crate::problem::Problem;

/// The entry of an object that holds lists of revoked certificates.
const CRL_ENTRY: &str = "ca.crl";
/// The entry with a certificate that is pinned.
const CERTIFICATE_ENTRY: &str = "tls.crt";
/// Authorities of one alternative: each handshake may have to try them all.
pub const MAX_AUTHORITIES: usize = 64;

/// Parses what an object asks of a certificate.
pub struct Reader<'a> {
    pub cluster: &'a ClusterState,
    pub kind: &'static str,
    pub namespace: &'a str,
    /// Where it says so.
    pub field: &'a str,
}

impl Reader<'_> {
    /// What data planes judge by, and whom it trusts, if anybody; `trust` is what that is called.
    pub fn read(
        &self,
        stated: &ClientCertificate,
        trust: String,
    ) -> Result<(v1::ClientCertificate, Option<v1::ClientTrust>), Problem> {
        let identities = stated.identities.iter().enumerate();
        let identities = identities.map(|(at, one)| self.identity(one, &format!("{}.identities[{at}]", self.field)));
        let mut message =
            v1::ClientCertificate { identities: identities.collect::<Result<_, _>>()?, ..Default::default() };
        let Some(authority) = &stated.trust else {
            return Ok((message, None));
        };
        message.trust = trust;
        message.trust_domain = authority.trust_domain.clone().unwrap_or_default();
        let mut trusted = v1::ClientTrust::default();
        for (at, reference) in authority.ca_certificate_refs.iter().enumerate() {
            let referrer = End { group: sallyport_api::GROUP, kind: self.kind, namespace: self.namespace };
            let field = format!("{}.trust.caCertificateRefs[{at}]", self.field);
            trusted.ca_certificates.extend(vouching(self.cluster, referrer, reference, &field)?);
        }
        if trusted.ca_certificates.len() > MAX_AUTHORITIES {
            let message = format!("these are more than {MAX_AUTHORITIES} authorities together; name fewer");
            return Err(Problem::new(format!("{}.trust.caCertificateRefs", self.field), Reason::Invalid, message));
        }
        if let Some(revocation) = &stated.revocation {
            trusted.unknown_allowed = revocation.on_unknown == OnUnknown::Allow;
            for (at, reference) in revocation.crl_refs.iter().enumerate() {
                let field = format!("{}.revocation.crlRefs[{at}]", self.field);
                trusted.crls.extend(self.lists(reference, &field)?);
            }
        }
        Ok((message, Some(trusted)))
    }

    fn identity(&self, stated: &CertificateIdentity, field: &str) -> Result<v1::CertificateIdentity, Problem> {
        let name = |text: &Option<String>, member: &str| {
            let parsed = text.as_deref().map(distinguished_name).transpose();
            parsed.map_err(|why| Problem::new(format!("{field}.{member}"), Reason::Invalid, why))
        };
        let pinned = match (&stated.certificate_ref, &stated.sha256_fingerprint) {
            (None, None) => Vec::new(),
            (None, Some(digits)) => hex::bytes(digits).ok_or_else(|| {
                let why = "this is no fingerprint; write the 64 hexadecimal digits of SHA-256";
                Problem::new(format!("{field}.sha256Fingerprint"), Reason::Invalid, why)
            })?,
            (Some(reference), _) => {
                let field = format!("{field}.certificateRef");
                let pem = self.text(reference.kind, &reference.name, CERTIFICATE_ENTRY, &field)?;
                let why =
                    || format!("{CERTIFICATE_ENTRY} of {} holds no certificate in PEM; store one", reference.name);
                let der = first_certificate(&pem).ok_or_else(|| Problem::new(&field, Reason::SecretInvalid, why()))?;
                digest(&SHA256, &der).as_ref().to_vec()
            }
        };
        let alternative = stated.subject_alt_name.as_ref().map(|one| subject_alt_name(one, field)).transpose()?;
        Ok(v1::CertificateIdentity {
            subject_alt_name: alternative,
            subject: name(&stated.subject, "subject")?,
            issuer: name(&stated.issuer, "issuer")?,
            serial_number: stated.serial_number.as_deref().map(serial).unwrap_or_default(),
            sha256_fingerprint: Bytes::from(pinned),
        })
    }

    fn lists(&self, reference: &CrlReference, field: &str) -> Result<Vec<Bytes>, Problem> {
        let pem = self.text(reference.kind, &reference.name, CRL_ENTRY, field)?;
        let read: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
        let invalid =
            |why: &str| Problem::new(field, Reason::SecretInvalid, format!("{CRL_ENTRY} of {}: {why}", reference.name));
        let lists = read.ok().filter(|lists| !lists.is_empty());
        let lists =
            lists.ok_or_else(|| invalid("it holds no list of revoked certificates in PEM (X509 CRL); store one"))?;
        match lists.iter().find_map(|list| no_list(list)) {
            Some(why) => Err(invalid(why)),
            None => Ok(lists.iter().map(|list| self.cluster.shared.of(list)).collect()),
        }
    }

    fn text(&self, kind: CaCertificateKind, name: &str, key: &str, field: &str) -> Result<Vec<u8>, Problem> {
        let name = ObjectName::new(self.namespace, name);
        match kind {
            CaCertificateKind::ConfigMap => Ok(config_entry(self.cluster, &name, key, field)?.into_bytes()),
            CaCertificateKind::Secret => Ok(entry(secret(self.cluster, &name, field)?, &name, key, field)?.to_vec()),
        }
    }
}

/// Certificates of authorities that an object names, each of which may vouch for callers.
pub fn vouching(
    cluster: &ClusterState,
    referrer: End<'_>,
    reference: &CaCertificateReference,
    field: &str,
) -> Result<Vec<Bytes>, Problem> {
    let found = authorities(cluster, referrer, reference, field)?;
    match found.iter().find_map(|der| no_authority(der)) {
        Some(why) => {
            let message = format!("ca.crt of {}: {why}", reference.name);
            Err(Problem::new(field, Reason::SecretInvalid, message))
        }
        None => Ok(found),
    }
}

/// Why data planes would not trust whoever has this certificate.
fn no_authority(der: &[u8]) -> Option<&'static str> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Some("a certificate cannot be read; store another");
    };
    let constraints = certificate.basic_constraints().ok().flatten();
    let signs = certificate.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
    let is_authority = signs && constraints.is_some_and(|constraints| constraints.value.ca);
    (!is_authority).then_some(
        "a certificate may not sign others; store that of its authority, or have identities of a clientCertificate name that very one by certificateRef",
    )
}

/// Why data planes would not go by this list.
fn no_list(der: &[u8]) -> Option<&'static str> {
    if OwnedCertRevocationList::from_der(der).is_err() {
        return Some(
            "a list cannot be read, or tells of changes or of others' certificates; store whole ones, each of its authority",
        );
    }
    let Ok((_, list)) = CertificateRevocationList::from_der(der) else {
        return Some("a list cannot be read; store another");
    };
    let of_a_part =
        |one: &X509Extension<'_>| matches!(one.parsed_extension(), ParsedExtension::IssuingDistributionPoint(_));
    if list.extensions().iter().any(of_a_part) {
        return Some("a list covers a part of the certificates only; store one that covers all");
    }
    list.next_update().is_none().then_some("a list does not say when the next one comes; store one that does")
}

fn subject_alt_name(stated: &SubjectAltName, field: &str) -> Result<Named, Problem> {
    let invalid =
        |member: &str, why: &str| Problem::new(format!("{field}.subjectAltName{member}"), Reason::Invalid, why);
    match stated {
        SubjectAltName { uri: Some(uri), dns: None, email: None, ip: None } => Ok(Named::Uri(uri.clone())),
        SubjectAltName { uri: None, dns: Some(dns), email: None, ip: None } => Ok(Named::Dns(dns.to_ascii_lowercase())),
        SubjectAltName { uri: None, dns: None, email: Some(email), ip: None } => {
            let split = email
                .rsplit_once('@')
                .ok_or_else(|| invalid(".email", "this is no mail address; write NAME@DOMAIN"))?;
            Ok(Named::Email(format!("{}@{}", split.0, split.1.to_ascii_lowercase())))
        }
        SubjectAltName { uri: None, dns: None, email: None, ip: Some(ip) } => match ip.parse() {
            Ok(IpAddr::V4(ip)) => Ok(Named::Ip(Bytes::copy_from_slice(&ip.octets()))),
            Ok(IpAddr::V6(ip)) => Ok(Named::Ip(Bytes::copy_from_slice(&ip.octets()))),
            Err(_) => Err(invalid(".ip", "this is no address; write IPv4 or IPv6")),
        },
        _ => Err(invalid("", "state exactly one of uri, dns, email, ip")),
    }
}

/// A name as RFC 4514 writes it, in the order of certificates, which is the other one.
fn distinguished_name(text: &str) -> Result<v1::DistinguishedName, &'static str> {
    let form = "this is no name as RFC 4514 writes it; write e.g. CN=loader,O=Example, without blanks around commas";
    // The library reads backslashes before backslashes in its own way.
    if text.contains("\\\\") || text.ends_with('\\') {
        return Err("a backslash in a name cannot be stated; go by another name, or by the fingerprint");
    }
    let parsed = RdnSequence::from_str(text).map_err(|_| form)?;
    let names = parsed.iter().map(|relative| {
        let attributes = relative.iter().map(|attribute| {
            let value = text_of(&attribute.value).ok_or(form)?;
            Ok(v1::distinguished_name::Attribute { r#type: attribute.oid.to_string(), value })
        });
        Ok(v1::distinguished_name::RelativeName { attributes: attributes.collect::<Result<_, &'static str>>()? })
    });
    Ok(v1::DistinguishedName { names: names.collect::<Result<_, &'static str>>()? })
}

fn text_of(value: &Any) -> Option<String> {
    let text = match value.tag() {
        Tag::PrintableString => PrintableStringRef::try_from(value).ok()?.as_str().to_owned(),
        Tag::Ia5String => Ia5StringRef::try_from(value).ok()?.as_str().to_owned(),
        _ => Utf8StringRef::try_from(value).ok()?.as_str().to_owned(),
    };
    Some(text)
}

/// One spelling for each number.
fn serial(hex: &str) -> String {
    let hex = hex.to_ascii_lowercase();
    let short = hex.trim_start_matches('0');
    if short.is_empty() { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(text: &str) -> Option<Vec<String>> {
        let name = distinguished_name(text).ok()?;
        let relative = |one: &v1::distinguished_name::RelativeName| {
            let attributes = one.attributes.iter().map(|one| format!("{}={}", one.r#type, one.value));
            attributes.collect::<Vec<_>>().join("+")
        };
        Some(name.names.iter().map(relative).collect())
    }

    #[test]
    fn names_are_read_from_their_end() {
        for (text, expected) in [
            ("CN=loader,O=Example", vec!["2.5.4.10=Example", "2.5.4.3=loader"]),
            ("CN=a\\,b,O=x", vec!["2.5.4.10=x", "2.5.4.3=a,b"]),
            ("CN=M\\C3\\BCller", vec!["2.5.4.3=Müller"]),
            (
                "UID=a,DC=example,DC=com",
                vec![
                    "0.9.2342.19200300.100.1.25=com",
                    "0.9.2342.19200300.100.1.25=example",
                    "0.9.2342.19200300.100.1.1=a",
                ],
            ),
            ("2.5.4.3=loader", vec!["2.5.4.3=loader"]),
            ("C=DE", vec!["2.5.4.6=DE"]),
        ] {
            assert_eq!(
                attributes(text).as_deref(),
                Some(expected.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>().as_slice()),
                "{text}"
            );
        }
        for text in ["CN=loader\\", "CN=a\\\\\\,O=b", "loader", "CN", "=x", "CN=a, O=b", "XX=a", "/CN=a/O=b"] {
            assert_eq!(attributes(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(["0A1B", "a1b", "00", "0"].map(serial), ["a1b", "a1b", "0", "0"]);
    }

    #[test]
    fn one_alternative_name_is_stated() {
        let one = |change: fn(&mut SubjectAltName)| {
            let mut stated = SubjectAltName::default();
            change(&mut stated);
            subject_alt_name(&stated, "f").ok()
        };
        assert_eq!(one(|name| name.dns = Some("A.Example.com".into())), Some(Named::Dns("a.example.com".into())));
        assert_eq!(
            one(|name| name.email = Some("Ada@Example.COM".into())),
            Some(Named::Email("Ada@example.com".into()))
        );
        assert_eq!(
            one(|name| name.ip = Some("192.0.2.1".into())),
            Some(Named::Ip(Bytes::from_static(&[192, 0, 2, 1])))
        );
        assert_eq!(one(|name| name.ip = Some("192.0.2".into())), None);
        assert_eq!(one(|_| ()), None);
        assert_eq!(one(|name| (name.uri, name.dns) = (Some("a:b".into()), Some("c".into()))), None);
    }
}
