//! Quotas of calendar periods. Only a store counts them; here it is kept what it has told, for as long as it is away.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use parking_lot::Mutex;

use super::UsedUp;
use super::debt::Debt;
use super::table::{Kept, Room, Table};
use crate::clock::UnixMs;

/// What is owed of a period that is over is nobody's.
const LONGEST_PERIOD_H: u64 = 32 * 24;

/// A day or a month of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    Day,
    Month,
}

/// Which one, and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) number: u64,
    pub(super) ends_in: Duration,
}

/// What the store has told last, and what was admitted since without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The day or month that it is about.
    pub(super) number: u64,
    pub(super) used: u32,
    pub(super) debt: Debt,
    /// The hour in which it was asked about last.
    hour: u64,
}

/// What is known for each key, and for all who have none.
pub(super) struct Quotas {
    pub(super) period: Period,
    own: Table<Told>,
    shared: Mutex<Told>,
}

impl Period {
    /// The day or month that a moment lies in: days since 1970, or months since the year 0.
    pub(super) fn at(self, now: UnixMs) -> Moment {
        let now = Timestamp::from_second(now.seconds()).unwrap_or(Timestamp::UNIX_EPOCH);
        let today = now.to_zoned(TimeZone::UTC).date();
        let (number, next) = match self {
            Self::Day => (days_since_1970(today), today.tomorrow().unwrap_or(today)),
            Self::Month => (months(today), today.last_of_month().tomorrow().unwrap_or(today)),
        };
        let ends = next.to_zoned(TimeZone::UTC).map_or(now, |next| next.timestamp());
        let ends_in = Duration::try_from(ends.duration_since(now)).unwrap_or_default();
        Moment { number: u64::try_from(number).unwrap_or_default(), ends_in }
    }

    /// How messages name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

fn days_since_1970(today: Date) -> i64 {
    let since = today.since(date(1970, 1, 1)).map(|span| span.get_days());
    since.map_or(0, i64::from)
}

fn months(today: Date) -> i64 {
    i64::from(today.year()) * 12 + i64::from(today.month()) - 1
}

impl Kept for Told {
    /// The hour that it is.
    type Time = u64;

    /// Whoever has not been asked about for a while is asked about at the store: what is kept here is for when that is away.
    fn is_idle(&self, hour: u64) -> bool {
        let owes = self.debt.owed() > 0 && hour < self.hour + LONGEST_PERIOD_H;
        !owes && self.hour + 1 < hour
    }
}

impl Quotas {
    pub(super) fn new(period: Period, room: &Arc<Room>) -> Self {
        Self { period, own: Table::new(room), shared: Mutex::default() }
    }

    pub(super) fn has_room(&self, key: &[u8], now: UnixMs) -> bool {
        let hour = hour(now);
        self.own.with(key, hour, hour, |told| told.hour = hour).is_some()
    }

    /// What is known, for the store to be told.
    pub(super) fn known_of(&self, key: Option<&[u8]>) -> Told {
        self.known(key, |told| *told).unwrap_or_default()
    }

    /// What the store says, which has taken in what it was told of that account, up to that total. Answers overtake each other, and clocks are set back: of an older
    /// period nothing is news.
    pub(super) fn told(&self, key: Option<&[u8]>, (number, used): (u64, u32), paid: (u64, u64)) {
        self.known(key, |told| {
            if told.number < number {
                *told = Told { number, used, debt: Debt::default(), hour: told.hour };
            } else if told.number == number {
                told.used = told.used.max(used);
                told.debt.pay(paid);
            }
        });
    }

    /// Takes one of this data plane's share of what was left when the store told of it last. `None`: it has told nothing of this period, and
    /// nobody begins it anew.
    pub(super) fn take_share(
        &self,
        key: Option<&[u8]>,
        (most, replicas): (u32, u32),
        now: Moment,
    ) -> Option<Result<u32, UsedUp>> {
        let is_shared = key.is_none();
        let take = |told: &mut Told| {
            (told.number == now.number).then(|| {
                let share = most.saturating_sub(told.used) / replicas.max(1);
                let beside = u32::try_from(told.debt.owed()).unwrap_or(u32::MAX);
                if beside >= share {
                    return Err(UsedUp { until: Some(now.ends_in), is_shared });
                }
                told.debt.owe();
                Ok(share - beside - 1)
            })
        };
        self.known(key, take).flatten()
    }

    /// One that was admitted beside the store has not been used.
    pub(super) fn forgive(&self, key: Option<&[u8]>) {
        self.known(key, |told| told.debt.forgive(1));
    }

