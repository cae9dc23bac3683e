//! `sallyport status`: what is in force where, and what is not and why.

use clap::ValueEnum;
use sallyport_controller::cluster::ObjectKind;

use super::connect::{Cluster, Place};
use super::report::{Row, our_classes, row};
use super::table::{or_dash, table};
use crate::exit::Outcome;
use crate::print;

/// Kinds that a row is printed of, from the outside inwards.
const KINDS: [ObjectKind; 9] = [
    ObjectKind::GatewayParameters,
    ObjectKind::Gateway,
    ObjectKind::HTTPRoute,
    ObjectKind::GRPCRoute,
    ObjectKind::ApiPolicy,
    ObjectKind::Backend,
    ObjectKind::Product,
    ObjectKind::Subscription,
    ObjectKind::SubscriptionApproval,
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Objects of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// How rows are printed
    #[arg(short, long, default_value = "table")]
    output: Format,
}

/// How rows are printed.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A line for each object
    Table,
    /// A line for each object at each Gateway, with the whole message and the cure
    Wide,
    /// One JSON document
    Json,
}

pub(crate) async fn status(arguments: Arguments) -> anyhow::Result<Outcome> {
    let cluster = Cluster::of(&arguments.place).await?;
    let namespace = (!arguments.all_namespaces).then_some(cluster.namespace.as_str());
    let rows = rows(&cluster, namespace).await?;
    print::line(&match arguments.output {
        Format::Json => serde_json::to_string_pretty(&rows)?,
        _ if rows.is_empty() => format!("nothing of Sallyport's is in {}", namespace.unwrap_or("the cluster")),
        Format::Table => short(&rows),
        Format::Wide => wide(&rows),
    });
    Ok(if rows.iter().all(|row| row.ready) { Outcome::Fine } else { Outcome::Findings })
}

/// A row of every object of this controller's, in the order of kinds.
pub(super) async fn rows(cluster: &Cluster, namespace: Option<&str>) -> anyhow::Result<Vec<Row>> {
    let classes = our_classes(&cluster.list(ObjectKind::GatewayClass, None).await?);
    let mut rows = Vec::new();
    for kind in KINDS {
        let objects = cluster.list(kind, namespace).await?;
        rows.extend(objects.iter().filter_map(|object| row(kind, object, &classes)));
    }
    Ok(rows)
}

fn short(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let ready = if row.ready { "True" } else { "False" };
        [row.namespace.clone(), row.object(), ready.to_owned(), or_dash(&row.reason), or_dash(&row.message)]
    };
    table(["NAMESPACE", "OBJECT", "READY", "REASON", "MESSAGE"], &rows.iter().map(cells).collect::<Vec<_>>())
}

/// The object as a whole, and then each place of it.
fn wide(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let of = |place: &str, holds: bool, reason: &str, message: &str, cure: &str| {
            let holds = if holds { "True" } else { "False" };
            let texts = [place, holds, reason, message, cure].map(or_dash);
            let [place, holds, reason, message, cure] = texts;
            [row.namespace.clone(), row.object(), place, holds, reason, message, cure]
        };
        let whole = of("", row.ready, &row.reason, &row.message, row.cure);
        let places = row.places.iter().map(|at| of(&at.place, at.programmed, &at.reason, &at.message, ""));
        std::iter::once(whole).chain(places).collect::<Vec<_>>()
    };
    let headings = ["NAMESPACE", "OBJECT", "AT", "IN FORCE", "REASON", "MESSAGE", "CURE"];
    table(headings, &rows.iter().flat_map(cells).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::report::At;

    fn rows_of_two() -> [Row; 2] {
        let at = |place: &str, programmed: bool| {
            let text = if programmed { "" } else { "Pending" };
            At { place: place.into(), programmed, reason: text.into(), message: text.to_lowercase() }
        };
        let row = |name: &str, ready: bool, reason: &str, cure, places| Row {
            namespace: "shop".into(),
            kind: "ApiPolicy",
            name: name.into(),
            ready,
            reason: reason.into(),
            message: reason.to_lowercase(),
            cure,
            places,
        };
        [
            row("orders", true, "", "", vec![at("shop/public", true)]),
            row("reports", false, "Pending", "Wait.", vec![at("shop/public", true), at("edge/other", false)]),
        ]
    }

    #[test]
    fn a_table_has_a_line_for_each_object() {
        let expected = "\
NAMESPACE  OBJECT             READY  REASON   MESSAGE
shop       ApiPolicy/orders   True   -        -
shop       ApiPolicy/reports  False  Pending  pending";
        assert_eq!(short(&rows_of_two()), expected);
    }

    #[test]
    fn a_wide_one_says_where_and_what_to_do() {
        let expected = "\
NAMESPACE  OBJECT             AT           IN FORCE  REASON   MESSAGE  CURE
shop       ApiPolicy/orders   -            True      -        -        -
shop       ApiPolicy/orders   shop/public  True      -        -        -
shop       ApiPolicy/reports  -            False     Pending  pending  Wait.
shop       ApiPolicy/reports  shop/public  True      -        -        -
shop       ApiPolicy/reports  edge/other   False     Pending  pending  -";
        assert_eq!(wide(&rows_of_two()), expected);
    }
}
