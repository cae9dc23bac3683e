//! GatewayParameters of a class and of a Gateway, put together.

pub mod egress;
pub mod forwarded_certificate;
mod limit_store;
mod observing;
pub mod origin_lock;

use sallyport_api::condition::Reason;
use sallyport_api::duration::Duration;
use sallyport_api::gateway_api::{Gateway, GatewayClass};
use sallyport_api::limit_store::LimitSettings;
use sallyport_api::{Bounds, GROUP, GatewayParameters, GatewayParametersSpec, ProxyProtocol, UnprotectedRoutes};
use sallyport_snapshot::v1;

use super::address::{AddressRange, complaint};
use super::infrastructure::{self, Infrastructure};
use super::reach;
use crate::cluster::{ClusterState, ObjectKind, ObjectName, Stored};
use crate::problem::Problem;
use egress::Egress;

/// Where a Gateway names its class, and with it the class's parameters.
const OF_CLASS: &str = "spec.gatewayClassName";
/// Where a Gateway names its own.
const OWN: &str = "spec.infrastructure.parametersRef";
/// Parameters that cannot be read may be tighter than what holds without them.
const UNTIL_THEN: &str = "Until then every request is answered 500, since they may hold an originLock";

/// What holds for a Gateway.
pub struct Settings {
    pub unprotected: UnprotectedRoutes,
    pub message: v1::Gateway,
    pub egress: Egress,
    /// `None` while its parameters cannot be read: pods and Service made by the defaults might be reached by whom they are not for.
    pub infrastructure: Option<Infrastructure>,
    /// What it says and does not count.
    pub ignored: Vec<Problem>,
}

/// What is wrong with the parameters called `name`.
pub fn judge(cluster: &ClusterState, name: &ObjectName, spec: &GatewayParametersSpec) -> Vec<Problem> {
    let lock = spec.origin_lock.as_ref().and_then(|stated| origin_lock::read(cluster, name, stated).1);
    let store = spec.limits.as_ref().and_then(|stated| limit_store::read(cluster, name, stated).1);
    judge_proxies(spec).into_iter().chain(lock).chain(store).chain(judge_rest(spec)).collect()
}

/// What cannot be read, and is left out: that closes nothing but what it would have opened.
fn judge_rest(spec: &GatewayParametersSpec) -> impl Iterator<Item = Problem> + use<> {
    observing::judge(spec).chain(egress::judge(spec))
}

/// Proxies that cannot be read.
fn judge_proxies(spec: &GatewayParametersSpec) -> Vec<Problem> {
    let cidrs = spec.trusted_proxies.iter().flat_map(|proxies| &proxies.cidrs).enumerate();
    let unreadable = cidrs.filter(|(_, cidr)| AddressRange::parse(cidr).is_none());
    let problem = |(at, cidr): (usize, &String)| {
        let message = format!("{}. Until then no address filter lets anybody pass", complaint(cidr));
        Problem::new(format!("spec.trustedProxies.cidrs[{at}]"), Reason::Invalid, message)
    };
    unreadable.map(problem).collect()
}

