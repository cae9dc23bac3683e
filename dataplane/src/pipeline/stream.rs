//! How long a request may last: it ends within a second of what admitted it.

use std::rc::Rc;
use std::sync::Arc;

use super::permit::Grounds;
use super::watch::{Ground, Watch};
use crate::clock::UnixMs;
use crate::jwt::PublicHalf;
use crate::route::Found;
use crate::runtime::Runtime;
use crate::runtime::keys::Door;
use crate::runtime::listener::Listener;
use crate::runtime::origin_lock::{self, Passage};
use crate::server::worker::Worker;

const LOCKED_OUT: &str =
    "what it has brought no longer opens what guards the listener: the origin lock of its Gateway, or tls.frontend";

/// What has to go on holding while a request lasts.
#[derive(Clone)]
pub struct Standing {
    worker: Rc<Worker>,
    grounds: Grounds,
    found: Found,
    listener: Arc<Listener>,
    /// What it has brought to origin locks, and to authorities of the Gateway.
    passage: Option<Arc<Passage>>,
    passes_until: Option<UnixMs>,
    generation: u64,
}

impl Standing {
    /// `generation`: of the configuration that gave the permit.
    pub(super) fn new(
        worker: &Rc<Worker>,
        grounds: Grounds,
        found: Found,
        (listener, passage): (Arc<Listener>, Option<Arc<Passage>>),
        generation: u64,
    ) -> Self {
        let passes_until = passage.as_ref().and_then(|passage| passage.until);
        Self { worker: Rc::clone(worker), grounds, found, listener, passage, passes_until, generation }
    }

    /// Somebody who looks at it from now on.
    pub(super) fn watched(self) -> Watch<Self> {
        let worker = Rc::clone(&self.worker);
        Watch::new(worker.looks(), self)
    }

    fn subscriptions_hold(&self, runtime: &Runtime, now: UnixMs) -> bool {
        let door =
            Door { api: &self.found.rule.api, gateway: &self.listener.gateway.name, products: &runtime.products };
        self.grounds.subscriptions.iter().all(|(subscription, digest)| {
            let current = runtime.keys.find(digest);
            current.is_some_and(|current| current.id == subscription.id && current.opens(&door, now).is_ok())
        })
    }

    /// Whether the issuers still have the keys that vouch for what was sent. They may change without a new configuration.
    fn keys_hold(&self, runtime: &Runtime) -> bool {
        let holds =
            |(set, key): &(Arc<str>, PublicHalf)| runtime.key_sets.get(set).is_some_and(|keys| keys.may_hold(*key));
        self.grounds.keys.iter().all(holds)
    }

    /// Whether those who were trusted to vouch for its certificates still do, and have not revoked them: asked after a change, and when what
    /// was found out the last time is over.
    fn certificates_hold(&mut self, runtime: &Runtime, now: UnixMs) -> bool {
        let is_changed = runtime.generation != self.generation;
        self.grounds.certificates.iter_mut().filter(|held| is_changed || held.vouched.until <= now).all(|held| {
            let trust = runtime.trusts.get(&held.demanded.trust).and_then(|trust| trust.as_ref().as_ref().ok());
            if trust.is_none() && !held.demanded.trust.is_empty() {
                return false;
            }
            let vouched = held.demanded.judge(&held.shown, trust, now);
            vouched.map(|vouched| held.vouched = vouched).is_ok()
        })
    }

    /// Whether the users' passwords are still the same.
    fn logins_hold(&self, runtime: &Runtime) -> bool {
        self.grounds.logins.iter().all(|held| {
            let users = runtime.password_files.get(&held.file).and_then(|users| users.as_ref().as_ref().ok());
            users.and_then(|users| users.hash_of(&held.user)).is_some_and(|hash| *hash == held.hash)
        })
    }

