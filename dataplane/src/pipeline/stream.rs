//! How long a permit stands: WebSockets and streams end within a second of what admitted them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::permit::Permit;
use crate::route::Found;
use crate::runtime::keys::Door;
use crate::runtime::listener::Listener;
use crate::server::worker::Worker;

/// Between two looks at a stream: half of the second within which it has to end.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What has to go on holding while a stream lasts.
pub(super) struct Standing {
    worker: Rc<Worker>,
    permit: Permit,
    found: Found,
    listener: Arc<Listener>,
    generation: u64,
    /// The end of the time that the route gives a request.
    deadline: Option<Instant>,
}

impl Standing {
    /// `generation`: of the configuration that gave the permit.
    pub(super) fn new(
        worker: &Rc<Worker>,
        permit: Permit,
        found: Found,
        listener: Arc<Listener>,
        generation: u64,
    ) -> Self {
        Self { worker: Rc::clone(worker), permit, found, listener, generation, deadline: None }
    }

    /// Ends at `deadline` in any case.
    pub(super) fn until(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Instant {
        let usual = Instant::now() + LOOK_EVERY;
        self.deadline.map_or(usual, |deadline| deadline.min(usual))
    }

    /// Whether the stream may go on.
    pub(super) fn holds(&mut self) -> bool {
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return false;
        }
        if !self.permit.policy().end_on_expiry {
            return true;
        }
        let now = self.worker.shared().clock.now();
        if self.permit.expires().is_some_and(|end| end <= now) {
            return false;
        }
        let runtime = self.worker.runtime();
        if runtime.generation == self.generation {
            return true;
        }
        let policy = &self.permit.policy();
        let same_policy = runtime.policies.get(&policy.name).is_some_and(|current| current.hash == policy.hash);
        let same_subscription = self.permit.subscription().is_none_or(|(subscription, digest)| {
            let door =
                Door { api: &self.found.rule.api, gateway: &self.listener.gateway.name, products: &runtime.products };
            runtime
                .keys
                .find(digest)
                .is_some_and(|current| current.id == subscription.id && current.opens(&door, now).is_ok())
        });
        if same_policy && same_subscription && self.still_attached(&runtime) {
            self.generation = runtime.generation;
            return true;
        }
        false
    }

    /// Whether the rule is still there, on its listener, under the same policy.
    fn still_attached(&self, runtime: &crate::runtime::Runtime) -> bool {
        let listeners = runtime.ports.get(&self.listener.port).into_iter().flat_map(|port| port.listeners());
        let listener = listeners.into_iter().find(|listener| listener.name == self.listener.name);
        listener.is_some_and(|listener| listener.routes.holds(&self.found))
    }
}

/// Waits until `standing` no longer holds.
pub(super) async fn until_it_falls(mut standing: Standing) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        if !standing.holds() {
            return;
        }
    }
}
