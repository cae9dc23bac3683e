//! Ports with their listeners, and which of them a server name or host belongs to.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use http::header::HeaderName;
use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use sallyport_snapshot::v1;

use crate::client_certificate::forwarded::ForwardedCertificate;
use crate::clock::UnixMs;
use crate::egress::leave::Leave;
use crate::ip_set::IpSet;
use crate::limit::store::Store;
use crate::map::Map;
use crate::nonces::Nonces;
use crate::observe::access_log::choice::Choice;
use crate::observe::traces::Traces;
use crate::rejection::Rejection;
use crate::route::RouteTable;
use crate::runtime::certificate::{Shown, server_config};
use crate::runtime::frontend::{Asked, FrontendValidation};
use crate::runtime::origin_lock::{self, OriginLock, Passage};
use crate::runtime::policy::ip_filter::IpFilter;
use crate::runtime::policy::joined;
use crate::settings::Bounds;

/// One port: either all its listeners speak TLS, or none does.
pub struct Port {
    /// Whether connections begin with a TLS handshake.
    pub is_tls: bool,
    /// The loosest bounds of the Gateways that share the port: what can be told before a host is known.
    pub bounds: Bounds,
    /// Of the Gateways that share the port the one that leaves out least: what can be told before a host is known.
    pub logged: Choice,
    /// What records before a host is known; `None`: as the process was started. Nothing does where Gateways that share the port want
    /// to be recorded elsewhere.
    pub traces: Option<Arc<Traces>>,
    /// What records is known with the Gateway, and not before.
    pub is_recorded_late: bool,
    gateways: Vec<Arc<Gateway>>,
    /// Of what stands in front of any of them.
    edge_headers: Arc<[HeaderName]>,
    exact: Map<Arc<str>, Arc<Listener>>,
    /// By what follows the asterisk, e.g. ".example.com".
    wildcards: Map<Arc<str>, Arc<Listener>>,
    any: Option<Arc<Listener>>,
}

/// A listener with the routes that are attached to it.
pub struct Listener {
    /// "namespace/gateway/listener".
    pub name: Arc<str>,
    pub gateway: Arc<Gateway>,
    pub port: u16,
    /// Absent: cleartext.
    pub tls: Option<Tls>,
    pub routes: RouteTable,
    hostname: Arc<str>,
}

/// Settings of a Gateway that its listeners share.
pub struct Gateway {
    /// "namespace/name".
    pub name: Arc<str>,
    /// Peers whose word about the client address is believed.
    pub trusted_proxies: IpSet,
    /// They begin each connection with a PROXY header, and nobody else does.
    pub proxy_protocol: bool,
    /// Which proxies are trusted cannot be told: no client address is known.
    pub addresses_unknown: bool,
    /// Of Floors on the whole Gateway: each has to let the client address pass, whatever is asked for.
    pub floor_filters: Arc<[IpFilter]>,
    pub bounds: Bounds,
    /// Which of its exchanges have a line in the access log.
    pub logged: Choice,
    /// What records its exchanges; `None`: as the process was started.
    pub traces: Option<Arc<Traces>>,
    /// What its requests may be sent to beyond what all may; `None`: nothing.
    pub leave: Option<Arc<Leave>>,
    /// Data planes that share what limits allow.
    pub replicas: NonZeroU32,
    /// Where limits are counted for all of them; `None`: by each its share.
    pub limit_store: Option<Arc<Store>>,
    /// Whether one is stated: whoever explains has none.
    pub counts_in_store: bool,
    /// By what all of them know numbers for proofs; `None`: each its own.
    pub nonces: Option<Arc<Nonces>>,
    /// Each has to hold for every request.
    pub origin_locks: Arc<[OriginLock]>,
    /// Where its trusted proxies tell of certificates of callers.
    pub forwarded: Option<ForwardedCertificate>,
}

/// TLS settings of a listener.
#[derive(Clone)]
pub struct Tls {
    /// Absent: the listener has no certificate, and refuses every handshake.
    pub config: Option<Arc<ServerConfig>>,
    /// What `config` shows.
    pub shown: Shown,
    /// Names of the certificates, and of what has its own: listeners with the same may share a connection.
    pub certificates: Arc<[String]>,
    /// What callers are asked for.
    pub asked: Asked,
}

