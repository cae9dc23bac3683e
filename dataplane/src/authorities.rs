//! Which certificate authorities are trusted where nobody names any.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Those of the system, as `SSL_CERT_FILE`, `SSL_CERT_DIR` or its own files have them. A system that has none, an image with nothing but a
/// program in it, trusts those that Mozilla did when this was built.
pub fn of_system() -> RootCertStore {
    trusting(rustls_native_certs::load_native_certs().certs)
}

fn trusting(found: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (read, _unread) = roots.add_parsable_certificates(found);
    if read == 0 {
        roots.add_parsable_certificates(TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_any_trusts_those_that_are_built_in() {
        let built_in = TLS_SERVER_ROOT_CERTS.len();
        assert!(built_in > 100);
        assert_eq!(trusting(vec![]).len(), built_in);
        assert_eq!(
            trusting(vec![CertificateDer::from(vec![0x30, 0x00])]).len(),
            built_in,
            "what is no certificate counts as none"
        );
    }

    #[test]
    fn what_the_system_trusts_is_all() {
        let own = rcgen::generate_simple_self_signed(vec!["authority".to_owned()]).unwrap();
        assert_eq!(trusting(vec![own.cert.der().clone()]).len(), 1);
    }
}
