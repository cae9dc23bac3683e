//! What requests have to bring that come through the firewall in front.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderMap;
use http::header::HeaderName;
use sallyport_snapshot::v1;
use smallvec::SmallVec;

use crate::client_certificate::Demanded;
use crate::client_certificate::shown::{CallersCertificate, Unshown};
use crate::client_certificate::trust::ClientTrust;
use crate::clock::UnixMs;
use crate::digest::{Digest, sha256};
use crate::ip_set::IpSet;
use crate::rejection::{Origin, Reason, Rejection};
use crate::runtime::policy::{Denial, in_force};

/// As the log names the part that fails.
const CERTIFICATE: &str = "clientCertificate";

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

/// What a request has brought to locks, and to authorities of the Gateway; what goes on for long is judged by it again.
#[derive(Clone)]
pub struct Passage {
    /// Where its connection comes from, if that is known.
    peer: Option<IpAddr>,
    pub certificate: CallersCertificate,
    is_cleartext: bool,
    /// What stands in the one line of each header that a lock reads; nothing of a header that is not there, or in several lines.
    lines: SmallVec<[(HeaderName, Digest); 1]>,
    /// Until then nobody need ask again, if nothing has changed.
    pub until: Option<UnixMs>,
}

impl Passage {
    /// What stands in `headers` for `locks`, on a connection that comes from `peer`.
    pub fn new(
        (peer, certificate, is_cleartext): (Option<IpAddr>, &CallersCertificate, bool),
        locks: &[OriginLock],
        headers: &HeaderMap,
    ) -> Self {
        let mut lines = SmallVec::new();
        for name in locks.iter().filter_map(|lock| lock.header.as_ref()) {
            let mut values = headers.get_all(name).iter();
            if let (Some(line), None) = (values.next(), values.next()) {
                lines.push((name.clone(), sha256(line.as_bytes())));
            }
        }
        Self { peer, certificate: certificate.clone(), is_cleartext, lines, until: None }
    }

    fn line(&self, name: &HeaderName) -> Option<&Digest> {
        self.lines.iter().find(|(known, _)| known == name).map(|(_, digest)| digest)
    }
}

/// Whether all locks that are enforced admit; and until when that need not be asked again.
pub fn admit(locks: &[OriginLock], passage: &Passage, now: UnixMs) -> Result<Option<UnixMs>, Rejection> {
    let enforced = locks.iter().filter(|lock| !lock.is_report);
    let ends = enforced.map(|lock| lock.admits(passage, now)).collect::<Result<SmallVec<[_; 2]>, _>>()?;
    Ok(ends.into_iter().flatten().min())
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

    /// Stands in for those of a Gateway that cannot be read, where `last` were in force: what opened them is still nobody else's.
    pub fn unread(object: &str, last: &[Self]) -> Arc<[Self]> {
        let why = "the Gateway may hold an origin lock, and cannot be read as it was meant";
        let lock = |header| Self {
            object: object.into(),
            is_report: false,
            header,
            demand: Err(Denial::configuration(object, why)),
        };
        let headers = last.iter().filter_map(|lock| lock.header.clone());
        std::iter::once(None).chain(headers.map(Some)).map(lock).collect()
    }

    /// Whether nothing that comes from `peer` passes, whatever it brings.
    pub fn bars(&self, peer: IpAddr) -> bool {
        let peers = self.demand.as_ref().ok().and_then(|demand| demand.peers.as_ref());
        !self.is_report && peers.is_some_and(|peers| !peers.contains(peer))
    }

    /// Whether a request may pass that brings this; and until when that need not be asked again.
    pub fn admits(&self, passage: &Passage, now: UnixMs) -> Result<Option<UnixMs>, Rejection> {
        let demand = self.demand.as_ref().map_err(Denial::rejection)?;
        if let Some(peers) = &demand.peers
            && !passage.peer.is_some_and(|peer| peers.contains(peer))
        {
            return Err(self.refusal("cidrs", "the connection comes from none of its addresses"));
        }
        if let Some(name) = &self.header {
            self.judge_header(name, &demand.digests, passage)?;
        }
        match &demand.certificate {
            Some((demanded, trust)) => self.judge_certificate(demanded, trust.as_ref(), passage, now),
            None => Ok(None),
        }
    }

    fn judge_header(&self, name: &HeaderName, digests: &[Digest], passage: &Passage) -> Result<(), Rejection> {
        let Some(sent) = passage.line(name) else {
            return Err(self.refusal("header", &format!("{name} does not stand in exactly one line")));
        };
        let is_one = |found: bool, digest: &Digest| found | verify_slices_are_equal(digest, sent).is_ok();
        if digests.iter().fold(false, is_one) {
            Ok(())
        } else {
            Err(self.refusal("header", &format!("{name} holds no value of the Secret")))
        }
    }

    fn judge_certificate(
        &self,
        demanded: &Demanded,
        trust: Option<&ClientTrust>,
        passage: &Passage,
        now: UnixMs,
    ) -> Result<Option<UnixMs>, Rejection> {
        match passage.certificate.shown(passage.is_cleartext) {
            Ok(shown) => match demanded.judge(shown, trust, now) {
                Ok(vouched) => Ok(Some(vouched.until)),
                Err(fault) => Err(self.refusal(CERTIFICATE, &fault.to_string())),
            },
            // What is only reported asks nobody: of a certificate nothing is known.
            Err(Unshown::NotAskedFor) if self.is_report => Ok(None),
            Err(why @ Unshown::NotAskedFor) => {
                Err(Rejection::decided_by(self.origin(CERTIFICATE, &why.to_string()), Reason::Misdirected))
            }
            Err(why) => Err(self.refusal(CERTIFICATE, &why.to_string())),
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
        let digests = digests.map(|value| Bytes::copy_from_slice(&sha256(value.as_bytes())));
        v1::OriginLock { header: "x-origin".into(), header_sha256: digests.into(), ..v1::OriginLock::default() }
    }

    fn admits(lock: &OriginLock, peer: Option<IpAddr>, lines: &[(&str, &str)]) -> Option<Reason> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let lock = std::slice::from_ref(lock);
        let passage = Passage::new((peer, &CallersCertificate::NotAskedFor, true), lock, &headers);
        lock[0].admits(&passage, UnixMs(0)).err().map(|rejection| rejection.reason)
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
    }

    #[test]
    fn of_what_cannot_be_read_it_is_kept_what_is_nobody_elses() {
        let last = [OriginLock::build(&by_header()).0];
        for (last, headers) in [(&last[..], 1), (&[], 0)] {
            let locks = OriginLock::unread("Gateway shop/public", last);
            assert_eq!(locks.iter().filter(|lock| lock.header.is_some()).count(), headers);
            for lock in locks.iter() {
                assert_eq!(admits(lock, None, &[("x-origin", SECRET)]), Some(Reason::Configuration));
            }
        }
    }
}
