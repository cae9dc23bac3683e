//! Quotas of calendar periods. Only a store counts them; here it is kept what it has told, for as long as it is away.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use parking_lot::Mutex;

use super::UsedUp;
use super::table::{Kept, Room, Table};
use crate::clock::UnixMs;

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
    /// Admitted beside the store, and owed to it.
    pub(super) beside: u32,
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
    /// The day or month that it is.
    type Time = u64;

    fn is_idle(&self, number: u64) -> bool {
        self.number < number
    }
}

impl Quotas {
    pub(super) fn new(period: Period, room: &Arc<Room>) -> Self {
        Self { period, own: Table::new(room), shared: Mutex::default() }
    }

    /// What is known, for the store to be told. What is owed is not owed any more; [`Quotas::owe`] takes that back.
    pub(super) fn ask(&self, key: Option<&[u8]>) -> Told {
        let ask = |told: &mut Told| {
            let asked = *told;
            told.beside = 0;
            asked
        };
        match key {
            Some(key) => self.own.with_known(key, ask).unwrap_or_default(),
            None => ask(&mut self.shared.lock()),
        }
    }

    /// The store has not answered.
    pub(super) fn owe(&self, key: Option<&[u8]>, owed: u32) {
        let owe = |told: &mut Told| told.beside = told.beside.saturating_add(owed);
        match key {
            Some(key) => drop(self.own.with_known(key, owe)),
            None => owe(&mut self.shared.lock()),
        }
    }

    /// One that was admitted beside it has not been used.
    pub(super) fn forgive(&self, key: Option<&[u8]>) {
        let forgive = |told: &mut Told| told.beside = told.beside.saturating_sub(1);
        match key {
            Some(key) => drop(self.own.with_known(key, forgive)),
            None => forgive(&mut self.shared.lock()),
        }
    }

    /// What the store says. There may be no room for another key: then nobody knows it while the store is away.
    pub(super) fn told(&self, key: Option<&[u8]>, number: u64, used: u32) {
        let take_in = |told: &mut Told| match told.number == number {
            true => told.used = told.used.max(used),
            false => *told = Told { number, used, beside: 0 },
        };
        match key {
            Some(key) => drop(self.own.with(key, number, number, take_in)),
            None => take_in(&mut self.shared.lock()),
        }
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
                if told.beside >= share {
                    return Err(UsedUp { until: Some(now.ends_in), is_shared });
                }
                told.beside += 1;
                Ok(share - told.beside)
            })
        };
        match key {
            Some(key) => self.own.with_known(key, take).flatten(),
            None => take(&mut self.shared.lock()),
        }
    }
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

    #[test]
    fn of_what_the_store_has_told_each_has_a_share_and_nobody_begins_anew() {
        for key in [Some(&b"ada"[..]), None] {
            let quotas = Quotas::new(Period::Day, &Arc::default());
            if key.is_some() {
                assert_eq!(quotas.take_share(key, (10, 2), DAY), None, "nobody knows what is left");
            }
            quotas.told(key, DAY.number, 5);
            let used_up = UsedUp { until: Some(DAY.ends_in), is_shared: key.is_none() };
            let taken: Vec<_> = (0..3).map(|_| quotas.take_share(key, (10, 2), DAY)).collect();
            assert_eq!(taken, [Some(Ok(1)), Some(Ok(0)), Some(Err(used_up))]);
            let tomorrow = Moment { number: 8, ..DAY };
            assert_eq!(quotas.take_share(key, (10, 2), tomorrow), None, "a new period is not begun beside the store");
        }
    }

    #[test]
    fn what_was_admitted_beside_the_store_is_owed_until_it_answers() {
        let quotas = Quotas::new(Period::Day, &Arc::default());
        let key = Some(&b"ada"[..]);
        quotas.told(key, 7, 1);
        assert!(matches!(quotas.take_share(key, (10, 1), DAY), Some(Ok(_))));
        assert_eq!(quotas.ask(key), Told { number: 7, used: 1, beside: 1 });
        assert_eq!(quotas.ask(key).beside, 0, "it is told once");
        quotas.owe(key, 1);
        assert_eq!(quotas.ask(key).beside, 1);
        quotas.told(key, 7, 3);
        quotas.told(key, 7, 2);
        assert_eq!(quotas.ask(key), Told { number: 7, used: 3, beside: 0 }, "answers may overtake each other");
    }

    #[test]
    fn one_who_has_no_key_of_the_period_is_not_known() {
        let quotas = Quotas::new(Period::Month, &Arc::default());
        assert_eq!(quotas.ask(Some(b"nobody")), Told::default());
        quotas.owe(Some(b"nobody"), 3);
        assert_eq!(quotas.ask(Some(b"nobody")), Told::default());
    }
}