    fn known<R>(&self, key: Option<&[u8]>, work: impl FnOnce(&mut Told) -> R) -> Option<R> {
        match key {
            Some(key) => self.own.with_known(key, work),
            None => Some(work(&mut self.shared.lock())),
        }
    }
}

fn hour(now: UnixMs) -> u64 {
    u64::try_from(now.seconds() / 3_600).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Moment = Moment { number: 7, ends_in: Duration::from_secs(60) };

    fn at(text: &str) -> UnixMs {
        UnixMs::from_seconds(text.parse::<Timestamp>().unwrap().as_second())
    }

    #[test]
    fn periods_are_of_utc_and_of_the_calendar() {
        for (now, period, number, ends_in_s) in [
            ("1970-01-01T00:00:00Z", Period::Day, 0, 86_400),
            ("2026-11-28T23:59:59Z", Period::Day, 20_785, 1),
            ("2026-11-28T23:59:59+02:00", Period::Day, 20_785, 7_201),
            ("2024-02-29T00:00:00Z", Period::Month, 24_289, 86_400),
            ("2026-12-31T23:59:59Z", Period::Month, 24_323, 1),
            ("2027-01-01T00:00:00Z", Period::Month, 24_324, 31 * 86_400),
        ] {
            let expected = Moment { number, ends_in: Duration::from_secs(ends_in_s) };
            assert_eq!(period.at(at(now)), expected, "{now} {period:?}");
        }
    }

    const NOON: UnixMs = UnixMs(1_800_000_000_000);

    fn quotas(key: Option<&[u8]>) -> Quotas {
        let quotas = Quotas::new(Period::Day, &Arc::default());
        assert!(key.is_none_or(|key| quotas.has_room(key, NOON)));
        quotas
    }

    #[test]
    fn of_what_the_store_has_told_each_has_a_share_and_nobody_begins_anew() {
        for key in [Some(&b"ada"[..]), None] {
            let quotas = quotas(key);
            assert_eq!(quotas.take_share(key, (10, 2), DAY), None, "nobody knows what is left");
            quotas.told(key, (DAY.number, 5), (0, 0));
            let used_up = UsedUp { until: Some(DAY.ends_in), is_shared: key.is_none() };
            let taken: Vec<_> = (0..3).map(|_| quotas.take_share(key, (10, 2), DAY)).collect();
            assert_eq!(taken, [Some(Ok(1)), Some(Ok(0)), Some(Err(used_up))]);
            let tomorrow = Moment { number: 8, ..DAY };
            assert_eq!(quotas.take_share(key, (10, 2), tomorrow), None, "a new period is not begun beside the store");
        }
    }

    #[test]
    fn what_was_admitted_beside_the_store_is_owed_until_it_has_taken_it_in() {
        let key = Some(&b"ada"[..]);
        let quotas = quotas(key);
        quotas.told(key, (7, 1), (0, 0));
        assert!(matches!(quotas.take_share(key, (10, 1), DAY), Some(Ok(_))));
        let asked = quotas.known_of(key);
        assert_eq!((asked.debt.owed(), asked.debt.total()), (1, 1));
        assert_eq!(quotas.known_of(key), asked, "a question that is given up leaves it owed");
        assert!(matches!(quotas.take_share(key, (10, 1), DAY), Some(Ok(_))));
        quotas.told(key, (7, 3), (asked.debt.account(), asked.debt.total()));
        assert_eq!(quotas.known_of(key).debt.owed(), 1, "what came meanwhile is owed still");
        quotas.told(key, (7, 2), (0, 0));
        assert_eq!(quotas.known_of(key).used, 3, "answers may overtake each other");
    }

    #[test]
    fn what_was_owed_of_a_period_that_is_over_is_nobodys_and_an_older_one_is_no_news() {
        let key = Some(&b"ada"[..]);
        let quotas = quotas(key);
        quotas.told(key, (7, 1), (0, 0));
        assert!(matches!(quotas.take_share(key, (10, 1), DAY), Some(Ok(_))));
        quotas.told(key, (8, 2), (0, 0));
        assert_eq!((quotas.known_of(key).used, quotas.known_of(key).debt.owed()), (2, 0));
        quotas.told(key, (7, 9), (0, 0));
        assert_eq!((quotas.known_of(key).number, quotas.known_of(key).used), (8, 2), "a clock was set back");
    }

    #[test]
    fn one_who_is_not_asked_about_makes_room_unless_something_is_owed() {
        let room = Arc::default();
        let quotas = Quotas::new(Period::Month, &room);
        for key in [&b"ada"[..], b"joe"] {
            assert!(quotas.has_room(key, NOON));
            quotas.told(Some(key), (7, 1), (0, 0));
        }
        assert!(matches!(quotas.take_share(Some(b"joe"), (10, 1), DAY), Some(Ok(_))));
        let later = NOON.plus(Duration::from_secs(2 * 3_600));
        (0..200).for_each(|at| assert!(quotas.has_room(format!("{at}").as_bytes(), later)));
        assert_eq!(quotas.known_of(Some(b"ada")), Told::default());
        assert_eq!(quotas.known_of(Some(b"joe")).debt.owed(), 1);
        let next_year = NOON.plus(Duration::from_secs(365 * 86_400));
        (0..200).for_each(|at| assert!(quotas.has_room(format!("new {at}").as_bytes(), next_year)));
        assert_eq!(
            quotas.known_of(Some(b"joe")),
            Told::default(),
            "nor is it kept for what nobody can be owed any more"
        );
    }
}
