//! An exchange on an HTTP/2 connection whose caller has to take the response.
//!
//! The socket may well be taken from while one stream is not: the caller opens the window of a stream as it likes. Hyper waits for
//! it without asking the response's body for more, so that a body cannot tell. The task of the exchange can: it has been woken and
//! has to wait again, and the body was not asked.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Patience;

/// What the body of a response did last. Shared by all exchanges of a connection, of which one runs at a time.
#[derive(Default)]
pub(crate) struct LastTurn(Cell<Turn>);

#[derive(Clone, Copy, Default)]
enum Turn {
    /// The body was not asked.
    #[default]
    None,
    /// The body gave something away, or ended.
    Given,
    /// The body waits for the service.
    Waiting,
}

impl LastTurn {
    /// The body of a response was asked, and this is its answer.
    pub(crate) fn note<T>(&self, answer: &Poll<T>) {
        self.0.set(if answer.is_pending() { Turn::Waiting } else { Turn::Given });
    }
}

/// Runs exchanges on the worker of their connection; ends those whose caller takes nothing for `limit`.
#[derive(Clone)]
pub(crate) struct PacedExchanges {
    pub(crate) last_turn: Rc<LastTurn>,
    pub(crate) limit: Duration,
}

impl<F: Future + 'static> hyper::rt::Executor<F> for PacedExchanges {
    fn execute(&self, exchange: F) {
        let (last_turn, mut pace) = (Rc::clone(&self.last_turn), Pace::new(self.limit));
        tokio::task::spawn_local(async move {
            let mut exchange = pin!(exchange);
            poll_fn(|context| {
                last_turn.0.set(Turn::None);
                if exchange.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                pace.judge(context, last_turn.0.get())
            })
            .await;
        });
    }
}

struct Pace {
    patience: Patience,
    /// The body has been asked before: the service has answered.
    answering: bool,
}

impl Pace {
    fn new(limit: Duration) -> Self {
        Self { patience: Patience::new(limit), answering: false }
    }

    /// Ready when the caller has taken nothing for too long.
    fn judge(&mut self, context: &mut Context<'_>, turn: Turn) -> Poll<()> {
        match turn {
            Turn::None if !self.answering => Poll::Pending,
            Turn::None => self.patience.poll(context),
            Turn::Given => {
                self.answering = true;
                self.patience.relax();
                self.patience.poll(context)
            }
            Turn::Waiting => {
                self.answering = true;
                self.patience.relax();
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Whether an exchange that goes through these turns, and then waits, is given up within three limits; when.
    async fn given_up(turns: &[Turn]) -> Option<Duration> {
        let (mut pace, began) = (Pace::new(LIMIT), Instant::now());
        for turn in turns {
            let _first = poll_fn(|context| Poll::Ready(pace.judge(context, *turn))).await;
            tokio::time::sleep(LIMIT / 2).await;
        }
        let waited = timeout(LIMIT * 3, poll_fn(|context| pace.judge(context, Turn::None))).await;
        waited.is_ok().then(|| began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_caller_that_takes_nothing_is_given_up() {
        assert_eq!(given_up(&[]).await, None, "the service has not answered yet");
        assert_eq!(given_up(&[Turn::Given]).await, Some(LIMIT));
        assert_eq!(given_up(&[Turn::Given, Turn::None]).await, Some(LIMIT), "being woken buys no time");
        assert_eq!(given_up(&[Turn::Given, Turn::Given, Turn::Given]).await, Some(LIMIT * 2), "taking does");
    }

    #[tokio::test(start_paused = true)]
    async fn the_pauses_of_a_service_are_not_the_callers() {
        let mut pace = Pace::new(LIMIT);
        let _given = poll_fn(|context| Poll::Ready(pace.judge(context, Turn::Given))).await;
        let waiting = poll_fn(|context| pace.judge(context, Turn::Waiting));
        assert!(timeout(LIMIT * 3, waiting).await.is_err());
    }
}
