//! Routes, and the listeners they are attached to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use kube::ResourceExt;
use sallyport_api::condition::Reason;
use sallyport_api::gateway_api;
use sallyport_snapshot::expression::Budget;
use sallyport_snapshot::v1;
use serde::Serialize;

use super::form::{ParentForm, RouteForm, lenient};
use super::gateway::{GatewayNode, ListenerNode};
use super::rule::{self, RuleNode};
use crate::cluster::{ClusterState, ObjectName, Stored, created_ms};
use crate::problem::{Problem, denial};

/// Kinds of parents that are no Gateways (GAMMA, GEP-1713).
const OTHER_PARENTS: [&str; 3] = ["Service", "ServiceImport", "ListenerSet"];

/// What [`RouteId::kind`] says of an Ingress.
pub const INGRESS: &str = "Ingress";

/// Kind and name of a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteId {
    pub kind: &'static str,
    pub name: ObjectName,
}

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// A route with what it is attached to and what its rules do.
pub struct RouteNode {
    pub created_ms: i64,
    pub generation: Option<i64>,
    /// What of it is attached as one: all of an HTTPRoute or a GRPCRoute.
    pub parts: Vec<PartNode>,
    pub parents: Vec<ParentNode>,
    /// Every Gateway that its parent references name, whether it is there and ours or not.
    pub named: BTreeSet<NamedGateway>,
    pub rules: Vec<RuleNode>,
    /// It cannot even be read where it is and what it matches: if a policy may guard it, every route of its namespace denies.
    pub closes_namespace: Option<v1::Deny>,
    /// Parent references to Gateways that are not there: in a cluster another controller may be about to bring them.
    pub orphaned: Vec<Problem>,
    pub problems: Vec<Problem>,
}

impl RouteNode {
    /// Whether an API server would have refused it, or it is of a newer schema than ours.
    pub fn is_undecodable(&self) -> bool {
        self.problems.iter().any(|problem| problem.reason == Reason::Undecodable)
    }
}

/// A Gateway as a parent reference names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamedGateway {
    /// There is one of that name, of whatever class.
    There(ObjectName),
    /// There is none, or it cannot be read: the name, its namespace or its kind is misspelt, or it is gone. Those `elsewhere` that would
    /// take the route may be meant.
    Missing { namespace: String, elsewhere: Vec<ObjectName> },
}

/// One parent reference that names a Gateway of ours.
pub struct ParentNode {
    pub gateway: ObjectName,
    pub reference: ParentForm,
    pub attachments: Vec<AttachmentNode>,
    /// Where it would be attached, were a broken reference or a namespace that is not known not in the way: if a policy guards the
    /// route, what it matches there denies.
    pub closed: Vec<ClosedNode>,
    /// Why it is not attached.
    pub problems: Vec<Problem>,
}

impl ParentNode {
    /// What it matched there is not left to the older route.
    fn give_up(&mut self, lost: Vec<AttachmentNode>) {
        if lost.is_empty() {
            return;
        }
        let message = "an older route of the other kind has some of its hostnames on this listener; use hostnames that no other kind has";
        let why = Problem::new("spec.hostnames", Reason::NoMatchingListenerHostname, message);
        self.closed.extend(lost.into_iter().map(|attachment| ClosedNode { attachment, why: why.clone() }));
        self.problems.push(why);
    }
}

/// Where a route is not attached and would be, were something not in the way.
pub struct ClosedNode {
    pub attachment: AttachmentNode,
    pub why: Problem,
}

/// Rules that have their hosts in common.
pub struct PartNode {
    /// What tells it from the other parts of its route, if it has any; it does not change with them.
    pub label: Option<String>,
    /// Which of the route's rules these are.
    pub rules: Range<usize>,
    /// Of equal matches those of the smallest win.
    pub created_ms: i64,
}

/// A route on a listener, or one of its parts.
#[derive(Clone)]
pub struct AttachmentNode {
    /// Which of the route's parts it is.
    pub part: usize,
    pub listener: String,
    pub port: u32,
    /// Empty for every host.
    pub hostnames: Vec<String>,
}

/// All routes.
pub fn all(cluster: &ClusterState, gateways: &BTreeMap<ObjectName, GatewayNode>) -> BTreeMap<RouteId, RouteNode> {
    let http = cluster
        .http_routes
        .iter()
        .map(|(name, route)| (RouteId { kind: "HTTPRoute", name: name.clone() }, read(route, |route| &route.spec)));
    let grpc = cluster
        .grpc_routes
        .iter()
        .map(|(name, route)| (RouteId { kind: "GRPCRoute", name: name.clone() }, read(route, |route| &route.spec)));
    http.chain(grpc)
        .map(|(id, read)| {
            let node = node(cluster, gateways, &id, read);
            (id, node)
        })
        .collect()
}

