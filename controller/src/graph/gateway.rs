//! Gateways with their listeners, and what their classes say.

use std::collections::BTreeMap;

use sallyport_api::condition::Reason;
use sallyport_api::gateway_api;
use sallyport_api::{CONTROLLER_NAME, GatewayParameters, UnprotectedRoutes};
use sallyport_snapshot::v1;
use serde_json::Value;

use super::certificate;
use super::grant::{End, permits};
use crate::cluster::{ClusterState, ObjectName, Stored, created_ms};
use crate::problem::Problem;

/// A Gateway of a class of ours.
pub struct GatewayNode {
    pub created_ms: i64,
    pub generation: Option<i64>,
    pub unprotected: UnprotectedRoutes,
    pub message: v1::Gateway,
    pub listeners: Vec<ListenerNode>,
    pub problems: Vec<Problem>,
}

/// One listener.
pub struct ListenerNode {
    pub name: String,
    pub port: u32,
    /// Lower case; empty for every host.
    pub hostname: String,
    /// Certificates by name, for HTTPS. What is missing is a problem and leaves the list shorter.
    pub tls: Option<BTreeMap<String, v1::Certificate>>,
    /// Kinds of routes that may attach.
    pub kinds: Vec<&'static str>,
    pub namespaces: Namespaces,
    /// Another listener has its place: it serves nothing.
    pub conflicted: bool,
    pub problems: Vec<Problem>,
}

/// Whose routes may attach.
pub enum Namespaces {
    Same,
    All,
    Selected(Value),
}

const ROUTE_KINDS: [&str; 2] = ["HTTPRoute", "GRPCRoute"];

/// All Gateways of our classes. One that cannot be decoded has no listener, and serves nothing.
pub fn all(cluster: &ClusterState) -> BTreeMap<ObjectName, GatewayNode> {
    let mut nodes = BTreeMap::new();
    for (name, gateway) in &cluster.gateways {
        let Stored::Decoded(gateway) = gateway else { continue };
        let Some(class) = our_class(cluster, &gateway.spec.gateway_class_name) else { continue };
        nodes.insert(name.clone(), node(cluster, name, gateway, class));
    }
    nodes
}

/// Of listeners with one port, those with the protocol and hostname of an earlier one are set aside. Age, then name decides between Gateways.
pub fn settle_conflicts(gateways: &mut BTreeMap<ObjectName, GatewayNode>) {
    let mut order: Vec<_> = gateways.iter().map(|(name, gateway)| (gateway.created_ms, name.clone())).collect();
    order.sort();
    let mut taken = BTreeMap::<u32, (bool, Vec<String>)>::new();
    for (_, name) in order {
        let Some(gateway) = gateways.get_mut(&name) else { continue };
        for (at, listener) in gateway.listeners.iter_mut().enumerate() {
            let (is_tls, hostnames) = taken.entry(listener.port).or_insert((listener.tls.is_some(), vec![]));
            let field = format!("spec.listeners[{at}]");
            if *is_tls != listener.tls.is_some() {
                listener.conflicted = true;
                let message =
                    format!("port {} is taken by a listener with another protocol; choose another port", listener.port);
                listener.problems.push(Problem::new(format!("{field}.protocol"), Reason::ProtocolConflict, message));
            } else if hostnames.contains(&listener.hostname) {
                listener.conflicted = true;
                let message =
                    format!("port {} has a listener with this hostname already; choose another", listener.port);
                listener.problems.push(Problem::new(format!("{field}.hostname"), Reason::HostnameConflict, message));
            } else {
                hostnames.push(listener.hostname.clone());
            }
        }
    }
}

/// The class called `name`, if it is ours.
fn our_class<'a>(cluster: &'a ClusterState, name: &str) -> Option<&'a gateway_api::GatewayClass> {
    match cluster.gateway_classes.get(&ObjectName::new("", name))? {
        Stored::Decoded(class) if class.spec.controller_name == CONTROLLER_NAME => Some(class),
        _ => None,
    }
}

