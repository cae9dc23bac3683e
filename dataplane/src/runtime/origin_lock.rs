//! What requests have to bring that come through the firewall in front.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use http::header::HeaderName;
use sallyport_snapshot::v1;

use crate::client_certificate::Demanded;
use crate::client_certificate::shown::CallersCertificate;
use crate::client_certificate::trust::ClientTrust;
use crate::clock::UnixMs;
use crate::ip_set::IpSet;
use crate::rejection::{Origin, Reason, Rejection};
use crate::runtime::keys::Digest;
use crate::runtime::policy::{Denial, in_force};

/// Everything that is stated has to hold.
pub struct OriginLock {
    /// Who says so.
    pub object: Arc<str>,
    /// It is told whom it would refuse, and nobody is refused.
    pub is_report: bool,
    /// What stands there is for nobody else.
    pub header: Option<HeaderName>,
    demand: Result<Demand, Denial>,
}

#[derive(Default)]
struct Demand {
    /// Of what may stand in the header.
    digests: Vec<Digest>,
    peers: Option<IpSet>,
    certificate: Option<(Demanded, Option<ClientTrust>)>,
}

/// What a request brings.
#[derive(Clone, Copy)]
pub struct Brought<'a> {
    /// Where its connection comes from, if that is known.
    pub peer: Option<IpAddr>,
    pub certificate: &'a CallersCertificate,
    pub is_cleartext: bool,
    pub headers: &'a HeaderMap,
    pub now: UnixMs,
}

impl OriginLock {
    /// Parses the message; what does not parse lets nobody pass.
    pub fn build(message: &v1::OriginLock) -> (Self, Option<String>) {
        let (header, why) = match &*message.header {
            "" => (None, None),
            name => match HeaderName::try_from(name) {
                Ok(name) => (Some(name), None),
                Err(_) => (None, Some(format!("{} originLock.header: {name:?}", message.object))),
            },
        };
        let demand = match (why, in_force(message.unavailable.as_ref())) {
            (Some(why), _) => Err(why),
            (None, Some(deny)) => return (Self::new(message, header, Err(Denial::new(deny))), None),
            (None, None) => Demand::build(message).map_err(|why| format!("{} originLock: {why}", message.object)),
        };
        let problem = demand.as_ref().err().cloned();
        let demand = demand.map_err(|why| Denial::configuration(&message.object, why));
        (Self::new(message, header, demand), problem)
    }

    fn new(message: &v1::OriginLock, header: Option<HeaderName>, demand: Result<Demand, Denial>) -> Self {
        Self { object: message.object.as_str().into(), is_report: message.is_report, header, demand }
    }

    /// Stands in for what cannot be read.
    pub fn unread(object: &str) -> Self {
        let why = "the Gateway may hold an origin lock, and cannot be read as it was meant";
        Self { object: object.into(), is_report: false, header: None, demand: Err(Denial::configuration(object, why)) }
    }

    /// Whether nothing that comes from `peer` passes, whatever it brings.
    pub fn bars(&self, peer: IpAddr) -> bool {
        let peers = self.demand.as_ref().ok().and_then(|demand| demand.peers.as_ref());
        !self.is_report && peers.is_some_and(|peers| !peers.contains(peer))
    }

    /// Whether a request may pass that brings this.
    pub fn admits(&self, brought: Brought<'_>) -> Result<(), Rejection> {
        let demand = self.demand.as_ref().map_err(Denial::rejection)?;
        if let Some(peers) = &demand.peers
            && !brought.peer.is_some_and(|peer| peers.contains(peer))
        {
            return Err(self.refusal("cidrs", "the connection comes from none of its addresses"));
        }
        if let Some((demanded, trust)) = &demand.certificate {
            self.judge_certificate(demanded, trust.as_ref(), brought)?;
        }
        match &self.header {
            Some(name) => self.judge_header(name, &demand.digests, brought.headers),
            None => Ok(()),
        }
    }

    fn judge_certificate(
        &self,
        demanded: &Demanded,
        trust: Option<&ClientTrust>,
        brought: Brought<'_>,
    ) -> Result<(), Rejection> {
        let refused = |why: &str| Err(self.refusal("clientCertificate", why));
        match brought.certificate {
            CallersCertificate::Shown(shown) => match demanded.judge(shown, trust, brought.now) {
                Ok(_) => Ok(()),
                Err(fault) => refused(&fault.to_string()),
            },
            CallersCertificate::NotShown => refused("no certificate was shown"),
            CallersCertificate::NotAskedFor if brought.is_cleartext => refused("the listener speaks no TLS"),
            CallersCertificate::NotAskedFor if self.is_report => {
                refused("nobody was asked for a certificate: only where it is enforced that is known")
            }
            // Another connection will be asked.
            CallersCertificate::NotAskedFor => {
                let why = "the connection was made before the listener asked for certificates";
                Err(Rejection::decided_by(self.origin("clientCertificate", why), Reason::Misdirected))
            }
        }
    }

    fn judge_header(&self, name: &HeaderName, digests: &[Digest], headers: &HeaderMap) -> Result<(), Rejection> {
        let mut lines = headers.get_all(name).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(self.refusal("header", &format!("{name} does not stand in exactly one line")));
        };
        let sent = digest(&SHA256, line.as_bytes());
        let is_one = |found: bool, digest: &Digest| found | verify_slices_are_equal(digest, sent.as_ref()).is_ok();
        if digests.iter().fold(false, is_one) {
            Ok(())
        } else {
            Err(self.refusal("header", &format!("{name} holds neither of the values")))
        }
    }

    fn refusal(&self, rule: &'static str, message: &str) -> Rejection {
        Rejection::decided_by(self.origin(rule, message), Reason::OriginLocked)
    }

    fn origin(&self, rule: &'static str, message: &str) -> Origin {
        let object = Arc::clone(&self.object);
        Origin { object, section: "originLock", rule: rule.into(), message: message.to_owned() }
    }
}

