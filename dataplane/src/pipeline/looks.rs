//! When those who wait look at their permits again: one timer for each worker, none for each request.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::Duration;

use crate::map::Map;

/// Between two looks at a permit: half of the second within which a request has to end.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Groups of those who wait, woken one after the other: all at once would hold everybody else up.
const GROUPS: usize = 8;

/// Those of one worker who wait.
#[derive(Default)]
pub(crate) struct Looks {
    groups: [Group; GROUPS],
    entered: Cell<u64>,
}

#[derive(Default)]
struct Group {
    /// How often its turn has come.
    turns: Cell<u64>,
    /// By place.
    waiting: RefCell<Map<u64, Waker>>,
}

/// A place among those who wait. It costs nothing until its owner has to wait.
pub(crate) struct Place {
    number: u64,
    group: usize,
    /// Turn of the group from which on its owner has lasted, and the one at which it looked last.
    lasting: u64,
    looked: u64,
    is_waiting: bool,
}

impl Looks {
    /// Wakes one group after the other, for ever.
    pub(crate) async fn run(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY / u32::try_from(GROUPS).unwrap_or(1));
        for group in self.groups.iter().cycle() {
            ticks.tick().await;
            group.take_turn();
        }
    }

    /// A place for somebody who has just looked. The first turn is not its: it may come at once, and most are done before the second. A
    /// change that falls between is found within a second.
    pub(crate) fn enter(&self) -> Place {
        let number = self.entered.get();
        self.entered.set(number.wrapping_add(1));
        let group = usize::try_from(number).unwrap_or_default() % GROUPS;
        let turns = self.groups.get(group).map_or(0, |group| group.turns.get());
        Place { number, group, lasting: turns.saturating_add(2), looked: turns.saturating_add(1), is_waiting: false }
    }

    /// Whether it is time to look; it is then taken for done.
    pub(crate) fn is_due(&self, place: &mut Place) -> bool {
        let turns = self.turns(place);
        let is_due = turns > place.looked;
        place.looked = place.looked.max(turns);
        is_due
    }

    /// Whether a turn of its owner has come since the place was taken.
    pub(crate) fn has_lasted(&self, place: &Place) -> bool {
        place.lasting <= self.turns(place)
    }

    /// Has `waker` woken at each turn, until the place is left.
    pub(crate) fn wait(&self, place: &mut Place, waker: &Waker) {
        let Some(group) = self.groups.get(place.group) else { return };
        let mut waiting = group.waiting.borrow_mut();
        if !waiting.get(&place.number).is_some_and(|known| known.will_wake(waker)) {
            waiting.insert(place.number, waker.clone());
            place.is_waiting = true;
        }
    }

    /// Gives the place up.
    pub(crate) fn leave(&self, place: &Place) {
        if let Some(group) = self.groups.get(place.group).filter(|_| place.is_waiting) {
            group.waiting.borrow_mut().remove(&place.number);
        }
    }

    fn turns(&self, place: &Place) -> u64 {
        self.groups.get(place.group).map_or(0, |group| group.turns.get())
    }

    /// Every group's turn comes.
    #[cfg(test)]
    pub(crate) fn turn(&self) {
        self.groups.iter().for_each(Group::take_turn);
    }
}

impl Group {
    fn take_turn(&self) {
        self.turns.set(self.turns.get().saturating_add(1));
        self.waiting.borrow().values().for_each(Waker::wake_by_ref);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_who_has_left() {
        let looks = Looks::default();
        let mut places: Vec<_> = (0..20).map(|_| looks.enter()).collect();
        places.iter_mut().for_each(|place| looks.wait(place, Waker::noop()));
        let waiting = || looks.groups.iter().map(|group| group.waiting.borrow().len()).collect::<Vec<_>>();
        assert_eq!(waiting(), [3, 3, 3, 3, 2, 2, 2, 2], "groups are of one size");
        places.iter().for_each(|place| looks.leave(place));
        assert_eq!(waiting(), [0; GROUPS]);
    }

    #[test]
    fn a_look_is_due_once_a_turn_after_the_first() {
        let looks = Looks::default();
        let mut place = looks.enter();
        assert!(!looks.is_due(&mut place) && !looks.has_lasted(&place));
        looks.turn();
        assert!(!looks.is_due(&mut place) && !looks.has_lasted(&place), "the first may have come at once");
        looks.turn();
        assert!(looks.is_due(&mut place) && !looks.is_due(&mut place));
        assert!(looks.has_lasted(&place));
    }

    #[tokio::test(start_paused = true)]
    async fn each_turn_comes_twice_a_second() {
        let looks = Looks::default();
        let _over = tokio::time::timeout(Duration::from_millis(1999), looks.run()).await;
        assert_eq!(looks.groups.each_ref().map(|group| group.turns.get()), [4; GROUPS]);
    }
}
