//! Which headers and parameters must not reach a service from outside: the union over all its routes, by whatever way they lead there.

use std::collections::{BTreeMap, BTreeSet};

use sallyport_snapshot::v1::endpoint_source::Source;

use crate::cluster::ObjectName;
use crate::graph::Graph;
use crate::graph::effective::Index;
use crate::graph::guarded::Guarded;
use crate::graph::rule::BackendTarget;
use crate::graph::service::Slices;

/// Where requests end up. Backends and Services that share a place are the same service to their callers. Addresses and hosts are
/// shared within a namespace only: what one tenant sets must not take headers out of another's requests.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Service(ObjectName),
    Address { namespace: String, ip: String },
    Host { namespace: String, name: String },
}

/// What is guarded at each place.
pub(super) struct Guards<'a> {
    graph: &'a Graph,
    slices: &'a Slices<'a>,
    by_place: BTreeMap<Place, Guarded>,
}

impl<'a> Guards<'a> {
    /// Gathers what all policies say of the routes to each place, whether the routes are attached and can be served or not.
    pub(super) fn new(graph: &'a Graph, policies: &Index<'_>, slices: &'a Slices<'a>) -> Self {
        let mut guards = Self { graph, slices, by_place: BTreeMap::new() };
        for (id, route) in &graph.routes {
            let mut said = Guarded::default();
            for policy in policies.of_route(id, route) {
                said.join(&policy.guarded);
            }
            if said == Guarded::default() {
                continue;
            }
            let targets: BTreeSet<_> = route.rules.iter().flat_map(|rule| &rule.backends).collect();
            let places: BTreeSet<_> = targets.into_iter().flat_map(|target| guards.places(target)).collect();
            for place in places {
                guards.by_place.entry(place).or_default().join(&said);
            }
        }
        guards
    }

    /// What is guarded wherever requests for `target` can end up.
    pub(super) fn of(&self, target: &BackendTarget) -> Guarded {
        let mut guarded = Guarded::default();
        for found in self.places(target).iter().filter_map(|place| self.by_place.get(place)) {
            guarded.join(found);
        }
        guarded
    }

    fn places(&self, target: &BackendTarget) -> Vec<Place> {
        match target {
            BackendTarget::Nowhere => vec![],
            BackendTarget::Service { name, .. } => self.of_service(name),
            BackendTarget::Backend(name) => {
                let Some(backend) = self.graph.backends.get(name) else { return vec![] };
                let sources = backend.message.endpoints.iter().filter_map(|endpoint| endpoint.source.as_ref());
                let direct = sources.filter_map(|source| match source {
                    Source::Endpoints(_) => None,
                    Source::Address(one) => {
                        Some(Place::Address { namespace: name.namespace.clone(), ip: one.ip.clone() })
                    }
                    Source::Host(one) => {
                        Some(Place::Host { namespace: name.namespace.clone(), name: one.name.clone() })
                    }
                });
                direct.chain(backend.services.iter().flat_map(|(service, _)| self.of_service(service))).collect()
            }
        }
    }

    fn of_service(&self, name: &ObjectName) -> Vec<Place> {
        let addresses = self.slices.addresses(name);
        let pods = addresses.map(|ip| Place::Address { namespace: name.namespace.clone(), ip: ip.to_owned() });
        std::iter::once(Place::Service(name.clone())).chain(pods).collect()
    }
}
