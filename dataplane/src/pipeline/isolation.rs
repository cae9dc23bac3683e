//! A defect that makes one exchange panic is counted, logged under its number, and ends that exchange alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use futures_util::FutureExt as _;

use crate::rejection::{Reason, Rejection};
use crate::server::worker::Worker;

/// Counts exchanges that ended in a panic.
pub(super) trait CountPanics {
    fn count_panic(&self);
}

impl CountPanics for Rc<Worker> {
    fn count_panic(&self) {
        self.shared().metrics.panics.inc();
    }
}

/// What comes of `work`; a panic in it is answered.
pub(super) async fn answered<T>(
    panics: &impl CountPanics,
    number: u128,
    work: impl Future<Output = Result<T, Rejection>>,
) -> Result<T, Rejection> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_panic| {
        note(panics, number, "a request made the gateway panic; it was answered with 500");
        Err(Rejection::because(Reason::Internal, "panic"))
    })
}

/// What one poll of a body gives; `None` if it panicked, after which it must not be polled again.
pub(super) fn polled<T>(panics: &impl CountPanics, number: u128, poll: impl FnOnce() -> T) -> Option<T> {
    let outcome = catch_unwind(AssertUnwindSafe(poll));
    if outcome.is_err() {
        note(panics, number, "a body made the gateway panic; it was broken off");
    }
    outcome.ok()
}

/// Runs `work` to its end, or to its panic.
pub(super) async fn run(panics: impl CountPanics, number: u128, work: impl Future<Output = ()>) {
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        note(&panics, number, "a tunnel made the gateway panic; it was closed");
    }
}

fn note(panics: &impl CountPanics, number: u128, what: &'static str) {
    panics.count_panic();
    tracing::error!(instance = format!("{number:032x}"), "{what}");
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    impl CountPanics for &Cell<u32> {
        fn count_panic(&self) {
            self.set(self.get() + 1);
        }
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_answered() {
        let counted = Cell::new(0);
        let outcome: Result<(), _> = answered(&&counted, 0, async { panic!("a defect") }).await;
        assert_eq!((outcome.map_err(|rejection| rejection.reason), counted.get()), (Err(Reason::Internal), 1));
        assert!(answered(&&counted, 0, async { Ok(()) }).await.is_ok());
        assert_eq!(counted.get(), 1);
    }

    #[test]
    fn a_panic_of_a_poll_is_counted_and_goes_no_further() {
        let counted = Cell::new(0);
        assert_eq!(polled::<()>(&&counted, 0, || panic!("a defect")), None);
        assert_eq!((polled(&&counted, 0, || 7), counted.get()), (Some(7), 1));
    }

    #[tokio::test]
    async fn a_panic_of_a_task_is_counted_and_goes_no_further() {
        let counted = Cell::new(0);
        run(&counted, 0, async { panic!("a defect") }).await;
        run(&counted, 0, async {}).await;
        assert_eq!(counted.get(), 1);
    }
}
