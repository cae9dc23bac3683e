//! How many questions are under way: each takes a connection.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Of one namespace: whoever floods it keeps nobody else waiting.
const MAX_OF_NAMESPACE: usize = 128;

/// Questions under way, by the namespace of the policy that asks.
#[derive(Default)]
pub(super) struct Places(Arc<Mutex<HashMap<Arc<str>, usize>>>);

/// A place among them, given back when this is dropped.
pub(super) struct Place {
    places: Arc<Mutex<HashMap<Arc<str>, usize>>>,
    namespace: Arc<str>,
}

impl Places {
    /// `None` where the namespace has as many as it may have.
    pub(super) fn enter(&self, namespace: &Arc<str>) -> Option<Place> {
        let mut places = self.0.lock();
        let taken = places.entry(Arc::clone(namespace)).or_default();
        if *taken >= MAX_OF_NAMESPACE {
            return None;
        }
        *taken += 1;
        Some(Place { places: Arc::clone(&self.0), namespace: Arc::clone(namespace) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.places.lock();
        match places.get_mut(&self.namespace) {
            Some(taken) if *taken > 1 => *taken -= 1,
            _ => drop(places.remove(&self.namespace)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_places_of_its_own_and_gives_them_back() {
        let places = Places::default();
        let (shop, other) = ("shop".into(), "other".into());
        let taken: Vec<_> = std::iter::from_fn(|| places.enter(&shop)).collect();
        assert_eq!(taken.len(), MAX_OF_NAMESPACE);
        assert!(places.enter(&other).is_some());
        drop(taken);
        assert!(places.enter(&shop).is_some());
        assert!(places.0.lock().is_empty());
    }
}
