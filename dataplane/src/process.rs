//! A data plane in this process: started with settings, fed with updates, drained at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sallyport_snapshot::v1::{self, Kind, resource::Body};
use sallyport_snapshot::{Difference, Name, Versioned};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::client_certificate::forwarded;
use crate::clock::Clock;
use crate::egress::{AddressRules, Egress};
use crate::introspection::Introspections;
use crate::issuer::{Issuers, Means};
use crate::limit::store::{self, Stores};
use crate::observe::access_log::AccessLog;
use crate::observe::metrics::Metrics;
use crate::observe::traces::Traces;
use crate::observe::traces::exporters::Exporters;
use crate::passwords::Passwords;
use crate::pipeline::tokens::Tokens;
use crate::pipeline::turns::Mark;
use crate::replays::Replays;
use crate::runtime::Runtime;
use crate::runtime::store::{Refused, Store};
use crate::server::admin;
use crate::server::descriptors::Descriptors;
use crate::server::socket::bind_all;
use crate::server::worker::{self, Command, Shared, WorkerHandle};
use crate::settings::{Bounds, Settings};

/// Workers, sockets, and the configuration in force.
pub struct DataPlane {
    settings: Settings,
    shared: Arc<Shared>,
    workers: Vec<WorkerHandle>,
    state: Mutex<State>,
    admin: Option<SocketAddr>,
}

struct State {
    store: Store,
    /// What was sent under a name that is none here, until it comes again or goes.
    nameless: Vec<v1::Rejected>,
    bound: BTreeSet<u16>,
    api_servers: ApiServers,
}

/// Where each Gateway says that the API server is.
#[derive(Default)]
struct ApiServers(BTreeMap<Name, Vec<IpAddr>>);

impl ApiServers {
    /// All of them, if any Gateway says something new.
    fn changed_by(&mut self, difference: &Difference) -> Option<BTreeSet<IpAddr>> {
        let mut is_changed = false;
        for (name, resource) in &difference.changed {
            let body = resource.body();
            let Body::Gateway(gateway) = body.as_ref() else { continue };
            // What is no address is nobody's.
            let said = gateway.api_servers.iter().filter_map(|text| text.parse().ok()).collect();
            self.0.insert(name.clone(), said);
            is_changed = true;
        }
        for name in &difference.removed {
            is_changed |= self.0.remove(name).is_some();
        }
        is_changed.then(|| self.0.values().flatten().copied().collect())
    }
}

/// What a data plane is started with besides its settings.
pub struct Surroundings {
    pub clock: Clock,
    pub access_log: AccessLog,
    pub traces: Traces,
    /// Where health of issuers and the like is reported.
    pub reports: mpsc::UnboundedSender<v1::Report>,
}

impl DataPlane {
    /// Starts workers and probes; nothing is served before the first update. Has to be called on a tokio runtime, which keeps
    /// fetching keys and answering probes.
    pub async fn start(settings: Settings, surroundings: Surroundings) -> std::io::Result<Self> {
        let rules = AddressRules::of(settings.environment).with_api_server(settings.api_server);
        let means = Means {
            egress: Egress::new(rules.clone()),
            clock: surroundings.clock.clone(),
            reports: surroundings.reports,
        };
        let asking = means.clone();
        let issuers = Arc::new(Issuers::new(means, Handle::current()));
        let exporters = Exporters::new(surroundings.traces, rules.clone(), Handle::current());
        let exporters = if settings.explains.is_some() { exporters.silent() } else { exporters };
        let metrics = Metrics::new(Arc::clone(&issuers), surroundings.clock.clone());
        let limit_stores = Stores::new(store::Means {
            egress: asking.egress.clone(),
            runtime: Handle::current(),
            reports: asking.reports.clone(),
            metrics: metrics.limit_stores.clone(),
            is_alone: settings.explains.is_some(),
        });
        let shared = Arc::new(Shared {
            runtime: ArcSwap::from_pointee(Runtime::default()),
            tokens: Tokens::default(),
            passwords: Passwords::new(metrics.passwords.clone())?,
            introspections: Introspections::new(asking, metrics.introspections.clone()),
            replays: Replays::new(metrics.replays.clone(), surroundings.clock.clone()),
            forwarded_certificates: forwarded::Remembered::default(),
            clock: surroundings.clock,
            access_log: surroundings.access_log,
            exporters: exporters.clone(),
            metrics,
            rules,
            descriptors: Descriptors::of_process(),
            mark: Mark::new(rand::random()),
            draining: AtomicBool::new(false),
            explains: settings.explains.clone(),
        });
        let workers = (0..settings.workers.get())
            .map(|index| worker::start(index, Arc::clone(&shared)))
            .collect::<Result<_, _>>()?;
        let admin = match settings.admin {
            Some(address) => Some(admin::start(address, Arc::clone(&shared)).await?),
            None => None,
        };
        let state = Mutex::new(State {
            store: Store::new(issuers, exporters, limit_stores),
            nameless: Vec::new(),
            bound: BTreeSet::new(),
            api_servers: ApiServers::default(),
        });
        Ok(Self { settings, shared, workers, state, admin })
    }

