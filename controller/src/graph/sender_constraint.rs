//! What callers have to hold beside a token, as data planes judge it.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use sallyport_api::condition::Reason;
use sallyport_api::policy::{Binding, Dpop, Nonce, Replay, SenderConstraint};
use sallyport_snapshot::v1::proofs::Memory;
use sallyport_snapshot::v1::{self, sender_constraint::Require};

use super::token;
use crate::problem::Problem;

/// How old a proof may be if nobody says.
const MAX_AGE: Duration = Duration::from_secs(60);
/// How old one may ever be.
const MAX_AGES: std::ops::RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(120);
/// The port of https (RFC 9110, 4.2.2), which nobody writes.
const USUAL_PORT: u16 = 443;
/// The longest DNS name, and part of one (RFC 1035, 2.3.4).
const MAX_NAME: (usize, usize) = (253, 63);

/// What data planes judge whoever brings a token by.
pub fn message(stated: &SenderConstraint, field: &str) -> Result<v1::SenderConstraint, Problem> {
    let field = format!("{field}.senderConstraint");
    let require = match stated.require {
        Binding::Certificate => Require::Certificate,
        Binding::Dpop => Require::Proof,
        Binding::Either => Require::Either,
        Binding::IfBound => Require::IfBound,
    };
    let proofs = match (require, &stated.dpop) {
        (Require::Certificate, None) => None,
        (Require::Certificate, Some(_)) => {
            let message = "by certificates nothing is proven that dpop could say anything of; leave it out, or state require: Either";
            return Err(Problem::new(format!("{field}.dpop"), Reason::Invalid, message));
        }
        (_, None) => Some(proofs(&Dpop::default(), &field)?),
        (_, Some(dpop)) => Some(proofs(dpop, &field)?),
    };
    Ok(v1::SenderConstraint { require: require.into(), proofs })
}

fn proofs(stated: &Dpop, field: &str) -> Result<v1::Proofs, Problem> {
    let field = format!("{field}.dpop");
    let max_age = token::length(stated.max_age.as_ref(), &field, "maxAge")?.unwrap_or(MAX_AGE);
    if !MAX_AGES.contains(&max_age) {
        return Err(Problem::new(format!("{field}.maxAge"), Reason::Invalid, "state 5s to 120s"));
    }
    let memory = match stated.replay {
        None => Memory::SharedIfAny,
        Some(Replay::Store) => Memory::Shared,
        Some(Replay::Replica) => Memory::Own,
    };
    let mut origins = BTreeSet::new();
    for (at, origin) in stated.origins.iter().enumerate() {
        let read = usual(origin).ok_or_else(|| {
            let message =
                format!("{origin:?} is no https://host or https://host:port that a proof could be for; correct it");
            Problem::new(format!("{field}.origins[{at}]"), Reason::Invalid, message)
        })?;
        origins.insert(read);
    }
    Ok(v1::Proofs {
        algorithms: token::algorithms(&stated.algorithms),
        max_age_s: u32::try_from(max_age.as_secs()).unwrap_or(u32::MAX),
        origins: origins.into_iter().collect(),
        memory: memory.into(),
        nonce_required: stated.nonce.unwrap_or_default() == Nonce::Required,
    })
}

/// One spelling for each origin, the one in which data planes read what proofs are for; `None` where there is none.
fn usual(origin: &str) -> Option<String> {
    let lower = origin.to_ascii_lowercase();
    let authority = lower.strip_prefix("https://")?;
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at_checked(end)?;
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().ok().filter(|port| *port != 0)?,
        None if port.is_empty() => USUAL_PORT,
        None => return None,
    };
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => format!("[{}]", address.parse::<Ipv6Addr>().ok()?),
        None => {
            let is_part = |part: &str| (1..=MAX_NAME.1).contains(&part.len());
            (host.len() <= MAX_NAME.0 && host.split('.').all(is_part)).then(|| host.to_owned())?
        }
    };
    let port = if port == USUAL_PORT { String::new() } else { format!(":{port}") };
    Some(format!("https://{host}{port}"))
}

/// Since when data planes know of it what closes something. By proofs they let somebody in, and those that know none let nobody.
pub(super) fn edition(message: &v1::SenderConstraint) -> Option<u32> {
    match message.require() {
        Require::Unspecified => None,
        Require::Certificate | Require::IfBound => Some(8),
        Require::Proof | Require::Either => Some(13),
    }
}

/// Whether whoever brings such a token may have to show a certificate.
pub fn wants_certificate(message: &v1::SenderConstraint) -> bool {
    message.require() != Require::Proof
}

/// Whether proofs are remembered in a store that has to be there.
pub fn needs_store(message: &v1::SenderConstraint) -> bool {
    message.proofs.as_ref().is_some_and(|proofs| proofs.memory() == Memory::Shared)
}

#[cfg(test)]
mod tests {
    use sallyport_api::duration::Duration as Written;

    use super::*;

    fn judged(require: Binding, dpop: Option<Dpop>) -> Result<v1::SenderConstraint, Problem> {
        message(&SenderConstraint { require, dpop }, "jwt")
    }

    #[test]
    fn proofs_are_judged_wherever_one_may_come() {
        for (require, edition, takes_proofs, asks_for_certificates) in [
            (Binding::Certificate, 8, false, true),
            (Binding::IfBound, 8, true, true),
            (Binding::Either, 13, true, true),
            (Binding::Dpop, 13, true, false),
        ] {
            let message = judged(require, None).unwrap();
            assert_eq!(super::edition(&message), Some(edition), "{require:?}");
            assert_eq!(message.proofs.is_some(), takes_proofs, "{require:?}");
            assert_eq!(wants_certificate(&message), asks_for_certificates, "{require:?}");
            assert!(!needs_store(&message), "{require:?}");
        }
    }

    #[test]
    fn an_origin_has_one_spelling() {
        let read = |origins: &[&str]| {
            let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
            judged(Binding::Dpop, Some(Dpop { origins, ..Dpop::default() }))
                .map(|message| message.proofs.unwrap().origins)
        };
        let origins = ["https://API.example.com:443", "https://api.example.com:0443", "https://[0:0:0:0::1]:08443"];
        assert_eq!(read(&origins).unwrap(), ["https://[::1]:8443", "https://api.example.com"]);
        let long = format!("https://{}.example", "a".repeat(64));
        for wrong in
            ["https://a:99999", "https://a:0", "https://a:", "https://[::g]", "https://a..b", "http://a", &long]
        {
            assert_eq!(read(&[wrong]).unwrap_err().field, "jwt.senderConstraint.dpop.origins[0]", "{wrong}");
        }
    }

    #[test]
    fn what_is_stated_and_says_nothing_is_refused() {
        let why = judged(Binding::Certificate, Some(Dpop::default())).unwrap_err();
        assert_eq!(why.field, "jwt.senderConstraint.dpop");
        for length in ["4s", "121s", "0s"] {
            let dpop = Dpop { max_age: Some(Written(length.to_owned())), ..Dpop::default() };
            let why = judged(Binding::Either, Some(dpop)).unwrap_err();
            assert_eq!(why.field, "jwt.senderConstraint.dpop.maxAge", "{length}");
        }
    }

    #[test]
    fn a_store_is_needed_where_that_is_said() {
        for (replay, is_needed) in [(Replay::Store, true), (Replay::Replica, false)] {
            let dpop = Dpop { replay: Some(replay), ..Dpop::default() };
            assert_eq!(needs_store(&judged(Binding::IfBound, Some(dpop)).unwrap()), is_needed);
        }
    }
}
