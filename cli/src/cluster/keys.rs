//! `sallyport keys`: where the keys of Subscriptions are, how old they are, one of them, and new ones.

mod rotate;
mod row;
#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sallyport_api::rotation::KeyName;
use sallyport_controller::cluster::{ObjectKind, ObjectName};
use serde_json::Value;

use crate::cluster::connect::{Access, Cluster};
use crate::cluster::object::{qualified, text};
use crate::cluster::status::Output;
use crate::cluster::table::counted;
use crate::cluster::wait;
use crate::exit::Outcome;
use crate::print;
use row::Row;

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Says of each Subscription where its keys are and how old they are; never a key
    List(List),
    /// Says the same of one Subscription, and a key itself only where one is asked for
    Show(Show),
    /// Has one of two keys made anew, at once, while the other goes on
    Rotate(Rotate),
}

#[derive(clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    access: Access,
    /// Of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// How it is printed
    #[arg(short, long, default_value = "table")]
    output: Output,
}

#[derive(clap::Args)]
pub(crate) struct Show {
    /// The Subscription: NAMESPACE/NAME, or NAME in the namespace that is meant
    subscription: String,
    #[command(flatten)]
    access: Access,
    /// Prints this key and nothing else, to be piped; whoever sees the output has the key
    #[arg(long)]
    reveal: Option<Which>,
    /// How it is printed
    #[arg(short, long, default_value = "table", conflicts_with = "reveal")]
    output: Output,
}

#[derive(clap::Args)]
pub(crate) struct Rotate {
    /// The Subscription: NAMESPACE/NAME, or NAME in the namespace that is meant
    subscription: String,
    /// The key that is made anew
    key: Which,
    #[command(flatten)]
    access: Access,
    /// Waits until the new key is there and in force
    #[arg(long)]
    wait: bool,
    /// How long it waits, such as 1m30s
    #[arg(long, default_value = "1m", value_parser = wait::duration)]
    timeout: Duration,
}

/// One of two keys.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Which {
    /// The first
    Primary,
    /// The second
    Secondary,
}

impl Which {
    fn name(self) -> KeyName {
        match self {
            Self::Primary => KeyName::Primary,
            Self::Secondary => KeyName::Secondary,
        }
    }
}

pub(crate) async fn keys(verb: Verb) -> anyhow::Result<Outcome> {
    match verb {
        Verb::List(arguments) => list(arguments).await,
        Verb::Show(arguments) => show(arguments).await,
        Verb::Rotate(arguments) => rotate::rotate(arguments).await,
    }
}

async fn list(arguments: List) -> anyhow::Result<Outcome> {
    let cluster = arguments.access.connect().await?;
    let namespace = (!arguments.all_namespaces).then_some(cluster.namespace.as_str());
    let found = cluster.list(ObjectKind::Subscription, namespace).await;
    let found = found.map_err(|error| cluster.explained(&error, "Subscriptions"))?;
    let rows: Vec<_> = found.iter().map(Row::of).collect();
    print::line(&match arguments.output {
        Output::Json => serde_json::to_string_pretty(&rows)?,
        output => format!("{}\n\n{}", row::table(&rows, output), counted(rows.len(), "Subscription")),
    });
    Ok(Outcome::Fine)
}

async fn show(arguments: Show) -> anyhow::Result<Outcome> {
    let cluster = arguments.access.connect().await?;
    let subscription = subscription(&cluster, &qualified(&arguments.subscription, &cluster.namespace)).await?;
    let row = Row::of(&subscription);
    match (arguments.reveal, arguments.output) {
        (Some(which), _) => print::line(&key(&cluster, &row, which.name()).await?),
        (None, Output::Json) => print::line(&serde_json::to_string_pretty(&row)?),
        (None, output) => print::line(&row::table(&[row], output)),
    }
    Ok(Outcome::Fine)
}

/// The Subscription of that name.
async fn subscription(cluster: &Cluster, name: &ObjectName) -> anyhow::Result<Value> {
    let found = cluster.get(ObjectKind::Subscription, &name.namespace, &name.name).await?;
    found.with_context(|| {
        format!("there is no Subscription {name}; `sallyport keys list -A` shows those that there are")
    })
}

/// A key as its Secret holds it.
async fn key(cluster: &Cluster, row: &Row, name: KeyName) -> anyhow::Result<String> {
    let Some(secret) = &row.secret else {
        bail!("{row} states digests of keys that are kept elsewhere: nobody can read a key from a digest")
    };
    let found = cluster.get(ObjectKind::Secret, &row.namespace, secret).await?;
    let place = format!("Secret {}/{secret}", row.namespace);
    let found = found.with_context(|| format!("{place} does not exist: {}", row.whereabouts()))?;
    entry(&found, name).with_context(|| place)
}

/// What a gateway would take as a key: anything else is not printed.
pub(crate) fn entry(secret: &Value, name: KeyName) -> anyhow::Result<String> {
    let stored = text(secret, &format!("/data/{name}"));
    ensure!(!stored.is_empty(), "it has no entry {name}; the other key may be there");
    let key = STANDARD.decode(stored).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let is_printable = |key: &String| key.bytes().all(|byte| byte.is_ascii_graphic());
    key.filter(is_printable).with_context(|| format!("{name} is no key: it holds others than visible ASCII characters"))
}
