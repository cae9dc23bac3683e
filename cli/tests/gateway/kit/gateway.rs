//! A gateway of its own for each test, on a loopback address that no other test has.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sallyport_cli::standalone::State;
use sallyport_controller::manifest::{Diagnostic, SourceFile};
use sallyport_controller::status::{Condition, ObjectStatus};
use sallyport_dataplane::clock::Clock;
use sallyport_dataplane::observe::access_log::AccessLog;
use sallyport_dataplane::observe::traces::Traces;
use sallyport_dataplane::process::{DataPlane, Surroundings};
use sallyport_dataplane::server::socket::Binding;
use sallyport_dataplane::settings::{Environment, Settings};
use sallyport_snapshot::v1;
use serde_json::Value;
use tokio::sync::mpsc;

use super::caller::{get, send};

/// The listeners' ports, the same in every test; the address differs.
pub const HTTP: u16 = 8080;
pub const HTTPS: u16 = 8443;

pub struct Gateway {
    plane: Arc<DataPlane>,
    state: State,
    reported: mpsc::UnboundedReceiver<v1::Report>,
    files: BTreeMap<String, String>,
    ip: IpAddr,
    pub clock: Clock,
    log: Arc<Mutex<Vec<u8>>>,
    /// Of the last change.
    pub diagnostics: Vec<Diagnostic>,
    pub statuses: Vec<ObjectStatus>,
}

impl Gateway {
    /// Runs with these manifests in force.
    pub async fn start(manifests: &str) -> Self {
        let mut gateway = Self::empty().await;
        gateway.write("main.yaml", manifests);
        gateway
    }

    /// Runs, and has not been told anything.
    pub async fn empty() -> Self {
        Self::traced(Traces::off()).await
    }

    /// Runs, has not been told anything, and sends its spans somewhere.
    pub async fn traced(traces: Traces) -> Self {
        Self::observed(traces, true).await
    }

    /// Runs, has not been told anything, and writes lines only where a Gateway asks for them.
    pub async fn silent() -> Self {
        Self::observed(Traces::off(), false).await
    }

    async fn observed(traces: Traces, has_lines: bool) -> Self {
        let (ip, clock, log) = (own_address(), Clock::default(), Arc::<Mutex<Vec<u8>>>::default());
        let settings = Settings {
            workers: NonZeroUsize::new(2).unwrap(),
            binding: Binding { ip, port_offset: 0, keeps_high_ports: false },
            admin: Some(SocketAddr::from((ip, 0))),
            environment: Environment::Standalone,
            api_server: None,
            explains: None,
        };
        let (reports, reported) = mpsc::unbounded_channel();
        let access_log = AccessLog::to(Memory(Arc::clone(&log))).unwrap().by_default(has_lines);
        let plane = DataPlane::start(settings, Surroundings { clock: clock.clone(), access_log, traces, reports })
            .await
            .unwrap();
        let (files, state, plane) = (BTreeMap::new(), State::default(), Arc::new(plane));
        Self { plane, state, reported, files, ip, clock, log, diagnostics: vec![], statuses: vec![] }
    }

    /// Puts `text` into `file` and the whole in force.
    pub fn write(&mut self, file: &str, text: &str) {
        self.files.insert(file.to_owned(), text.to_owned());
        self.enforce();
    }

    /// Puts many files into force at once.
    #[cfg(feature = "endure")]
    pub fn write_all(&mut self, files: impl IntoIterator<Item = (String, String)>) {
        self.files.extend(files);
        self.enforce();
    }

    /// Takes a file away.
    pub fn remove(&mut self, file: &str) {
        self.files.remove(file).expect("the file is there");
        self.enforce();
    }

    fn enforce(&mut self) {
        let sources: Vec<_> =
            self.files.iter().map(|(path, text)| SourceFile { path: path.clone(), text: text.clone() }).collect();
        self.diagnostics = self.state.load(&sources);
        let (more, statuses) = self.state.enforce(&self.plane);
        self.diagnostics.extend(more);
        self.statuses = statuses;
        let said = format!("{:?} {:?}", self.diagnostics, self.statuses);
        assert!(!said.contains("cannot be bound"), "another gateway has the address: {said}");
    }

    /// Waits until the condition `kind` of this object, e.g. `"ApiPolicy shop/orders"`, has the reason `reason`; the data plane
    /// tells by itself what it depends on.
    pub async fn until(&mut self, object: &str, kind: &str, reason: &str) -> Condition {
        const PATIENCE: Duration = Duration::from_secs(8);
        let told = tokio::time::timeout(PATIENCE, async {
            loop {
                let found = self.conditions(object).iter().find(|one| one.r#type == kind && one.reason == reason);
                if let Some(found) = found {
                    return found.clone();
                }
                self.state.hear(self.reported.recv().await.expect("the data plane runs"));
                self.statuses = self.state.statuses();
            }
        });
        let told = told.await;
        told.unwrap_or_else(|_| panic!("{object} is not {reason}: {:#?}", self.conditions(object)))
    }

    fn conditions(&self, object: &str) -> &[Condition] {
        let (kind, name) = object.split_once(' ').expect("a kind and a name");
        let status = self.statuses.iter().find(|status| status.kind == kind && status.name == name);
        status.map_or(&[], |status| &status.conditions)
    }

    /// All metrics, as a scrape sees them.
    pub async fn metrics(&self) -> String {
        let answer = send(self.admin(), get("/metrics", &[])).await;
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    pub fn http(&self) -> SocketAddr {
        SocketAddr::from((self.ip, HTTP))
    }

    pub fn https(&self) -> SocketAddr {
        SocketAddr::from((self.ip, HTTPS))
    }

    pub fn admin(&self) -> SocketAddr {
        self.plane.admin().unwrap()
    }

    /// What was said about this object, e.g. `"ApiPolicy shop/orders"`.
    pub fn said(&self, object: &str) -> String {
        let of = self.diagnostics.iter().filter(|diagnostic| diagnostic.object == object);
        of.map(|diagnostic| format!("{}: {}\n", diagnostic.field, diagnostic.message)).collect()
    }

    /// Lines of the access log, once there are at least `count` of them.
    pub async fn log(&self, count: usize) -> Vec<Value> {
        for _ in 0..200 {
            let text = String::from_utf8(self.log.lock().clone()).unwrap();
            let lines: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            if lines.len() >= count {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no {count} lines in the access log: {}", String::from_utf8_lossy(&self.log.lock()));
    }

    /// Reads the lines that are there, also when the gateway is no more.
    pub fn log_lines(&self) -> impl Fn() -> Vec<Value> + use<> {
        let log = Arc::clone(&self.log);
        move || {
            let text = String::from_utf8(log.lock().clone()).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    /// Lets go of the access log, in runs that would fill the memory with it.
    #[cfg(feature = "endure")]
    pub fn forget_log(&self) {
        self.log.lock().clear();
    }

    /// What does the same, wherever it is called.
    #[cfg(feature = "endure")]
    pub fn log_forgetter(&self) -> impl Fn() + Send + Sync + use<> {
        let log = Arc::clone(&self.log);
        move || log.lock().clear()
    }

    pub async fn drain(self, within: Duration) {
        self.draining(within).await;
    }

    /// The same, while it is still told of changes.
    pub fn draining(&self, within: Duration) -> impl Future<Output = ()> + use<> {
        let plane = Arc::clone(&self.plane);
        async move { plane.drain(within).await }
    }
}

struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// By process and by gateway within it, so that tests can run beside each other on the same ports.
pub fn own_address() -> IpAddr {
    static STARTED: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high, low, STARTED.fetch_add(1, Ordering::Relaxed)).into()
}
