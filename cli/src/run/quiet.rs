//! When to read files again: once nothing has changed for a moment and nobody is writing any more, but not later than a while after the
//! first change.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::watch::Change;

/// A writer saves files in several steps: changes that follow each other this closely are taken up together.
pub(super) const QUIET: Duration = Duration::from_millis(50);
/// Whoever never stops writing holds no change up for longer than this.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Changes that have not been taken up.
#[derive(Default)]
pub(super) struct Quiet {
    first: Option<Instant>,
    last: Option<Instant>,
    writing: BTreeSet<PathBuf>,
}

impl Quiet {
    pub(super) fn hear(&mut self, change: Change, now: Instant) {
        self.first.get_or_insert(now);
        self.last = Some(now);
        match change {
            Change::Writing(path) => drop(self.writing.insert(path)),
            Change::Written(path) => drop(self.writing.remove(&path)),
            Change::Other => {}
        }
    }

    /// When the files are to be read; never without a change.
    pub(super) fn due(&self) -> Option<Instant> {
        let (first, last) = (self.first?, self.last?);
        let latest = first + PATIENCE;
        Some(if self.writing.is_empty() { latest.min(last + QUIET) } else { latest })
    }

    /// Waits until the files are to be read.
    pub(super) async fn over(&self) {
        match self.due() {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        PathBuf::from(name)
    }

    fn heard(changes: &[(u64, Change)]) -> Option<u128> {
        let start = Instant::now();
        let mut quiet = Quiet::default();
        for (after_ms, change) in changes {
            quiet.hear(change.clone(), start + Duration::from_millis(*after_ms));
        }
        quiet.due().map(|due| (due - start).as_millis())
    }

    #[test]
    fn files_are_read_once_nothing_changes_and_nobody_writes() {
        let (writing, written) = (|name| Change::Writing(path(name)), |name| Change::Written(path(name)));
        for (changes, due_ms) in [
            (vec![], None),
            (vec![(0, Change::Other)], Some(50)),
            (vec![(0, Change::Other), (40, Change::Other), (80, Change::Other)], Some(130)),
            (vec![(0, Change::Other), (960, Change::Other), (990, Change::Other)], Some(1000)),
            (vec![(0, writing("a"))], Some(1000)),
            (vec![(0, writing("a")), (300, writing("a"))], Some(1000)),
            (vec![(0, writing("a")), (300, written("a"))], Some(350)),
            (vec![(0, writing("a")), (10, writing("b")), (300, written("a"))], Some(1000)),
            (vec![(0, writing("a")), (10, writing("b")), (20, written("b")), (30, written("a"))], Some(80)),
            (vec![(0, written("a")), (30, writing("a"))], Some(1000)),
        ] {
            assert_eq!(heard(&changes), due_ms, "{changes:?}");
        }
    }
}