impl Tls {
    /// Without a certificate the listener stays, and refuses handshakes: no other listener answers for its name. While it shows the same
    /// certificates, and asks for the same as before, the settings stay, and sessions resume.
    pub fn build(
        tls: &v1::ListenerTls,
        held: impl Fn(&str) -> Option<Arc<CertifiedKey>>,
        last: Option<&Self>,
    ) -> Result<Self, String> {
        let shown = Shown::of(tls, held);
        let asked = Asked::build(tls, last.map(|last| &last.asked))?;
        let is_same = |last: &&Self| last.shown.is_same(&shown) && last.asked.is_same(&asked);
        let config = match last.filter(is_same) {
            Some(last) => last.config.clone(),
            None if shown.is_empty() => None,
            None => Some(Arc::new(server_config(&shown, &asked)?)),
        };
        let of_names = tls.server_names.iter().map(|name| format!("{} for {}", name.certificate, name.hostname));
        let certificates = tls.certificates.iter().cloned().chain(of_names).collect();
        Ok(Self { config, shown, certificates, asked })
    }

    /// Refuses every handshake, and keeps the place of those with `certificates`.
    pub fn without_certificate(certificates: Arc<[String]>) -> Self {
        Self { config: None, shown: Shown::default(), certificates, asked: Asked::Nothing }
    }

    /// The same place, which refuses every handshake. Whoever had to be vouched for still has to.
    fn closed(&self) -> Self {
        Self { asked: self.asked.clone(), ..Self::without_certificate(Arc::clone(&self.certificates)) }
    }

    /// The same for somebody who shakes hands for others: who they are is judged with their requests.
    pub fn for_others(&self) -> Result<Arc<ServerConfig>, String> {
        server_config(&self.shown, &Asked::Any).map(Arc::new)
    }
}

impl Port {
    /// Gathers listeners of one port. A hostname belongs to the first that names it.
    pub fn new(listeners: impl IntoIterator<Item = Arc<Listener>>) -> Self {
        let mut port = Self {
            is_tls: false,
            bounds: Bounds::default(),
            logged: Choice::default(),
            traces: None,
            is_recorded_late: false,
            gateways: Vec::new(),
            edge_headers: Arc::default(),
            exact: Map::default(),
            wildcards: Map::default(),
            any: None,
        };
        listeners.into_iter().for_each(|listener| port.add(listener));
        let gateways = || port.gateways.iter();
        let bounds = gateways().map(|gateway| gateway.bounds.clone()).reduce(|one, other| one.loosest(&other));
        let logged = gateways().map(|gateway| gateway.logged).reduce(Choice::loosest);
        let is_recorded_late = port.gateways.len() > 1 && gateways().any(|gateway| gateway.traces.is_some());
        port.traces = match &*port.gateways {
            [alone] => alone.traces.clone(),
            _ => is_recorded_late.then(|| Arc::new(Traces::off())),
        };
        port.edge_headers = edge_headers(port.listeners());
        (port.bounds, port.logged) = (bounds.unwrap_or_default(), logged.unwrap_or_default());
        port.is_recorded_late = is_recorded_late;
        port
    }

    /// Whether all Gateways of the port bar `peer`: there is nothing here that it could ask for.
    pub fn bars(&self, peer: IpAddr) -> bool {
        !self.gateways.is_empty() && self.gateways.iter().all(|gateway| gateway.bars(peer))
    }

    /// Whether all of them bar whom `peer` has told of in a PROXY header.
    pub fn bars_told(&self, peer: IpAddr, told: IpAddr) -> bool {
        let bars = |gateway: &Arc<Gateway>| gateway.bars(if gateway.hears(peer) { told } else { peer });
        !self.gateways.is_empty() && self.gateways.iter().all(bars)
    }

    /// Whether a connection of `peer` has to begin with a PROXY header.
    pub fn hears(&self, peer: IpAddr) -> bool {
        self.gateways.iter().any(|gateway| gateway.hears(peer))
    }

    /// The listener with the most specific hostname that covers `host` (lower case): itself, then the longest wildcard, then
    /// the one without a hostname.
    pub fn listener(&self, host: &str) -> Option<&Arc<Listener>> {
        self.exact.get(host).or_else(|| self.wildcard(host)).or(self.any.as_ref())
    }

    /// The Gateways whose listeners they are.
    pub fn gateways(&self) -> &[Arc<Gateway>] {
        &self.gateways
    }

    /// Headers with what opens a lock of any of them, and with certificates that are told of: nobody else gets to see them.
    pub fn edge_headers(&self) -> &Arc<[HeaderName]> {
        &self.edge_headers
    }

