//! The stream of another controller: all data planes that are connected here, and what becomes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sallyport_snapshot::{pieces, v1};
use tokio::time::timeout;
use tonic::{Status, Streaming};
use v1::standing::Change;

use super::call::Outgoing;
use super::connection::Presence;
use super::service::Service;
use super::term::Term;
use crate::fleet::Pod;
use crate::publish::Standing;

pub(super) struct Session {
    pub(super) service: Arc<Service>,
    /// Of the controller that watches.
    pub(super) pod: String,
    pub(super) term: Term,
    pub(super) incoming: Streaming<v1::WatchRequest>,
    pub(super) outgoing: Outgoing<v1::Standing>,
}

/// What it has been told of each data plane.
type Told = BTreeMap<Pod, Arc<Standing>>;

impl Session {
    pub(super) async fn run(mut self, presence: Presence) {
        if let Err(status) = self.tell().await {
            self.service.fleet().counts().cut_stream();
            tracing::warn!(pod = %self.pod, why = status.message(), "the stream of a controller is cut off");
            self.outgoing.end_with(status);
            presence.end();
        }
    }

    async fn tell(&mut self) -> Result<(), Status> {
        let request = timeout(self.service.bounds().hello, self.incoming.message()).await;
        let request = request.map_err(|_| Status::deadline_exceeded("no request came in time"))??;
        request.ok_or_else(|| Status::invalid_argument("there is no request"))?;
        let fleet = self.service.fleet().clone();
        let mut changes = fleet.changes();
        let mut told = Told::new();
        let mut is_first = true;
        loop {
            changes.mark_unchanged();
            let now = fleet.here();
            for message in differences(&told, &now) {
                self.send(message).await?;
            }
            told = now;
            if std::mem::take(&mut is_first) {
                self.send(v1::Standing { change: Some(Change::Complete(v1::Complete {})), ..v1::Standing::default() })
                    .await?;
            }
            tokio::select! {
                changed = changes.changed() => changed.map_err(|_| Status::unavailable("the controller ends"))?,
                () = self.outgoing.closed() => return Ok(()),
                () = self.term.over() => return Ok(()),
            }
        }
    }

    async fn send(&self, message: v1::Standing) -> Result<(), Status> {
        let sent = timeout(self.service.bounds().answer, self.outgoing.send(message)).await;
        let sent = sent.map_err(|_| Status::deadline_exceeded("a Standing was not taken in time"))?;
        sent.then_some(()).ok_or_else(|| Status::cancelled("the controller has left"))
    }
}

/// What leads from what was told to what is so now.
fn differences<'a>(told: &'a Told, now: &'a Told) -> impl Iterator<Item = v1::Standing> + 'a {
    let gone = told.keys().filter(|pod| !now.contains_key(*pod)).map(|pod| message(pod, Change::Gone(v1::Gone {})));
    let changed = now.iter().filter(|(pod, standing)| !told.get(*pod).is_some_and(|old| Arc::ptr_eq(old, standing)));
    gone.chain(changed.flat_map(|(pod, standing)| difference(pod, told.get(pod).map(AsRef::as_ref), standing)))
}

/// Of one data plane; one that was not told of is told of, also where it has nothing yet.
fn difference<'a>(
    pod: &'a Pod,
    before: Option<&Standing>,
    now: &Standing,
) -> impl Iterator<Item = v1::Standing> + use<'a> {
    let (acknowledged, reports) = match before {
        Some(before) => now.since(before),
        None => {
            let (acknowledged, reports) = now.since(&Standing::default());
            (Some(acknowledged.unwrap_or_default()), reports)
        }
    };
    let acknowledged = acknowledged.into_iter().flat_map(pieces::of).map(Change::Acknowledged);
    acknowledged.chain(reports.into_iter().map(Change::Report)).map(|change| message(pod, change))
}

fn message(pod: &Pod, change: Change) -> v1::Standing {
    v1::Standing { gateway: pod.gateway.to_string(), pod: pod.name.clone(), change: Some(change) }
}
