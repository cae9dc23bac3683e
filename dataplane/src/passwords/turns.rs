//! Who may compute a hash: few at a time, since each takes a core, or much memory, for as long as whoever wrote it likes.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use parking_lot::Mutex;
use sallyport_password::MAX_MEMORY_KIB;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Computations that are under way or wait, of one namespace, and in the whole process. The second bounds memory alone.
const MAX_QUEUED_OF_NAMESPACE: usize = 32;
const MAX_QUEUED: usize = 1024;
/// How long a turn is waited for.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// What computations share: half of the cores, so that requests go on beside them, and the memory of the largest one. Namespaces come in turn:
/// whoever guesses at one makes nobody wait in another but for those that are under way.
pub(super) struct Turns {
    namespaces: Arc<Mutex<Namespaces>>,
    cores: usize,
    core: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

#[derive(Default)]
struct Namespaces {
    queued: usize,
    by_name: HashMap<Box<str>, Queue>,
}

/// Of one namespace: how many there are, and who of them may ask for a core.
struct Queue {
    queued: usize,
    next: Arc<Semaphore>,
}

/// A place in the queue of a namespace, given back when this is dropped.
struct Place {
    namespaces: Arc<Mutex<Namespaces>>,
    namespace: Box<str>,
    next: Arc<Semaphore>,
}

/// Leave to compute, for as long as this is kept.
pub(super) struct Turn {
    _memory: OwnedSemaphorePermit,
    _core: OwnedSemaphorePermit,
    _next: OwnedSemaphorePermit,
    _place: Place,
}

impl Default for Turns {
    fn default() -> Self {
        Self::on(available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)))
    }
}

impl Turns {
    fn on(cores: usize) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let (core, memory) = (semaphore(cores), semaphore(MAX_MEMORY_KIB as usize));
        Self { namespaces: Arc::default(), cores, core, memory }
    }

    /// Waits for a turn; `None` where too many do, or for too long.
    pub(super) async fn take(&self, namespace: &str, memory_kib: u32) -> Option<Turn> {
        let place = self.enter(namespace)?;
        let all = async {
            // Of one namespace no more ask for a core than there are: in its line everybody else is soon the next.
            let next = Arc::clone(&place.next).acquire_owned().await.ok()?;
            // Whoever waits for memory keeps no core from others.
            let memory = Arc::clone(&self.memory).acquire_many_owned(memory_kib).await.ok()?;
            let core = Arc::clone(&self.core).acquire_owned().await.ok()?;
            Some((next, memory, core))
        };
        let (next, memory, core) = timeout(MAX_WAIT, all).await.ok().flatten()?;
        Some(Turn { _memory: memory, _core: core, _next: next, _place: place })
    }

    /// A turn if one is free.
    pub(super) fn try_take(&self, namespace: &str, memory_kib: u32) -> Option<Turn> {
        let place = self.enter(namespace)?;
        let next = Arc::clone(&place.next).try_acquire_owned().ok()?;
        let memory = Arc::clone(&self.memory).try_acquire_many_owned(memory_kib).ok()?;
        let core = Arc::clone(&self.core).try_acquire_owned().ok()?;
        Some(Turn { _memory: memory, _core: core, _next: next, _place: place })
    }

    fn enter(&self, namespace: &str) -> Option<Place> {
        let mut namespaces = self.namespaces.lock();
        if namespaces.queued >= MAX_QUEUED {
            return None;
        }
        let queue = namespaces.by_name.entry(namespace.into());
        let queue = queue.or_insert_with(|| Queue { queued: 0, next: Arc::new(Semaphore::new(self.cores)) });
        if queue.queued >= MAX_QUEUED_OF_NAMESPACE {
            return None;
        }
        queue.queued += 1;
        let next = Arc::clone(&queue.next);
        namespaces.queued += 1;
        Some(Place { namespaces: Arc::clone(&self.namespaces), namespace: namespace.into(), next })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut namespaces = self.namespaces.lock();
        namespaces.queued = namespaces.queued.saturating_sub(1);
        match namespaces.by_name.get_mut(&self.namespace) {
            Some(queue) if queue.queued > 1 => queue.queued -= 1,
            _ => drop(namespaces.by_name.remove(&self.namespace)),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[test]
    fn a_namespace_has_places_of_its_own() {
        let turns = Turns::default();
        let places = |namespace: &str| -> Vec<_> { std::iter::from_fn(|| turns.enter(namespace)).collect() };
        let (first, second) = (places("a"), places("b"));
        assert_eq!((first.len(), second.len(), places("a").len()), (32, 32, 0));
        drop(first);
        assert_eq!(places("a").len(), 32);
        let others: Vec<_> = (0..40).flat_map(|number| places(&format!("n{number}"))).collect();
        assert_eq!(others.len(), MAX_QUEUED - 32, "all together");
        drop((second, others));
        let namespaces = turns.namespaces.lock();
        assert_eq!((namespaces.queued, namespaces.by_name.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_shared_and_nobody_waits_for_ever() {
        let turns = Turns::on(2);
        let half = MAX_MEMORY_KIB / 2;
        let held = turns.try_take("a", half).unwrap();
        assert!(turns.try_take("a", half + 1).is_none());
        assert!(turns.take("a", half + 1).await.is_none(), "it has waited for long enough");
        drop(held);
        assert!(turns.take("a", MAX_MEMORY_KIB).await.is_some());
        assert_eq!(turns.namespaces.lock().queued, 0);
    }

    /// Each computation takes a second: one namespace has more to do than anybody waits for, the other has one.
    #[tokio::test(start_paused = true)]
    async fn whoever_fills_the_queue_of_a_namespace_keeps_no_other_waiting() {
        for cores in [1, 2] {
            let turns = Turns::on(cores);
            let computes = async |namespace: &str| {
                let turn = turns.take(namespace, 0).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                turn.is_some()
            };
            let began = tokio::time::Instant::now();
            let busy = join_all((0..40).map(|_| computes("attacked")));
            let other = async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let is_served = computes("other").await;
                (is_served, began.elapsed())
            };
            let (served, (is_served, within)) = tokio::join!(busy, other);
            assert!(is_served && within < Duration::from_millis(3_000), "{within:?} on {cores}");
            let served = served.iter().filter(|one| **one).count();
            assert!((4 * cores..=6 * cores).contains(&served), "{served} on {cores}");
        }
    }
}
