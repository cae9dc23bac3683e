//! The counters of all limits in force, by what they count: a limit that comes again with another number goes on with what was used.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sallyport_snapshot::Hash;

use super::Counters;
use super::table::Room;

/// What counters are of. Whatever differs in it begins anew.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Counted {
    /// The policy that states the limit.
    pub object: Arc<str>,
    pub limit: Arc<str>,
    /// Of a window this length; `None`: at once.
    pub window: Option<Duration>,
    /// By what requests are told apart.
    pub by: Hash,
}

/// Counters for as long as anybody enforces the limit.
#[derive(Default)]
pub struct Registry {
    known: HashMap<Counted, Weak<Counters>>,
    /// What all of them together may keep.
    room: Arc<Room>,
}

impl Registry {
    /// The counters that are there, or new ones.
    pub fn counters(&mut self, counted: Counted) -> Arc<Counters> {
        if let Some(known) = self.known.get(&counted).and_then(Weak::upgrade) {
            return known;
        }
        self.known.retain(|_, counters| counters.strong_count() > 0);
        let counters = Arc::new(match counted.window {
            Some(length) => Counters::of_window(length, &self.room),
            None => Counters::at_once(&self.room),
        });
        self.known.insert(counted, Arc::downgrade(&counters));
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(limit: &str, window_s: Option<u64>, by: &[u8]) -> Counted {
        let window = window_s.map(Duration::from_secs);
        Counted { object: "ApiPolicy shop/orders".into(), limit: limit.into(), window, by: Hash::of_bytes(by) }
    }

    #[test]
    fn what_counts_the_same_is_the_same() {
        let mut registry = Registry::default();
        let first = registry.counters(counted("burst", Some(60), b"address"));
        assert!(first.take(None, 1).is_ok());
        assert!(registry.counters(counted("burst", Some(60), b"address")).take(None, 1).is_err());
        for other in [
            counted("other", Some(60), b"address"),
            counted("burst", Some(61), b"address"),
            counted("burst", None, b"address"),
            counted("burst", Some(60), b"identity"),
        ] {
            assert!(registry.counters(other).take(None, 1).is_ok());
        }
    }

    #[test]
    fn what_nobody_enforces_is_forgotten() {
        let mut registry = Registry::default();
        assert!(registry.counters(counted("burst", Some(60), b"")).take(None, 1).is_ok());
        assert!(registry.counters(counted("burst", Some(60), b"")).take(None, 1).is_ok());
        drop(registry.counters(counted("other", None, b"")));
        drop(registry.counters(counted("third", None, b"")));
        assert_eq!(registry.known.len(), 1);
    }
}
