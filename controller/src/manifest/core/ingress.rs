//! Ingresses and IngressClasses, as an API server judges them (Kubernetes API, networking.k8s.io/v1).

use serde_json::Value;

use super::problem;
use crate::cluster::FieldProblem;
use crate::graph::ingress::CLASS_ANNOTATION;
use crate::manifest::identity::{is_dns_label, is_dns_name};
use crate::manifest::schema::sentence::shown;

/// How paths are compared.
const PATH_TYPES: [&str; 3] = ["Exact", "Prefix", "ImplementationSpecific"];
/// What no path to be compared has: services read it in several ways.
const AMBIGUOUS: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
/// The longest name of a controller (Kubernetes API).
const MAX_CONTROLLER: usize = 250;

pub(super) fn ingress(value: &mut Value) -> Vec<FieldProblem> {
    let spec = &value["spec"];
    if !spec.is_object() {
        return vec![problem("spec", "it is missing, or no object; state rules or defaultBackend")];
    }
    let mut problems: Vec<_> = ["rules", "tls"].into_iter().filter_map(|field| not_a_list(spec, field)).collect();
    if !problems.is_empty() {
        return problems;
    }
    if list(&spec["rules"]).is_empty() && spec["defaultBackend"].is_null() {
        problems.push(problem("spec", "it states neither rules nor defaultBackend; state one of them"));
    }
    if !spec["ingressClassName"].is_null() && !value["metadata"]["annotations"][CLASS_ANNOTATION].is_null() {
        let message = format!("the annotation {CLASS_ANNOTATION} names a class as well; remove the annotation");
        problems.push(problem("spec.ingressClassName", message));
    }
    if !spec["defaultBackend"].is_null() {
        problems.extend(bad_backend(&spec["defaultBackend"], "spec.defaultBackend"));
    }
    for (at, rule) in list(&spec["rules"]).iter().enumerate() {
        problems.extend(bad_rule(rule, &format!("spec.rules[{at}]")));
    }
    for (at, tls) in list(&spec["tls"]).iter().enumerate() {
        let hosts = list(&tls["hosts"]).iter().enumerate();
        problems.extend(hosts.filter_map(|(host, name)| bad_host(name, &format!("spec.tls[{at}].hosts[{host}]"))));
        problems.extend(bad_name(&tls["secretName"], &format!("spec.tls[{at}].secretName")));
    }
    problems
}

