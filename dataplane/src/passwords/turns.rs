//! Who may compute a hash: few at a time, since each takes a core, or much memory, for as long as whoever wrote it likes.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use parking_lot::Mutex;
use sallyport_password::MAX_MEMORY_KIB;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Computations that are under way or wait, of one namespace, and in the whole process. The second bounds memory alone: whoever has none there
/// may always have one.
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

/// Of one namespace.
struct Queue {
    queued: usize,
    own: Own,
}

/// What one namespace may ask for at a time: no more than there is. So in the line for it everybody else is soon the next.
#[derive(Clone)]
struct Own {
    core: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

/// A place in the queue of a namespace, given back when this is dropped.
struct Place {
    namespaces: Arc<Mutex<Namespaces>>,
    namespace: Box<str>,
    own: Own,
}

/// Leave to compute, for as long as this is kept.
pub(super) struct Turn {
    _permits: [OwnedSemaphorePermit; 4],
    _place: Place,
}

impl Default for Turns {
    fn default() -> Self {
        Self::on(available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)))
    }
}

impl Turns {
    fn on(cores: usize) -> Self {
        let Own { core, memory } = Own::on(cores);
        Self { namespaces: Arc::default(), cores, core, memory }
    }

    /// Waits for a turn; `None` where too many do, or for too long.
    pub(super) async fn take(&self, namespace: &str, memory_kib: u32) -> Option<Turn> {
        let place = self.enter(namespace)?;
        let all = async {
            // Whoever waits for memory keeps no core from others.
            let own_memory = Arc::clone(&place.own.memory).acquire_many_owned(memory_kib).await.ok()?;
            let own_core = Arc::clone(&place.own.core).acquire_owned().await.ok()?;
            let memory = Arc::clone(&self.memory).acquire_many_owned(memory_kib).await.ok()?;
            let core = Arc::clone(&self.core).acquire_owned().await.ok()?;
            Some([own_memory, own_core, memory, core])
        };
        let permits = timeout(MAX_WAIT, all).await.ok().flatten()?;
        Some(Turn { _permits: permits, _place: place })
    }

    /// A turn if one is free.
    pub(super) fn try_take(&self, namespace: &str, memory_kib: u32) -> Option<Turn> {
        let place = self.enter(namespace)?;
        let own_memory = Arc::clone(&place.own.memory).try_acquire_many_owned(memory_kib).ok()?;
        let own_core = Arc::clone(&place.own.core).try_acquire_owned().ok()?;
        let memory = Arc::clone(&self.memory).try_acquire_many_owned(memory_kib).ok()?;
        let core = Arc::clone(&self.core).try_acquire_owned().ok()?;
        Some(Turn { _permits: [own_memory, own_core, memory, core], _place: place })
    }

    fn enter(&self, namespace: &str) -> Option<Place> {
        let mut namespaces = self.namespaces.lock();
        let is_full = namespaces.queued >= MAX_QUEUED;
        let queue = namespaces.by_name.entry(namespace.into());
        let queue = queue.or_insert_with(|| Queue { queued: 0, own: Own::on(self.cores) });
        if queue.queued >= MAX_QUEUED_OF_NAMESPACE || is_full && queue.queued > 0 {
            return None;
        }
        queue.queued += 1;
        let own = queue.own.clone();
        namespaces.queued += 1;
        Some(Place { namespaces: Arc::clone(&self.namespaces), namespace: namespace.into(), own })
    }
}

impl Own {
    fn on(cores: usize) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { core: semaphore(cores), memory: semaphore(MAX_MEMORY_KIB as usize) }
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
        assert_eq!(others.len(), MAX_QUEUED - 32 + 9, "all together, and one of each that had none");
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
        // On how many cores, with how much memory, how many are served at a time.
        for (cores, memory_kib, at_a_time) in
            [(1, 0, 1), (2, 0, 2), (32, MAX_MEMORY_KIB, 1), (8, MAX_MEMORY_KIB / 2, 2)]
        {
            let turns = Turns::on(cores);
            let computes = async |namespace: &str| {
                let turn = turns.take(namespace, memory_kib).await;
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
            assert!((4 * at_a_time..=6 * at_a_time).contains(&served), "{served} on {cores}");
        }
    }
}
