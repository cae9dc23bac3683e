//! Requests at once: a place is a value, and is given back when it is dropped, however its request has ended.

use std::sync::Arc;

use parking_lot::Mutex;

use super::table::{Kept, Room, Table};
use super::{Counted, Counters, UsedUp};

/// How many places each key has taken, and all together who have none.
pub(super) struct AtOnce {
    own: Table<Count>,
    shared: Mutex<Count>,
}

#[derive(Default)]
struct Count(u32);

impl Kept for Count {
    type Time = ();

    fn is_idle(&self, (): ()) -> bool {
        self.0 == 0
    }
}

impl Count {
    fn take(&mut self, most: u32) -> bool {
        let is_free = self.0 < most;
        self.0 += u32::from(is_free);
        is_free
    }

    fn give_back(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }
}

/// A place that is taken for as long as this is kept.
///
/// With it the counters are kept: a limit that is out of force for a while knows of those who stayed.
pub struct Place {
    of: Arc<Counters>,
    /// `None`: of those who have none.
    key: Option<Box<[u8]>>,
}

impl std::fmt::Debug for Place {
    /// Whose it is, is not told.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place")
    }
}

impl Place {
    /// Whether others without a key of their own have it as well.
    pub fn is_shared(&self) -> bool {
        self.key.is_none()
    }
}

impl AtOnce {
    pub(super) fn new(room: &Arc<Room>) -> Self {
        Self { own: Table::new(room), shared: Mutex::default() }
    }

    /// A place of `counters`, which these are of.
    pub(super) fn take(&self, counters: &Arc<Counters>, key: Option<&[u8]>, most: u32) -> Result<Place, UsedUp> {
        let own = key.and_then(|key| Some((key, self.own.with(key, (), 0, |count| count.take(most))?)));
        let (key, is_taken) = match own {
            Some((key, is_taken)) => (Some(key), is_taken),
            None => (None, self.shared.lock().take(most)),
        };
        match is_taken {
            true => Ok(Place { of: Arc::clone(counters), key: key.map(Into::into) }),
            false => Err(UsedUp { until: None, is_shared: key.is_none() }),
        }
    }

    fn give_back(&self, key: Option<&[u8]>) {
        match key {
            Some(key) => self.own.end_with(key, (), Count::give_back),
            None => self.shared.lock().give_back(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Counted::AtOnce(at_once) = &self.of.counted {
            at_once.give_back(self.key.as_deref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Amount, Share};

    fn counters() -> Arc<Counters> {
        Arc::new(Counters::new(Amount::AtOnce, [0; 32], &Arc::default()))
    }

    fn take(counters: &Arc<Counters>, key: Option<&[u8]>, most: u32) -> Result<Place, UsedUp> {
        match counters.take(key, most).expect("it is counted here")? {
            Share::Place(place) => Ok(place),
            Share::Use { .. } => panic!("it counts what is under way"),
        }
    }

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        for key in [Some(&b"ada"[..]), None] {
            let counters = counters();
            let held: Vec<_> = (0..3).map(|_| take(&counters, key, 3).unwrap()).collect();
            let refused = take(&counters, key, 3).unwrap_err();
            assert_eq!(refused, UsedUp { until: None, is_shared: key.is_none() });
            assert!(take(&counters, Some(b"joe"), 3).is_ok(), "others have their own");
            drop(held);
            assert!(take(&counters, key, 1).is_ok());
        }
    }

    #[test]
    fn a_smaller_number_lets_nobody_in_until_as_many_have_gone() {
        let counters = counters();
        let mut held: Vec<_> = (0..4).map(|_| take(&counters, None, 4).unwrap()).collect();
        for left in [3, 2] {
            held.pop();
            assert_eq!(take(&counters, None, 2).is_ok(), left < 2, "{left}");
        }
        held.pop();
        assert!(take(&counters, None, 2).is_ok());
    }

    #[test]
    fn a_panic_gives_the_place_back() {
        let counters = counters();
        let other = Arc::clone(&counters);
        let panicked = std::thread::spawn(move || {
            let _place = take(&other, Some(b"ada"), 1).unwrap();
            panic!("in the middle of a request");
        });
        assert!(panicked.join().is_err());
        assert!(take(&counters, Some(b"ada"), 1).is_ok());
    }
}
