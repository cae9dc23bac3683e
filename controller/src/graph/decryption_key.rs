//! Private keys by which encrypted tokens are opened.

use aws_lc_rs::agreement::{ECDH_P256, ECDH_P384, PrivateKey};
use aws_lc_rs::rsa::PrivateDecryptingKey;
use bytes::Bytes;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use sallyport_api::condition::Reason;
use sallyport_api::reference::EntryReference;
use sallyport_snapshot::v1;

use super::certificate::{entry, secret};
use crate::cluster::{ClusterState, ObjectName};
use crate::problem::Problem;

/// Below is too weak; above only makes opening slow.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// The keys that `references` of a policy in `namespace` name.
pub fn keys(
    cluster: &ClusterState,
    namespace: &str,
    references: &[EntryReference],
    field: &str,
) -> Result<Vec<v1::DecryptionKey>, Problem> {
    let read = |(at, reference): (usize, &EntryReference)| {
        let (field, name) = (format!("{field}[{at}]"), ObjectName::new(namespace, &reference.name));
        let pem = entry(secret(cluster, &name, &field)?, &name, &reference.key, &field)?;
        let der = private_key(pem).map_err(|why| {
            let message = format!("Secret {name}, entry {}: {why}", reference.key);
            Problem::new(&field, Reason::SecretInvalid, message)
        })?;
        Ok(v1::DecryptionKey { pkcs8: Some(v1::Secret { value: der }) })
    };
    references.iter().enumerate().map(read).collect()
}

fn private_key(pem: &[u8]) -> Result<Bytes, &'static str> {
    let form = "it is no private key in PEM of the form PKCS #8; make one by openssl pkcs8 -topk8 -nocrypt";
    let Ok(PrivateKeyDer::Pkcs8(key)) = PrivateKeyDer::from_pem_slice(pem) else { return Err(form) };
    let der = key.secret_pkcs8_der();
    let is_usable = match PrivateDecryptingKey::from_pkcs8(der) {
        Ok(rsa) => RSA_BITS.contains(&rsa.key_size_bits()),
        Err(_) => [&ECDH_P256, &ECDH_P384].iter().any(|curve| PrivateKey::from_private_key_der(curve, der).is_ok()),
    };
    if is_usable {
        Ok(Bytes::copy_from_slice(der))
    } else {
        Err("it opens no tokens; store an RSA key of 2048 to 4096 bits, or one of P-256 or P-384")
    }
}
