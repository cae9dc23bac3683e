//! Lists of revoked certificates (RFC 5280, 5 and 6.3). All that an authority has signed are read, stale ones too: what one of them names stays revoked.

use std::collections::HashSet;

use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use sallyport_snapshot::Hash;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, OwnedCertRevocationList};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::clock::UnixMs;

/// One list.
pub(super) struct RevocationList {
    /// The issuer's name, as it is encoded.
    issuer: Box<[u8]>,
    serials: HashSet<Box<[u8]>>,
    this_update: UnixMs,
    next_update: UnixMs,
    signed: Box<[u8]>,
    signature: Box<[u8]>,
    /// Certificates that have been asked whether they have signed it, and what came of it.
    signers: Mutex<Vec<(Hash, bool)>>,
}

/// A certificate of a path, as far as a list can name it.
pub(super) struct Named<'a> {
    /// The issuer's name, as it is encoded.
    pub(super) issuer: &'a [u8],
    pub(super) serial: &'a [u8],
}

/// What lists say of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Revoked,
    /// No list of its issuer is current; `is_stale` if there is one.
    Unknown {
        is_stale: bool,
    },
    /// A current list does not name it; that one is good until then.
    Good(UnixMs),
}

impl RevocationList {
    /// Reads a list that is whole: the library refuses those that speak for others, or only of changes.
    pub(super) fn read(der: &[u8]) -> Result<Self, String> {
        OwnedCertRevocationList::from_der(der).map_err(|why| format!("a list of revoked certificates: {why}"))?;
        let (_, list) =
            CertificateRevocationList::from_der(der).map_err(|_| "a list of revoked certificates cannot be read")?;
        let covers_a_part = |one: &x509_parser::extensions::X509Extension<'_>| {
            matches!(one.parsed_extension(), ParsedExtension::IssuingDistributionPoint(_))
        };
        if list.extensions().iter().any(covers_a_part) {
            return Err("a list of revoked certificates covers a part of them only".to_owned());
        }
        let next = list.next_update().ok_or("a list of revoked certificates does not say when the next one comes")?;
        Ok(Self {
            issuer: list.issuer().as_raw().into(),
            serials: list.iter_revoked_certificates().map(|one| one.raw_serial().into()).collect(),
            this_update: UnixMs::from_seconds(list.last_update().timestamp()),
            next_update: UnixMs::from_seconds(next.timestamp()),
            signed: list.tbs_cert_list.as_ref().into(),
            signature: list.signature_value.data.as_ref().into(),
            signers: Mutex::default(),
        })
    }

    /// Whether the key of `signer` has signed it.
    fn is_signed_by(&self, signer: &CertificateDer<'_>) -> bool {
        let hash = Hash::of_bytes(signer);
        if let Some((_, is_signer)) = self.signers.lock().iter().find(|(known, _)| *known == hash) {
            return *is_signer;
        }
        let is_signer = EndEntityCert::try_from(signer).is_ok_and(|signer| {
            let verifies = |algorithm: &&dyn rustls_pki_types::SignatureVerificationAlgorithm| {
                signer.verify_signature(*algorithm, &self.signed, &self.signature).is_ok()
            };
            ALL_VERIFICATION_ALGS.iter().any(verifies)
        });
        let mut signers = self.signers.lock();
        // Authorities are few; those that a stranger has made are not kept.
        if is_signer {
            signers.push((hash, true));
        }
        is_signer
    }
}

/// What all lists together say of a certificate whose issuer has the certificate `issuer`.
pub(super) fn standing(
    lists: &[RevocationList],
    named: &Named<'_>,
    issuer: &CertificateDer<'_>,
    now: UnixMs,
) -> Standing {
    let own = lists
        .iter()
        .filter(|list| *list.issuer == *named.issuer && list.this_update <= now && list.is_signed_by(issuer));
    let mut standing = Standing::Unknown { is_stale: false };
    for list in own {
        if list.serials.contains(named.serial) {
            return Standing::Revoked;
        }
        standing = match standing {
            Standing::Good(until) if now < list.next_update => Standing::Good(until.max(list.next_update)),
            Standing::Good(until) => Standing::Good(until),
            _ if now < list.next_update => Standing::Good(list.next_update),
            _ => Standing::Unknown { is_stale: true },
        };
    }
    standing
}
