//! Whom a policy trusts to vouch for certificates: paths by rustls-webpki, which aws-lc verifies the signatures of. What the library leaves to
//! others is asked here: key usage, all that an anchor's certificate says of itself, and every list of revoked certificates.

use aws_lc_rs::digest::{SHA256, digest};
use prost::Message as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sallyport_snapshot::{Hash, v1};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage, VerifiedPath, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::CertificateFault;
use super::revocation::{Named, RevocationList, Standing, standing};
use crate::clock::UnixMs;

/// Certificates between the leaf and the anchor.
const MAX_INTERMEDIATES: usize = 3;
/// Purposes of one certificate: the library reads them at every step of its search.
const MAX_PURPOSES: usize = 32;

/// Authorities, and what they have revoked.
pub struct ClientTrust {
    anchors: Vec<Anchor>,
    lists: Vec<RevocationList>,
    unknown_allowed: bool,
    hash: Hash,
}

struct Anchor {
    anchor: TrustAnchor<'static>,
    der: CertificateDer<'static>,
    not_before: UnixMs,
    not_after: UnixMs,
    /// How many certificates it lets stand between itself and the leaf.
    most_between: usize,
    signs_lists: bool,
}

/// A way from a certificate to somebody who is trusted.
pub(super) struct Path {
    /// Digest of the anchor's public key: a renewed authority with the same key is the same.
    pub(super) anchor: Hash,
    /// The first end of the certificates that the way rests on, but for the leaf.
    pub(super) not_after: UnixMs,
    /// Until then lists can tell.
    pub(super) until: UnixMs,
}

impl ClientTrust {
    /// Parses the resource.
    pub fn build(trust: &v1::ClientTrust) -> Result<Self, String> {
        if trust.ca_certificates.is_empty() {
            return Err("it trusts nobody".to_owned());
        }
        let anchors = trust.ca_certificates.iter().map(|der| Anchor::read(der)).collect::<Result<_, _>>()?;
        let lists = trust.crls.iter().map(|der| RevocationList::read(der)).collect::<Result<_, _>>()?;
        let hash = Hash::of_bytes(&trust.encode_to_vec());
        Ok(Self { anchors, lists, unknown_allowed: trust.unknown_allowed, hash })
    }

    /// Equal for equal content.
    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    /// The way from `chain` to an anchor that is valid now, on which nothing has been revoked.
    pub(super) fn path(&self, chain: &[CertificateDer<'_>], now: UnixMs) -> Result<Path, CertificateFault> {
        let (leaf, others) = chain.split_first().ok_or(CertificateFault::Unreadable)?;
        if !others.iter().all(is_searchable) {
            return Err(CertificateFault::Unreadable);
        }
        let valid: Vec<_> = self.anchors.iter().filter(|one| one.not_before <= now && now < one.not_after).collect();
        let untrusted = |why: Error| {
            let ended = matches!(why, Error::UnknownIssuer) && valid.len() < self.anchors.len();
            let more = if ended { "; an authority of the policy has expired, or is not valid yet" } else { "" };
            CertificateFault::Untrusted(format!("{}{more}", words(&why)))
        };
        let anchors: Vec<_> = valid.iter().map(|one| one.anchor.clone()).collect();
        let seconds = u64::try_from(now.seconds()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let anchor_of = |path: &VerifiedPath<'_>| {
            valid.iter().copied().filter(|one| one.anchor == *path.anchor()).min_by_key(|one| one.most_between)
        };
        let judge = |path: &VerifiedPath<'_>| {
            let most = anchor_of(path).map_or(0, |anchor| anchor.most_between);
            let between: Vec<_> = path.intermediate_certificates().map(|one| one.der()).collect();
            if between.len() > most {
                return Err(Error::MaximumPathDepthExceeded);
            }
            if between.iter().all(|der| signs(der, Signing::Certificates)) {
                Ok(())
            } else {
                Err(Error::EndEntityUsedAsCa)
            }
        };
        let end_entity = EndEntityCert::try_from(leaf).map_err(untrusted)?;
        let path = end_entity
            .verify_for_usage(
                ALL_VERIFICATION_ALGS,
                &anchors,
                others,
                time,
                KeyUsage::client_auth(),
                None,
                Some(&judge),
            )
            .map_err(untrusted)?;
        let anchor = anchor_of(&path).ok_or(CertificateFault::Unreadable)?;
        let between: Vec<_> = path.intermediate_certificates().map(|one| one.der()).collect();
        let until = self.judge_revocation(leaf, &between, anchor, now)?;
        let ends =
            between.iter().map(|der| not_after(der)).collect::<Option<Vec<_>>>().ok_or(CertificateFault::Unreadable)?;
        let key = digest(&SHA256, &anchor.anchor.subject_public_key_info);
        Ok(Path {
            anchor: Hash::of_bytes(key.as_ref()),
            not_after: ends.into_iter().fold(anchor.not_after, UnixMs::min),
            until: until.unwrap_or(UnixMs(i64::MAX)),
        })
    }

