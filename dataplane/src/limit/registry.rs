//! The counters of all limits in force, by what they count: a limit that comes again with another number goes on with what was used.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use aws_lc_rs::digest::{SHA256, digest};
use sallyport_snapshot::Hash;

use super::table::Room;
use super::{Amount, Counters};

/// What counters are of. Whatever differs in it begins anew.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Counted {
    /// The policy that states the limit.
    pub object: Arc<str>,
    pub limit: Arc<str>,
    pub amount: Amount,
    /// By what requests are told apart.
    pub by: Hash,
}

impl Counted {
    /// By which a store knows it, on every data plane.
    fn digest(&self) -> [u8; 32] {
        let amount = match self.amount {
            Amount::Window(length) => format!("window {}", length.as_millis()),
            Amount::Quota(period) => period.as_str().to_owned(),
            Amount::AtOnce => "at once".to_owned(),
        };
        let mut told = format!("{}\n{}\n{amount}\n", self.object, self.limit).into_bytes();
        told.extend_from_slice(self.by.as_bytes());
        digest(&SHA256, &told).as_ref().try_into().unwrap_or_default()
    }
}

/// Counters for as long as anybody enforces the limit.
#[derive(Default)]
pub struct Registry {
    known: HashMap<Counted, Weak<Counters>>,
    /// What all of them together may keep.
    room: Arc<Room>,
    /// The same of quotas: what they keep lasts longer, and takes nothing from the others.
    room_of_quotas: Arc<Room>,
}

impl Registry {
    /// The counters that are there, or new ones.
    pub fn counters(&mut self, counted: Counted) -> Arc<Counters> {
        if let Some(known) = self.known.get(&counted).and_then(Weak::upgrade) {
            return known;
        }
        self.known.retain(|_, counters| counters.strong_count() > 0);
        let room = if matches!(counted.amount, Amount::Quota(_)) { &self.room_of_quotas } else { &self.room };
        let counters = Arc::new(Counters::new(counted.amount, counted.digest(), room));
        self.known.insert(counted, Arc::downgrade(&counters));
        counters
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limit::quota::Period;

    fn counted(limit: &str, window_s: Option<u64>, by: &[u8]) -> Counted {
        let amount = window_s.map_or(Amount::AtOnce, |seconds| Amount::Window(Duration::from_secs(seconds)));
        Counted { object: "ApiPolicy shop/orders".into(), limit: limit.into(), amount, by: Hash::of_bytes(by) }
    }

    fn is_taken(counters: &Arc<Counters>) -> bool {
        counters.take(None, 1).unwrap().is_ok()
    }

    #[test]
    fn what_counts_the_same_is_the_same() {
        let mut registry = Registry::default();
        let first = registry.counters(counted("burst", Some(60), b"address"));
        assert!(is_taken(&first));
        assert!(!is_taken(&registry.counters(counted("burst", Some(60), b"address"))));
        for other in [
            counted("other", Some(60), b"address"),
            counted("burst", Some(61), b"address"),
            counted("burst", None, b"address"),
            counted("burst", Some(60), b"identity"),
        ] {
            let other = registry.counters(other);
            assert!(is_taken(&other) && other.digest() != first.digest());
        }
    }

    #[test]
    fn a_store_knows_it_by_the_same_name_everywhere() {
        let digest = |counted: Counted| *Registry::default().counters(counted).digest();
        assert_eq!(digest(counted("burst", Some(60), b"")), digest(counted("burst", Some(60), b"")));
        let quota = |period| Counted { amount: Amount::Quota(period), ..counted("burst", None, b"") };
        assert_ne!(digest(quota(Period::Day)), digest(quota(Period::Month)));
    }

    #[test]
    fn what_nobody_enforces_is_forgotten() {
        let mut registry = Registry::default();
        assert!(is_taken(&registry.counters(counted("burst", Some(60), b""))));
        assert!(is_taken(&registry.counters(counted("burst", Some(60), b""))));
        drop(registry.counters(counted("other", None, b"")));
        drop(registry.counters(counted("third", None, b"")));
        assert_eq!(registry.known.len(), 1);
    }
}
