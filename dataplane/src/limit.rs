//! How much of something one may have: requests in a window of time or a calendar period, and requests at once. Counted in this process, for
//! all its workers, or in a store for all data planes.

pub mod allowance;
pub mod at_once;
mod debt;
pub mod quota;
pub mod registry;
pub mod store;
mod table;
pub mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::UnixMs;
use at_once::{AtOnce, Place};
use debt::Debt;
use quota::{Period, Quotas};
use store::Answer;
use table::Room;
use window::{Left, Window, Windows};

/// What a limit counts. It outlives changes of the number that it allows.
pub struct Counters {
    began: Instant,
    /// Of what they are of: by it a store knows them.
    digest: [u8; 32],
    counted: Counted,
}

enum Counted {
    Windows(Box<Windows>),
    Quotas(Box<Quotas>),
    AtOnce(Box<AtOnce>),
}

/// What a limit is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amount {
    /// Requests in any time of that length.
    Window(Duration),
    /// Requests in a calendar period; only a store counts them.
    Quota(Period),
    /// Requests under way.
    AtOnce,
}

/// What a store is told with a question: what was admitted beside it, and what it has told itself of which period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// What is owed now, of all that ever was on this account.
    pub beside: u64,
    pub total: u64,
    pub account: u64,
    pub number: u64,
    pub used: u32,
}

impl Owed {
    fn of(debt: Debt) -> Self {
        Self { beside: debt.owed(), total: debt.total(), account: debt.account(), ..Self::default() }
    }
}

/// What a request was given of a limit.
pub enum Share {
    /// A use of the window in that part of time, with what is left of it, and whether others without a key of their own share it.
    Use { left: Left, at: u64, is_shared: bool },
    /// A place, for as long as this is kept.
    Place(Place),
}

/// A window is used up: when one more request would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedUp {
    pub until: Option<Duration>,
    pub is_shared: bool,
}

impl Counters {
    /// Of that amount, known by `digest`.
    pub fn new(amount: Amount, digest: [u8; 32], room: &Arc<Room>) -> Self {
        let counted = match amount {
            Amount::Window(length) => Counted::Windows(Box::new(Windows::new(Window::new(length), room))),
            Amount::Quota(period) => Counted::Quotas(Box::new(Quotas::new(period, room))),
            Amount::AtOnce => Counted::AtOnce(Box::new(AtOnce::new(room))),
        };
        Self { began: Instant::now(), digest, counted }
    }

    /// What they count.
    pub fn amount(&self) -> Amount {
        match &self.counted {
            Counted::Windows(windows) => Amount::Window(windows.window.length()),
            Counted::Quotas(quotas) => Amount::Quota(quotas.period),
            Counted::AtOnce(_) => Amount::AtOnce,
        }
    }

    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Takes one of `most` for `key`; `None` stands for all who have none. `None` is given where only a store could tell.
    pub fn take(self: &Arc<Self>, key: Option<&[u8]>, most: u32) -> Option<Result<Share, UsedUp>> {
        match &self.counted {
            Counted::Windows(windows) => Some(windows.take(key, most, self.now_ms())),
            Counted::Quotas(_) => None,
            Counted::AtOnce(at_once) => Some(at_once.take(self, key, most).map(Share::Place)),
        }
    }

    /// The same while the store is away that counts them: one of this data plane's share, which is owed to it.
    pub fn take_beside(
        self: &Arc<Self>,
        key: Option<&[u8]>,
        (most, replicas): (u32, u32),
        now: UnixMs,
    ) -> Option<Result<Share, UsedUp>> {
        match &self.counted {
            Counted::Windows(windows) => {
                let share = windows.take(key, (most / replicas.max(1)).max(1), self.now_ms());
                if let Ok(Share::Use { is_shared, at, .. }) = &share {
                    windows.owe(key.filter(|_| !is_shared), *at);
                }
                Some(share)
            }
            Counted::Quotas(quotas) => {
                let moment = quotas.period.at(now);
                let taken = quotas.take_share(key, (most, replicas), moment)?;
                let left = |requests| Left { requests, until: moment.ends_in };
                let share = |requests| Share::Use { left: left(requests), at: 0, is_shared: key.is_none() };
                Some(taken.map(share))
            }
            Counted::AtOnce(_) => self.take(key, (most / replicas.max(1)).max(1)),
        }
    }

    /// Gives back a use that was taken for `key` at that time, by a request that another limit has refused.
    pub fn give_back(&self, key: Option<&[u8]>, at: u64) {
        if let Counted::Windows(windows) = &self.counted {
            windows.give_back(key, at);
        }
    }

    /// The same of one that was taken beside the store.
    pub fn give_back_beside(&self, key: Option<&[u8]>, at: u64) {
        match &self.counted {
            Counted::Windows(windows) => {
                windows.forgive(key, at);
                windows.give_back(key, at);
            }
            Counted::Quotas(quotas) => quotas.forgive(key),
            Counted::AtOnce(_) => {}
        }
    }

    /// Whether `key` is known here, or there is room for it: newcomers beyond that share one number, in a store as well, which callers could
    /// fill up otherwise.
    pub(crate) fn has_room(&self, key: &[u8], now: UnixMs) -> bool {
        match &self.counted {
            Counted::Windows(windows) => windows.has_room(key, self.now_ms()),
            Counted::Quotas(quotas) => quotas.has_room(key, now),
            Counted::AtOnce(_) => true,
        }
    }

    /// What a store is to be told with a question about `key`.
    pub(crate) fn owed(&self, key: Option<&[u8]>) -> Owed {
        match &self.counted {
            Counted::Windows(windows) => Owed::of(windows.debt(key, self.now_ms())),
            Counted::Quotas(quotas) => {
                let told = quotas.known_of(key);
                Owed { number: told.number, used: told.used, ..Owed::of(told.debt) }
            }
            Counted::AtOnce(_) => Owed::default(),
        }
    }

    /// What the store has said, of a question that all was taken of, or nothing; it has taken in what it was told.
    pub(crate) fn hear(&self, key: Option<&[u8]>, answer: &Answer, (is_taken, told): (bool, Owed)) {
        match &self.counted {
            Counted::Windows(windows) => {
                windows.pay(key, (told.account, told.total));
                // So that this data plane knows what it has had, once the store is away.
                if is_taken {
                    let _noted = windows.take(key, u32::MAX, self.now_ms());
                }
            }
            Counted::Quotas(quotas) => quotas.told(key, (answer.number, answer.used), (told.account, told.total)),
            Counted::AtOnce(_) => {}
        }
    }

    /// Of a clock that nobody sets.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
