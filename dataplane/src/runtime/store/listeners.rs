//! Listeners: where certificates, Gateways and routes come together.

use std::collections::BTreeMap;
use std::sync::Arc;

use sallyport_snapshot::v1::{self, Kind, resource::Body};

use super::{Refused, Store, Touched};
use crate::route::RouteTable;
use crate::runtime::listener::{Gateway, Listener, Port, Tls};

impl Store {
    pub(super) fn listeners_with(&self, gateways: &Touched, certificates: &Touched) -> Touched {
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
        // What is refused is not among them, and stands on a Gateway as well.
        let held = self.listeners.iter().filter(|(_, listener)| gateways.contains(&*listener.gateway.name));
        listeners.map(|(name, _)| &name.name).chain(held.map(|(name, _)| name)).map(Arc::clone).collect()
    }

    pub(super) fn build_listeners(&mut self, touched: &Touched) {
        for name in touched {
            let last = self.listeners.remove(name);
            let built = match self.body(Kind::Listener, name).as_deref() {
                Some(Body::Listener(listener)) => {
                    let built = self.build_listener(name, listener, last.as_deref());
                    self.note(Kind::Listener, name, built.as_ref().err().cloned());
                    let closed = || {
                        self.closed_listener(name, listener)
                            .or_else(|| last.map(|last| last.closed(Arc::clone(&last.gateway))))
                    };
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
            (Some(last), _) => {
                let gateway = self.gateways.get(&last.gateway.name).cloned();
                Some(last.closed(gateway.unwrap_or_else(|| Arc::clone(&last.gateway))))
            }
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
