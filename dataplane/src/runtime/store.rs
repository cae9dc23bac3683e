//! Applies updates: builds what changed, shares what did not, and says what could not be built.
//!
//! Nothing here can fail as a whole. A resource that cannot be built, or that came in a form that must not be read, is told of
//! until it changes or goes; where it guards something, what it guards is closed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use sallyport_snapshot::v1::{self, Kind, endpoint_source::Source, resource::Body};
use sallyport_snapshot::{Difference, Name, Snapshot};

use crate::client_certificate::trust::ClientTrust;
use crate::credential::Credential;
use crate::issuer::Issuers;
use crate::limit::registry::Registry;
use crate::observe::metrics::certificates::Ends;
use crate::observe::traces::exporters::{Exporters, Exporting};
use crate::passwords::file::PasswordFile;
use crate::route::{PreparedRoute, RouteTable};
use crate::runtime::backend::Backend;
use crate::runtime::certificate::certified_key;
use crate::runtime::keys::{Api, Subscription};
use crate::runtime::listener::{Gateway, Listener, Port, Tls};
use crate::runtime::policy::{Policy, joined};
use crate::runtime::{Named, Runtime, key_parameters};
use crate::upstream::target::Parts;

/// What has been received, and the parts that have been built of it.
pub struct Store {
    received: Snapshot,
    runtime: Runtime,
    gateways: HashMap<Arc<str>, Arc<Gateway>>,
    certificates: HashMap<Arc<str>, Certificate>,
    routes: BTreeMap<Arc<str>, Arc<PreparedRoute>>,
    subscriptions: HashMap<Arc<str>, Arc<Subscription>>,
    listeners: BTreeMap<Arc<str>, Arc<Listener>>,
    issuers: Arc<Issuers>,
    exporters: Exporters,
    exporting: Exporting,
    /// What limits count.
    counters: Registry,
    /// What came in a form that must not be read.
    refused: BTreeMap<Name, Refused>,
    /// What could not be built, and why.
    unbuilt: BTreeMap<Name, String>,
}

/// A resource that came in a form that must not be read: no older form of it is served either, which may guard less.
pub struct Refused {
    pub name: Name,
    pub why: String,
    /// What came, as far as it can be made out. Nobody believes it; the matches of a route in it are closed.
    pub body: Option<Arc<Body>>,
}

/// A certificate in force.
struct Certificate {
    key: Arc<CertifiedKey>,
    not_after_s: i64,
}

/// A resource that could not be built, and why.
pub type Rejected = (Name, String);

/// Names of one kind that an update touches.
type Touched = BTreeSet<Arc<str>>;

impl Store {
    /// Nothing received yet. Key sets are put in force through `issuers`; `exporters` make what Gateways want to be recorded by.
    pub fn new(issuers: Arc<Issuers>, exporters: Exporters) -> Self {
        Self {
            received: Snapshot::default(),
            runtime: Runtime::default(),
            gateways: HashMap::new(),
            certificates: HashMap::new(),
            routes: BTreeMap::new(),
            subscriptions: HashMap::new(),
            listeners: BTreeMap::new(),
            issuers,
            exporters,
            exporting: Exporting::default(),
            counters: Registry::default(),
            refused: BTreeMap::new(),
            unbuilt: BTreeMap::new(),
        }
    }

    /// What has been received so far.
    pub fn received(&self) -> &Snapshot {
        &self.received
    }

    /// When each certificate in force ends.
    pub fn certificate_ends(&self) -> Ends {
        self.certificates.iter().map(|(name, certificate)| (Arc::clone(name), certificate.not_after_s)).collect()
    }

    /// What is not in force as it was sent.
    pub fn rejected(&self) -> Vec<Rejected> {
        let refused = self.refused.values().map(|refused| (&refused.name, &refused.why));
        refused.chain(&self.unbuilt).map(|(name, why)| (name.clone(), why.clone())).collect()
    }

