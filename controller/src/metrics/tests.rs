//! What a scrape says.

use std::collections::BTreeMap;
use std::sync::Arc;

use sallyport_snapshot::Snapshot;

use super::*;
use crate::cluster::ObjectName;
use crate::fleet::StreamRefusal;
use crate::status::Condition;

fn statuses(names: &[&str]) -> Vec<ObjectStatus> {
    let invalid = Condition { r#type: "Accepted", status: false, reason: "Invalid", message: "a secret".into() };
    let ready = Condition { r#type: "Ready", ..invalid.clone() };
    let fine = Condition { r#type: "ResolvedRefs", status: true, reason: "ResolvedRefs", message: String::new() };
    let status = |name: &&str| ObjectStatus {
        kind: "ApiPolicy".into(),
        name: (*name).into(),
        conditions: vec![invalid.clone(), ready.clone(), fine.clone()],
        ..ObjectStatus::default()
    };
    names.iter().map(status).collect()
}

/// Metrics each of which has been counted once.
fn used() -> Metrics {
    let fleet = Fleet::default();
    fleet.publish(BTreeMap::from([(ObjectName::new("shop", "public"), Arc::new(Snapshot::default()))]));
    let metrics = Metrics::new(fleet);
    metrics.leads(true);
    metrics.changed(ObjectKind::Gateway);
    metrics.built(&ClusterState::default(), Duration::from_millis(3));
    metrics.programmed(Duration::from_millis(60));
    metrics.said(&statuses(&["shop/a", "shop/b"]), Duration::from_millis(1));
    metrics.status_written(ObjectKind::Gateway, &Outcome::Outdated);
    metrics.applied("Service", &Ok(()));
    metrics.event(Told::New);
    metrics.watch_failed("Secret");
    metrics.certificates_end(1, 2);
    metrics.0.api_requests.get_or_create(&requests::Labels::default()).inc();
    metrics
}

#[test]
fn a_scrape_says_what_the_table_says_and_nothing_else() {
    let text = used().text();
    let lines = |word: &'static str| {
        text.lines().filter_map(move |line| line.strip_prefix("# ")?.strip_prefix(word)?.trim_start().split_once(' '))
    };
    let kinds: BTreeMap<_, _> = lines("TYPE").collect();
    let mut said: Vec<_> = lines("HELP").map(|(name, help)| (name, kinds[name], help.trim_end_matches('.'))).collect();
    let mut stated: Vec<_> = table::ALL.iter().map(|one| (one.name, one.kind.as_str(), one.help)).collect();
    said.sort_unstable();
    stated.sort_unstable();
    assert_eq!(said, stated);
}

/// Labels are those of the table, in its order: none can name what a tenant calls its own.
#[test]
fn every_sample_has_the_labels_that_the_table_states() {
    for line in used().text().lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let is_it = |one: &&table::Metric| {
            let end = name.strip_prefix(one.name);
            end.is_some_and(|end| ["", "_total", "_bucket", "_sum", "_count"].contains(&end))
        };
        let metric = table::ALL.iter().find(is_it).unwrap_or_else(|| panic!("{line}"));
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
        let labels = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name);
        let labels: Vec<_> = labels.filter(|name| *name != "le").collect();
        let stated: Vec<_> = metric.labels.iter().map(|(name, _)| *name).collect();
        assert_eq!(labels, stated, "{line}");
    }
}

#[test]
fn problems_are_counted_and_not_named_and_forgotten_by_who_does_not_write() {
    let metrics = used();
    let line = r#"sallyport_controller_problems{kind="ApiPolicy",condition="Accepted",reason="Invalid"} 2"#;
    let text = metrics.text();
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("shop/a") && !text.contains("a secret"), "{text}");
    assert_eq!(text.matches("sallyport_controller_problems{").count(), 1, "what sums up is not counted twice");
    metrics.leads(false);
    assert!(!metrics.text().contains("sallyport_controller_problems{"));
    assert!(metrics.text().contains("sallyport_controller_lease_transitions_total 2\n"));
}

#[test]
fn every_reason_of_a_refused_stream_is_in_the_table_and_told_from_the_start() {
    let text = Metrics::new(Fleet::default()).text();
    for reason in StreamRefusal::ALL {
        let reason = reason.as_str();
        assert!(table::REFUSED_STREAMS.labels[0].1.contains(&format!("`{reason}`")), "{reason}");
        let line = format!("sallyport_controller_refused_streams_total{{reason=\"{reason}\"}} 0");
        assert!(text.contains(&line), "{text}");
    }
    for told in Told::ALL {
        assert!(table::EVENTS.labels[0].1.contains(&format!("`{}`", told.as_str())), "{told:?}");
    }
}

/// Prometheus' rules for names, and its base units.
#[test]
fn names_are_unique_and_end_with_their_unit() {
    let names: std::collections::BTreeSet<_> = table::ALL.iter().map(|one| one.name).collect();
    assert_eq!(names.len(), table::ALL.len());
    for one in table::ALL {
        assert!(!one.name.ends_with("_total"), "{}: the library adds it", one.name);
        assert_eq!(one.unit == "s", one.name.ends_with("_seconds"), "{}", one.name);
        assert_eq!(one.unit == "By", one.name.ends_with("_bytes"), "{}", one.name);
        assert!(!one.help.ends_with('.'), "{}", one.name);
    }
}
