//! `sallyport check`: whether a cluster can take Sallyport, and whether what it has taken works.

mod finding;
mod installed;
mod prerequisites;

use std::time::Duration;

use super::connect::{Cluster, Place, within};
use crate::exit::Outcome;
use crate::{Output, print};
use finding::{Finding, lines};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Only what an installation needs: versions, kinds, and the rights of whoever asks
    #[arg(long, conflicts_with = "wait")]
    pre: bool,
    /// Looks again until everything is well, or the time is over
    #[arg(long)]
    wait: bool,
    /// Seconds that --wait waits
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// How findings are printed
    #[arg(short, long, default_value = "table")]
    output: Output,
}

pub(crate) async fn check(arguments: Arguments) -> anyhow::Result<Outcome> {
    let cluster = Cluster::of(&arguments.place).await?;
    let patience = Duration::from_secs(if arguments.wait { arguments.timeout } else { 0 });
    let mut findings = Vec::new();
    within(patience, async || {
        findings = look(&cluster, arguments.pre).await?;
        Ok(findings.iter().all(|one| one.fine).then_some(()))
    })
    .await?;
    print::line(&match arguments.output {
        Output::Json => serde_json::to_string_pretty(&findings)?,
        Output::Table => lines(&findings),
    });
    Ok(if findings.iter().all(|one| one.fine) { Outcome::Fine } else { Outcome::Findings })
}

async fn look(cluster: &Cluster, pre: bool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = prerequisites::of_cluster(cluster).await?;
    if pre {
        findings.extend(prerequisites::rights(cluster).await?);
    } else if findings.iter().all(|one| one.fine) {
        findings.extend(installed::all(cluster).await?);
    }
    Ok(findings)
}
