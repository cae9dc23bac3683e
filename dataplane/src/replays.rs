//! Proofs of possession that were seen (RFC 9449, 11.1): none is taken twice, for as long as it could be taken by any policy.
//!
//! How long that is does not depend on the policy that sees one first: another may take older ones. Who has much room leaves as much to others: a key
//! what is free in its namespace, a namespace half of all.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use crate::clock::{Clock, UnixMs};
use crate::jwt::Thumbprint;
use crate::jwt::proof::{MAX_AGE, MAX_AHEAD, Proof};
use crate::nonces::Nonces;

/// Of all together: some 100 bytes each.
const MAX: u32 = 500_000;
/// Of one namespace.
const MAX_OF_NAMESPACE: u32 = MAX / 2;
/// What a key may have however full its namespace is.
const MIN_OF_KEY: u32 = 100;
/// How many are forgotten at a time, so that nobody waits for long: more than come.
const MAX_FORGOTTEN: usize = 32;
/// How long one is remembered from when it comes: it may come as much too early as it may be old later.
pub const REMEMBERED: Duration = MAX_AGE.saturating_add(MAX_AHEAD).saturating_add(SLACK);
/// Clocks of replicas and of a store differ.
const SLACK: Duration = Duration::from_secs(5);

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
    /// It has become too old meanwhile.
    Late,
    /// There is no room to remember it.
    Full(Whose),
}

/// Whose room is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Key,
    Namespace,
    All,
}

/// Those that this process has seen; shared by all workers.
pub struct Replays {
    pub counters: Counters,
    /// For Gateways whose data planes share no key.
    pub own_nonces: Nonces,
    clock: Clock,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    ids: HashSet<[u8; 16]>,
    of_key: HashMap<(Arc<str>, Thumbprint), u32>,
    of_namespace: HashMap<Arc<str>, u32>,
    /// In the order in which they came.
    remembered: VecDeque<Remembered>,
    /// It does not go back where the clock is put back: what was forgotten could be taken once more.
    now: Option<UnixMs>,
}

struct Remembered {
    until: UnixMs,
    id: [u8; 16],
    key: (Arc<str>, Thumbprint),
}

impl Replays {
    pub fn new(counters: Counters, clock: Clock) -> Self {
        Self { counters, own_nonces: Nonces::of_process(), clock, memory: Mutex::default() }
    }

    /// Remembers `proof`, of a token of a policy of `namespace`, if it is new.
    pub fn see(&self, proof: &Proof, namespace: &Arc<str>) -> Seen {
        let now = self.clock.now();
        // Others may have been waited for since it was judged.
        if proof.until < now { Seen::Late } else { self.memory.lock().see(proof, namespace, now) }
    }

    /// Whether it is remembered, be it by nobody who has seen it in earnest.
    pub fn knows(&self, proof: &Proof) -> bool {
        self.memory.lock().ids.contains(&proof.id)
    }
}

impl Memory {
    fn see(&mut self, proof: &Proof, namespace: &Arc<str>, now: UnixMs) -> Seen {
        let now = self.now.map_or(now, |last| last.max(now));
        self.now = Some(now);
        self.forget(now);
        if self.ids.contains(&proof.id) {
            return Seen::Before;
        }
        let key = (Arc::clone(namespace), proof.key);
        if let Some(whose) = self.is_full(&key) {
            return Seen::Full(whose);
        }
        self.ids.insert(proof.id);
        *self.of_key.entry(key.clone()).or_default() += 1;
        *self.of_namespace.entry(Arc::clone(namespace)).or_default() += 1;
        self.remembered.push_back(Remembered { until: now.plus(REMEMBERED), id: proof.id, key });
        Seen::Never
    }

    fn is_full(&self, key: &(Arc<str>, Thumbprint)) -> Option<Whose> {
        let of_key = self.of_key.get(key).copied().unwrap_or_default();
        let of_namespace = self.of_namespace.get(&key.0).copied().unwrap_or_default();
        let free = MAX_OF_NAMESPACE.saturating_sub(of_namespace);
        if self.remembered.len() >= MAX as usize {
            return Some(Whose::All);
        }
        if free == 0 {
            return Some(Whose::Namespace);
        }
        (of_key >= MIN_OF_KEY.max(free)).then_some(Whose::Key)
    }

    fn forget(&mut self, now: UnixMs) {
        for _ in 0..MAX_FORGOTTEN {
            let Some(oldest) = self.remembered.pop_front_if(|oldest| oldest.until < now) else { return };
            self.ids.remove(&oldest.id);
            count_down(&mut self.of_namespace, &oldest.key.0);
            count_down(&mut self.of_key, &oldest.key);
        }
    }
}

