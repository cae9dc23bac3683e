//! What is wrong, counted by kind, condition and reason: words of ours all three.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::table;
use crate::cluster::ObjectKind;
use crate::status::ObjectStatus;

/// Put here as a whole each time that statuses are planned.
#[derive(Clone, Debug, Default)]
pub(super) struct Problems(Arc<Mutex<Counts>>);

/// By kind, condition and reason.
type Counts = BTreeMap<[&'static str; 3], i64>;

impl Problems {
    pub(super) fn replace(&self, statuses: &[ObjectStatus]) {
        let mut counts = Counts::new();
        for status in statuses {
            let Some(kind) = ObjectKind::ALL.iter().find(|kind| kind.as_str() == status.kind) else { continue };
            for condition in status.all_conditions().filter(|one| one.is_bad() && !one.repeats_others()) {
                *counts.entry([kind.as_str(), condition.r#type, condition.reason]).or_default() += 1;
            }
        }
        *self.0.lock() = counts;
    }

    /// Whoever does not write does not know.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

impl Collector for Problems {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let table::Metric { name, help, .. } = table::PROBLEMS;
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for ([kind, condition, reason], count) in self.0.lock().iter() {
            let labels = [("kind", *kind), ("condition", *condition), ("reason", *reason)];
            ConstGauge::new(*count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