    /// Whether what it has brought still opens the locks of its Gateway: asked after a change, and when what was found out the last time is over.
    fn is_let_in(&mut self, runtime: &Runtime, now: UnixMs) -> bool {
        let is_changed = runtime.generation != self.generation;
        if !is_changed && self.passes_until.is_none_or(|until| now < until) {
            return true;
        }
        let listeners = || runtime.ports.values().flat_map(|port| port.listeners());
        let opens = match listeners().find(|one| one.name == self.listener.name) {
            Some(listener) => self.opens(listener, now),
            // Nobody says any more who vouches for its caller.
            None if self.listener.validates() => None,
            // Where its Gateway has no listener any more it is the route that has changed.
            None => {
                let others = listeners().find(|one| one.gateway.name == self.listener.gateway.name);
                self.opens_locks(others.unwrap_or(&self.listener), now)
            }
        };
        opens.map(|until| self.passes_until = until).is_some()
    }

    /// Until when it need not be asked again, if it is let in.
    fn opens(&self, listener: &Listener, now: UnixMs) -> Option<Option<UnixMs>> {
        match &self.passage {
            Some(passage) => listener.admit(passage, now).ok(),
            // What came in before anything guarded it has brought nothing.
            None => listener.admits_all().then_some(None),
        }
    }

    /// The same of another listener of the Gateway: its locks are for all of them.
    fn opens_locks(&self, listener: &Listener, now: UnixMs) -> Option<Option<UnixMs>> {
        let locks = &listener.gateway.origin_locks;
        match &self.passage {
            Some(passage) => origin_lock::admit(locks, passage, now).ok(),
            None => locks.iter().all(|lock| lock.is_report).then_some(None),
        }
    }

    /// What nothing ends goes on for many changes: it does not keep the routes of the moment in which it began.
    fn let_go_of_what_was(&mut self) {
        let runtime = self.worker.runtime();
        if runtime.generation == self.generation {
            return;
        }
        self.generation = runtime.generation;
        if let Some(listener) = self.attached(&runtime) {
            self.listener = listener;
        }
    }

    /// Its listener, if the rule still serves there under the same policy.
    fn attached(&self, runtime: &Runtime) -> Option<Arc<Listener>> {
        let mut listeners = runtime.ports.get(&self.listener.port)?.listeners();
        let listener = listeners.find(|listener| listener.name == self.listener.name)?;
        let holds = Arc::ptr_eq(listener, &self.listener) || listener.routes.holds(&self.found);
        holds.then(|| Arc::clone(listener))
    }
}

impl Ground for Standing {
    fn fault(&mut self) -> Option<&'static str> {
        let now = self.worker.shared().clock.now();
        let runtime = self.worker.runtime();
        // Whoever writes the policy of a route says nothing of the Gateway's lock.
        if !self.is_let_in(&runtime, now) {
            return Some(LOCKED_OUT);
        }
        if !self.grounds.policy.end_on_expiry {
            self.let_go_of_what_was();
            return None;
        }
        self.whole_fault()
    }

    fn whole_fault(&mut self) -> Option<&'static str> {
        let now = self.worker.shared().clock.now();
        let runtime = self.worker.runtime();
        if self.grounds.expires.is_some_and(|end| end <= now) {
            return Some("the credential that admitted it has expired");
        }
        if !self.keys_hold(&runtime) {
            return Some("the issuer no longer has the key that vouches for the token that admitted it");
        }
        if !self.certificates_hold(&runtime, now) {
            return Some("the certificate that admitted it is no longer trusted");
        }
        let introspections = &self.worker.shared().introspections;
        if !self.grounds.introspections.iter().all(|renewal| introspections.holds(renewal, now)) {
            return Some("the issuer of the token that admitted it no longer says the same of it, or cannot be asked");
        }
        if runtime.generation == self.generation {
            return None;
        }
        let current = runtime.policies.get(&self.grounds.policy.name);
        let Some(current) = current.filter(|current| self.grounds.hold_under(current)).cloned() else {
            return Some("the policy that admitted it has changed");
        };
        if !self.subscriptions_hold(&runtime, now) {
            return Some("the subscription that admitted it no longer opens the route");
        }
        if !self.logins_hold(&runtime) {
            return Some("the user that it was admitted for has another password, or is gone");
        }
        let Some(listener) = self.attached(&runtime) else { return Some("the route has changed") };
        // The next generation most likely has the same.
        self.grounds.policy = current;
        self.listener = listener;
        self.generation = runtime.generation;
        None
    }
}
