//! `sallyport keys`: whose keys there are, one of them shown, or made anew. A list never shows a key.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Subcommand, ValueEnum};
use kube::api::{Patch, PatchParams};
use sallyport_api::rotation::ROTATE_ANNOTATION;
use sallyport_controller::clock::Clock;
use sallyport_controller::cluster::ObjectKind;
use serde::Serialize;
use serde_json::{Value, json};

use super::connect::{Cluster, Place, within};
use super::object::{condition, text};
use super::table::{or_dash, table};
use crate::exit::Outcome;
use crate::{Output, print};

/// How long the controller may take to make a key.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Lists Subscriptions, where their keys are and how old; never a key
    List {
        #[command(flatten)]
        place: Place,
        /// Subscriptions of all namespaces
        #[arg(short = 'A', long, conflicts_with = "namespace")]
        all_namespaces: bool,
        /// How they are printed
        #[arg(short, long, default_value = "table")]
        output: Output,
    },
    /// Prints one key of a Subscription, and nothing else
    Show {
        #[command(flatten)]
        place: Place,
        /// Name of the Subscription
        subscription: String,
        /// Which of the two
        #[arg(long, default_value = "primary")]
        key: Key,
    },
    /// Has one key of a Subscription made anew; the other one goes on
    Rotate {
        #[command(flatten)]
        place: Place,
        /// Name of the Subscription
        subscription: String,
        /// Which of the two
        key: Key,
        /// Waits until it is done
        #[arg(long)]
        wait: bool,
    },
}

/// One of the two keys of a Subscription.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Key {
    /// The first
    Primary,
    /// The second
    Secondary,
}

impl Key {
    fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

/// What is known of the keys of one Subscription.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    namespace: String,
    subscription: String,
    phase: String,
    secret: String,
    primary_made: String,
    secondary_made: String,
    secondary_ends: String,
}

impl Keys {
    fn of(subscription: &Value) -> Self {
        let told = |pointer: &str| text(subscription, pointer).to_owned();
        Self {
            namespace: told("/metadata/namespace"),
            subscription: told("/metadata/name"),
            phase: told("/status/phase"),
            secret: told("/status/secretRef/name"),
            primary_made: told("/status/keys/primaryMade"),
            secondary_made: told("/status/keys/secondaryMade"),
            secondary_ends: told("/status/keys/secondaryEnds"),
        }
    }

    fn cells(&self) -> [String; 7] {
        let Self { namespace, subscription, phase, secret, primary_made, secondary_made, secondary_ends } = self;
        [namespace, subscription, phase, secret, primary_made, secondary_made, secondary_ends].map(|cell| or_dash(cell))
    }
}

const HEADINGS: [&str; 7] =
    ["NAMESPACE", "SUBSCRIPTION", "PHASE", "SECRET", "PRIMARY MADE", "SECONDARY MADE", "SECONDARY ENDS"];

pub(crate) async fn keys(arguments: Arguments) -> anyhow::Result<Outcome> {
    match arguments.verb {
        Verb::List { place, all_namespaces, output } => list(&Cluster::of(&place).await?, all_namespaces, output).await,
        Verb::Show { place, subscription, key } => {
            print::line(&key_of(&Cluster::of(&place).await?, &subscription, key).await?);
            Ok(Outcome::Fine)
        }
        Verb::Rotate { place, subscription, key, wait } => {
            rotate(&Cluster::of(&place).await?, &subscription, key, wait).await
        }
    }
}

async fn list(cluster: &Cluster, all_namespaces: bool, output: Output) -> anyhow::Result<Outcome> {
    let namespace = (!all_namespaces).then_some(cluster.namespace.as_str());
    let keys: Vec<_> = cluster.list(ObjectKind::Subscription, namespace).await?.iter().map(Keys::of).collect();
    print::line(&match output {
        Output::Json => serde_json::to_string_pretty(&keys)?,
        Output::Table => table(HEADINGS, &keys.iter().map(Keys::cells).collect::<Vec<_>>()),
    });
    Ok(Outcome::Fine)
}

