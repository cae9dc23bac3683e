//! What a listener asks its callers for in the handshake: nothing, any certificate, or one that its Gateway's authorities vouch for (GEP-91).

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use sallyport_snapshot::v1;

use crate::client_certificate::shown::{CallersCertificate, MAX_BYTES, MAX_CERTIFICATES, ShownCertificate};
use crate::client_certificate::trust::ClientTrust;
use crate::client_certificate::{CertificateFault, Demanded};
use crate::clock::UnixMs;
use crate::rejection::{Origin, Reason, Rejection};

/// As the log names the field.
const FIELD: &str = "tls.frontend";

/// What callers are asked for.
#[derive(Clone, Default)]
pub enum Asked {
    #[default]
    Nothing,
    /// They may have none; whom theirs is good for is for each route to judge.
    Any,
    Vouched(Arc<FrontendValidation>),
}

/// By whom callers have to be vouched for.
pub struct FrontendValidation {
    demanded: Demanded,
    /// Absent: nobody is there to vouch for anybody.
    trust: Option<ClientTrust>,
    message: v1::ClientTrust,
}

impl Asked {
    /// Parses the message, if it does not say the same as the `last` one.
    pub fn build(tls: &v1::ListenerTls, last: Option<&Self>) -> Result<Self, String> {
        match (&tls.frontend_validation, last) {
            (Some(trust), Some(Self::Vouched(last))) if last.message == *trust => Ok(Self::Vouched(Arc::clone(last))),
            (Some(trust), _) => Ok(Self::Vouched(Arc::new(FrontendValidation::build(trust)?))),
            (None, _) if tls.requests_certificates => Ok(Self::Any),
            (None, _) => Ok(Self::Nothing),
        }
    }

    /// Whether it comes to the same as `other`.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Vouched(one), Self::Vouched(other)) => one.message == other.message,
            (Self::Nothing, Self::Nothing) | (Self::Any, Self::Any) => true,
            _ => false,
        }
    }

    /// Whether a certificate is wanted at all.
    pub fn is_for_certificate(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// What each caller has to be vouched for by.
    pub fn validation(&self) -> Option<&FrontendValidation> {
        match self {
            Self::Vouched(validation) => Some(validation),
            Self::Nothing | Self::Any => None,
        }
    }
}

impl FrontendValidation {
    fn build(trust: &v1::ClientTrust) -> Result<Self, String> {
        let wrong = |why: String| format!("{FIELD}: {why}");
        let stated = v1::ClientCertificate { trust: FIELD.to_owned(), ..v1::ClientCertificate::default() };
        let demanded = Demanded::build(&stated).map_err(wrong)?;
        let is_anybody_there = !trust.ca_certificates.is_empty();
        let built = is_anybody_there.then(|| ClientTrust::build(trust)).transpose().map_err(wrong)?;
        Ok(Self { demanded, trust: built, message: trust.clone() })
    }

    /// Whether anybody can be let in.
    pub fn has_authorities(&self) -> bool {
        self.trust.is_some()
    }

    fn judge(&self, shown: &ShownCertificate, now: UnixMs) -> Result<UnixMs, CertificateFault> {
        let nobody = || CertificateFault::Untrusted("nobody is there to vouch for it".to_owned());
        let trust = self.trust.as_ref().ok_or_else(nobody)?;
        self.demanded.judge(shown, Some(trust), now).map(|vouched| vouched.until)
    }

    /// Whether a request may come on a connection whose caller has shown `certificate`; and until when that need not be asked again. The
    /// handshake has judged it, but for authorities that have changed since, and a connection that was made for another listener: whoever is refused here has to shake hands anew.
    pub fn admit(&self, gateway: &str, certificate: &CallersCertificate, now: UnixMs) -> Result<UnixMs, Rejection> {
        let shown = certificate.shown(false).map_err(|why| refusal(gateway, &why.to_string()))?;
        self.judge(shown, now).map_err(|fault| refusal(gateway, &fault.to_string()))
    }
}

fn refusal(gateway: &str, why: &str) -> Rejection {
    let object = format!("Gateway {gateway}").into();
    let message = format!("{why}; a handshake with no other certificate is refused");
    Rejection::decided_by(Origin { object, section: FIELD, message, ..Origin::default() }, Reason::Misdirected)
}