    /// Asks the lists about each certificate of a path but the anchor; until when they can tell.
    fn judge_revocation(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        anchor: &Anchor,
        now: UnixMs,
    ) -> Result<Option<UnixMs>, CertificateFault> {
        let mut until: Option<UnixMs> = None;
        if self.lists.is_empty() {
            return Ok(until);
        }
        for (at, der) in std::iter::once(leaf).chain(between).enumerate() {
            let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateFault::Unreadable)?;
            let named = Named { issuer: certificate.issuer().as_raw(), serial: certificate.raw_serial() };
            let (issuer, signs_lists) = match between.get(at) {
                Some(issuer) => (issuer, signs(issuer, Signing::Lists)),
                None => (&anchor.der, anchor.signs_lists),
            };
            let lists = if signs_lists { self.lists.as_slice() } else { &[] };
            match standing(lists, &named, issuer, now) {
                Standing::Revoked => return Err(CertificateFault::Revoked),
                Standing::Unknown { .. } if self.unknown_allowed => {}
                Standing::Unknown { is_stale: true } => return Err(CertificateFault::ListsStale),
                Standing::Unknown { is_stale: false } => return Err(CertificateFault::NoList),
                Standing::Good(end) => until = Some(until.map_or(end, |until| until.min(end))),
            }
        }
        Ok(until)
    }
}

impl Anchor {
    fn read(der: &[u8]) -> Result<Self, String> {
        let unreadable = "an authority's certificate cannot be read";
        let der = CertificateDer::from(der.to_vec());
        let anchor = anchor_from_trusted_cert(&der).map_err(|_| unreadable)?.to_owned();
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| unreadable)?;
        // The library asks nothing of an anchor but its name, its key and its name constraints.
        let constraints = parsed.basic_constraints().map_err(|_| unreadable)?.map(|extension| extension.value);
        let constraints = constraints.filter(|constraints| constraints.ca && signs(&der, Signing::Certificates));
        let constraints = constraints
            .ok_or("a certificate that is to be an authority's may not sign others; pin it as an identity instead")?;
        let most = constraints.path_len_constraint.and_then(|most| usize::try_from(most).ok());
        let [not_before, not_after] = [parsed.validity().not_before, parsed.validity().not_after];
        let [not_before, not_after] = [not_before, not_after].map(|date| UnixMs::from_seconds(date.timestamp()));
        let (most_between, signs_lists) =
            (most.unwrap_or(MAX_INTERMEDIATES).min(MAX_INTERMEDIATES), signs(&der, Signing::Lists));
        drop(parsed);
        Ok(Self { anchor, der, not_before, not_after, most_between, signs_lists })
    }
}

/// What a key may sign.
#[derive(Clone, Copy)]
enum Signing {
    Certificates,
    Lists,
}

/// Whether the key usage, where there is one, lets the key sign that (RFC 5280, 4.2.1.3).
fn signs(der: &[u8], what: Signing) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    certificate.key_usage().is_ok_and(|usage| {
        usage.is_none_or(|usage| match what {
            Signing::Certificates => usage.value.key_cert_sign(),
            Signing::Lists => usage.value.crl_sign(),
        })
    })
}

/// Whether a search may come by it as often as it likes.
fn is_searchable(der: &CertificateDer<'_>) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    certificate
        .extended_key_usage()
        .is_ok_and(|usage| usage.is_none_or(|usage| usage.value.other.len() <= MAX_PURPOSES))
}

fn not_after(der: &[u8]) -> Option<UnixMs> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(UnixMs::from_seconds(certificate.validity().not_after.timestamp()))
}

/// Those that are met; of all others the library's name of the fault alone, for what stands with it may be the caller's, and long.
fn words(why: &Error) -> String {
    match why {
        Error::UnknownIssuer => {
            "no authority of the policy has issued it, or one on the way to it is missing".to_owned()
        }
        Error::CertExpired { .. } => "one on the way to it has expired".to_owned(),
        Error::CertNotValidYet { .. } => "one on the way to it is not valid yet".to_owned(),
        Error::CaUsedAsEndEntity => "it is an authority's own".to_owned(),
        Error::EndEntityUsedAsCa => "one on the way to it may not sign others".to_owned(),
        Error::RequiredEkuNotFoundContext(_) => "one on the way to it is not for callers".to_owned(),
        Error::NameConstraintViolation => "an authority on the way to it may not issue such names".to_owned(),
        Error::MaximumPathDepthExceeded | Error::PathLenConstraintViolated => "the way to it is too long".to_owned(),
        other => {
            let whole = format!("{other:?}");
            whole.split(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned()
        }
    }
}
