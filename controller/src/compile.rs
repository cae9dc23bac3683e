//! From the graph to what a data plane is told. Pure: the same graph gives the same snapshot, byte for byte.

mod closed;
mod credentials;
mod guards;
mod room;

use std::collections::{BTreeMap, BTreeSet};

use sallyport_api::UnprotectedRoutes;
use sallyport_api::condition::Reason;
use sallyport_api::policy::TargetKind;
use sallyport_snapshot::v1::{self, resource::Body};
use sallyport_snapshot::{Name, Snapshot};

use crate::cluster::{ClusterState, ObjectName};
use crate::graph::Graph;
use crate::graph::effective::{self, Conflict, Effective, Index, Place};
use crate::graph::gateway::{ListenerNode, Standing};
use crate::graph::policy::{PolicyNode, Targets};
use crate::graph::route::{PartNode, RouteId, RouteNode};
use crate::graph::rule::{BackendTarget, RuleNode};
use crate::graph::service::{self, Slices};
use crate::problem::{Problem, denial};
use guards::Guards;
use prost::Message as _;
use room::Room;

/// Whether a resource of a route closes what it matched, where it does not serve.
pub(crate) fn is_closing(resource: &Name) -> bool {
    closed::is_closing(resource)
}

/// A snapshot, and what was found on the way to it.
#[derive(Default)]
pub struct Compiled {
    pub snapshot: Snapshot,
    /// Resources that an object contributes to, by kind and name of the object.
    pub provenance: BTreeMap<(String, ObjectName), BTreeSet<Name>>,
    pub conflicts: Vec<Conflict>,
    /// By kind and name: what is more than there is room for, and denies.
    pub excess: BTreeMap<(String, ObjectName), BTreeSet<Problem>>,
    /// By policy: where its credential was to go and must not, and where it is one of too many.
    pub withheld: BTreeMap<ObjectName, BTreeSet<Problem>>,
    /// Policies in effect on each route.
    pub affected: BTreeMap<RouteId, BTreeSet<ObjectName>>,
    /// Routes about which no policy says who may call, by Gateway, and what becomes of them there.
    pub unprotected: BTreeMap<RouteId, BTreeMap<ObjectName, UnprotectedRoutes>>,
}

/// Compiles `graph`.
pub fn compile(graph: &Graph, cluster: &ClusterState) -> Compiled {
    let mut compiled = Compiled::default();
    let mut targets = BTreeSet::<BackendTarget>::new();
    let policies = Index::new(&graph.policies, &graph.routes);
    let slices = Slices::new(cluster);
    let guards = Guards::new(graph, &policies, &slices);
    gateways(graph, &mut compiled);
    let mut room = Room::default();
    for (id, route) in &graph.routes {
        self::route(graph, &policies, (id, route), &mut room, &mut compiled, &mut targets);
    }
    for (name, policy) in &graph.policies {
        policy_resources(name, policy, &mut compiled);
    }
    backends(graph, &slices, &guards, &mut compiled);
    services(cluster, &targets, &slices, &guards, &mut compiled);
    for (name, product) in &graph.products {
        compiled.put("Product", name, name.to_string(), Body::Product(product.message.clone()));
    }
    for (name, subscription) in &graph.subscriptions {
        if let Some(message) = &subscription.message {
            compiled.put("Subscription", name, name.to_string(), Body::Subscription(message.clone()));
        }
    }
    for (name, approval) in &graph.approvals {
        if let Some(subscription) = &approval.about {
            let resource = Name::new(v1::Kind::Subscription, subscription.to_string());
            compiled.owe("SubscriptionApproval", name, &resource);
        }
    }
    compiled.conflicts.sort();
    compiled.conflicts.dedup();
    compiled
}

impl Compiled {
    /// The objects that contribute to a resource, e.g. "Gateway shop/public".
    pub fn contributors(&self, resource: &Name) -> impl Iterator<Item = String> {
        let objects = self.provenance.iter().filter(|(_, resources)| resources.contains(resource));
        objects.map(|((kind, name), _)| format!("{kind} {name}"))
    }

