//! Who a policy means.

use sallyport_snapshot::v1::{self, certificate_identity::SubjectAltName};

use super::facts::{DistinguishedName, Facts, hex};

/// All that is present has to match.
pub(super) struct Identity {
    name: Option<SubjectAltName>,
    subject: Option<DistinguishedName>,
    issuer: Option<DistinguishedName>,
    serial_number: String,
    /// Lower-case hexadecimal.
    fingerprint: String,
}

impl Identity {
    pub(super) fn build(stated: &v1::CertificateIdentity) -> Result<Self, String> {
        let identity = Self {
            name: stated.subject_alt_name.clone(),
            subject: stated.subject.as_ref().map(name),
            issuer: stated.issuer.as_ref().map(name),
            serial_number: stated.serial_number.clone(),
            fingerprint: hex(&stated.sha256_fingerprint),
        };
        let says_nothing = identity.name.is_none()
            && identity.subject.is_none()
            && identity.issuer.is_none()
            && identity.fingerprint.is_empty();
        let is_bare = !identity.serial_number.is_empty() && identity.issuer.is_none();
        if says_nothing || is_bare {
            return Err(
                "clientCertificate.identities: one of them says nothing, or a serial number without its issuer".into(),
            );
        }
        Ok(identity)
    }

    /// Whether it means one certificate alone.
    pub(super) fn is_pinned(&self) -> bool {
        !self.fingerprint.is_empty()
    }

    pub(super) fn matches(&self, facts: &Facts) -> bool {
        self.name.as_ref().is_none_or(|name| has(facts, name))
            && self.subject.as_ref().is_none_or(|subject| *subject == facts.subject)
            && self.issuer.as_ref().is_none_or(|issuer| *issuer == facts.issuer)
            && (self.serial_number.is_empty() || self.serial_number == facts.serial_number)
            && (self.fingerprint.is_empty() || self.fingerprint == facts.sha256_fingerprint)
    }

    /// What the caller is known by: the first of these that has been compared. Each with its length, so that no two give one text.
    pub(super) fn name(&self, facts: &Facts) -> Option<String> {
        if self.is_pinned() {
            return None;
        }
        let (kind, value) = match (&self.name, &self.subject, &self.issuer) {
            (Some(SubjectAltName::Uri(uri)), ..) => ("uri", uri.clone()),
            (Some(SubjectAltName::Email(email)), ..) => ("email", email.clone()),
            (Some(SubjectAltName::Dns(dns)), ..) => ("dns", dns.clone()),
            (Some(SubjectAltName::Ip(ip)), ..) => ("ip", hex(ip)),
            (None, Some(_), _) => ("subject", facts.subject.written()),
            // Whoever an issuer has signed for: each is known by the number that it was given.
            (None, None, _) => ("serial", format!("{}:{}", facts.issuer.written(), facts.serial_number)),
        };
        Some(format!("{kind}:{}:{value}", value.len()))
    }
}

fn name(stated: &v1::DistinguishedName) -> DistinguishedName {
    let relative = |one: &v1::distinguished_name::RelativeName| {
        one.attributes.iter().map(|one| (one.r#type.clone(), Some(one.value.clone()))).collect()
    };
    DistinguishedName(stated.names.iter().map(relative).collect())
}

fn has(facts: &Facts, name: &SubjectAltName) -> bool {
    match name {
        SubjectAltName::Uri(uri) => facts.has_uri(uri),
        SubjectAltName::Dns(dns) => facts.dns_names.contains(dns),
        SubjectAltName::Email(email) => facts.emails.contains(email),
        SubjectAltName::Ip(ip) => facts.ips.iter().any(|one| *one == **ip),
    }
}
