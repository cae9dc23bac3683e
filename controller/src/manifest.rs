//! Objects from files, in the forms that `kubectl apply` takes, judged as an API server would: structure, defaults, CEL rules.
//!
//! YAML is read by version 1.2; where kubectl reads `yes` and `on` as true, they are texts here, and a field that wants true or
//! false refuses them. What does not pass becomes an undecodable object, which closes what it guards; nothing is dropped.

mod core;
pub mod files;
mod located;
mod schema;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::cluster::{FieldProblem, Object, ObjectKind, ObjectName, Scope};
use located::{Document, Place};

/// A file as it was read.
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

/// Something to be said about a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Diagnostic {
    pub file: String,
    /// From 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// E.g. "ApiPolicy shop/orders"; empty where no object could be told.
    pub object: String,
    /// E.g. `spec.authentication[0].jwt`.
    pub field: String,
    pub severity: Severity,
    /// The stable code of a condition that says the same, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What is wrong, and the cure.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    /// Nothing is wrong; something is not used.
    Note,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        for part in [&self.object, &self.field] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        f.write_str(&self.message)
    }
}

/// An object with the place it came from.
pub struct LoadedObject {
    pub kind: ObjectKind,
    pub name: ObjectName,
    pub object: Object,
    source: Source,
}

struct Source {
    file: String,
    places: BTreeMap<String, Place>,
    start: Place,
}

/// Everything that files hold.
#[derive(Default)]
pub struct Loaded {
    pub objects: Vec<LoadedObject>,
    pub diagnostics: Vec<Diagnostic>,
    /// Files that are no YAML at all: whoever reloads keeps what they held before.
    pub unreadable: Vec<String>,
}

impl LoadedObject {
    /// The file it came from.
    pub fn file(&self) -> &str {
        &self.source.file
    }

    /// Gives back the memory that holds where each field stood; what is said from now on is said of the object as a whole.
    pub fn forget_places(&mut self) {
        self.source.places = BTreeMap::new();
    }

    /// A diagnostic at `field` of this object, or at the nearest field around it.
    pub fn diagnostic(&self, field: &str, message: impl Into<String>) -> Diagnostic {
        self.source.diagnostic(&format!("{} {}", self.kind.as_str(), self.name), field, message)
    }
}

impl Source {
    fn diagnostic(&self, object: &str, field: &str, message: impl Into<String>) -> Diagnostic {
        let mut path = field;
        let place = loop {
            match (self.places.get(path), path.rfind(['.', '['])) {
                (Some(place), _) => break *place,
                (None, Some(end)) => path = path.get(..end).unwrap_or_default(),
                (None, None) => break self.start,
            }
        };
        Diagnostic {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            object: object.to_owned(),
            field: field.to_owned(),
            severity: Severity::Error,
            reason: None,
            message: message.into(),
        }
    }
}

/// Gives back the memory that judging took.
pub fn forget_schemas() {
    schema::forget();
}

/// Reads all objects of `files`. Of two objects with one name the first stands.
pub fn load(files: &[SourceFile]) -> Loaded {
    let mut loaded = Loaded::default();
    let mut seen = BTreeMap::<(ObjectKind, ObjectName), String>::new();
    for file in files {
        match located::documents(&file.text) {
            Ok(documents) => {
                for document in documents.into_iter().flat_map(located::items) {
                    loaded.take(&file.path, document, &mut seen);
                }
            }
            Err((place, message)) => {
                loaded.unreadable.push(file.path.clone());
                let source = Source { file: file.path.clone(), places: BTreeMap::new(), start: place };
                loaded.diagnostics.push(source.diagnostic("", "", message));
            }
        }
    }
    loaded
}

impl Loaded {
    fn take(&mut self, file: &str, document: Document, seen: &mut BTreeMap<(ObjectKind, ObjectName), String>) {
        let Document { mut value, places, start } = document;
        if value.is_null() {
            return;
        }
        let source = Source { file: file.to_owned(), places, start };
        let (version, kind_name) =
            (value["apiVersion"].as_str().unwrap_or_default(), value["kind"].as_str().unwrap_or_default());
        let Some(kind) = ObjectKind::find(version, kind_name) else {
            self.diagnostics.push(unknown(&source, version, kind_name));
            return;
        };
        let (name, mut problems) = name_of(kind, &mut value);
        problems.extend(match schema::of(kind) {
            Some(schema) => schema.complete(&mut value),
            None => core::complete(kind, &mut value),
        });
        let label = format!("{} {name}", kind.as_str());
        self.diagnostics
            .extend(problems.iter().map(|problem| source.diagnostic(&label, &problem.field, &problem.message)));
        if let Some(first) = seen.get(&(kind, name.clone())) {
            let message =
                format!("{first} has an object of that kind and name already; it stands. Remove one of the two");
            self.diagnostics.push(source.diagnostic(&label, "metadata.name", message));
            return;
        }
        let told = problems.len();
        let object = Object::decode(kind, value, problems);
        let untold = object.problems().iter().skip(told);
        self.diagnostics.extend(untold.map(|problem| source.diagnostic(&label, &problem.field, &problem.message)));
        seen.insert((kind, name.clone()), file.to_owned());
        self.objects.push(LoadedObject { kind, name, object, source });
    }
}

/// A kind that is not read: a note where an API server would take it, an error where it belongs to an API of ours.
fn unknown(source: &Source, version: &str, kind: &str) -> Diagnostic {
    let known: Vec<_> = ObjectKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let known = known.join(", ");
    let ours = ["sallyport.dev/", "gateway.networking.k8s.io/"].iter().any(|group| version.starts_with(group));
    let nameless = version.is_empty() || kind.is_empty();
    let message = if nameless {
        "apiVersion and kind are missing; every object states both".to_owned()
    } else {
        format!("{version} {kind} is not read here; known are {known}")
    };
    let severity = if nameless || ours { Severity::Error } else { Severity::Note };
    let field = if version.is_empty() { "apiVersion" } else { "kind" };
    Diagnostic { severity, ..source.diagnostic(&format!("{version} {kind}"), field, message) }
}

/// The object's name, with the namespace `default` where none is stated; what is wrong with either.
fn name_of(kind: ObjectKind, value: &mut Value) -> (ObjectName, Vec<FieldProblem>) {
    let mut problems = Vec::new();
    if kind.scope() == Scope::Namespaced && value["metadata"]["namespace"].is_null() && value["metadata"].is_object() {
        value["metadata"]["namespace"] = "default".into();
    }
    let text = |field: &str| value["metadata"][field].as_str().unwrap_or_default().to_owned();
    let name = match kind.scope() {
        Scope::Namespaced => ObjectName::new(text("namespace"), text("name")),
        Scope::Cluster => ObjectName::new("", text("name")),
    };
    let parts = [("metadata.name", &name.name, 253), ("metadata.namespace", &name.namespace, 63)];
    for (field, part, max) in parts.into_iter().filter(|(field, part, _)| *field == "metadata.name" || !part.is_empty())
    {
        if !is_dns_name(part, max) {
            let message = format!("{part:?} is no name; use lower-case letters, digits, - and ., at most {max}");
            problems.push(FieldProblem { field: field.to_owned(), message });
        }
    }
    (name, problems)
}

/// RFC 1123, as Kubernetes names are.
fn is_dns_name(name: &str, max: usize) -> bool {
    let is_label = |label: &str| {
        let edge =
            |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit());
        let inner = label.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
        inner && edge(label.chars().next()) && edge(label.chars().last())
    };
    name.len() <= max && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
