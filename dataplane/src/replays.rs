//! Proofs of possession that were seen (RFC 9449, 11.1): none is taken twice, for as long as it could be taken by any policy.
//!
//! How long that is does not depend on the policy that sees one first: another may take older ones. What is forgotten is too old for good, wherever the
//! clock goes. Who has much room leaves as much to others: a caller what is free in his namespace, a namespace what is free altogether.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use crate::clock::{Clock, UnixMs};
use crate::digest::{Digest, sha256};
use crate::jwt::proof::{MAX_AGE, MAX_AHEAD, Proof};
use crate::nonces::Nonces;

/// Of all together: some 200 bytes each.
const MAX: usize = 500_000;
/// What a namespace may have however full it is, and one caller.
const MIN_OF_NAMESPACE: usize = 5_000;
const MIN_OF_CALLER: usize = 100;
/// How many are forgotten at a time, so that nobody waits for long: more than come.
const MAX_FORGOTTEN: usize = 32;
/// The same where room is wanted, some milliseconds: after a pause a burst finds what another has left.
const MAX_FORGOTTEN_FOR_ROOM: usize = 32_768;
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
    /// It is so old that it may have been forgotten.
    Forgotten,
    /// There is no room to remember it.
    Full(Whose),
}

/// Whose room is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Caller,
    Namespace,
    All,
}

/// Whose token it is that a proof comes with.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// Of the policy.
    pub namespace: &'a Arc<str>,
    pub identity: &'a str,
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
    of_caller: HashMap<(Arc<str>, Digest), usize>,
    of_namespace: HashMap<Arc<str>, usize>,
    /// In the order in which they came.
    remembered: VecDeque<Remembered>,
    /// When the youngest of those was made that are forgotten.
    forgotten: Option<UnixMs>,
}

struct Remembered {
    until: Instant,
    made: UnixMs,
    id: [u8; 16],
    caller: (Arc<str>, Digest),
}

impl Replays {
    pub fn new(counters: Counters, clock: Clock) -> Self {
        Self { counters, own_nonces: Nonces::of_process(), clock, memory: Mutex::default() }
    }

    /// Whether it has become too old since it was judged: others may have been waited for.
    pub fn is_late(&self, proof: &Proof) -> bool {
        proof.until < self.clock.now()
    }

    /// Remembers `proof` if it is new.
    pub fn see(&self, proof: &Proof, owner: Owner<'_>) -> Seen {
        self.memory.lock().see(proof, owner, Instant::now())
    }

    /// Whether it is remembered, be it by nobody who has seen it in earnest.
    pub fn knows(&self, proof: &Proof) -> bool {
        self.memory.lock().ids.contains(&proof.id)
    }
}

impl Memory {
    fn see(&mut self, proof: &Proof, owner: Owner<'_>, now: Instant) -> Seen {
        self.forget(now, MAX_FORGOTTEN);
        if self.ids.contains(&proof.id) {
            return Seen::Before;
        }
        // By a clock that goes as it should nobody takes it by now.
        if self.forgotten.is_some_and(|forgotten| proof.made <= forgotten) {
            return Seen::Forgotten;
        }
        let caller = (Arc::clone(owner.namespace), sha256(owner.identity.as_bytes()));
        if self.is_full(&caller).is_some() {
            self.forget(now, MAX_FORGOTTEN_FOR_ROOM);
        }
        if let Some(whose) = self.is_full(&caller) {
            return Seen::Full(whose);
        }
        self.ids.insert(proof.id);
        *self.of_caller.entry(caller.clone()).or_default() += 1;
        *self.of_namespace.entry(Arc::clone(owner.namespace)).or_default() += 1;
        self.remembered.push_back(Remembered { until: now + REMEMBERED, made: proof.made, id: proof.id, caller });
        Seen::Never
    }

    fn is_full(&self, caller: &(Arc<str>, Digest)) -> Option<Whose> {
        let of_caller = self.of_caller.get(caller).copied().unwrap_or_default();
        let of_namespace = self.of_namespace.get(&caller.0).copied().unwrap_or_default();
        let free = MAX.saturating_sub(self.remembered.len());
        let free_in_namespace = free.saturating_sub(of_namespace);
        if free == 0 {
            Some(Whose::All)
        } else if of_namespace >= MIN_OF_NAMESPACE.max(free) {
            Some(Whose::Namespace)
        } else {
            (of_caller >= MIN_OF_CALLER.max(free_in_namespace)).then_some(Whose::Caller)
        }
    }

    fn forget(&mut self, now: Instant, most: usize) {
        for _ in 0..most {
            let Some(oldest) = self.remembered.pop_front_if(|oldest| oldest.until < now) else { return };
            self.forgotten = self.forgotten.max(Some(oldest.made));
            self.ids.remove(&oldest.id);
            count_down(&mut self.of_namespace, &oldest.caller.0);
            count_down(&mut self.of_caller, &oldest.caller);
            if self.remembered.is_empty() {
                // What a burst has taken is given back.
                *self = Self { forgotten: self.forgotten, ..Self::default() };
            }
        }
    }
}

