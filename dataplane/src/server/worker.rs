//! One thread with its own event loop, connections and pools.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use std::{io, iter};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rand::RngExt as _;
use rand::rngs::SmallRng;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client_certificate::forwarded;
use crate::clock::Clock;
use crate::egress::AddressRules;
use crate::explain::AsIf;
use crate::introspection::Introspections;
use crate::observe::access_log::choice::Choice;
use crate::observe::access_log::{AccessLog, Line};
use crate::observe::metrics::Metrics;
use crate::observe::traces::exporters::Exporters;
use crate::passwords::Passwords;
use crate::pipeline::authorizers::Desk;
use crate::pipeline::body::request::RequestBody;
use crate::pipeline::looks::Looks;
use crate::pipeline::tokens::Tokens;
use crate::pipeline::turns::Mark;
use crate::rejection::{Reason, Rejection};
use crate::replays::Replays;
use crate::runtime::Runtime;
use crate::server::connection::{self, Connection};
use crate::server::descriptors::Descriptors;
use crate::server::drain::{Drain, Draining};
use crate::server::socket::{BACKLOG, begin_no_more};
use crate::upstream::Upstreams;

/// Between two looks at idle upstream connections.
const TIDY_EVERY: Duration = Duration::from_secs(10);
/// A pause after accepting has failed, for want of descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all workers of a process share.
pub struct Shared {
    pub runtime: ArcSwap<Runtime>,
    pub tokens: Tokens,
    pub passwords: Passwords,
    pub introspections: Introspections,
    pub replays: Replays,
    pub forwarded_certificates: forwarded::Remembered,
    pub clock: Clock,
    pub access_log: AccessLog,
    pub exporters: Exporters,
    pub metrics: Metrics,
    pub rules: AddressRules,
    pub descriptors: Descriptors,
    /// By which requests that come back are known.
    pub mark: Mark,
    /// Set once, when the process has been told to stop.
    pub draining: AtomicBool,
    /// Whose requests are explained, and not forwarded.
    pub explains: Option<AsIf>,
}

/// What a worker is told.
pub enum Command {
    /// Serve what arrives at this socket, which stands for a port of the configuration.
    Listen { port: u16, socket: TcpListener },
    /// Serve this connection, as if it had come to this port of the configuration.
    Take { port: u16, stream: std::net::TcpStream, peer: SocketAddr },
    /// Accept nothing more at this port.
    Close { port: u16 },
    /// Accept nothing more, finish what is under way within this time, and end.
    Drain { within: Duration },
}

/// The worker as its own thread sees it.
pub struct Worker {
    shared: Arc<Shared>,
    upstreams: Upstreams<RequestBody>,
    looks: Rc<Looks>,
    random: RefCell<SmallRng>,
    connections: Cell<usize>,
    requests: Cell<usize>,
    drain: Drain,
    has_stopped: Cell<bool>,
    desk: Desk,
}

/// The worker as others see it.
pub struct WorkerHandle {
    pub commands: mpsc::UnboundedSender<Command>,
    /// Until somebody waits for its end.
    pub thread: Mutex<Option<thread::JoinHandle<()>>>,
}

/// Starts a worker.
pub fn start(index: usize, shared: Arc<Shared>) -> io::Result<WorkerHandle> {
    let (commands, receiver) = mpsc::unbounded_channel();
    let (started, outcome) = std::sync::mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(format!("worker-{index}"));
    let thread = thread.spawn(move || {
        // It belongs to its thread, and is made there.
        match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(event_loop) => {
                // Whoever asked is waiting.
                let _waited_for = started.send(Ok(()));
                let worker = Rc::new(Worker::new(shared));
                event_loop.block_on(obey(&worker, receiver));
            }
            Err(error) => drop(started.send(Err(error))),
        }
    })?;
    outcome.recv().map_err(io::Error::other)??;
    Ok(WorkerHandle { commands, thread: Mutex::new(Some(thread)) })
}

async fn obey(worker: &Rc<Worker>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut accepting: HashMap<u16, JoinHandle<()>> = HashMap::new();
    let mut tidy = tokio::time::interval(TIDY_EVERY);
    let looks = Rc::clone(&worker.looks);
    // It goes on while the worker drains.
    tokio::task::spawn_local(async move { looks.run().await });
    loop {
        tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(Command::Listen { port, socket }) => {
                    let task = tokio::task::spawn_local(accept(Rc::clone(worker), port, socket));
                    if let Some(old) = accepting.insert(port, task) {
                        old.abort();
                    }
                }
                Some(Command::Take { port, stream, peer }) => match TcpStream::from_std(stream) {
                    Ok(stream) => take(worker, port, (stream, peer)),
                    Err(error) => tracing::warn!(port, %error, "a connection could not be taken"),
                },
                Some(Command::Close { port }) => {
                    if let Some(task) = accepting.remove(&port) {
                        task.abort();
                    }
                }
                Some(Command::Drain { within }) => return worker.drain(within, accepting.into_values()).await,
                None => return,
            },
            _ = tidy.tick() => worker.upstreams.tidy(),
        }
    }
}

/// Accepts until the worker drains, and then what waits.
async fn accept(worker: Rc<Worker>, port: u16, socket: TcpListener) {
    let Ok(socket) = tokio::net::TcpListener::from_std(socket) else { return };
    {
        let mut accepting = pin!(accept_each(&worker, port, &socket));
        tokio::select! {
            biased;
            () = &mut accepting => {}
            _until = worker.draining().told() => {}
        }
        // A handshake that ends after the last look would be reset with the socket: none begins, and those under way have a moment.
        match begin_no_more(&socket) {
            Ok(()) => tokio::select! {
                biased;
                () = &mut accepting => {}
                () = worker.draining().handshakes() => {}
            },
            Err(error) => tracing::debug!(port, %error, "connections go on coming until the socket is closed"),
        }
    }
    if let Ok(socket) = socket.into_std() {
        waiting(&socket).for_each(|accepted| take(&worker, port, accepted));
    }
}