    fn put(&mut self, kind: &str, object: &ObjectName, name: String, body: Body) {
        let named = self.snapshot.insert(name, body);
        self.provenance.entry((kind.to_owned(), object.clone())).or_default().insert(named);
    }

    fn exceed(&mut self, kind: &str, object: &ObjectName, problem: Problem) {
        self.excess.entry((kind.to_owned(), object.clone())).or_default().insert(problem);
    }

    /// A Backend, or what denies in its place.
    fn put_backend(&mut self, kind: &str, object: &ObjectName, name: String, message: v1::Backend) {
        let (message, problem) = room::bounded(message, &format!("{kind} {object}"));
        if let Some(problem) = problem {
            self.exceed(kind, object, problem);
        }
        self.put(kind, object, name, Body::Backend(message));
    }

    fn owe(&mut self, kind: &str, object: &ObjectName, name: &Name) {
        self.provenance.entry((kind.to_owned(), object.clone())).or_default().insert(name.clone());
    }
}

fn gateways(graph: &Graph, compiled: &mut Compiled) {
    let floors = floor_filters(graph);
    for (name, gateway) in &graph.gateways {
        let floors = floors.get(name).map(Vec::as_slice).unwrap_or_default();
        let floor_filters = floors.iter().map(|(_, filter)| (*filter).clone()).collect();
        let mut message = v1::Gateway { floor_filters, ..gateway.message.clone() };
        if message.encoded_len() > room::MAX_MESSAGE_BYTES {
            let problem = too_many_floors();
            message.floor_filters = vec![v1::IpFilter {
                unavailable: Some(denial(&format!("Gateway {name}"), &problem)),
                ..v1::IpFilter::default()
            }];
            compiled.exceed("Gateway", name, problem);
        }
        compiled.put("Gateway", name, name.to_string(), Body::Gateway(message));
        for (policy, _) in floors {
            compiled.owe("ApiPolicy", policy, &Name::new(v1::Kind::Gateway, name.to_string()));
        }
        for listener in &gateway.listeners {
            let tls = match listener.standing {
                Standing::Serves => tls(name, listener, compiled),
                // Without a certificate, and without routes: nothing is served there.
                Standing::Holds { is_tls } => is_tls.then(v1::ListenerTls::default),
                Standing::SetAside => continue,
            };
            let message = v1::Listener {
                gateway: name.to_string(),
                port: listener.port,
                hostname: listener.hostname.clone(),
                tls,
            };
            compiled.put("Gateway", name, format!("{name}/{}", listener.name), Body::Listener(message));
        }
    }
}

fn too_many_floors() -> Problem {
    let message = format!(
        "the address filters of its Floors take more than {} bytes together; say less in them. Nobody is let in",
        room::MAX_MESSAGE_BYTES
    );
    Problem::new("spec", Reason::UnsupportedValue, message)
}

/// Address filters of enforced Floors on whole Gateways, by Gateway, in the order of the policies' names.
fn floor_filters(graph: &Graph) -> BTreeMap<ObjectName, Vec<(&ObjectName, &v1::IpFilter)>> {
    let mut filters = BTreeMap::<_, Vec<_>>::new();
    for (name, policy) in graph.policies.iter().filter(|(_, policy)| policy.is_floor && !policy.is_report) {
        let (Some(filter), Targets::Named(targets)) = (&policy.sections.ip_filter, &policy.targets) else { continue };
        let whole = targets.iter().filter(|target| target.kind == TargetKind::Gateway && target.section.is_none());
        let gateways: BTreeSet<_> = whole.map(|target| ObjectName::new(&name.namespace, &target.name)).collect();
        for gateway in gateways {
            filters.entry(gateway).or_default().push((name, filter));
        }
    }
    filters
}

