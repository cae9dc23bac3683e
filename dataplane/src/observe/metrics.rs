//! Metrics in Prometheus' text format, named after OpenTelemetry's HTTP conventions where these have a name.

pub mod certificates;
pub(crate) mod durations;
mod issuers;
pub mod table;

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use super::access_log::Line;
use crate::clock::Clock;
use crate::introspection;
use crate::issuer::Issuers;
use crate::limit::store;
use crate::observe::metrics::certificates::CertificateMetrics;
use crate::observe::metrics::durations::{Durations, DurationsByRequest};
use crate::observe::metrics::issuers::IssuerMetrics;
use crate::passwords;
use crate::pipeline::authorizers;
use crate::rejection::Reason;
use crate::replays;
use crate::server::tls;

/// Classes of status, 1xx to 5xx.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// One label with a value of a fixed set.
type Label = [(&'static str, &'static str); 1];

/// Every metric of a process.
pub struct Metrics {
    registry: Registry,
    durations: DurationsByRequest,
    /// Of services, by class of status.
    upstream_durations: Vec<Durations>,
    refused: Vec<Counter>,
    would_refuse: Vec<Counter>,
    forwarded: Counter,
    pub(crate) active: Gauge,
    pub(crate) panics: Counter,
    pub(crate) lost_lines: Counter,
    pub(crate) shed_connections: Counter,
    pub(crate) barred_connections: Counter,
    pub(crate) failed_handshakes: tls::Counters,
    pub(crate) generation: Gauge,
    pub(crate) rejected_resources: Gauge,
    pub(crate) controller_connected: Gauge,
    pub(crate) certificates: CertificateMetrics,
    pub(crate) passwords: passwords::Counters,
    pub(crate) introspections: introspection::Counters,
    pub(crate) replays: replays::Counters,
    pub(crate) external_authorizations: authorizers::Counters,
    pub(crate) limit_stores: store::Metrics,
}

impl Metrics {
    /// All at zero; the health of `issuers` is read from them.
    pub fn new(issuers: Arc<Issuers>, clock: Clock) -> Self {
        let mut registry = Registry::default();
        let certificates = CertificateMetrics::default();
        registry.register_collector(Box::new(certificates.clone()));
        registry.register_collector(Box::new(IssuerMetrics { issuers, clock }));
        let decisions = registered(&mut registry, &table::DECISIONS, Family::default());
        let rehearsed = registered(&mut registry, &table::REHEARSED, Family::default());
        let hashes = registered(&mut registry, &table::PASSWORD_HASHES, Family::<Label, Counter>::default());
        let hashes = |outcome| hashes.get_or_create(&[("outcome", outcome)]).clone();
        let passwords = passwords::Counters { right: hashes("right"), wrong: hashes("wrong"), busy: hashes("busy") };
        let introspections = introspections(&mut registry);
        let replays = proofs(&mut registry);
        let external_authorizations = external_authorizations(&mut registry);
        let limit_stores = limit_stores(&mut registry);
        let failed_handshakes = failed_handshakes(&mut registry);
        let durations = registered(&mut registry, &table::SERVER_DURATION, DurationsByRequest::default());
        let upstream_durations = by_class(&mut registry, &table::CLIENT_DURATION);
        let mut gauge = |metric| registered(&mut registry, metric, Gauge::default());
        let active = gauge(&table::ACTIVE);
        let generation = gauge(&table::GENERATION);
        let rejected_resources = gauge(&table::REJECTED_RESOURCES);
        let controller_connected = gauge(&table::CONTROLLER_CONNECTED);
        let mut counter = |metric| registered(&mut registry, metric, Counter::default());
        let panics = counter(&table::PANICS);
        let lost_lines = counter(&table::LOST_LINES);
        let shed_connections = counter(&table::SHED_CONNECTIONS);
        let barred_connections = counter(&table::BARRED_CONNECTIONS);
        Self {
            durations,
            upstream_durations,
            refused: by_reason(&decisions),
            would_refuse: by_reason(&rehearsed),
            forwarded: decisions.get_or_create(&[("reason", "forwarded")]).clone(),
            registry,
            active,
            panics,
            lost_lines,
            shed_connections,
            barred_connections,
            failed_handshakes,
            generation,
            rejected_resources,
            controller_connected,
            certificates,
            passwords,
            introspections,
            replays,
            external_authorizations,
            limit_stores,
        }
    }