fn node(
    cluster: &ClusterState,
    name: &ObjectName,
    gateway: &gateway_api::Gateway,
    class: &gateway_api::GatewayClass,
) -> GatewayNode {
    let mut problems = Vec::new();
    let of_class = class.spec.parameters_ref.as_ref().map(|reference| {
        let place = ObjectName::new(reference.namespace.clone().unwrap_or_default(), &reference.name);
        parameters(cluster, &place, &reference.kind, "spec.gatewayClassName")
    });
    let own =
        gateway.spec.infrastructure.as_ref().and_then(|infrastructure| infrastructure.parameters_ref.as_ref()).map(
            |reference| {
                let place = ObjectName::new(&name.namespace, &reference.name);
                parameters(cluster, &place, &reference.kind, "spec.infrastructure.parametersRef")
            },
        );
    let mut settled = |found: Option<Result<GatewayParameters, Problem>>| match found {
        Some(Err(problem)) => {
            problems.push(problem);
            None
        }
        Some(Ok(parameters)) => Some(parameters.spec),
        None => None,
    };
    let (of_class, own) = (settled(of_class).unwrap_or_default(), settled(own).unwrap_or_default());
    let unknown = !problems.is_empty();
    if own.unprotected_routes == Some(UnprotectedRoutes::Allow)
        && of_class.unprotected_routes != Some(UnprotectedRoutes::Allow)
    {
        let message = "unprotectedRoutes: Allow is ignored: only the class's GatewayParameters can say it";
        problems.push(Problem::new("spec.infrastructure.parametersRef", Reason::InvalidParameters, message));
    }
    let unprotected = match (of_class.unprotected_routes, own.unprotected_routes) {
        (Some(UnprotectedRoutes::Allow), None | Some(UnprotectedRoutes::Allow)) if !unknown => UnprotectedRoutes::Allow,
        _ => UnprotectedRoutes::Deny,
    };
    let message = v1::Gateway {
        trusted_proxies: trusted(&of_class, &own, &mut problems),
        bounds: own.bounds.or(of_class.bounds).map(|bounds| message_of(&bounds)),
        addresses_unknown: unknown,
        floor_filters: vec![],
    };
    let listeners = gateway.spec.listeners.iter().enumerate();
    let listeners = listeners.map(|(at, listener)| self::listener(cluster, name, at, listener)).collect();
    GatewayNode {
        created_ms: created_ms(gateway),
        generation: gateway.metadata.generation,
        unprotected,
        message,
        listeners,
        problems,
    }
}

/// Parameters that cannot be read may have been tighter than what holds without them.
const UNTIL_THEN: &str = "Until then no address filter lets anybody pass, and routes without a policy are refused";

fn parameters(
    cluster: &ClusterState,
    name: &ObjectName,
    kind: &str,
    field: &str,
) -> Result<GatewayParameters, Problem> {
    let invalid = |why: String| Err(Problem::new(field, Reason::InvalidParameters, why));
    match cluster.gateway_parameters.get(name) {
        _ if kind != "GatewayParameters" => {
            invalid(format!("parameters of kind {kind} are not known; name a GatewayParameters"))
        }
        Some(Stored::Decoded(parameters)) => Ok(GatewayParameters::clone(parameters)),
        Some(Stored::Undecodable(_)) => {
            invalid(format!("GatewayParameters {name} cannot be decoded; correct it. {UNTIL_THEN}"))
        }
        None => invalid(format!("GatewayParameters {name} does not exist; create it. {UNTIL_THEN}")),
    }
}

/// The class's proxies, or a part of them: a Gateway can believe fewer, not more.
fn trusted(
    of_class: &sallyport_api::GatewayParametersSpec,
    own: &sallyport_api::GatewayParametersSpec,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let all = of_class.trusted_proxies.as_ref().map(|proxies| proxies.cidrs.clone()).unwrap_or_default();
    let Some(own) = &own.trusted_proxies else { return all };
    let (kept, looser): (Vec<_>, Vec<_>) = own.cidrs.iter().cloned().partition(|cidr| all.contains(cidr));
    if !looser.is_empty() {
        let message =
            format!("trustedProxies {} are ignored: the class's GatewayParameters do not name them", looser.join(", "));
        problems.push(Problem::new("spec.infrastructure.parametersRef", Reason::InvalidParameters, message));
    }
    kept
}

