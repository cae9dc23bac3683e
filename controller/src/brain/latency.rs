//! How long it takes until a change is in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use sallyport_snapshot::Snapshot;
use tokio::time::Instant;

use crate::cluster::ObjectName;
use crate::fleet::Fleet;
use crate::metrics::Metrics;

/// What is on its way to data planes, and since when.
#[derive(Default)]
pub(super) struct Latency(BTreeMap<ObjectName, (Instant, Arc<Snapshot>)>);

impl Latency {
    /// `parts` are published in place of `before`, for a change that was taken in `since`. One that is overtaken by another counts from
    /// where it began.
    pub(super) fn published(
        &mut self,
        before: Option<&BTreeMap<ObjectName, Arc<Snapshot>>>,
        parts: &BTreeMap<ObjectName, Arc<Snapshot>>,
        since: Instant,
    ) {
        self.0.retain(|gateway, _| parts.contains_key(gateway));
        // What a controller that starts finds was in force before.
        let Some(before) = before else { return };
        for (gateway, part) in parts {
            if before.get(gateway).is_none_or(|before| before.held() != part.held()) {
                self.0.entry(gateway.clone()).or_insert((since, Arc::clone(part))).1 = Arc::clone(part);
            }
        }
    }

    /// Takes down what all data planes have now that are connected here. Where there are none, it waits for one.
    pub(super) fn look(&mut self, fleet: &Fleet, metrics: &Metrics, now: Instant) {
        if self.0.is_empty() {
            return;
        }
        let here = fleet.here();
        self.0.retain(|gateway, (since, wanted)| {
            let mut standings = here.iter().filter(|(pod, _)| pod.gateway == *gateway).map(|(_, one)| one).peekable();
            let is_awaited = standings.peek().is_none() || !standings.all(|standing| standing.has(wanted));
            if !is_awaited {
                metrics.programmed(now - *since);
            }
            is_awaited
        });
    }
}
