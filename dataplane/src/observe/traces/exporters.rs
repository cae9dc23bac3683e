//! The exporters of Gateways: made as they ask, and let go of when nothing is recorded for them any more.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::KeyValue;
use parking_lot::Mutex;
use sallyport_snapshot::v1;
use tokio::runtime::Handle;

use super::Traces;
use super::collector::{self, CollectorFault};
use crate::egress::AddressRules;

/// Between two looks at whether the last request of an exporter has ended.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// For requests that go on recording by an exporter that is replaced. 5 min: then its thread ends, and theirs are lost.
const REPLACED_FOR: Duration = Duration::from_secs(300);

/// Makes exporters.
#[derive(Clone)]
pub struct Exporters {
    /// As the process was started.
    pub default: Arc<Traces>,
    rules: AddressRules,
    runtime: Handle,
    /// Of Gateways, those that were replaced among them.
    made: Arc<Mutex<Vec<Weak<Traces>>>>,
    /// It makes none.
    is_silent: bool,
}

/// Those in force, by the name of their Gateway.
#[derive(Default)]
pub struct Exporting(HashMap<Arc<str>, (v1::Telemetry, Arc<Traces>)>);

impl Exporters {
    /// For Gateways that speak of nothing `default` counts. Connections are made under `rules`, on `runtime`.
    pub fn new(default: Traces, rules: AddressRules, runtime: Handle) -> Self {
        Self { default: Arc::new(default), rules, runtime, made: Arc::default(), is_silent: false }
    }

    /// The same, which makes none: nothing of what is done is sent anywhere.
    pub fn silent(self) -> Self {
        Self { is_silent: true, ..self }
    }

    /// Sends what has not been sent, of all at once; blocks as long as the slowest collector does, within the exporters' bounds.
    pub fn finish(&self) {
        let made: Vec<_> = self.made.lock().iter().filter_map(Weak::upgrade).collect();
        std::thread::scope(|scope| {
            for traces in made.iter().chain([&self.default]) {
                scope.spawn(|| traces.finish());
            }
        });
    }

    fn make(&self, telemetry: &v1::Telemetry) -> Result<Arc<Traces>, CollectorFault> {
        if self.is_silent {
            return Ok(Arc::new(Traces::off()));
        }
        let share = telemetry.sample_per_million.map(|share| f64::from(share) / 1_000_000.0);
        let attributes = telemetry.resource_attributes.iter();
        let attributes = attributes.map(|one| KeyValue::new(one.name.clone(), one.value.clone()));
        let _on_it = self.runtime.enter();
        let exporter = match (&*telemetry.otlp_endpoint, &self.default.endpoint) {
            ("", None) => return Ok(Arc::new(Traces::off())),
            // Whoever started the process has chosen where that is.
            ("", Some(endpoint)) => Traces::exporter(endpoint)?,
            (endpoint, _) => collector::exporter(endpoint, self.rules.clone())?,
        };
        let traces = Arc::new(Traces::exporting(exporter, share, attributes));
        let mut made = self.made.lock();
        made.retain(|one| one.strong_count() > 0);
        made.push(Arc::downgrade(&traces));
        Ok(traces)
    }

    /// Ends an exporter once nobody records by it, away from the workers: it waits for its collector.
    fn let_go(&self, traces: Arc<Traces>) {
        self.runtime.spawn(async move {
            let unused = async {
                while Arc::strong_count(&traces) > 1 {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            };
            let _given_up = tokio::time::timeout(REPLACED_FOR, unused).await;
            let _ended = tokio::task::spawn_blocking(move || traces.finish()).await;
        });
    }
}

impl Exporting {
    /// What records for the Gateway called `name` from now on; `None`: as the process was started. While the same is asked for it stays
    /// the same, and what cannot be made leaves the one before it in force.
    pub fn put(
        &mut self,
        exporters: &Exporters,
        name: &Arc<str>,
        telemetry: Option<&v1::Telemetry>,
    ) -> (Option<Arc<Traces>>, Option<String>) {
        let Some(telemetry) = telemetry else {
            self.remove(exporters, name);
            return (None, None);
        };
        if let Some((_, traces)) = self.0.get(name).filter(|(last, _)| last == telemetry) {
            return (Some(Arc::clone(traces)), None);
        }
        match exporters.make(telemetry) {
            Ok(traces) => {
                self.remove(exporters, name);
                self.0.insert(Arc::clone(name), (telemetry.clone(), Arc::clone(&traces)));
                (Some(traces), None)
            }
            Err(fault) => (self.of(name), Some(fault.to_string())),
        }
    }

    /// What records for the Gateway called `name` now.
    pub fn of(&self, name: &str) -> Option<Arc<Traces>> {
        self.0.get(name).map(|(_, traces)| Arc::clone(traces))
    }

    /// The Gateway is gone, or asks for nothing any more.
    pub fn remove(&mut self, exporters: &Exporters, name: &str) {
        if let Some((_, traces)) = self.0.remove(name) {
            exporters.let_go(traces);
        }
    }
}