impl Demand {
    fn build(message: &v1::OriginLock) -> Result<Self, String> {
        let digests = message.header_sha256.iter().map(|digest| Digest::try_from(&**digest));
        let digests: Vec<_> = digests.collect::<Result<_, _>>().map_err(|_| "headerSha256: 32 bytes each")?;
        if digests.is_empty() != message.header.is_empty() {
            return Err("a header and its values go together".to_owned());
        }
        let peers = (!message.cidrs.is_empty()).then(|| IpSet::parse(&message.cidrs)).transpose();
        let trust = message.client_trust.as_ref().map(ClientTrust::build).transpose()?;
        let certificate = message.client_certificate.as_ref().map(Demanded::build).transpose()?;
        if certificate.as_ref().is_some_and(|demanded| demanded.trust.is_empty() != trust.is_none()) {
            return Err("clientCertificate: it is not told who is trusted".to_owned());
        }
        let demand = Self {
            digests,
            peers: peers.map_err(|error| format!("cidrs: {error}"))?,
            certificate: certificate.map(|demanded| (demanded, trust)),
        };
        if demand.digests.is_empty() && demand.peers.is_none() && demand.certificate.is_none() {
            return Err("it asks for nothing".to_owned());
        }
        Ok(demand)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn by_header() -> v1::OriginLock {
        let digests = [SECRET, "another one of the same length.."];
        let digests = digests.map(|value| Bytes::copy_from_slice(digest(&SHA256, value.as_bytes()).as_ref()));
        v1::OriginLock { header: "x-origin".into(), header_sha256: digests.into(), ..v1::OriginLock::default() }
    }

    fn admits(lock: &OriginLock, peer: Option<IpAddr>, lines: &[(&str, &str)]) -> Option<Reason> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let (certificate, now) = (&CallersCertificate::NotAskedFor, UnixMs(0));
        let brought = Brought { peer, certificate, is_cleartext: true, headers: &headers, now };
        lock.admits(brought).err().map(|rejection| rejection.reason)
    }

    #[test]
    fn a_header_stands_once_with_one_of_the_values() {
        let (lock, problem) = OriginLock::build(&by_header());
        assert_eq!(problem, None);
        for good in [SECRET, "another one of the same length.."] {
            assert_eq!(admits(&lock, None, &[("x-origin", good)]), None);
            assert_eq!(admits(&lock, None, &[("X-Origin", good)]), None);
        }
        let twice = [("x-origin", SECRET), ("x-origin", SECRET)];
        let list = format!("{SECRET}, {SECRET}");
        let longer = format!("{SECRET}0");
        for lines in [
            &[][..],
            &twice,
            &[("x-origin", &*list)],
            &[("x-origin", &*longer)],
            &[("x-origin", "")],
            &[("x-origin", &SECRET[1..])],
            &[("x-origin", &SECRET.to_uppercase())],
            &[("x_origin", SECRET)],
            &[("x-other", SECRET)],
        ] {
            assert_eq!(admits(&lock, None, lines), Some(Reason::OriginLocked), "{lines:?}");
        }
    }

    #[test]
    fn all_that_is_stated_has_to_hold() {
        let message = v1::OriginLock { cidrs: vec!["192.0.2.0/24".into()], ..by_header() };
        let lock = OriginLock::build(&message).0;
        let (near, far) = ("192.0.2.7".parse().unwrap(), "198.51.100.7".parse().unwrap());
        let right = [("x-origin", SECRET)];
        assert_eq!(admits(&lock, Some(near), &right), None);
        for (peer, lines) in [(Some(near), &[][..]), (Some(far), &right), (None, &right)] {
            assert_eq!(admits(&lock, peer, lines), Some(Reason::OriginLocked), "{peer:?} {lines:?}");
        }
        assert!(lock.bars(far) && !lock.bars(near));
        let reported = OriginLock::build(&v1::OriginLock { is_report: true, ..message }).0;
        assert!(!reported.bars(far));
        assert_eq!(admits(&reported, Some(far), &right), Some(Reason::OriginLocked));
    }

    #[test]
    fn what_cannot_be_told_lets_nobody_pass() {
        let certificate = v1::ClientCertificate { trust: "origin lock".into(), ..v1::ClientCertificate::default() };
        let unavailable = v1::Deny { reason: v1::deny::Reason::Configuration.into(), ..v1::Deny::default() };
        for (what, message, is_told) in [
            ("nothing", v1::OriginLock::default(), true),
            ("no header", v1::OriginLock { header: String::new(), ..by_header() }, true),
            ("no values", v1::OriginLock { header_sha256: vec![], ..by_header() }, true),
            ("half a value", v1::OriginLock { header_sha256: vec![vec![0; 31].into()], ..by_header() }, true),
            ("no name", v1::OriginLock { header: "x origin".into(), ..by_header() }, true),
            ("no network", v1::OriginLock { cidrs: vec!["nowhere".into()], ..by_header() }, true),
            ("nobody trusted", v1::OriginLock { client_certificate: Some(certificate), ..by_header() }, true),
            ("told", v1::OriginLock { unavailable: Some(unavailable), ..by_header() }, false),
        ] {
            let (lock, problem) = OriginLock::build(&message);
            assert_eq!(admits(&lock, None, &[("x-origin", SECRET)]), Some(Reason::Configuration), "{what}");
            assert_eq!(problem.is_some(), is_told, "{what}");
        }
        assert_eq!(admits(&OriginLock::unread("Gateway shop/public"), None, &[]), Some(Reason::Configuration));
    }
}
