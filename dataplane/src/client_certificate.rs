//! Certificates that callers show (RFC 5280): the handshake has proven that they hold the key, and each route judges whether it trusts them.

mod facts;
pub mod forwarded;
mod identity;
mod revocation;
pub mod shown;
pub mod trust;

use std::sync::Arc;

use sallyport_snapshot::{Hash, v1};

use crate::clock::UnixMs;
use facts::Facts;
use identity::Identity;
use prost::Message as _;
use shown::ShownCertificate;
use trust::ClientTrust;

/// What an alternative asks of a certificate.
pub struct Demanded {
    /// Name of the ClientTrust; empty where every identity pins a certificate.
    pub trust: Arc<str>,
    trust_domain: Box<str>,
    identities: Vec<Identity>,
    hash: Hash,
}

/// What has been found out about a certificate that holds.
#[derive(Debug)]
pub struct Vouched {
    /// Unique for whoever vouches: the same caller has the same with a new certificate, where the policy knows it by a name.
    pub identity: Box<str>,
    /// The first end of the certificates that it rests on.
    pub not_after: UnixMs,
    /// Until then nobody need be asked again: lists of revoked certificates may end before that.
    pub until: UnixMs,
}

/// Why a certificate does not hold, in the operator's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    #[error("the certificate cannot be read, or has a name that is not allowed")]
    Unreadable,
    #[error("the certificate is not trusted: {0}")]
    Untrusted(String),
    #[error("the certificate, or one on the way to it, has been revoked")]
    Revoked,
    #[error("no list tells whether the certificate, or one on the way to it, has been revoked")]
    NoList,
    #[error(
        "the lists that would tell whether the certificate, or one on the way to it, has been revoked are not current"
    )]
    ListsStale,
    #[error("the certificate, or what vouches for it, has expired or is not valid yet")]
    Dates,
    #[error(
        "the certificate is not for callers: its key usage leaves out digitalSignature, or its extended key usage clientAuth"
    )]
    Usage,
    #[error("the certificate has not exactly one URI name, a SPIFFE ID of the trust domain {0}")]
    TrustDomain(Box<str>),
    #[error("the certificate is trusted, and none of the identities")]
    Identity,
}

impl Demanded {
    /// Parses the resource's word.
    pub fn build(stated: &v1::ClientCertificate) -> Result<Self, String> {
        let identities = stated.identities.iter().map(Identity::build).collect::<Result<Vec<_>, _>>()?;
        let pins_all = !identities.is_empty() && identities.iter().all(Identity::is_pinned);
        if stated.trust.is_empty() && !pins_all {
            return Err("clientCertificate: trusts nobody and does not pin every identity".to_owned());
        }
        Ok(Self {
            trust: stated.trust.as_str().into(),
            trust_domain: stated.trust_domain.as_str().into(),
            identities,
            hash: Hash::of_bytes(&stated.encode_to_vec()),
        })
    }

    /// What comes of `shown`. `trust` is absent where none is asked for.
    pub fn judge(
        &self,
        shown: &ShownCertificate,
        trust: Option<&ClientTrust>,
        now: UnixMs,
    ) -> Result<Arc<Vouched>, CertificateFault> {
        shown.verdict((self.hash, trust.map(ClientTrust::hash)), now, || self.judge_anew(shown, trust, now))
    }

    fn judge_anew(
        &self,
        shown: &ShownCertificate,
        trust: Option<&ClientTrust>,
        now: UnixMs,
    ) -> Result<Vouched, CertificateFault> {
        let facts = shown.facts().ok_or(CertificateFault::Unreadable)?;
        judge_itself(facts, now)?;
        let path = trust.map(|trust| trust.path(shown.chain(), now)).transpose()?;
        if !self.trust_domain.is_empty() && !facts.is_of_trust_domain(&self.trust_domain) {
            return Err(CertificateFault::TrustDomain(self.trust_domain.clone()));
        }
        let known_by = match self.identities.as_slice() {
            [] => None,
            listed => Some(listed.iter().find(|one| one.matches(facts)).ok_or(CertificateFault::Identity)?),
        };
        let name = known_by.and_then(|identity| identity.name(facts)).unwrap_or_else(|| fingerprint(facts));
        let (anchor, not_after, until) = match &path {
            Some(path) => (path.anchor.to_string(), path.not_after.min(facts.not_after), path.until),
            None => (String::new(), facts.not_after, facts.not_after),
        };
        if not_after <= now {
            return Err(CertificateFault::Dates);
        }
        let until = until.min(not_after);
        Ok(Vouched { identity: format!("certificate:{anchor}:{name}").into(), not_after, until })
    }
}

/// What holds of every certificate of a caller.
fn judge_itself(facts: &Facts, now: UnixMs) -> Result<(), CertificateFault> {
    if now < facts.not_before || facts.not_after <= now {
        return Err(CertificateFault::Dates);
    }
    if facts.is_for_callers { Ok(()) } else { Err(CertificateFault::Usage) }
}

fn fingerprint(facts: &Facts) -> String {
    format!("fingerprint:{}", facts.sha256_fingerprint)
}

#[cfg(test)]
mod tests;
