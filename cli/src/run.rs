//! `sallyport run`: a gateway from files, in one process, without a cluster.

mod quiet;
mod unreached;
mod watch;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context as _, bail};
use sallyport_controller::manifest::files::{self, Found};
use sallyport_controller::manifest::{self, Diagnostic, Severity};
use sallyport_controller::status::ObjectStatus;
use sallyport_dataplane::clock::Clock;
use sallyport_dataplane::observe::access_log::AccessLog;
use sallyport_dataplane::observe::traces::Traces;
use sallyport_dataplane::process::{DataPlane, Surroundings};
use sallyport_dataplane::server::descriptors;
use sallyport_dataplane::server::socket::Binding;
use sallyport_dataplane::settings::{Environment, Settings};
use sallyport_snapshot::v1;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::exit::Outcome;
use crate::print;
use crate::run::quiet::Quiet;
use crate::run::unreached::Unreached;
use crate::run::watch::{Change, Watch};
use crate::standalone::{Rejection, State};

/// As much as the thread has that a process begins with.
const READER_STACK_BYTES: usize = 8 << 20;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A file, or a folder that is searched for *.yaml, *.yml and *.json
    #[arg(short, long = "filename", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The address that listeners bind to
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) bind: IpAddr,
    /// Added to every listener's port, so that port 80 needs no privilege: 8000 makes it 8080
    #[arg(long, default_value_t = 0)]
    pub(crate) port_offset: u16,
    /// Where /livez, /readyz and /metrics are answered
    #[arg(long, default_value = "127.0.0.1:9090")]
    pub(crate) admin: SocketAddr,
    /// Threads that serve requests; default: one for each core
    #[arg(long)]
    pub(crate) workers: Option<NonZeroUsize>,
    /// Writes a JSON line for each request to standard output, where `accessLog` of GatewayParameters says nothing else
    #[arg(long)]
    pub(crate) access_log: bool,
    /// Exports spans to this OTLP collector (gRPC), e.g. http://127.0.0.1:4317; OTEL_TRACES_SAMPLER says which
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub(crate) otlp_endpoint: Option<String>,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    log_to_standard_error();
    raise_limit_of_files();
    // Signals are heard from the first moment: one that comes while files are read still ends the process in order.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (reports, mut reported) = mpsc::unbounded_channel();
    let data_plane = start(&arguments, reports).await?;
    let (changes, mut changed) = mpsc::unbounded_channel();
    // What changes while files are read for the first time is heard of afterwards.
    let mut watch = Watch::start(&arguments.files, changes)?;
    let mut state = begin(&arguments.files, &data_plane)?;
    let (mut unreached, mut quiet) = (Unreached::default(), Quiet::default());
    tell_where(&arguments, &data_plane);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(change) = changed.recv() => quiet.hear(change, Instant::now()),
            () = quiet.over() => {
                if let Err(error) = watch.renew() {
                    tracing::error!(error = format!("{error:#}"), "some changes of files may go unnoticed");
                }
                let found = read_closed(&arguments.files, &mut quiet, &mut changed);
                unreached.tell(&reload(&mut state, found, &data_plane));
            }
            Some(report) = reported.recv() => {
                state.hear(report);
                while let Ok(report) = reported.try_recv() {
                    state.hear(report);
                }
                unreached.tell(&state.statuses());
            }
        }
    }
    tracing::info!("draining");
    let within = data_plane.drain_timeout();
    data_plane.drain(within).await;
    Ok(Outcome::Fine)
}

/// Where it listens, as callers have to write it.
fn tell_where(arguments: &Arguments, data_plane: &DataPlane) {
    for port in data_plane.ports() {
        let scheme = if data_plane.speaks_tls(port) == Some(true) { "https" } else { "http" };
        let bound = u32::from(port) + u32::from(arguments.port_offset);
        tracing::info!(port, "listening on {scheme}://{}", HostPort(arguments.bind, bound));
    }
    match data_plane.admin() {
        Some(admin) => tracing::info!("ready; probes and metrics on http://{admin}"),
        None => tracing::info!("ready"),
    }
}

/// An address of IPv6 stands in brackets (RFC 3986, 3.2.2).
struct HostPort(IpAddr, u32);

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(IpAddr::V4(ip), port) => write!(f, "{ip}:{port}"),
            Self(IpAddr::V6(ip), port) => write!(f, "[{ip}]:{port}"),
        }
    }
}

/// Logs go to standard error, so that standard output is free for the access log.
pub(crate) fn log_to_standard_error() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    // A second call within one process keeps the first.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(print::is_log_coloured());
    let _kept = log.with_writer(std::io::stderr).try_init();
}

/// A data plane for the demo: two workers, no probes.
pub(crate) async fn start_for_demo() -> std::io::Result<DataPlane> {
    let workers = NonZeroUsize::MIN.saturating_add(1);
    let binding = Binding { ip: std::net::Ipv4Addr::LOCALHOST.into(), port_offset: 0, keeps_high_ports: false };
    let settings = Settings {
        workers,
        binding,
        admin: None,
        environment: Environment::Standalone,
        api_server: None,
        explains: None,
    };
    let (reports, _) = mpsc::unbounded_channel();
    DataPlane::start(
        settings,
        Surroundings { clock: Clock::default(), access_log: AccessLog::off(), traces: Traces::off(), reports },
    )
    .await
}

