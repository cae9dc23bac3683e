//! Files in, configuration out: controller and data plane joined in one process, by the path that a cluster uses as well.

mod findings;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sallyport_controller::cluster::{ClusterState, ObjectKind, ObjectName};
use sallyport_controller::compile::{Compiled, compile};
use sallyport_controller::graph::{Environment, Graph};
use sallyport_controller::manifest::files::Found;
use sallyport_controller::manifest::{self, Diagnostic, Loaded, LoadedObject, Severity, SourceFile};
use sallyport_controller::publish::Replica;
use sallyport_controller::status::{self, ObjectStatus, Plane, View};
use sallyport_dataplane::clock::Clock;
use sallyport_dataplane::process::DataPlane;
use sallyport_snapshot::{Name, v1};

use findings::{Objects, findings};

/// Everything that the files say, as far as it is good; and what it has led to.
#[derive(Default)]
pub struct State {
    /// Objects as they are in force.
    by_file: BTreeMap<String, Vec<LoadedObject>>,
    /// Files and folders that could not be read the last time.
    unreadable: BTreeSet<String>,
    replica: Replica,
    /// What the data plane would not take of what was sent last, or still will not.
    rejected: Vec<v1::Rejected>,
    /// What was enforced last.
    in_force: Option<(Graph, Compiled)>,
}

/// A part of the configuration that the data plane would not take.
pub struct Rejection {
    /// The objects that it comes of.
    pub objects: String,
    pub resource: String,
    pub why: String,
}

/// Objects as they were in force before, by kind and name.
type Before<'a> = BTreeMap<(ObjectKind, &'a ObjectName), &'a LoadedObject>;

/// Without them requests are refused that were not before, and never the other way: whoever deletes one revokes something, and need not
/// wait until other files can be read.
const CLOSING_WHEN_ABSENT: [ObjectKind; 3] = [ObjectKind::Subscription, ObjectKind::Product, ObjectKind::Secret];

/// Why a file keeps what it held.
const UNREADABLE: &str = "the file cannot be read";
const EMPTY: &str = "the file is empty, as one is while it is written (to take its objects away, delete it, or say `kind: List` with `items: []`)";

impl State {
    /// Takes the files in. A file of which not every object can be told, and one that is suddenly empty, keeps what it held; an
    /// object that is not valid keeps the form before it, and if there was none closes what it guards. All of that is said.
    pub fn load<F: Borrow<SourceFile>>(&mut self, files: impl IntoIterator<Item = F>) -> Vec<Diagnostic> {
        let loaded = self.read(files);
        self.take(loaded, BTreeSet::new())
    }

    /// Takes in what was found; what cannot be read keeps what it held.
    pub fn load_found(&mut self, found: Found) -> Vec<Diagnostic> {
        let unreadable = found.unreadable.iter().map(|diagnostic| diagnostic.file.clone()).collect();
        let mut diagnostics = found.unreadable;
        let loaded = self.read(found.files);
        diagnostics.extend(self.take(loaded, unreadable));
        diagnostics
    }

    fn read<F: Borrow<SourceFile>>(&self, files: impl IntoIterator<Item = F>) -> Loaded {
        manifest::load_over(files, &|file, kind, name| {
            let mut held = self.by_file.get(file).into_iter().flatten();
            held.any(|object| object.kind == kind && object.name == *name)
        })
    }

    /// Files and folders of which it is not known what they hold.
    pub fn unreadable(&self) -> &BTreeSet<String> {
        &self.unreadable
    }

    fn take(&mut self, loaded: Loaded, mut unreadable: BTreeSet<String>) -> Vec<Diagnostic> {
        let mut diagnostics = loaded.diagnostics;
        unreadable.extend(loaded.unreadable);
        let mut before = std::mem::take(&mut self.by_file);
        let mut kept = Vec::new();
        for file in before.keys() {
            let is_lost = unreadable.iter().any(|path| Path::new(file).starts_with(path));
            if is_lost || loaded.empty.contains(file) {
                kept.push((file.clone(), if is_lost { UNREADABLE } else { EMPTY }));
            }
        }
        let objects = settle(loaded.objects, &before, &kept, &mut diagnostics);
        for (file, why) in kept {
            let held = before.remove(&file).unwrap_or_default();
            let message = format!("{why}; the {} objects that it held stay in force", held.len());
            diagnostics.push(Diagnostic::of_file(&file, Severity::Error, message));
            self.by_file.insert(file, held);
        }
        for object in objects {
            self.by_file.entry(object.file().to_owned()).or_default().push(object);
        }
        if let Some(lost) = unreadable.first() {
            diagnostics.extend(self.keep_missing(before, lost));
        }
        self.unreadable = unreadable;
        diagnostics
    }

    /// Keeps what is in no file any more: it may have moved to `lost`, or to another file that cannot be read.
    fn keep_missing(&mut self, before: BTreeMap<String, Vec<LoadedObject>>, lost: &str) -> Vec<Diagnostic> {
        let mut missing: BTreeMap<_, Vec<_>> = BTreeMap::new();
        {
            let here = self.objects();
            for object in before.into_values().flatten() {
                if !object.is_derived()
                    && !CLOSING_WHEN_ABSENT.contains(&object.kind)
                    && !here.contains_key(&(object.kind, &object.name))
                {
                    missing.entry(object.file().to_owned()).or_default().push(object);
                }
            }
        }
        let mut said = Vec::new();
        for (file, objects) in missing {
            for (objects, what_becomes) in untold_or_kept(objects) {
                let message = format!(
                    "{} is not in this file any more, and {what_becomes} as long as {lost} cannot be read: it may have moved there",
                    named(&objects)
                );
                said.push(Diagnostic::of_file(&file, Severity::Error, message));
                self.by_file.entry(file.clone()).or_default().extend(objects);
            }
        }
        said
    }

