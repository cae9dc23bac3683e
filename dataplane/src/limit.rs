//! How much of something one may have: requests in a window of time, and requests at once. Counted in this process, for all its workers.

pub mod allowance;
pub mod at_once;
pub mod registry;
mod table;
pub mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use at_once::{AtOnce, Place};
use table::Room;
use window::{Left, Window, Windows};

/// What a limit counts. It outlives changes of the number that it allows.
pub struct Counters {
    began: Instant,
    counted: Counted,
}

enum Counted {
    Windows(Box<Windows>),
    AtOnce(Box<AtOnce>),
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
    /// Of requests in a window of this length.
    pub fn of_window(length: Duration, room: &Arc<Room>) -> Self {
        let windows = Windows::new(Window::new(length), room);
        Self { began: Instant::now(), counted: Counted::Windows(Box::new(windows)) }
    }

    /// Of requests at once.
    pub fn at_once(room: &Arc<Room>) -> Self {
        Self { began: Instant::now(), counted: Counted::AtOnce(Box::new(AtOnce::new(room))) }
    }

    /// Takes one of `most` for `key`; `None` stands for all who have none.
    pub fn take(self: &Arc<Self>, key: Option<&[u8]>, most: u32) -> Result<Share, UsedUp> {
        match &self.counted {
            Counted::Windows(windows) => windows.take(key, most, self.now_ms()),
            Counted::AtOnce(at_once) => at_once.take(self, key, most).map(Share::Place),
        }
    }

    /// Gives back a use that was taken for `key` at that time, by a request that another limit has refused.
    pub fn give_back(&self, key: Option<&[u8]>, at: u64) {
        if let Counted::Windows(windows) = &self.counted {
            windows.give_back(key, at);
        }
    }

    /// Length of the window, if it is one.
    pub fn window(&self) -> Option<Duration> {
        match &self.counted {
            Counted::Windows(windows) => Some(windows.window.length()),
            Counted::AtOnce(_) => None,
        }
    }

    /// Of a clock that nobody sets.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
