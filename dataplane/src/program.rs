//! The program that runs in the pods of a Gateway.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::Uri;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::follow::{Whereabouts, follow};
use crate::observe::access_log::AccessLog;
use crate::observe::traces::Traces;
use crate::process::{DataPlane, Surroundings};
use crate::server::descriptors;
use crate::server::socket::Binding;
use crate::settings::{Environment, Settings};

/// Serves the requests of one Gateway, as the controller tells it
#[derive(clap::Parser)]
#[command(version)]
pub struct Arguments {
    /// Where the controller is: `https://HOST:PORT`
    #[arg(long, env = "SALLYPORT_CONTROLLER")]
    controller: Uri,
    /// File with the authorities, in PEM, that vouch for the controller; read anew for each connection
    #[arg(long, env = "SALLYPORT_CONTROLLER_CA")]
    controller_ca: PathBuf,
    /// File with the token that says which data plane this is; read anew for each connection
    #[arg(long, env = "SALLYPORT_TOKEN")]
    token: PathBuf,
    /// The address that listeners bind to
    #[arg(long, env = "SALLYPORT_BIND", default_value_t = Ipv4Addr::UNSPECIFIED.into())]
    bind: IpAddr,
    /// Added to every listener's port as far as there are ports, so that port 80 needs no privilege
    #[arg(long, env = "SALLYPORT_PORT_OFFSET", default_value_t = 0)]
    port_offset: u16,
    /// Where /livez, /readyz and /metrics are answered
    #[arg(long, env = "SALLYPORT_ADMIN", default_value = "0.0.0.0:9090")]
    admin: SocketAddr,
    /// Seconds that a drain may take at most, whatever the configuration says; what ends the process afterwards is set by this
    #[arg(long, env = "SALLYPORT_LONGEST_DRAIN_S")]
    longest_drain: Option<u64>,
    /// Threads that serve requests; default: one for each core that the pod may use
    #[arg(long, env = "SALLYPORT_WORKERS")]
    workers: Option<NonZeroUsize>,
    /// Writes a JSON line for each request to standard output, where `accessLog` of GatewayParameters says nothing else
    #[arg(long, env = "SALLYPORT_ACCESS_LOG", default_value_t = true, action = clap::ArgAction::Set)]
    access_log: bool,
    /// Exports spans to this OTLP collector (gRPC); OTEL_TRACES_SAMPLER says which
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    /// Address of the API server, to which no service leads
    #[arg(long, env = "KUBERNETES_SERVICE_HOST", hide = true)]
    api_server: Option<String>,
}

/// Serves until the process is told to stop; what is under way is finished then.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    log();
    if let Err(error) = descriptors::raise_limit() {
        tracing::warn!(%error, "the limit of open files cannot be raised; it stays as it is");
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let whereabouts = whereabouts(&arguments)?;
    let (reports, reported) = mpsc::unbounded_channel();
    let data_plane = Arc::new(start(&arguments, reports).await?);
    tracing::info!(controller = %arguments.controller, admin = %arguments.admin, "waiting for the controller");
    let mut following = tokio::spawn(follow(whereabouts, Arc::clone(&data_plane), reported));
    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        // What is in force then is not known: whoever restarts the process gets one where it is.
        ended = &mut following => Err(anyhow::anyhow!("the controller is no longer followed: {ended:?}")),
    };
    tracing::info!("draining");
    // What the controller says meanwhile still counts.
    let longest = arguments.longest_drain.map_or(Duration::MAX, Duration::from_secs);
    data_plane.drain(data_plane.drain_timeout().min(longest)).await;
    following.abort();
    outcome
}

fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    // Standard output is the access log's.
    let _kept = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// Some clusters have a name there; the controller says the addresses.
fn api_server(host: &str) -> Option<IpAddr> {
    let address = host.trim_matches(['[', ']']).parse();
    address
        .inspect_err(|_| tracing::info!(host, "the address of the API server is taken from the controller alone"))
        .ok()
}

fn whereabouts(arguments: &Arguments) -> anyhow::Result<Whereabouts> {
    let uri = &arguments.controller;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https"));
    let host = host.with_context(|| format!("--controller {uri} is no https://HOST:PORT"))?.trim_matches(['[', ']']);
    Ok(Whereabouts {
        host: host.to_owned(),
        port: uri.port_u16().unwrap_or(443),
        server_name: host.to_owned(),
        authorities: arguments.controller_ca.clone(),
        token: arguments.token.clone(),
    })
}

async fn start(
    arguments: &Arguments,
    reports: mpsc::UnboundedSender<sallyport_snapshot::v1::Report>,
) -> anyhow::Result<DataPlane> {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let settings = Settings {
        workers: arguments.workers.unwrap_or(cores),
        binding: Binding { ip: arguments.bind, port_offset: arguments.port_offset, keeps_high_ports: true },
        admin: Some(arguments.admin),
        environment: Environment::Cluster,
        api_server: arguments.api_server.as_deref().and_then(api_server),
        explains: None,
    };
    let access_log = AccessLog::to(std::io::stdout())?.by_default(arguments.access_log);
    let traces = match &arguments.otlp_endpoint {
        Some(endpoint) => Traces::to(endpoint).with_context(|| format!("no spans can be exported to {endpoint}"))?,
        None => Traces::off(),
    };
    let surroundings = Surroundings { clock: Clock::default(), access_log, traces, reports };
    let started = DataPlane::start(settings, surroundings).await;
    started.with_context(|| format!("the data plane cannot start with --admin {}", arguments.admin))
}
