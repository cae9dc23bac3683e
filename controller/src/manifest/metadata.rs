//! What an API server says of an object's metadata (Kubernetes API, ObjectMeta), whatever the object's kind is.

use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::identity::{is_dns_label, is_dns_name};
use super::schema::{MAX_PROBLEMS, sentence};
use crate::cluster::{FieldProblem, ObjectKind, ObjectName, Scope};
use crate::problem::{MAX_SHOWN, cut};

/// The longest name of an object.
const MAX_NAME: usize = 253;
/// The longest value of a label, and the longest key behind its prefix.
const MAX_LABEL: usize = 63;
/// All annotations of an object together.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;
const OF_LABELS: &str = "use at most 63 letters, digits, -, _ and ., with a letter or a digit at both ends";

static FORMS: LazyLock<Option<Validator>> = LazyLock::new(|| {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let time = json!({ "type": "string", "format": "date-time" });
    let texts = json!({ "type": "object", "additionalProperties": text });
    let owner = json!({
        "type": "object",
        "required": ["apiVersion", "kind", "name", "uid"],
        "properties": {
            "apiVersion": text, "kind": text, "name": text, "uid": text,
            "controller": { "type": "boolean" }, "blockOwnerDeletion": { "type": "boolean" },
        },
    });
    let metadata = json!({ "type": "object", "properties": {
        "annotations": texts, "labels": texts,
        "creationTimestamp": time, "deletionTimestamp": time,
        "deletionGracePeriodSeconds": number, "generation": number,
        "finalizers": { "type": "array", "items": text },
        "managedFields": { "type": "array", "items": { "type": "object" } },
        "ownerReferences": { "type": "array", "items": owner },
        "generateName": text, "resourceVersion": text, "selfLink": text, "uid": text,
    } });
    let whole = json!({ "properties": { "metadata": metadata } });
    jsonschema::options().with_draft(Draft::Draft4).build(&whole).ok()
});

/// What an API server would refuse of the metadata of an object, whose name has been told.
pub(super) fn problems(kind: ObjectKind, name: &ObjectName, value: &Value) -> Vec<FieldProblem> {
    let mut problems = bad_names(kind, name);
    let forms = FORMS.iter().flat_map(|forms| forms.iter_errors(value)).take(MAX_PROBLEMS);
    problems.extend(forms.map(|error| sentence::problem(&error)));
    problems.extend(bad_labels(value));
    problems.extend(bad_annotations(value));
    problems.truncate(MAX_PROBLEMS);
    problems
}

fn bad_names(kind: ObjectKind, name: &ObjectName) -> Vec<FieldProblem> {
    let is_label = matches!(kind, ObjectKind::Namespace | ObjectKind::Service);
    let is_name = if is_label { is_dns_label(&name.name) } else { is_dns_name(&name.name, MAX_NAME) };
    let of_label = format!("use lower-case letters, digits and -, at most {MAX_LABEL}");
    let of_name = format!("use lower-case letters, digits, - and ., at most {MAX_NAME}");
    let mut problems = Vec::new();
    if !is_name {
        problems.push(no_name("metadata.name", &name.name, if is_label { &of_label } else { &of_name }));
    }
    if kind.scope() == Scope::Namespaced && !is_dns_label(&name.namespace) {
        problems.push(no_name("metadata.namespace", &name.namespace, &of_label));
    }
    problems
}

fn no_name(field: &str, name: &str, cure: &str) -> FieldProblem {
    FieldProblem { field: field.to_owned(), message: format!("{:?} is no name; {cure}", cut(name, MAX_SHOWN)) }
}

fn bad_labels(value: &Value) -> impl Iterator<Item = FieldProblem> {
    let labels = value["metadata"]["labels"].as_object().into_iter().flatten();
    labels.filter_map(|(key, value)| {
        let value = value.as_str().unwrap_or_default();
        let message = match () {
            () if !is_key(key) => not_a_key(),
            () if !(value.is_empty() || is_label(value)) => {
                format!("{:?} is no value of a label; {OF_LABELS}, or none at all", cut(value, MAX_SHOWN))
            }
            () => return None,
        };
        Some(FieldProblem { field: format!("metadata.labels.{key}"), message })
    })
}

fn bad_annotations(value: &Value) -> Vec<FieldProblem> {
    let annotations = || value["metadata"]["annotations"].as_object().into_iter().flatten();
    // Upper-case letters in the prefix are taken here, and nowhere else.
    let bad = annotations().filter(|(key, _)| !is_key(&key.to_ascii_lowercase()));
    let field = |key: &str| format!("metadata.annotations.{key}");
    let mut problems: Vec<_> = bad.map(|(key, _)| FieldProblem { field: field(key), message: not_a_key() }).collect();
    let bytes: usize = annotations().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if bytes > MAX_ANNOTATION_BYTES {
        let message = format!("they hold more than {MAX_ANNOTATION_BYTES} bytes; shorten them");
        problems.push(FieldProblem { field: "metadata.annotations".to_owned(), message });
    }
    problems
}

fn not_a_key() -> String {
    format!("this is no key; {OF_LABELS}, behind a DNS name and / if there is a prefix")
}

