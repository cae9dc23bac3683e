//! The program that runs in the controller's pods.

mod health;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use kube_lease_manager::LeaseManagerBuilder;
use rustls_pki_types::ServerName;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::timeout::TimeoutLayer;

use crate::access::TokenReviews;
use crate::brain::{Brain, Peers, Surroundings};
use crate::builder::{Builder, Plans, Refusals};
use crate::clock::Clock;
use crate::cluster::ObjectName;
use crate::cluster::reach::Reach;
use crate::fleet::Fleet;
use crate::fleet::peers::Means;
use crate::herald::Herald;
use crate::infra::{PullPolicy, Site};
use crate::metrics::Metrics;
use crate::metrics::requests::Counted;
use crate::stream::{Bounds, Server};
use crate::vault::{Opened, Vault};
use crate::write::FIELD_MANAGER;
use health::Health;

/// Another controller takes over this long after the one that writes was last heard of.
const LEASE_S: u64 = 15;
/// For the beginning of an answer of the API server, lists of the largest clusters included. One that never comes would hold up whatever is to
/// be written after it: what lies between may have died without a word.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);
/// The same where the lease is renewed, so that there is time for another attempt.
const LONGEST_RENEWAL: Duration = Duration::from_secs(3);
/// The one that writes says so anew this long before that.
const LEASE_GRACE_S: u64 = 10;

/// Watches a cluster, tells data planes what to enforce, and objects what has become of them
#[derive(clap::Parser)]
#[command(version)]
pub struct Arguments {
    /// Namespace of the controller
    #[arg(long, env = "POD_NAMESPACE", default_value = "sallyport-system")]
    namespace: String,
    /// Namespaces to watch; all, if none is named
    #[arg(long, env = "SALLYPORT_WATCH_NAMESPACES", value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// Name of this pod, by which it holds the lease
    #[arg(long, env = "POD_NAME")]
    pod: String,
    /// Address of this pod
    #[arg(long, env = "POD_IP")]
    pod_ip: Option<IpAddr>,
    /// ServiceAccount of the controller
    #[arg(long, env = "SALLYPORT_SERVICE_ACCOUNT", default_value = "sallyport-controller")]
    service_account: String,
    /// Service by which data planes reach the controller
    #[arg(long, env = "SALLYPORT_SERVICE", default_value = "sallyport-controller")]
    service: String,
    /// Port of the update stream, at the Service and at the pod
    #[arg(long, env = "SALLYPORT_STREAM_PORT", default_value_t = 9443)]
    stream_port: u16,
    /// Where /livez, /readyz and /metrics are answered
    #[arg(long, env = "SALLYPORT_ADMIN", default_value = "0.0.0.0:9090")]
    admin: SocketAddr,
    /// Image of the data planes
    #[arg(long, env = "SALLYPORT_DATAPLANE_IMAGE")]
    dataplane_image: String,
    /// When the image of the data planes is pulled
    #[arg(long, env = "SALLYPORT_DATAPLANE_PULL_POLICY", default_value = "IfNotPresent")]
    dataplane_pull_policy: PullPolicy,
    /// Secret in which all replicas keep their certificate authority
    #[arg(long, env = "SALLYPORT_AUTHORITY_SECRET", default_value = "sallyport-authority")]
    authority_secret: String,
    /// Lease of the one replica that writes
    #[arg(long, env = "SALLYPORT_LEASE", default_value = "sallyport-controller")]
    lease: String,
    /// File with the token by which this replica is known to the others
    #[arg(long, env = "SALLYPORT_TOKEN")]
    token: PathBuf,
}

/// Works until the process is told to stop.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    log();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let closing = CancellationToken::new();
    let reach = Reach::within(arguments.watch_namespaces.clone(), &arguments.namespace).map_err(anyhow::Error::msg)?;
    let fleet = Fleet::default();
    let metrics = Metrics::new(fleet.clone());
    let health = Health::new(metrics.clone());
    tokio::spawn(health::serve(listen(arguments.admin).await?, health.clone()));
    let client = client(&metrics, LONGEST_ANSWER).await?;
    let opened = opened(&client, &metrics, &arguments).await?;
    let of_lease = self::client(&metrics, LONGEST_RENEWAL).await?;
    let (leads, releasing) = leads(&of_lease, &metrics, &arguments).await?;
    let (identities, known) = watch::channel(BTreeMap::new());
    let (plans, planned) = watch::channel(Plans::default());
    let (refusing, refusals) = watch::channel(Refusals::new());
    let surroundings = Surroundings {
        client: client.clone(),
        reach: reach.clone(),
        fleet: fleet.clone(),
        clock: Clock,
        leads: leads.clone(),
        identities,
        ready: health.ready(),
        refused: health.refused(),
        alive: health.alive(),
        site: site(&arguments, &opened),
        seed: each(&opened, |opened| opened.seed),
        plans,
        refusals,
        peers: peers(&arguments, &opened)?,
        herald: Herald::start(client.clone(), Clock, arguments.pod.clone(), metrics.clone()),
        metrics: metrics.clone(),
    };
    let builder = Builder::new(client.clone(), &reach, (planned, leads), refusing, metrics);
    let own = (arguments.namespace.clone(), arguments.service_account.clone());
    let gatekeeper = Arc::new(TokenReviews { client, identities: known, own });
    let server = Server {
        fleet,
        gatekeeper,
        tls: each(&opened, |opened| Arc::clone(&opened.server)),
        bounds: Bounds::default(),
    };
    let stream = listen((std::net::Ipv4Addr::UNSPECIFIED, arguments.stream_port).into()).await?;
    let serving = tokio::spawn(server.serve(stream, closing.clone()));
    let thinking = tokio::spawn(Brain::new(surroundings).run());
    let building = tokio::spawn(builder.run());
    tracing::info!(pod = arguments.pod, "reading the cluster");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = thinking => anyhow::bail!("nothing is built any more: {ended:?}"),
    }
    tracing::info!("stopping");
    building.abort();
    closing.cancel();
    let _ended = serving.await;
    releasing.release().await;
    Ok(())
}