/// The certificates of a listener, each a resource.
fn tls(gateway: &ObjectName, listener: &ListenerNode, compiled: &mut Compiled) -> Option<v1::ListenerTls> {
    let certificates = listener.tls.as_ref()?;
    for (certificate, message) in certificates {
        compiled.put("Gateway", gateway, certificate.clone(), Body::Certificate(message.clone()));
    }
    let mut server_names = Vec::new();
    for (hostname, own) in &listener.server_names {
        let secret = own.secret.to_string();
        if let Some(message) = &own.certificate {
            compiled.put("Ingress", &own.ingress, secret.clone(), Body::Certificate(message.clone()));
        }
        let certificate = if own.certificate.is_some() { secret } else { String::new() };
        server_names.push(v1::ServerName { hostname: hostname.clone(), certificate });
    }
    Some(v1::ListenerTls { certificates: certificates.keys().cloned().collect(), server_names })
}

fn route(
    graph: &Graph,
    policies: &Index<'_>,
    (id, route): (&RouteId, &RouteNode),
    room: &mut Room,
    compiled: &mut Compiled,
    targets: &mut BTreeSet<BackendTarget>,
) {
    let mut rules: Vec<_> = route.rules.iter().map(|rule| rule.message.clone()).collect();
    let mut attachments: Vec<_> = route.parts.iter().map(|_| Vec::new()).collect();
    let mut conflicts = Vec::new();
    for parent in &route.parents {
        let Some(gateway) = graph.gateways.get(&parent.gateway) else { continue };
        let serving = |listener: &str| gateway.listeners.iter().any(|one| one.name == listener && one.serves());
        for attachment in parent.attachments.iter().filter(|attachment| serving(&attachment.listener)) {
            let Some(part) = route.parts.get(attachment.part) else { continue };
            let mut names = Vec::new();
            for (at, rule) in route.rules.iter().enumerate().filter(|(at, _)| part.rules.contains(at)) {
                let place = Place {
                    gateway: &parent.gateway,
                    listener: &attachment.listener,
                    route: id,
                    rule: rule.section.as_deref(),
                    unprotected: gateway.unprotected,
                };
                let effective = effective::at(policies, place, &mut conflicts);
                let effective = room.hold(id, effective, &compiled.snapshot);
                targets.extend(rule.backends.iter().cloned());
                // A place that denies shows no credential, and takes none away from the places of the rule that serve.
                if let (Some(message), None) = (rules.get_mut(at), &effective.excess) {
                    credentials::of_rule(graph, (id, rule), effective.credential.as_ref(), message, compiled);
                }
                names.push(effective.name.clone());
                if effective.is_unprotected && needs_protection(rule) {
                    let told = compiled.unprotected.entry(id.clone()).or_default();
                    told.insert(parent.gateway.clone(), gateway.unprotected);
                }
                take_part(id, effective, compiled);
                // The same policies have the same conflicts at every place.
                conflicts.sort();
                conflicts.dedup();
            }
            let listener = format!("{}/{}", parent.gateway, attachment.listener);
            if let Some(attachments) = attachments.get_mut(attachment.part) {
                attachments.push(v1::Attachment { listener, hostnames: attachment.hostnames.clone(), policies: names });
            }
        }
    }
    compiled.conflicts.append(&mut conflicts);
    for (part, attachments) in route.parts.iter().zip(attachments) {
        let attached = attachments.iter().map(|attachment| attachment.listener.clone()).collect();
        // Where nothing is served, nothing need be known of what would have been.
        if !attachments.is_empty() {
            let rules = rules.get(part.rules.clone()).unwrap_or_default().to_vec();
            let message = v1::Route { object: Some(object_of(id)), created_ms: part.created_ms, attachments, rules };
            compiled.put(id.kind, &id.name, resource_of(id, part), Body::Route(message));
        }
        closed::part(graph, policies, (id, route, part), &attached, compiled);
    }
}

