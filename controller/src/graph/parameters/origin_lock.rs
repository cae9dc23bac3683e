//! What requests have to bring that come through the firewall in front: the lock of a class, and of a Gateway beside it.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use sallyport_api::condition::Reason;
use sallyport_api::origin_lock::{OriginHeader, OriginLock};
use sallyport_api::policy::Mode;
use sallyport_snapshot::v1;

use crate::cluster::{ClusterState, ObjectName};
use crate::graph::address::{AddressRange, complaint};
use crate::graph::certificate::secret;
use crate::graph::client_certificate;
use crate::problem::{Problem, denial, denial_by_older};

/// The edition of the contract that brought locks.
const SINCE: u32 = 7;
/// Entries of the Secret.
const ENTRIES: [&str; 2] = ["primary", "secondary"];
/// Of an entry.
const MIN_BYTES: usize = 32;
const MAX_BYTES: usize = 256;

/// The lock that the parameters called `name` state: one that cannot be read lets nobody pass, if it is enforced.
pub fn read(cluster: &ClusterState, name: &ObjectName, stated: &OriginLock) -> (v1::OriginLock, Option<Problem>) {
    let reader = Reader { cluster, name };
    let lock = v1::OriginLock {
        object: format!("GatewayParameters {name}"),
        is_report: stated.mode == Mode::Report,
        header: stated.header.as_ref().map(|header| header.name.to_ascii_lowercase()).unwrap_or_default(),
        // Also where the rest is broken: whoever will have to show one is asked for it.
        client_certificate: stated.client_certificate.as_ref().map(|_| v1::ClientCertificate::default()),
        ..v1::OriginLock::default()
    };
    match reader.demand(stated, lock.clone()) {
        Ok(lock) => (lock, None),
        Err(problem) => {
            let until_then = if lock.is_report { "" } else { ". Until then nobody passes" };
            let problem = Problem { message: format!("{}{until_then}", problem.message), ..problem };
            (closed(&lock, &problem), Some(problem))
        }
    }
}

/// The same lock, which lets nobody pass: what opens it is still not forwarded.
pub fn closed(lock: &v1::OriginLock, problem: &Problem) -> v1::OriginLock {
    v1::OriginLock {
        object: lock.object.clone(),
        unavailable: Some(denial(&lock.object, problem)),
        header: lock.header.clone(),
        client_certificate: lock.client_certificate.as_ref().map(|_| v1::ClientCertificate::default()),
        is_report: lock.is_report,
        ..v1::OriginLock::default()
    }
}

/// Why no request can open both of two locks.
pub fn contradiction(locks: &[v1::OriginLock]) -> Option<String> {
    let [one, other] = locks else { return None };
    let are_enforced = !one.is_report && !other.is_report && one.unavailable.is_none() && other.unavailable.is_none();
    let is_shared = one.header_sha256.iter().any(|value| other.header_sha256.contains(value));
    (are_enforced && !one.header.is_empty() && one.header == other.header && !is_shared).then(|| {
        format!(
            "originLock.header {} is that of the class's lock as well, and no value stands in both Secrets, so that nobody passes; name another header",
            one.header
        )
    })
}

/// Stands in for parameters that cannot be read, which may have held one.
pub fn unknown(object: &str, problem: &Problem) -> v1::OriginLock {
    let unavailable = Some(denial(object, problem));
    v1::OriginLock { object: object.to_owned(), unavailable, ..v1::OriginLock::default() }
}

/// What keeps data planes that know of no locks from letting anybody in.
pub fn for_older(locks: &[v1::OriginLock]) -> Option<v1::IpFilter> {
    let enforced = locks.iter().find(|lock| !lock.is_report)?;
    let unavailable = Some(denial_by_older(&enforced.object, "spec.originLock", SINCE));
    Some(v1::IpFilter { object: enforced.object.clone(), unavailable, ..v1::IpFilter::default() })
}

/// Of the parameters called `name`.
struct Reader<'a> {
    cluster: &'a ClusterState,
    name: &'a ObjectName,
}

impl Reader<'_> {
    fn demand(&self, stated: &OriginLock, lock: v1::OriginLock) -> Result<v1::OriginLock, Problem> {
        if stated.header.is_none() && stated.cidrs.is_empty() && stated.client_certificate.is_none() {
            let message = "it asks for nothing; state at least one of header, cidrs, clientCertificate";
            return Err(Problem::new("spec.originLock", Reason::Invalid, message));
        }
        let header_sha256 = stated.header.as_ref().map(|header| self.digests(header)).transpose()?.unwrap_or_default();
        for (at, cidr) in stated.cidrs.iter().enumerate() {
            if AddressRange::parse(cidr).is_none() {
                return Err(Problem::new(format!("spec.originLock.cidrs[{at}]"), Reason::Invalid, complaint(cidr)));
            }
        }
        let lock = v1::OriginLock { header_sha256, cidrs: stated.cidrs.clone(), ..lock };
        let Some(stated) = &stated.client_certificate else { return Ok(lock) };
        let reader = client_certificate::Reader {
            cluster: self.cluster,
            kind: "GatewayParameters",
            namespace: &self.name.namespace,
            field: "spec.originLock.clientCertificate",
        };
        let (message, client_trust) = reader.read(stated, "origin lock".to_owned())?;
        Ok(v1::OriginLock { client_certificate: Some(message), client_trust, ..lock })
    }

    /// Of each value that is taken.
    fn digests(&self, header: &OriginHeader) -> Result<Vec<Bytes>, Problem> {
        let field = "spec.originLock.header.secretRef";
        let place = ObjectName::new(&self.name.namespace, &header.secret_ref.name);
        let found = secret(self.cluster, &place, field)?;
        let values = ENTRIES.iter().filter_map(|entry| Some((entry, &found.data.as_ref()?.get(*entry)?.0)));
        let values: Vec<_> = values.collect();
        let invalid = |why: String| Problem::new(field, Reason::SecretInvalid, format!("Secret {place}: {why}"));
        if values.is_empty() {
            return Err(invalid("it has neither an entry primary nor one secondary; add one".to_owned()));
        }
        match values.iter().find(|(_, value)| !is_value(value)) {
            Some((entry, _)) => Err(invalid(format!(
                "{entry} is not {MIN_BYTES} to {MAX_BYTES} characters of visible ASCII without blanks and line ends; write another (openssl rand -hex 32)"
            ))),
            None => {
                Ok(values.iter().map(|(_, value)| Bytes::copy_from_slice(digest(&SHA256, value).as_ref())).collect())
            }
        }
    }
}

fn is_value(value: &[u8]) -> bool {
    (MIN_BYTES..=MAX_BYTES).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}