/// One key of a Subscription of the cluster's namespace.
pub(super) async fn key_of(cluster: &Cluster, name: &str, key: Key) -> anyhow::Result<String> {
    let subscription = cluster.get(ObjectKind::Subscription, &cluster.namespace, name).await?;
    let secret = text(&subscription, "/status/secretRef/name");
    ensure!(
        !secret.is_empty(),
        "Subscription {}/{name} has no Secret with keys: {}",
        cluster.namespace,
        why(&subscription)
    );
    let secret = cluster.get(ObjectKind::Secret, &cluster.namespace, secret).await?;
    entry(&secret, key.as_str())
}

/// What the Subscription's status says of references that lead nowhere.
fn why(subscription: &Value) -> &str {
    let told = condition(&subscription["status"], "ResolvedRefs").map(|one| text(one, "/message"));
    told.filter(|text| !text.is_empty()).unwrap_or("it states digests only, or no controller has judged it yet")
}

/// An entry of a Secret.
fn entry(secret: &Value, name: &str) -> anyhow::Result<String> {
    use base64::Engine as _;
    let encoded = secret["data"][name].as_str();
    let encoded = encoded.with_context(|| format!("its Secret has no entry {name}; name the other key"))?;
    Ok(String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded)?)?)
}

async fn rotate(cluster: &Cluster, name: &str, key: Key, wait: bool) -> anyhow::Result<Outcome> {
    let subscription = cluster.get(ObjectKind::Subscription, &cluster.namespace, name).await?;
    ensure!(
        subscription.pointer("/status/keys").is_some(),
        "the controller has not made the keys of Subscription {}/{name}, and does not rotate them: change them in their Secret",
        cluster.namespace
    );
    let request = format!("{} {}", key.as_str(), Clock.now());
    let patch = json!({ "metadata": { "annotations": { ROTATE_ANNOTATION: request } } });
    let api = cluster.api(ObjectKind::Subscription, &cluster.namespace);
    api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.context("the request cannot be written")?;
    print::line(&format!("Subscription {}/{name}: a new {} key is asked for", cluster.namespace, key.as_str()));
    if !wait {
        return Ok(Outcome::Fine);
    }
    let done = within(PATIENCE, async || {
        let now = cluster.get(ObjectKind::Subscription, &cluster.namespace, name).await?;
        Ok((text(&now, "/status/keys/rotated") == request).then_some(()))
    });
    if done.await?.is_none() {
        bail!("it is not made within {} s; `sallyport status` says why", PATIENCE.as_secs());
    }
    print::line("it is made");
    Ok(Outcome::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_tells_where_keys_are_and_nothing_else() {
        let subscription = json!({
            "metadata": { "namespace": "acme", "name": "orders" },
            "status": { "phase": "Active", "secretRef": { "name": "orders-key" }, "keys": { "primaryMade": "2026-11-26T09:00:00Z" } },
        });
        let cells = ["acme", "orders", "Active", "orders-key", "2026-11-26T09:00:00Z", "-", "-"];
        assert_eq!(Keys::of(&subscription).cells(), cells);
    }

    #[test]
    fn an_entry_is_decoded_and_one_that_is_not_there_is_told() {
        let secret = json!({ "data": { "primary": "c3BrX2E=", "secondary": "!" } });
        assert_eq!(entry(&secret, "primary").unwrap(), "spk_a");
        assert!(entry(&secret, "secondary").is_err());
        assert!(entry(&json!({}), "primary").unwrap_err().to_string().contains("no entry primary"));
    }

    #[test]
    fn why_there_is_no_secret_is_the_statuss_word() {
        let condition = json!({ "type": "ResolvedRefs", "status": "False", "message": "it waits for approval" });
        assert_eq!(why(&json!({ "status": { "conditions": [condition] } })), "it waits for approval");
        assert!(why(&json!({})).contains("no controller"));
    }
}
