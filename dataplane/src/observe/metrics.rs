//! Counters in Prometheus' text format, named after OpenTelemetry's HTTP conventions where these have a name.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::access_log::Line;
use crate::rejection::Reason;

/// Bounds of the duration histogram, in seconds: those that OpenTelemetry advises.
const DURATION_BUCKETS_S: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Every metric of a process.
pub struct Metrics {
    registry: Registry,
    /// By class of status: 1xx to 5xx.
    durations: Vec<Histogram>,
    refused: Vec<Counter>,
    would_refuse: Vec<Counter>,
    forwarded: Counter,
    pub(crate) active: Gauge,
    pub(crate) panics: Counter,
    pub(crate) lost_lines: Counter,
    pub(crate) generation: Gauge,
    pub(crate) rejected_resources: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let decisions = Family::<Vec<(&'static str, &'static str)>, Counter>::default();
        let rehearsed = Family::<Vec<(&'static str, &'static str)>, Counter>::default();
        let durations = Family::<Vec<(&'static str, &'static str)>, Histogram>::new_with_constructor(|| {
            Histogram::new(DURATION_BUCKETS_S)
        });
        let (active, panics, lost_lines, generation, rejected_resources) =
            (Gauge::default(), Counter::default(), Counter::default(), Gauge::default(), Gauge::default());
        registry.register(
            "http_server_request_duration_seconds",
            "Time from the head of a request to the end of its response",
            durations.clone(),
        );
        registry.register("http_server_active_requests", "Requests under way", active.clone());
        registry.register(
            "sallyport_decisions",
            "Requests by what was decided: forwarded, or the reason of the refusal",
            decisions.clone(),
        );
        registry.register(
            "sallyport_rehearsed_refusals",
            "Refusals that policies in Report mode would have made",
            rehearsed.clone(),
        );
        registry.register("sallyport_panics", "Requests that made the gateway panic", panics.clone());
        registry.register(
            "sallyport_access_log_lost",
            "Lines of the access log that were lost because their writer was too slow",
            lost_lines.clone(),
        );
        registry.register(
            "sallyport_configuration_generation",
            "Configuration changes that this process has applied",
            generation.clone(),
        );
        registry.register(
            "sallyport_configuration_rejected_resources",
            "Resources of the last change that could not be built",
            rejected_resources.clone(),
        );
        let counter = |family: &Family<Vec<(&'static str, &'static str)>, Counter>, reason: &'static str| {
            family.get_or_create(&vec![("reason", reason)]).clone()
        };
        Self {
            durations: ["1xx", "2xx", "3xx", "4xx", "5xx"]
                .map(|class| durations.get_or_create(&vec![("http_response_status_class", class)]).clone())
                .to_vec(),
            refused: Reason::ALL.iter().map(|reason| counter(&decisions, reason.code())).collect(),
            would_refuse: Reason::ALL.iter().map(|reason| counter(&rehearsed, reason.code())).collect(),
            forwarded: counter(&decisions, "forwarded"),
            registry,
            active,
            panics,
            lost_lines,
            generation,
            rejected_resources,
        }
    }
}

impl Metrics {
    /// Counts an exchange that has ended.
    pub(crate) fn count(&self, line: &Line) {
        let class = usize::from(line.status.as_u16() / 100).saturating_sub(1);
        if let Some(durations) = self.durations.get(class) {
            durations.observe(line.duration.as_secs_f64());
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
