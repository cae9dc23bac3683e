//! Certificates that callers show: by themselves, and beside a token that is bound to one.

use std::sync::Arc;

use super::{Caller, Failure, HeldCertificate, Progress};
use crate::client_certificate::Demanded;
use crate::client_certificate::shown::{CallersCertificate, ShownCertificate};
use crate::jwt::Claims;
use crate::pipeline::tokens::Patience;
use crate::rejection::Reason;
use crate::runtime::policy::Alternative;

/// The certificate of the caller, if it is what `demanded` asks for.
pub(super) fn hold(
    alternative: &Alternative,
    demanded: &Arc<Demanded>,
    caller: &Caller<'_>,
) -> Result<HeldCertificate, Failure> {
    let fail = |progress, reason, message: &str| Failure::new(alternative, progress, reason, message);
    let shown = match shown(caller) {
        Ok(shown) => shown,
        Err(Unshown::Refused(why)) => return Err(fail(Progress::Unshown, Reason::CertificateMissing, why)),
        Err(Unshown::Misdirected) => return Err(misdirected(alternative)),
    };
    let trust = match demanded.trust.as_ref() {
        "" => None,
        name => match caller.trusts.get(name).map(AsRef::as_ref) {
            Some(Ok(trust)) => Some(trust),
            other => {
                let why = other.and_then(|found| found.as_ref().err()).map_or("it is not there", String::as_str);
                let message = format!("trust {name} cannot be used: {why}");
                return Err(fail(Progress::Unjudged, Reason::Configuration, &message));
            }
        },
    };
    match demanded.judge(shown, trust, caller.now) {
        Ok(vouched) => Ok(HeldCertificate { shown: Arc::clone(shown), vouched, demanded: Arc::clone(demanded) }),
        Err(fault) => Err(fail(Progress::Invalid, Reason::CertificateRefused, &fault.to_string())),
    }
}

/// Whether the caller has shown the certificate that the token is bound to (RFC 8705, 3). Whether anybody trusts it is not asked.
pub(super) fn hold_bound(alternative: &Alternative, claims: &Claims, caller: &Caller<'_>) -> Result<(), Failure> {
    let Some(bound) = claims.certificate() else { return Ok(()) };
    let refused = |why: &str| {
        let message = format!("the token is bound to a certificate: {why}");
        Err(Failure::new(alternative, Progress::Invalid, Reason::TokenInvalid, message))
    };
    match shown(caller) {
        Ok(shown) if shown.thumbprint() == bound => Ok(()),
        Ok(_) => refused("another one was shown"),
        Err(Unshown::Refused(why)) => refused(why),
        Err(Unshown::Misdirected) => Err(misdirected(alternative)),
    }
}

/// Why there is no certificate of the caller.
enum Unshown {
    Refused(&'static str),
    /// Another connection will be asked.
    Misdirected,
}

fn shown<'a>(caller: &Caller<'a>) -> Result<&'a Arc<ShownCertificate>, Unshown> {
    match caller.hop.certificate {
        CallersCertificate::Shown(shown) => Ok(shown),
        CallersCertificate::NotShown => Err(Unshown::Refused("no certificate was shown")),
        CallersCertificate::NotAskedFor if caller.hop.is_cleartext => {
            Err(Unshown::Refused("the listener speaks no TLS"))
        }
        // What is only reported asks nobody.
        CallersCertificate::NotAskedFor if caller.patience == Patience::AsksOnly => {
            Err(Unshown::Refused("nobody was asked for a certificate: only where it is enforced that is known"))
        }
        CallersCertificate::NotAskedFor => Err(Unshown::Misdirected),
    }
}

fn misdirected(alternative: &Alternative) -> Failure {
    let message = "the connection was made before the listener asked for certificates";
    Failure::new(alternative, Progress::Misdirected, Reason::Misdirected, message)
}
