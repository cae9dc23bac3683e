//! What is kept for each key, with a bound on how many there are.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Parts that are locked by themselves, so that workers seldom wait for each other.
const SHARDS: usize = 16;
/// Of a table, about: a flood of invented keys takes no more memory, and spoils what newcomers have, not those who are there.
pub(super) const MAX_KEYS: usize = 100_000;
const MAX_OF_SHARD: usize = MAX_KEYS / SHARDS;

/// Of all tables of a process together.
const MAX_KEYS_OF_ALL: usize = 2 * MAX_KEYS;

/// What all tables of a process keep together: limits are many, and memory is one.
#[derive(Debug, Default)]
pub struct Room {
    keys: AtomicUsize,
}

impl Room {
    fn take(&self) -> bool {
        let more = |keys| (keys < MAX_KEYS_OF_ALL).then_some(keys + 1);
        self.keys.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, keys: usize) {
        self.keys.fetch_sub(keys, Ordering::Relaxed);
    }
}

/// Something that need not be kept for ever.
pub(super) trait Kept: Default {
    /// What it takes to tell.
    type Time: Copy;
    /// Whether it is as if it had never been there.
    fn is_idle(&self, time: Self::Time) -> bool;
}

/// The keys are what callers send: hashed so that nobody can make them meet.
pub(super) struct Table<T> {
    shards: [Mutex<Shard<T>>; SHARDS],
    hasher: RandomState,
    room: Arc<Room>,
}

struct Shard<T> {
    kept: HashMap<Box<[u8]>, T>,
    /// When it was looked through last.
    swept: u64,
}

impl<T> Table<T> {
    pub(super) fn new(room: &Arc<Room>) -> Self {
        let shard = || Mutex::new(Shard { kept: HashMap::new(), swept: 0 });
        Self { shards: std::array::from_fn(|_| shard()), hasher: RandomState::new(), room: Arc::clone(room) }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        self.room.give_back(self.shards.iter_mut().map(|shard| shard.get_mut().kept.len()).sum());
    }
}

impl<T: Kept> Table<T> {
    /// Does `work` with what is kept for `key`; `None` if there is no room for one more. `period` tells moments apart in which what is idle
    /// may be looked for.
    pub(super) fn with<R>(&self, key: &[u8], time: T::Time, period: u64, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut shard = self.shard(key)?.lock();
        if let Some(kept) = shard.kept.get_mut(key) {
            return Some(work(kept));
        }
        if shard.swept != period {
            self.room.give_back(shard.sweep(time, period));
        }
        if shard.kept.len() >= MAX_OF_SHARD || !self.room.take() {
            return None;
        }
        Some(work(shard.kept.entry(key.into()).or_default()))
    }

    /// The same of a key that is there.
    pub(super) fn with_known<R>(&self, key: &[u8], work: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.shard(key)?.lock().kept.get_mut(key).map(work)
    }

    /// Does `work` with what is kept for `key`, and forgets it if it is idle then.
    pub(super) fn end_with(&self, key: &[u8], time: T::Time, work: impl FnOnce(&mut T)) {
        let Some(shard) = self.shard(key) else { return };
        let mut shard = shard.lock();
        let is_idle = shard.kept.get_mut(key).is_some_and(|kept| {
            work(kept);
            kept.is_idle(time)
        });
        if is_idle {
            shard.kept.remove(key);
            self.room.give_back(1);
        }
    }

    fn shard(&self, key: &[u8]) -> Option<&Mutex<Shard<T>>> {
        let at = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).ok()?;
        self.shards.get(at)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().kept.len()).sum()
    }
}

impl<T: Kept> Shard<T> {
    /// Forgets what is idle, and says how much that was.
    fn sweep(&mut self, time: T::Time, period: u64) -> usize {
        self.swept = period;
        let before = self.kept.len();
        self.kept.retain(|_, kept| !kept.is_idle(time));
        self.kept.shrink_to(self.kept.len() * 2);
        before - self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(u64);

    impl Kept for Seen {
        type Time = u64;

        fn is_idle(&self, now: u64) -> bool {
            self.0 < now
        }
    }

    fn put(table: &Table<Seen>, key: &str, now: u64) -> bool {
        table.with(key.as_bytes(), now, now, |seen| seen.0 = now).is_some()
    }

    #[test]
    fn invented_keys_take_bounded_memory_and_displace_nobody() {
        let table = Table::new(&Arc::default());
        assert!(put(&table, "ada", 1));
        let refused = (0..2 * MAX_KEYS).filter(|at| !put(&table, &format!("invented {at}"), 1)).count();
        assert!(refused >= MAX_KEYS, "{refused}");
        assert!(table.len() <= MAX_KEYS);
        assert!(put(&table, "ada", 1), "who is there keeps what is hers");
        assert!(put(&table, "late", 2), "what is idle makes room");
        assert!((0..MAX_KEYS).all(|at| put(&table, &format!("again {at}"), 2) || table.len() > MAX_KEYS / 2));
    }

    #[test]
    fn what_is_idle_goes_at_its_end() {
        let table = Table::<Seen>::new(&Arc::default());
        assert!(put(&table, "ada", 5));
        table.end_with(b"ada", 5, |_| {});
        assert_eq!(table.len(), 1);
        table.end_with(b"ada", 6, |_| {});
        table.end_with(b"nobody", 6, |_| {});
        assert_eq!((table.len(), table.with_known(b"ada", |_| ())), (0, None));
    }

    #[test]
    fn all_tables_together_have_a_bound_and_give_room_back() {
        let room = Arc::<Room>::default();
        let tables = [(); 3].map(|()| Table::<Seen>::new(&room));
        let kept = |table: &Table<Seen>, now| (0..MAX_KEYS).filter(|at| put(table, &format!("{at}"), now)).count();
        let [first, second, third] = &tables;
        assert!(kept(first, 1) > MAX_KEYS * 9 / 10 && kept(second, 1) > MAX_KEYS * 9 / 10);
        assert!(kept(third, 1) < MAX_KEYS / 5, "what the others have left");
        assert!(room.keys.load(Ordering::Relaxed) <= MAX_KEYS_OF_ALL);
        drop(tables);
        assert_eq!(room.keys.load(Ordering::Relaxed), 0);
    }
}