    /// Takes in `difference`, and what of it must not be read; the runtime that results.
    pub fn apply(&mut self, difference: &Difference, refused: Vec<Refused>) -> Runtime {
        let mut touched = self.take_in(difference, refused);
        let mut take = |kind| touched.remove(&kind).unwrap_or_default();
        let certificates = take(Kind::Certificate);
        let gateways = take(Kind::Gateway);
        let mut backends = take(Kind::Backend);
        let mut listeners = take(Kind::Listener);
        self.build_key_sets(&take(Kind::KeySet));
        self.runtime.key_sets = self.issuers.in_force();
        self.build_trusts(&take(Kind::ClientTrust));
        self.build_password_files(&take(Kind::PasswordFile));
        self.build_certificates(&certificates);
        self.build_gateways(&gateways);
        let policies = take(Kind::Policy);
        self.build_policies(&policies);
        self.build_credentials(&take(Kind::Credential));
        backends.extend(self.backends_with(&take(Kind::Endpoints), &certificates));
        self.build_backends(&backends);
        self.build_products(&take(Kind::Product));
        self.build_subscriptions(&take(Kind::Subscription));
        listeners.extend(self.build_routes(&take(Kind::Route)));
        listeners.extend(self.listeners_with(&gateways, &certificates));
        self.build_listeners(&listeners);
        // A route brings its listeners along.
        if !(policies.is_empty() && listeners.is_empty()) {
            let routes = self.routes.values().map(AsRef::as_ref);
            self.runtime.key_parameters = key_parameters::gathered(routes, &self.listeners, &self.runtime.policies);
        }
        self.runtime.generation += 1;
        self.runtime.clone()
    }

    /// Names that have to be built anew. Of what is refused the last form is forgotten, but for certificates: it protects no less.
    fn take_in(&mut self, difference: &Difference, refused: Vec<Refused>) -> BTreeMap<Kind, Touched> {
        let is_replaced = |refused: &&Refused| refused.name.kind != Kind::Certificate;
        let forgotten = refused.iter().filter(is_replaced).map(|refused| refused.name.clone()).collect();
        difference.apply_to(&mut self.received);
        Difference { changed: Vec::new(), removed: forgotten }.apply_to(&mut self.received);
        let mut touched: BTreeMap<Kind, Touched> = BTreeMap::new();
        let names = difference.changed.iter().map(|(name, _)| name).chain(&difference.removed);
        for name in names.chain(refused.iter().map(|refused| &refused.name)) {
            self.refused.remove(name);
            self.unbuilt.remove(name);
            touched.entry(name.kind).or_default().insert(Arc::clone(&name.name));
        }
        self.refused.extend(refused.into_iter().map(|refused| (refused.name.clone(), refused)));
        touched
    }

    fn body(&self, kind: Kind, name: &Arc<str>) -> Option<Arc<Body>> {
        self.received.find(&Name::new(kind, Arc::clone(name))).map(|resource| Arc::clone(resource.body()))
    }

    fn refused(&self, kind: Kind, name: &Arc<str>) -> Option<&Refused> {
        self.refused.get(&Name::new(kind, Arc::clone(name)))
    }

    /// Keeps in mind what came of building a resource.
    fn note(&mut self, kind: Kind, name: &Arc<str>, problem: Option<String>) {
        let name = Name::new(kind, Arc::clone(name));
        match problem {
            Some(why) => drop(self.unbuilt.insert(name, why)),
            None => drop(self.unbuilt.remove(&name)),
        }
    }

    /// A set that cannot be used is none; those who ask for it are told why.
    fn build_key_sets(&mut self, touched: &Touched) {
        for name in touched {
            let problem = match self.body(Kind::KeySet, name).as_deref() {
                Some(Body::KeySet(set)) => {
                    let problem = self.issuers.insert(name, set).err();
                    self.note(Kind::KeySet, name, problem.clone());
                    problem.map(Some)
                }
                _ => Some(self.refused(Kind::KeySet, name).map(|refused| refused.why.clone())),
            };
            let unusable = Arc::make_mut(&mut self.runtime.unusable_key_sets);
            unusable.remove(name);
            if let Some(why) = problem {
                self.issuers.remove(name);
                unusable.extend(why.map(|why| (Arc::clone(name), why)));
            }
        }
    }

    /// Whom nobody can be told to trust, nobody is trusted for.
    fn build_trusts(&mut self, touched: &Touched) {
        for name in touched {
            let built = match self.body(Kind::ClientTrust, name).as_deref() {
                Some(Body::ClientTrust(trust)) => {
                    let built = ClientTrust::build(trust);
                    self.note(Kind::ClientTrust, name, built.as_ref().err().cloned());
                    Some(built)
                }
                _ => self.refused(Kind::ClientTrust, name).map(|refused| Err(refused.why.clone())),
            };
            put(&mut self.runtime.trusts, name, built);
        }
    }

