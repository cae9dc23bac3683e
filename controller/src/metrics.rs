//! Metrics of the controller, in Prometheus' text format. What each is called stands in [`table`].

mod fleet;
mod problems;
pub(crate) mod requests;
pub mod table;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::cluster::{ClusterState, ObjectKind};
use crate::fleet::Fleet;
use crate::status::ObjectStatus;
use crate::write::Outcome;
use problems::Problems;

/// Upper bounds in seconds: a small cluster is judged within a millisecond, the largest within seconds.
const BUILDS_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Upper bounds in seconds: data planes answer within milliseconds, or wait for something.
const PROGRAMMINGS_S: [f64; 13] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0];

type Label<const N: usize> = [(&'static str, &'static str); N];

/// Every metric of a process; a clone counts into the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    leader: Gauge,
    lease_transitions: Counter,
    objects: Family<Label<1>, Gauge>,
    problems: Problems,
    changes: Family<Label<1>, Counter>,
    builds: Histogram,
    plans: Histogram,
    programmings: Histogram,
    status_writes: Family<Label<2>, Counter>,
    infrastructure_writes: Family<Label<3>, Counter>,
    events: Family<Label<1>, Counter>,
    api_requests: Family<requests::Labels, Counter>,
    watch_failures: Family<Label<1>, Counter>,
    certificate_ends: Family<Label<1>, Gauge>,
}

/// What came of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    New,
    Repeated,
    HeldBack,
    Failed,
}

impl Metrics {
    /// All at zero; what happens on streams is read from `fleet`.
    pub fn new(fleet: Fleet) -> Self {
        let mut registry = Registry::default();
        let problems = Problems::default();
        registry.register_collector(Box::new(fleet::FleetMetrics(fleet)));
        registry.register_collector(Box::new(problems.clone()));
        Self(Arc::new(Inner {
            leader: registered(&mut registry, &table::LEADER, Gauge::default()),
            lease_transitions: registered(&mut registry, &table::LEASE_TRANSITIONS, Counter::default()),
            objects: registered(&mut registry, &table::OBJECTS, Family::default()),
            problems,
            changes: registered(&mut registry, &table::CHANGES, Family::default()),
            builds: registered(&mut registry, &table::BUILD_DURATION, Histogram::new(BUILDS_S)),
            plans: registered(&mut registry, &table::PLAN_DURATION, Histogram::new(BUILDS_S)),
            programmings: registered(&mut registry, &table::PROGRAMMING_DURATION, Histogram::new(PROGRAMMINGS_S)),
            status_writes: registered(&mut registry, &table::STATUS_WRITES, Family::default()),
            infrastructure_writes: registered(&mut registry, &table::INFRASTRUCTURE_WRITES, Family::default()),
            events: registered(&mut registry, &table::EVENTS, Family::default()),
            api_requests: registered(&mut registry, &table::API_REQUESTS, Family::default()),
            watch_failures: registered(&mut registry, &table::WATCH_FAILURES, Family::default()),
            certificate_ends: registered(&mut registry, &table::CERTIFICATE_END, Family::default()),
            registry,
        }))
    }

    /// Who writes has changed.
    pub fn leads(&self, leads: bool) {
        if self.0.leader.set(leads.into()) != i64::from(leads) {
            self.0.lease_transitions.inc();
        }
        if !leads {
            self.0.problems.clear();
        }
    }

    /// The API server has told of an object of this kind.
    pub fn changed(&self, kind: ObjectKind) {
        self.0.changes.get_or_create(&[("kind", kind.as_str())]).inc();
    }

    /// Everything has been judged anew.
    pub fn built(&self, state: &ClusterState, took: Duration) {
        self.0.builds.observe(took.as_secs_f64());
        for kind in ObjectKind::ALL {
            let count = i64::try_from(state.count(*kind)).unwrap_or(i64::MAX);
            self.0.objects.get_or_create(&[("kind", kind.as_str())]).set(count);
        }
    }

    /// All data planes of a Gateway have what follows from a change.
    pub fn programmed(&self, took: Duration) {
        self.0.programmings.observe(took.as_secs_f64());
    }

    /// What is said of all objects now, and how long it took to plan it.
    pub fn said(&self, statuses: &[ObjectStatus], took: Duration) {
        self.0.plans.observe(took.as_secs_f64());
        self.0.problems.replace(statuses);
    }

    /// What came of a status.
    pub fn status_written(&self, kind: ObjectKind, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Written(_) => "written",
            Outcome::Outdated => "outdated",
            Outcome::Failed(_) => "failed",
        };
        self.0.status_writes.get_or_create(&[("kind", kind.as_str()), ("outcome", outcome)]).inc();
    }

    /// What came of applying an object that runs a Gateway.
    pub fn applied<T>(&self, kind: &'static str, done: &kube::Result<T>) {
        self.infrastructure(kind, "apply", done.is_ok());
    }

    /// What came of deleting one.
    pub fn deleted<T>(&self, kind: &'static str, done: &kube::Result<T>) {
        self.infrastructure(kind, "delete", done.is_ok());
    }

    fn infrastructure(&self, kind: &'static str, verb: &'static str, is_done: bool) {
        let outcome = if is_done { "written" } else { "failed" };
        self.0.infrastructure_writes.get_or_create(&[("kind", kind), ("verb", verb), ("outcome", outcome)]).inc();
    }

    pub fn event(&self, told: Told) {
        self.0.events.get_or_create(&[("outcome", told.as_str())]).inc();
    }

    pub fn watch_failed(&self, kind: &'static str) {
        self.0.watch_failures.get_or_create(&[("kind", kind)]).inc();
    }

    /// When the controller's own certificates end, in seconds since 1970 UTC.
    pub fn certificates_end(&self, authority_s: i64, server_s: i64) {
        self.0.certificate_ends.get_or_create(&[("certificate", "authority")]).set(authority_s);
        self.0.certificate_ends.get_or_create(&[("certificate", "server")]).set(server_s);
    }

    /// All of them, as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _written = encode(&mut text, &self.0.registry);
        text
    }
}

impl Told {
    pub const ALL: [Self; 4] = [Self::New, Self::Repeated, Self::HeldBack, Self::Failed];

    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "told",
            Self::Repeated => "repeated",
            Self::HeldBack => "held-back",
            Self::Failed => "failed",
        }
    }
}

fn registered<M: Metric + Clone>(registry: &mut Registry, described: &table::Metric, metric: M) -> M {
    registry.register(described.name, described.help, metric.clone());
    metric
}

#[cfg(test)]
mod tests;