    /// The listeners of the port, in no order.
    pub fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.exact.values().chain(self.wildcards.values()).chain(&self.any)
    }

    fn add(&mut self, listener: Arc<Listener>) {
        self.is_tls |= listener.tls.is_some();
        if self.gateways.iter().all(|gateway| gateway.name != listener.gateway.name) {
            self.gateways.push(Arc::clone(&listener.gateway));
        }
        let hostname = Arc::clone(&listener.hostname);
        if hostname.is_empty() {
            self.any.get_or_insert(listener);
        } else if let Some(suffix) = hostname.strip_prefix('*') {
            self.wildcards.entry(suffix.into()).or_insert(listener);
        } else {
            self.exact.entry(hostname).or_insert(listener);
        }
    }

    /// The longest suffix comes first: dots are walked from the left.
    fn wildcard(&self, host: &str) -> Option<&Arc<Listener>> {
        if self.wildcards.is_empty() {
            return None;
        }
        suffixes(host).find_map(|suffix| self.wildcards.get(suffix))
    }
}

/// Each once. A listener may stand on an older form of its Gateway than others.
fn edge_headers<'a>(listeners: impl Iterator<Item = &'a Arc<Listener>>) -> Arc<[HeaderName]> {
    let mut headers = Vec::new();
    for gateway in listeners.map(|listener| &listener.gateway) {
        headers.extend(gateway.origin_locks.iter().filter_map(|lock| lock.header.clone()));
        headers.extend(gateway.forwarded.iter().flat_map(ForwardedCertificate::headers).cloned());
    }
    headers.sort_unstable_by(|one: &HeaderName, other| one.as_str().cmp(other.as_str()));
    headers.dedup();
    headers.into()
}

/// What may follow the asterisk of a wildcard that covers `host`, the longest first.
pub(crate) fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').filter(|(at, _)| *at > 0).filter_map(|(at, _)| host.get(at..))
}

impl Listener {
    /// Whether locks of its Gateway or authorities have a say about who gets in at all.
    pub fn is_guarded(&self) -> bool {
        !self.gateway.origin_locks.is_empty() || self.validation().is_some()
    }

    /// Whether a request may come in that brings this; and until when that need not be asked again.
    pub fn admit(&self, passage: &Passage, now: UnixMs) -> Result<Option<UnixMs>, Rejection> {
        let until = origin_lock::admit(&self.gateway.origin_locks, passage, now)?;
        let admit = |one: &FrontendValidation| one.admit(&self.gateway.name, &passage.certificate, now);
        let validated = self.validation().map(admit).transpose()?;
        Ok(until.into_iter().chain(validated).min())
    }

    /// Whether it lets anybody in, whatever they bring.
    pub fn admits_all(&self) -> bool {
        self.validation().is_none() && self.gateway.origin_locks.iter().all(|lock| lock.is_report)
    }

    /// Whether callers have to be vouched for in the handshake.
    pub fn validates(&self) -> bool {
        self.validation().is_some()
    }

    fn validation(&self) -> Option<&FrontendValidation> {
        self.tls.as_ref()?.asked.validation()
    }

    /// The resource called `name`, with parts that have been built before.
    pub fn new(
        name: &Arc<str>,
        listener: &v1::Listener,
        gateway: Arc<Gateway>,
        tls: Option<Tls>,
        routes: RouteTable,
    ) -> Option<Self> {
        let port = u16::try_from(listener.port).ok().filter(|port| *port != 0)?;
        Some(Self { name: Arc::clone(name), gateway, port, tls, routes, hostname: listener.hostname.as_str().into() })
    }

    /// The same place with nothing in it: no other listener answers for its host, and handshakes are refused.
    pub fn closed(&self, gateway: Arc<Gateway>) -> Self {
        let tls = self.tls.as_ref().map(Tls::closed);
        Self {
            name: Arc::clone(&self.name),
            gateway,
            port: self.port,
            tls,
            routes: RouteTable::default(),
            hostname: Arc::clone(&self.hostname),
        }
    }
}