    /// Where nobody can tell who the users are, nobody is one.
    fn build_password_files(&mut self, touched: &Touched) {
        for name in touched {
            let built = match self.body(Kind::PasswordFile, name).as_deref() {
                Some(Body::PasswordFile(file)) => {
                    let last = self.runtime.password_files.get(name).and_then(|last| last.as_ref().as_ref().ok());
                    let built = PasswordFile::build(file, last);
                    self.note(Kind::PasswordFile, name, built.as_ref().err().cloned());
                    Some(built)
                }
                _ => self.refused(Kind::PasswordFile, name).map(|refused| Err(refused.why.clone())),
            };
            put(&mut self.runtime.password_files, name, built);
        }
    }

    /// A certificate that cannot be used leaves the one before it in force: it protects no less.
    fn build_certificates(&mut self, touched: &Touched) {
        for name in touched {
            match self.body(Kind::Certificate, name).as_deref() {
                Some(Body::Certificate(certificate)) => {
                    let problem = match certified_key(certificate) {
                        Ok(key) => {
                            let held = Certificate { key: Arc::new(key), not_after_s: certificate.not_after_s };
                            self.certificates.insert(Arc::clone(name), held);
                            None
                        }
                        Err(why) => Some(why),
                    };
                    self.note(Kind::Certificate, name, problem);
                }
                _ => drop(self.certificates.remove(name)),
            }
        }
    }

    /// A Gateway that cannot be read as it was meant keeps its listeners, and knows no client address.
    fn build_gateways(&mut self, touched: &Touched) {
        for name in touched {
            let built = match self.body(Kind::Gateway, name).as_deref() {
                Some(Body::Gateway(gateway)) => {
                    let (mut built, mut problem) = Gateway::build(name, gateway);
                    let why;
                    (built.traces, why) = self.exporting.put(&self.exporters, name, gateway.telemetry.as_ref());
                    if let Some(last) = self.gateways.get(name).filter(|_| gateway.replicas == 0) {
                        built.replicas = last.replicas;
                    }
                    problem = joined(&problem.into_iter().chain(why).collect::<Vec<_>>());
                    self.note(Kind::Gateway, name, problem);
                    Some(built)
                }
                _ => self
                    .refused(Kind::Gateway, name)
                    .map(|_| Gateway::unread(name, self.gateways.get(name).map(AsRef::as_ref))),
            };
            match built {
                Some(gateway) => drop(self.gateways.insert(Arc::clone(name), Arc::new(gateway))),
                None => {
                    self.exporting.remove(&self.exporters, name);
                    drop(self.gateways.remove(name));
                }
            }
        }
    }

    fn build_policies(&mut self, touched: &Touched) {
        for name in touched {
            let resource = self.received.find(&Name::new(Kind::Policy, Arc::clone(name)));
            let resource = resource.map(|resource| (resource.hash(), Arc::clone(resource.body())));
            let built = match resource.as_ref().map(|(hash, body)| (*hash, body.as_ref())) {
                Some((hash, Body::Policy(policy))) => {
                    let (built, problem) = Policy::build(name, hash, policy, &mut self.counters);
                    self.note(Kind::Policy, name, problem);
                    Some(built)
                }
                _ => self.refused(Kind::Policy, name).map(|refused| Policy::denied(name, &refused.why)),
            };
            put(&mut self.runtime.policies, name, built);
        }
    }

    fn build_credentials(&mut self, touched: &Touched) {
        for name in touched {
            let built = match self.body(Kind::Credential, name).as_deref() {
                Some(Body::Credential(credential)) => {
                    let (built, problem) = match Credential::build(name, credential) {
                        Ok(built) => (built, None),
                        Err(why) => (Credential::unavailable(name, &why), Some(why)),
                    };
                    self.note(Kind::Credential, name, problem);
                    Some(built)
                }
                _ => self.refused(Kind::Credential, name).map(|refused| Credential::unavailable(name, &refused.why)),
            };
            put(&mut self.runtime.credentials, name, built);
        }
    }

