//! Connections of which no token has come to be verified yet: few, and the oldest makes room.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Cheap to clone: each clone has the same places.
#[derive(Clone)]
pub(crate) struct Strangers {
    max: usize,
    max_per_address: usize,
    /// In the order in which they came.
    places: Arc<Mutex<Places>>,
}

#[derive(Default)]
struct Places {
    next: u64,
    taken: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

impl Strangers {
    pub(crate) fn within(max: usize, max_per_address: usize) -> Self {
        Self { max, max_per_address, places: Arc::default() }
    }

    /// A place for a connection from `address`, and whether another has been evicted for it.
    pub(crate) fn enter(&self, address: IpAddr) -> (Stranger, bool) {
        let address = address.to_canonical();
        let evicted = CancellationToken::new();
        let mut places = self.places.lock();
        let of_address = places.taken.iter().filter(|(_, (other, _))| *other == address);
        let oldest_of_address = of_address.clone().next().map(|(number, _)| *number);
        let is_address_full = of_address.count() >= self.max_per_address;
        let oldest = places.taken.keys().next().copied().filter(|_| places.taken.len() >= self.max);
        let leaves = if is_address_full { oldest_of_address } else { oldest };
        let left = leaves.and_then(|number| places.taken.remove(&number));
        if let Some((_, evicted)) = &left {
            evicted.cancel();
        }
        let number = places.next;
        places.next += 1;
        places.taken.insert(number, (address, evicted.clone()));
        drop(places);
        (Stranger { strangers: self.clone(), number, evicted }, left.is_some())
    }
}

/// A place, until it is known who it is, or it is dropped.
pub(crate) struct Stranger {
    strangers: Strangers,
    number: u64,
    evicted: CancellationToken,
}

impl Stranger {
    /// Ends when another has taken the place.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// It is known who it is, or will be in a moment: nobody takes the place any more.
    pub(super) fn is_known(&self) {
        self.strangers.places.lock().taken.remove(&self.number);
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.is_known();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn the_oldest_makes_room() {
        let strangers = Strangers::within(2, 2);
        let (first, _) = strangers.enter(address(1));
        let (second, has_evicted) = strangers.enter(address(2));
        assert!(!has_evicted && !first.evicted.is_cancelled());
        let (third, has_evicted) = strangers.enter(address(3));
        assert!(has_evicted && first.evicted.is_cancelled());
        assert!(!second.evicted.is_cancelled() && !third.evicted.is_cancelled());
    }

    #[test]
    fn one_address_takes_no_place_from_another() {
        let strangers = Strangers::within(10, 2);
        let (other, _) = strangers.enter(address(1));
        let floods: Vec<_> = (0..20).map(|_| strangers.enter(address(2)).0).collect();
        assert!(!other.evicted.is_cancelled());
        assert_eq!(floods.iter().filter(|one| !one.evicted.is_cancelled()).count(), 2);
        let (mapped, has_evicted) = strangers.enter("::ffff:10.0.0.2".parse().unwrap());
        assert!(has_evicted && !mapped.evicted.is_cancelled(), "another spelling is the same address");
    }

    #[test]
    fn who_is_known_is_not_evicted() {
        let strangers = Strangers::within(1, 1);
        let (known, _) = strangers.enter(address(1));
        known.is_known();
        let (_stranger, has_evicted) = strangers.enter(address(1));
        assert!(!has_evicted && !known.evicted.is_cancelled());
    }

    #[test]
    fn who_leaves_frees_the_place() {
        let strangers = Strangers::within(1, 1);
        drop(strangers.enter(address(1)));
        assert!(!strangers.enter(address(1)).1);
    }
}
