//! From the graph to what a data plane is told. Pure: the same graph gives the same snapshot, byte for byte.

mod authorizers;
mod brought;
mod closed;
mod credentials;
mod excess;
mod guards;
mod room;
#[cfg(test)]
mod tests;
mod uncounted;

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use sallyport_api::UnprotectedRoutes;
use sallyport_api::condition::Reason;
use sallyport_api::policy::TargetKind;
use sallyport_snapshot::v1::{self, resource::Body};
use sallyport_snapshot::{Name, Snapshot};

use crate::cluster::{ClusterState, ObjectName};
use crate::graph::Graph;
use crate::graph::effective::{self, Conflict, Effective, Index, Place};
use crate::graph::gateway::frontend::{self, Demand};
use crate::graph::gateway::{ListenerNode, Standing};
use crate::graph::parameters::{forwarded_certificate, origin_lock};
use crate::graph::policy::{PolicyNode, Targets};
use crate::graph::route::{PartNode, RouteId, RouteNode};
use crate::graph::rule::{BackendTarget, RuleNode};
use crate::graph::sender_constraint;
use crate::graph::service::{self, Slices};
use crate::problem::{Problem, denial};
use crate::seed::Seed;
pub use excess::Excess;
use guards::Guards;
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
    pub excess: Excess,
    /// By policy: where its credential was to go and must not, and where it is one of too many.
    pub withheld: BTreeMap<ObjectName, BTreeSet<Problem>>,
    /// Policies in effect on each route.
    pub affected: BTreeMap<RouteId, BTreeSet<ObjectName>>,
    /// Listeners with a route that wants a certificate of its callers, and the policies that say so.
    requesting: BTreeMap<String, BTreeSet<ObjectName>>,
    /// Routes about which no policy says who may call, by Gateway, and what becomes of them there.
    pub unprotected: BTreeMap<RouteId, BTreeMap<ObjectName, UnprotectedRoutes>>,
}

/// The routes that name each target.
type Callers = BTreeMap<BackendTarget, BTreeSet<RouteId>>;

/// Compiles `graph`.
pub fn compile(graph: &Graph, cluster: &ClusterState) -> Compiled {
    let mut room = Room::default();
    let compiled = within(&mut room, graph, cluster);
    let Some(share) = room.fairer() else { return compiled };
    drop(compiled);
    within(&mut Room::of_share(share), graph, cluster)
}

fn within(room: &mut Room, graph: &Graph, cluster: &ClusterState) -> Compiled {
    let mut compiled = Compiled::default();
    let mut targets = Callers::new();
    let policies = Index::new(&graph.policies, &graph.routes);
    let slices = Slices::new(cluster);
    let guards = Guards::new(graph, &policies, &slices);
    gateways(graph, cluster.seed.as_ref(), &mut compiled);
    for (id, route) in &graph.routes {
        self::route((graph, cluster), &policies, (id, route), room, &mut compiled, &mut targets);
    }
    request_certificates(&mut compiled);
    for (name, policy) in &graph.policies {
        brought::of_policy(name, &policy.brought, room, &mut compiled);
        if let Some(asked) = &policy.sections.external_authorization {
            authorizers::of_policy((graph, cluster), (name, asked), &slices, room, &mut compiled);
        }
        if let Some(credential) = &policy.sections.credential {
            compiled.put("ApiPolicy", name, format!("ApiPolicy/{name}"), Body::Credential(credential.clone()));
        }
    }
    backends(graph, &slices, &guards, room, &mut compiled);
    services(cluster, &targets, &slices, &guards, room, &mut compiled);
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
    uncounted::tell(graph, &mut compiled);
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

    /// Whether this very resource is there: under its name may be what another policy had no room for.
    fn has(&self, kind: v1::Kind, name: &str, body: &Body) -> bool {
        self.snapshot.find(&Name::new(kind, name)).is_some_and(|held| held.body().as_ref() == body)
    }

    fn owe(&mut self, kind: &str, object: &ObjectName, name: &Name) {
        self.provenance.entry((kind.to_owned(), object.clone())).or_default().insert(name.clone());
    }
}

