//! `sallyport status`: what is programmed where, what is not and why, with the cure.

pub(crate) mod judge;
pub(crate) mod report;
pub(crate) mod show;

use sallyport_controller::cluster::{ObjectKind, Scope};
use serde::Serialize;
use serde_json::Value;

use crate::cluster::connect::{Access, Cluster};
use crate::exit::Outcome;
use crate::print;
use report::{Report, State};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// Of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// How it is printed
    #[arg(short, long, default_value = "table")]
    output: Output,
}

/// How what a cluster holds is printed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// Columns, for people
    Table,
    /// More columns
    Wide,
    /// One JSON document
    Json,
}

/// Kinds whose standing is told, and those that say whose objects are ours.
pub(crate) const KINDS: [ObjectKind; 12] = [
    ObjectKind::GatewayClass,
    ObjectKind::IngressClass,
    ObjectKind::GatewayParameters,
    ObjectKind::Gateway,
    ObjectKind::HTTPRoute,
    ObjectKind::GRPCRoute,
    ObjectKind::Ingress,
    ObjectKind::ApiPolicy,
    ObjectKind::Backend,
    ObjectKind::Product,
    ObjectKind::Subscription,
    ObjectKind::SubscriptionApproval,
];

/// What was read of a cluster.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) objects: Vec<Value>,
    pub(crate) unread: Vec<Unread>,
}

/// A kind of which nothing is known.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Unread {
    pub(crate) kind: &'static str,
    pub(crate) why: String,
}

pub(crate) async fn status(arguments: Arguments) -> anyhow::Result<Outcome> {
    let cluster = arguments.access.connect().await?;
    let namespace = (!arguments.all_namespaces).then_some(cluster.namespace.as_str());
    let report = judge::judge(&read(&cluster, namespace).await);
    print::line(&match arguments.output {
        Output::Table => show::table(&report, false, print::is_coloured()),
        Output::Wide => show::table(&report, true, print::is_coloured()),
        Output::Json => serde_json::to_string_pretty(&report)?,
    });
    Ok(outcome(&report))
}

/// Everything of [`KINDS`], as far as it can be read.
pub(crate) async fn read(cluster: &Cluster, namespace: Option<&str>) -> World {
    let mut world = World::default();
    for kind in KINDS {
        let namespace = namespace.filter(|_| kind.scope() == Scope::Namespaced);
        match cluster.list(kind, namespace).await {
            Ok(objects) => world.objects.extend(objects),
            Err(error) => world.unread.push(Unread { kind: kind.as_str(), why: cluster.why(&error) }),
        }
    }
    world
}

fn outcome(report: &Report) -> Outcome {
    if !report.unread.is_empty() {
        return Outcome::CannotTell;
    }
    let is_fine = report.objects.iter().all(|row| row.ready == State::True);
    if is_fine { Outcome::Fine } else { Outcome::Findings }
}

#[cfg(test)]
mod tests;