    /// Where probes and metrics are answered.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Puts an update in force as a whole. The answer names all that is then not in force as it was sent, or not bound.
    pub fn apply(&self, update: &v1::Update) -> v1::Ack {
        let Reading { difference, refused, nameless } = read(update);
        let mut state = self.state.lock();
        if let Some(addresses) = state.api_servers.changed_by(&difference) {
            self.shared.rules.learn_api_servers(addresses);
        }
        state.nameless.retain(|one| !is_named(update, one.name.as_ref()));
        state.nameless.extend(nameless);
        let runtime = state.store.apply(&difference, refused);
        let ports: BTreeSet<u16> = runtime.ports.keys().copied().collect();
        self.shared.metrics.generation.set(i64::try_from(runtime.generation).unwrap_or(i64::MAX));
        self.shared.metrics.certificates.set(state.store.certificate_ends());
        self.shared.runtime.store(Arc::new(runtime));
        // Who drains opens nothing new, and who explains is given its connections.
        let is_closed = self.shared.draining.load(Ordering::Relaxed) || self.settings.explains.is_some();
        let unbound = if is_closed { vec![] } else { self.bind(&ports, &mut state.bound) };
        let rejected = state.store.rejected().into_iter().chain(unbound);
        let rejected = rejected.map(|(name, why)| v1::Rejected { name: Some(name.to_wire()), why });
        let rejected: Vec<_> = rejected.chain(state.nameless.iter().cloned()).collect();
        self.shared.metrics.rejected_resources.set(i64::try_from(rejected.len()).unwrap_or(i64::MAX));
        v1::Ack { nonce: update.nonce, rejected, more: false }
    }

