//! `sallyport demo`: the main job on loopback, made visible.

mod client;
mod issuer;
mod service;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use rand::RngExt as _;
use sallyport_controller::manifest::files;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::exit::Outcome;
use crate::{cluster, print, run, standalone};
use client::{Answer, get};
use issuer::Issuer;

/// How long the gateway may take to answer for the first time: keys are fetched in it.
const START_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Ends after its own requests, instead of serving until it is interrupted
    #[arg(long, conflicts_with = "cluster")]
    once: bool,
    /// The gateway's port; default: a free one
    #[arg(long, conflicts_with = "cluster")]
    port: Option<u16>,
    #[command(flatten, next_help_heading = "In a cluster")]
    in_cluster: cluster::demo::InCluster,
}

/// Everything that a visitor needs in order to repeat what the demo did.
struct Stage {
    gateway: u16,
    token: String,
    reader: String,
    key: String,
    other_key: String,
}

pub(crate) async fn demo(arguments: Arguments) -> anyhow::Result<Outcome> {
    if arguments.in_cluster.cluster {
        return Box::pin(cluster::demo::demo(arguments.in_cluster)).await;
    }
    let began = Instant::now();
    // Heard from the first moment: what is written here is removed however it ends.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let folder = tempfile::tempdir()?;
    let issuer = Issuer::start().await?;
    let service = service::start().await?;
    let gateway = free_port(arguments.port)?;
    let key = || format!("sp_{:032x}{:032x}", rand::rng().random::<u128>(), rand::rng().random::<u128>());
    let (token, reader) = (issuer.token("orders.read orders.write")?, issuer.token("profile")?);
    let stage = Stage { gateway, token, reader, key: key(), other_key: key() };
    std::fs::write(folder.path().join("shop.yaml"), manifests(&stage, &issuer, service))?;
    let files = vec![folder.path().to_owned()];
    let data_plane = start(&stage, &files).await?;
    let answers = perform(&stage).await?;
    let as_expected = answers.iter().all(|(_, expected, answer)| answer.status == *expected);
    tell(&stage, folder.path(), &answers, began.elapsed());
    if !arguments.once {
        print::line("\nServing until you press Ctrl-C.");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    data_plane.drain(Duration::from_secs(1)).await;
    if !as_expected {
        print::line("\nNot every answer was as expected: that is a bug, or something on this machine is in the way.");
    }
    Ok(if as_expected { Outcome::Fine } else { Outcome::Findings })
}

async fn start(stage: &Stage, paths: &[std::path::PathBuf]) -> anyhow::Result<sallyport_dataplane::process::DataPlane> {
    let data_plane = run::start_for_demo().await?;
    let mut state = standalone::State::default();
    run::reload(&mut state, files::read(paths), &data_plane);
    let deadline = Instant::now() + START_TIMEOUT;
    while get(stage.gateway, "/orders", &[("authorization", &format!("Bearer {}", stage.token))])
        .await
        .is_ok_and(|answer| answer.status == 503)
    {
        ensure!(Instant::now() < deadline, "the gateway did not get the issuer's keys in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(data_plane)
}

type Performed = (&'static str, u16, Answer);
type Headers<'a> = Vec<(&'a str, &'a str)>;

/// The requests, with the status that each is expected to have.
async fn perform(stage: &Stage) -> anyhow::Result<Vec<Performed>> {
    let bearer = format!("Bearer {}", stage.token);
    let poor = format!("Bearer {}", stage.reader);
    let mut performed = Vec::new();
    let requests: [(&str, u16, &str, Headers<'_>); 6] = [
        ("no token", 401, "/orders", vec![]),
        ("a token", 200, "/orders", vec![("authorization", &bearer), ("x-user", "root")]),
        ("a token without the scope", 403, "/orders", vec![("authorization", &poor)]),
        ("a subscription key", 200, "/reports", vec![("sallyport-key", &stage.key)]),
        ("a key for another API", 403, "/reports", vec![("sallyport-key", &stage.other_key)]),
        ("an unknown key", 401, "/reports", vec![("sallyport-key", "nobody")]),
    ];
    for (what, expected, path, headers) in requests {
        let answer = get(stage.gateway, path, &headers).await.with_context(|| format!("{what}: no answer"))?;
        performed.push((what, expected, answer));
    }
    Ok(performed)
}

fn tell(stage: &Stage, folder: &Path, performed: &[Performed], took: Duration) {
    print::line(&format!(
        "A protected API on http://127.0.0.1:{} after {} ms, from the manifests in {} (to be read: what is changed there changes nothing here)\n",
        stage.gateway,
        took.as_millis(),
        folder.display()
    ));
    for (what, expected, answer) in performed {
        let verdict = if answer.status == *expected { "as expected" } else { "NOT as expected" };
        print::line(&format!("  {what:<28} -> {} ({verdict})", answer.status));
        print::line(&format!("      {}", answer.body.trim()));
    }
    print::line(
        "\nThe service saw another credential than the caller's: basic for /orders, its own key for /reports. X-User is the",
    );
    print::line("gateway's word: what the caller wrote there was removed. Try it yourself:\n");
    let base = format!("http://127.0.0.1:{}", stage.gateway);
    for (expected, command) in [
        ("401: no token", format!("curl -i {base}/orders")),
        (
            "200, and what the service saw: no root",
            format!("curl -i {base}/orders -H 'X-User: root' -H 'Authorization: Bearer {}'", stage.token),
        ),
        (
            "403: the token lacks orders.read",
            format!("curl -i {base}/orders -H 'Authorization: Bearer {}'", stage.reader),
        ),
        ("200", format!("curl -i {base}/reports -H 'Sallyport-Key: {}'", stage.key)),
        ("403: the key is for another API", format!("curl -i {base}/reports -H 'Sallyport-Key: {}'", stage.other_key)),
        ("401: nobody has this key", format!("curl -i {base}/reports -H 'Sallyport-Key: nobody'")),
    ] {
        print::line(&format!("# {expected}\n{command}"));
    }
    print::line("\nThe tokens hold for 12 hours. The demo keeps no access log; `sallyport run --access-log` does.");
}

/// The port, if nobody has it; without one, any that nobody has.
fn free_port(wanted: Option<u16>) -> anyhow::Result<u16> {
    let bound = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, wanted.unwrap_or_default())));
    let bound = bound.map_err(|error| match wanted {
        Some(port) => anyhow!("port {port} cannot be had: {error}; name another by --port, or leave it out"),
        None => error.into(),
    })?;
    Ok(bound.local_addr()?.port())
}

fn manifests(stage: &Stage, issuer: &Issuer, service: SocketAddr) -> String {
    include_str!("demo/shop.yaml")
        .replace("${GATEWAY_PORT}", &stage.gateway.to_string())
        .replace("${ISSUER}", &issuer.address)
        .replace("${SERVICE_PORT}", &service.port().to_string())
        .replace("${KEY}", &stage.key)
        .replace("${OTHER_KEY}", &stage.other_key)
}
