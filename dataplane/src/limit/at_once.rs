//! Requests at once: a place is a value, and is given back when it is dropped, however its request has ended.

use std::sync::Arc;

use parking_lot::Mutex;

use super::UsedUp;
use super::table::{Kept, Table};

/// How many places each key has taken, and all together who have none.
#[derive(Clone, Default)]
pub(super) struct AtOnce(Arc<Taken>);

#[derive(Default)]
struct Taken {
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
pub struct Place {
    of: AtOnce,
    /// `None`: of those who have none.
    key: Option<Box<[u8]>>,
}

impl std::fmt::Debug for Place {
    /// Whose it is, is not told.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place")
    }
}

impl AtOnce {
    pub(super) fn take(&self, key: Option<&[u8]>, most: u32) -> Result<Place, UsedUp> {
        let own = key.and_then(|key| Some((key, self.0.own.with(key, (), 0, |count| count.take(most))?)));
        let (key, is_taken) = match own {
            Some((key, is_taken)) => (Some(key), is_taken),
            None => (None, self.0.shared.lock().take(most)),
        };
        match is_taken {
            true => Ok(Place { of: self.clone(), key: key.map(Into::into) }),
            false => Err(UsedUp { until: None, is_shared: key.is_none() }),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match &self.key {
            Some(key) => self.of.0.own.end_with(key, (), Count::give_back),
            None => self.of.0.shared.lock().give_back(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        for key in [Some(&b"ada"[..]), None] {
            let at_once = AtOnce::default();
            let held: Vec<_> = (0..3).map(|_| at_once.take(key, 3).ok().unwrap()).collect();
            let refused = at_once.take(key, 3).err().unwrap();
            assert_eq!(refused, UsedUp { until: None, is_shared: key.is_none() });
            assert!(at_once.take(Some(b"joe"), 3).is_ok(), "others have their own");
            drop(held);
            assert_eq!(at_once.0.own.len(), 0);
            assert!(at_once.take(key, 1).is_ok());
        }
    }

    #[test]
    fn a_smaller_number_lets_nobody_in_until_as_many_have_gone() {
        let at_once = AtOnce::default();
        let mut held: Vec<_> = (0..4).map(|_| at_once.take(None, 4).ok().unwrap()).collect();
        for left in [3, 2] {
            held.pop();
            assert_eq!(at_once.take(None, 2).is_ok(), left < 2, "{left}");
        }
        held.pop();
        assert!(at_once.take(None, 2).is_ok());
    }

    #[test]
    fn a_panic_gives_the_place_back() {
        let at_once = AtOnce::default();
        let other = at_once.clone();
        let panicked = std::thread::spawn(move || {
            let _place = other.take(Some(b"ada"), 1).ok().unwrap();
            panic!("in the middle of a request");
        });
        assert!(panicked.join().is_err());
        assert!(at_once.take(Some(b"ada"), 1).is_ok());
    }
}