fn message_of(bounds: &sallyport_api::Bounds) -> v1::Bounds {
    let time = |time: &Option<sallyport_api::duration::Duration>| {
        let length = time.as_ref().and_then(|time| time.parse().ok());
        length.and_then(|length| u32::try_from(length.as_millis()).ok()).unwrap_or_default()
    };
    v1::Bounds {
        max_connections: bounds.max_connections.unwrap_or_default(),
        max_header_bytes: bounds.max_header_bytes.unwrap_or_default(),
        max_headers: bounds.max_headers.unwrap_or_default(),
        header_timeout_ms: time(&bounds.header_timeout),
        idle_timeout_ms: time(&bounds.idle_timeout),
        max_concurrent_streams: bounds.max_concurrent_streams.unwrap_or_default(),
        drain_timeout_ms: time(&bounds.drain_timeout),
        body_timeout_ms: time(&bounds.body_timeout),
        tunnel_idle_timeout_ms: time(&bounds.tunnel_idle_timeout),
        max_requests_in_flight: bounds.max_requests_in_flight.unwrap_or_default().into(),
    }
}

fn listener(
    cluster: &ClusterState,
    gateway: &ObjectName,
    at: usize,
    listener: &gateway_api::gateways::GatewayListeners,
) -> ListenerNode {
    let field = format!("spec.listeners[{at}]");
    let mut problems = Vec::new();
    let tls = match listener.protocol.as_str() {
        "HTTP" => None,
        "HTTPS" => Some(certificates(cluster, gateway, listener, &field, &mut problems)),
        other => {
            let message = format!("protocol {other} is not supported; use HTTP or HTTPS");
            problems.push(Problem::new(format!("{field}.protocol"), Reason::UnsupportedProtocol, message));
            None
        }
    };
    let unsupported = problems.iter().any(|problem| problem.reason == Reason::UnsupportedProtocol);
    let (kinds, namespaces) = allowed(listener, &field, &mut problems);
    let kinds = if unsupported { vec![] } else { kinds };
    ListenerNode {
        name: listener.name.clone(),
        port: u32::try_from(listener.port).unwrap_or_default(),
        hostname: listener.hostname.clone().unwrap_or_default().to_ascii_lowercase(),
        tls,
        kinds,
        namespaces,
        conflicted: unsupported,
        problems,
    }
}

