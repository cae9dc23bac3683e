//! Work that several wait for is done once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

/// Work that somebody waits for, by what it is about. All who wait for the same have the same of it.
pub struct Together<K, T>(Mutex<HashMap<K, Arc<OnceCell<T>>>>);

impl<K, T> Default for Together<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash, T: Clone> Together<K, T> {
    /// What comes of the work that is about `case`: `begin` makes it, if nobody else has begun. Where whoever did goes away, another goes on with its own.
    pub async fn done<F: Future<Output = T>>(&self, case: K, begin: impl FnOnce() -> F) -> T {
        let outcome = Arc::clone(self.0.lock().entry(case).or_default());
        let joined = Joined { together: self, case, outcome };
        joined.outcome.get_or_init(begin).await.clone()
    }

    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.0.lock().is_empty()
    }
}

/// Somebody who waits.
struct Joined<'a, K: Copy + Eq + Hash, T> {
    together: &'a Together<K, T>,
    case: K,
    outcome: Arc<OnceCell<T>>,
}

/// The last who waits takes it away.
impl<K: Copy + Eq + Hash, T> Drop for Joined<'_, K, T> {
    fn drop(&mut self) {
        let mut under_way = self.together.0.lock();
        // It is given up while nobody else counts.
        drop(std::mem::take(&mut self.outcome));
        if under_way.get(&self.case).is_some_and(|outcome| Arc::strong_count(outcome) == 1) {
            under_way.remove(&self.case);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::FutureExt as _;

    use super::*;

    /// Many threads come and go for the same: nothing stays behind.
    #[test]
    fn nothing_is_left_of_what_nobody_waits_for() {
        let together = Together::<u32, u32>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..20_000 {
                        let waits = number % 2 == 0;
                        let work = async || if waits { std::future::pending().await } else { number };
                        let _given_up = together.done(number % 3, work).now_or_never();
                    }
                });
            }
        });
        assert!(together.is_idle());
    }

    #[tokio::test]
    async fn all_who_wait_have_the_same_of_it() {
        let (together, begun) = (Together::<u8, u32>::default(), AtomicU32::new(0));
        let work = async || {
            tokio::task::yield_now().await;
            begun.fetch_add(1, Ordering::Relaxed)
        };
        let first = (0..10).map(|_| together.done(1, work));
        assert_eq!(futures_util::future::join_all(first).await, [0; 10]);
        assert_eq!(together.done(1, work).await, 1, "what is done is not remembered");
        assert!(together.is_idle());
    }
}
