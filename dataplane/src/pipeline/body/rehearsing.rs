//! What is told of an exchange once policies have been heard that only report: its line waits for them, and is never lost for them.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::observe::access_log::Line;
use crate::observe::access_log::choice::Choice;
use crate::pipeline::authorizers::Verdict;
use crate::rejection::{Reason, Rejection};
use crate::server::worker::Worker;

/// What a policy that only reports is still asked for.
pub(super) struct Rehearsing {
    policy: Arc<str>,
    state: State,
}

enum State {
    /// Until the response has begun.
    Waiting(Pin<Box<dyn Future<Output = Verdict>>>),
    Asked(JoinHandle<Verdict>),
    Told(Verdict),
    /// Nobody is asked any more.
    Unknown,
}

impl Rehearsing {
    pub(super) fn new(policy: Arc<str>, question: impl Future<Output = Verdict> + 'static) -> Self {
        Self { policy, state: State::Waiting(Box::pin(question)) }
    }

    /// The response has begun.
    pub(super) fn begin(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Unknown) {
            State::Waiting(question) => State::Asked(tokio::task::spawn_local(question)),
            other => other,
        };
    }

    async fn hear(&mut self) {
        if let State::Asked(verdict) = &mut self.state {
            // One that panicked has said nothing.
            self.state = verdict.await.map_or(State::Unknown, State::Told);
        }
    }

    /// What it would have refused. What is not known is never told as what would have passed.
    fn refusal(self) -> Option<(Arc<str>, Rejection)> {
        match self.state {
            State::Told(Ok(())) => None,
            State::Told(Err(rejection)) => Some((self.policy, rejection)),
            State::Waiting(_) | State::Asked(_) | State::Unknown => {
                let why = "the request or the process ended before the authoriser had answered";
                Some((self.policy, Rejection::because(Reason::RehearsalIncomplete, why)))
            }
        }
    }
}

/// Tells of an exchange that has ended, at the latest when it is dropped.
pub(super) struct Told {
    pub(super) worker: Rc<Worker>,
    pub(super) logged: Choice,
    pub(super) instance: u128,
    pub(super) line: Line,
    pub(super) rehearsing: Vec<Rehearsing>,
}

impl Told {
    /// Whether there is somebody to wait for.
    pub(super) fn is_awaited(&self) -> bool {
        let is_asked = |one: &Rehearsing| matches!(one.state, State::Asked(_));
        !self.worker.has_stopped() && self.rehearsing.iter().any(is_asked)
    }

    pub(super) async fn when_rehearsed(mut self) {
        for one in &mut self.rehearsing {
            one.hear().await;
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let line = &mut self.line;
        for (policy, rejection) in self.rehearsing.drain(..).filter_map(Rehearsing::refusal) {
            if !line.rehearsed.iter().any(|(known, _)| *known == policy) {
                line.rehearsed.push((policy, rejection));
            }
        }
        self.worker.shared().observe(&self.line, self.logged, self.instance);
    }
}