fn certificates(
    cluster: &ClusterState,
    gateway: &ObjectName,
    listener: &gateway_api::gateways::GatewayListeners,
    field: &str,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, v1::Certificate> {
    let tls = listener.tls.as_ref().map(|tls| serde_json::to_value(tls).unwrap_or_default()).unwrap_or_default();
    if tls["mode"] == "Passthrough" {
        problems.push(Problem::new(
            format!("{field}.tls.mode"),
            Reason::UnsupportedValue,
            "mode Passthrough is not supported for HTTPS; use Terminate",
        ));
    }
    let references = tls["certificateRefs"].as_array().cloned().unwrap_or_default();
    if references.is_empty() {
        problems.push(Problem::new(
            format!("{field}.tls.certificateRefs"),
            Reason::InvalidCertificateRef,
            "an HTTPS listener needs a certificate; name a Secret of type kubernetes.io/tls",
        ));
    }
    let mut found = BTreeMap::new();
    for (at, reference) in references.iter().enumerate() {
        let field = format!("{field}.tls.certificateRefs[{at}]");
        let text = |name: &str| reference[name].as_str().unwrap_or_default();
        let namespace = reference["namespace"].as_str().unwrap_or(&gateway.namespace);
        let name = ObjectName::new(namespace, text("name"));
        if !matches!((text("group"), text("kind")), ("", "Secret" | "")) {
            problems.push(Problem::new(
                field,
                Reason::InvalidCertificateRef,
                format!("kind {} holds no certificate; name a Secret", text("kind")),
            ));
            continue;
        }
        let from = End { group: gateway_api::GROUP, kind: "Gateway", namespace: &gateway.namespace };
        if !permits(cluster, from, End { group: "", kind: "Secret", namespace }, &name.name) {
            let message =
                format!("Secret {name} is of another namespace, where no ReferenceGrant allows this; add one there");
            problems.push(Problem::new(field, Reason::RefNotPermitted, message));
            continue;
        }
        match certificate::certificate(cluster, &name, &field) {
            Ok(certificate) => drop(found.insert(name.to_string(), certificate)),
            Err(problem) => {
                let kept = certificate::unusable(&problem, cluster, &name).map(|kept| (name.to_string(), kept));
                found.extend(kept);
                problems.push(Problem { reason: Reason::InvalidCertificateRef, ..problem });
            }
        }
    }
    found
}

fn allowed(
    listener: &gateway_api::gateways::GatewayListeners,
    field: &str,
    problems: &mut Vec<Problem>,
) -> (Vec<&'static str>, Namespaces) {
    let allowed = listener
        .allowed_routes
        .as_ref()
        .map(|allowed| serde_json::to_value(allowed).unwrap_or_default())
        .unwrap_or_default();
    let named = allowed["kinds"].as_array().cloned().unwrap_or_default();
    let mut kinds = Vec::new();
    for (at, kind) in named.iter().enumerate() {
        let own_group = kind["group"].as_str().is_none_or(|group| group == gateway_api::GROUP);
        match ROUTE_KINDS.iter().find(|one| own_group && kind["kind"] == **one) {
            Some(one) => kinds.push(*one),
            None => {
                let message = format!(
                    "routes of kind {} are not supported; use HTTPRoute or GRPCRoute",
                    kind["kind"].as_str().unwrap_or_default()
                );
                problems.push(Problem::new(
                    format!("{field}.allowedRoutes.kinds[{at}]"),
                    Reason::InvalidRouteKinds,
                    message,
                ));
            }
        }
    }
    if named.is_empty() {
        kinds = ROUTE_KINDS.to_vec();
    }
    let namespaces = match allowed["namespaces"]["from"].as_str() {
        Some("All") => Namespaces::All,
        Some("Selector") => Namespaces::Selected(allowed["namespaces"]["selector"].clone()),
        _ => Namespaces::Same,
    };
    (kinds, namespaces)
}

impl ListenerNode {
    /// Whether routes of `namespace` may attach.
    pub fn takes(&self, cluster: &ClusterState, gateway: &ObjectName, namespace: &str) -> bool {
        match &self.namespaces {
            Namespaces::Same => gateway.namespace == namespace,
            Namespaces::All => true,
            Namespaces::Selected(selector) => selects(cluster, selector, namespace),
        }
    }
}

/// Whether a label selector takes a namespace. A namespace that is not there has no labels.
pub fn selects(cluster: &ClusterState, selector: &Value, namespace: &str) -> bool {
    let mut labels = match cluster.namespaces.get(&ObjectName::new("", namespace)) {
        Some(Stored::Decoded(namespace)) => namespace.metadata.labels.clone().unwrap_or_default(),
        _ => BTreeMap::new(),
    };
    labels.entry("kubernetes.io/metadata.name".into()).or_insert_with(|| namespace.to_owned());
    let exact = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    exact.into_iter().all(|(name, value)| labels.get(name).map(String::as_str) == value.as_str())
        && expressions.into_iter().all(|expression| holds(expression, &labels))
}

fn holds(expression: &Value, labels: &BTreeMap<String, String>) -> bool {
    let label = expression["key"].as_str().and_then(|key| labels.get(key));
    let listed = || {
        expression["values"].as_array().into_iter().flatten().any(|value| value.as_str() == label.map(String::as_str))
    };
    match expression["operator"].as_str() {
        Some("In") => label.is_some() && listed(),
        Some("NotIn") => label.is_none() || !listed(),
        Some("Exists") => label.is_some(),
        Some("DoesNotExist") => label.is_none(),
        _ => false,
    }
}
