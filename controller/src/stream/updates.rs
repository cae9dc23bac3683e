//! The stream of one data plane: what it has, then what differs, each time that something does.

use std::sync::Arc;
use std::time::Duration;

use sallyport_snapshot::pieces::{self, Gathering};
use sallyport_snapshot::{Snapshot, v1};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Code, Status, Streaming};
use v1::message::Message;

use super::call::Outgoing;
use super::connection::Presence;
use super::service::Service;
use super::term::Term;
use crate::fleet::{Membership, Pod, Published};
use crate::publish::Replica;

/// Of a Hello and of an Ack: two million names. More than a Gateway has, and little enough that no data plane can fill us up.
const MAX_MESSAGE_BYTES: usize = 128 * 1024 * 1024;

pub(super) struct Session {
    pub(super) service: Arc<Service>,
    pub(super) pod: Pod,
    pub(super) term: Term,
    pub(super) incoming: Streaming<v1::Message>,
    pub(super) outgoing: Outgoing<v1::Update>,
}

/// How a stream ends that nobody cut off.
enum End {
    /// Its time is over: the data plane is expected back.
    Regular,
    /// The data plane has ended it, or has opened another.
    Left,
}

/// What a stream keeps in mind between its events.
struct Progress {
    membership: Membership,
    published: watch::Receiver<Published>,
    /// What it has been brought to last.
    reached: Option<Arc<Snapshot>>,
    /// By when the answer to the update under way has to come.
    answer_due: Option<Instant>,
    ack: Gathering<v1::Ack>,
}

impl Session {
    /// Until it ends; then it is not counted any more, but for a moment in which it may come back.
    pub(super) async fn run(mut self, presence: Presence) {
        let fleet = self.service.fleet().clone();
        let ended = match self.join().await {
            Ok(mut progress) => {
                tracing::info!(pod = %self.pod, "a data plane is connected");
                let ended = self.follow(&mut progress).await;
                ended.map(|end| (end, Some(progress.membership)))
            }
            Err(status) => Err(status),
        };
        match ended {
            Ok((End::Regular, Some(membership))) => {
                let linger = self.service.bounds().linger;
                // The response ends before the wait, so that the data plane comes back.
                drop((self, presence));
                let _back = timeout(linger, membership.superseded()).await;
            }
            Ok(_) => tracing::info!(pod = %self.pod, "a data plane has left"),
            Err(status) => {
                fleet.counts().cut_stream();
                tracing::warn!(pod = %self.pod, why = status.message(), "the stream of a data plane is cut off");
                self.outgoing.end_with(status);
                presence.end();
            }
        }
    }

    /// Takes in what the data plane has: nothing is sent before that.
    async fn join(&mut self) -> Result<Progress, Status> {
        let hello = timeout(self.service.bounds().hello, self.hello()).await;
        let hello = hello.map_err(|_| Status::deadline_exceeded("no Hello came in time"))??;
        let replica = Replica::returned(&hello).map_err(|_| Status::invalid_argument("the Hello cannot be read"))?;
        let fleet = self.service.fleet();
        Ok(Progress {
            membership: fleet.join(self.pod.clone(), replica),
            published: fleet.published(),
            reached: None,
            answer_due: None,
            ack: Gathering::within(MAX_MESSAGE_BYTES),
        })
    }

    async fn hello(&mut self) -> Result<v1::Hello, Status> {
        let mut gathering = Gathering::within(MAX_MESSAGE_BYTES);
        loop {
            let message = self.incoming.message().await?.and_then(|message| message.message);
            let Some(Message::Hello(piece)) = message else {
                return Err(Status::failed_precondition("a stream begins with a Hello"));
            };
            if let Some(whole) = gathering.add(piece).map_err(invalid)? {
                return Ok(whole);
            }
        }
    }

    async fn follow(&mut self, progress: &mut Progress) -> Result<End, Status> {
        loop {
            if let Some(update) = progress.next_update(&self.pod) {
                self.send(update).await?;
                progress.answer_due = Some(Instant::now() + self.service.bounds().answer);
            }
            let is_idle = progress.answer_due.is_none();
            tokio::select! {
                message = self.incoming.message() => match message {
                    Ok(Some(message)) => self.take(message, progress)?,
                    Ok(None) => return Ok(End::Left),
                    Err(status) if is_loss(&status) => return Ok(End::Left),
                    Err(status) => return Err(status),
                },
                changed = progress.published.changed(), if is_idle => {
                    changed.map_err(|_| Status::unavailable("the controller ends"))?;
                }
                () = at(progress.answer_due) => return Err(Status::deadline_exceeded("no Ack came in time")),
                () = progress.membership.superseded() => return Ok(End::Left),
                () = self.outgoing.closed() => return Ok(End::Left),
                () = self.term.over() => return Ok(End::Regular),
            }
        }
    }

    /// Each piece has its time: who takes none holds up itself.
    async fn send(&self, update: v1::Update) -> Result<(), Status> {
        let within: Duration = self.service.bounds().answer;
        for piece in pieces::of(update) {
            let sent = timeout(within, self.outgoing.send(piece)).await;
            if !sent.map_err(|_| Status::deadline_exceeded("an Update was not taken in time"))? {
                return Err(Status::cancelled("the data plane has left"));
            }
        }
        Ok(())
    }

    fn take(&self, message: v1::Message, progress: &mut Progress) -> Result<(), Status> {
        match message.message {
            Some(Message::Ack(piece)) => progress.acknowledge(piece),
            Some(Message::Report(report)) => {
                if !progress.membership.hear(report) {
                    self.service.fleet().counts().foreign_report();
                    tracing::warn!(pod = %self.pod, "a Report is dropped: it is not about what this data plane was told of");
                }
                Ok(())
            }
            Some(Message::Hello(_)) => Err(Status::failed_precondition("a Hello came twice")),
            // Of a newer version: it says something that nobody here can use.
            None => Ok(()),
        }
    }
}

impl Progress {
    /// What is to be sent now, if anything. The newest that is published, whatever was published in between.
    fn next_update(&mut self, pod: &Pod) -> Option<v1::Update> {
        if self.answer_due.is_some() {
            return None;
        }
        let wanted = Arc::clone(self.published.borrow_and_update().wanted(&pod.gateway)?);
        if self.reached.as_ref().is_some_and(|reached| Arc::ptr_eq(reached, &wanted)) {
            return None;
        }
        let update = self.membership.update(&wanted);
        self.reached = Some(wanted);
        update
    }

    fn acknowledge(&mut self, piece: v1::Ack) -> Result<(), Status> {
        let unasked = || Status::failed_precondition("an Ack came that was not awaited");
        self.answer_due.ok_or_else(unasked)?;
        if let Some(ack) = self.ack.add(piece).map_err(invalid)? {
            self.answer_due = None;
            return self.membership.acknowledge(&ack).then_some(()).ok_or_else(unasked);
        }
        Ok(())
    }
}

/// Whether the connection is lost, rather than what came on it no message.
fn is_loss(status: &Status) -> bool {
    matches!(status.code(), Code::Cancelled | Code::Unknown | Code::Unavailable)
}

fn invalid(misfit: pieces::Misfit) -> Status {
    Status::invalid_argument(misfit.to_string())
}

/// Ends at `due`, or never.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
