//! Structural schemas, as an API server enforces them on custom resources.

pub(super) mod sentence;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jsonschema::{Draft, Validator};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::cluster::{FieldProblem, ObjectKind};

/// Fields of an object's metadata (Kubernetes API, ObjectMeta).
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Of one object, no more than this is told: a list of a million wrong entries is one mistake.
pub(super) const MAX_PROBLEMS: usize = 100;

/// Prepared when a kind is first met: rules take a while to compile.
static SCHEMAS: Mutex<BTreeMap<ObjectKind, Option<Arc<Schema>>>> = Mutex::new(BTreeMap::new());

/// The schema of one kind, ready to judge.
pub(super) struct Schema {
    schema: Value,
    structure: Validator,
    rules: kube_cel::CompiledSchema,
}

/// The schema of `kind`; `None` for kinds of Kubernetes itself.
pub(super) fn of(kind: ObjectKind) -> Option<Arc<Schema>> {
    SCHEMAS.lock().entry(kind).or_insert_with(|| Schema::new(kind).map(Arc::new)).clone()
}

/// Forgets what has been prepared: megabytes that a process which only serves does not need. The next look prepares it again.
pub(super) fn forget() {
    SCHEMAS.lock().clear();
}

impl Schema {
    fn new(kind: ObjectKind) -> Option<Self> {
        let schema = sallyport_api::schema::open_api_schema(kind.as_str())?;
        let structure = jsonschema::options().with_draft(Draft::Draft4).build(&schema).ok()?;
        let rules = kube_cel::compile_schema(&schema);
        Some(Self { schema, structure, rules })
    }

    /// Fills defaults in, if `value` is in order; what an API server would refuse. What is refused stays as it was stated: where a
    /// field is misspelt, its default is what nobody has said.
    pub(super) fn complete(&self, value: &mut Value) -> Vec<FieldProblem> {
        drop_nulls(value);
        let completed = self.with_defaults(value);
        let problems = self.judge(&completed);
        if problems.is_empty() {
            *value = completed;
        }
        problems
    }

    /// `value` with what holds where it says nothing.
    pub(super) fn with_defaults(&self, value: &Value) -> Value {
        kube_cel::apply_defaults(&self.schema, value)
    }

    fn judge(&self, value: &Value) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        walk(&self.schema, value, "", &mut problems);
        let errors = self.structure.iter_errors(value).take(MAX_PROBLEMS + 1);
        problems.extend(errors.map(|error| sentence::problem(&error)));
        // Rules may take for granted what the structure says.
        if problems.is_empty() {
            problems.extend(self.broken_rules(value));
        }
        problems.sort();
        problems.dedup();
        bounded(problems)
    }

    fn broken_rules(&self, value: &Value) -> Vec<FieldProblem> {
        field_problems(kube_cel::validate_compiled(&self.rules, value, None))
    }

    /// What rules about changes say of `value` in place of `before`.
    pub(super) fn broken_transition(&self, before: &Value, value: &Value) -> Vec<FieldProblem> {
        field_problems(kube_cel::validate_compiled(&self.rules, value, Some(before)))
    }

    /// Rules that cannot be evaluated here, for the test that there are none.
    #[cfg(test)]
    pub(super) fn unusable_rules(&self) -> Vec<String> {
        self.rules.compilation_errors().iter().map(ToString::to_string).collect()
    }
}

/// What is not told may be wrong anywhere, and that is told.
fn bounded(mut problems: Vec<FieldProblem>) -> Vec<FieldProblem> {
    if problems.len() > MAX_PROBLEMS {
        problems.truncate(MAX_PROBLEMS);
        let message = "more is wrong than is told here; correct what is, and look again".to_owned();
        problems.push(FieldProblem { field: "spec".to_owned(), message });
    }
    problems
}

fn field_problems(judged: Result<(), kube_cel::ValidationErrors>) -> Vec<FieldProblem> {
    let errors = judged.err().map(kube_cel::ValidationErrors::into_vec).unwrap_or_default();
    errors.into_iter().map(|error| FieldProblem { field: error.field_path, message: error.message }).collect()
}

/// A member that is null is one that is not there.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Fields of `metadata` that do not exist.
pub(super) fn unknown_metadata(value: &Value, problems: &mut Vec<FieldProblem>) {
    let members = value["metadata"].as_object().into_iter().flatten();
    for (name, _) in members.filter(|(name, _)| !METADATA.contains(&name.as_str())) {
        problems.push(unknown(&format!("metadata.{name}")));
    }
}

pub(super) fn unknown(field: &str) -> FieldProblem {
    FieldProblem {
        field: field.to_owned(),
        message: "there is no such field; remove it or correct its name".to_owned(),
    }
}

/// The same, with the name that is meant, if one of those that are there is near.
fn unknown_among(field: &str, name: &str, schema: &Value) -> FieldProblem {
    let names = schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str);
    match nearest(name, names) {
        Some(near) => FieldProblem {
            field: field.to_owned(),
            message: format!("there is no such field; write {near} if that is meant, or remove it"),
        },
        None => unknown(field),
    }
}

/// Of `names`, the one that is meant by `name`, which is none of them: with few mistakes, for its length.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |known: &str| strsim::osa_distance(&name.to_lowercase(), &known.to_lowercase());
    let (distance, nearest) = names.map(|known| (distance(known), known)).min()?;
    (distance <= name.len().div_ceil(4).min(3)).then_some(nearest)
}

/// What JSON Schema does not say: fields that do not exist, and lists with two entries of one key.
fn walk(schema: &Value, value: &Value, path: &str, problems: &mut Vec<FieldProblem>) {
    match value {
        // One more than is told, so that it is told that there are more.
        _ if problems.len() > MAX_PROBLEMS => {}
        Value::Object(members) => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                if path == "metadata" || path == "apiVersion" || path == "kind" {
                    continue;
                }
                match (schema["properties"].get(name), &schema["additionalProperties"]) {
                    (Some(inner), _) => walk(inner, member, &path, problems),
                    (None, Value::Object(_)) => walk(&schema["additionalProperties"], member, &path, problems),
                    _ if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
                    _ if schema["properties"].is_object() => problems.push(unknown_among(&path, name, schema)),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            same_keys(schema, items, path, problems);
            for (at, item) in items.iter().enumerate() {
                walk(&schema["items"], item, &format!("{path}[{at}]"), problems);
            }
        }
        _ => {}
    }
}

fn same_keys(schema: &Value, items: &[Value], path: &str, problems: &mut Vec<FieldProblem>) {
    let Some(keys) = schema["x-kubernetes-list-map-keys"].as_array() else { return };
    let key = |item: &Value| -> Vec<String> {
        keys.iter().filter_map(Value::as_str).map(|key| item[key].to_string()).collect()
    };
    let mut seen = BTreeSet::new();
    for (at, item) in items.iter().enumerate() {
        if !seen.insert(key(item)) {
            let message = "an earlier entry has the same key; entries of this list have to differ in it".to_owned();
            problems.push(FieldProblem { field: format!("{path}[{at}]"), message });
        }
    }
}

/// `/spec/rules/0/name` as `spec.rules[0].name`.
fn field_path(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').filter(|part| !part.is_empty()) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            path += &format!("[{part}]");
        } else {
            let dot = if path.is_empty() { "" } else { "." };
            path += &format!("{dot}{}", part.replace("~1", "/").replace("~0", "~"));
        }
    }
    path
}
