//! Applies updates: builds what changed, shares what did not, and says what could not be built.
//!
//! Nothing here can fail as a whole. A resource that cannot be built is named in the result; where it guards something, what
//! it guards is closed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use sallyport_snapshot::v1::{self, Kind, endpoint_source::Source, resource::Body};
use sallyport_snapshot::{Difference, Name, Snapshot};

use crate::credential::Credential;
use crate::issuer::Issuers;
use crate::observe::metrics::certificates::Ends;
use crate::route::{PreparedRoute, RouteTable};
use crate::runtime::Runtime;
use crate::runtime::backend::Backend;
use crate::runtime::certificate::{certified_key, server_config};
use crate::runtime::keys::{Api, Subscription};
use crate::runtime::listener::{Gateway, Listener, Port, Tls};
use crate::runtime::policy::Policy;
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
    /// Nothing received yet. Key sets are put in force through `issuers`.
    pub fn new(issuers: Arc<Issuers>) -> Self {
        Self {
            received: Snapshot::default(),
            runtime: Runtime::default(),
            gateways: HashMap::new(),
            certificates: HashMap::new(),
            routes: BTreeMap::new(),
            subscriptions: HashMap::new(),
            listeners: BTreeMap::new(),
            issuers,
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

    /// Takes `difference` in; the runtime that results, and what could not be built.
    pub fn apply(&mut self, difference: &Difference) -> (Runtime, Vec<Rejected>) {
        difference.apply_to(&mut self.received);
        let mut touched: BTreeMap<Kind, Touched> = BTreeMap::new();
        let names = difference.changed.iter().map(|(name, _)| name).chain(&difference.removed);
        for name in names {
            touched.entry(name.kind).or_default().insert(Arc::clone(&name.name));
        }
        let mut take = |kind| touched.remove(&kind).unwrap_or_default();
        let mut rejected = Vec::new();
        let certificates = take(Kind::Certificate);
        let gateways = take(Kind::Gateway);
        let mut backends = take(Kind::Backend);
        let mut listeners = take(Kind::Listener);
        self.build_key_sets(&take(Kind::KeySet), &mut rejected);
        self.runtime.key_sets = self.issuers.in_force();
        self.build_certificates(&certificates, &mut rejected);
        self.build_gateways(&gateways, &mut rejected);
        self.build_policies(&take(Kind::Policy), &mut rejected);
        self.build_credentials(&take(Kind::Credential), &mut rejected);
        backends.extend(self.backends_with(&take(Kind::Endpoints), &certificates));
        self.build_backends(&backends, &mut rejected);
        self.build_products(&take(Kind::Product));
        self.build_subscriptions(&take(Kind::Subscription), &mut rejected);
        listeners.extend(self.build_routes(&take(Kind::Route), &mut rejected));
        listeners.extend(self.listeners_with(&gateways, &certificates));
        self.build_listeners(&listeners, &mut rejected);
        self.runtime.generation += 1;
        (self.runtime.clone(), rejected)
    }

    fn body(&self, kind: Kind, name: &Arc<str>) -> Option<Arc<Body>> {
        self.received.find(&Name::new(kind, Arc::clone(name))).map(|resource| Arc::clone(resource.body()))
    }

    fn build_key_sets(&mut self, touched: &Touched, rejected: &mut Vec<Rejected>) {
        for name in touched {
            let built = match self.body(Kind::KeySet, name).as_deref() {
                Some(Body::KeySet(set)) => self.issuers.insert(name, set).map_err(Some),
                _ => Err(None),
            };
            let unusable = Arc::make_mut(&mut self.runtime.unusable_key_sets);
            unusable.remove(name);
            if let Err(why) = built {
                self.issuers.remove(name);
                if let Some(why) = why {
                    unusable.insert(Arc::clone(name), why.clone());
                    rejected.push((Name::new(Kind::KeySet, Arc::clone(name)), why));
                }
            }
        }
    }

    /// A certificate that cannot be used leaves the one before it in force: it protects no less.
    fn build_certificates(&mut self, touched: &Touched, rejected: &mut Vec<Rejected>) {
        for name in touched {
            match self.body(Kind::Certificate, name).as_deref() {
                Some(Body::Certificate(certificate)) => match certified_key(certificate) {
                    Ok(key) => {
                        let held = Certificate { key: Arc::new(key), not_after_s: certificate.not_after_s };
                        self.certificates.insert(Arc::clone(name), held);
                    }
                    Err(why) => rejected.push((Name::new(Kind::Certificate, Arc::clone(name)), why)),
                },
                _ => drop(self.certificates.remove(name)),
            }
        }
    }

    fn build_gateways(&mut self, touched: &Touched, rejected: &mut Vec<Rejected>) {
        for name in touched {
            match self.body(Kind::Gateway, name).as_deref() {
                Some(Body::Gateway(gateway)) => match Gateway::build(name, gateway) {
                    Ok(gateway) => drop(self.gateways.insert(Arc::clone(name), Arc::new(gateway))),
                    Err(why) => rejected.push((Name::new(Kind::Gateway, Arc::clone(name)), why)),
                },
                _ => drop(self.gateways.remove(name)),
            }
        }
    }

    fn build_policies(&mut self, touched: &Touched, rejected: &mut Vec<Rejected>) {
        for name in touched {
            let key = Name::new(Kind::Policy, Arc::clone(name));
            let resource = self.received.find(&key);
            let policies = Arc::make_mut(&mut self.runtime.policies);
            match resource.map(|resource| (resource.hash(), resource.body().as_ref())) {
                Some((hash, Body::Policy(policy))) => {
                    let (built, problem) = Policy::build(name, hash, policy);
                    rejected.extend(problem.map(|why| (key, why)));
                    policies.insert(Arc::clone(name), Arc::new(built));
                }
                _ => drop(policies.remove(name)),
            }
        }
    }

    fn build_credentials(&mut self, touched: &Touched, rejected: &mut Vec<Rejected>) {
        for name in touched {
            let body = self.body(Kind::Credential, name);
            let credentials = Arc::make_mut(&mut self.runtime.credentials);
            match body.as_deref() {
                Some(Body::Credential(credential)) => {
                    let built = Credential::build(name, credential).unwrap_or_else(|why| {
                        let unavailable = Credential::unavailable(name, &why);
                        rejected.push((Name::new(Kind::Credential, Arc::clone(name)), why));
                        unavailable
                    });
                    credentials.insert(Arc::clone(name), Arc::new(built));
                }
                _ => drop(credentials.remove(name)),
            }
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

    fn build_backends(&mut self, touched: &Touched, rejected: &mut Vec<Rejected>) {
        for name in touched {
            let key = Name::new(Kind::Backend, Arc::clone(name));
            let resource = self.received.find(&key).map(|resource| (resource.hash(), Arc::clone(resource.body())));
            let built = match resource.as_ref().map(|(hash, body)| (*hash, body.as_ref())) {
                Some((hash, Body::Backend(backend))) => Some(Backend::build(name, backend, hash, &self.received)),
                _ => None,
            };
            let backends = Arc::make_mut(&mut self.runtime.backends);
            match built {
                Some((backend, why)) => {
                    rejected.extend(why.map(|why| (key, why)));
                    backends.insert(Arc::clone(name), Arc::new(backend));
                }
                None => drop(backends.remove(name)),
            }
        }
    }

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

    fn build_subscriptions(&mut self, touched: &Touched, rejected: &mut Vec<Rejected>) {
        for name in touched {
            if let Some(old) = self.subscriptions.remove(name) {
                self.runtime.keys.remove(&old);
            }
        }
        // Old keys are gone before new ones come, so that a key can move between two subscriptions of one update.
        for name in touched {
            if let Some(Body::Subscription(subscription)) = self.body(Kind::Subscription, name).as_deref() {
                match Subscription::build(name, subscription).map(Arc::new) {
                    Ok(subscription) => {
                        self.runtime.keys.insert(&subscription);
                        self.subscriptions.insert(Arc::clone(name), subscription);
                    }
                    Err(why) => rejected.push((Name::new(Kind::Subscription, Arc::clone(name)), why)),
                }
            }
        }
    }

    /// Returns the listeners whose tables have to be built anew.
    fn build_routes(&mut self, touched: &Touched, rejected: &mut Vec<Rejected>) -> Touched {
        let mut listeners = Touched::new();
        for name in touched {
            if let Some(old) = self.routes.remove(name) {
                listeners.extend(old.listeners().map(Arc::from));
            }
            if let Some(Body::Route(route)) = self.body(Kind::Route, name).as_deref() {
                let (prepared, problems) = PreparedRoute::new(route);
                listeners.extend(prepared.listeners().map(Arc::from));
                self.routes.insert(Arc::clone(name), Arc::new(prepared));
                if !problems.is_empty() {
                    rejected.push((Name::new(Kind::Route, Arc::clone(name)), problems.join("; ")));
                }
            }
        }
        listeners
    }

    fn listeners_with(&self, gateways: &Touched, certificates: &Touched) -> Touched {
        let uses = |listener: &v1::Listener| {
            let shows =
                |tls: &v1::ListenerTls| tls.certificates.iter().any(|name| certificates.contains(name.as_str()));
            gateways.contains(listener.gateway.as_str()) || listener.tls.as_ref().is_some_and(shows)
        };
        let listeners = self
            .received
            .iter()
            .filter(|(_, resource)| matches!(resource.body().as_ref(), Body::Listener(listener) if uses(listener)));
        listeners.map(|(name, _)| Arc::clone(&name.name)).collect()
    }

    fn build_listeners(&mut self, touched: &Touched, rejected: &mut Vec<Rejected>) {
        for name in touched {
            self.listeners.remove(name);
            if let Some(Body::Listener(listener)) = self.body(Kind::Listener, name).as_deref() {
                match self.build_listener(name, listener) {
                    Ok(listener) => drop(self.listeners.insert(Arc::clone(name), Arc::new(listener))),
                    Err(why) => rejected.push((Name::new(Kind::Listener, Arc::clone(name)), why)),
                }
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

    fn build_listener(&self, name: &Arc<str>, listener: &v1::Listener) -> Result<Listener, String> {
        let gateway = self
            .gateways
            .get(listener.gateway.as_str())
            .ok_or_else(|| format!("its Gateway {} is not there", listener.gateway))?;
        let tls = listener.tls.as_ref().map(|tls| self.build_tls(tls)).transpose()?;
        let table = RouteTable::build(name, self.routes.values().map(AsRef::as_ref));
        Listener::new(name, listener, Arc::clone(gateway), tls, table)
            .ok_or_else(|| format!("{} is no port", listener.port))
    }

    /// Without a certificate the listener stays, and refuses handshakes: no other listener answers for its name.
    fn build_tls(&self, tls: &v1::ListenerTls) -> Result<Tls, String> {
        let held = tls.certificates.iter().filter_map(|name| self.certificates.get(name.as_str()));
        let keys: Vec<_> = held.map(|certificate| Arc::clone(&certificate.key)).collect();
        let config = if keys.is_empty() { None } else { Some(Arc::new(server_config(keys)?)) };
        Ok(Tls { config, certificates: tls.certificates.clone().into() })
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
