//! Files in, configuration out: controller and data plane joined in one process, by the path that a cluster uses as well.

mod findings;

use std::collections::{BTreeMap, BTreeSet};

use sallyport_controller::cluster::{ClusterState, Object, ObjectKind, ObjectName};
use sallyport_controller::compile::{Compiled, compile};
use sallyport_controller::graph::{Environment, Graph};
use sallyport_controller::manifest::{self, Diagnostic, LoadedObject, SourceFile};
use sallyport_controller::publish::Replica;
use sallyport_controller::status::{self, ObjectStatus, View};
use sallyport_dataplane::clock::Clock;
use sallyport_dataplane::process::DataPlane;
use sallyport_snapshot::v1;

use findings::findings;

/// Everything that the files say, as far as it is good; and what it has led to.
#[derive(Default)]
pub struct State {
    by_file: BTreeMap<String, Vec<Held>>,
    diagnosers: BTreeMap<(ObjectKind, ObjectName), LoadedObject>,
    replica: Replica,
    /// What was enforced last.
    in_force: Option<(Graph, Compiled)>,
}

/// An object as it is in force.
struct Held {
    kind: ObjectKind,
    name: ObjectName,
    object: Object,
}

impl State {
    /// Takes the files in. A file that is no YAML keeps what it held; an object that is not valid keeps the one before it, and if
    /// there was none closes what it guards. All of that is said.
    pub fn load(&mut self, files: &[SourceFile]) -> Vec<Diagnostic> {
        let loaded = manifest::load(files);
        let mut diagnostics = loaded.diagnostics;
        let mut before: BTreeMap<_, _> = std::mem::take(&mut self.by_file);
        let good = |held: &Held| held.object.problems().is_empty();
        let known: BTreeMap<_, _> = before
            .values()
            .flatten()
            .filter(|held| good(held))
            .map(|held| ((held.kind, held.name.clone()), held.object.clone()))
            .collect();
        for file in &loaded.unreadable {
            let kept = before.remove(file).unwrap_or_default();
            diagnostics.extend(kept_file(file, kept.len()));
            self.by_file.insert(file.clone(), kept);
        }
        let kept: BTreeSet<_> = self.by_file.values().flatten().map(|held| (held.kind, held.name.clone())).collect();
        self.diagnosers.retain(|key, _| kept.contains(key));
        for loaded in loaded.objects {
            let key = (loaded.kind, loaded.name.clone());
            let mut object = loaded.object.clone();
            if let Some(last_good) = known.get(&key).filter(|_| !object.problems().is_empty()) {
                diagnostics.push(loaded.diagnostic("", "it is not valid; the last valid form stays in force"));
                object = last_good.clone();
            }
            self.by_file.entry(loaded.file().to_owned()).or_default().push(Held {
                kind: loaded.kind,
                name: loaded.name.clone(),
                object,
            });
            self.diagnosers.insert(key, loaded);
        }
        diagnostics
    }

    /// Problems that only show when objects are seen together.
    pub fn judge(&self) -> Vec<Diagnostic> {
        let cluster = self.cluster();
        let graph = Graph::build(&cluster, Environment::Standalone);
        findings(&self.diagnosers, &graph, &compile(&graph, &cluster))
    }

    /// Brings a data plane to what the files say, and says what is wrong and where each object stands.
    pub fn enforce(&mut self, data_plane: &DataPlane) -> (Vec<Diagnostic>, Vec<ObjectStatus>) {
        let cluster = self.cluster();
        let graph = Graph::build(&cluster, Environment::Standalone);
        let compiled: Compiled = compile(&graph, &cluster);
        if let Some(update) = self.replica.update(&compiled.snapshot) {
            let ack = data_plane.apply(&update);
            self.replica.acknowledge(&ack);
        }
        let diagnostics = findings(&self.diagnosers, &graph, &compiled);
        self.diagnosers.values_mut().for_each(LoadedObject::forget_places);
        self.in_force = Some((graph, compiled));
        (diagnostics, self.statuses())
    }

    /// Takes in what the data plane tells by itself: the next statuses know it.
    pub fn hear(&mut self, report: v1::Report) {
        self.replica.hear(report);
    }

    /// Where each object stands; nothing before the first time that something was enforced.
    pub fn statuses(&self) -> Vec<ObjectStatus> {
        let Some((graph, compiled)) = &self.in_force else { return Vec::new() };
        let now_s = Clock::default().now().seconds();
        status::plan(View { graph, compiled, replicas: &[&self.replica], now_s })
    }

    fn cluster(&self) -> ClusterState {
        let mut cluster = ClusterState::default();
        for held in self.by_file.values().flatten() {
            cluster.apply(held.name.clone(), held.object.clone());
        }
        cluster
    }
}

fn kept_file(file: &str, objects: usize) -> Option<Diagnostic> {
    let message = format!("the file cannot be read as YAML; the {objects} objects that it held stay in force");
    let severity = manifest::Severity::Error;
    (objects > 0).then(|| Diagnostic {
        file: file.to_owned(),
        line: 0,
        column: 0,
        object: String::new(),
        field: String::new(),
        severity,
        reason: None,
        message,
    })
}
