//! `sallyport explain`: what becomes of a request, which rules decide, and why. A data plane in this process judges it, by manifest files or by
//! what a cluster holds, as it would judge any other; no service is asked.

mod asked;
mod live;
mod show;

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sallyport_controller::manifest::files;
use sallyport_dataplane::clock::Clock;
use sallyport_dataplane::explain::AsIf;
use sallyport_dataplane::observe::access_log::AccessLog;
use sallyport_dataplane::observe::traces::Traces;
use sallyport_dataplane::process::{DataPlane, Surroundings};
use sallyport_dataplane::server::socket::Binding;
use sallyport_dataplane::settings::{Environment, Settings};
use tokio::sync::mpsc;

use crate::cluster::connect::Access;
use crate::exit::Outcome;
use crate::standalone::State;
use crate::{Output, print};
use asked::Asked;

/// Added to the ports of listeners, so that no port needs a privilege.
const PORT_OFFSET: u16 = 10_000;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What is asked for, e.g. https://api.example.com/orders?page=2; scheme and port say which listener
    url: String,
    /// Manifests: a file, or a folder that is searched for *.yaml, *.yml and *.json; without any, what the cluster holds
    #[arg(short, long = "filename")]
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
    /// Where the connection comes from: the caller, or the proxy in front
    #[arg(long, default_value = "127.0.0.1")]
    from: IpAddr,
    /// Certificates in PEM, the leaf first, as if the caller had shown them in the handshake
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// Of a cluster with several Gateways, the one that is asked: NAME, or NAMESPACE/NAME
    #[arg(long)]
    gateway: Option<String>,
    #[command(flatten)]
    access: Access,
    /// How it is printed
    #[arg(short, long, default_value = "table")]
    output: Output,
}

pub(crate) async fn explain(arguments: Arguments) -> anyhow::Result<Outcome> {
    let asked = Asked::read(&arguments)?;
    let (data_plane, ip) = start(&arguments).await?;
    let notes = configure(&arguments, &data_plane).await?;
    let account = asked.ask(ip, PORT_OFFSET).await?;
    match arguments.output {
        Output::Table => show::table(&asked, &account, &notes),
        Output::Json => print::line(&serde_json::to_string_pretty(&account)?),
    }
    Ok(if account.decision.forwarded { Outcome::Fine } else { Outcome::Findings })
}

/// A data plane that forwards nothing, at an address of its own where the system has more than one.
async fn start(arguments: &Arguments) -> anyhow::Result<(DataPlane, IpAddr)> {
    let ip: IpAddr = if cfg!(target_os = "linux") {
        Ipv4Addr::from_octets([127, 64 | rand::random::<u8>() >> 2, rand::random(), 1 | rand::random::<u8>() >> 1])
            .into()
    } else {
        Ipv4Addr::LOCALHOST.into()
    };
    let settings = Settings {
        workers: NonZeroUsize::MIN,
        binding: Binding { ip, port_offset: PORT_OFFSET, keeps_high_ports: true },
        admin: None,
        environment: if arguments.files.is_empty() { Environment::Cluster } else { Environment::Standalone },
        api_server: None,
        explains: Some(AsIf { address: Some(arguments.from), certificates: certificates(arguments)? }),
    };
    let (reports, _) = mpsc::unbounded_channel();
    let surroundings =
        Surroundings { clock: Clock::default(), access_log: AccessLog::off(), traces: Traces::off(), reports };
    Ok((DataPlane::start(settings, surroundings).await?, ip))
}

fn certificates(arguments: &Arguments) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let Some(path) = &arguments.certificate else { return Ok(Vec::new()) };
    let told = || format!("--certificate {}", path.display());
    let found = CertificateDer::pem_file_iter(path).with_context(told)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().with_context(told)?;
    anyhow::ensure!(!found.is_empty(), "{} holds no certificate in PEM", path.display());
    Ok(found)
}

/// Puts in force what files or the cluster say. What is wrong with files `validate` tells; here it is said that something is.
async fn configure(arguments: &Arguments, data_plane: &DataPlane) -> anyhow::Result<Vec<String>> {
    if arguments.files.is_empty() {
        return live::configure(&arguments.access, arguments.gateway.as_deref(), data_plane).await;
    }
    anyhow::ensure!(
        arguments.gateway.is_none(),
        "--gateway is for a cluster; of files, host and port say which is asked"
    );
    let found = files::read(&arguments.files);
    anyhow::ensure!(!found.files.is_empty(), "there is no *.yaml, *.yml or *.json file");
    let mut state = State::default();
    let mut diagnostics = state.load_found(found);
    let (more, _) = state.enforce(data_plane);
    diagnostics.extend(more);
    let wrong =
        diagnostics.iter().filter(|one| one.severity == sallyport_controller::manifest::Severity::Error).count();
    let rejected = state.rejections().map(|one| format!("{} is not in force: {}", one.resource, one.why));
    let validate = (wrong > 0)
        .then(|| format!("{wrong} problems in the files have a part in this; `sallyport validate` tells them"));
    Ok(validate.into_iter().chain(rejected).collect())
}
