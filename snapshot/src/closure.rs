//! What the data planes of one Gateway need of a snapshot, and no more.

use std::collections::BTreeSet;

use crate::check::references;
use crate::resource::{Name, Versioned};
use crate::snapshot::Snapshot;
use crate::v1::{Kind, ObjectRef, Route, resource::Body, subscription::Scope};

/// The Gateway called `gateway` ("namespace/name") with its listeners, the routes that are attached to these, what these lead to, and the
/// products and subscriptions that open one of them. Routes, products and subscriptions speak of this Gateway only. Empty if there is
/// no such Gateway.
pub fn of_gateway(whole: &Snapshot, gateway: &str) -> Snapshot {
    let name = Name::new(Kind::Gateway, gateway);
    let mut closure = Closure { whole, part: Snapshot::default(), apis: BTreeSet::new() };
    let Some(resource) = whole.find(&name) else { return closure.part };
    closure.part.put(name, resource.clone());
    closure.listeners(gateway);
    closure.routes();
    closure.subscriptions(gateway);
    closure.part
}

struct Closure<'a> {
    whole: &'a Snapshot,
    part: Snapshot,
    /// Routes of the part, as products and subscriptions name them.
    apis: BTreeSet<(&'a str, &'a str, &'a str)>,
}

impl<'a> Closure<'a> {
    fn listeners(&mut self, gateway: &str) {
        for (name, resource) in self.whole.of_kind(Kind::Listener) {
            if matches!(&**resource.body(), Body::Listener(listener) if listener.gateway == gateway) {
                self.take(name, resource.clone());
            }
        }
    }

    fn routes(&mut self) {
        let whole: &'a Snapshot = self.whole;
        for (name, resource) in whole.of_kind(Kind::Route) {
            let Body::Route(route) = &**resource.body() else { continue };
            if let Some(attached) = self.attached(route, resource) {
                self.apis.extend(route.object.iter().map(api));
                self.take(name, attached);
            }
        }
    }

    /// The route with its attachments to listeners of the part; `None` if it has none.
    fn attached(&self, route: &Route, resource: &Versioned) -> Option<Versioned> {
        let is_here = |listener: &str| self.part.find(&Name::new(Kind::Listener, listener)).is_some();
        let here = route.attachments.iter().filter(|one| is_here(&one.listener)).count();
        match here {
            0 => None,
            all if all == route.attachments.len() => Some(resource.clone()),
            _ => {
                let mut route = route.clone();
                route.attachments.retain(|one| is_here(&one.listener));
                Some(Versioned::new(Body::Route(route)))
            }
        }
    }

    fn subscriptions(&mut self, gateway: &str) {
        for (name, resource) in self.whole.of_kind(Kind::Product) {
            let Body::Product(product) = &**resource.body() else { continue };
            let (apis, limited_apis) = (self.opened(&product.apis), self.opened(&product.limited_apis));
            if apis.is_some() || limited_apis.is_some() {
                let (apis, limited_apis) = (apis.unwrap_or_default(), limited_apis.unwrap_or_default());
                let product = crate::v1::Product { apis, limited_apis, ..product.clone() };
                self.part.put(name.clone(), Versioned::new(Body::Product(product)));
            }
        }
        for (name, resource) in self.whole.of_kind(Kind::Subscription) {
            let Body::Subscription(subscription) = &**resource.body() else { continue };
            match &subscription.scope {
                Some(Scope::Product(product)) if self.holds(Kind::Product, product) => {
                    self.part.put(name.clone(), resource.clone());
                }
                Some(Scope::AllApisOf(all)) if all == gateway => self.part.put(name.clone(), resource.clone()),
                Some(Scope::Apis(apis)) => {
                    let Some(routes) = self.opened(&apis.routes) else { continue };
                    let mut subscription = subscription.clone();
                    subscription.scope = Some(Scope::Apis(crate::v1::Apis { routes }));
                    self.part.put(name.clone(), Versioned::new(Body::Subscription(subscription)));
                }
                Some(Scope::Product(_) | Scope::AllApisOf(_)) | None => {}
            }
        }
    }

    /// Those of `apis` that are of the part; `None` if there is none.
    fn opened(&self, apis: &[ObjectRef]) -> Option<Vec<ObjectRef>> {
        let opened: Vec<_> = apis.iter().filter(|one| self.apis.contains(&api(one))).cloned().collect();
        (!opened.is_empty()).then_some(opened)
    }

    fn holds(&self, kind: Kind, name: &str) -> bool {
        self.part.find(&Name::new(kind, name)).is_some()
    }

    /// Puts a resource into the part, with all that it leads to.
    fn take(&mut self, name: &Name, resource: Versioned) {
        let mut ahead = references(resource.body());
        self.part.put(name.clone(), resource);
        while let Some(name) = ahead.pop() {
            let Some(resource) = self.whole.find(&name).filter(|_| self.part.find(&name).is_none()) else { continue };
            ahead.extend(references(resource.body()));
            self.part.put(name, resource.clone());
        }
    }
}

fn api(object: &ObjectRef) -> (&str, &str, &str) {
    (&object.kind, &object.namespace, &object.name)
}

#[cfg(test)]
mod tests;
