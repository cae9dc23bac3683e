//! How long things take, as histograms that workers write to without waiting for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::CLASSES;

/// Upper bounds, in milliseconds: those that OpenTelemetry advises.
const BOUNDS_MS: [u32; 14] = [5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000];

/// Methods with a label of their own (RFC 9110, 9 and RFC 5789); callers cannot add any.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];
/// The label of all other methods, as OpenTelemetry has it.
const OTHER_METHOD: &str = "_OTHER";
const SCHEMES: [&str; 2] = ["http", "https"];

/// Durations by method, scheme and class of status: each combination has its place, found without looking one up. A clone counts
/// into the same. What has never been observed is not told: most of the combinations never are.
#[derive(Clone, Debug)]
pub(super) struct DurationsByRequest(Arc<[Durations]>);

impl DurationsByRequest {
    pub(super) fn observe(&self, method: &Method, scheme: &str, status: StatusCode, duration: Duration) {
        let method = METHODS.iter().position(|known| known == method).unwrap_or(METHODS.len());
        let scheme = usize::from(scheme == "https");
        let class = usize::from(status.as_u16() / 100).saturating_sub(1).min(CLASSES.len() - 1);
        if let Some(durations) = self.0.get((method * SCHEMES.len() + scheme) * CLASSES.len() + class) {
            durations.observe(duration);
        }
    }
}

impl Default for DurationsByRequest {
    fn default() -> Self {
        let combinations = (METHODS.len() + 1) * SCHEMES.len() * CLASSES.len();
        Self((0..combinations).map(|_| Durations::default()).collect())
    }
}

impl TypedMetric for DurationsByRequest {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for DurationsByRequest {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let methods = METHODS.iter().map(Method::as_str).chain([OTHER_METHOD]);
        let requests = methods.flat_map(|method| SCHEMES.map(|scheme| (method, scheme)));
        let labels = requests.flat_map(|(method, scheme)| CLASSES.map(|class| (method, scheme, class)));
        for ((method, scheme, class), durations) in labels.zip(&*self.0).filter(|(_, durations)| durations.any()) {
            let labels =
                [("http_request_method", method), ("url_scheme", scheme), ("http_response_status_class", class)];
            durations.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// Counts by duration. A clone counts into the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durations(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Those up to each bound, and at the end those beyond all.
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_us: AtomicU64,
}

impl Durations {
    pub(crate) fn observe(&self, duration: Duration) {
        let at = BOUNDS_MS.partition_point(|bound| Duration::from_millis(u64::from(*bound)) < duration);
        if let Some(bucket) = self.0.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum_us.fetch_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn any(&self) -> bool {
        self.0.buckets.iter().any(|bucket| bucket.load(Ordering::Relaxed) != 0)
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let bounds = BOUNDS_MS.iter().map(|bound| f64::from(*bound) / 1000.0).chain([f64::INFINITY]);
        let counts = self.0.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum_s = Duration::from_micros(self.0.sum_us.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum_s, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn each_duration_is_counted_up_to_its_bound_and_beyond() {
        let (mut registry, durations) = (Registry::default(), Durations::default());
        registry.register("d", "d", durations.clone());
        for micros in [0, 5000, 5001, 10_000_000, 10_000_001, 86_400_000_000] {
            durations.observe(Duration::from_micros(micros));
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "d_count 6",
            "d_sum 86420.010002",
            r#"d_bucket{le="0.005"} 2"#,
            r#"d_bucket{le="0.01"} 3"#,
            r#"d_bucket{le="7.5"} 3"#,
            r#"d_bucket{le="10.0"} 4"#,
            r#"d_bucket{le="+Inf"} 6"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
    }

    #[test]
    fn each_request_is_counted_under_its_own_labels_and_nothing_else_is_told() {
        let (mut registry, durations) = (Registry::default(), DurationsByRequest::default());
        registry.register("d", "d", durations.clone());
        let patch = (Method::PATCH, "https", StatusCode::SERVICE_UNAVAILABLE);
        let invented = (Method::from_bytes(b"SALLYPORT-REFUSED").unwrap(), "http", StatusCode::BAD_REQUEST);
        let also_invented = (Method::from_bytes(b"get").unwrap(), "http", StatusCode::BAD_REQUEST);
        let beyond = (Method::GET, "http", StatusCode::from_u16(999).unwrap());
        for (method, scheme, status) in [patch, invented, also_invented, beyond] {
            durations.observe(&method, scheme, status, Duration::ZERO);
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let counts: Vec<_> = text.lines().filter(|line| line.starts_with("d_count")).collect();
        let expected = [
            r#"d_count{http_request_method="GET",url_scheme="http",http_response_status_class="5xx"} 1"#,
            r#"d_count{http_request_method="PATCH",url_scheme="https",http_response_status_class="5xx"} 1"#,
            r#"d_count{http_request_method="_OTHER",url_scheme="http",http_response_status_class="4xx"} 2"#,
        ];
        assert_eq!(counts, expected, "{text}");
    }
}
