//! Objects from files, in the forms that `kubectl apply` takes, judged as an API server would: structure, defaults, CEL rules.
//!
//! YAML is read by version 1.2; where kubectl reads `yes` and `on` as true, they are texts here, and a field that wants true or
//! false refuses them. What does not pass becomes an undecodable object, which closes what it guards. Where not even the object's
//! kind and name can be told, the whole file counts as unreadable, so that whoever reloads keeps what it held.

mod closing;
mod core;
pub mod files;
mod identity;
mod located;
mod metadata;
mod schema;
mod transition;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::cluster::{FieldProblem, Object, ObjectKind, ObjectName, Stored, Undecodable};
pub(crate) use identity::is_dns_name;
use identity::{Identity, identify};
use located::{Document, Place, Places, Refusal};

/// Kinds of Kubernetes itself that more is said of when objects are seen together.
const SPOKEN_OF: [ObjectKind; 2] = [ObjectKind::Ingress, ObjectKind::IngressClass];
/// Of one file, no more than this is told.
const MAX_DIAGNOSTICS: usize = 1000;

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
    pub line: u32,
    /// From 1; 0 where the file as a whole is meant.
    pub column: u32,
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

impl Severity {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Note => "note",
        }
    }
}

impl Diagnostic {
    /// About a file as a whole.
    pub fn of_file(file: impl Into<String>, severity: Severity, message: impl Into<String>) -> Self {
        let (object, field) = (String::new(), String::new());
        Self { file: file.into(), line: 0, column: 0, object, field, severity, reason: None, message: message.into() }
    }

    /// Where it is: the file, with line and column where there are any.
    pub fn place(&self) -> String {
        if self.line == 0 { self.file.clone() } else { format!("{}:{}:{}", self.file, self.line, self.column) }
    }

    /// Which object, which field, and what.
    pub fn text(&self) -> String {
        let parts = [&self.object, &self.field, &self.message];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
        parts.join(": ")
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place(), self.severity.as_str(), self.text())
    }
}

/// An object with the place it came from.
pub struct LoadedObject {
    pub kind: ObjectKind,
    pub name: ObjectName,
    pub object: Object,
    source: Source,
    /// Whether it closes what another form speaks of, and stands in no file.
    is_derived: bool,
}

/// Where in a file an object stands.
#[derive(Clone)]
struct Source {
    file: Arc<str>,
    places: Places,
    start: Place,
}

/// Everything that files hold.
#[derive(Default)]
pub struct Loaded {
    pub objects: Vec<LoadedObject>,
    pub diagnostics: Vec<Diagnostic>,
    /// Files of which not all objects can be told: nothing of them is in `objects`, and whoever reloads keeps what they held before.
    pub unreadable: Vec<String>,
    /// Files without a document, as one is while it is written: whoever reloads keeps what they held before.
    pub empty: Vec<String>,
}

impl LoadedObject {
    /// The file it came from.
    pub fn file(&self) -> &str {
        &self.source.file
    }

    /// E.g. "ApiPolicy shop/orders".
    pub fn label(&self) -> String {
        format!("{} {}", self.kind.as_str(), self.name)
    }

    /// Gives back the memory that holds where each field stood; what is said from now on is said of the object as a whole.
    pub fn forget_places(&mut self) {
        self.source.places = Places::default();
    }

    /// A diagnostic at `field` of this object, or at the nearest field around it.
    pub fn diagnostic(&self, field: &str, message: impl Into<String>) -> Diagnostic {
        self.source.diagnostic(&self.label(), field, message)
    }

    /// What of this object's reach `stands` does not have, as an object that closes it: where another form stands in its place,
    /// what only this form speaks of must not be left to looser objects. `suffix` makes its name one that no manifest can state.
    pub fn closing_beside(&self, stands: &Object, suffix: &str) -> Option<Self> {
        Some(self.derived(closing::beyond(stands, &self.object)?, suffix))
    }

    fn derived(&self, object: Object, suffix: &str) -> Self {
        let name = ObjectName::new(&self.name.namespace, format!("{} ({suffix})", self.name.name));
        Self { kind: self.kind, name, object, source: self.source.clone(), is_derived: true }
    }

    /// Whether it stands in no file, but closes what an object of a file speaks of ([`Self::closing_beside`]).
    pub fn is_derived(&self) -> bool {
        self.is_derived
    }