/// A name, behind a DNS name and a slash where there is a prefix.
fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_dns_name(prefix, MAX_NAME) && is_label(name),
        None => is_label(key),
    }
}

fn is_label(text: &str) -> bool {
    let is_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.len() <= MAX_LABEL
        && text.bytes().all(is_inner)
        && is_edge(text.bytes().next())
        && is_edge(text.bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: ObjectKind, metadata: Value) -> Vec<String> {
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        let name = ObjectName::new(text("namespace"), text("name"));
        let problems = problems(kind, &name, &json!({ "metadata": metadata }));
        problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
    }

    fn of_secret(mut more: Value) -> Vec<String> {
        for (field, value) in [("name", "a"), ("namespace", "shop")] {
            more.as_object_mut().unwrap().entry(field).or_insert(value.into());
        }
        said(ObjectKind::Secret, more)
    }

    #[test]
    fn what_an_api_server_takes() {
        for metadata in [
            json!({}),
            json!({ "name": "a.b-c.0" }),
            json!({ "labels": { "a": "", "a.b/c": "v1.0_X-y", "app.kubernetes.io/name": "x" } }),
            json!({ "annotations": { "Example.com/a": "any\ntext", "b": "" } }),
            json!({ "annotations": { "a": "x".repeat(200_000) } }),
            json!({ "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 7, "finalizers": ["a/b"], "uid": "x" }),
            json!({ "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b", "controller": true }] }),
        ] {
            assert_eq!(of_secret(metadata.clone()), Vec::<String>::new(), "{metadata}");
        }
        assert_eq!(said(ObjectKind::GatewayClass, json!({ "name": "a.b" })), Vec::<String>::new());
    }

    #[test]
    fn what_an_api_server_refuses() {
        let long = "x".repeat(64);
        for (metadata, expected) in [
            (
                json!({ "name": "A" }),
                "metadata.name: \"A\" is no name; use lower-case letters, digits, - and ., at most 253",
            ),
            (json!({ "name": "-a" }), "metadata.name: \"-a\" is no name"),
            (json!({ "name": "a..b" }), "metadata.name: \"a..b\" is no name"),
            (
                json!({ "namespace": "a.b" }),
                "metadata.namespace: \"a.b\" is no name; use lower-case letters, digits and -, at most 63",
            ),
            (json!({ "namespace": long }), "is no name"),
            (
                json!({ "labels": { "version": 1.0 } }),
                "metadata.labels.version: 1.0 is a number, where a text is wanted; put it in quotes",
            ),
            (
                json!({ "labels": { "a": true } }),
                "metadata.labels.a: true is true or false, where a text is wanted; put it in quotes",
            ),
            (json!({ "labels": ["a"] }), "metadata.labels: [\"a\"] is a list, where an object is wanted"),
            (json!({ "labels": { "a": "a b" } }), "metadata.labels.a: \"a b\" is no value of a label"),
            (json!({ "labels": { "a": "a-" } }), "metadata.labels.a: \"a-\" is no value of a label"),
            (json!({ "labels": { "a": long } }), "is no value of a label"),
            (json!({ "labels": { "a b": "" } }), "metadata.labels.a b: this is no key"),
            (json!({ "labels": { "": "" } }), "metadata.labels.: this is no key"),
            (json!({ "labels": { "/a": "" } }), "metadata.labels./a: this is no key"),
            (json!({ "labels": { "a/b/c": "" } }), "metadata.labels.a/b/c: this is no key"),
            (json!({ "labels": { "A.b/c": "" } }), "metadata.labels.A.b/c: this is no key"),
            (
                json!({ "annotations": { "a": 7 } }),
                "metadata.annotations.a: 7 is a number, where a text is wanted; put it in quotes",
            ),
            (json!({ "annotations": { "a b": "" } }), "metadata.annotations.a b: this is no key"),
            (
                json!({ "annotations": { "a": "x".repeat(1 << 18) } }),
                "metadata.annotations: they hold more than 262144 bytes",
            ),
            (
                json!({ "creationTimestamp": "2026-01-01" }),
                "metadata.creationTimestamp: \"2026-01-01\" is no date-time",
            ),
            (
                json!({ "generation": "7" }),
                "metadata.generation: \"7\" is a text, where a whole number is wanted; remove the quotes",
            ),
            (json!({ "finalizers": "a" }), "metadata.finalizers: \"a\" is a text, where a list is wanted"),
            (
                json!({ "ownerReferences": [{ "kind": "Pod" }] }),
                "metadata.ownerReferences[0].apiVersion: it is missing; add it",
            ),
            (json!({ "uid": 7 }), "metadata.uid: 7 is a number, where a text is wanted; put it in quotes"),
        ] {
            let said = of_secret(metadata.clone());
            assert!(said.len() == 1 || metadata["ownerReferences"].is_array(), "{said:?}");
            assert!(said.iter().any(|line| line.contains(expected)), "{expected}: {said:?}");
        }
        for kind in [ObjectKind::Namespace, ObjectKind::Service] {
            let said = said(kind, json!({ "name": "a.b", "namespace": "shop" }));
            assert_eq!(said, ["metadata.name: \"a.b\" is no name; use lower-case letters, digits and -, at most 63"]);
        }
    }
}
