//! Which policies speak of which routes.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use sallyport_api::policy::TargetKind;
use sallyport_snapshot::v1;

use super::Place;
use crate::cluster::ObjectName;
use crate::graph::headers::HeaderChanges;
use crate::graph::policy::{PolicyNode, Targets, kind_name};
use crate::graph::route::{NamedGateway, RouteId, RouteNode};

/// Policies by what they are attached to: a place asks for its own instead of going through all.
#[derive(Default)]
pub struct Index<'a> {
    by_target: BTreeMap<(&'static str, ObjectName), Policies<'a>>,
    /// By namespace: those on any Gateway of it.
    on_gateways_of: BTreeMap<String, Policies<'a>>,
    /// What each adds to a place.
    pub(super) bytes: BTreeMap<&'a ObjectName, usize>,
    /// By namespace: those whose targets cannot be read.
    unreadable: BTreeMap<&'a str, Policies<'a>>,
    /// By namespace: those with a target that is not there.
    lost: BTreeMap<&'a str, Policies<'a>>,
    /// By namespace: the route that closes it.
    pub(super) closed: BTreeMap<&'a str, (&'a RouteId, &'a v1::Deny)>,
}

pub(super) type Policies<'a> = BTreeMap<&'a ObjectName, &'a PolicyNode>;

impl<'a> Index<'a> {
    pub fn new(policies: &'a BTreeMap<ObjectName, PolicyNode>, routes: &'a BTreeMap<RouteId, RouteNode>) -> Self {
        let mut index = Self::default();
        for (name, policy) in policies {
            index.bytes.insert(name, bytes(policy));
            let Targets::Named(targets) = &policy.targets else {
                index.unreadable.entry(&name.namespace).or_default().insert(name, policy);
                continue;
            };
            if !targets.is_empty() && targets.iter().all(|target| target.is_missing) {
                index.lost.entry(&name.namespace).or_default().insert(name, policy);
            }
            for target in targets {
                let place = ObjectName::new(&name.namespace, &target.name);
                if target.kind == TargetKind::Gateway {
                    index.on_gateways_of.entry(name.namespace.clone()).or_default().insert(name, policy);
                }
                index.by_target.entry((kind_name(target.kind), place)).or_default().insert(name, policy);
            }
        }
        // Somebody has said that the route is to be guarded, itself or by its Gateway; which that was, and what it matched there,
        // cannot be told any more.
        let on_gateways = index.by_target.keys().any(|(kind, _)| *kind == "Gateway") || !index.unreadable.is_empty();
        let guarded =
            routes.iter().filter(|(id, _)| on_gateways || index.by_target.contains_key(&(id.kind, id.name.clone())));
        let closing = guarded.filter_map(|(id, route)| Some((id, route.closes_namespace.as_ref()?)));
        index.closed = closing.map(|(id, deny)| (id.name.namespace.as_str(), (id, deny))).collect();
        index
    }

    /// Every policy that says anything of a route, at any level; also those of which it cannot be told whom they speak of. What it says
    /// it is on counts, whether that is there and serves or not; and a policy whose target is not there may mean the route.
    pub fn of_route(&self, id: &RouteId, route: &RouteNode) -> Vec<&'a PolicyNode> {
        let own = self.by_target.get(&(id.kind, id.name.clone())).into_iter();
        let on_gateways = route.named.iter().flat_map(|gateway| self.on_gateway(gateway));
        let places = route.named.iter().map(|gateway| match gateway {
            NamedGateway::There(name) => &name.namespace,
            NamedGateway::Missing { namespace, .. } => namespace,
        });
        let namespaces: BTreeSet<_> = places.chain([&id.name.namespace]).map(String::as_str).collect();
        let namespaces = namespaces.into_iter();
        let untold =
            namespaces.flat_map(|namespace| [self.unreadable.get(namespace), self.lost.get(namespace)]).flatten();
        let all: Policies<'a> =
            own.chain(on_gateways).chain(untold).flatten().map(|(name, policy)| (*name, *policy)).collect();
        all.into_values().collect()
    }

    /// What is attached to a Gateway. One that is not there may be any of its namespace, or one of that name elsewhere that would take the
    /// route.
    fn on_gateway(&self, named: &NamedGateway) -> Vec<&Policies<'a>> {
        let on = |name: &ObjectName| self.by_target.get(&("Gateway", name.clone()));
        match named {
            NamedGateway::There(name) => on(name).into_iter().collect(),
            NamedGateway::Missing { namespace, elsewhere } => {
                self.on_gateways_of.get(namespace).into_iter().chain(elsewhere.iter().filter_map(on)).collect()
            }
        }
    }

    /// Whether anything is enforced on a route, or would be.
    pub fn guards(&self, id: &RouteId, route: &RouteNode) -> bool {
        !self.of_route(id, route).is_empty()
    }

    pub(super) fn near(&self, place: Place<'_>) -> Policies<'a> {
        let targets = [("Gateway", place.gateway), (place.route.kind, &place.route.name)];
        let attached = targets.into_iter().filter_map(|(kind, name)| self.by_target.get(&(kind, name.clone())));
        let namespaces = [&place.gateway.namespace, &place.route.name.namespace];
        let unreadable = namespaces.into_iter().filter_map(|namespace| self.unreadable.get(namespace.as_str()));
        attached.chain(unreadable).flatten().map(|(name, policy)| (*name, *policy)).collect()
    }
}

/// What a policy adds to each place that it reaches.
fn bytes(policy: &PolicyNode) -> usize {
    let sections = &policy.sections;
    sections.authentication.as_ref().map_or(0, Message::encoded_len)
        + sections.ip_filter.as_ref().map_or(0, Message::encoded_len)
        + sections.authorization.as_ref().map_or(0, Message::encoded_len)
        + sections.external_authorization.as_ref().map_or(0, |one| one.message.encoded_len())
        + sections.request_headers.as_ref().map_or(0, HeaderChanges::bytes)
        + sections.response_headers.as_ref().map_or(0, HeaderChanges::bytes)
        + sections.cors.as_ref().map_or(0, Message::encoded_len)
        + sections.request.as_ref().map_or(0, Message::encoded_len)
        + sections.limits.iter().flatten().map(Message::encoded_len).sum::<usize>()
}