    /// The object as one of which nobody can tell what it says, because of `why`: it lets in nothing more than if it were not there, and
    /// what it would guard stays guarded. `None` of a kind that is not kept in this way.
    pub fn untold(&self, why: &str) -> Option<Self> {
        let Object::ReferenceGrant(grant) = &self.object else { return None };
        let raw = match grant {
            Stored::Decoded(grant) => serde_json::to_value(&**grant).unwrap_or_default(),
            Stored::Undecodable(grant) => grant.raw.clone(),
        };
        let problem = FieldProblem { field: "metadata.name".to_owned(), message: why.to_owned() };
        let untold =
            Undecodable { created_ms: None, generation: None, labels: BTreeMap::new(), raw, problems: vec![problem] };
        let object = Object::ReferenceGrant(Stored::Undecodable(Arc::new(untold)));
        Some(Self { kind: self.kind, name: self.name.clone(), object, source: self.source.clone(), is_derived: false })
    }

    /// What an API server would refuse of this form because of the one before it.
    pub fn refused_after(&self, before: &Object) -> Vec<Diagnostic> {
        let problems = transition::refused(before, &self.object);
        problems.iter().map(|problem| self.diagnostic(&problem.field, &problem.message)).collect()
    }

    /// Whether both say the same.
    pub fn says_as(&self, other: &Object) -> bool {
        closing::same(&self.object, other)
    }
}