fn gateways(graph: &Graph, seed: Option<&Seed>, compiled: &mut Compiled) {
    let seed = seed.filter(|_| graph.policies.values().any(demands_nonces));
    let floors = floor_filters(graph);
    let api_servers: Vec<_> = graph.api_servers.iter().map(ToString::to_string).collect();
    for (name, gateway) in &graph.gateways {
        let floors = floors.get(name).map(Vec::as_slice).unwrap_or_default();
        let locks = &gateway.message.origin_locks;
        let filters = floors.iter().map(|(_, filter)| (*filter).clone());
        let forwarded = forwarded_certificate::for_older(&format!("Gateway {name}"), &gateway.message);
        let validated = frontend::for_older(&format!("Gateway {name}"), &gateway.listeners);
        let floor_filters = filters.chain(origin_lock::for_older(locks)).chain(forwarded).chain(validated).collect();
        let is_locked_by_certificate = locks.iter().any(|lock| !lock.is_report && lock.client_certificate.is_some());
        let nonce_key = seed.map(|seed| seed.of_nonces(name));
        let mut message =
            v1::Gateway { floor_filters, api_servers: api_servers.clone(), nonce_key, ..gateway.message.clone() };
        if message.encoded_len() > room::MAX_MESSAGE_BYTES {
            let problem = too_much_at_gateway();
            message.origin_locks = locks.iter().map(|lock| origin_lock::closed(lock, &problem)).collect();
            message.floor_filters = vec![v1::IpFilter {
                unavailable: Some(denial(&format!("Gateway {name}"), &problem)),
                ..v1::IpFilter::default()
            }];
            for (policy, _) in floors {
                compiled.withheld.entry((*policy).clone()).or_default().insert(problem.clone());
            }
            compiled.excess.add("Gateway", name, None, problem);
        }
        compiled.put("Gateway", name, name.to_string(), Body::Gateway(message));
        for (policy, _) in floors {
            compiled.owe("ApiPolicy", policy, &Name::new(v1::Kind::Gateway, name.to_string()));
        }
        for listener in &gateway.listeners {
            let tls = match listener.standing {
                Standing::Serves => tls(name, listener, compiled).map(|tls| v1::ListenerTls {
                    requests_certificates: is_locked_by_certificate || tls.requests_certificates,
                    ..tls
                }),
                // Without a certificate, and without routes: nothing is served there.
                Standing::Holds { is_tls } => is_tls.then(|| closed(listener)),
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

/// Whether callers can get in by a certificate, or by a token that is bound to one. What is only reported asks nobody for one.
fn wants_certificate(policy: &v1::Policy) -> bool {
    let mut alternatives = policy.authentication.iter().chain(&policy.floors).flat_map(|one| &one.alternatives);
    let is_bound = |jwt: &v1::Jwt| jwt.sender_constraint.as_ref().is_some_and(sender_constraint::wants_certificate);
    alternatives.any(|one| one.client_certificate.is_some() || one.jwt.as_ref().is_some_and(is_bound))
}

/// Whether callers have to hold numbers that a Gateway has handed out, be it only for a report.
fn demands_nonces(policy: &PolicyNode) -> bool {
    let alternatives = policy.sections.authentication.iter().flat_map(|one| &one.alternatives);
    let constraints = alternatives.filter_map(|one| one.jwt.as_ref()?.sender_constraint.as_ref());
    constraints.filter_map(|one| one.proofs.as_ref()).any(|proofs| proofs.nonce_required)
}

/// Has listeners ask for certificates where a route of theirs wants one.
fn request_certificates(compiled: &mut Compiled) {
    for (listener, policies) in std::mem::take(&mut compiled.requesting) {
        let named = Name::new(v1::Kind::Listener, listener.as_str());
        let Some(Body::Listener(message)) = compiled.snapshot.find(&named).map(|one| one.body().as_ref().clone())
        else {
            continue;
        };
        let Some(tls) = message.tls else { continue };
        let tls = Some(v1::ListenerTls { requests_certificates: true, ..tls });
        compiled.snapshot.insert(listener, Body::Listener(v1::Listener { tls, ..message }));
        for policy in &policies {
            compiled.owe("ApiPolicy", policy, &named);
        }
    }
}

fn too_much_at_gateway() -> Problem {
    let message = format!(
        "the address filters of its Floors and its origin locks, with authorities and lists of revoked certificates, take more than {} bytes together; say less in them. Nobody is let in",
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

/// It shows no certificate; where callers had to, what had been let in ends.
fn closed(listener: &ListenerNode) -> v1::ListenerTls {
    let frontend_validation = listener.demand.as_ref().and_then(|_| Demand::Nobodys.message());
    v1::ListenerTls { frontend_validation, ..v1::ListenerTls::default() }
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
    let certificates = certificates.keys().cloned().collect();
    let frontend_validation = listener.demand.as_ref().and_then(Demand::message);
    let requests_certificates = listener.demand.is_some();
    Some(v1::ListenerTls { certificates, server_names, requests_certificates, frontend_validation })
}

fn route(
    (graph, cluster): (&Graph, &ClusterState),
    policies: &Index<'_>,
    (id, route): (&RouteId, &RouteNode),
    room: &mut Room,
    compiled: &mut Compiled,
    targets: &mut Callers,
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
                let is_held = |name: &str| compiled.snapshot.find(&Name::new(v1::Kind::Policy, name)).is_some();
                let effective = room.hold(id, effective, is_held);
                for target in &rule.backends {
                    targets.entry(target.clone()).or_default().insert(id.clone());
                }
                // A place that denies shows no credential, and takes none away from the places of the rule that serve.
                if let (Some(message), None) = (rules.get_mut(at), &effective.excess) {
                    credentials::of_rule(graph, (id, rule), effective.credential.as_ref(), message, compiled);
                }
                let own = (id, rule.backends.as_slice());
                authorizers::tell_without_end((graph, cluster), own, &effective, compiled);
                names.push(effective.name.clone());
                if wants_certificate(&effective.message) {
                    let listener = format!("{}/{}", parent.gateway, attachment.listener);
                    compiled.requesting.entry(listener).or_default().extend(effective.participants.iter().cloned());
                }
                if effective.is_unprotected && needs_protection(rule) {
                    let told = compiled.unprotected.entry(id.clone()).or_default();
                    told.insert(parent.gateway.clone(), gateway.unprotected);
                }
                take_part(&parent.gateway, id, effective, compiled);
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
            let message = roomy(id, message, room, compiled);
            compiled.put(id.kind, &id.name, resource_of(id, part), Body::Route(message));
        }
        closed::part(graph, policies, (id, route, part), &attached, compiled);
    }
}

/// `route`, or what answers in its place that there is no room for it.
fn roomy(id: &RouteId, route: v1::Route, room: &mut Room, compiled: &mut Compiled) -> v1::Route {
    let namespace = &id.name.namespace;
    if room.takes(namespace, route.encoded_len()) {
        return route;
    }
    let problem = room.none_left(namespace, "spec.rules", &id.to_string());
    let route = closed::denied(route, &denial(&id.to_string(), &problem));
    compiled.excess.add(id.kind, &id.name, None, problem);
    route
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
    !rule.denies() && !rule.message.filters.iter().any(redirects)
}

/// Writes the effective policy, which every policy in it has a share in.
fn take_part(gateway: &ObjectName, id: &RouteId, effective: Effective, compiled: &mut Compiled) {
    if let Some(problem) = &effective.excess {
        compiled.excess.add(id.kind, &id.name, Some(gateway), problem.clone());
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

fn backends(graph: &Graph, slices: &Slices<'_>, guards: &Guards<'_>, room: &mut Room, compiled: &mut Compiled) {
    for (name, backend) in &graph.backends {
        let guarded = guards.of(&BackendTarget::Backend(name.clone()));
        let message = guarded.written_into(backend.message.clone());
        let label = format!("Backend {name}");
        let (message, problem) = room.backend(&name.namespace, &label, message);
        if let Some(problem) = problem {
            compiled.excess.add("Backend", name, None, problem);
        }
        compiled.put("Backend", name, format!("Backend/{name}"), Body::Backend(message));
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

/// A Service, as it says itself that it is spoken to.
fn service_backend(cluster: &ClusterState, name: &ObjectName, port: u32) -> v1::Backend {
    let source = v1::endpoint_source::Source::Endpoints(format!("{name}/{port}"));
    let (namespace, name_of_service) = (name.namespace.clone(), name.name.clone());
    v1::Backend {
        object: Some(v1::ObjectRef { kind: "Service".into(), namespace, name: name_of_service }),
        endpoints: vec![v1::EndpointSource { source: Some(source), priority: 0, weight: 1 }],
        protocol: service::protocol(cluster, name, port).into(),
        ..v1::Backend::default()
    }
}

/// Services that routes name themselves.
fn services(
    cluster: &ClusterState,
    targets: &Callers,
    slices: &Slices<'_>,
    guards: &Guards<'_>,
    room: &mut Room,
    compiled: &mut Compiled,
) {
    for (target, routes) in targets {
        let (BackendTarget::Service { name, port }, Some(resource)) = (target, target.resource()) else { continue };
        let endpoints = format!("{name}/{port}");
        let message = guards.of(target).written_into(service_backend(cluster, name, *port));
        let (message, problem) = room.backend(&name.namespace, &format!("Service {name}"), message);
        // A Service has no status of ours: its routes are told.
        for (id, problem) in routes.iter().zip(problem.iter().cycle()) {
            compiled.excess.add(id.kind, &id.name, None, problem.clone());
        }
        compiled.put("Service", name, resource, Body::Backend(message));
        compiled.put("Service", name, endpoints, Body::Endpoints(slices.endpoints(name, *port)));
    }
}
