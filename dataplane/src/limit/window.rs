//! A window that slides over time in sixtieths: in none of its length pass more than are allowed, and what was used comes back at most a
//! sixtieth of it late.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::debt::Debt;
use super::table::{Kept, Room, Table};
use super::{Share, UsedUp};

/// Parts of a window.
const PARTS: u64 = 60;

/// How long a window is.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    ms: u64,
}

/// What is left of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub requests: u32,
    /// When the first of what is used comes back.
    pub until: Duration,
}

/// What was used of late, the oldest part first.
#[derive(Default)]
pub(super) struct Bucket {
    parts: SmallVec<[Part; 2]>,
    /// As many as there are in the parts beside the store.
    debt: Debt,
}

struct Part {
    /// Which sixtieth since counting began.
    at: u64,
    used: u32,
    /// Admitted while the store was away that counts them, and not taken in there yet.
    beside: u32,
}

impl Window {
    /// Of a length of a millisecond at least.
    pub fn new(length: Duration) -> Self {
        Self { ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX / PARTS).max(1) }
    }

    pub(super) fn length(self) -> Duration {
        Duration::from_millis(self.ms)
    }

    /// The part that a moment lies in.
    fn part(self, now_ms: u64) -> u64 {
        (u128::from(now_ms) * u128::from(PARTS) / u128::from(self.ms)).try_into().unwrap_or(u64::MAX)
    }

    /// How long it is until what was used in a part is in no window any more.
    fn until_forgotten(self, part: u64, now_ms: u64) -> Duration {
        let at = (u128::from(part) + u128::from(PARTS) + 1) * u128::from(self.ms);
        let at = at.div_ceil(u128::from(PARTS)).try_into().unwrap_or(u64::MAX);
        Duration::from_millis(at.saturating_sub(now_ms))
    }
}

impl Bucket {
    /// Takes one of `most`, or says when one would be there.
    fn take(&mut self, window: Window, most: u32, now_ms: u64) -> Result<(Left, u64), Duration> {
        // Threads read their clocks before they come here in some order: time never goes back.
        let part = window.part(now_ms).max(self.parts.last().map_or(0, |last| last.at));
        self.forget(part);
        let mut used: u64 = self.parts.iter().map(|one| u64::from(one.used)).sum();
        if used >= u64::from(most) {
            let frees = |one: &&Part| {
                used -= u64::from(one.used);
                used < u64::from(most)
            };
            let freeing = self.parts.iter().find(frees).map_or(part, |one| one.at);
            return Err(window.until_forgotten(freeing, now_ms));
        }
        match self.parts.last_mut().filter(|last| last.at == part) {
            Some(last) => last.used += 1,
            None => self.parts.push(Part { at: part, used: 1, beside: 0 }),
        }
        let oldest = self.parts.first().map_or(part, |one| one.at);
        let requests = u32::try_from(u64::from(most) - used - 1).unwrap_or_default();
        Ok((Left { requests, until: window.until_forgotten(oldest, now_ms) }, part))
    }

    /// What is in no window any more is owed to nobody.
    fn forget(&mut self, part: u64) {
        let debt = &mut self.debt;
        self.parts.retain(|one| {
            let lasts = one.at + PARTS >= part;
            if !lasts {
                debt.forgive(u64::from(one.beside));
            }
            lasts
        });
    }

    /// What was taken in that part was taken beside the store.
    fn owe(&mut self, at: u64) {
        if let Some(part) = self.parts.iter_mut().find(|one| one.at == at) {
            part.beside += 1;
            self.debt.owe();
        }
    }

    fn forgive(&mut self, at: u64) {
        if let Some(part) = self.parts.iter_mut().find(|one| one.at == at && one.beside > 0) {
            part.beside -= 1;
            self.debt.forgive(1);
        }
    }

    /// The store has taken in all up to that total, the oldest first.
    fn pay(&mut self, told: (u64, u64)) {
        let mut paid = u32::try_from(self.debt.pay(told)).unwrap_or(u32::MAX);
        for part in &mut self.parts {
            let of_part = part.beside.min(paid);
            part.beside -= of_part;
            paid -= of_part;
        }
    }

    fn give_back(&mut self, at: u64) {
        if let Some(part) = self.parts.iter_mut().find(|one| one.at == at) {
            part.used = part.used.saturating_sub(1);
        }
        self.parts.retain(|one| one.used > 0);
    }
}

impl Kept for Bucket {
    type Time = (Window, u64);

    fn is_idle(&self, (window, now_ms): Self::Time) -> bool {
        let part = window.part(now_ms);
        self.parts.iter().all(|one| one.at + PARTS < part)
    }
}

/// A bucket for each key, and one for all who have none.
pub(super) struct Windows {
    pub(super) window: Window,
    own: Table<Bucket>,
    shared: Mutex<Bucket>,
}

impl Windows {
    pub(super) fn new(window: Window, room: &Arc<Room>) -> Self {
        Self { window, own: Table::new(room), shared: Mutex::default() }
    }

    pub(super) fn take(&self, key: Option<&[u8]>, most: u32, now_ms: u64) -> Result<Share, UsedUp> {
        let take = |bucket: &mut Bucket| bucket.take(self.window, most, now_ms);
        // When they may be looked through for what can go: often enough, and never so often that it costs.
        let since = self.window.part(now_ms);
        let own = key.and_then(|key| self.own.with(key, (self.window, now_ms), since, take));
        let is_shared = own.is_none();
        let taken = own.unwrap_or_else(|| take(&mut self.shared.lock()));
        let (left, at) = taken.map_err(|until| UsedUp { until: Some(until), is_shared })?;
        Ok(Share::Use { left, at, is_shared })
    }