fn count_down<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn proof(number: u32) -> Proof {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        Proof { id, made: NOW, until: NOW.plus(MAX_AGE), wants_nonce: false }
    }

    fn sees(memory: &mut Memory, proof: &Proof, (namespace, identity): (&str, &str), now: Instant) -> Seen {
        memory.see(proof, Owner { namespace: &namespace.into(), identity }, now)
    }

    const ADA: (&str, &str) = ("shop", "ada");

    #[test]
    fn a_proof_is_taken_once_for_as_long_as_any_policy_could_take_it() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        assert_eq!(sees(&mut memory, &proof(1), ADA, now), Seen::Never);
        for after in [Duration::ZERO, Duration::from_secs(1), MAX_AGE, MAX_AGE + MAX_AHEAD, REMEMBERED] {
            for whoever in [ADA, ("bank", "ada"), ("shop", "bob")] {
                assert_eq!(sees(&mut memory, &proof(1), whoever, now + after), Seen::Before, "{after:?}");
            }
        }
        let by_then = now + REMEMBERED + Duration::from_millis(1);
        let next = Proof { made: NOW.plus(REMEMBERED), ..proof(2) };
        assert_eq!(sees(&mut memory, &next, ADA, by_then), Seen::Never);
        assert_eq!((memory.ids.len(), memory.remembered.len(), memory.of_caller.len()), (1, 1, 1));
    }

    /// A clock that is put back makes fresh again what was forgotten.
    #[test]
    fn what_is_forgotten_is_too_old_wherever_the_clock_goes() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        assert_eq!(sees(&mut memory, &proof(1), ADA, now), Seen::Never);
        let by_then = now + REMEMBERED * 2;
        for (made, seen) in [(0, Seen::Forgotten), (-1, Seen::Forgotten), (1, Seen::Never)] {
            let again = Proof { made: UnixMs(NOW.0 + made), ..proof(2) };
            assert_eq!(sees(&mut memory, &again, ADA, by_then), seen, "{made}");
        }
        assert_eq!(sees(&mut memory, &proof(1), ADA, by_then), Seen::Forgotten);
        // Of a clock that goes as it should nothing is refused for that: whoever is forgotten is older than what is taken.
        assert!(REMEMBERED > MAX_AGE + MAX_AHEAD);
    }

    #[test]
    fn whoever_waits_too_long_is_late() {
        let clock = Clock::default();
        let replays = Replays::new(Counters::default(), clock.clone());
        let one = Proof { until: clock.now().plus(Duration::from_secs(10)), ..proof(1) };
        assert!(!replays.is_late(&one) && !replays.knows(&one));
        assert_eq!(replays.see(&one, Owner { namespace: &"shop".into(), identity: "ada" }), Seen::Never);
        assert!(replays.knows(&one));
        clock.advance(Duration::from_secs(11));
        assert!(replays.is_late(&one));
    }

    /// As many of one as there is room for.
    fn fill(memory: &mut Memory, numbers: &mut u32, owner: (&str, &str), now: Instant) -> Seen {
        loop {
            *numbers += 1;
            match sees(memory, &proof(*numbers), owner, now) {
                Seen::Never => {}
                full => return full,
            }
        }
    }

    #[test]
    fn whoever_sends_many_leaves_room_to_others() {
        let (mut memory, mut numbers, now) = (Memory::default(), 0, Instant::now());
        assert_eq!(fill(&mut memory, &mut numbers, ADA, now), Seen::Full(Whose::Caller));
        assert!((MAX / 4..MAX / 2).contains(&memory.remembered.len()), "{}", memory.remembered.len());
        // However many others there are, a namespace leaves as much to others as it has.
        let mut number = 0;
        let mut whole = |memory: &mut Memory, namespace: &str| loop {
            number += 1;
            if fill(memory, &mut numbers, (namespace, &format!("caller {number}")), now) != Seen::Full(Whose::Caller) {
                return;
            }
        };
        whole(&mut memory, "shop");
        assert_eq!(memory.of_namespace["shop"], MAX / 2);
        assert_eq!(sees(&mut memory, &proof(0), ("shop", "new"), now), Seen::Full(Whose::Namespace));
        assert_eq!(sees(&mut memory, &proof(1), ADA, now), Seen::Before, "what is full still knows them");
        whole(&mut memory, "bank");
        assert_eq!(memory.of_namespace["bank"], MAX / 4);
        assert_eq!(sees(&mut memory, &proof(0), ("post", "new"), now), Seen::Never);
        // After a pause hardly anybody is refused for what could not be taken any more.
        let by_then = now + REMEMBERED + Duration::from_millis(1);
        let next = Proof { made: NOW.plus(REMEMBERED), ..proof(u32::MAX) };
        let refused = (0..).take_while(|_| sees(&mut memory, &next, ADA, by_then) != Seen::Never).count();
        assert!(refused < 8, "{refused}");
        while memory.remembered.len() > 1 {
            memory.forget(by_then, MAX_FORGOTTEN);
        }
        assert_eq!((memory.ids.len(), memory.of_caller.len(), memory.of_namespace.len()), (1, 1, 1));
        memory.forget(by_then + REMEMBERED * 2, MAX_FORGOTTEN);
        assert_eq!(memory.ids.capacity() + memory.remembered.capacity(), 0, "nothing is kept of it");
    }
}
