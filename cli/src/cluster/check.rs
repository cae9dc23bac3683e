//! `sallyport check`: whether a cluster can take the gateway, and whether the gateway does its work there.

mod facts;
mod judge;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;

use crate::cluster::connect::{Access, printable};
use crate::cluster::table::counted;
use crate::cluster::wait::{self, Look, until};
use crate::exit::Outcome;
use crate::print;
use facts::Facts;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Before anything is installed: what the cluster has to have, and what whoever installs has to be allowed
    #[arg(long)]
    pre: bool,
    /// Waits until everything is as it should be
    #[arg(long, conflicts_with = "pre")]
    wait: bool,
    /// How long it waits, such as 1m30s
    #[arg(long, default_value = "2m", value_parser = wait::duration)]
    timeout: Duration,
    /// The namespace of the controller; default: wherever it is, or sallyport-system with --pre
    #[arg(long)]
    system_namespace: Option<String>,
    #[command(flatten)]
    access: Access,
    /// How it is printed
    #[arg(short, long, default_value = "table")]
    output: crate::Output,
}

/// One thing that was looked at. As JSON it is stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    /// What it is about, always by the same name.
    name: String,
    verdict: Verdict,
    message: String,
    /// What to do; empty where nothing is wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    cure: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Verdict {
    Pass,
    Fail,
    /// It cannot be told.
    Unknown,
}

pub(crate) async fn check(arguments: Arguments) -> anyhow::Result<Outcome> {
    let cluster = arguments.access.connect().await?;
    // What is enforced may be anywhere: one namespace only where it is named.
    let namespace = arguments.access.namespace.as_deref();
    let system = arguments.system_namespace.as_deref();
    let look = async || match arguments.pre {
        true => judge::before(&Facts::before(&cluster, system).await),
        false => judge::after(&Facts::after(&cluster, namespace, system).await),
    };
    let mut checks = look().await;
    if arguments.wait && outcome(&checks) != Outcome::Fine {
        let again = async || Ok(awaited(look().await));
        if let Ok(done) = until(arguments.timeout, again).await? {
            checks = done;
        } else {
            checks = look().await;
        }
    }
    print::line(&match arguments.output {
        crate::Output::Table => table(&checks, print::is_coloured()),
        crate::Output::Json => serde_json::to_string_pretty(&checks)?,
    });
    Ok(outcome(&checks))
}

fn awaited(checks: Vec<Check>) -> Look<Vec<Check>> {
    match checks.iter().find(|check| check.verdict != Verdict::Pass) {
        Some(check) => Look::Awaits(printable(&format!("{}: {}", check.name, check.message))),
        None => Look::Done(checks),
    }
}

fn outcome(checks: &[Check]) -> Outcome {
    let any = |verdict| checks.iter().any(|check| check.verdict == verdict);
    match (any(Verdict::Unknown), any(Verdict::Fail)) {
        (true, _) => Outcome::CannotTell,
        (_, true) => Outcome::Findings,
        _ => Outcome::Fine,
    }
}

/// A line for each check, with the cure of what is wrong, and a count.
fn table(checks: &[Check], is_coloured: bool) -> String {
    let line = |check: &Check| {
        let (word, colour) = match check.verdict {
            Verdict::Pass => ("ok  ", 32),
            Verdict::Fail => ("FAIL", 31),
            Verdict::Unknown => ("?   ", 33),
        };
        let word = if is_coloured { format!("\u{1b}[{colour}m{word}\u{1b}[0m") } else { word.to_owned() };
        let cure =
            if check.cure.is_empty() { String::new() } else { format!("\n      cure: {}", printable(&check.cure)) };
        format!("{word}  {}: {}{cure}", printable(&check.name), printable(&check.message))
    };
    let of = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let rest = [(of(Verdict::Fail), "failed"), (of(Verdict::Unknown), "not to be told")];
    let rest: Vec<_> =
        rest.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let verdict = if rest.is_empty() { "all is as it should be".to_owned() } else { rest.join(", ") };
    let lines: Vec<_> = checks.iter().map(line).collect();
    format!("{}\n\n{}: {verdict}", lines.join("\n"), counted(checks.len(), "check"))
}