fn count_down<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn proof(number: u32, of: u32) -> Proof {
        let (mut id, mut key) = ([0; 16], [0; 32]);
        id[..4].copy_from_slice(&number.to_be_bytes());
        key[..4].copy_from_slice(&of.to_be_bytes());
        Proof { id, key, until: NOW.plus(MAX_AGE), wants_nonce: false }
    }

    fn later(by: Duration) -> UnixMs {
        NOW.plus(by)
    }

    fn sees(memory: &mut Memory, number: u32, of: u32, now: UnixMs) -> Seen {
        memory.see(&proof(number, of), &"shop".into(), now)
    }

    #[test]
    fn a_proof_is_taken_once_for_as_long_as_any_policy_could_take_it() {
        let mut memory = Memory::default();
        assert_eq!(sees(&mut memory, 1, 1, NOW), Seen::Never);
        for after in [Duration::ZERO, Duration::from_secs(1), MAX_AGE, MAX_AGE + MAX_AHEAD, REMEMBERED] {
            assert_eq!(sees(&mut memory, 1, 1, later(after)), Seen::Before, "{after:?}");
        }
        let by_then = later(REMEMBERED + Duration::from_millis(1));
        assert_eq!(sees(&mut memory, 2, 1, by_then), Seen::Never);
        assert_eq!((memory.ids.len(), memory.remembered.len(), memory.of_key.len()), (1, 1, 1));
    }

    #[test]
    fn nothing_is_forgotten_twice_as_soon_because_the_clock_was_put_back() {
        let mut memory = Memory::default();
        let hour = Duration::from_secs(3600);
        assert_eq!(sees(&mut memory, 1, 1, later(hour)), Seen::Never);
        assert_eq!(sees(&mut memory, 2, 1, NOW), Seen::Never);
        for number in [1, 2] {
            assert_eq!(sees(&mut memory, number, 1, later(hour)), Seen::Before);
            assert_eq!(sees(&mut memory, number, 1, later(REMEMBERED * 2)), Seen::Before);
        }
    }

    #[test]
    fn one_that_became_too_old_while_it_was_judged_is_not_taken() {
        let clock = Clock::default();
        let replays = Replays::new(Counters::default(), clock.clone());
        let one = Proof { until: clock.now().plus(Duration::from_secs(10)), ..proof(1, 1) };
        assert!(!replays.knows(&one));
        assert_eq!(replays.see(&one, &"shop".into()), Seen::Never);
        assert!(replays.knows(&one));
        assert_eq!(replays.see(&one, &"bank".into()), Seen::Before, "whoever sees it");
        let other = Proof { until: one.until, ..proof(2, 1) };
        clock.advance(Duration::from_secs(11));
        assert_eq!(replays.see(&other, &"shop".into()), Seen::Late);
    }

    #[test]
    fn whoever_signs_many_leaves_room_to_others() {
        let mut memory = Memory::default();
        let mut number = 0;
        let mut fill = |memory: &mut Memory, of: u32, namespace: &str| loop {
            number += 1;
            match memory.see(&proof(number, of), &namespace.into(), NOW) {
                Seen::Never => {}
                full => return full,
            }
        };
        assert_eq!(fill(&mut memory, 1, "shop"), Seen::Full(Whose::Key));
        assert_eq!(memory.of_namespace["shop"], MAX_OF_NAMESPACE / 2, "half of what its namespace has");
        assert_eq!(fill(&mut memory, 2, "shop"), Seen::Full(Whose::Key));
        assert_eq!(memory.of_namespace["shop"], MAX_OF_NAMESPACE * 3 / 4);
        let mut of = 3;
        while fill(&mut memory, of, "shop") == Seen::Full(Whose::Key) {
            of += 1;
        }
        assert_eq!(memory.of_namespace["shop"], MAX_OF_NAMESPACE);
        assert_eq!(memory.see(&proof(0, 0), &"shop".into(), NOW), Seen::Full(Whose::Namespace));
        assert_eq!(memory.see(&proof(1, 1), &"shop".into(), NOW), Seen::Before, "what is full still knows them");
        assert_eq!(memory.see(&proof(0, 0), &"bank".into(), NOW), Seen::Never);
        while fill(&mut memory, of, "bank") == Seen::Full(Whose::Key) {
            of += 1;
        }
        assert_eq!(memory.see(&proof(u32::MAX, 0), &"third".into(), NOW), Seen::Full(Whose::All));
        let by_then = later(REMEMBERED + Duration::from_millis(1));
        assert_eq!(memory.see(&proof(u32::MAX, 0), &"third".into(), by_then), Seen::Never);
        assert_eq!(memory.remembered.len(), MAX as usize + 1 - MAX_FORGOTTEN, "nobody waits for all of them");
        while memory.remembered.len() > 1 {
            memory.forget(by_then);
        }
        assert_eq!((memory.ids.len(), memory.of_key.len(), memory.of_namespace.len()), (1, 1, 1));
    }
}
