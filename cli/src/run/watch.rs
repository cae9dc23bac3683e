//! Hears of changes below the paths that were asked for, however they come about: files written in place or replaced, folders that go
//! and come, links that are made to lead elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use sallyport_controller::manifest::files::is_manifest;
use tokio::sync::mpsc;

/// The link that a mounted ConfigMap or Secret swaps to bring all its files up to date at once.
const DATA_LINK: &str = "..data";

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Somebody writes a file, and may not have finished.
    Writing(PathBuf),
    /// Whoever wrote a file has closed it, or the file is another one now.
    Written(PathBuf),
    /// Changes may have gone unheard.
    Missed,
    /// Anything else.
    Other,
}

/// The paths that were asked for, and how changes to them are told.
pub(super) struct Watch {
    roots: Vec<PathBuf>,
    changes: mpsc::UnboundedSender<Change>,
    /// Watches for as long as it is held.
    watcher: RecommendedWatcher,
}

impl Watch {
    pub(super) fn start(paths: &[PathBuf], changes: mpsc::UnboundedSender<Change>) -> anyhow::Result<Self> {
        let roots = paths.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>()?;
        let watcher = watcher(&roots, changes.clone())?;
        Ok(Self { roots, changes, watcher })
    }

    /// Watches anew what the paths lead to by now. Whoever reads files does this first, so that no change falls in between.
    pub(super) fn renew(&mut self) -> anyhow::Result<()> {
        self.watcher = watcher(&self.roots, self.changes.clone())?;
        Ok(())
    }
}

fn watcher(roots: &[PathBuf], changes: mpsc::UnboundedSender<Change>) -> anyhow::Result<RecommendedWatcher> {
    let places = places(roots);
    let interest = Interest::in_paths(roots);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // What went wrong with a watch may have cost changes.
        let heard = event.map_or_else(|_| vec![Change::Missed], |event| interest.changes(&event));
        for change in heard {
            let _ended = changes.send(change);
        }
    })?;
    for (place, mode) in places {
        watcher.watch(&place, mode).with_context(|| format!("{} cannot be watched", place.display()))?;
    }
    Ok(watcher)
}

/// The folders to watch: those that were asked for with all below them, and for each path the folders in which a name on the way to it
/// may begin to lead elsewhere.
fn places(roots: &[PathBuf]) -> BTreeMap<PathBuf, RecursiveMode> {
    let mut places = BTreeMap::new();
    for root in roots {
        for name in turns(root) {
            let folder = name.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
            places.entry(folder.to_owned()).or_insert(RecursiveMode::NonRecursive);
        }
        if root.is_dir() {
            places.insert(root.clone(), RecursiveMode::Recursive);
        }
    }
    places
}

/// The path itself, the links on the way to it with what they lead to, and names that are not there.
fn turns(root: &Path) -> Vec<PathBuf> {
    let mut turns = vec![root.to_owned()];
    for path in root.ancestors() {
        if let (Ok(target), Some(folder)) = (path.read_link(), path.parent()) {
            turns.extend([path.to_owned(), folder.join(target)]);
        } else if !path.exists() {
            turns.push(path.to_owned());
        }
    }
    turns
}

/// Which events mean a change: a gateway whose own log is written beside its manifests must not read them for every line.
struct Interest {
    roots: Vec<PathBuf>,
    names: Vec<PathBuf>,
}

impl Interest {
    fn in_paths(roots: &[PathBuf]) -> Self {
        Self { roots: roots.to_vec(), names: roots.iter().flat_map(|root| turns(root)).collect() }
    }

    fn changes(&self, event: &Event) -> Vec<Change> {
        if event.need_rescan() {
            return vec![Change::Missed];
        }
        event.paths.iter().filter_map(|path| self.change(event.kind, path)).collect()
    }

    fn change(&self, kind: EventKind, path: &Path) -> Option<Change> {
        let is_named = self.names.iter().any(|name| name == path);
        let name = path.file_name().unwrap_or_default();
        let is_hidden = name.to_string_lossy().starts_with('.');
        let is_below = !is_hidden && self.roots.iter().any(|root| path.starts_with(root));
        let is_read = is_named || (is_below && is_manifest(path));
        match kind {
            EventKind::Modify(ModifyKind::Data(_)) => is_read.then(|| Change::Writing(path.to_owned())),
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                is_read.then(|| Change::Written(path.to_owned()))
            }
            // Reading a file is an event as well, and would never end.
            EventKind::Access(_) => None,
            EventKind::Modify(ModifyKind::Metadata(_)) => is_read.then_some(Change::Other),
            // A name that comes or goes may be a folder, with all that is below it.
            EventKind::Create(_) | EventKind::Any | EventKind::Other => {
                (is_read || is_below || name == DATA_LINK).then_some(Change::Other)
            }
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Any | ModifyKind::Other) => {
                (is_read || is_below || name == DATA_LINK).then(|| Change::Written(path.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
