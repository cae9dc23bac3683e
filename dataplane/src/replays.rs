//! Proofs of possession that were seen (RFC 9449, 11.1): none is taken twice, for as long as it could be taken at all.
//!
//! Each is remembered until it is too old. Whoever signs many has so much room and no more, so that nobody takes it from others.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use crate::clock::UnixMs;
use crate::jwt::Thumbprint;
use crate::jwt::proof::Proof;
use crate::nonces::Nonces;

/// Of one key.
const MAX_OF_KEY: u32 = 1_000;
/// Of all together: some 100 bytes each.
const MAX: usize = 200_000;

/// What came of proofs; a clone counts into the same.
#[derive(Clone, Default)]
pub struct Counters {
    pub accepted: Counter,
    /// Missing, or not what it has to be.
    pub invalid: Counter,
    pub replayed: Counter,
    /// Without a number of the Gateway's, or with an old one.
    pub nonce: Counter,
    /// It could not be told whether it was seen.
    pub unknown: Counter,
}

/// Whether a proof was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Never,
    Before,
    /// There is no room to remember it.
    Full,
}

/// Those that this process has seen; shared by all workers.
pub struct Replays {
    pub counters: Counters,
    /// For Gateways whose data planes share no key.
    pub own_nonces: Nonces,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    ids: HashSet<[u8; 16]>,
    of_key: HashMap<Thumbprint, u32>,
    /// By the moment from which on they are forgotten, the next on top.
    ends: BinaryHeap<Reverse<(UnixMs, [u8; 16], Thumbprint)>>,
}

impl Replays {
    pub fn new(counters: Counters) -> Self {
        Self { counters, own_nonces: Nonces::of_process(), memory: Mutex::default() }
    }

    /// Remembers `proof`, if it is new.
    pub fn see(&self, proof: &Proof, now: UnixMs) -> Seen {
        self.memory.lock().see(proof, now)
    }
}

impl Memory {
    fn see(&mut self, proof: &Proof, now: UnixMs) -> Seen {
        self.forget(now);
        if self.ids.contains(&proof.id) {
            return Seen::Before;
        }
        let of_key = self.of_key.get(&proof.key).copied().unwrap_or_default();
        if of_key >= MAX_OF_KEY || self.ids.len() >= MAX {
            return Seen::Full;
        }
        self.ids.insert(proof.id);
        self.of_key.insert(proof.key, of_key + 1);
        self.ends.push(Reverse((proof.until, proof.id, proof.key)));
        Seen::Never
    }

    /// Whoever could be taken at this very moment is remembered still.
    fn forget(&mut self, now: UnixMs) {
        while let Some(Reverse((until, id, key))) = self.ends.peek().copied() {
            if until >= now {
                break;
            }
            self.ends.pop();
            self.ids.remove(&id);
            match self.of_key.get_mut(&key) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.of_key.remove(&key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn proof(number: u32, of: u8, until: UnixMs) -> Proof {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        Proof { id, key: [of; 32], until, wants_nonce: false }
    }

    fn later(ms: i64) -> UnixMs {
        UnixMs(NOW.0 + ms)
    }

    #[test]
    fn a_proof_is_taken_once_for_as_long_as_it_could_be_taken() {
        let replays = Replays::new(Counters::default());
        let one = proof(1, 1, later(60_000));
        assert_eq!(replays.see(&one, NOW), Seen::Never);
        for now in [NOW, later(1), later(59_999), later(60_000)] {
            assert_eq!(replays.see(&one, now), Seen::Before, "{now:?}");
        }
        assert_eq!(replays.see(&proof(2, 1, later(60_000)), NOW), Seen::Never);
        // By then nobody takes it.
        assert_eq!(replays.see(&proof(3, 1, later(120_000)), later(60_001)), Seen::Never);
        let memory = replays.memory.lock();
        assert_eq!((memory.ids.len(), memory.ends.len(), memory.of_key[&[1; 32]]), (1, 1, 1));
    }

    #[test]
    fn whoever_signs_many_takes_no_room_from_others() {
        let replays = Replays::new(Counters::default());
        for number in 0..MAX_OF_KEY {
            assert_eq!(replays.see(&proof(number, 1, later(60_000)), NOW), Seen::Never);
        }
        assert_eq!(replays.see(&proof(MAX_OF_KEY, 1, later(60_000)), NOW), Seen::Full);
        assert_eq!(replays.see(&proof(0, 1, later(60_000)), NOW), Seen::Before, "what is full still knows them");
        assert_eq!(replays.see(&proof(MAX_OF_KEY, 2, later(60_000)), NOW), Seen::Never);
        assert_eq!(replays.see(&proof(MAX_OF_KEY + 1, 1, later(120_000)), later(60_001)), Seen::Never);
    }

    #[test]
    fn all_together_have_a_bound_and_nothing_stays() {
        let replays = Replays::new(Counters::default());
        for number in 0..u32::try_from(MAX).unwrap() {
            let of = u8::try_from(number / MAX_OF_KEY).unwrap();
            assert_eq!(replays.see(&proof(number, of, later(i64::from(number % 7))), NOW), Seen::Never);
        }
        assert_eq!(replays.see(&proof(u32::MAX, 255, later(9)), NOW), Seen::Full);
        assert_eq!(replays.see(&proof(u32::MAX, 255, later(9)), later(8)), Seen::Never);
        let memory = replays.memory.lock();
        assert_eq!((memory.ids.len(), memory.of_key.len(), memory.ends.len()), (1, 1, 1));
    }
}