pub(super) fn ingress_class(value: &mut Value) -> Vec<FieldProblem> {
    let controller = value["spec"]["controller"].as_str().unwrap_or_default();
    let is_path = controller.split_once('/').is_some_and(|(domain, path)| is_dns_name(domain, 253) && !path.is_empty());
    let mut problems = Vec::new();
    if !is_path || controller.len() > MAX_CONTROLLER {
        let message =
            "it is missing, or no domain with a path; write sallyport.dev/ingress-controller if this one is meant";
        problems.push(problem("spec.controller", message));
    }
    let Some(parameters) = value.pointer_mut("/spec/parameters").filter(|parameters| !parameters.is_null()) else {
        return problems;
    };
    if !parameters.is_object() {
        problems.push(problem("spec.parameters", "it is no object; state apiGroup, kind, name, scope and namespace"));
        return problems;
    }
    if parameters["scope"].is_null() {
        parameters["scope"] = "Cluster".into();
    }
    for field in ["kind", "name"] {
        let is_missing = parameters[field].as_str().is_none_or(str::is_empty);
        problems.extend(
            is_missing.then(|| problem(format!("spec.parameters.{field}"), "it is missing, or no text; add it")),
        );
    }
    let (scope, namespace) = (parameters["scope"].as_str(), &parameters["namespace"]);
    let wrong = match (scope, namespace.is_null()) {
        (Some("Cluster"), true) | (Some("Namespace"), false) => None,
        (Some("Cluster"), false) => Some(("namespace", "scope Cluster has none; write scope: Namespace")),
        (Some("Namespace"), true) => Some(("namespace", "scope Namespace asks for it; add it")),
        _ => Some(("scope", "it is not known; use Cluster or Namespace")),
    };
    problems.extend(wrong.map(|(field, message)| problem(format!("spec.parameters.{field}"), message)));
    problems
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn not_a_list(spec: &Value, field: &str) -> Option<FieldProblem> {
    let is_list = spec[field].is_null() || spec[field].is_array();
    (!is_list).then(|| problem(format!("spec.{field}"), "it is no list; begin each entry with `- `"))
}

fn bad_rule(rule: &Value, field: &str) -> Vec<FieldProblem> {
    if !rule.is_object() {
        return vec![problem(field, "it is no object; state host and http")];
    }
    let mut problems: Vec<_> = bad_host(&rule["host"], &format!("{field}.host")).into_iter().collect();
    if rule["http"].is_null() {
        return problems;
    }
    let paths = list(&rule["http"]["paths"]);
    if paths.is_empty() {
        problems.push(problem(format!("{field}.http.paths"), "it is missing or empty; list at least one path"));
    }
    for (at, path) in paths.iter().enumerate() {
        let field = format!("{field}.http.paths[{at}]");
        problems.extend(bad_path(path, &field));
        problems.extend(bad_backend(&path["backend"], &format!("{field}.backend")));
    }
    problems
}

fn bad_path(path: &Value, field: &str) -> Vec<FieldProblem> {
    let kind = path["pathType"].as_str().unwrap_or_default();
    if !PATH_TYPES.contains(&kind) {
        let message = format!("it is missing or not known; use one of {}", PATH_TYPES.join(", "));
        return vec![problem(format!("{field}.pathType"), message)];
    }
    let text = match &path["path"] {
        Value::Null => "",
        Value::String(text) => text,
        _ => return vec![problem(format!("{field}.path"), "it is no text; put it in quotes")],
    };
    let is_free = kind == "ImplementationSpecific";
    let wrong = match () {
        () if is_free && text.is_empty() => None,
        () if !text.starts_with('/') => Some("it does not begin with a slash; write one in front".to_owned()),
        () if is_free => None,
        () if text.ends_with("/..") || text.ends_with("/.") => Some("it ends in a dot segment; remove it".to_owned()),
        () => {
            let found = AMBIGUOUS.into_iter().find(|part| text.contains(part));
            found.map(|part| format!("it contains {part}, which is no part of a path to be compared; remove it"))
        }
    };
    wrong.map(|message| problem(format!("{field}.path"), message)).into_iter().collect()
}

fn bad_host(host: &Value, field: &str) -> Option<FieldProblem> {
    let Some(text) = host.as_str() else {
        return (!host.is_null()).then(|| problem(field, "it is no text; put it in quotes"));
    };
    let is_name = text.is_empty() || is_dns_name(text.strip_prefix("*.").unwrap_or(text), 253);
    let message = match () {
        () if text.parse::<std::net::IpAddr>().is_ok() => "an address is no host; write a name",
        () if !is_name => {
            "this is no name of hosts; use lower-case letters, digits, - and dots, with `*.` in front for any first label"
        }
        () => return None,
    };
    Some(problem(field, message))
}

fn bad_backend(backend: &Value, field: &str) -> Vec<FieldProblem> {
    let (service, resource) = (&backend["service"], &backend["resource"]);
    match (service.is_null(), resource.is_null()) {
        (false, true) => bad_service(service, &format!("{field}.service")),
        (true, false) => {
            let missing = ["kind", "name"].into_iter().filter(|name| resource[name].as_str().is_none_or(str::is_empty));
            missing.map(|name| problem(format!("{field}.resource.{name}"), "it is missing; add it")).collect()
        }
        _ => vec![problem(field, "state exactly one of service and resource")],
    }
}

fn bad_service(service: &Value, field: &str) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    if service["name"].as_str().is_none_or(|name| !is_dns_label(name)) {
        problems.push(problem(format!("{field}.name"), "it is missing, or no name of a Service; correct it"));
    }
    let (number, name) = (&service["port"]["number"], &service["port"]["name"]);
    let is_port = |port: &Value| port.as_u64().is_some_and(|port| (1..=65_535).contains(&port));
    let wrong = match (number.is_null(), name.is_null()) {
        (false, true) if is_port(number) => None,
        (false, true) => Some(format!("{} is no port; use a number from 1 to 65535", shown(number))),
        (true, false) if name.as_str().is_some_and(|name| name.len() <= 15 && is_dns_label(name)) => None,
        (true, false) => Some(format!("{} is no name of a port; correct it", shown(name))),
        _ => Some("state exactly one of number and name".to_owned()),
    };
    problems.extend(wrong.map(|message| problem(format!("{field}.port"), message)));
    problems
}

fn bad_name(name: &Value, field: &str) -> Option<FieldProblem> {
    let is_name = name.is_null() || name.as_str().is_some_and(|name| name.is_empty() || is_dns_name(name, 253));
    (!is_name).then(|| problem(field, "this is no name of a Secret; correct it"))
}
