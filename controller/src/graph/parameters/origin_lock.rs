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

/// The lock that the parameters called `name` state: one that cannot be read lets nobody pass.
pub fn read(cluster: &ClusterState, name: &ObjectName, stated: &OriginLock) -> (v1::OriginLock, Option<Problem>) {
    let object = format!("GatewayParameters {name}");
    let is_report = stated.mode == Mode::Report;
    let lock = v1::OriginLock { object: object.clone(), is_report, ..v1::OriginLock::default() };
    // Also where the rest is broken: what may stand there is not forwarded.
    let header = stated.header.as_ref().map(|header| header.name.to_ascii_lowercase()).unwrap_or_default();
    match judged(cluster, name, stated, v1::OriginLock { header: header.clone(), ..lock.clone() }) {
        Ok(lock) => (lock, None),
        Err(problem) => {
            let unavailable = Some(denial(&object, &problem));
            (v1::OriginLock { header, unavailable, ..lock }, Some(problem))
        }
    }
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

fn judged(
    cluster: &ClusterState,
    name: &ObjectName,
    stated: &OriginLock,
    lock: v1::OriginLock,
) -> Result<v1::OriginLock, Problem> {
    let header_sha256 = stated.header.as_ref().map(|header| digests(cluster, name, header)).transpose()?;
    for (at, cidr) in stated.cidrs.iter().enumerate() {
        if AddressRange::parse(cidr).is_none() {
            let message = format!("{}. Until then nobody passes", complaint(cidr));
            return Err(Problem::new(format!("spec.originLock.cidrs[{at}]"), Reason::Invalid, message));
        }
    }
    let mut lock =
        v1::OriginLock { header_sha256: header_sha256.unwrap_or_default(), cidrs: stated.cidrs.clone(), ..lock };
    if let Some(stated) = &stated.client_certificate {
        let field = "spec.originLock.clientCertificate";
        let namespace = &name.namespace;
        let reader = client_certificate::Reader { cluster, kind: "GatewayParameters", namespace, field };
        let (message, trust) = reader.read(stated, "origin lock".to_owned())?;
        (lock.client_certificate, lock.client_trust) = (Some(message), trust);
    }
    Ok(lock)
}

/// Of each value that is taken.
fn digests(cluster: &ClusterState, name: &ObjectName, header: &OriginHeader) -> Result<Vec<Bytes>, Problem> {
    let field = "spec.originLock.header.secretRef";
    let place = ObjectName::new(&name.namespace, &header.secret_ref.name);
    let found = secret(cluster, &place, field)?;
    let values = ENTRIES.iter().filter_map(|entry| Some((entry, &found.data.as_ref()?.get(*entry)?.0)));
    let values: Vec<_> = values.collect();
    let invalid = |why: String| {
        Problem::new(field, Reason::SecretInvalid, format!("Secret {place}: {why}. Until then nobody passes"))
    };
    if values.is_empty() {
        return Err(invalid("it has neither an entry primary nor one secondary; add one".to_owned()));
    }
    let unfit = values
        .iter()
        .find(|(_, value)| !(MIN_BYTES..=MAX_BYTES).contains(&value.len()) || !value.iter().all(u8::is_ascii_graphic));
    match unfit {
        Some((entry, _)) => Err(invalid(format!(
            "{entry} is not {MIN_BYTES} to {MAX_BYTES} characters of visible ASCII without blanks and line ends; write another (openssl rand -hex 32)"
        ))),
        None => Ok(values.iter().map(|(_, value)| Bytes::copy_from_slice(digest(&SHA256, value).as_ref())).collect()),
    }
}
