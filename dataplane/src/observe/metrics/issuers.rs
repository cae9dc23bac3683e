//! How the keys of issuers fare. Read when somebody asks, from what the issuers' own tasks have noted: requests pay nothing, and
//! an issuer that has left the configuration has left the metrics.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use sallyport_snapshot::v1::issuer_health::State;

use super::table;
use crate::clock::Clock;
use crate::issuer::Issuers;
use crate::issuer::health::{Outcome, Reading};

/// States as the label shows them.
const STATES: [(State, &str); 3] =
    [(State::Healthy, "healthy"), (State::Stale, "stale"), (State::Unreached, "unreached")];

pub(super) struct IssuerMetrics {
    pub issuers: Arc<Issuers>,
    pub clock: Clock,
}

impl fmt::Debug for IssuerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuerMetrics")
    }
}

impl Collector for IssuerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let readings = self.issuers.health();
        states(&mut encoder, &readings)?;
        ages(&mut encoder, &readings, &self.clock)?;
        fetches(&mut encoder, &readings)
    }
}

/// Two key sets can be of one issuer, found in different ways: the name of the set tells them apart.
fn labels(reading: &Reading) -> [(&'static str, &str); 2] {
    [("issuer", &reading.issuer), ("key_set", &reading.key_set)]
}

fn labels_with<'a>(reading: &'a Reading, name: &'static str, value: &'a str) -> [(&'static str, &'a str); 3] {
    let [issuer, key_set] = labels(reading);
    [issuer, key_set, (name, value)]
}

fn described<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    described: &table::Metric,
    kind: MetricType,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(described.name, described.help, None, kind)
}

fn states(encoder: &mut DescriptorEncoder<'_>, readings: &[Reading]) -> fmt::Result {
    let mut metric = described(encoder, &table::ISSUER_STATE, MetricType::Gauge)?;
    for reading in readings {
        for (state, name) in STATES {
            let labels = labels_with(reading, "state", name);
            ConstGauge::new(i64::from(reading.state == state)).encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn ages(encoder: &mut DescriptorEncoder<'_>, readings: &[Reading], clock: &Clock) -> fmt::Result {
    let mut metric = described(encoder, &table::ISSUER_KEYS_AGE, MetricType::Gauge)?;
    for reading in readings {
        if let Some(fetched) = reading.fetched {
            let age = fetched.until(clock.now()).as_secs_f64();
            ConstGauge::new(age).encode(metric.encode_family(&labels(reading))?)?;
        }
    }
    Ok(())
}

fn fetches(encoder: &mut DescriptorEncoder<'_>, readings: &[Reading]) -> fmt::Result {
    let mut metric = described(encoder, &table::ISSUER_FETCHES, MetricType::Counter)?;
    for reading in readings {
        for (outcome, count) in Outcome::ALL.iter().zip(&reading.fetches) {
            let labels = labels_with(reading, "outcome", outcome.as_str());
            ConstCounter::new(*count).encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