/// The way to the API server, on which requests are counted, and fail if they are not answered in time.
async fn client(metrics: &Metrics, patience: Duration) -> anyhow::Result<Client> {
    let told = "there is no way to the API server; run in a pod, or set KUBECONFIG";
    let config = kube::Config::infer().await.context(told)?;
    let builder = kube::client::ClientBuilder::try_from(config).context(told)?;
    Ok(builder.with_layer(&TimeoutLayer::new(patience)).with_layer(&Counted(metrics.clone())).build())
}

fn log() {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,kube_runtime=error".into());
    let _kept = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{address} cannot be listened at"))
}

/// What the Secret of the authority holds, now and from now on.
async fn opened(client: &Client, metrics: &Metrics, arguments: &Arguments) -> anyhow::Result<watch::Receiver<Opened>> {
    let secret = ObjectName::new(&arguments.namespace, &arguments.authority_secret);
    let vault = Vault::new(client.clone(), &secret, names(arguments), metrics.clone());
    let (sender, receiver) = watch::channel(vault.open().await?);
    tokio::spawn(vault.keep(sender));
    Ok(receiver)
}

/// By what data planes and other replicas call the controller.
fn names(arguments: &Arguments) -> Vec<String> {
    let Arguments { service, namespace, .. } = arguments;
    vec![format!("{service}.{namespace}.svc"), format!("{service}.{namespace}.svc.cluster.local")]
}

fn site(arguments: &Arguments, opened: &watch::Receiver<Opened>) -> watch::Receiver<Site> {
    let controller = ObjectName::new(&arguments.namespace, &arguments.service);
    let (stream_port, image) = (arguments.stream_port, arguments.dataplane_image.clone());
    let pull_policy = arguments.dataplane_pull_policy;
    each(opened, move |opened| Site {
        controller: controller.clone(),
        stream_port,
        authority: opened.bundle.to_string(),
        image: image.clone(),
        pull_policy,
    })
}

fn peers(arguments: &Arguments, opened: &watch::Receiver<Opened>) -> anyhow::Result<Peers> {
    let service = ObjectName::new(&arguments.namespace, &arguments.service);
    let name = format!("{}.{}.svc", arguments.service, arguments.namespace);
    let server_name =
        ServerName::try_from(name).context("the controller's Service has no name that a certificate takes")?;
    let tls = each(opened, |opened| Arc::clone(&opened.client));
    let means = Means { tls, token: arguments.token.clone() };
    Ok(Peers::new(service, arguments.stream_port, arguments.pod_ip, server_name, means))
}

/// A part of what is told, told on.
fn each<T, U>(source: &watch::Receiver<T>, part: impl Fn(&T) -> U + Send + 'static) -> watch::Receiver<U>
where
    T: Send + Sync + 'static,
    U: Send + Sync + 'static,
{
    let mut source = source.clone();
    let (sender, receiver) = watch::channel(part(&source.borrow_and_update()));
    tokio::spawn(async move {
        while source.changed().await.is_ok() {
            let now = part(&source.borrow_and_update());
            if sender.send(now).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Gives the lease back, so that another replica need not wait for its end.
struct Releasing {
    told: tokio::task::JoinHandle<()>,
    lease: tokio::task::JoinHandle<kube_lease_manager::Result<kube_lease_manager::LeaseManager>>,
}

impl Releasing {
    async fn release(self) {
        self.told.abort();
        let _aborted = self.told.await;
        if let Ok(Err(error)) = self.lease.await {
            tracing::warn!(%error, "the lease is not given back, and ends by itself");
        }
    }
}

/// Whether this replica is the one that writes.
async fn leads(
    client: &Client,
    metrics: &Metrics,
    arguments: &Arguments,
) -> anyhow::Result<(watch::Receiver<bool>, Releasing)> {
    let manager = LeaseManagerBuilder::new(client.clone(), &arguments.lease)
        .with_namespace(&arguments.namespace)
        .with_identity(&arguments.pod)
        .with_duration(LEASE_S)
        .with_grace(LEASE_GRACE_S)
        .with_field_manager(format!("{FIELD_MANAGER}-{}", arguments.pod))
        .build()
        .await
        .context("the lease cannot be made or read")?;
    let (mut state, lease) = manager.watch().await;
    let (sender, receiver) = watch::channel(*state.borrow_and_update());
    let metrics = metrics.clone();
    metrics.leads(*receiver.borrow());
    let told = tokio::spawn(async move {
        while state.changed().await.is_ok() {
            let leads = *state.borrow_and_update();
            tracing::info!(leads, "who writes has changed");
            metrics.leads(leads);
            sender.send_replace(leads);
        }
        // Whoever does not know does not write.
        metrics.leads(false);
        sender.send_replace(false);
    });
    Ok((receiver, Releasing { told, lease }))
}
