//! What is told of a cluster, as text. Pure.

use super::report::{Finding, Place, Report, Row, State};
use crate::cluster::connect::printable;
use crate::cluster::table::{counted, or_dash, table as columns};

const NARROW: [&str; 5] = ["NAMESPACE", "OBJECT", "READY", "WHERE", "REASON"];
const WIDE: [&str; 7] = ["NAMESPACE", "OBJECT", "READY", "WHERE", "REASON", "SEEN", "DATA PLANES"];

/// A row for each object, then all findings with their cures, then a count.
pub(crate) fn table(report: &Report, is_wide: bool, is_coloured: bool) -> String {
    let mut parts = Vec::new();
    if !report.objects.is_empty() {
        let titles: &[&str] = if is_wide { &WIDE } else { &NARROW };
        let rows: Vec<_> = report.objects.iter().map(|row| cells(row, is_wide)).collect();
        parts.push(columns(titles, &rows));
    }
    let findings = report.objects.iter().flat_map(|row| row.findings.iter().map(move |finding| (row, finding)));
    parts.extend(findings.map(|(row, finding)| sentence(row, finding, is_coloured)));
    parts.extend(report.unread.iter().map(|unread| format!("{}: nothing can be told: {}", unread.kind, unread.why)));
    parts.push(closing_line(report));
    parts.join("\n\n")
}

fn cells(row: &Row, is_wide: bool) -> Vec<String> {
    let reason = row.findings.first().map(|finding| finding.reason.as_str()).or(row.phase.as_deref());
    let narrow = [
        or_dash(&row.namespace),
        format!("{}/{}", row.kind, row.name),
        row.ready.as_str().to_owned(),
        or_dash(&whereabouts(row)),
        or_dash(reason.unwrap_or_default()),
    ];
    let seen = match (row.observed_generation, row.generation) {
        (Some(observed), Some(generation)) => format!("{observed} of {generation}"),
        _ => "-".to_owned(),
    };
    let wide = [seen, or_dash(&data_planes(row))].into_iter().filter(|_| is_wide);
    narrow.into_iter().chain(wide).map(|cell| printable(&cell)).collect()
}

/// Addresses, or the Gateways; one at which it is not in force has `!` behind it.
fn whereabouts(row: &Row) -> String {
    if !row.addresses.is_empty() {
        return row.addresses.join(",");
    }
    let own = format!("{}/", row.namespace);
    let place = |place: &Place| {
        let gateway = place.gateway.strip_prefix(&own).unwrap_or(&place.gateway).replace(' ', ":");
        format!("{gateway}{}", if place.programmed { "" } else { "!" })
    };
    let named = row.places.iter().filter(|place| !place.gateway.is_empty());
    named.map(place).collect::<Vec<_>>().join(",")
}

fn data_planes(row: &Row) -> String {
    let mut messages: Vec<_> = row.places.iter().map(|place| place.message.as_str()).collect();
    messages.dedup();
    messages.join("; ")
}

fn sentence(row: &Row, finding: &Finding, is_coloured: bool) -> String {
    let namespace = if row.namespace.is_empty() { String::new() } else { format!("{}/", row.namespace) };
    let at = if finding.at.is_empty() { String::new() } else { format!(", {}", finding.at) };
    let title = printable(&format!("{} {namespace}{}{at}: {}", row.kind, row.name, finding.reason));
    let colour = if row.ready == State::False { 31 } else { 33 };
    let mut text = if is_coloured { format!("\u{1b}[{colour}m{title}\u{1b}[0m") } else { title };
    let lines = [&finding.message, &finding.cure].into_iter().zip(["", "cure: "]);
    for (line, label) in lines.filter(|(line, _)| !line.is_empty()) {
        text += &format!("\n    {label}{}", printable(line));
    }
    text
}

fn closing_line(report: &Report) -> String {
    if report.objects.is_empty() {
        return "there is nothing here for a gateway; `-A` looks in all namespaces".to_owned();
    }
    let of = |state: State| report.objects.iter().filter(|row| row.ready == state).count();
    let (failed, pending) = (of(State::False), of(State::Pending));
    let said = [(failed, "not ready"), (pending, "pending")].into_iter().filter(|(count, _)| *count > 0);
    let said: Vec<_> = said.map(|(count, what)| format!("{count} {what}")).collect();
    let verdict = if said.is_empty() { "all ready".to_owned() } else { said.join(", ") };
    format!("{}: {verdict}", counted(report.objects.len(), "object"))
}
