//! Statuses that are not written at once, because one write will say what two would have said.

use std::collections::BTreeMap;
use std::time::Duration;

use sallyport_api::condition::Reason;
use serde_json::Value;
use tokio::time::Instant;

use super::Place;
use crate::cluster::ObjectKind;
use crate::status::wire;
use crate::status::{Condition, ObjectStatus};

/// Bad news wait that long: as a rule what the object lacks is applied behind it.
const BAD_NEWS: Duration = Duration::from_millis(250);
/// That only data planes or keys are waited for is said after this time: as a rule they are there by then.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// A Gateway of which nothing but the numbers of its routes has changed is written no more often.
const BETWEEN_COUNTS: Duration = Duration::from_secs(2);

/// Since when statuses wait.
#[derive(Default)]
pub(super) struct Patience {
    /// Bad news that are not written yet, by when they were first planned.
    since: BTreeMap<Place, Instant>,
    /// When each Gateway was written last.
    counted: BTreeMap<Place, Instant>,
}

impl Patience {
    /// Until when `status`, which differs from the status as it stands, is to wait, if it is.
    pub(super) fn until(
        &mut self,
        place: &Place,
        status: &ObjectStatus,
        before: &Value,
        now: Instant,
    ) -> Option<Instant> {
        let until = if place.0 == ObjectKind::Gateway && differs_in_counts_only(status, before) {
            *self.counted.get(place)? + BETWEEN_COUNTS
        } else {
            let wait = wait(status)?;
            *self.since.entry(place.clone()).or_insert(now) + wait
        };
        (now < until).then_some(until)
    }

    /// It is being written.
    pub(super) fn is_written(&mut self, place: &Place, now: Instant) {
        self.since.remove(place);
        if place.0 == ObjectKind::Gateway {
            self.counted.insert(place.clone(), now);
        }
    }

    /// It stands there already.
    pub(super) fn stands(&mut self, place: &Place) {
        self.since.remove(place);
    }

    /// Forgets objects that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&Place) -> bool) {
        self.since.retain(|place, _| is_there(place));
        self.counted.retain(|place, _| is_there(place));
    }
}

/// How long what is bad in a status waits; none where nothing is.
fn wait(status: &ObjectStatus) -> Option<Duration> {
    let comes_by_itself =
        |one: &Condition| [Reason::Pending, Reason::KeysPending].iter().any(|on| on.as_str() == one.reason);
    let wait = |one: &Condition| if comes_by_itself(one) { ON_ITS_WAY } else { BAD_NEWS };
    status.all_conditions().filter(|one| one.is_bad()).map(wait).min()
}

fn differs_in_counts_only(status: &ObjectStatus, before: &Value) -> bool {
    let mut same = status.clone();
    for listener in &mut same.listeners {
        let stood = wire::entries(&before["listeners"]).find(|one| one["name"] == *listener.name);
        let count = stood.and_then(|one| one["attachedRoutes"].as_u64()).and_then(|count| count.try_into().ok());
        listener.attached_routes = count.unwrap_or(listener.attached_routes);
    }
    wire::write(&same, before, "").is_none()
}

#[cfg(test)]
mod tests;
