//! Certificates that callers show: by themselves, and beside a token that is bound to one.

use std::sync::Arc;

use super::{Caller, Failure, HeldCertificate, Progress};
use crate::client_certificate::Demanded;
use crate::client_certificate::shown::{ShownCertificate, Unshown};
use crate::jwt::Thumbprint;
use crate::pipeline::tokens::Patience;
use crate::rejection::Reason;
use crate::runtime::policy::Alternative;

/// Why nothing is known of a certificate where it is only reported what one would be judged by.
const NOT_KNOWN: &str = "nobody was asked for a certificate: only where it is enforced that is known";

/// The certificate of the caller, if it is what `demanded` asks for.
pub(super) fn hold(
    alternative: &Alternative,
    demanded: &Arc<Demanded>,
    caller: &Caller<'_>,
) -> Result<HeldCertificate, Failure> {
    let fail = |progress, reason, message: &str| Failure::new(alternative, progress, reason, message);
    let shown = shown(alternative, caller, (Progress::Unshown, Reason::CertificateMissing), "")?;
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
pub(super) fn hold_bound(alternative: &Alternative, bound: &Thumbprint, caller: &Caller<'_>) -> Result<(), Failure> {
    let invalid = (Progress::Invalid, Reason::TokenInvalid);
    let about = "the token is bound to a certificate: ";
    let why = match shown(alternative, caller, invalid, about)?.thumbprint() {
        Some(print) if print == bound => return Ok(()),
        Some(_) => "another one was shown",
        None => "the one that was shown cannot be read",
    };
    Err(Failure::new(alternative, invalid.0, invalid.1, format!("{about}{why}")))
}

/// The certificate of the caller; or how what asks for one fails, which would have been `else_what`.
fn shown<'a>(
    alternative: &Alternative,
    caller: &Caller<'a>,
    else_what: (Progress, Reason),
    about: &str,
) -> Result<&'a Arc<ShownCertificate>, Failure> {
    let (progress, reason) = else_what;
    caller.hop.certificate.shown(caller.hop.is_cleartext).map_err(|why| match why {
        // What is only reported asks nobody.
        Unshown::NotAskedFor if caller.patience == Patience::AsksOnly => {
            Failure::new(alternative, progress, reason, format!("{about}{NOT_KNOWN}"))
        }
        Unshown::NotAskedFor => Failure::new(alternative, Progress::Misdirected, Reason::Misdirected, why.to_string()),
        _ => Failure::new(alternative, progress, reason, format!("{about}{why}")),
    })
}
