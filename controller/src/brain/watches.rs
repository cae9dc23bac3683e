//! The watches that run, and those that objects ask for by naming a Secret or a ConfigMap.

use std::collections::{BTreeMap, BTreeSet};

use kube::Client;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cluster::{ObjectKind, ObjectName};
use crate::metrics::Metrics;
use crate::watch::{self, Change, Source, World};

/// Watches by what they are about. Those that are taken out end.
pub(super) struct Watches {
    client: Client,
    metrics: Metrics,
    changes: mpsc::Sender<Change>,
    named: BTreeMap<Source, Watch>,
    standing: Vec<Watch>,
}

struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watches {
    pub(super) fn start(
        client: Client,
        metrics: Metrics,
        changes: mpsc::Sender<Change>,
        standing: Vec<Source>,
    ) -> Self {
        let mut watches = Self { client, metrics, changes, named: BTreeMap::new(), standing: vec![] };
        watches.standing = standing.into_iter().map(|source| watches.spawn(source)).collect();
        watches
    }

    /// Follows all that is `asked` for by name and no watch tells of yet, and lets go of what nobody asks for any more. Whether
    /// anything is new.
    pub(super) fn follow(&mut self, asked: &BTreeSet<(ObjectKind, ObjectName)>, world: &mut World) -> bool {
        let wanted = asked.iter().filter(|(kind, name)| !world.is_labelled(*kind, name));
        let wanted: BTreeSet<_> = wanted.map(|(kind, name)| Source::Named(*kind, name.clone())).collect();
        let gone: Vec<_> = self.named.keys().filter(|source| !wanted.contains(source)).cloned().collect();
        for source in gone {
            self.named.remove(&source);
            world.drop_source(&source);
        }
        let mut is_new = false;
        for source in wanted {
            if !self.named.contains_key(&source) {
                world.await_also(source.clone());
                let watch = self.spawn(source.clone());
                self.named.insert(source, watch);
                is_new = true;
            }
        }
        is_new
    }

    fn spawn(&self, source: Source) -> Watch {
        Watch(tokio::spawn(watch::run(self.client.clone(), source, self.metrics.clone(), self.changes.clone())))
    }
}
