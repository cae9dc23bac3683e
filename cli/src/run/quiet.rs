//! When to read files again: once nothing has changed for a moment and nobody is writing any more, but not later than a while after the
//! first change. A file that somebody still writes then is not read: what it holds so far may be a document that is good and only half.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::watch::Change;

/// A writer saves files in several steps: changes that follow each other this closely are taken up together.
pub(super) const QUIET: Duration = Duration::from_millis(50);
/// Whoever never stops writing holds no change up for longer than this.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Whoever has not written for this long has left the file: not every change ends with an event that says so.
pub(super) const ABANDONED: Duration = Duration::from_secs(60);

/// Changes that have not been taken up.
#[derive(Default)]
pub(super) struct Quiet {
    first: Option<Instant>,
    last: Option<Instant>,
    /// Files that somebody writes, with the last time that they changed.
    writing: BTreeMap<PathBuf, Instant>,
}

impl Quiet {
    pub(super) fn hear(&mut self, change: Change, now: Instant) {
        let is_news = match change {
            Change::Writing(path) => self.writing.insert(path, now).is_none(),
            Change::Written(path) => {
                self.writing.remove(&path);
                true
            }
            Change::Missed => {
                self.writing.clear();
                true
            }
            Change::Other => true,
        };
        // Of a file that has been left alone, only its end is news.
        if is_news || self.first.is_some() {
            self.first.get_or_insert(now);
            self.last = Some(now);
        }
    }

    /// When the files are to be read; never without a change.
    pub(super) fn due(&self) -> Option<Instant> {
        let abandoned = self.writing.values().min().map(|last| *last + ABANDONED);
        let changed = self.first.zip(self.last).map(|(first, last)| {
            let latest = first + PATIENCE;
            if self.writing.is_empty() { latest.min(last + QUIET) } else { latest }
        });
        [abandoned, changed].into_iter().flatten().min()
    }

    /// Takes the changes up; the files that must not be read, as somebody still writes them.
    pub(super) fn take_up(&mut self, now: Instant) -> BTreeSet<PathBuf> {
        (self.first, self.last) = (None, None);
        self.writing.retain(|_, last| now < *last + ABANDONED);
        self.writing.keys().cloned().collect()
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
            (vec![(0, writing("a")), (10, Change::Missed)], Some(60)),
        ] {
            assert_eq!(heard(&changes), due_ms, "{changes:?}");
        }
    }

    #[test]
    fn a_file_that_is_written_is_left_alone_until_it_is_closed_or_abandoned() {
        let start = Instant::now();
        let after = |ms: u64| start + Duration::from_millis(ms);
        let due = |quiet: &Quiet| quiet.due().map(|due| (due - start).as_millis());
        let (mut quiet, open) = (Quiet::default(), BTreeSet::from([path("a")]));
        quiet.hear(Change::Writing(path("a")), after(0));
        assert_eq!((quiet.take_up(after(1000)), due(&quiet)), (open.clone(), Some(60_000)));
        quiet.hear(Change::Writing(path("a")), after(5000));
        assert_eq!(due(&quiet), Some(65_000), "it is read no more often for being written");
        quiet.hear(Change::Other, after(6000));
        assert_eq!(due(&quiet), Some(7000));
        assert_eq!(quiet.take_up(after(7000)), open, "whatever else has changed");
        quiet.hear(Change::Written(path("a")), after(8000));
        assert_eq!((due(&quiet), quiet.take_up(after(8050)).len(), due(&quiet)), (Some(8050), 0, None));
        quiet.hear(Change::Writing(path("a")), after(10_000));
        assert_eq!(quiet.take_up(after(69_999)), open);
        assert_eq!((quiet.take_up(after(70_000)).len(), due(&quiet)), (0, None), "abandoned");
    }
}
