//! Certificates that callers show.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::{CaCertificateKind, CaCertificateReference, NAME_PATTERN};

/// A certificate that the caller has shown in the TLS handshake, and whose key it has proven to hold. Listeners ask for one where a route needs it, and require none: each route judges
/// for itself.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.trust) || (has(self.identities) && self.identities.size() > 0 && self.identities.all(i, has(i.sha256Fingerprint) || has(i.certificateRef)))")
        .message("state trust; only where every identity pins a certificate (sha256Fingerprint or certificateRef) it may be left out"),
    validation = Rule::new("has(self.trust) || !has(self.revocation)")
        .message("revocation is of certificates that an authority of trust has issued; state trust, or leave revocation out")
)]
pub struct ClientCertificate {
    /// Authorities whose certificates are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<CertificateTrust>,
    /// One of them has to match, with all that it lists. Default: whoever is trusted. 1 to 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub identities: Vec<CertificateIdentity>,
    /// Lists of certificates that have been revoked (CRL, RFC 5280, 5), each of which covers all that its authority has issued. Default: revocation is not looked at. OCSP is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
}

/// Authorities whose certificates are taken: a path of at most 5 to one of them is needed, with all that RFC 5280 asks of it, and `clientAuth` where the extended key usage says
/// anything.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CertificateTrust {
    /// Objects with authorities, 1 to 8. Public authorities sign for anybody: name your own.
    #[schemars(length(min = 1, max = 8))]
    pub ca_certificate_refs: Vec<CaCertificateReference>,
    /// The certificate has exactly one URI name, and that is a SPIFFE ID of this trust domain. Default: not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[a-z0-9._-]+$"))]
    pub trust_domain: Option<String>,
}

/// Who a certificate is for: all that is stated has to match.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.subjectAltName) || has(self.subject) || has(self.issuer) || has(self.sha256Fingerprint) || has(self.certificateRef)")
        .message("state at least one of subjectAltName, subject, issuer, sha256Fingerprint, certificateRef"),
    validation = Rule::new("!has(self.serialNumber) || has(self.issuer)")
        .message("a serial number is unique for its issuer alone; state issuer as well"),
    validation = Rule::new("!has(self.sha256Fingerprint) || !has(self.certificateRef)")
        .message("both name one certificate; state one of the two")
)]
pub struct CertificateIdentity {
    /// One of its alternative names, compared only with those of the same type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_alt_name: Option<SubjectAltName>,
    /// The whole subject, e.g. `CN=loader,O=Example` (RFC 4514): the same attributes with equal texts in the same order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub subject: Option<String>,
    /// The whole name of the issuer, in the same form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub issuer: Option<String>,
    /// The serial number, hexadecimal, without leading zeros. Only with `issuer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[0-9A-Fa-f]+$"))]
    pub serial_number: Option<String>,
    /// SHA-256 of the whole certificate, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(equal = 64), regex(pattern = r"^[0-9A-Fa-f]+$"))]
    pub sha256_fingerprint: Option<String>,
    /// The certificate itself, in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_ref: Option<PinnedCertificateReference>,
}

/// Exactly one alternative name (RFC 5280, 4.2.1.6).
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.uri), has(self.dns), has(self.email), has(self.ip)].filter(x, x).size() == 1")
    .message("state exactly one of uri, dns, email, ip"))]
pub struct SubjectAltName {
    /// A URI, byte for byte. With a SPIFFE ID the certificate has no second URI name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^[\x21-\x7e]+$"))]
    pub uri: Option<String>,
    /// A DNS name, in any case of letters; a wildcard in the certificate stands for nothing but itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$"))]
    pub dns: Option<String>,
    /// A mail address, byte for byte before the `@`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 320), regex(pattern = r"^[\x21-\x3f\x41-\x7e]+@[A-Za-z0-9.-]+$"))]
    pub email: Option<String>,
    /// An address, IPv4 or IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 45), regex(pattern = r"^[0-9A-Fa-f:.]+$"))]
    pub ip: Option<String>,
}

/// An object whose entry `tls.crt` holds a certificate; its key is not read.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PinnedCertificateReference {
    /// ConfigMap or Secret. Default: Secret.
    #[serde(default = "PinnedCertificateReference::default_kind")]
    pub kind: CaCertificateKind,
    /// Name of the object; of several certificates in its entry `tls.crt` the first counts.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
}

impl PinnedCertificateReference {
    fn default_kind() -> CaCertificateKind {
        CaCertificateKind::Secret
    }
}

/// Lists of revoked certificates.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// Objects with lists, 1 to 8: of each authority in a path one that it has signed.
    #[schemars(length(min = 1, max = 8))]
    pub crl_refs: Vec<CrlReference>,
    /// What becomes of a certificate of which no list that is current can tell. Default: `Deny`.
    #[serde(default)]
    pub on_unknown: OnUnknown,
}

/// An object of the same namespace whose entry `ca.crl` holds lists of revoked certificates.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CrlReference {
    /// ConfigMap or Secret.
    pub kind: CaCertificateKind,
    /// Name of the object; its entry `ca.crl` holds one or more lists in PEM.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
}

/// What becomes of certificates about which nothing is known.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum OnUnknown {
    /// They are refused.
    #[default]
    Deny,
    /// They are taken, unless a list names them.
    Allow,
}
