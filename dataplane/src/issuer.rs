//! Key sets in force: fetched ahead of time, kept while their issuer is away, and never fetched twice at once.
//!
//! One task for each key set that has to be fetched runs on the process's control runtime. Requests only read what it has put there;
//! a token with an unknown key id may ask it to look again, at most once per cool-down.

mod fetch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use sallyport_snapshot::v1::{self, issuer_health::State, key_set::Source};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::egress::Egress;
use crate::jwt::KeyRing;

/// Between two looks that unknown key ids ask for.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// How long a request waits for such a look.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// Pauses after failures: doubled from the first to the last.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// All key sets of a process, shared by its workers.
pub struct Issuers {
    by_name: ArcSwap<HashMap<Arc<str>, Arc<IssuerKeys>>>,
    egress: Egress,
    control: Handle,
    reports: mpsc::UnboundedSender<v1::Report>,
}

/// The keys of one issuer.
pub struct IssuerKeys {
    ring: ArcSwapOption<KeyRing>,
    /// Counts finished looks that were asked for; a request waits for the next number.
    looks: watch::Sender<u64>,
    asked: Notify,
    demand: Mutex<Demand>,
    task: Mutex<Option<AbortHandle>>,
}

/// Looks that unknown key ids have asked for.
#[derive(Default)]
struct Demand {
    last: Option<Instant>,
    /// One is under way, or about to be: others wait for it rather than ask again.
    open: bool,
}

impl Issuers {
    /// Fetches through `egress` on the runtime of `control`, and says how issuers fare through `reports`.
    pub fn new(egress: Egress, control: Handle, reports: mpsc::UnboundedSender<v1::Report>) -> Self {
        Self { by_name: ArcSwap::default(), egress, control, reports }
    }

    /// The keys of the set called `name`.
    pub fn find(&self, name: &str) -> Option<Arc<IssuerKeys>> {
        self.by_name.load().get(name).cloned()
    }

    /// Puts `set` in force under `name`, which stands for the content of its settings.
    pub fn insert(&self, name: &Arc<str>, set: &v1::KeySet) -> Result<(), String> {
        let keys = Arc::new(IssuerKeys::new());
        match &set.source {
            Some(Source::Jwks(json)) => {
                keys.ring.store(Some(Arc::new(KeyRing::parse(json).map_err(|fault| fault.to_string())?)))
            }
            Some(Source::Discovery(_) | Source::JwksUri(_)) => self.start(name, &keys, set),
            None => return Err("it has no source".to_owned()),
        }
        let mut by_name = HashMap::clone(&self.by_name.load());
        if let Some(old) = by_name.insert(Arc::clone(name), keys) {
            old.stop();
        }
        self.by_name.store(Arc::new(by_name));
        Ok(())
    }

    /// Forgets the set called `name`.
    pub fn remove(&self, name: &str) {
        let mut by_name = HashMap::clone(&self.by_name.load());
        if let Some(old) = by_name.remove(name) {
            old.stop();
        }
        self.by_name.store(Arc::new(by_name));
    }

    fn start(&self, name: &Arc<str>, keys: &Arc<IssuerKeys>, set: &v1::KeySet) {
        let (keys_of_task, egress, set, name, reports) =
            (Arc::clone(keys), self.egress.clone(), set.clone(), Arc::clone(name), self.reports.clone());
        let task = self.control.spawn(async move { keep_fresh(&keys_of_task, &egress, &set, &name, &reports).await });
        *keys.task.lock() = Some(task.abort_handle());
    }
}

impl IssuerKeys {
    fn new() -> Self {
        Self {
            ring: ArcSwapOption::empty(),
            looks: watch::Sender::new(0),
            asked: Notify::new(),
            demand: Mutex::default(),
            task: Mutex::new(None),
        }
    }

    /// The keys in force; `None` while the issuer has never been reached.
    pub fn ring(&self) -> Option<Arc<KeyRing>> {
        self.ring.load_full()
    }

    /// Looks again, unless that was asked for a short while ago; one that is under way is waited for.
    pub async fn look_again(&self) {
        let mut looks = self.looks.subscribe();
        looks.mark_unchanged();
        if self.task.lock().is_some() && self.is_awaited() {
            // Whoever waits in vain judges by the keys that are there.
            let _late = tokio::time::timeout(MAX_WAIT, looks.changed()).await;
        }
    }

    /// Whether a look will end that begins after now, asked for here if the last such look is long enough ago.
    fn is_awaited(&self) -> bool {
        let mut demand = self.demand.lock();
        if !demand.open && demand.last.is_none_or(|last| last.elapsed() >= COOL_DOWN) {
            *demand = Demand { last: Some(Instant::now()), open: true };
            self.asked.notify_one();
        }
        demand.open
    }

    fn stop(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

/// Fetches for ever: ahead of expiry, soon after a failure, and when asked.
async fn keep_fresh(
    keys: &IssuerKeys,
    egress: &Egress,
    set: &v1::KeySet,
    name: &str,
    reports: &mpsc::UnboundedSender<v1::Report>,
) {
    let mut pause = RETRY.0;
    loop {
        let is_demanded = keys.demand.lock().open;
        let looked = fetch::key_ring(egress, set).await;
        let wait = match &looked {
            Ok(fresh) => {
                keys.ring.store(Some(Arc::clone(&fresh.ring)));
                pause = RETRY.0;
                fresh.lifetime
            }
            Err(_) => {
                pause = (pause * 2).min(RETRY.1);
                pause / 2
            }
        };
        report(keys, name, looked.err(), reports);
        if is_demanded {
            keys.demand.lock().open = false;
            keys.looks.send_modify(|count| *count += 1);
        }
        // What was asked for while the look was under way has been answered by it.
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = keys.asked.notified() => {}
        }
    }
}

fn report(
    keys: &IssuerKeys,
    name: &str,
    fault: Option<fetch::FetchFault>,
    reports: &mpsc::UnboundedSender<v1::Report>,
) {
    let state = match (&fault, keys.ring.load().is_some()) {
        (None, _) => State::Healthy,
        (Some(_), true) => State::Stale,
        (Some(_), false) => State::Unreached,
    };
    let message = fault.map(|fault| chain(&fault)).unwrap_or_default();
    if state != State::Healthy {
        tracing::warn!(
            key_set = name,
            state = state.as_str_name(),
            error = message,
            "keys of an issuer could not be fetched; requests go on with the keys that are held"
        );
    }
    let health = v1::IssuerHealth { key_set: name.to_owned(), state: state.into(), message };
    // Nobody listens while the process ends.
    let _sent = reports.send(v1::Report { report: Some(v1::report::Report::Issuer(health)) });
}

/// An error with its sources, from the outermost.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