/// "Kind/namespace/name", and which part it is, if it is not the whole.
fn resource_of(id: &RouteId, part: &PartNode) -> String {
    let label = part.label.iter().map(|label| format!("/{label}"));
    format!("{}/{}{}", id.kind, id.name, label.collect::<String>())
}

fn object_of(id: &RouteId) -> v1::ObjectRef {
    v1::ObjectRef { kind: id.kind.into(), namespace: id.name.namespace.clone(), name: id.name.name.clone() }
}

/// A rule that only redirects forwards nothing, and one that denies lets nobody in.
fn needs_protection(rule: &RuleNode) -> bool {
    let redirects = |filter: &v1::Filter| matches!(filter.filter, Some(v1::filter::Filter::Redirect(_)));
    rule.message.deny.is_none() && !rule.message.filters.iter().any(redirects)
}

/// Writes the effective policy, which every policy in it has a share in.
fn take_part(id: &RouteId, effective: Effective, compiled: &mut Compiled) {
    if let Some(problem) = &effective.excess {
        compiled.exceed(id.kind, &id.name, problem.clone());
        for policy in &effective.participants {
            compiled.withheld.entry(policy.clone()).or_default().insert(problem.clone());
        }
    }
    let named = compiled.snapshot.insert(effective.name, Body::Policy(effective.message));
    for name in effective.participants {
        compiled.owe("ApiPolicy", &name, &named);
        compiled.affected.entry(id.clone()).or_default().insert(name);
    }
}

fn policy_resources(name: &ObjectName, policy: &PolicyNode, compiled: &mut Compiled) {
    for (key_set, message) in &policy.key_sets {
        compiled.put("ApiPolicy", name, key_set.clone(), Body::KeySet(message.clone()));
    }
    if let Some(credential) = &policy.sections.credential {
        compiled.put("ApiPolicy", name, format!("ApiPolicy/{name}"), Body::Credential(credential.clone()));
    }
}

fn backends(graph: &Graph, slices: &Slices<'_>, guards: &Guards<'_>, compiled: &mut Compiled) {
    for (name, backend) in &graph.backends {
        let guarded = guards.of(&BackendTarget::Backend(name.clone()));
        let message = guarded.written_into(backend.message.clone());
        compiled.put_backend("Backend", name, format!("Backend/{name}"), message);
        if let Some((certificate, message)) = &backend.certificate {
            compiled.put("Backend", name, certificate.clone(), Body::Certificate(message.clone()));
        }
        if let Some(credential) = &backend.credential {
            compiled.put("Backend", name, format!("Backend/{name}"), Body::Credential(credential.clone()));
        }
        for (service, port) in &backend.services {
            let endpoints = Body::Endpoints(slices.endpoints(service, *port));
            compiled.put("Backend", name, format!("{service}/{port}"), endpoints);
        }
    }
}

/// Services that routes name themselves.
fn services(
    cluster: &ClusterState,
    targets: &BTreeSet<BackendTarget>,
    slices: &Slices<'_>,
    guards: &Guards<'_>,
    compiled: &mut Compiled,
) {
    for target in targets {
        let (BackendTarget::Service { name, port }, Some(resource)) = (target, target.resource()) else { continue };
        let endpoints = format!("{name}/{port}");
        let source = v1::endpoint_source::Source::Endpoints(endpoints.clone());
        let message = v1::Backend {
            object: Some(v1::ObjectRef {
                kind: "Service".into(),
                namespace: name.namespace.clone(),
                name: name.name.clone(),
            }),
            endpoints: vec![v1::EndpointSource { source: Some(source), priority: 0, weight: 1 }],
            protocol: service::protocol(cluster, name, *port).into(),
            ..v1::Backend::default()
        };
        compiled.put_backend("Service", name, resource, guards.of(target).written_into(message));
        compiled.put("Service", name, endpoints, Body::Endpoints(slices.endpoints(name, *port)));
    }
}