/// Connections are files: as many as the system allows, whatever a shell allows by default.
fn raise_limit_of_files() {
    match descriptors::raise_limit() {
        Ok(limit) => tracing::debug!(?limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised; it stays as it is"),
    }
}

async fn start(arguments: &Arguments, reports: mpsc::UnboundedSender<v1::Report>) -> anyhow::Result<DataPlane> {
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let settings = Settings {
        workers: arguments.workers.unwrap_or(cores),
        binding: Binding { ip: arguments.bind, port_offset: arguments.port_offset, keeps_high_ports: false },
        admin: Some(arguments.admin),
        environment: Environment::Standalone,
        api_server: None,
        explains: None,
    };
    let access_log = AccessLog::to(std::io::stdout())?.by_default(arguments.access_log);
    let traces = match &arguments.otlp_endpoint {
        Some(endpoint) => Traces::to(endpoint).with_context(|| format!("no spans can be exported to {endpoint}"))?,
        None => Traces::off(),
    };
    let surroundings = Surroundings { clock: Clock::default(), access_log, traces, reports };
    DataPlane::start(settings, surroundings).await.with_context(|| {
        format!("the gateway cannot start with --admin {}; name another address there", arguments.admin)
    })
}

/// Reads everything for the first time. A file that cannot be read may hold what guards the rest: nothing is served without it.
fn begin(paths: &[PathBuf], data_plane: &DataPlane) -> anyhow::Result<State> {
    let mut state = State::default();
    let diagnostics = take_in(&mut state, || files::read(paths)).context("no thread can be started to read files")?;
    if let Some(path) = state.unreadable().first() {
        diagnostics.iter().for_each(report);
        bail!("{path} cannot be read, and what it holds may guard the rest; correct it, or leave it out");
    }
    if enforce(&mut state, diagnostics, data_plane).is_empty() {
        let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        tracing::warn!("nothing is served: {} holds no object of a kind that is read here", paths.join(", "));
    }
    Ok(state)
}

/// Reads everything anew, but for files that somebody writes.
fn read_closed(paths: &[PathBuf], quiet: &mut Quiet, changed: &mut mpsc::UnboundedReceiver<Change>) -> Found {
    let mut open = quiet.take_up(Instant::now());
    let mut found = files::read(paths);
    // Whoever began to write meanwhile may have been read in the middle.
    while let Ok(change) = changed.try_recv() {
        if let Change::Writing(path) = &change {
            open.insert(path.clone());
        }
        quiet.hear(change, Instant::now());
    }
    found.set_aside(&open);
    found
}

/// Enforces what was found; where each object stands then.
pub(crate) fn reload(state: &mut State, found: Found, data_plane: &DataPlane) -> Vec<ObjectStatus> {
    // What cannot be read now stays as it was.
    let diagnostics = take_in(state, || found).unwrap_or_else(|error| {
        tracing::error!(%error, "no thread can be started to read files; the configuration stays as it is");
        Vec::new()
    });
    enforce(state, diagnostics, data_plane)
}

/// Reads and judges on a thread that ends with it: what the allocator keeps at hand for one that has handled much goes back with the thread.
fn take_in(state: &mut State, find: impl FnOnce() -> Found + Send) -> std::io::Result<Vec<Diagnostic>> {
    let read = || {
        let diagnostics = state.load_found(find());
        manifest::forget_schemas();
        diagnostics
    };
    thread::scope(|scope| {
        let reader = thread::Builder::new().name("reader".to_owned()).stack_size(READER_STACK_BYTES);
        let reader = reader.spawn_scoped(scope, read)?;
        Ok(reader.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

fn enforce(state: &mut State, mut diagnostics: Vec<Diagnostic>, data_plane: &DataPlane) -> Vec<ObjectStatus> {
    let (more, statuses) = state.enforce(data_plane);
    diagnostics.extend(more);
    diagnostics.sort();
    diagnostics.dedup();
    diagnostics.iter().for_each(report);
    state.rejections().for_each(|rejection| report_rejection(&rejection));
    let ready = statuses.iter().filter(|status| status.is_ready()).count();
    tracing::info!(objects = statuses.len(), ready, problems = diagnostics.len(), "configuration in force");
    statuses
}

fn report_rejection(rejection: &Rejection) {
    tracing::error!(
        object = rejection.objects,
        resource = rejection.resource,
        why = rejection.why,
        "the data plane rejected a part of the configuration"
    );
}

fn report(diagnostic: &Diagnostic) {
    let (place, text) = (diagnostic.place(), diagnostic.text());
    match diagnostic.severity {
        Severity::Error => tracing::warn!("{place}: {text}"),
        Severity::Note => tracing::info!("{place}: {text}"),
    }
}
