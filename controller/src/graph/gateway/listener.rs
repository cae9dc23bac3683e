//! One listener: its protocol, certificates, and the routes that it takes.

use std::collections::BTreeMap;

use sallyport_api::NETWORKING_GROUP;
use sallyport_api::condition::Reason;
use sallyport_api::gateway_api::{self, gateways::GatewayListeners};
use sallyport_snapshot::v1;
use serde_json::Value;

use super::frontend::{Demand, Frontend};
use super::unsupported;
use super::{ListenerNode, Namespaces, Standing};
use crate::cluster::{ClusterState, ObjectKind, ObjectName};
use crate::graph::certificate;
use crate::graph::grant::{End, permits};
use crate::graph::reach;
use crate::graph::route::INGRESS;
use crate::graph::selector::complaint;
use crate::problem::Problem;

const ROUTE_KINDS: [&str; 2] = ["HTTPRoute", "GRPCRoute"];

pub(super) fn node(
    cluster: &ClusterState,
    gateway: &ObjectName,
    frontend: &Frontend,
    at: usize,
    listener: &GatewayListeners,
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
    let options = unsupported::of_listener(listener, &field);
    let validation = frontend.on(listener.port).filter(|_| tls.is_some());
    // What it asks for beyond a server's certificate is not done, or nobody can be let in: then it shows none, and refuses handshakes.
    let is_refused = options.is_some() || validation.is_some_and(|one| matches!(one.demand, Demand::Nobodys));
    let takes_server_names = tls.is_some() && !is_refused;
    let tls = tls.map(|certificates| if is_refused { BTreeMap::new() } else { certificates });
    problems.extend(options.into_iter().filter(|_| tls.is_some()));
    problems.extend(validation.into_iter().flat_map(|one| one.problems.iter().cloned()));
    let (kinds, namespaces) = allowed(listener, &field, &mut problems);
    ListenerNode {
        name: listener.name.clone(),
        port: u32::try_from(listener.port).unwrap_or_default(),
        hostname: listener.hostname.clone().unwrap_or_default().to_ascii_lowercase(),
        tls,
        takes_server_names,
        demand: validation.map(|one| one.demand.clone()),
        server_names: BTreeMap::new(),
        takes_ingresses: !unsupported && takes_ingresses(listener),
        kinds: if unsupported { vec![] } else { kinds },
        namespaces,
        standing: if unsupported { Standing::SetAside } else { Standing::Serves },
        problems,
    }
}

fn certificates(
    cluster: &ClusterState,
    gateway: &ObjectName,
    listener: &GatewayListeners,
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
        if let Err(problem) = reach::judge(cluster, ObjectKind::Secret, namespace, &field) {
            problems.push(problem);
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

fn allowed(listener: &GatewayListeners, field: &str, problems: &mut Vec<Problem>) -> (Vec<&'static str>, Namespaces) {
    let allowed = listener
        .allowed_routes
        .as_ref()
        .map(|allowed| serde_json::to_value(allowed).unwrap_or_default())
        .unwrap_or_default();
    let named = allowed["kinds"].as_array().cloned().unwrap_or_default();
    let mut kinds = Vec::new();
    for (at, kind) in named.iter().enumerate() {
        if is_ingress(kind["group"].as_str(), &kind["kind"]) {
            kinds.push(INGRESS);
            continue;
        }
        let own_group = kind["group"].as_str().is_none_or(|group| group == gateway_api::GROUP);
        match ROUTE_KINDS.iter().find(|one| own_group && kind["kind"] == **one) {
            Some(one) => kinds.push(*one),
            None => {
                let message = format!(
                    "routes of kind {} are not supported; use HTTPRoute or GRPCRoute, or Ingress of group networking.k8s.io",
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
    (kinds, namespaces(&allowed["namespaces"], field, problems))
}

/// Ingresses may attach wherever nothing is said about kinds, as routes of all kinds may.
fn takes_ingresses(listener: &GatewayListeners) -> bool {
    let kinds = listener.allowed_routes.as_ref().and_then(|allowed| allowed.kinds.as_ref());
    let mut stated = kinds.into_iter().flatten().peekable();
    stated.peek().is_none() || stated.any(|one| is_ingress(one.group.as_deref(), &one.kind.clone().into()))
}

fn is_ingress(group: Option<&str>, kind: &Value) -> bool {
    group == Some(NETWORKING_GROUP) && *kind == INGRESS
}

fn namespaces(allowed: &Value, field: &str, problems: &mut Vec<Problem>) -> Namespaces {
    match allowed["from"].as_str() {
        Some("All") => Namespaces::All,
        Some("Selector") => {
            let missing = "from: Selector needs a selector; state one. Until then no namespace is selected";
            let missing = (!allowed["selector"].is_object()).then(|| missing.to_owned());
            let field = format!("{field}.allowedRoutes.namespaces.selector");
            let wrong = missing.or_else(|| complaint(&allowed["selector"]));
            problems.extend(wrong.map(|why| Problem::new(field, Reason::Invalid, why)));
            Namespaces::Selected(allowed["selector"].clone())
        }
        _ => Namespaces::Same,
    }
}