    /// Backends that use any of these endpoints or certificates.
    fn backends_with(&self, endpoints: &Touched, certificates: &Touched) -> Touched {
        if endpoints.is_empty() && certificates.is_empty() {
            return Touched::new();
        }
        let uses = |backend: &v1::Backend| {
            let by_endpoint = backend
                .endpoints
                .iter()
                .any(|one| matches!(&one.source, Some(Source::Endpoints(name)) if endpoints.contains(name.as_str())));
            by_endpoint
                || backend.tls.as_ref().is_some_and(|tls| certificates.contains(tls.client_certificate.as_str()))
        };
        let backends = self
            .received
            .iter()
            .filter(|(_, resource)| matches!(resource.body().as_ref(), Body::Backend(backend) if uses(backend)));
        backends.map(|(name, _)| Arc::clone(&name.name)).collect()
    }

    fn build_backends(&mut self, touched: &Touched) {
        for name in touched {
            let resource = self.received.find(&Name::new(Kind::Backend, Arc::clone(name)));
            let resource = resource.map(|resource| (resource.hash(), Arc::clone(resource.body())));
            let built = match resource.as_ref().map(|(hash, body)| (*hash, body.as_ref())) {
                Some((hash, Body::Backend(backend))) => {
                    let (built, problem) = Backend::build(name, backend, hash, &self.received);
                    self.note(Kind::Backend, name, problem);
                    Some(built)
                }
                _ => self.refused(Kind::Backend, name).map(|refused| Backend::denied(name, &refused.why)),
            };
            put(&mut self.runtime.backends, name, built);
        }
    }

    /// A Product that is refused is none: its subscriptions open nothing.
    fn build_products(&mut self, touched: &Touched) {
        for name in touched {
            let body = self.body(Kind::Product, name);
            let products = Arc::make_mut(&mut self.runtime.products);
            match body.as_deref() {
                Some(Body::Product(product)) => {
                    drop(products.insert(Arc::clone(name), product.apis.iter().map(Api::new).collect()))
                }
                _ => drop(products.remove(name)),
            }
        }
    }

    /// A Subscription that cannot be read has no keys.
    fn build_subscriptions(&mut self, touched: &Touched) {
        for name in touched {
            if let Some(old) = self.subscriptions.remove(name) {
                self.runtime.keys.remove(&old);
            }
        }
        // Old keys are gone before new ones come, so that a key can move between two subscriptions of one update.
        for name in touched {
            if let Some(Body::Subscription(subscription)) = self.body(Kind::Subscription, name).as_deref() {
                let problem = match Subscription::build(name, subscription).map(Arc::new) {
                    Ok(subscription) => {
                        self.runtime.keys.insert(&subscription);
                        self.subscriptions.insert(Arc::clone(name), subscription);
                        None
                    }
                    Err(why) => Some(why),
                };
                self.note(Kind::Subscription, name, problem);
            }
        }
    }

    /// Returns the listeners whose tables have to be built anew. A route that is refused closes what it matched before; one that
    /// is new, what it says that it matches.
    fn build_routes(&mut self, touched: &Touched) -> Touched {
        let mut listeners = Touched::new();
        for name in touched {
            let last = self.routes.remove(name);
            let prepared = match (self.body(Kind::Route, name).as_deref(), self.refused(Kind::Route, name)) {
                (Some(Body::Route(route)), _) => {
                    let (prepared, problems) = PreparedRoute::new(route);
                    self.note(Kind::Route, name, joined(&problems));
                    Some(Arc::new(prepared))
                }
                (_, Some(refused)) => closed(last.as_deref(), refused).map(Arc::new),
                _ => None,
            };
            let both = last.iter().chain(&prepared);
            listeners.extend(both.flat_map(|route| route.listeners()).map(Arc::from));
            if let Some(prepared) = prepared {
                self.routes.insert(Arc::clone(name), prepared);
            }
        }
        listeners
    }

    fn listeners_with(&self, gateways: &Touched, certificates: &Touched) -> Touched {
        let uses = |listener: &v1::Listener| {
            let shows = |tls: &v1::ListenerTls| {
                let of_names = tls.server_names.iter().map(|name| &name.certificate);
                tls.certificates.iter().chain(of_names).any(|name| certificates.contains(name.as_str()))
            };
            gateways.contains(listener.gateway.as_str()) || listener.tls.as_ref().is_some_and(shows)
        };
        let listeners = self
            .received
            .iter()
            .filter(|(_, resource)| matches!(resource.body().as_ref(), Body::Listener(listener) if uses(listener)));
        listeners.map(|(name, _)| Arc::clone(&name.name)).collect()
    }

