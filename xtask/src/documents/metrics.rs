//! Metrics that pages and the chart name are those that the programs have.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use sallyport_dataplane::observe::metrics::table;

use super::pages;
use crate::root;

/// Names that a scrape of either program shows.
fn known() -> BTreeSet<String> {
    let of_data_plane = table::ALL.iter().map(table::Metric::shown_name);
    of_data_plane.chain(sallyport_cli::controller_metrics().iter().map(|one| one.shown_name())).collect()
}

/// Names of crates and of their targets for logs, which look alike.
const OF_CRATES: [&str; 2] = ["sallyport_controller", "sallyport_dataplane"];

/// Words that look like a metric of ours, but for crates.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("sallyport_") && !OF_CRATES.contains(word)).collect()
}

/// Where operators read of metrics, and what evaluates them.
fn texts() -> Vec<PathBuf> {
    let chart = root().join("charts/sallyport");
    let templates = fs::read_dir(chart.join("templates")).unwrap().map(|entry| entry.unwrap().path());
    let values = ["alerts.yaml", "values.yaml", "values.schema.json"].map(|name| chart.join(name));
    pages().into_iter().chain(templates).chain(values).collect()
}

#[test]
fn every_metric_that_is_named_is_there() {
    let (known, mut seen) = (known(), BTreeSet::new());
    for file in texts() {
        let text = fs::read_to_string(&file).unwrap();
        for name in named(&text) {
            assert!(known.contains(name), "{}: there is no metric {name}", file.display());
            seen.insert(name.to_owned());
        }
    }
    assert!(seen.len() >= 30, "{seen:?}");
}

/// An expression over a name that nothing has never fires.
#[test]
fn every_alert_is_about_a_metric_that_is_there() {
    let text = fs::read_to_string(root().join("charts/sallyport/alerts.yaml")).unwrap();
    let alerts: Vec<serde_json::Value> = serde_saphyr::from_str(&text).unwrap();
    assert!(alerts.len() >= 9, "{}", alerts.len());
    for alert in &alerts {
        let names = named(alert["expr"].as_str().unwrap());
        assert!(!names.is_empty() && names.iter().all(|name| known().contains(*name)), "{}", alert["expr"]);
    }
}

#[test]
fn a_metric_is_told_from_other_words() {
    let text =
        "`sallyport_a_total{b=\"c\"}`, rate(sallyport_d[5m]), sallyport_dataplane=debug, sallyport-e, x_sallyport_f";
    assert_eq!(named(text), ["sallyport_a_total", "sallyport_d"].into());
    for wrong in ["sallyport_controller_leads", "sallyport_decisions", "sallyport_decision_total"] {
        assert!(!known().contains(wrong), "{wrong}");
    }
}
