//! What a scrape says, and what it stops saying.

use sallyport_snapshot::v1::{self, key_set::Source};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::*;
use crate::egress::{AddressRules, Egress};
use crate::issuer::Means;
use crate::settings::Environment;

fn issuers(clock: &Clock) -> (Arc<Issuers>, mpsc::UnboundedReceiver<v1::Report>) {
    let (reports, receiver) = mpsc::unbounded_channel();
    let egress = Egress::new(AddressRules::of(Environment::Cluster));
    (Arc::new(Issuers::new(Means { egress, clock: clock.clone(), reports }, Handle::current())), receiver)
}

fn set(issuer: &str, source: Source) -> v1::KeySet {
    v1::KeySet { issuer: issuer.to_owned(), source: Some(source), ca_certificates: vec![] }
}

#[tokio::test]
async fn an_issuer_is_told_of_until_it_leaves_the_configuration() {
    let clock = Clock::default();
    let (issuers, mut reports) = issuers(&clock);
    let metrics = Metrics::new(Arc::clone(&issuers), clock);
    let loopback = set("http://127.0.0.1:1", Source::Discovery(v1::Discovery::default()));
    issuers.insert(&"one".into(), &loopback).unwrap();
    reports.recv().await.unwrap();
    let text = metrics.text();
    for line in [
        r#"sallyport_issuer_state{issuer="http://127.0.0.1:1",key_set="one",state="unreached"} 1"#,
        r#"sallyport_issuer_state{issuer="http://127.0.0.1:1",key_set="one",state="healthy"} 0"#,
        r#"sallyport_issuer_fetches_total{issuer="http://127.0.0.1:1",key_set="one",outcome="forbidden"} 1"#,
        r#"sallyport_issuer_fetches_total{issuer="http://127.0.0.1:1",key_set="one",outcome="success"} 0"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("keys_age_seconds{"), "there are no keys: {text}");
    issuers.remove("one");
    assert!(!metrics.text().contains("127.0.0.1"));
}

#[tokio::test]
async fn keys_that_are_given_have_no_health() {
    let clock = Clock::default();
    let (issuers, _reports) = issuers(&clock);
    let jwks = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    issuers.insert(&"given".into(), &set("https://a", Source::Jwks(bytes::Bytes::from_static(jwks)))).unwrap();
    assert!(!Metrics::new(issuers, clock).text().contains("given"));
}

#[tokio::test]
async fn an_issuer_called_like_a_label_stays_one_label() {
    let clock = Clock::default();
    let (issuers, _reports) = issuers(&clock);
    let quoted = set("https://a\"} 1\nevil 1", Source::Discovery(v1::Discovery::default()));
    issuers.insert(&"quoted".into(), &quoted).unwrap();
    let text = Metrics::new(issuers, clock).text();
    assert!(!text.lines().any(|line| line.starts_with("evil")), "{text}");
}

#[tokio::test]
async fn certificates_are_told_of_until_they_leave_the_configuration() {
    let clock = Clock::default();
    let metrics = Metrics::new(issuers(&clock).0, clock);
    metrics.certificates.set([("shop/tls".into(), 1_900_000_000)].into());
    let line = r#"sallyport_certificate_not_after_timestamp_seconds{certificate="shop/tls"} 1900000000"#;
    assert!(metrics.text().contains(line), "{}", metrics.text());
    metrics.certificates.set(certificates::Ends::new());
    assert!(!metrics.text().contains("shop/tls"));
}

#[tokio::test]
async fn what_services_take_is_told_apart_from_the_whole() {
    let clock = Clock::default();
    let metrics = Metrics::new(issuers(&clock).0, clock);
    let milliseconds = std::time::Duration::from_millis;
    let answered = Line { duration: milliseconds(40), upstream_time: Some(milliseconds(20)), ..Line::default() };
    let refused = Line { status: http::StatusCode::UNAUTHORIZED, duration: milliseconds(1), ..Line::default() };
    metrics.count(&answered);
    metrics.count(&refused);
    let text = metrics.text();
    for line in [
        r#"http_server_request_duration_seconds_sum{http_request_method="GET",url_scheme="http",http_response_status_class="2xx"} 0.04"#,
        r#"http_client_request_duration_seconds_sum{http_response_status_class="2xx"} 0.02"#,
        r#"http_server_request_duration_seconds_count{http_request_method="GET",url_scheme="http",http_response_status_class="4xx"} 1"#,
        r#"http_client_request_duration_seconds_count{http_response_status_class="4xx"} 0"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

/// All that a scrape can say, as (name, kind, help).
async fn described() -> Vec<(String, String, String)> {
    let clock = Clock::default();
    let (issuers, mut reports) = issuers(&clock);
    let metrics = Metrics::new(Arc::clone(&issuers), clock);
    issuers.insert(&"one".into(), &set("http://127.0.0.1:1", Source::Discovery(v1::Discovery::default()))).unwrap();
    reports.recv().await.unwrap();
    metrics.count(&Line::default());
    metrics.certificates.set([("shop/tls".into(), 0)].into());
    let text = metrics.text();
    let lines = |word: &'static str| {
        text.lines().filter_map(move |line| line.strip_prefix("# ")?.strip_prefix(word)?.trim_start().split_once(' '))
    };
    let kinds: std::collections::BTreeMap<_, _> = lines("TYPE").collect();
    lines("HELP").map(|(name, help)| (name.into(), kinds[name].into(), help.trim_end_matches('.').into())).collect()
}

#[tokio::test]
async fn a_scrape_says_what_the_table_says_and_nothing_else() {
    let mut said = described().await;
    let mut stated: Vec<(String, String, String)> =
        table::ALL.iter().map(|one| (one.name.into(), one.kind.as_str().into(), one.help.into())).collect();
    said.sort();
    stated.sort();
    assert_eq!(said, stated);
}

#[test]
fn the_table_names_every_value_of_a_fixed_label() {
    let values = |metric: &table::Metric, label: &str| metric.labels.iter().find(|(name, _)| *name == label).unwrap().1;
    for outcome in crate::issuer::health::Outcome::ALL {
        let word = format!("`{}`", outcome.as_str());
        assert!(values(&table::ISSUER_FETCHES, "outcome").contains(&word), "{word}");
    }
    for state in ["`healthy`", "`stale`", "`unreached`"] {
        assert!(values(&table::ISSUER_STATE, "state").contains(state), "{state}");
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
        assert!(one.name.starts_with("sallyport_") != one.convention.is_some(), "{}", one.name);
    }
}
