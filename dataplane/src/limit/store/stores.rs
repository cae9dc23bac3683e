//! The stores in force, by Gateway: while a Gateway states the same, it stays the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use sallyport_snapshot::LIMIT_STORES;
use sallyport_snapshot::v1::{self, issuer_health::State, report::Report};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::link::Link;
use super::{Settings, Store};
use crate::egress::Egress;
use crate::observe::metrics::durations::Durations;

/// What stores are reached by.
#[derive(Clone)]
pub(crate) struct Means {
    pub egress: Egress,
    pub runtime: Handle,
    pub reports: mpsc::UnboundedSender<v1::Report>,
    pub metrics: Metrics,
    /// Nothing that is done is counted anywhere else.
    pub is_alone: bool,
}

/// What came of questions; a clone counts into the same.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) answered: Counter,
    pub(crate) away: Counter,
    pub(crate) durations: Durations,
}

/// By the name of the Gateway.
pub struct Stores {
    means: Means,
    /// Its name in the stores.
    process: Arc<str>,
    held: HashMap<Arc<str>, (v1::LimitStore, Arc<Store>)>,
}

impl Metrics {
    pub(super) fn asked(&self, is_answered: bool, took: Duration) {
        if is_answered {
            self.answered.inc();
            self.durations.observe(took);
        } else {
            self.away.inc();
        }
    }
}

impl Means {
    /// How the store of a Gateway is, for whoever says it in the Gateway's status.
    pub(super) fn tell(&self, name: &str, state: State, why: &str) {
        match state {
            State::Healthy => tracing::info!(store = name, "limits are counted in the store"),
            _ => tracing::warn!(store = name, why, "the store of limits is away, and is tried again"),
        }
        let health = v1::IssuerHealth { key_set: name.to_owned(), state: state.into(), message: why.to_owned() };
        // Who ends hears nothing more.
        let _sent = self.reports.send(v1::Report { report: Some(Report::Issuer(health)) });
    }
}

impl Stores {
    pub(crate) fn new(means: Means) -> Self {
        Self { means, process: format!("{:016x}", rand::random::<u64>()).into(), held: HashMap::new() }
    }

    /// Where limits of the Gateway called `name` are counted from now on; `None`: in each data plane by itself.
    /// Beside it, what is wrong with what is stated: then it counts as away.
    pub fn put(&mut self, name: &Arc<str>, stated: Option<&v1::LimitStore>) -> (Option<Arc<Store>>, Option<String>) {
        let Some(stated) = stated.filter(|_| !self.means.is_alone) else {
            self.remove(name);
            return (None, None);
        };
        if let Some((_, store)) = self.held.get(name).filter(|(last, _)| last == stated) {
            return (Some(Arc::clone(store)), None);
        }
        self.remove(name);
        let (store, why) = self.build(name, stated);
        let store = Arc::new(store);
        self.held.insert(Arc::clone(name), (stated.clone(), Arc::clone(&store)));
        (Some(store), why)
    }

    /// The Gateway is gone.
    pub fn remove(&mut self, name: &str) {
        if let Some((_, store)) = self.held.remove(name) {
            store.link.is_replaced();
        }
    }

    fn build(&self, gateway: &str, stated: &v1::LimitStore) -> (Store, Option<String>) {
        let name = format!("{LIMIT_STORES}{gateway}");
        let (link, keeper, why) = match settings(stated) {
            Ok(settings) => {
                let (link, keeper) = Link::keep(settings, &self.means, name);
                (link, Some(keeper), None)
            }
            Err(why) => {
                self.means.tell(&name, State::Unreached, &why);
                (Link::nowhere(&why), None, Some(why))
            }
        };
        let store = Store {
            object: stated.object.as_str().into(),
            denies_when_away: stated.denies_when_away,
            prefix: stated.prefix.as_str().into(),
            process: Arc::clone(&self.process),
            timeout: Duration::from_millis(u64::from(stated.timeout_ms)),
            link,
            _keeper: keeper,
            metrics: self.means.metrics.clone(),
        };
        // Whoever made it unavailable says so himself.
        (store, why.filter(|_| stated.unavailable.is_none()))
    }
}

fn settings(stated: &v1::LimitStore) -> Result<Settings, String> {
    if let Some(deny) = &stated.unavailable {
        return Err(deny.message.clone());
    }
    let text = |secret: &Option<v1::Secret>| {
        let bytes = secret.as_ref().map(|secret| secret.value.to_vec()).unwrap_or_default();
        String::from_utf8(bytes).map_err(|_| format!("{} limits.redis.secretRef holds no text", stated.object))
    };
    let places: Vec<_> = stated.addresses.iter().map(|address| place(address)).collect::<Result<_, _>>()?;
    if places.is_empty() {
        return Err(format!("{} limits.redis has no address", stated.object));
    }
    let (username, password) = (text(&stated.username)?, text(&stated.password)?);
    let timeout = Duration::from_millis(u64::from(stated.timeout_ms));
    Ok(Settings { places, tls: stated.tls.clone(), username, password, prefix: stated.prefix.clone(), timeout })
}

fn place(address: &str) -> Result<(String, u16), String> {
    let wrong = || format!("limits.redis.addresses: {address:?} is no host with a port");
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    Ok((host.trim_matches(['[', ']']).to_owned(), port.parse().map_err(|_| wrong())?))
}
