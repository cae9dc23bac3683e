//! Secrets and ConfigMaps.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::problem;
use crate::cluster::FieldProblem;

/// An API server takes stray bits at the end, as Go's decoder does.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
/// The longest key (Kubernetes API).
const MAX_KEY: usize = 253;
/// The largest content of a Secret or a ConfigMap (Kubernetes API).
const MAX_BYTES: usize = 1024 * 1024;

pub(super) fn secret(value: &mut Value) -> Vec<FieldProblem> {
    let mut problems = not_objects(value, &["data", "stringData"]);
    if !problems.is_empty() {
        return problems;
    }
    problems.extend(bad_keys(value, &["data", "stringData"]));
    problems.extend(canonical(value, "data", "put plain text under stringData instead"));
    problems.extend(not_texts(value, "stringData"));
    merge_string_data(value);
    problems.extend(too_large(value));
    if problems.is_empty() {
        problems.extend(missing_keys(value));
    }
    problems
}

pub(super) fn config_map(value: &mut Value) -> Vec<FieldProblem> {
    let mut problems = not_objects(value, &["data", "binaryData"]);
    if !problems.is_empty() {
        return problems;
    }
    problems.extend(bad_keys(value, &["data", "binaryData"]));
    problems.extend(canonical(value, "binaryData", "put plain text under data instead"));
    problems.extend(not_texts(value, "data"));
    let twice = members(value, "binaryData").filter(|(name, _)| !value["data"][name.as_str()].is_null());
    problems
        .extend(twice.map(|(name, _)| {
            problem(format!("binaryData.{name}"), "data has this key as well; remove one of the two")
        }));
    problems.extend(too_large(value));
    problems
}

fn members<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value[field].as_object().into_iter().flatten()
}

fn not_objects(value: &Value, fields: &[&str]) -> Vec<FieldProblem> {
    let wrong = fields.iter().filter(|field| !(value[**field].is_null() || value[**field].is_object()));
    wrong.map(|field| problem(*field, "it is no object; write one line `key: value` for each entry")).collect()
}

fn bad_keys(value: &Value, fields: &[&str]) -> Vec<FieldProblem> {
    let is_key = |key: &str| {
        let letters = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        letters && !key.is_empty() && key.len() <= MAX_KEY && key != "." && !key.starts_with("..")
    };
    let bad = |field: &&str| {
        let bad = members(value, field).filter(|(key, _)| !is_key(key));
        let message = format!("this is no key; use letters, digits, -, _ and ., at most {MAX_KEY}");
        bad.map(|(key, _)| problem(format!("{field}.{key}"), message.clone())).collect::<Vec<_>>()
    };
    fields.iter().flat_map(bad).collect()
}

fn not_texts(value: &Value, field: &str) -> Vec<FieldProblem> {
    let wrong = members(value, field).filter(|(_, text)| !text.is_string());
    wrong.map(|(name, _)| problem(format!("{field}.{name}"), "this is no text; put it in quotes")).collect()
}

/// Writes base64 as everybody reads it: without line breaks, which an API server passes over.
fn canonical(value: &mut Value, field: &str, cure: &str) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    for (name, encoded) in value.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten() {
        let text = encoded.as_str().map(|text| text.replace(['\r', '\n'], ""));
        match text.and_then(|text| LENIENT.decode(text).ok()) {
            Some(bytes) => *encoded = BASE64_STANDARD.encode(bytes).into(),
            None => problems.push(problem(format!("{field}.{name}"), format!("this is not base64; {cure}"))),
        }
    }
    problems
}

/// `stringData` is written into `data`, as an API server does on write.
fn merge_string_data(value: &mut Value) {
    let Some(Value::Object(plain)) = value.as_object_mut().and_then(|object| object.remove("stringData")) else {
        return;
    };
    let encoded = plain.into_iter().filter_map(|(name, text)| Some((name, BASE64_STANDARD.encode(text.as_str()?))));
    let encoded: Map<_, _> = encoded.map(|(name, text)| (name, text.into())).collect();
    match &mut value["data"] {
        Value::Object(data) => data.extend(encoded),
        absent => *absent = encoded.into(),
    }
}

fn too_large(value: &Value) -> Option<FieldProblem> {
    let plain = members(value, "data").chain(members(value, "binaryData"));
    let bytes: usize = plain.map(|(_, text)| text.as_str().map_or(0, str::len)).sum();
    // Base64 takes four bytes for three.
    let bytes = if value["kind"] == "Secret" { bytes / 4 * 3 } else { bytes };
    (bytes > MAX_BYTES).then(|| problem("data", format!("it holds more than {MAX_BYTES} bytes; split it")))
}

/// Keys that the type of a Secret asks for.
fn missing_keys(value: &Value) -> Vec<FieldProblem> {
    let wanted: &[&str] = match value["type"].as_str() {
        Some("kubernetes.io/tls") => &["tls.crt", "tls.key"],
        Some("kubernetes.io/ssh-auth") => &["ssh-privatekey"],
        Some("kubernetes.io/dockerconfigjson") => &[".dockerconfigjson"],
        _ => &[],
    };
    let missing = wanted.iter().filter(|name| value["data"][**name].is_null());
    missing.map(|name| problem(format!("data.{name}"), "the type of this Secret asks for it; add it")).collect()
}