    /// Counts an exchange that has ended.
    pub(crate) fn count(&self, line: &Line) {
        self.durations.observe(&line.method, line.scheme, line.status, line.duration);
        let class = usize::from(line.status.as_u16() / 100).saturating_sub(1);
        if let Some((durations, time)) = self.upstream_durations.get(class).zip(line.upstream_time) {
            durations.observe(time);
        }
        let decided = line
            .rejection
            .as_ref()
            .and_then(|rejection| self.refused.get(rejection.reason as usize))
            .unwrap_or(&self.forwarded);
        decided.inc();
        for (_, rejection) in &line.rehearsed {
            if let Some(counter) = self.would_refuse.get(rejection.reason as usize) {
                counter.inc();
            }
        }
    }

    /// All of them, as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _written = encode(&mut text, &self.registry);
        text
    }
}

fn introspections(registry: &mut Registry) -> introspection::Counters {
    let questions = registered(registry, &table::INTROSPECTIONS, Family::<Label, Counter>::default());
    let questions = |outcome| questions.get_or_create(&[("outcome", outcome)]).clone();
    introspection::Counters {
        active: questions("active"),
        inactive: questions("inactive"),
        refused: questions("refused"),
        unavailable: questions("unavailable"),
        busy: questions("busy"),
    }
}

fn proofs(registry: &mut Registry) -> replays::Counters {
    let proofs = registered(registry, &table::PROOFS, Family::<Label, Counter>::default());
    let proofs = |outcome| proofs.get_or_create(&[("outcome", outcome)]).clone();
    replays::Counters {
        accepted: proofs("accepted"),
        invalid: proofs("invalid"),
        replayed: proofs("replayed"),
        nonce: proofs("nonce"),
        unknown: proofs("unknown"),
    }
}

fn failed_handshakes(registry: &mut Registry) -> tls::Counters {
    let failed = registered(registry, &table::FAILED_HANDSHAKES, Family::<Label, Counter>::default());
    let failed = |cause| failed.get_or_create(&[("cause", cause)]).clone();
    tls::Counters {
        server_name: failed("server-name"),
        certificate: failed("certificate"),
        protocol: failed("protocol"),
        timeout: failed("timeout"),
    }
}

fn external_authorizations(registry: &mut Registry) -> authorizers::Counters {
    let questions = registered(registry, &table::EXTERNAL_AUTHORIZATIONS, Family::<Label, Counter>::default());
    let questions = |outcome| questions.get_or_create(&[("outcome", outcome)]).clone();
    authorizers::Counters {
        allowed: questions("allowed"),
        denied: questions("denied"),
        unavailable: questions("unavailable"),
        durations: registered(registry, &table::EXTERNAL_AUTHORIZATION_DURATION, Durations::default()),
        dropped_headers: registered(registry, &table::EXTERNAL_AUTHORIZATION_DROPPED, Counter::default()),
    }
}

fn limit_stores(registry: &mut Registry) -> store::Metrics {
    let questions = registered(registry, &table::LIMIT_STORE_QUESTIONS, Family::<Label, Counter>::default());
    let questions = |outcome| questions.get_or_create(&[("outcome", outcome)]).clone();
    store::Metrics {
        answered: questions("answered"),
        away: questions("away"),
        durations: registered(registry, &table::LIMIT_STORE_DURATION, Durations::default()),
    }
}

fn registered<M: Metric + Clone>(registry: &mut Registry, described: &table::Metric, metric: M) -> M {
    registry.register(described.name, described.help, metric.clone());
    metric
}

fn by_reason(family: &Family<Label, Counter>) -> Vec<Counter> {
    Reason::ALL.iter().map(|reason| family.get_or_create(&[("reason", reason.code())]).clone()).collect()
}

fn by_class(registry: &mut Registry, described: &table::Metric) -> Vec<Durations> {
    let family = registered(registry, described, Family::<Label, Durations>::default());
    CLASSES.iter().map(|class| family.get_or_create(&[("http_response_status_class", *class)]).clone()).collect()
}

#[cfg(test)]
mod tests;
