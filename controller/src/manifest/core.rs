//! Kinds of Kubernetes itself: forms, defaults and unknown fields, without a schema at hand.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::schema::{drop_nulls, unknown, unknown_metadata};
use crate::cluster::{FieldProblem, ObjectKind};

/// Brings an object into its stored form; what an API server would refuse.
pub(super) fn complete(kind: ObjectKind, value: &mut Value) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    drop_nulls(value);
    unknown_metadata(value, &mut problems);
    if kind == ObjectKind::Secret {
        merge_string_data(value, &mut problems);
    }
    if problems.is_empty() {
        problems.extend(match kind {
            ObjectKind::Namespace => unknown_fields::<Namespace>(value),
            ObjectKind::Service => unknown_fields::<Service>(value),
            ObjectKind::EndpointSlice => unknown_fields::<EndpointSlice>(value),
            ObjectKind::Secret => unknown_fields::<Secret>(value),
            ObjectKind::ConfigMap => unknown_fields::<ConfigMap>(value),
            _ => vec![],
        });
    }
    problems
}

/// `stringData` is written into `data`, as an API server does on write.
fn merge_string_data(value: &mut Value, problems: &mut Vec<FieldProblem>) {
    for (name, encoded) in value["data"].as_object().into_iter().flatten() {
        if encoded.as_str().is_none_or(|text| BASE64_STANDARD.decode(text).is_err()) {
            let message = "this is not base64; put plain text under stringData instead".to_owned();
            problems.push(FieldProblem { field: format!("data.{name}"), message });
        }
    }
    let Some(plain) = value.as_object_mut().and_then(|object| object.remove("stringData")) else { return };
    for (name, text) in plain.as_object().into_iter().flatten() {
        match text.as_str() {
            Some(text) => value["data"][name] = BASE64_STANDARD.encode(text).into(),
            None => problems.push(FieldProblem {
                field: format!("stringData.{name}"),
                message: "this is no text; put it in quotes".to_owned(),
            }),
        }
    }
}

/// What decoding and encoding again loses was not known.
fn unknown_fields<K: DeserializeOwned + Serialize>(value: &Value) -> Vec<FieldProblem> {
    let Ok(decoded) = serde_json::from_value::<K>(value.clone()) else { return vec![] };
    let Ok(known) = serde_json::to_value(decoded) else { return vec![] };
    let mut problems = Vec::new();
    compare(value, &known, "", &mut problems);
    problems
}

fn compare(given: &Value, known: &Value, path: &str, problems: &mut Vec<FieldProblem>) {
    match (given, known) {
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
