//! Services and EndpointSlices.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::problem;
use crate::cluster::FieldProblem;
use crate::manifest::schema::sentence::shown;
use crate::problem::{MAX_SHOWN, cut};

/// What ports of Services and EndpointSlices speak.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
/// The most addresses of an endpoint (Kubernetes API).
const MAX_ADDRESSES: usize = 100;

pub(super) fn service(value: &mut Value) -> Vec<FieldProblem> {
    let Some(ports) = value.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else {
        return not_a_list(&value["spec"], "ports", "spec.ports").into_iter().collect();
    };
    let is_only = ports.len() == 1;
    let (mut problems, mut names) = (Vec::new(), BTreeSet::new());
    for (at, port) in ports.iter_mut().enumerate() {
        let field = format!("spec.ports[{at}]");
        if !port.is_object() {
            problems.push(problem(field, "it is no object; write port, and name where there are several"));
            continue;
        }
        default(port, "protocol", "TCP".into());
        problems.extend(bad_port(&port["port"], &format!("{field}.port")));
        problems.extend(bad_protocol(port, &field));
        if port["targetPort"].is_null() {
            port["targetPort"] = port["port"].clone();
        }
        problems.extend(bad_target(&port["targetPort"], &format!("{field}.targetPort")));
        match port["name"].as_str() {
            None if !is_only => {
                problems.push(problem(format!("{field}.name"), "ports need names where there are several; add one"))
            }
            Some(name) if !names.insert(name.to_owned()) => {
                problems.push(problem(format!("{field}.name"), "an earlier port has the same name; write another"));
            }
            _ => {}
        }
    }
    problems
}

pub(super) fn endpoint_slice(value: &mut Value) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let address_type = cut(value["addressType"].as_str().unwrap_or_default(), MAX_SHOWN).into_owned();
    if !["IPv4", "IPv6", "FQDN"].contains(&&*address_type) {
        problems.push(problem("addressType", "it is missing or not known; use one of IPv4, IPv6, FQDN"));
    }
    for field in ["endpoints", "ports"] {
        problems.extend(not_a_list(value, field, field));
    }
    for (at, endpoint) in value["endpoints"].as_array().into_iter().flatten().enumerate() {
        problems.extend(bad_addresses(endpoint, &format!("endpoints[{at}].addresses"), &address_type));
    }
    for (at, port) in value.pointer_mut("/ports").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
        let field = format!("ports[{at}]");
        if !port.is_object() {
            problems.push(problem(field, "it is no object; write port, and name where there are several"));
            continue;
        }
        default(port, "protocol", "TCP".into());
        default(port, "name", "".into());
        // A port that is not stated stands for all ports.
        if !port["port"].is_null() {
            problems.extend(bad_port(&port["port"], &format!("{field}.port")));
        }
        problems.extend(bad_protocol(port, &field));
    }
    problems
}

fn not_a_list(value: &Value, field: &str, path: &str) -> Option<FieldProblem> {
    let list = &value[field];
    (!(list.is_null() || list.is_array())).then(|| problem(path, "it is no list; begin each entry with `- `"))
}

fn default(value: &mut Value, field: &str, default: Value) {
    if value[field].is_null() {
        value[field] = default;
    }
}

fn bad_port(port: &Value, field: &str) -> Option<FieldProblem> {
    let is_port = port.as_u64().is_some_and(|port| (1..=65_535).contains(&port));
    let message = match port {
        Value::Null => "it is missing; add it".to_owned(),
        other => format!("{} is no port; use a number from 1 to 65535", shown(other)),
    };
    (!is_port).then(|| problem(field, message))
}

/// A number, or the name of a port of the pods.
fn bad_target(target: &Value, field: &str) -> Option<FieldProblem> {
    let Some(name) = target.as_str() else {
        return if target.is_null() { None } else { bad_port(target, field) };
    };
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let is_name = letters && name.len() <= 15 && name.bytes().any(|byte| byte.is_ascii_lowercase());
    let message =
        "this is no name of a port; use at most 15 lower-case letters, digits and -, or a number without quotes";
    (!is_name).then(|| problem(field, message))
}

fn bad_protocol(port: &Value, field: &str) -> Option<FieldProblem> {
    let is_known = port["protocol"].as_str().is_some_and(|protocol| PROTOCOLS.contains(&protocol));
    let message = format!("{} is not known; use one of {}", shown(&port["protocol"]), PROTOCOLS.join(", "));
    (!is_known).then(|| problem(format!("{field}.protocol"), message))
}

fn bad_addresses(endpoint: &Value, field: &str, address_type: &str) -> Vec<FieldProblem> {
    let addresses = endpoint["addresses"].as_array().map_or(&[][..], Vec::as_slice);
    if addresses.is_empty() || addresses.len() > MAX_ADDRESSES {
        return vec![problem(field, format!("list 1 to {MAX_ADDRESSES} addresses"))];
    }
    let is_address = |address: &str| match address_type {
        "IPv4" => address.parse::<Ipv4Addr>().is_ok(),
        "IPv6" => address.parse::<Ipv6Addr>().is_ok(),
        _ => !address.is_empty(),
    };
    let bad = addresses.iter().enumerate().filter(|(_, address)| !address.as_str().is_some_and(is_address));
    bad.map(|(at, address)| {
        let message = format!("{} is no {address_type} address; correct it, or addressType", shown(address));
        problem(format!("{field}[{at}]"), message)
    })
    .collect()
}