/// What the class says, and the Gateway's own where that is allowed.
pub fn settle(
    cluster: &ClusterState,
    name: &ObjectName,
    gateway: &Gateway,
    class: &GatewayClass,
    problems: &mut Vec<Problem>,
) -> Settings {
    let of_class = Reference::of_class(class).map(|reference| reference.settle(cluster, OF_CLASS));
    let own = gateway.spec.infrastructure.as_ref().and_then(|one| one.parameters_ref.as_ref()).map(|stated| {
        let (group, kind, namespace) = (&*stated.group, &*stated.kind, Some(&*name.namespace));
        Reference { group, kind, namespace, name: &stated.name }.settle(cluster, OWN)
    });
    let mut read = Read::default();
    let (of_class, own) = (read.take(cluster, OF_CLASS, of_class), read.take(cluster, OWN, own));
    let unknown = read.unknown.is_some();
    let limit_store = read.limits.take().and_then(|stated| stated.store(cluster));
    let origin_locks = read.origin_locks(name, problems);
    let unreadable: Vec<_> = [(OF_CLASS, &of_class), (OWN, &own)]
        .into_iter()
        .flat_map(|(field, spec)| judge_proxies(spec).into_iter().map(move |problem| passed_on(field, &problem)))
        .collect();
    let addresses_unknown = unknown || !unreadable.is_empty();
    problems.extend(unreadable);
    let mut ignored: Vec<_> = [(OF_CLASS, &of_class), (OWN, &own)]
        .into_iter()
        .flat_map(|(field, spec)| judge_rest(spec).map(move |problem| passed_on(field, &problem)))
        .collect();
    let infrastructure = infrastructure::settle(gateway, &of_class, &own, &mut ignored);
    // Parameters that cannot be read may have taken back what the others open.
    let egress = if unknown { Egress::default() } else { egress(&of_class, &own, &mut ignored) };
    let trusted_proxies = trusted(&of_class, &own, &mut ignored);
    if of_class.limits.is_some() && own.limits.is_some() {
        let message = "limits is ignored: the class's GatewayParameters say where limits are counted";
        ignored.push(Problem::new(OWN, Reason::InvalidParameters, message));
    }
    Settings {
        infrastructure: (!unknown).then_some(infrastructure),
        unprotected: unprotected(&of_class, &own, unknown, &mut ignored),
        message: v1::Gateway {
            client_certificate_header: client_certificate_header(&of_class, &own, &trusted_proxies, &mut ignored),
            trusted_proxies,
            bounds: bounds(own.bounds.as_ref(), of_class.bounds.as_ref()),
            addresses_unknown,
            floor_filters: vec![],
            proxy_protocol: proxy_protocol(&of_class, &own, &mut ignored),
            access_log: observing::access_log(own.access_log.as_ref(), of_class.access_log.as_ref()),
            telemetry: observing::telemetry(own.telemetry.as_ref(), of_class.telemetry.as_ref()),
            egress: egress.message(),
            api_servers: vec![],
            nonce_key: None,
            replicas: 0,
            origin_locks,
            limit_store,
        },
        egress,
        ignored,
    }
}

/// What has been read of parameters, besides themselves.
#[derive(Default)]
struct Read {
    origin_locks: Vec<v1::OriginLock>,
    /// What was read first: the class's beats a Gateway's own.
    limits: Option<StatedLimits>,
    /// Why some are not there, or cannot be decoded.
    unknown: Option<Problem>,
    problems: Vec<Problem>,
}

impl Read {
    fn take(&mut self, cluster: &ClusterState, field: &str, found: Option<Found>) -> GatewayParametersSpec {
        match found {
            Some(Ok((name, spec))) => {
                if let Some(stated) = &spec.origin_lock {
                    let (lock, problem) = origin_lock::read(cluster, &name, stated);
                    self.origin_locks.push(lock);
                    self.problems.extend(problem.map(|problem| passed_on(field, &problem)));
                }
                if let Some(limits) = spec.limits.as_ref().filter(|_| self.limits.is_none()) {
                    self.limits = Some(StatedLimits { place: name, is_own: field == OWN, limits: limits.clone() });
                }
                spec
            }
            Some(Err(problem)) => {
                self.problems.push(problem.clone());
                self.unknown.get_or_insert(problem);
                GatewayParametersSpec::default()
            }
            None => GatewayParametersSpec::default(),
        }
    }

    /// All that hold for the Gateway called `name`.
    fn origin_locks(self, name: &ObjectName, problems: &mut Vec<Problem>) -> Vec<v1::OriginLock> {
        let Self { mut origin_locks, unknown, problems: found, .. } = self;
        problems.extend(found);
        let contradiction = origin_lock::contradiction(&origin_locks);
        problems.extend(contradiction.map(|why| Problem::new(OWN, Reason::InvalidParameters, why)));
        origin_locks.extend(unknown.map(|problem| origin_lock::unknown(&format!("Gateway {name}"), &problem)));
        origin_locks
    }
}

/// Where limits are counted, and who says so.
struct StatedLimits {
    place: ObjectName,
    /// A Gateway's own parameters, not those of its class.
    is_own: bool,
    limits: LimitSettings,
}

impl StatedLimits {
    fn store(&self, cluster: &ClusterState) -> Option<v1::LimitStore> {
        let (store, _) = limit_store::read(cluster, &self.place, &self.limits);
        let store = store?;
        match limit_store::beyond(&self.place, &self.limits).filter(|_| self.is_own) {
            Some(problem) => Some(limit_store::unavailable(store, &problem)),
            None => Some(store),
        }
    }
}

/// What is wrong with parameters, as the Gateway is told that they are parameters of.
fn passed_on(field: &str, problem: &Problem) -> Problem {
    let message = format!("of its GatewayParameters, {}: {}", problem.field, problem.message);
    Problem::new(field, Reason::InvalidParameters, message)
}