    fn build_listeners(&mut self, touched: &Touched) {
        for name in touched {
            let last = self.listeners.remove(name);
            let built = match self.body(Kind::Listener, name).as_deref() {
                Some(Body::Listener(listener)) => {
                    let built = self.build_listener(name, listener, last.as_deref());
                    self.note(Kind::Listener, name, built.as_ref().err().cloned());
                    let closed = || self.closed_listener(name, listener).or_else(|| last.map(|last| last.closed()));
                    built.ok().or_else(closed)
                }
                _ => self.refused(Kind::Listener, name).and_then(|refused| self.refused_listener(last, refused)),
            };
            if let Some(listener) = built {
                self.listeners.insert(Arc::clone(name), Arc::new(listener));
            }
        }
        if touched.is_empty() {
            return;
        }
        let mut ports: BTreeMap<u16, Vec<Arc<Listener>>> = BTreeMap::new();
        for listener in self.listeners.values() {
            ports.entry(listener.port).or_default().push(Arc::clone(listener));
        }
        self.runtime.ports =
            ports.into_iter().map(|(port, listeners)| (port, Arc::new(Port::new(listeners)))).collect();
    }

    fn build_listener(
        &self,
        name: &Arc<str>,
        listener: &v1::Listener,
        last: Option<&Listener>,
    ) -> Result<Listener, String> {
        let gateway = self
            .gateways
            .get(listener.gateway.as_str())
            .ok_or_else(|| format!("its Gateway {} is not there", listener.gateway))?;
        let last = last.and_then(|last| last.tls.as_ref());
        let held = |name: &str| self.certificates.get(name).map(|certificate| Arc::clone(&certificate.key));
        let tls = listener.tls.as_ref().map(|tls| Tls::build(tls, held, last)).transpose()?;
        let table = RouteTable::build(name, self.routes.values().map(AsRef::as_ref));
        Listener::new(name, listener, Arc::clone(gateway), tls, table)
            .ok_or_else(|| format!("{} is no port", listener.port))
    }

    /// What a listener that is refused leaves behind: its place, where nothing is served.
    fn refused_listener(&self, last: Option<Arc<Listener>>, refused: &Refused) -> Option<Listener> {
        match (last, refused.body.as_deref()) {
            (Some(last), _) => Some(last.closed()),
            (None, Some(Body::Listener(listener))) => self.closed_listener(&refused.name.name, listener),
            (None, _) => None,
        }
    }

    /// The place of a listener with nothing in it: no other listener gets what was for it. Its port goes on speaking as it does.
    fn closed_listener(&self, name: &Arc<str>, listener: &v1::Listener) -> Option<Listener> {
        let unread = || Arc::new(Gateway::unread(&Arc::from(listener.gateway.as_str()), None));
        let gateway = self.gateways.get(listener.gateway.as_str()).cloned().unwrap_or_else(unread);
        let mut others = self.listeners.values().filter(|one| u32::from(one.port) == listener.port);
        let is_tls = others.next().map_or(listener.tls.is_some(), |other| other.tls.is_some());
        let tls = is_tls.then(|| Tls::without_certificate(Arc::default()));
        Listener::new(name, listener, gateway, tls, RouteTable::default())
    }
}

/// Puts what was built under `name`, or takes away what stood there.
fn put<T>(parts: &mut Named<T>, name: &Arc<str>, built: Option<T>) {
    let parts = Arc::make_mut(parts);
    match built {
        Some(part) => drop(parts.insert(Arc::clone(name), Arc::new(part))),
        None => drop(parts.remove(name)),
    }
}

/// What a route that is refused leaves behind.
fn closed(last: Option<&PreparedRoute>, refused: &Refused) -> Option<PreparedRoute> {
    match (last, refused.body.as_deref()) {
        (Some(last), _) => Some(last.closed(&refused.why)),
        (None, Some(Body::Route(route))) => Some(PreparedRoute::new(route).0.closed(&refused.why)),
        (None, _) => None,
    }
}

impl Parts for Snapshot {
    fn endpoints(&self, name: &str) -> Option<&v1::Endpoints> {
        match self.find(&Name::new(Kind::Endpoints, name))?.body().as_ref() {
            Body::Endpoints(endpoints) => Some(endpoints),
            _ => None,
        }
    }

    fn certificate(&self, name: &str) -> Option<&v1::Certificate> {
        match self.find(&Name::new(Kind::Certificate, name))?.body().as_ref() {
            Body::Certificate(certificate) => Some(certificate),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
