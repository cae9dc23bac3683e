//! How long the other side may pause while something is under way.
//!
//! Nothing here costs an exchange that never pauses: a timer is made when something has to wait for the first time.

pub(crate) mod exchange;
pub(crate) mod socket;
pub(crate) mod tunnel;
pub mod upload;

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Waits for one thing after the other, for each no longer than `limit`.
pub(crate) struct Patience {
    limit: Duration,
    /// For what is waited for now, as soon as it is waited for.
    left: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, left: limit, timer: None, is_waiting: false }
    }

    /// What was waited for has come.
    pub(crate) fn relax(&mut self) {
        self.is_waiting = false;
        self.left = self.limit;
    }

    /// Some of what is waited for has come. For the rest there is what is left of the time, which does not pass until it is waited for.
    pub(crate) fn interrupt(&mut self) {
        if let Some(timer) = self.timer.as_ref().filter(|_| self.is_waiting) {
            let left = timer.deadline().saturating_duration_since(Instant::now());
            // Where it is over, and nobody has looked until now, nobody can tell when that came either.
            self.left = if left.is_zero() { self.limit } else { left };
        }
        self.is_waiting = false;
    }

    /// Ready when one thing has been waited for too long. To be asked whenever something is waited for.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| {
            self.is_waiting = true;
            Box::pin(tokio::time::sleep(self.left))
        });
        if !self.is_waiting {
            self.is_waiting = true;
            timer.as_mut().reset(Instant::now() + self.left);
        }
        timer.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_the_whole_limit_and_no_more() {
        let began = Instant::now();
        let mut patience = Patience::new(Duration::from_secs(60));
        for _ in 0..3 {
            let early = tokio::time::timeout(Duration::from_secs(59), poll_fn(|context| patience.poll(context))).await;
            assert!(early.is_err(), "{:?}", began.elapsed());
            patience.relax();
        }
        poll_fn(|context| patience.poll(context)).await;
        assert_eq!(began.elapsed().as_secs(), 3 * 59 + 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_interrupted_has_the_rest_of_its_limit() {
        let began = Instant::now();
        let mut patience = Patience::new(Duration::from_secs(60));
        patience.interrupt();
        for _ in 0..3 {
            let early = tokio::time::timeout(Duration::from_secs(15), poll_fn(|context| patience.poll(context))).await;
            assert!(early.is_err(), "{:?}", began.elapsed());
            patience.interrupt();
            tokio::time::sleep(Duration::from_secs(1000)).await;
            patience.interrupt();
        }
        poll_fn(|context| patience.poll(context)).await;
        assert_eq!(began.elapsed().as_secs(), 60 + 3 * 1000, "what is not waited for takes no time");
        patience.relax();
        assert!(tokio::time::timeout(Duration::ZERO, poll_fn(|context| patience.poll(context))).await.is_err());
        tokio::time::sleep(Duration::from_secs(61)).await;
        patience.interrupt();
        poll_fn(|context| patience.poll(context)).await;
        assert_eq!(began.elapsed().as_secs(), 60 + 3 * 1000 + 61 + 60, "whoever did not look blames nobody");
    }

    #[tokio::test(start_paused = true)]
    async fn being_asked_again_buys_no_time() {
        let began = Instant::now();
        let mut patience = Patience::new(Duration::from_secs(60));
        while tokio::time::timeout(Duration::from_secs(7), poll_fn(|context| patience.poll(context))).await.is_err() {}
        assert_eq!(began.elapsed().as_secs(), 60);
    }
}