/// Parameters with their name, or why there are none.
type Found = Result<(ObjectName, GatewayParametersSpec), Problem>;

/// What names GatewayParameters.
pub struct Reference<'a> {
    group: &'a str,
    kind: &'a str,
    pub(super) namespace: Option<&'a str>,
    name: &'a str,
}

impl<'a> Reference<'a> {
    /// What a class names, if it names anything.
    pub fn of_class(class: &'a GatewayClass) -> Option<Self> {
        let stated = class.spec.parameters_ref.as_ref()?;
        let (group, kind, namespace) = (&*stated.group, &*stated.kind, stated.namespace.as_deref());
        Some(Self { group, kind, namespace, name: &stated.name })
    }

    /// The GatewayParameters with their name; or why there are none, and the cure.
    pub fn find(self, cluster: &ClusterState) -> Result<(ObjectName, &GatewayParameters), String> {
        let Self { group, kind, namespace, name } = self;
        if kind != "GatewayParameters" {
            return Err(format!("parameters of kind {kind} are not known; name a GatewayParameters"));
        }
        if group != GROUP {
            let group = if group.is_empty() { "v1" } else { group };
            return Err(format!("parameters of API group {group} are not known; write group: {GROUP}"));
        }
        let Some(namespace) = namespace else {
            return Err(format!("GatewayParameters {name} are in a namespace; state which one"));
        };
        let place = ObjectName::new(namespace, name);
        match cluster.gateway_parameters.get(&place) {
            Some(Stored::Decoded(parameters)) => Ok((place, parameters)),
            Some(Stored::Undecodable(_)) => Err(format!("GatewayParameters {place} cannot be decoded; correct it")),
            None => Err(match reach::refusal(cluster, ObjectKind::GatewayParameters, namespace) {
                Some(why) => format!("GatewayParameters {place}: {why}"),
                None => format!("GatewayParameters {place} does not exist; create it"),
            }),
        }
    }

    fn settle(self, cluster: &ClusterState, field: &str) -> Found {
        match self.find(cluster) {
            Ok((place, parameters)) => Ok((place, parameters.spec.clone())),
            Err(why) => Err(Problem::new(field, Reason::InvalidParameters, format!("{why}. {UNTIL_THEN}"))),
        }
    }
}

/// Only a class can leave routes open, and a Gateway of it can close them again.
fn unprotected(
    of_class: &GatewayParametersSpec,
    own: &GatewayParametersSpec,
    unknown: bool,
    ignored: &mut Vec<Problem>,
) -> UnprotectedRoutes {
    use UnprotectedRoutes::{Allow, Deny};
    if own.unprotected_routes == Some(Allow) && of_class.unprotected_routes != Some(Allow) {
        let message = "unprotectedRoutes: Allow is ignored: only the class's GatewayParameters can say it";
        ignored.push(Problem::new(OWN, Reason::InvalidParameters, message));
    }
    match (of_class.unprotected_routes, own.unprotected_routes) {
        (Some(Allow), None | Some(Allow)) if !unknown => Allow,
        _ => Deny,
    }
}

/// The class's proxies, or a part of them: a Gateway can believe fewer, not more. What cannot be read is left out.
fn trusted(of_class: &GatewayParametersSpec, own: &GatewayParametersSpec, ignored: &mut Vec<Problem>) -> Vec<String> {
    let readable = |spec: &GatewayParametersSpec| -> Vec<(String, AddressRange)> {
        let cidrs = spec.trusted_proxies.iter().flat_map(|proxies| &proxies.cidrs);
        cidrs.filter_map(|cidr| Some((cidr.clone(), AddressRange::parse(cidr)?))).collect()
    };
    let texts = |entries: Vec<(String, AddressRange)>| entries.into_iter().map(|(text, _)| text).collect::<Vec<_>>();
    let all = readable(of_class);
    if own.trusted_proxies.is_none() {
        return texts(all);
    }
    let within = |(_, part): &(String, AddressRange)| all.iter().any(|(_, whole)| whole.holds(part));
    let (kept, looser): (Vec<_>, Vec<_>) = readable(own).into_iter().partition(within);
    if !looser.is_empty() {
        let message = format!(
            "trustedProxies {} are ignored: they are no part of those in the class's GatewayParameters",
            texts(looser).join(", ")
        );
        ignored.push(Problem::new(OWN, Reason::InvalidParameters, message));
    }
    texts(kept)
}

