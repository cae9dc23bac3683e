//! How many questions are under way: each takes a connection.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// To one endpoint: one that does not answer keeps no other waiting.
const MAX_OF_ENDPOINT: usize = 64;
/// Of one namespace: whoever floods it keeps nobody else waiting.
const MAX_OF_NAMESPACE: usize = 256;
/// Of all together: beyond that a namespace has one.
const MAX: usize = 1024;

/// Questions under way.
#[derive(Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    /// By the namespace of the policy that asks.
    namespaces: HashMap<Arc<str>, usize>,
    endpoints: HashMap<Arc<str>, usize>,
}

/// A place among them, given back when this is dropped.
pub(super) struct Place {
    places: Arc<Mutex<Taken>>,
    namespace: Arc<str>,
    endpoint: Arc<str>,
}

impl Places {
    /// `None` where there are as many as there may be.
    pub(super) fn enter(&self, namespace: &Arc<str>, endpoint: &Arc<str>) -> Option<Place> {
        let mut taken = self.0.lock();
        let own = taken.namespaces.get(namespace).copied().unwrap_or_default();
        let of_endpoint = taken.endpoints.get(endpoint).copied().unwrap_or_default();
        if own >= MAX_OF_NAMESPACE || of_endpoint >= MAX_OF_ENDPOINT || taken.all >= MAX && own > 0 {
            return None;
        }
        taken.all += 1;
        *taken.namespaces.entry(Arc::clone(namespace)).or_default() += 1;
        *taken.endpoints.entry(Arc::clone(endpoint)).or_default() += 1;
        let (namespace, endpoint) = (Arc::clone(namespace), Arc::clone(endpoint));
        Some(Place { places: Arc::clone(&self.0), namespace, endpoint })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all = taken.all.saturating_sub(1);
        give_back(&mut taken.namespaces, &self.namespace);
        give_back(&mut taken.endpoints, &self.endpoint);
    }
}

fn give_back(taken: &mut HashMap<Arc<str>, usize>, name: &Arc<str>) {
    match taken.get_mut(name) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(taken.remove(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(places: &Places, namespace: &str, endpoint: &str) -> Vec<Place> {
        std::iter::from_fn(|| places.enter(&namespace.into(), &endpoint.into())).collect()
    }

    #[test]
    fn endpoints_and_namespaces_have_places_of_their_own_and_give_them_back() {
        let places = Places::default();
        let taken: Vec<_> = (0..6).map(|number| all(&places, "shop", &format!("e{number}"))).collect();
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [64, 64, 64, 64, 0, 0]);
        let others: Vec<_> =
            (0..20).flat_map(|number| all(&places, &format!("n{number}"), &format!("o{number}"))).collect();
        assert_eq!(others.len(), 768 + 8, "and one of each that had none");
        drop((taken, others));
        let left = places.0.lock();
        assert!(left.all == 0 && left.namespaces.is_empty() && left.endpoints.is_empty());
    }
}
