//! Who may compute a hash: few at a time, since each takes a core, or much memory, for as long as whoever wrote it likes.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use parking_lot::Mutex;
use sallyport_password::MAX_MEMORY_KIB;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Computations that are under way or wait, in the whole process.
const MAX_QUEUED: usize = 64;
/// Of which those of one file are at most so many: whoever guesses at one leaves room for the others.
const MAX_QUEUED_OF_FILE: usize = MAX_QUEUED / 2;
/// How long a turn is waited for.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// What computations share: half of the cores, so that requests go on beside them, and the memory of the largest one.
pub(super) struct Turns {
    queued: Arc<Mutex<Queued>>,
    cores: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

#[derive(Default)]
struct Queued {
    all: usize,
    of_files: HashMap<Arc<str>, usize>,
}

/// A place in the queue, given back when this is dropped.
struct Place {
    queued: Arc<Mutex<Queued>>,
    file: Arc<str>,
}

/// Leave to compute, for as long as this is kept.
pub(super) struct Turn {
    _place: Place,
    _memory: OwnedSemaphorePermit,
    _core: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { queued: Arc::default(), cores: semaphore(cores), memory: semaphore(MAX_MEMORY_KIB as usize) }
    }
}

impl Turns {
    /// Waits for a turn; `None` where too many do, or for too long.
    pub(super) async fn take(&self, file: &Arc<str>, memory_kib: u32) -> Option<Turn> {
        let place = self.enter(file)?;
        let both = async {
            // Whoever waits for memory keeps no core from others.
            let memory = Arc::clone(&self.memory).acquire_many_owned(memory_kib).await.ok()?;
            let core = Arc::clone(&self.cores).acquire_owned().await.ok()?;
            Some((memory, core))
        };
        let (memory, core) = timeout(MAX_WAIT, both).await.ok().flatten()?;
        Some(Turn { _place: place, _memory: memory, _core: core })
    }

    /// A turn if one is free.
    pub(super) fn try_take(&self, file: &Arc<str>, memory_kib: u32) -> Option<Turn> {
        let place = self.enter(file)?;
        let memory = Arc::clone(&self.memory).try_acquire_many_owned(memory_kib).ok()?;
        let core = Arc::clone(&self.cores).try_acquire_owned().ok()?;
        Some(Turn { _place: place, _memory: memory, _core: core })
    }

    fn enter(&self, file: &Arc<str>) -> Option<Place> {
        let mut queued = self.queued.lock();
        let of_file = queued.of_files.get(file).copied().unwrap_or_default();
        if queued.all >= MAX_QUEUED || of_file >= MAX_QUEUED_OF_FILE {
            return None;
        }
        queued.all += 1;
        queued.of_files.insert(Arc::clone(file), of_file + 1);
        Some(Place { queued: Arc::clone(&self.queued), file: Arc::clone(file) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queued = self.queued.lock();
        queued.all = queued.all.saturating_sub(1);
        match queued.of_files.get_mut(&self.file) {
            Some(more @ 2..) => *more -= 1,
            _ => drop(queued.of_files.remove(&self.file)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(file: &str) -> Arc<str> {
        file.into()
    }

    #[test]
    fn one_file_takes_half_of_the_queue_and_all_take_no_more_than_there_is() {
        let turns = Turns::default();
        let places = |file: &str| -> Vec<_> { std::iter::from_fn(|| turns.enter(&name(file))).collect() };
        let (first, second, third) = (places("a"), places("b"), places("c"));
        assert_eq!((first.len(), second.len(), third.len()), (32, 32, 0));
        drop(first);
        assert_eq!(places("c").len(), 32);
        drop((second, third));
        let queued = turns.queued.lock();
        assert_eq!((queued.all, queued.of_files.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_shared_and_nobody_waits_for_ever() {
        let turns = Turns::default();
        let half = MAX_MEMORY_KIB / 2;
        let held = turns.try_take(&name("a"), half).unwrap();
        assert!(turns.try_take(&name("a"), half + 1).is_none());
        assert!(turns.take(&name("a"), half + 1).await.is_none(), "it has waited for long enough");
        drop(held);
        assert!(turns.take(&name("a"), MAX_MEMORY_KIB).await.is_some());
        assert_eq!(turns.queued.lock().all, 0);
    }
}