/// Only a class can open what is refused, and a Gateway of it can close it again.
fn egress(of_class: &GatewayParametersSpec, own: &GatewayParametersSpec, ignored: &mut Vec<Problem>) -> Egress {
    let (egress, looser) = egress::settle(of_class.egress.as_ref(), own.egress.as_ref());
    if !looser.is_empty() {
        let looser = looser.join(", ");
        let message = format!("egress {looser} is ignored: it is no part of that in the class's GatewayParameters");
        ignored.push(Problem::new(OWN, Reason::InvalidParameters, message));
    }
    egress
}

/// Only a class can have PROXY headers believed, and a Gateway of it can do without.
fn proxy_protocol(of_class: &GatewayParametersSpec, own: &GatewayParametersSpec, ignored: &mut Vec<Problem>) -> bool {
    let stated =
        |spec: &GatewayParametersSpec| spec.trusted_proxies.as_ref().and_then(|proxies| proxies.proxy_protocol);
    let (of_class, own) = (stated(of_class).unwrap_or_default(), stated(own));
    if (of_class, own) == (ProxyProtocol::Off, Some(ProxyProtocol::Required)) {
        let message =
            "trustedProxies.proxyProtocol: Required is ignored: only the class's GatewayParameters can say it";
        ignored.push(Problem::new(OWN, Reason::InvalidParameters, message));
    }
    of_class == ProxyProtocol::Required && own != Some(ProxyProtocol::Off)
}

/// Only a class can have certificates believed that others tell of.
fn client_certificate_header(
    of_class: &GatewayParametersSpec,
    own: &GatewayParametersSpec,
    trusted_proxies: &[String],
    ignored: &mut Vec<Problem>,
) -> Option<v1::ForwardedCertificate> {
    let stated = |spec: &GatewayParametersSpec| {
        spec.trusted_proxies.as_ref().and_then(|proxies| proxies.client_certificate_header.clone())
    };
    let (of_class, own) = (stated(of_class), stated(own));
    let mut ignore = |message: &str| ignored.push(Problem::new(OWN, Reason::InvalidParameters, message));
    if own.is_some() && own != of_class {
        ignore("trustedProxies.clientCertificateHeader is ignored: only the class's GatewayParameters can say it");
    }
    if of_class.is_some() && trusted_proxies.is_empty() {
        ignore(
            "trustedProxies believes nobody: no certificate is known while the class has clientCertificateHeader; list those who write it, or leave trustedProxies out",
        );
    }
    of_class.as_ref().map(forwarded_certificate::message)
}

/// Field by field the Gateway's own, else the class's, else the data plane's default. `None` where neither says anything.
fn bounds(own: Option<&Bounds>, of_class: Option<&Bounds>) -> Option<v1::Bounds> {
    let (own, of_class) = match (own, of_class) {
        (None, None) => return None,
        (own, of_class) => (own.cloned().unwrap_or_default(), of_class.cloned().unwrap_or_default()),
    };
    let count = |own: Option<u32>, of_class: Option<u32>| own.or(of_class).unwrap_or_default();
    Some(v1::Bounds {
        max_connections: count(own.max_connections, of_class.max_connections),
        max_header_bytes: count(own.max_header_bytes, of_class.max_header_bytes),
        max_headers: count(own.max_headers, of_class.max_headers),
        header_timeout_ms: time_ms(own.header_timeout.or(of_class.header_timeout)),
        idle_timeout_ms: time_ms(own.idle_timeout.or(of_class.idle_timeout)),
        max_concurrent_streams: count(own.max_concurrent_streams, of_class.max_concurrent_streams),
        drain_timeout_ms: time_ms(own.drain_timeout.or(of_class.drain_timeout)),
        body_timeout_ms: time_ms(own.body_timeout.or(of_class.body_timeout)),
        tunnel_idle_timeout_ms: time_ms(own.tunnel_idle_timeout.or(of_class.tunnel_idle_timeout)),
        max_requests_in_flight: count(own.max_requests_in_flight, of_class.max_requests_in_flight).into(),
    })
}

fn time_ms(time: Option<Duration>) -> u32 {
    let length = time.and_then(|time| time.parse().ok());
    length.and_then(|length| u32::try_from(length.as_millis()).ok()).unwrap_or_default()
}
