//! How much of a worker questions to authorisers may take.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::map::Map;

/// Questions of one policy under way.
const MAX_OF_POLICY: u32 = 256;
/// Questions of policies that only report.
const MAX_REHEARSED: u32 = 100;
/// What all bodies take together that are held, to be shown.
const MAX_SHOWN_BYTES: usize = 64 << 20;

/// Of one worker.
#[derive(Default)]
pub(crate) struct Desk {
    /// By policy.
    under_way: Rc<RefCell<Map<Arc<str>, u32>>>,
    rehearsed: Rc<Cell<u32>>,
    shown_bytes: Rc<Cell<usize>>,
}

/// One question, as long as it lasts.
pub(super) struct Place {
    under_way: Rc<RefCell<Map<Arc<str>, u32>>>,
    policy: Arc<str>,
}

/// One question of a policy that only reports.
pub(super) struct RehearsedPlace(Rc<Cell<u32>>);

/// What a body takes that is held.
pub(crate) struct Room {
    shown_bytes: Rc<Cell<usize>>,
    own: usize,
}

impl Desk {
    /// For a question of `policy`; `None` where as many are under way as may be.
    pub(super) fn place(&self, policy: &Arc<str>) -> Option<Place> {
        let mut under_way = self.under_way.borrow_mut();
        let count = under_way.entry(Arc::clone(policy)).or_default();
        if *count >= MAX_OF_POLICY {
            return None;
        }
        *count += 1;
        Some(Place { under_way: Rc::clone(&self.under_way), policy: Arc::clone(policy) })
    }

    pub(super) fn rehearsed_place(&self) -> Option<RehearsedPlace> {
        let count = self.rehearsed.get();
        (count < MAX_REHEARSED).then(|| {
            self.rehearsed.set(count + 1);
            RehearsedPlace(Rc::clone(&self.rehearsed))
        })
    }

    /// For a body of which nothing has come yet.
    pub(in crate::pipeline) fn room(&self) -> Room {
        Room { shown_bytes: Rc::clone(&self.shown_bytes), own: 0 }
    }
}

impl Room {
    /// Takes room for so many bytes more, if it is there.
    pub(in crate::pipeline) fn take(&mut self, bytes: usize) -> bool {
        let taken = self.shown_bytes.get() + bytes;
        let fits = taken <= MAX_SHOWN_BYTES;
        if fits {
            self.shown_bytes.set(taken);
            self.own += bytes;
        }
        fits
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shown_bytes.set(self.shown_bytes.get().saturating_sub(self.own));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.under_way.borrow_mut();
        if let Some(count) = under_way.get_mut(&self.policy) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                under_way.remove(&self.policy);
            }
        }
    }
}

impl Drop for RehearsedPlace {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_has_places_of_its_own_which_come_back() {
        let desk = Desk::default();
        let (one, other): (Arc<str>, Arc<str>) = ("ApiPolicy a/one".into(), "ApiPolicy a/other".into());
        let places: Vec<_> = (0..MAX_OF_POLICY).filter_map(|_| desk.place(&one)).collect();
        assert_eq!(places.len(), 256);
        assert!(desk.place(&one).is_none() && desk.place(&other).is_some());
        drop(places);
        assert!(desk.place(&one).is_some());
        assert!(desk.under_way.borrow().is_empty(), "nothing is kept of who asks nobody");
    }

    #[test]
    fn bodies_that_are_held_have_room_together() {
        let desk = Desk::default();
        let (mut one, mut other) = (desk.room(), desk.room());
        assert!(one.take(MAX_SHOWN_BYTES - 1) && other.take(1) && !other.take(1));
        drop(one);
        assert!(other.take(MAX_SHOWN_BYTES - 1) && !other.take(1));
    }

    #[test]
    fn what_is_only_reported_has_few_places() {
        let desk = Desk::default();
        let places: Vec<_> = (0..200).filter_map(|_| desk.rehearsed_place()).collect();
        assert_eq!(places.len(), 100);
        drop(places);
        assert!(desk.rehearsed_place().is_some());
    }
}
