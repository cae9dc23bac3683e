//! `sallyport explain`: what becomes of a request, which rules decide, and why. A data plane in this process judges it, by manifest files or by
//! what a cluster holds, as it would judge any other; it listens nowhere, and asks no service.

mod asked;
mod live;
mod show;

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sallyport_controller::manifest::{Severity, files};
use sallyport_dataplane::client_certificate::shown::{MAX_BYTES, MAX_CERTIFICATES};
use sallyport_dataplane::clock::Clock;
use sallyport_dataplane::explain::{AsIf, FoundOut};
use sallyport_dataplane::observe::access_log::AccessLog;
use sallyport_dataplane::observe::traces::Traces;
use sallyport_dataplane::process::{DataPlane, Surroundings};
use sallyport_dataplane::server::socket::Binding;
use sallyport_dataplane::settings::{Environment, Settings};
use tokio::sync::mpsc;

use crate::Output;
use crate::cluster::connect::Access;
use crate::exit::Outcome;
use crate::standalone::State;
use asked::Asked;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What is asked for, e.g. https://api.example.com/orders?page=2; scheme and port say which listener. @FILE reads it, and nobody sees it among the processes
    url: String,
    /// Manifests: a file, or a folder that is searched for *.yaml, *.yml and *.json; judged as `run` would. Without any, what the cluster holds
    #[arg(short, long = "filename", conflicts_with_all = ["gateway", "watch_namespaces", "kubeconfig", "context", "namespace"])]
    files: Vec<PathBuf>,
    /// The method
    #[arg(short = 'X', long, default_value = "GET")]
    method: String,
    /// A header of the request, e.g. 'Sallyport-Key: ...'; @FILE reads one a line, and nobody sees it among the processes
    #[arg(short = 'H', long = "header")]
    headers: Vec<String>,
    /// How many bytes the body has; up to 64 MiB
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=67_108_864))]
    body_bytes: u32,
    /// Where the connection comes from: the caller, or the proxy in front, whose X-Forwarded-For is then believed if it is a trusted one
    #[arg(long, default_value = "127.0.0.1")]
    from: IpAddr,
    /// The trusted proxy that tells in a PROXY header that it speaks for --from
    #[arg(long)]
    proxy: Option<IpAddr>,
    /// Certificates in PEM, the leaf first, as if the caller showed them in a handshake that asks for one
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// Of a cluster with several Gateways, the one that is asked: NAME, or NAMESPACE/NAME
    #[arg(long)]
    gateway: Option<String>,
    /// A namespace that the controller watches, where it does not watch all; once for each
    #[arg(long = "watch-namespace")]
    watch_namespaces: Vec<String>,
    /// Prints values of headers that are set for the service: they may hold what a caller has sent
    #[arg(long)]
    show_values: bool,
    #[command(flatten)]
    access: Access,
    /// How it is printed
    #[arg(short, long, default_value = "table")]
    output: Output,
}

/// What holds of an explanation as a whole.
#[derive(Default)]
struct Ground {
    notes: Vec<String>,
    /// Something could not be read that may decide otherwise.
    is_incomplete: bool,
}

pub(crate) async fn explain(arguments: Arguments) -> anyhow::Result<Outcome> {
    let asked = Asked::read(&arguments)?;
    let (told, mut found_out) = mpsc::unbounded_channel();
    let data_plane = start(&arguments, told).await?;
    let ground = configure(&arguments, &data_plane).await?;
    let mut account = asked.ask(&data_plane, &mut found_out).await?;
    if !arguments.show_values {
        account.headers.values_mut().for_each(|value| *value = format!("({} characters)", value.chars().count()));
    }
    match arguments.output {
        Output::Table => show::table(&asked, &account, &ground.notes),
        Output::Json => show::json(&account, &ground.notes)?,
    }
    let decision = &account.decision;
    Ok(if ground.is_incomplete || decision.conditional {
        Outcome::CannotTell
    } else if decision.forwarded && !decision.partial {
        Outcome::Fine
    } else {
        Outcome::Findings
    })
}

/// A data plane that forwards nothing.
async fn start(arguments: &Arguments, told: mpsc::UnboundedSender<FoundOut>) -> anyhow::Result<DataPlane> {
    let certificates = certificates(arguments)?;
    let settings = Settings {
        workers: NonZeroUsize::MIN,
        binding: Binding { ip: Ipv4Addr::LOCALHOST.into(), port_offset: 0, keeps_high_ports: true },
        admin: None,
        environment: if arguments.files.is_empty() { Environment::Cluster } else { Environment::Standalone },
        api_server: None,
        explains: Some(AsIf { address: arguments.from, proxy: arguments.proxy, certificates, told }),
    };
    let (reports, _) = mpsc::unbounded_channel();
    let surroundings =
        Surroundings { clock: Clock::default(), access_log: AccessLog::off(), traces: Traces::off(), reports };
    Ok(DataPlane::start(settings, surroundings).await?)
}

fn certificates(arguments: &Arguments) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let Some(path) = &arguments.certificate else { return Ok(Vec::new()) };
    let told = || format!("--certificate {}", path.display());
    let found = CertificateDer::pem_file_iter(path).with_context(told)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().with_context(told)?;
    ensure!(!found.is_empty(), "{} holds no certificate in PEM", path.display());
    let bytes: usize = found.iter().map(|one| one.len()).sum();
    ensure!(
        found.len() <= MAX_CERTIFICATES && bytes <= MAX_BYTES,
        "{}: more than {MAX_CERTIFICATES} certificates or {MAX_BYTES} bytes are refused in every handshake",
        path.display()
    );
    Ok(found)
}

/// Puts in force what files or the cluster say. What is wrong with files `validate` tells; here it is said that something is.
async fn configure(arguments: &Arguments, data_plane: &DataPlane) -> anyhow::Result<Ground> {
    if arguments.files.is_empty() {
        return live::configure(arguments, data_plane).await;
    }
    let found = files::read(&arguments.files);
    ensure!(!found.files.is_empty() || !found.unreadable.is_empty(), "there is no *.yaml, *.yml or *.json file");
    let mut state = State::default();
    let mut diagnostics = state.load_found(found);
    if let Some(file) = state.unreadable().first() {
        bail!(
            "{file} cannot be read, and what it holds may guard the rest: `run` would not start; `sallyport validate` says why"
        );
    }
    let (more, _) = state.enforce(data_plane);
    diagnostics.extend(more);
    let wrong = diagnostics.iter().filter(|one| one.severity == Severity::Error).count();
    let rejected = state.rejections().map(|one| format!("{} is not in force: {}", one.resource, one.why));
    let errors = if wrong == 1 { "error" } else { "errors" };
    let validate = (wrong > 0).then(|| format!("`sallyport validate` has {wrong} {errors} to tell of these files"));
    Ok(Ground { notes: validate.into_iter().chain(rejected).collect(), is_incomplete: false })
}