    pub(super) fn has_room(&self, key: &[u8], now_ms: u64) -> bool {
        self.own.with(key, (self.window, now_ms), self.window.part(now_ms), |_| ()).is_some()
    }

    /// What was taken in that part of time was taken beside the store.
    pub(super) fn owe(&self, key: Option<&[u8]>, at: u64) {
        self.known(key, |bucket| bucket.owe(at));
    }

    /// It has not been used.
    pub(super) fn forgive(&self, key: Option<&[u8]>, at: u64) {
        self.known(key, |bucket| bucket.forgive(at));
    }

    /// What is owed now.
    pub(super) fn debt(&self, key: Option<&[u8]>, now_ms: u64) -> Debt {
        let part = self.window.part(now_ms);
        let debt = self.known(key, |bucket| {
            bucket.forget(part);
            bucket.debt
        });
        debt.unwrap_or_default()
    }

    /// The store has taken in what it was told of that account, up to that total.
    pub(super) fn pay(&self, key: Option<&[u8]>, told: (u64, u64)) {
        self.known(key, |bucket| bucket.pay(told));
    }

    fn known<R>(&self, key: Option<&[u8]>, work: impl FnOnce(&mut Bucket) -> R) -> Option<R> {
        match key {
            Some(key) => self.own.with_known(key, work),
            None => Some(work(&mut self.shared.lock())),
        }
    }

    /// To whom it was taken of: a key, or all who have none.
    pub(super) fn give_back(&self, key: Option<&[u8]>, at: u64) {
        match key {
            Some(key) => drop(self.own.with_known(key, |bucket| bucket.give_back(at))),
            None => self.shared.lock().give_back(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Window = Window { ms: 60_000 };

    #[test]
    fn what_is_used_up_comes_back_when_it_is_in_no_window_any_more() {
        let mut bucket = Bucket::default();
        for left in [2, 1, 0] {
            let (taken, _) = bucket.take(MINUTE, 3, 500).unwrap();
            assert_eq!(taken, Left { requests: left, until: Duration::from_millis(60_500) });
        }
        assert_eq!(bucket.take(MINUTE, 3, 500), Err(Duration::from_millis(60_500)));
        assert_eq!(bucket.take(MINUTE, 3, 60_999), Err(Duration::from_millis(1)));
        assert_eq!(bucket.take(MINUTE, 3, 61_000).unwrap().0.requests, 2);
    }

    /// Whatever the moments: no window of the length holds more than are allowed.
    #[test]
    fn no_window_holds_more_than_are_allowed() {
        let (mut bucket, window, most) = (Bucket::default(), Window { ms: 1_000 }, 7);
        let mut admitted = Vec::new();
        let mut random = 1_u64;
        let mut now = 0;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            now += (random >> 40) % 97;
            if bucket.take(window, most, now).is_ok() {
                admitted.push(now);
            }
        }
        assert!(admitted.len() > 5_000, "{}", admitted.len());
        let too_close = |held: &&[u64]| held.last().unwrap() - held.first().unwrap() < 1_000;
        assert_eq!(admitted.windows(usize::try_from(most).unwrap() + 1).find(too_close), None);
    }

    #[test]
    fn the_edge_of_a_window_lets_no_second_one_through() {
        let mut bucket = Bucket::default();
        let admitted = |bucket: &mut Bucket, now| (0..200).filter(|_| bucket.take(MINUTE, 100, now).is_ok()).count();
        assert_eq!(admitted(&mut bucket, 59_990), 100);
        assert_eq!(admitted(&mut bucket, 60_010), 0);
        assert_eq!(admitted(&mut bucket, 119_990), 0);
        assert_eq!(admitted(&mut bucket, 121_000), 100);
    }

    #[test]
    fn a_number_that_has_become_smaller_counts_what_was_used() {
        let mut bucket = Bucket::default();
        for now in [0, 10_000, 20_000, 30_000] {
            bucket.take(MINUTE, 10, now).unwrap();
        }
        // Three have to go until fewer than two are left.
        assert_eq!(bucket.take(MINUTE, 2, 30_000), Err(Duration::from_millis(51_000)));
        assert_eq!(bucket.take(MINUTE, 5, 30_000).unwrap().0.requests, 0);
    }

    #[test]
    fn a_clock_that_another_thread_read_earlier_takes_nothing_back() {
        let mut bucket = Bucket::default();
        bucket.take(MINUTE, 2, 90_000).unwrap();
        bucket.take(MINUTE, 2, 89_000).unwrap();
        assert!(bucket.take(MINUTE, 2, 88_000).is_err());
        assert!(bucket.take(MINUTE, 2, 150_999).is_err());
        assert!(bucket.take(MINUTE, 2, 151_000).is_ok());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_is_nobody_elses() {
        let windows = Windows::new(MINUTE, &Arc::default());
        let take = |key, most, now| match windows.take(key, most, now) {
            Ok(Share::Use { at, .. }) => Some(at),
            _ => None,
        };
        for key in [Some(&b"ada"[..]), None] {
            let first = take(key, 2, 0).unwrap();
            assert!(take(key, 2, 30_000).is_some());
            windows.give_back(key, first);
            assert!(take(key, 2, 30_000).is_some());
            assert!(take(key, 2, 61_000).is_none(), "both were used half a minute ago");
        }
        windows.give_back(Some(b"nobody"), 0);
        assert!(take(None, 2, 30_000).is_none(), "of a key that is not there nothing is given to all");
    }
}
