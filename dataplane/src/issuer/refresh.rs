//! The task that keeps the keys of one issuer fresh.

use std::sync::Arc;
use std::time::Duration;

use sallyport_snapshot::v1::{self, issuer_health::State};
use tokio::sync::mpsc;

use super::fetch::{self, FetchFault};
use super::health::Change;
use super::{IssuerKeys, Means};

/// The pause after the first failure; doubled after each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest pause while there are keys to go on with.
const MAX_RETRY_WITH_KEYS: Duration = Duration::from_secs(30);
/// The longest pause while there are none: every caller is being sent away.
const MAX_RETRY_WITHOUT_KEYS: Duration = Duration::from_secs(4);

/// Fetches the keys of one issuer.
pub(super) struct Refresher {
    pub keys: Arc<IssuerKeys>,
    pub name: Arc<str>,
    pub set: v1::KeySet,
    pub means: Means,
}

impl Refresher {
    /// Fetches for ever: ahead of expiry, soon after a failure, and when asked.
    pub(super) async fn run(self) {
        let mut pause = FIRST_RETRY;
        loop {
            let is_demanded = self.keys.demand.lock().open;
            let looked = fetch::key_ring(&self.means.egress, &self.set).await;
            let wait = match &looked {
                Ok(fresh) => {
                    self.keys.ring.store(Some(Arc::clone(&fresh.ring)));
                    pause = FIRST_RETRY;
                    fresh.lifetime
                }
                Err(fault) => {
                    self.withdraw(fault);
                    let wait = pause.min(self.longest_pause());
                    pause = (pause * 2).min(MAX_RETRY_WITH_KEYS);
                    wait
                }
            };
            tell(&self.name, self.keys.health.note(&self.name, &looked, self.means.clock.now()), &self.means.reports);
            if is_demanded {
                self.keys.demand.lock().open = false;
                self.keys.looks.send_modify(|count| *count += 1);
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.keys.asked.notified() => {}
            }
        }
    }

    /// Keys outlive the absence of their issuer, and whatever nonsense comes from its address. Not its word that they are of no use:
    /// an answer of which nothing can be used, and which names keys that are held, is such a word.
    fn withdraw(&self, fault: &FetchFault) {
        let (Some(discredited), Some(ring)) = (fault.discredited(), self.keys.ring()) else { return };
        let rest = ring.without(discredited);
        if rest.is_none() {
            self.keys.health.forget();
        }
        self.keys.ring.store(rest.map(Arc::new));
    }

    fn longest_pause(&self) -> Duration {
        if self.keys.ring.load().is_some() { MAX_RETRY_WITH_KEYS } else { MAX_RETRY_WITHOUT_KEYS }
    }
}

/// Reports what has changed; the log has a line for each change of state, not for each attempt.
fn tell(name: &str, change: Change, reports: &mpsc::UnboundedSender<v1::Report>) {
    let health = match change {
        Change::Nothing => return,
        Change::Message(health) => health,
        Change::State(health) => {
            log(name, &health);
            health
        }
    };
    // Nobody listens while the process ends.
    let _sent = reports.send(v1::Report { report: Some(v1::report::Report::Issuer(health)) });
}

fn log(key_set: &str, health: &v1::IssuerHealth) {
    let why = &health.message;
    match health.state() {
        State::Healthy => tracing::info!(key_set, why, "the keys of an issuer are fresh"),
        State::Stale => {
            tracing::warn!(
                key_set,
                why,
                "an issuer cannot be asked for its keys; those that are held go on: check the issuer and the way to it"
            );
        }
        State::Unreached | State::Unanswered | State::Unspecified => {
            tracing::warn!(
                key_set,
                why,
                "no key of an issuer is held, and its tokens are answered with 503: check the issuer, the way to it and caCertificateRefs"
            );
        }
    }
}
