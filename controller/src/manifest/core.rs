//! Kinds of Kubernetes itself: forms, defaults and unknown fields, without a schema at hand.

mod data;
mod ingress;
mod network;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::schema::{MAX_PROBLEMS, drop_nulls, unknown};
use crate::cluster::{FieldProblem, ObjectKind};

/// Brings an object into its stored form; what an API server would refuse.
pub(super) fn complete(kind: ObjectKind, value: &mut Value) -> Vec<FieldProblem> {
    drop_nulls(value);
    let mut problems = match kind {
        ObjectKind::Secret => data::secret(value),
        ObjectKind::ConfigMap => data::config_map(value),
        ObjectKind::Service => network::service(value),
        ObjectKind::EndpointSlice => network::endpoint_slice(value),
        ObjectKind::Ingress => ingress::ingress(value),
        ObjectKind::IngressClass => ingress::ingress_class(value),
        _ => vec![],
    };
    if problems.is_empty() {
        problems.extend(match kind {
            ObjectKind::Namespace => unknown_fields::<Namespace>(value),
            ObjectKind::Service => unknown_fields::<Service>(value),
            ObjectKind::EndpointSlice => unknown_fields::<EndpointSlice>(value),
            ObjectKind::Ingress => unknown_fields::<Ingress>(value),
            ObjectKind::IngressClass => unknown_fields::<IngressClass>(value),
            ObjectKind::Secret => unknown_fields::<Secret>(value),
            ObjectKind::ConfigMap => unknown_fields::<ConfigMap>(value),
            _ => vec![],
        });
    }
    problems.truncate(MAX_PROBLEMS);
    problems
}

fn problem(field: impl Into<String>, message: impl Into<String>) -> FieldProblem {
    FieldProblem { field: field.into(), message: message.into() }
}

/// What decoding and encoding again loses was not known.
fn unknown_fields<K: DeserializeOwned + Serialize>(value: &Value) -> Vec<FieldProblem> {
    let Ok(decoded) = K::deserialize(value) else { return vec![] };
    let Ok(known) = serde_json::to_value(decoded) else { return vec![] };
    let mut problems = Vec::new();
    compare(value, &known, "", &mut problems);
    problems
}

fn compare(given: &Value, known: &Value, path: &str, problems: &mut Vec<FieldProblem>) {
    match (given, known) {
        _ if problems.len() > MAX_PROBLEMS => {}
        (Value::Object(given), Value::Object(known)) => {
            for (name, member) in given {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match known.get(name) {
                    Some(known) => compare(member, known, &path, problems),
                    None if is_empty(member) => {}
                    None => problems.push(unknown(&path)),
                }
            }
        }
        (Value::Array(given), Value::Array(known)) => {
            for (at, (given, known)) in given.iter().zip(known).enumerate() {
                compare(given, known, &format!("{path}[{at}]"), problems);
            }
        }
        _ => {}
    }
}

/// Empty lists and objects are left out when they are encoded.
fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty)
}

#[cfg(test)]
mod tests;
