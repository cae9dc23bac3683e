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
    let loopback = set("http://127.0.0.1:1", Source::Discovery(v1::Discovery {}));
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
    let quoted = set("https://a\"} 1\nevil 1", Source::Discovery(v1::Discovery {}));
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
