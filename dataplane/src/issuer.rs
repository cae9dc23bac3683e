//! Key sets in force: fetched ahead of time, kept while their issuer is away, and never fetched twice at once.
//!
//! One task for each key set that has to be fetched runs on the process's control runtime. Requests only read what it has put there;
//! a token with an unknown key id may ask it to look again, at most once per cool-down.

mod fetch;
pub mod health;
mod refresh;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use sallyport_snapshot::v1::{self, key_set::Source};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::egress::Egress;
use crate::issuer::health::{Health, Reading};
use crate::issuer::refresh::Refresher;
use crate::jwt::{KeyRing, PublicHalf};
use crate::map::Map;
use crate::runtime::Named;

/// Between two looks that unknown key ids ask for.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// How long a request waits for a look.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// All key sets of a process, shared by its workers.
pub struct Issuers {
    by_name: ArcSwap<Map<Arc<str>, Arc<IssuerKeys>>>,
    means: Means,
    control: Handle,
}

/// What a look at an issuer takes.
#[derive(Clone)]
pub struct Means {
    pub egress: Egress,
    pub clock: Clock,
    /// Where it is said how issuers fare.
    pub reports: mpsc::UnboundedSender<v1::Report>,
}

/// The keys of one issuer.
pub struct IssuerKeys {
    issuer: Arc<str>,
    ring: ArcSwapOption<KeyRing>,
    /// Counts finished looks that requests may wait for; each waits for the next number.
    looks: watch::Sender<u64>,
    asked: Notify,
    demand: Mutex<Demand>,
    task: Mutex<Option<AbortHandle>>,
    health: Health,
}

/// Looks that requests wait for: the first, and those that unknown key ids have asked for.
struct Demand {
    /// When the last was asked for; the first was asked for by nobody.
    last: Option<Instant>,
    /// One is under way, or about to be: others wait for it rather than ask again.
    open: bool,
}

/// What has become of a look that somebody waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The keys are as new as they will be for now.
    Ended,
    /// It takes longer than a request waits: nobody can tell yet which keys the issuer has.
    UnderWay,
}

impl Issuers {
    /// Fetches by `means`, on the runtime of `control`.
    pub fn new(means: Means, control: Handle) -> Self {
        Self { by_name: ArcSwap::default(), means, control }
    }

    /// Every set as it is now, for a runtime to hold: requests that run on it keep its sets, also those that go after it.
    pub fn in_force(&self) -> Named<IssuerKeys> {
        self.by_name.load_full()
    }

    /// Puts `set` in force under `name`, which stands for the content of its settings.
    pub fn insert(&self, name: &Arc<str>, set: &v1::KeySet) -> Result<(), String> {
        let keys = Arc::new(IssuerKeys::new(&set.issuer));
        match &set.source {
            Some(Source::Jwks(json)) => self.give(name, &keys, json)?,
            Some(Source::Discovery(_) | Source::JwksUri(_)) => self.start(name, &keys, set),
            None => return Err("it has no source".to_owned()),
        }
        let mut by_name = Map::clone(&self.by_name.load());
        if let Some(old) = by_name.insert(Arc::clone(name), keys) {
            old.stop();
        }
        self.by_name.store(Arc::new(by_name));
        Ok(())
    }

    /// Forgets the set called `name`.
    pub fn remove(&self, name: &str) {
        let mut by_name = Map::clone(&self.by_name.load());
        if let Some(old) = by_name.remove(name) {
            old.stop();
        }
        self.by_name.store(Arc::new(by_name));
    }

    /// How each key set that is fetched fares, by name.
    pub fn health(&self) -> Vec<Reading> {
        let by_name = self.by_name.load();
        let fetched = by_name.iter().filter(|(_, keys)| keys.task.lock().is_some());
        let mut readings: Vec<_> = fetched.map(|(name, keys)| keys.health.read(name, &keys.issuer)).collect();
        readings.sort_by(|one, other| one.key_set.cmp(&other.key_set));
        readings
    }

    /// Keys that are not fetched: what of them is left out is told once, as it would be of a look that brought them.
    fn give(&self, name: &str, keys: &IssuerKeys, json: &[u8]) -> Result<(), String> {
        let ring = KeyRing::parse(json).map_err(|fault| fault.to_string())?;
        if let Some(health) = health::of_given(name, &ring) {
            tracing::warn!(key_set = name, why = health.message, "some of the keys that are given are of no use");
            // Nobody listens while the process ends.
            let _sent = self.means.reports.send(v1::Report { report: Some(v1::report::Report::Issuer(health)) });
        }
        keys.ring.store(Some(Arc::new(ring)));
        Ok(())
    }

    fn start(&self, name: &Arc<str>, keys: &Arc<IssuerKeys>, set: &v1::KeySet) {
        let refresher =
            Refresher { keys: Arc::clone(keys), name: Arc::clone(name), set: set.clone(), means: self.means.clone() };
        *keys.task.lock() = Some(self.control.spawn(refresher.run()).abort_handle());
    }
}

impl IssuerKeys {
    fn new(issuer: &str) -> Self {
        Self {
            issuer: issuer.into(),
            ring: ArcSwapOption::empty(),
            looks: watch::Sender::new(0),
            asked: Notify::new(),
            demand: Mutex::new(Demand { last: None, open: true }),
            task: Mutex::new(None),
            health: Health::default(),
        }
    }

    /// The keys in force; `None` while none are held: the issuer has never been reached, or has discredited all that it had.
    pub fn ring(&self) -> Option<Arc<KeyRing>> {
        self.ring.load_full()
    }

    /// Whether a key that was held is held still. Just after a change of configuration, before the first look has ended, nobody knows.
    pub fn may_hold(&self, key: PublicHalf) -> bool {
        match self.ring() {
            Some(ring) => ring.holds(key),
            None => self.task.lock().is_some() && *self.looks.borrow() == 0,
        }
    }

    /// Waits for the first look, if it has not ended: just after a change of configuration it is on its way.
    pub async fn first_look(&self) {
        if self.task.lock().is_some() {
            let mut looks = self.looks.subscribe();
            // Whoever waits in vain finds no keys.
            let _late = tokio::time::timeout(MAX_WAIT, looks.wait_for(|count| *count > 0)).await;
        }
    }

    /// Looks again, unless that was asked for a short while ago; one that is under way is waited for.
    pub async fn look_again(&self) -> Look {
        let mut looks = self.looks.subscribe();
        looks.mark_unchanged();
        if self.task.lock().is_none() || !self.is_awaited() {
            return Look::Ended;
        }
        match tokio::time::timeout(MAX_WAIT, looks.changed()).await {
            Ok(_) => Look::Ended,
            Err(_) => Look::UnderWay,
        }
    }

    /// Has it look again unless that was asked for a short while ago, and waits for nothing.
    pub fn ask_to_look_again(&self) {
        if self.task.lock().is_some() {
            let _under_way = self.is_awaited();
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

#[cfg(test)]
mod tests;