impl Gateway {
    /// Parses the resource called `name`; what records it is put in by whoever makes exporters. Where something of it does not parse, no
    /// client address is known, or nothing is opened.
    pub fn build(name: &Arc<str>, gateway: &v1::Gateway) -> (Self, Option<String>) {
        let parsed = IpSet::parse(&gateway.trusted_proxies).map_err(|error| format!("trustedProxies: {error}"));
        let bounds = gateway.bounds.as_ref().map(Bounds::of_gateway).unwrap_or_default();
        let (trusted_proxies, problem) = match parsed {
            Ok(trusted) => (trusted, None),
            Err(why) => (IpSet::default(), Some(why)),
        };
        let mut problems: Vec<_> = problem.into_iter().collect();
        let filters = gateway.floor_filters.iter().filter(|filter| !IpFilter::is_for_older(filter)).map(|filter| {
            IpFilter::build(filter).unwrap_or_else(|why| {
                let unavailable = IpFilter::unavailable(&filter.object, &why);
                problems.push(why);
                unavailable
            })
        });
        let floor_filters = filters.collect();
        let addresses_unknown = gateway.addresses_unknown || !problems.is_empty();
        let leave = gateway.egress.as_ref().map_or(Ok(None), Leave::of_gateway).unwrap_or_else(|why| {
            problems.push(why);
            None
        });
        let locks = gateway.origin_locks.iter().map(|lock| {
            let (built, problem) = OriginLock::build(lock);
            problems.extend(problem);
            built
        });
        let origin_locks = locks.collect();
        let forwarded = gateway.client_certificate_header.as_ref().map(ForwardedCertificate::build).transpose();
        let forwarded = forwarded.unwrap_or_else(|why| {
            problems.push(why);
            Some(ForwardedCertificate::unreadable())
        });
        let built = Self {
            name: Arc::clone(name),
            trusted_proxies,
            proxy_protocol: gateway.proxy_protocol,
            addresses_unknown,
            floor_filters,
            bounds,
            logged: gateway.access_log.as_ref().map(Choice::of_gateway).unwrap_or_default(),
            traces: None,
            leave: leave.map(Arc::new),
            replicas: NonZeroU32::new(gateway.replicas).unwrap_or(NonZeroU32::MIN),
            limit_store: None,
            counts_in_store: gateway.limit_store.is_some(),
            nonces: gateway.nonce_key.as_ref().map(|key| Arc::new(Nonces::new(&key.value))),
            origin_locks,
            forwarded,
        };
        (built, joined(&problems))
    }

    /// Stands in for a resource that must not be read. Bounds and what is told of requests stay as they were; whom it trusts is not known.
    pub fn unread(name: &Arc<str>, last: Option<&Self>) -> Self {
        let bounds = last.map(|last| last.bounds.clone()).unwrap_or_default();
        let floor_filters = last.map(|last| Arc::clone(&last.floor_filters)).unwrap_or_default();
        Self {
            name: Arc::clone(name),
            trusted_proxies: IpSet::default(),
            proxy_protocol: false,
            addresses_unknown: true,
            floor_filters,
            bounds,
            logged: last.map(|last| last.logged).unwrap_or_default(),
            traces: last.and_then(|last| last.traces.clone()),
            leave: None,
            replicas: last.map_or(NonZeroU32::MIN, |last| last.replicas),
            limit_store: last.and_then(|last| last.limit_store.clone()),
            counts_in_store: last.is_some_and(|last| last.counts_in_store),
            nonces: last.and_then(|last| last.nonces.clone()),
            origin_locks: OriginLock::unread(
                &format!("Gateway {name}"),
                last.map(|last| &*last.origin_locks).unwrap_or_default(),
            ),
            forwarded: last.and_then(|last| last.forwarded.clone()),
        }
    }

    /// Whether `peer` has to say by a PROXY header whom it speaks for.
    pub fn hears(&self, peer: IpAddr) -> bool {
        self.proxy_protocol && self.trusted_proxies.contains(peer)
    }

    /// Whether nothing passes that comes from `peer`.
    fn bars(&self, peer: IpAddr) -> bool {
        self.is_barred_by_floors(peer) || self.is_locked_out(peer)
    }

    /// Whom a proxy tells of in front of the connection, that is what locks look at.
    fn is_locked_out(&self, peer: IpAddr) -> bool {
        !self.hears(peer) && self.origin_locks.iter().any(|lock| lock.bars(peer))
    }

    /// Whether a Floor lets nothing pass that comes from `peer`. A trusted proxy speaks for others, and may be one wherever nobody
    /// knows which they are; a filter that cannot be had is told of when a request asks.
    fn is_barred_by_floors(&self, peer: IpAddr) -> bool {
        !self.addresses_unknown
            && !self.trusted_proxies.contains(peer)
            && self.floor_filters.iter().any(|filter| filter.unavailable.is_none() && !filter.admits(peer))
    }
}