/// HTTPRoutes and GRPCRoutes that share a hostname on a listener do not mix: the older route stays (Gateway API, GRPCRoute).
pub fn settle_kinds(routes: &mut BTreeMap<RouteId, RouteNode>) {
    let of_gateway_api = routes.iter().filter(|(id, _)| id.kind != INGRESS);
    let mut order: Vec<_> = of_gateway_api.map(|(id, route)| (route.created_ms, id.name.clone(), id.clone())).collect();
    order.sort();
    let mut held = BTreeMap::<(ObjectName, String), Held>::new();
    for (_, _, id) in order {
        let Some(route) = routes.get_mut(&id) else { continue };
        for parent in &mut route.parents {
            let gateway = parent.gateway.clone();
            let (kept, lost): (Vec<_>, Vec<_>) =
                std::mem::take(&mut parent.attachments).into_iter().partition(|attachment| {
                    let held = held.entry((gateway.clone(), attachment.listener.clone())).or_default();
                    held.takes(id.kind, &attachment.hostnames)
                });
            parent.attachments = kept;
            parent.give_up(lost);
        }
    }
}

/// Hostnames of a listener by the kind of route that has them.
#[derive(Default)]
struct Held(BTreeMap<&'static str, BTreeSet<String>>);

impl Held {
    /// Whether no other kind has any of these hostnames, which the kind has then.
    fn takes(&mut self, kind: &'static str, hostnames: &[String]) -> bool {
        let every = [String::new()];
        let hostnames = if hostnames.is_empty() { every.as_slice() } else { hostnames };
        let mut of_others = self.0.iter().filter(|(other, _)| **other != kind).flat_map(|(_, all)| all);
        let is_taken = of_others.any(|other| hostnames.iter().any(|one| overlap(one, other)));
        if !is_taken {
            self.0.entry(kind).or_default().extend(hostnames.iter().cloned());
        }
        !is_taken
    }
}

/// What has been read of a route.
struct Read {
    created_ms: i64,
    generation: Option<i64>,
    /// Absent where it cannot be read at all.
    form: Option<RouteForm>,
    undecodable: Option<String>,
}

fn read<K: ResourceExt, S: Serialize>(route: &Stored<K>, spec: impl Fn(&K) -> &S) -> Read {
    match route {
        Stored::Decoded(route) => {
            let form = serde_json::to_value(spec(route)).and_then(serde_json::from_value);
            let (form, undecodable) = match form {
                Ok(form) => (Some(form), None),
                Err(error) => (None, Some(error.to_string())),
            };
            Read { created_ms: created_ms(route.as_ref()), generation: route.meta().generation, form, undecodable }
        }
        Stored::Undecodable(route) => {
            let problems: Vec<_> =
                route.problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
            Read {
                created_ms: route.created_ms.unwrap_or_default(),
                generation: route.generation,
                form: lenient(route),
                undecodable: Some(problems.join("; ")),
            }
        }
    }
}

fn node(cluster: &ClusterState, gateways: &BTreeMap<ObjectName, GatewayNode>, id: &RouteId, read: Read) -> RouteNode {
    let Read { created_ms, generation, form, undecodable } = read;
    let mut problems = Vec::new();
    let problem = undecodable.map(|why| {
        let reach = if form.is_some() {
            "what it matches"
        } else {
            "every route of its namespace if a policy is on it or on a Gateway"
        };
        let message = format!("the route cannot be decoded, and closes {reach}: {why}");
        Problem::new("spec", Reason::Undecodable, message)
    });
    let deny = problem.as_ref().map(|problem| denial(&id.to_string(), problem));
    let closes_namespace = deny.clone().filter(|_| form.is_none());
    problems.extend(problem);
    let (is_read, form) = (form.is_some(), form.unwrap_or_default());
    let mut budget = Budget::default();
    let rules = form.rules.iter().enumerate().map(|(at, form)| match &deny {
        Some(deny) => RuleNode::denied(cluster, id, at, form, deny.clone()),
        None => rule::node(cluster, (id, at), form, &mut budget, &mut problems),
    });
    let rules: Vec<_> = rules.collect();
    let parts = vec![PartNode { label: None, rules: 0..rules.len(), created_ms }];
    let attach = Attach { cluster, gateways, id, hostnames: &form.hostnames };
    let parent_refs = || form.parent_refs.iter().enumerate();
    let parents = parent_refs().filter_map(|(at, parent)| attach.to(at, parent)).collect();
    let orphaned = parent_refs().filter_map(|(at, parent)| attach.orphaned(at, parent)).collect();
    let named = if is_read {
        form.parent_refs.iter().filter_map(|parent| attach.named(parent)).collect()
    } else {
        BTreeSet::from([attach.missing(&id.name.namespace, None)])
    };
    RouteNode { created_ms, generation, parts, parents, named, rules, closes_namespace, orphaned, problems }
}

/// Attaches one route to its parents.
#[derive(Clone, Copy)]
struct Attach<'a> {
    cluster: &'a ClusterState,
    gateways: &'a BTreeMap<ObjectName, GatewayNode>,
    id: &'a RouteId,
    hostnames: &'a [String],
}

