//! Applies updates: builds what changed, shares what did not, and says what could not be built.
//!
//! Nothing here can fail as a whole. A resource that cannot be built, or that came in a form that must not be read, is told of
//! until it changes or goes; where it guards something, what it guards is closed.

mod listeners;
mod parts;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use sallyport_snapshot::v1::{self, Kind, endpoint_source::Source, resource::Body};
use sallyport_snapshot::{Difference, Name, Snapshot};

use crate::client_certificate::trust::ClientTrust;
use crate::credential::Credential;
use crate::issuer::Issuers;
use crate::limit::registry::Registry;
use crate::limit::store::Stores;
use crate::observe::metrics::certificates::Ends;
use crate::observe::traces::exporters::{Exporters, Exporting};
use crate::passwords::file::PasswordFile;
use crate::route::PreparedRoute;
use crate::runtime::backend::Backend;
use crate::runtime::certificate::certified_key;
use crate::runtime::keys::{Product, Subscription};
use crate::runtime::listener::{Gateway, Listener};
use crate::runtime::policy::{Policy, joined};
use crate::runtime::{Named, Runtime, key_parameters};

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
    limit_stores: Stores,
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
    pub fn new(issuers: Arc<Issuers>, exporters: Exporters, limit_stores: Stores) -> Self {
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
            limit_stores,
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

    /// What is built of a resource, or why it is not: what asks for it tells so.
    fn usable<T>(
        &mut self,
        kind: Kind,
        name: &Arc<str>,
        build: impl FnOnce(&Body) -> Option<Result<T, String>>,
    ) -> Option<Result<T, String>> {
        match self.body(kind, name).as_deref().and_then(build) {
            Some(built) => {
                self.note(kind, name, built.as_ref().err().cloned());
                Some(built)
            }
            None => self.refused(kind, name).map(|refused| Err(refused.why.clone())),
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
            let built = self.usable(Kind::ClientTrust, name, |body| match body {
                Body::ClientTrust(trust) => Some(ClientTrust::build(trust)),
                _ => None,
            });
            put(&mut self.runtime.trusts, name, built);
        }
    }

    /// Where nobody can tell who the users are, nobody is one.
    fn build_password_files(&mut self, touched: &Touched) {
        for name in touched {
            let last = self.runtime.password_files.get(name).cloned();
            let last = last.as_deref().and_then(|last| last.as_ref().ok());
            let built = self.usable(Kind::PasswordFile, name, |body| match body {
                Body::PasswordFile(file) => Some(PasswordFile::build(file, last)),
                _ => None,
            });
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
                    let why_not_counted;
                    (built.limit_store, why_not_counted) = self.limit_stores.put(name, gateway.limit_store.as_ref());
                    if let Some(last) = self.gateways.get(name).filter(|_| gateway.replicas == 0) {
                        built.replicas = last.replicas;
                    }
                    problem = joined(&problem.into_iter().chain(why).chain(why_not_counted).collect::<Vec<_>>());
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
                    self.limit_stores.remove(name);
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
            let Some(Body::Product(product)) = body.as_deref() else {
                Arc::make_mut(&mut self.runtime.products).remove(name);
                continue;
            };
            let (built, problem) = Product::build(product, &mut self.counters);
            Arc::make_mut(&mut self.runtime.products).insert(Arc::clone(name), Arc::new(built));
            self.note(Kind::Product, name, problem);
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

#[cfg(test)]
mod tests;
