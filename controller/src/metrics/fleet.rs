//! What happens on the streams, read from the fleet when somebody asks.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::table::{self, Metric};
use crate::cluster::ObjectName;
use crate::fleet::{Fleet, StreamRefusal};

pub(super) struct FleetMetrics(pub(super) Fleet);

impl fmt::Debug for FleetMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FleetMetrics(..)")
    }
}

impl Collector for FleetMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(fleet) = self;
        let sizes = fleet.sizes();
        let mut connected: BTreeMap<ObjectName, i64> = sizes.keys().map(|gateway| (gateway.clone(), 0)).collect();
        for pod in fleet.here().into_keys() {
            *connected.entry(pod.gateway).or_default() += 1;
        }
        by_gateway(&mut encoder, &table::SNAPSHOT_BYTES, &sizes)?;
        by_gateway(&mut encoder, &table::DATA_PLANES, &connected)?;
        let counters = fleet.counters();
        for (metric, count) in [
            (table::UPDATES, counters.updates),
            (table::UPDATE_RESOURCES, counters.resources),
            (table::UPDATE_BYTES, counters.update_bytes),
            (table::ACKNOWLEDGEMENTS, counters.acknowledgements),
            (table::REJECTIONS, counters.rejections),
            (table::FOREIGN_REPORTS, counters.foreign_reports),
            (table::CUT_STREAMS, counters.cut_streams),
            (table::FAILED_HANDSHAKES, counters.failed_handshakes),
            (table::EVICTED_STRANGERS, counters.evicted_strangers),
        ] {
            let described = encoder.encode_descriptor(metric.name, metric.help, None, MetricType::Counter)?;
            ConstCounter::new(count).encode(described)?;
        }
        let Metric { name, help, .. } = table::REFUSED_STREAMS;
        let mut refused = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (reason, count) in StreamRefusal::ALL.iter().zip(counters.refused) {
            let labels = [("reason", reason.as_str())];
            ConstCounter::new(count).encode(refused.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn by_gateway(encoder: &mut DescriptorEncoder<'_>, metric: &Metric, values: &BTreeMap<ObjectName, i64>) -> fmt::Result {
    let mut described = encoder.encode_descriptor(metric.name, metric.help, None, MetricType::Gauge)?;
    for (gateway, value) in values {
        let labels = [("gateway", gateway.to_string())];
        ConstGauge::new(*value).encode(described.encode_family(&labels)?)?;
    }
    Ok(())
}