async fn accept_each(worker: &Rc<Worker>, port: u16, socket: &tokio::net::TcpListener) {
    loop {
        match socket.accept().await {
            Ok(accepted) => take(worker, port, accepted),
            Err(error) => {
                tracing::warn!(port, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Connections that the kernel has made and nobody has accepted: when the socket is closed it breaks them off.
fn waiting(socket: &TcpListener) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
    let accepted = iter::from_fn(|| socket.accept().ok()).take(usize::try_from(BACKLOG).unwrap_or(usize::MAX));
    accepted.filter_map(|(stream, peer)| {
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer))
    })
}

/// Serves a connection, or sheds it: here, and not in a task of its own, since until that runs many more would have been accepted.
fn take(worker: &Rc<Worker>, port: u16, (stream, peer): (TcpStream, SocketAddr)) {
    if worker.shared.descriptors.too_many_callers(&stream) {
        worker.shared.metrics.shed_connections.inc();
        connection::shed(stream, worker.runtime().ports.get(&port).is_some_and(|port| port.is_tls));
    } else {
        let counted = ConnectionGuard::new(worker);
        tokio::task::spawn_local(connection::serve(Rc::clone(worker), port, (stream, peer), counted));
    }
}

impl Worker {
    fn new(shared: Arc<Shared>) -> Self {
        let mut random: SmallRng = rand::make_rng();
        let upstreams = Upstreams::new(shared.rules.clone(), shared.descriptors, random.random());
        Self {
            shared,
            upstreams,
            looks: Rc::default(),
            random: RefCell::new(random),
            connections: Cell::new(0),
            requests: Cell::new(0),
            drain: Drain::new(),
            has_stopped: Cell::new(false),
            desk: Desk::default(),
        }
    }

    /// What all workers share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The configuration of this moment.
    pub fn runtime(&self) -> Arc<Runtime> {
        self.shared.runtime.load_full()
    }

    /// Connections to services.
    pub fn upstreams(&self) -> &Upstreams<RequestBody> {
        &self.upstreams
    }

    /// What questions to authorisers take.
    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Who waits to look at a permit again.
    pub(crate) fn looks(&self) -> &Rc<Looks> {
        &self.looks
    }

    /// For weights and turns; nothing secret depends on it.
    pub fn random(&self) -> u64 {
        self.random.borrow_mut().random()
    }

    pub(crate) fn random_128(&self) -> u128 {
        self.random.borrow_mut().random()
    }

    /// Tells when the worker begins to drain.
    pub(crate) fn draining(&self) -> Draining {
        self.drain.heard()
    }

    /// Whether all time is over: whoever ends now does so because the worker does.
    pub(crate) fn has_stopped(&self) -> bool {
        self.has_stopped.get()
    }

    /// Whether there is room for a connection that is counted already.
    pub(crate) fn admits_connection(&self, max: usize) -> bool {
        let is_admitted = self.connections.get() <= max;
        if !is_admitted {
            self.shared.metrics.shed_connections.inc();
        }
        is_admitted
    }

    /// Refuses a request where too many are under way.
    pub(crate) fn admit_request(&self, connection: &Connection) -> Result<(), Rejection> {
        if self.requests.get() <= connection.bounds.max_requests_in_flight {
            return Ok(());
        }
        Err(Rejection {
            retry_after_s: Some(1),
            ..Rejection::because(Reason::Overloaded, "bounds.maxRequestsInFlight is reached")
        })
    }

    pub(crate) fn begin_request(&self) {
        self.requests.set(self.requests.get() + 1);
        self.shared.metrics.active.inc();
    }

    pub(crate) fn end_request(&self) {
        self.requests.set(self.requests.get().saturating_sub(1));
        self.shared.metrics.active.dec();
    }

    async fn drain(&self, within: Duration, accepting: impl Iterator<Item = JoinHandle<()>>) {
        let deadline = Instant::now() + within;
        self.drain.begin(deadline);
        for task in accepting {
            // It has taken what waits; one that could not is no reason to wait.
            let _ended = tokio::time::timeout_at(deadline, task).await;
        }
        while self.connections.get() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.has_stopped.set(true);
    }
}

impl Shared {
    /// Counts an exchange that has ended, and logs it if that is chosen.
    pub(crate) fn observe(&self, line: &Line, logged: Choice, instance: u128) {
        self.metrics.count(line);
        if !self.access_log.write(line, logged, instance, &self.clock) {
            self.metrics.lost_lines.inc();
        }
    }

    /// Whether the process has been told to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// A connection that counts as long as this lives.
pub(crate) struct ConnectionGuard {
    worker: Rc<Worker>,
}

impl ConnectionGuard {
    fn new(worker: &Rc<Worker>) -> Self {
        worker.connections.set(worker.connections.get() + 1);
        Self { worker: Rc::clone(worker) }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.worker.connections.set(self.worker.connections.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::socket::bind_all;

    #[tokio::test]
    async fn all_that_wait_are_accepted_and_nobody_is_waited_for() {
        let probe = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = probe.local_addr().unwrap();
        drop(probe);
        let socket = bind_all(address, 1).unwrap().remove(0);
        assert_eq!(waiting(&socket).count(), 0);
        let callers: Vec<_> = (0..300).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let mut expected: Vec<_> = callers.iter().map(|caller| caller.local_addr().unwrap()).collect();
        let mut accepted: Vec<_> = waiting(&socket).map(|(_, peer)| peer).collect();
        expected.sort();
        accepted.sort();
        assert_eq!(accepted, expected);
    }
}
