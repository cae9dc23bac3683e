//! How much of a worker questions to authorisers may take.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::map::Map;
use crate::rejection::{Reason, Rejection};

/// Questions of one policy under way.
const MAX_OF_POLICY: u32 = 256;
/// Questions of policies that only report, of one namespace: half of those of all.
const MAX_REHEARSED: u32 = 50;
const MAX_REHEARSED_OF_ALL: u32 = 100;
/// What bodies take that are held, to be shown, of one namespace: half of those of all.
const MAX_HELD_BYTES: usize = 32 << 20;
const MAX_HELD_BYTES_OF_ALL: usize = 64 << 20;

/// Of one worker.
#[derive(Default)]
pub(crate) struct Desk {
    /// By policy.
    under_way: Rc<RefCell<Map<Arc<str>, u32>>>,
    rehearsed: Rc<RefCell<Map<Arc<str>, u32>>>,
    held: Arc<Mutex<Held>>,
}

/// Bytes by namespace.
#[derive(Default)]
struct Held {
    of_all: usize,
    by_namespace: Map<Arc<str>, usize>,
}

/// One question, as long as it lasts.
pub(super) struct Place {
    places: Rc<RefCell<Map<Arc<str>, u32>>>,
    of: Arc<str>,
}

/// What bytes take that are held. They may end on another thread.
pub(in crate::pipeline) struct Room {
    held: Arc<Mutex<Held>>,
    namespace: Arc<str>,
    own: usize,
}

impl Desk {
    /// Whether there is a place for a question of `policy`.
    pub(super) fn has_place(&self, policy: &Arc<str>) -> bool {
        self.under_way.borrow().get(policy).is_none_or(|count| *count < MAX_OF_POLICY)
    }

    /// For a question of `policy`; `None` where as many are under way as may be.
    pub(super) fn place(&self, policy: &Arc<str>) -> Option<Place> {
        self.has_place(policy).then(|| Place::take(&self.under_way, policy))
    }

    /// For a question of a policy of `namespace` that only reports.
    pub(super) fn rehearsed_place(&self, namespace: &Arc<str>) -> Option<Place> {
        let has_place = {
            let rehearsed = self.rehearsed.borrow();
            let own = rehearsed.get(namespace).copied().unwrap_or_default();
            own < MAX_REHEARSED && rehearsed.values().sum::<u32>() < MAX_REHEARSED_OF_ALL
        };
        has_place.then(|| Place::take(&self.rehearsed, namespace))
    }

    /// For what comes of `namespace`, and has not come yet.
    pub(in crate::pipeline) fn room(&self, namespace: &Arc<str>) -> Room {
        Room { held: Arc::clone(&self.held), namespace: Arc::clone(namespace), own: 0 }
    }
}

impl Place {
    fn take(places: &Rc<RefCell<Map<Arc<str>, u32>>>, of: &Arc<str>) -> Self {
        *places.borrow_mut().entry(Arc::clone(of)).or_default() += 1;
        Self { places: Rc::clone(places), of: Arc::clone(of) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.places.borrow_mut();
        if let Some(count) = places.get_mut(&self.of) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                places.remove(&self.of);
            }
        }
    }
}

impl Room {
    /// Takes room for so many bytes more.
    pub(in crate::pipeline) fn take(&mut self, bytes: usize) -> Result<(), Rejection> {
        let mut held = self.held.lock();
        let own = held.by_namespace.get(&self.namespace).copied().unwrap_or_default();
        if own + bytes > MAX_HELD_BYTES || held.of_all + bytes > MAX_HELD_BYTES_OF_ALL {
            let found = "bodies that authorisers are shown take as much memory as they may together";
            return Err(Rejection { retry_after_s: Some(1), ..Rejection::because(Reason::Overloaded, found) });
        }
        held.of_all += bytes;
        held.by_namespace.insert(Arc::clone(&self.namespace), own + bytes);
        self.own += bytes;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        held.of_all = held.of_all.saturating_sub(self.own);
        if let Some(own) = held.by_namespace.get_mut(&self.namespace) {
            *own = own.saturating_sub(self.own);
            if *own == 0 {
                held.by_namespace.remove(&self.namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::pipeline::body::shown::counted;

    #[test]
    fn each_policy_has_places_of_its_own_which_come_back() {
        let desk = Desk::default();
        let (one, other): (Arc<str>, Arc<str>) = ("ApiPolicy a/one".into(), "ApiPolicy a/other".into());
        let places: Vec<_> = (0..MAX_OF_POLICY).filter_map(|_| desk.place(&one)).collect();
        assert_eq!(places.len(), 256);
        assert!(!desk.has_place(&one) && desk.place(&one).is_none() && desk.place(&other).is_some());
        drop(places);
        assert!(desk.place(&one).is_some());
        assert!(desk.under_way.borrow().is_empty(), "nothing is kept of who asks nobody");
    }

    #[test]
    fn no_namespace_has_more_than_half_of_the_room_and_all_of_them_have_the_whole() {
        let desk = Desk::default();
        let [a, b, c]: [Arc<str>; 3] = ["a", "b", "c"].map(Into::into);
        let (mut one, mut same, mut other, mut third) = (desk.room(&a), desk.room(&a), desk.room(&b), desk.room(&c));
        one.take(MAX_HELD_BYTES - 1).unwrap();
        same.take(1).unwrap();
        assert!(same.take(1).is_err());
        other.take(MAX_HELD_BYTES).unwrap();
        assert!(third.take(1).is_err());
        drop(one);
        third.take(1).unwrap();
    }

    #[test]
    fn bytes_count_as_long_as_anybody_has_any_of_them() {
        let (desk, namespace) = (Desk::default(), "a".into());
        let mut room = desk.room(&namespace);
        room.take(4).unwrap();
        let bytes = counted(Bytes::from_static(b"abcd"), room);
        let part = bytes.slice(1..2);
        drop(bytes);
        assert_eq!(desk.held.lock().of_all, 4);
        drop(part);
        assert_eq!(desk.held.lock().of_all, 0);
        assert!(desk.held.lock().by_namespace.is_empty());
    }

    #[test]
    fn what_is_only_reported_has_few_places() {
        let desk = Desk::default();
        let namespaces: [Arc<str>; 3] = ["a", "b", "c"].map(Into::into);
        let taken = namespaces.each_ref().map(|namespace| {
            let places: Vec<_> = (0..200).filter_map(|_| desk.rehearsed_place(namespace)).collect();
            places
        });
        assert_eq!(taken.each_ref().map(Vec::len), [50, 50, 0]);
        drop(taken);
        assert!(desk.rehearsed_place(&namespaces[2]).is_some());
    }
}