    /// Problems that only show when objects are seen together.
    pub fn judge(&self) -> Vec<Diagnostic> {
        let cluster = self.cluster();
        let graph = Graph::build(&cluster, Environment::Standalone);
        findings(&self.objects(), &graph, &compile(&graph, &cluster))
    }

    /// Brings a data plane to what the files say, and says what is wrong and where each object stands.
    pub fn enforce(&mut self, data_plane: &DataPlane) -> (Vec<Diagnostic>, Vec<ObjectStatus>) {
        let cluster = self.cluster();
        let graph = Graph::build(&cluster, Environment::Standalone);
        let compiled: Compiled = compile(&graph, &cluster);
        if let Some(update) = self.replica.update(&compiled.snapshot) {
            let ack = data_plane.apply(&update);
            self.replica.acknowledge(&ack);
            self.rejected = ack.rejected;
        }
        let diagnostics = findings(&self.objects(), &graph, &compiled);
        self.by_file.values_mut().flatten().for_each(LoadedObject::forget_places);
        self.in_force = Some((graph, compiled));
        (diagnostics, self.statuses())
    }

    /// What of the configuration in force the data plane rejects.
    pub fn rejections(&self) -> impl Iterator<Item = Rejection> {
        self.rejected.iter().map(|rejected| {
            let name = rejected.name.as_ref().and_then(Name::from_wire);
            let compiled = self.in_force.as_ref().map(|(_, compiled)| compiled);
            let objects = name.iter().zip(compiled).flat_map(|(name, compiled)| compiled.contributors(name));
            Rejection {
                objects: objects.collect::<Vec<_>>().join(", "),
                resource: name.as_ref().map_or_else(|| "without a name".to_owned(), Name::to_string),
                why: rejected.why.clone(),
            }
        })
    }

    /// Takes in what the data plane tells by itself: the next statuses know it.
    pub fn hear(&mut self, report: v1::Report) {
        self.replica.hear(report);
    }

    /// Where each object stands; nothing before the first time that something was enforced.
    pub fn statuses(&self) -> Vec<ObjectStatus> {
        let Some((graph, compiled)) = &self.in_force else { return Vec::new() };
        let now_s = Clock::default().now().seconds();
        let plane = Plane { gateway: None, snapshot: &compiled.snapshot, replicas: vec![self.replica.standing()] };
        status::plan(View { graph, compiled, planes: &[plane], addresses: None, unwritten: &BTreeMap::new(), now_s })
    }

    fn cluster(&self) -> ClusterState {
        let mut cluster = ClusterState::default();
        for held in self.by_file.values().flatten() {
            cluster.apply(held.name.clone(), held.object.clone());
        }
        cluster
    }

    fn objects(&self) -> Objects<'_> {
        self.by_file.values().flatten().map(|object| ((object.kind, &object.name), object)).collect()
    }
}

/// What is in no file any more, and what becomes of it. A grant that may have been revoked grants nothing more; which routes it let in
/// is not forgotten, for their policies guard what lies behind it.
fn untold_or_kept(objects: Vec<LoadedObject>) -> impl Iterator<Item = (Vec<LoadedObject>, &'static str)> {
    let (grants, kept): (Vec<_>, Vec<_>) =
        objects.into_iter().partition(|object| object.kind == ObjectKind::ReferenceGrant);
    let untold = grants.iter().filter_map(|grant| grant.untold("it is in no file that can be read")).collect();
    let both = [(kept, "stays in force"), (untold, "grants nothing")];
    both.into_iter().filter(|(objects, _): &(Vec<_>, _)| !objects.is_empty())
}

/// What it is that files do not hold any more, in short.
fn named(objects: &[LoadedObject]) -> String {
    let label = objects.first().map(LoadedObject::label).unwrap_or_default();
    match objects.len().saturating_sub(1) {
        0 => label,
        more => format!("{label} and {more} more"),
    }
}

/// What comes in force of each object: the form that was read, or the one before it.
fn settle(
    objects: Vec<LoadedObject>,
    before: &BTreeMap<String, Vec<LoadedObject>>,
    kept: &[(String, &str)],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<LoadedObject> {
    let is_good = |held: &&LoadedObject| held.object.problems().is_empty();
    let known: Before<'_> =
        before.values().flatten().filter(is_good).map(|held| ((held.kind, &held.name), held)).collect();
    let held: Before<'_> = kept
        .iter()
        .flat_map(|(file, _)| before.get(file).into_iter().flatten())
        .map(|held| ((held.kind, &held.name), held))
        .collect();
    let mut settled = Vec::with_capacity(objects.len());
    for mut object in objects {
        if let Some(stands) = held.get(&(object.kind, &object.name)) {
            let message = format!("the form that {} held before stays in force instead of this one", stands.file());
            diagnostics.push(object.diagnostic("metadata.name", message));
            settled.extend(object.closing_beside(&stands.object, "not in force"));
            continue;
        }
        let Some(last_good) = known.get(&(object.kind, &object.name)) else {
            settled.push(object);
            continue;
        };
        let refused = object.refused_after(&last_good.object);
        let is_refused = !refused.is_empty();
        diagnostics.extend(refused);
        if is_refused || !object.object.problems().is_empty() {
            let closing = object.closing_beside(&last_good.object, "not valid");
            let reach = if closing.is_some() { "; what only the new form speaks of is closed" } else { "" };
            let message = format!("it is not valid; the last valid form stays in force{reach}");
            diagnostics.push(object.diagnostic("", message));
            settled.extend(closing);
            object.object = last_good.object.clone();
        }
        settled.push(object);
    }
    settled
}

#[cfg(test)]
mod tests;
