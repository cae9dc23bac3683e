//! Certificate authorities of the tests.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::random;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
    serial: SerialNumber,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Some who verify take a certificate for self-signed whose issuer is called as its subject, and find authorities by their names.
        params.distinguished_name.push(DnType::CommonName, format!("authority {:016x}", random::<u64>()));
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let serial = SerialNumber::from(random::<u64>());
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.serial_number = Some(serial.clone());
        Identity { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem(), serial }
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A ConfigMap of that name.
    pub fn config_map(&self, name: &str) -> String {
        let data = json!({ "ca.crt": self.0.pem() });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data }).to_string()
    }

    /// A ConfigMap of that name with the list of what this authority has revoked.
    pub fn revoking(&self, name: &str, revoked: &[&Identity]) -> String {
        let revoked = revoked.iter().map(|identity| RevokedCertParams {
            serial_number: identity.serial.clone(),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let data = json!({ "ca.crl": list.signed_by(&self.0).unwrap().pem().unwrap() });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data }).to_string()
    }
}

impl Identity {
    /// As a header tells it (RFC 9440, 2.2): a byte sequence.
    pub fn rfc9440(&self) -> String {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        format!(":{}:", BASE64_STANDARD.encode(&certificate))
    }

    /// A Secret of that name.
    pub fn secret(&self, name: &str) -> String {
        let data = json!({ "tls.crt": self.certificate, "tls.key": self.key });
        let metadata = json!({ "name": name });
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "stringData": data,
        })
        .to_string()
    }
}