/// Judges who has to hold the key of what he shows. Strangers are not told which authorities are trusted.
#[derive(Debug)]
pub(super) struct Holder {
    asked: Asked,
    provider: Arc<CryptoProvider>,
}

impl Holder {
    /// Absent where nothing is asked for.
    pub(super) fn asked(asked: &Asked, provider: Arc<CryptoProvider>) -> Option<Self> {
        asked.is_for_certificate().then(|| Self { asked: asked.clone(), provider })
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), CertificateFault> {
        let Some(validation) = self.asked.validation() else { return Ok(()) };
        let chain = std::iter::once(leaf).chain(others).map(|one| one.clone().into_owned()).collect();
        let now = UnixMs::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        validation.judge(&ShownCertificate::new(chain), now).map(drop)
    }
}

impl ClientCertVerifier for Holder {
    fn client_auth_mandatory(&self) -> bool {
        self.asked.validation().is_some()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // What a stranger brings is kept as long as the connection lasts, and searched for a way to somebody who is trusted.
        let bytes: usize = others.iter().map(|one| one.len()).sum();
        if others.len() >= MAX_CERTIFICATES || leaf.len() + bytes > MAX_BYTES {
            let why = "the caller shows too many certificates, or too large ones";
            return Err(rustls::Error::General(why.to_owned()));
        }
        self.judge(leaf, others, now).map(|()| ClientCertVerified::assertion()).map_err(|fault| alert(&fault).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What the caller is told of it (RFC 8446, 6.2).
fn alert(fault: &CertificateFault) -> CertificateError {
    match fault {
        CertificateFault::Unreadable => CertificateError::BadEncoding,
        CertificateFault::Untrusted(_) => CertificateError::UnknownIssuer,
        CertificateFault::Dates => CertificateError::Expired,
        CertificateFault::Usage => CertificateError::InvalidPurpose,
        CertificateFault::Revoked => CertificateError::Revoked,
        CertificateFault::NoList
        | CertificateFault::ListsStale
        | CertificateFault::TrustDomain(_)
        | CertificateFault::Identity => CertificateError::ApplicationVerificationFailure,
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Any => "Any",
            Self::Vouched(_) => "Vouched",
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::*;

    fn holder(asked: &Asked) -> Holder {
        Holder::asked(asked, Arc::new(rustls::crypto::aws_lc_rs::default_provider())).unwrap()
    }

    struct Authority {
        der: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let der = params.self_signed(&key).unwrap().der().clone();
            Self { der, issuer: Issuer::new(params, key) }
        }

        fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
            let mut params = CertificateParams::default();
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            change(&mut params);
            params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
        }

        fn asks(&self) -> Asked {
            let trust = v1::ClientTrust { ca_certificates: vec![self.der.to_vec().into()], ..Default::default() };
            Asked::build(&v1::ListenerTls { frontend_validation: Some(trust), ..Default::default() }, None).unwrap()
        }
    }

    fn told(of: &CertificateDer<'static>) -> CallersCertificate {
        CallersCertificate::of(Some(std::slice::from_ref(of)), true)
    }

    #[test]
    fn a_caller_shows_a_few_small_certificates_or_none() {
        let holder = holder(&Asked::Any);
        let judged = |sizes: &[usize]| {
            let all: Vec<_> = sizes.iter().map(|size| CertificateDer::from(vec![0; *size])).collect();
            let (leaf, others) = all.split_first().unwrap();
            holder.verify_client_cert(leaf, others, UnixTime::now()).is_ok()
        };
        for (sizes, is_taken) in [
            (&[1000][..], true),
            (&[1000; MAX_CERTIFICATES], true),
            (&[100; MAX_CERTIFICATES + 1], false),
            (&[MAX_BYTES], true),
            (&[MAX_BYTES + 1], false),
            (&[MAX_BYTES - 1000, 1001], false),
        ] {
            assert_eq!(judged(sizes), is_taken, "{sizes:?}");
        }
        assert!(!holder.client_auth_mandatory() && holder.root_hint_subjects().is_empty());
    }

    #[test]
    fn whom_the_authorities_do_not_vouch_for_has_no_handshake_and_no_request() {
        let (ours, other) = (Authority::new(), Authority::new());
        let asked = ours.asks();
        let holder = holder(&asked);
        assert!(holder.client_auth_mandatory() && holder.root_hint_subjects().is_empty());
        let now = UnixTime::now();
        let now_ms = UnixMs::from_seconds(now.as_secs().try_into().unwrap());
        let server =
            |params: &mut CertificateParams| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let ended = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
        for (what, certificate, expected) in [
            ("ours", ours.issue(|_| ()), None),
            ("a stranger's", other.issue(|_| ()), Some(CertificateError::UnknownIssuer)),
            ("a server's", ours.issue(server), Some(CertificateError::InvalidPurpose)),
            ("an ended one", ours.issue(ended), Some(CertificateError::Expired)),
            ("none at all", CertificateDer::from(vec![0; 100]), Some(CertificateError::BadEncoding)),
        ] {
            let judged = holder.verify_client_cert(&certificate, &[], now).map(drop);
            assert_eq!(judged, expected.clone().map_or(Ok(()), |why| Err(why.into())), "{what}");
            let admitted = asked.validation().unwrap().admit("shop/public", &told(&certificate), now_ms);
            assert_eq!(admitted.err().map(|one| one.reason), expected.map(|_| Reason::Misdirected), "{what}");
        }
        for unshown in [CallersCertificate::NotShown, CallersCertificate::NotAskedFor] {
            assert!(asked.validation().unwrap().admit("shop/public", &unshown, now_ms).is_err());
        }
    }

    #[test]
    fn what_was_found_out_holds_no_longer_than_the_certificate() {
        let ours = Authority::new();
        let end = date_time_ymd(2090, 1, 1);
        let certificate = told(&ours.issue(|params| params.not_after = end));
        let asked = ours.asks();
        let until = UnixMs::from_seconds(end.unix_timestamp());
        let admit = |now| asked.validation().unwrap().admit("shop/public", &certificate, now);
        assert_eq!(admit(UnixMs::from_seconds(1_800_000_000)).ok(), Some(until));
        assert!(admit(until).is_err());
    }

    #[test]
    fn other_authorities_are_another_question() {
        let (one, other) = (Authority::new(), Authority::new());
        assert!(one.asks().is_same(&one.asks()) && !one.asks().is_same(&other.asks()));
        assert!(!one.asks().is_same(&Asked::Any) && !Asked::Any.is_same(&Asked::Nothing));
    }

    #[test]
    fn the_same_authorities_are_not_read_twice() {
        let ours = Authority::new();
        let trust = v1::ClientTrust { ca_certificates: vec![ours.der.to_vec().into()], ..Default::default() };
        let tls = v1::ListenerTls { frontend_validation: Some(trust), ..Default::default() };
        let first = ours.asks();
        let again = Asked::build(&tls, Some(&first)).unwrap();
        let at = |asked: &Asked| asked.validation().map(std::ptr::from_ref);
        assert_eq!(at(&first), at(&again));
        assert_ne!(at(&first), at(&Asked::build(&tls, Some(&Asked::Any)).unwrap()));
    }

    #[test]
    fn where_nobody_vouches_nobody_gets_in() {
        let tls = v1::ListenerTls { frontend_validation: Some(v1::ClientTrust::default()), ..Default::default() };
        let asked = Asked::build(&tls, None).unwrap();
        let nobody = asked.validation().unwrap();
        assert!(!nobody.has_authorities() && holder(&asked).client_auth_mandatory());
        let now = UnixMs::from_seconds(1_800_000_000);
        assert!(nobody.admit("shop/public", &told(&Authority::new().issue(|_| ())), now).is_err());
        assert!(nobody.admit("shop/public", &CallersCertificate::NotShown, now).is_err());
    }

    #[test]
    fn authorities_that_cannot_be_read_are_no_listener() {
        let trust = v1::ClientTrust { ca_certificates: vec![vec![0; 10].into()], ..Default::default() };
        let tls = v1::ListenerTls { frontend_validation: Some(trust), ..Default::default() };
        assert!(Asked::build(&tls, None).unwrap_err().starts_with("tls.frontend: "));
    }
}