impl Attach<'_> {
    fn to(self, at: usize, parent: &ParentForm) -> Option<ParentNode> {
        let name = self.gateway(parent)?;
        let gateway = self.gateways.get(&name)?;
        let named: Vec<_> = gateway.listeners.iter().filter(|listener| is_named(parent, listener)).collect();
        let field = format!("spec.parentRefs[{at}]");
        let message = format!("Gateway {name} has no such listener; correct sectionName or port");
        let mut refusal = Problem::new(&field, Reason::NoMatchingParent, message);
        let (mut attachments, mut closed) = (Vec::new(), Vec::new());
        for listener in &named {
            let attached = self.on(listener);
            if !listener.serves() {
                refusal = Problem::new(&field, Reason::ListenersNotValid, not_serving(&name, listener));
            } else if !self.is_taken(listener, &name) {
                let is_untold = self.may_be_taken(listener, &name);
                refusal = Problem::new(
                    &field,
                    Reason::NotAllowedByListeners,
                    not_taken(&name, &self.id.name.namespace, is_untold),
                );
                let attachment = attached.filter(|_| is_untold);
                closed.extend(attachment.map(|attachment| ClosedNode { attachment, why: refusal.clone() }));
            } else if let Some(attached) = attached {
                attachments.push(attached);
            } else {
                let message = format!("no hostname fits a listener of Gateway {name}; use one below the listener's");
                refusal = Problem::new("spec.hostnames", Reason::NoMatchingListenerHostname, message);
            }
        }
        if named.is_empty() {
            let may_take = gateway.listeners.iter().filter(|listener| self.may_be_taken(listener, &name));
            let attachments = may_take.filter_map(|listener| self.on(listener));
            closed.extend(attachments.map(|attachment| ClosedNode { attachment, why: refusal.clone() }));
        }
        let problems = if attachments.is_empty() { vec![refusal] } else { vec![] };
        Some(ParentNode { gateway: name, reference: parent.clone(), attachments, closed, problems })
    }

    /// What is wrong with a parent that names a Gateway that is not there.
    fn orphaned(self, at: usize, parent: &ParentForm) -> Option<Problem> {
        let name = self.gateway(parent).filter(|name| !self.cluster.gateways.contains_key(name))?;
        let message = format!("Gateway {name} does not exist; create it, or correct the name. Nothing is served there");
        Some(Problem::new(format!("spec.parentRefs[{at}]"), Reason::NoMatchingParent, message))
    }

    /// What it names as far as it may be a Gateway: of a kind that nobody knows it may be one, misspelt.
    fn named(self, parent: &ParentForm) -> Option<NamedGateway> {
        let is_other = parent.kind.as_deref().is_some_and(|kind| OTHER_PARENTS.contains(&kind));
        if is_other || parent.group.as_deref().is_some_and(|group| group != gateway_api::GROUP) {
            return None;
        }
        let name = self.named_as(parent);
        let is_there = self.gateway(parent).is_some() && self.cluster.gateways.contains_key(&name);
        Some(if is_there { NamedGateway::There(name) } else { self.missing(&name.namespace, Some(&name.name)) })
    }

    /// One that is not there, called `name` if that can be read. Nobody's Gateway is meant that would not take the route.
    fn missing(self, namespace: &str, name: Option<&str>) -> NamedGateway {
        let is_namesake = |gateway: &ObjectName| name.is_none_or(|name| name == gateway.name);
        let elsewhere =
            self.gateways.iter().filter(|(gateway, _)| gateway.namespace != namespace && is_namesake(gateway));
        let takes = |(gateway, node): &(&ObjectName, &GatewayNode)| {
            node.listeners.iter().any(|listener| self.may_be_taken(listener, gateway))
        };
        let elsewhere = elsewhere.filter(takes).map(|(gateway, _)| gateway.clone()).collect();
        NamedGateway::Missing { namespace: namespace.to_owned(), elsewhere }
    }

    fn named_as(self, parent: &ParentForm) -> ObjectName {
        ObjectName::new(parent.namespace.as_deref().unwrap_or(&self.id.name.namespace), &parent.name)
    }

    /// The Gateway that a parent reference names; `None` if it names something else.
    fn gateway(self, parent: &ParentForm) -> Option<ObjectName> {
        let is_gateway = parent.group.as_deref().is_none_or(|group| group == gateway_api::GROUP)
            && parent.kind.as_deref().is_none_or(|kind| kind == "Gateway");
        is_gateway.then(|| self.named_as(parent))
    }

    fn is_taken(self, listener: &ListenerNode, gateway: &ObjectName) -> bool {
        listener.kinds.contains(&self.id.kind) && listener.takes(self.cluster, gateway, &self.id.name.namespace)
    }

    fn may_be_taken(self, listener: &ListenerNode, gateway: &ObjectName) -> bool {
        listener.kinds.contains(&self.id.kind) && listener.may_take(self.cluster, gateway, &self.id.name.namespace)
    }

    /// The route on a listener; `None` if no host is of both.
    fn on(self, listener: &ListenerNode) -> Option<AttachmentNode> {
        let hostnames = intersection(&listener.hostname, self.hostnames)?;
        Some(AttachmentNode { part: 0, listener: listener.name.clone(), port: listener.port, hostnames })
    }
}