impl Source {
    fn diagnostic(&self, object: &str, field: &str, message: impl Into<String>) -> Diagnostic {
        let place = self.places.nearest(field).unwrap_or(self.start);
        Diagnostic {
            file: self.file.to_string(),
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

/// Whether a file held an object of that kind and name when it was read before.
type Held<'a> = &'a dyn Fn(&str, ObjectKind, &ObjectName) -> bool;

/// Reads all objects of `files`. Of two objects with one name the first stands; what only the second matches is closed, and of two
/// policies what either targets.
/// Files that are handed over by value are dropped one by one.
pub fn load<F: Borrow<SourceFile>>(files: impl IntoIterator<Item = F>) -> Loaded {
    load_over(files, &|_, _, _| false)
}

/// As [`load`], in place of what files `held` before: what was ours a moment ago does not become somebody else's by another API group.
pub fn load_over<F: Borrow<SourceFile>>(files: impl IntoIterator<Item = F>, held: Held<'_>) -> Loaded {
    let mut loaded = Loaded::default();
    let mut first = BTreeMap::new();
    for file in files {
        let file = file.borrow();
        let mut reading = Reading::of(&file.path, held);
        match reading.all(&file.text) {
            Ok(()) => {}
            Err(refusal) => reading.refuse(&refusal),
        }
        loaded.take(reading, &mut first);
    }
    loaded
}

/// One file while it is read.
struct Reading<'a> {
    file: Arc<str>,
    held: Held<'a>,
    objects: Vec<LoadedObject>,
    diagnostics: Vec<Diagnostic>,
    is_empty: bool,
    is_unreadable: bool,
}

impl<'a> Reading<'a> {
    fn of(path: &str, held: Held<'a>) -> Self {
        Self { file: path.into(), held, objects: vec![], diagnostics: vec![], is_empty: true, is_unreadable: false }
    }

    fn all(&mut self, text: &str) -> Result<(), Refusal> {
        for document in located::documents(text) {
            let document = document?;
            // Between two `---`, there may be nothing.
            if document.value.is_null() {
                continue;
            }
            self.is_empty = false;
            located::items(document)?.into_iter().for_each(|item| self.object(item));
        }
        Ok(())
    }

    fn refuse(&mut self, refusal: &Refusal) {
        self.is_unreadable = true;
        let source = Source { file: Arc::clone(&self.file), places: Places::default(), start: refusal.place };
        self.diagnostics.push(source.diagnostic("", "", &refusal.message));
    }

    fn object(&mut self, document: Document) {
        let Document { mut value, places, start } = document;
        let source = Source { file: Arc::clone(&self.file), places, start };
        let (kind, name) = match identify(&mut value) {
            Identity::Known { kind, name } => (kind, name),
            Identity::Foreign { label, message, namesake } => {
                return self.foreign(&source, &label, message, namesake.as_ref());
            }
            Identity::Unclear { label, problems } => {
                self.is_unreadable = true;
                let said = problems.iter().map(|problem| source.diagnostic(&label, &problem.field, &problem.message));
                return self.diagnostics.extend(said);
            }
        };
        drop_status(&mut value);
        let mut problems = match schema::of(kind) {
            Some(schema) => schema.complete(&mut value),
            None => core::complete(kind, &mut value),
        };
        // It may have a default.
        drop_status(&mut value);
        problems.extend(metadata::problems(kind, &name, &value));
        let object = Object::decode(kind, value, problems);
        let label = format!("{} {name}", kind.as_str());
        let said = object.problems().iter().map(|problem| source.diagnostic(&label, &problem.field, &problem.message));
        self.diagnostics.extend(said);
        self.objects.push(LoadedObject { kind, name, object, source, is_derived: false });
    }

    fn foreign(&mut self, source: &Source, label: &str, message: String, namesake: Option<&(ObjectKind, ObjectName)>) {
        let was_ours = namesake.filter(|(kind, name)| (self.held)(&self.file, *kind, name));
        if let Some((kind, name)) = was_ours {
            self.is_unreadable = true;
            let message = format!(
                "this file held the {} {} {name} until now; correct apiVersion, or let the file be read without this document before it comes in",
                kind.api_version(),
                kind.as_str()
            );
            self.diagnostics.push(source.diagnostic(label, "apiVersion", message));
        } else {
            let note = source.diagnostic(label, "kind", message);
            self.diagnostics.push(Diagnostic { severity: Severity::Note, ..note });
        }
    }
}

/// An object as an API server hands it out. Of our kinds it may be older or newer than what we know: a field that is not known may ask for
/// more than would be enforced.
pub fn served(kind: ObjectKind, mut value: Value) -> Object {
    drop_status(&mut value);
    let ours = kind.api_version().starts_with(sallyport_api::GROUP);
    let schema = if ours { schema::of(kind) } else { None };
    let problems = schema.map(|schema| schema.complete(&mut value)).unwrap_or_default();
    Object::decode(kind, value, problems)
}

/// Whatever a file says of it, an object's status is written by whoever serves it.
fn drop_status(value: &mut Value) {
    value.as_object_mut().and_then(|object| object.remove("status"));
}

impl Loaded {
    fn take(&mut self, mut reading: Reading<'_>, first: &mut BTreeMap<(ObjectKind, ObjectName), usize>) {
        // What has kept the file from being read to its end was said last.
        let last = if reading.is_unreadable { reading.diagnostics.pop() } else { None };
        if let Some(more @ 1..) = reading.diagnostics.len().checked_sub(MAX_DIAGNOSTICS) {
            reading.diagnostics.truncate(MAX_DIAGNOSTICS);
            let message = format!("there are {more} more problems; correct these first");
            reading.diagnostics.push(Diagnostic::of_file(&*reading.file, Severity::Error, message));
        }
        self.diagnostics.extend(reading.diagnostics.drain(..).chain(last));
        if reading.is_unreadable {
            self.unreadable.push(reading.file.to_string());
            return;
        }
        if reading.is_empty {
            let note = Diagnostic::of_file(&*reading.file, Severity::Note, "the file holds no object");
            self.diagnostics.push(note);
            self.empty.push(reading.file.to_string());
        }
        for mut object in reading.objects {
            let key = (object.kind, object.name.clone());
            match first.get(&key).and_then(|at| self.objects.get(*at)) {
                Some(stands) => {
                    let (message, closing) = second(&object, stands, self.objects.len());
                    self.diagnostics.push(object.diagnostic("metadata.name", message));
                    self.objects.extend(closing);
                }
                None => {
                    first.insert(key, self.objects.len());
                    // Nothing is said of these later, when objects are seen together.
                    if schema::of(object.kind).is_none() && !SPOKEN_OF.contains(&object.kind) {
                        object.forget_places();
                    }
                    self.objects.push(object);
                }
            }
        }
    }
}

/// What is said of an object under a name that is taken, and what closes that which only it speaks of. `number` tells closing
/// objects apart.
fn second(object: &LoadedObject, stands: &LoadedObject, number: usize) -> (String, Option<LoadedObject>) {
    let place = format!("{}:{}", stands.file(), stands.source.start.line);
    if object.says_as(&stands.object) {
        let message =
            format!("{place} says the same of an object of that kind and name already; remove one of the two");
        return (message, None);
    }
    let closing = closing::of_both(&stands.object, &object.object);
    let closing = closing.map(|closing| object.derived(closing, &format!("second form, {number}")));
    let reach = match (object.kind, &closing) {
        (_, None) => "it stands",
        (ObjectKind::ApiPolicy, _) => "which one is meant cannot be told, and all that either targets is closed",
        _ => "it stands, and what only this one speaks of is closed",
    };
    let message = format!("{place} has an object of that kind and name already; {reach}. Remove one of the two");
    (message, closing)
}

#[cfg(test)]
mod tests;
