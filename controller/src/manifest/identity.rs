//! Which object a document is. Whatever cannot be told makes its file unreadable: under a name that is read wrongly, an object would
//! be another one, and the one that it was before would be gone.

mod owner;

use serde_json::Value;

use super::schema::{nearest, unknown_metadata};
use crate::cluster::{FieldProblem, ObjectKind, ObjectName, Scope};
use crate::problem::{MAX_SHOWN, cut};
use owner::Owner;

/// The longest name (RFC 1123, as Kubernetes has it).
const MAX_NAME_BYTES: usize = 253;

/// What a document is.
pub(super) enum Identity {
    Known {
        kind: ObjectKind,
        name: ObjectName,
    },
    /// A kind of somebody else.
    Foreign {
        label: String,
        message: String,
        /// What it would be under the API group of ours that has a kind of this name.
        namesake: Option<(ObjectKind, ObjectName)>,
    },
    /// It cannot be told.
    Unclear {
        label: String,
        problems: Vec<FieldProblem>,
    },
}

/// Which object it is, with the namespace `default` where none is stated.
pub(super) fn identify(value: &mut Value) -> Identity {
    if !value.is_object() {
        let message = "this is no object; every document has apiVersion, kind and metadata";
        return Identity::Unclear { label: String::new(), problems: vec![problem("", message)] };
    }
    let text = |field: &str| value[field].as_str().unwrap_or_default();
    let (version, kind_name) = (text("apiVersion"), text("kind"));
    let label = format!("{} {}", cut(version, MAX_SHOWN), cut(kind_name, MAX_SHOWN)).trim().to_owned();
    let missing = [("apiVersion", version), ("kind", kind_name)].into_iter().filter(|(_, text)| text.is_empty());
    let missing: Vec<_> =
        missing.map(|(field, _)| problem(field, "it is missing, or no text; every object states both")).collect();
    if !missing.is_empty() {
        return Identity::Unclear { label, problems: missing };
    }
    let Some(kind) = ObjectKind::find(version, kind_name) else {
        let message = not_read(&label, kind_name);
        return match Owner::of(version, kind_name) {
            Owner::Ours { field } => Identity::Unclear { label, problems: vec![problem(field, &message)] },
            Owner::SomebodyElse { namesake } => {
                let namesake = namesake.map(|kind| (kind, name(kind, value)));
                Identity::Foreign { label, message, namesake }
            }
        };
    };
    let unclear = unclear_metadata(value);
    if !unclear.is_empty() {
        return Identity::Unclear { label: kind.as_str().to_owned(), problems: unclear };
    }
    let name = name(kind, value);
    Identity::Known { kind, name }
}

/// Why a kind is not read, and what is meant if it is one of ours.
fn not_read(label: &str, kind_name: &str) -> String {
    let list = if kind_name.ends_with("List") { "List" } else { "" };
    match owner::kind_called(kind_name).map(|kind| (kind.api_version(), kind.as_str())) {
        Some((version, kind)) => {
            format!(
                "{label} is not read here; write {version} {kind}{list} if that is meant, or keep it out of these files"
            )
        }
        None if kind_name.eq_ignore_ascii_case("List") => format!("{label} is not read here; write v1 List"),
        None => {
            let named = |kind: &ObjectKind| format!("{} {}", kind.api_version(), kind.as_str());
            let known: Vec<_> = ObjectKind::ALL.iter().map(named).collect();
            let near = nearest(kind_name, ObjectKind::ALL.iter().map(|kind| kind.as_str()));
            let near = near.and_then(|near| ObjectKind::ALL.iter().find(|kind| kind.as_str() == near));
            let meant = near.map(|kind| format!("write {} if that is meant; ", named(kind))).unwrap_or_default();
            format!("{label} is not read here; {meant}known are {}", known.join(", "))
        }
    }
}

/// What makes a name one that cannot be told.
fn unclear_metadata(value: &Value) -> Vec<FieldProblem> {
    let metadata = &value["metadata"];
    if !metadata.is_object() {
        return vec![problem("metadata", "it is missing; every object has a metadata.name")];
    }
    let mut problems = Vec::new();
    unknown_metadata(value, &mut problems);
    let (name, namespace) = (&metadata["name"], &metadata["namespace"]);
    if name.as_str().is_none_or(str::is_empty) {
        problems.push(if name.is_null() && metadata["generateName"].is_string() {
            let message = "names are not made up here, as they would be another at each reload; state metadata.name";
            problem("metadata.generateName", message)
        } else {
            problem("metadata.name", "it is missing, or no text; state a name, in quotes if it is a number")
        });
    }
    if !(namespace.is_null() || namespace.is_string()) {
        problems.push(problem("metadata.namespace", "it is no text; state a name, in quotes if it is a number"));
    }
    let long = [("metadata.name", name), ("metadata.namespace", namespace)].into_iter();
    let long = long.filter(|(_, part)| part.as_str().is_some_and(|part| part.len() > MAX_NAME_BYTES));
    problems.extend(
        long.map(|(field, _)| problem(field, &format!("it is longer than {MAX_NAME_BYTES} bytes; no name is"))),
    );
    problems
}

fn name(kind: ObjectKind, value: &mut Value) -> ObjectName {
    // An empty namespace is one that is not stated, as kubectl has it.
    let unstated = value["metadata"]["namespace"].as_str().is_none_or(str::is_empty);
    if let (Scope::Namespaced, true, Some(metadata)) = (kind.scope(), unstated, value["metadata"].as_object_mut()) {
        metadata.insert("namespace".to_owned(), "default".into());
    }
    let text = |field: &str| value["metadata"][field].as_str().unwrap_or_default();
    match kind.scope() {
        Scope::Namespaced => ObjectName::new(text("namespace"), text("name")),
        Scope::Cluster => ObjectName::new("", text("name")),
    }
}

/// RFC 1123, as Kubernetes names are.
pub(crate) fn is_dns_name(name: &str, max: usize) -> bool {
    name.len() <= max && name.split('.').all(is_label)
}

/// One label of such a name, as names of namespaces are.
pub(super) fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && is_label(name)
}

fn is_label(label: &str) -> bool {
    let is_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    label.bytes().all(is_inner) && is_edge(label.bytes().next()) && is_edge(label.bytes().last())
}

fn problem(field: &str, message: &str) -> FieldProblem {
    FieldProblem { field: field.to_owned(), message: message.to_owned() }
}
