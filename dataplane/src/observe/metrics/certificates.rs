//! When the certificates in force end. Put here by each change of configuration, as a whole.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::table;

/// Ends of certificates, in seconds since 1970 UTC, by the name of the resource: "namespace/secret".
pub type Ends = BTreeMap<Arc<str>, i64>;

#[derive(Clone, Debug, Default)]
pub(crate) struct CertificateMetrics(Arc<ArcSwap<Ends>>);

impl CertificateMetrics {
    pub(crate) fn set(&self, ends: Ends) {
        self.0.store(Arc::new(ends));
    }
}

impl Collector for CertificateMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let table::Metric { name, help, .. } = table::CERTIFICATE_END;
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (certificate, end) in self.0.load().iter() {
            let labels = [("certificate", &**certificate)];
            ConstGauge::new(*end).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