pub(super) fn not_taken(gateway: &ObjectName, namespace: &str, is_untold: bool) -> String {
    if is_untold {
        return format!(
            "Gateway {gateway} goes by labels of Namespace {namespace}, which is not there or cannot be decoded; correct it"
        );
    }
    format!("Gateway {gateway} does not take this kind of route from namespace {namespace}; change its allowedRoutes")
}

pub(super) fn not_serving(gateway: &ObjectName, listener: &ListenerNode) -> String {
    let why = listener.problems.first().map(|problem| format!(": {}", problem.message)).unwrap_or_default();
    format!("listener {} of Gateway {gateway} serves nothing{why}", listener.name)
}

/// Whether a parent reference means the listener.
fn is_named(parent: &ParentForm, listener: &ListenerNode) -> bool {
    parent.section_name.as_ref().is_none_or(|section| *section == listener.name)
        && parent.port.is_none_or(|port| port == listener.port)
}

/// Hostnames that both take; `None` if there is none, an empty list if every host.
fn intersection(listener: &str, route: &[String]) -> Option<Vec<String>> {
    if route.is_empty() {
        return Some(if listener.is_empty() { vec![] } else { vec![listener.to_owned()] });
    }
    let narrower = |hostname: &String| {
        let hostname = hostname.to_ascii_lowercase();
        match () {
            () if listener.is_empty() || covers(listener, &hostname) => Some(hostname),
            () if covers(&hostname, listener) => Some(listener.to_owned()),
            () => None,
        }
    };
    let found: Vec<_> = route.iter().filter_map(narrower).collect();
    (!found.is_empty()).then_some(found)
}

/// Whether every host of `narrow` is one of `wide`.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    let below = |suffix: &str| narrow.ends_with(suffix) && narrow.len() > suffix.len();
    wide == narrow || wide.strip_prefix('*').is_some_and(below)
}

/// Whether some host is of both; an empty one stands for every host.
fn overlap(one: &str, other: &str) -> bool {
    one.is_empty() || other.is_empty() || covers(one, other) || covers(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames_overlap_where_some_host_is_of_both() {
        for (one, other, expected) in [
            ("", "a.com", true),
            ("a.com", "a.com", true),
            ("*.a.com", "x.a.com", true),
            ("*.a.com", "*.x.a.com", true),
            ("*.a.com", "a.com", false),
            ("*.a.com", "*.b.com", false),
            ("a.com", "b.com", false),
        ] {
            assert_eq!((overlap(one, other), overlap(other, one)), (expected, expected), "{one} {other}");
        }
    }

    #[test]
    fn hostnames_intersect_as_gateway_api_says() {
        for (listener, route, found) in [
            ("", vec![], Some(vec![])),
            ("a.com", vec![], Some(vec!["a.com"])),
            ("", vec!["A.com"], Some(vec!["a.com"])),
            ("a.com", vec!["a.com", "b.com"], Some(vec!["a.com"])),
            ("*.a.com", vec!["x.a.com", "a.com"], Some(vec!["x.a.com"])),
            ("x.a.com", vec!["*.a.com"], Some(vec!["x.a.com"])),
            ("*.a.com", vec!["*.x.a.com"], Some(vec!["*.x.a.com"])),
            ("*.x.a.com", vec!["*.a.com"], Some(vec!["*.x.a.com"])),
            ("a.com", vec!["b.com"], None),
            ("*.a.com", vec!["a.com"], None),
            ("*.a.com", vec!["xa.com"], None),
        ] {
            let route: Vec<_> = route.into_iter().map(str::to_owned).collect();
            let found = found.map(|found: Vec<&str>| found.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(intersection(listener, &route), found, "{listener} {route:?}");
        }
    }
}