    /// Ports of the configuration, as its Gateways state them.
    pub fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<_> = self.shared.runtime.load().ports.keys().copied().collect();
        ports.sort_unstable();
        ports
    }

    /// Whether a port of the configuration begins with a TLS handshake; `None` if no listener has it.
    pub fn speaks_tls(&self, port: u16) -> Option<bool> {
        self.shared.runtime.load().ports.get(&port).map(|port| port.is_tls)
    }

    /// Serves a connection, in non-blocking mode, as if it had come to this port.
    pub fn take(&self, port: u16, stream: std::net::TcpStream, peer: SocketAddr) {
        if let Some(worker) = self.workers.first() {
            // A worker that is gone serves nothing.
            let _gone = worker.commands.send(Command::Take { port, stream, peer });
        }
    }

    /// Shows in the metrics whether there is a connection to a controller.
    pub fn note_connected(&self, connected: bool) {
        self.shared.metrics.controller_connected.set(connected.into());
    }

    /// How long what is under way may take to finish: the longest that any Gateway in force allows.
    pub fn drain_timeout(&self) -> Duration {
        let runtime = self.shared.runtime.load();
        let of_ports = runtime.ports.values().map(|port| port.bounds.drain_timeout);
        of_ports.max().unwrap_or_else(|| Bounds::default().drain_timeout)
    }

    /// Finishes what is under way and stops; returns when all workers have ended. What is applied meanwhile counts for what is under way:
    /// whose right ends is ended.
    pub async fn drain(&self, within: Duration) {
        self.shared.draining.store(true, Ordering::Relaxed);
        for worker in &self.workers {
            // A worker that is gone has nothing to finish.
            let _gone = worker.commands.send(Command::Drain { within });
        }
        let threads: Vec<_> = self.workers.iter().filter_map(|worker| worker.thread.lock().take()).collect();
        let ended = tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ended = ended.await;
        let shared = Arc::clone(&self.shared);
        let observed = tokio::task::spawn_blocking(move || {
            if !shared.access_log.finish() {
                tracing::warn!("some lines of the access log are lost: whoever reads it takes none");
            }
            shared.exporters.finish();
        });
        let _observed = observed.await;
    }

    /// Binds ports that are new and closes those that are gone.
    fn bind(&self, ports: &BTreeSet<u16>, bound: &mut BTreeSet<u16>) -> Vec<(Name, String)> {
        for port in bound.difference(ports) {
            for worker in &self.workers {
                let _gone = worker.commands.send(Command::Close { port: *port });
            }
        }
        bound.retain(|port| ports.contains(port));
        let mut failed = Vec::new();
        for port in ports.iter().copied().filter(|port| !bound.contains(port)).collect::<Vec<_>>() {
            match self.bind_one(port) {
                Ok(()) => {
                    bound.insert(port);
                }
                Err(why) => {
                    let runtime = self.shared.runtime.load();
                    let listeners = runtime.ports.get(&port).into_iter().flat_map(|port| port.listeners());
                    failed.extend(
                        listeners.map(|listener| (Name::new(Kind::Listener, Arc::clone(&listener.name)), why.clone())),
                    );
                }
            }
        }
        failed
    }

    fn bind_one(&self, port: u16) -> Result<(), String> {
        let address = self
            .settings
            .binding
            .address(port.into())
            .ok_or_else(|| format!("port {port} and the offset lead past 65535"))?;
        let sockets =
            bind_all(address, self.workers.len()).map_err(|error| format!("{address} cannot be bound: {error}"))?;
        for (worker, socket) in self.workers.iter().zip(sockets) {
            let _gone = worker.commands.send(Command::Listen { port, socket });
        }
        Ok(())
    }
}

/// An update, taken apart.
#[derive(Default)]
struct Reading {
    difference: Difference,
    /// What must not be read.
    refused: Vec<Refused>,
    /// What has no name that is known here.
    nameless: Vec<v1::Rejected>,
}

/// Reads an update. A resource that has no body, or another hash or kind than it says, is refused; one without a name is told of.
fn read(update: &v1::Update) -> Reading {
    let mut reading = Reading::default();
    for changed in &update.changed {
        let Some(name) = changed.name.as_ref().and_then(Name::from_wire) else {
            let why = "its kind is not known here, or its name is empty; use a controller and a data plane that fit"
                .to_owned();
            reading.nameless.push(v1::Rejected { name: changed.name.clone(), why });
            continue;
        };
        let Some(resource) = Versioned::from_wire(&changed.resource) else {
            reading.refused.push(Refused { name, why: "it has no body that is known here".to_owned(), body: None });
            continue;
        };
        let fault = if resource.hash().as_bytes() != changed.hash.as_ref() {
            "its content does not have the hash that it came with"
        } else if resource.kind() != name.kind {
            "its content is of another kind than its name"
        } else {
            reading.difference.changed.push((name, resource));
            continue;
        };
        let body = Some(Arc::clone(resource.body()));
        reading.refused.push(Refused { name, why: fault.to_owned(), body });
    }
    reading.difference.removed = update.removed.iter().filter_map(Name::from_wire).collect();
    reading
}

/// Whether `update` says anything of `name`.
fn is_named(update: &v1::Update, name: Option<&v1::ResourceName>) -> bool {
    let changed = update.changed.iter().map(|changed| changed.name.as_ref());
    changed.chain(update.removed.iter().map(Some)).any(|one| one == name)
}

#[cfg(test)]
mod tests;
