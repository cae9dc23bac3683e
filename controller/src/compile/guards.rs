//! Which headers and parameters must not reach a service from outside: the union over all its routes, by whatever way they lead there.

use std::collections::{BTreeMap, BTreeSet};

use super::room::MAX_MESSAGE_BYTES;
use crate::cluster::ObjectName;
use crate::graph::Graph;
use crate::graph::effective::Index;
use crate::graph::guarded::Guarded;
use crate::graph::route::{RouteId, RouteNode};
use crate::graph::rule::BackendTarget;
use crate::graph::service::Slices;
use crate::graph::whereabouts::{Whereabouts, address};

/// Where requests end up. Backends and Services that share a place are the same service to their callers. Addresses and hosts are
/// shared within a namespace only: what one tenant sets must not take headers out of another's requests.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Service(ObjectName),
    Address {
        namespace: String,
        ip: String,
    },
    Host {
        namespace: String,
        name: String,
    },
    /// What is named there is broken, so that it may be any of the namespace's services.
    Somewhere {
        namespace: String,
    },
}

/// What is guarded at each place.
pub(super) struct Guards<'a> {
    graph: &'a Graph,
    slices: &'a Slices<'a>,
    /// What the policies of routes say, each once.
    said: Vec<Guarded>,
    /// Which of these are said of a place. They are joined only where somebody asks.
    by_place: BTreeMap<Place, BTreeSet<usize>>,
}

impl<'a> Guards<'a> {
    /// Gathers what all policies say of the routes to each place, whether the routes are attached and can be served or not.
    pub(super) fn new(graph: &'a Graph, policies: &Index<'_>, slices: &'a Slices<'a>) -> Self {
        let mut guards = Self { graph, slices, said: Vec::new(), by_place: BTreeMap::new() };
        let mut known = BTreeMap::new();
        for (id, route) in &graph.routes {
            let mut said = Guarded::default();
            for policy in policies.of_route(id, route) {
                said.join(&policy.guarded);
            }
            if said == Guarded::default() {
                continue;
            }
            let at = *known.entry(said).or_insert_with_key(|said| {
                guards.said.push(said.clone());
                guards.said.len() - 1
            });
            for place in guards.of_route(id, route) {
                guards.by_place.entry(place).or_default().insert(at);
            }
        }
        guards
    }

    /// What is guarded wherever requests for `target` can end up. What is more than there is room for need not be whole.
    pub(super) fn of(&self, target: &BackendTarget) -> Guarded {
        let mut guarded = Guarded::default();
        let anywhere = target.namespace().map(somewhere);
        let places = self.places(target).into_iter().chain(anywhere);
        let said: BTreeSet<_> = places.filter_map(|place| self.by_place.get(&place)).flatten().collect();
        for one in said.into_iter().filter_map(|at| self.said.get(*at)) {
            guarded.join(one);
            if guarded.bytes() > MAX_MESSAGE_BYTES {
                break;
            }
        }
        guarded
    }

    /// By what its references name. A route that cannot be decoded may have named others, which cannot be read.
    fn of_route(&self, id: &RouteId, route: &RouteNode) -> BTreeSet<Place> {
        let targets: BTreeSet<_> = route.rules.iter().flat_map(|rule| &rule.named).collect();
        let untold = route.is_undecodable().then(|| somewhere(&id.name.namespace));
        targets.into_iter().flat_map(|target| self.places(target)).chain(untold).collect()
    }

    fn places(&self, target: &BackendTarget) -> Vec<Place> {
        match target {
            BackendTarget::Nowhere => vec![],
            BackendTarget::Service { name, .. } => self.of_service(name),
            BackendTarget::Backend(name) => {
                let Some(backend) = self.graph.backends.get(name) else { return vec![somewhere(&name.namespace)] };
                backend.whereabouts.iter().flat_map(|place| self.of_backend(&name.namespace, place)).collect()
            }
        }
    }

    fn of_backend(&self, namespace: &str, place: &Whereabouts) -> Vec<Place> {
        let namespace = namespace.to_owned();
        match place {
            Whereabouts::Service(name) => self.of_service(name),
            Whereabouts::Address(ip) => vec![Place::Address { namespace, ip: ip.clone() }],
            Whereabouts::Host(name) => vec![Place::Host { namespace, name: name.clone() }],
            Whereabouts::Untold => vec![Place::Somewhere { namespace }],
        }
    }

    fn of_service(&self, name: &ObjectName) -> Vec<Place> {
        let pods = self.slices.addresses(name);
        let pods = pods.map(|ip| Place::Address { namespace: name.namespace.clone(), ip: address(ip) });
        let missing = (!self.slices.is_there(name)).then(|| somewhere(&name.namespace));
        std::iter::once(Place::Service(name.clone())).chain(pods).chain(missing).collect()
    }
}

fn somewhere(namespace: &str) -> Place {
    Place::Somewhere { namespace: namespace.to_owned() }
}
