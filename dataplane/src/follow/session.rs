//! One stream: a Hello, then an answer for each Update, and Reports in between.

use std::sync::Arc;

use sallyport_snapshot::pieces::{self, Gathering};
use sallyport_snapshot::v1::{self, Kind, message::Message};
use sallyport_snapshot::{LIMIT_STORES, QUESTIONS};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::connect::{Stream, TAKEN_TIMEOUT};
use super::held::Holding;
use super::reports::Reports;
use super::{FollowFault, Plane};

pub(super) struct Session<'a, P> {
    pub(super) stream: Stream,
    pub(super) plane: &'a Arc<P>,
    pub(super) holding: &'a mut Holding,
    pub(super) reports: &'a mut Reports,
}

/// What happens on a stream.
enum Event {
    Piece(v1::Update),
    Report(v1::Report),
    End,
}

impl<P: Plane> Session<'_, P> {
    /// Until the controller ends the stream, or something is wrong with it.
    pub(super) async fn run(&mut self) -> Result<(), FollowFault> {
        self.greet().await?;
        let mut gathering = Gathering::within(pieces::MAX_WHOLE_BYTES);
        loop {
            let piece = match self.next().await? {
                Event::Piece(piece) => piece,
                Event::Report(report) => {
                    // There was room a moment ago; what finds none is told to the next controller.
                    let _sent = self.stream.outgoing.try_send(message(Message::Report(report)));
                    continue;
                }
                Event::End => return Ok(()),
            };
            let whole = gathering.add(piece).map_err(|_| FollowFault::Update("its pieces do not fit together"))?;
            if let Some(update) = whole {
                let ack = self.apply(update).await?;
                for piece in pieces::of(ack) {
                    self.send(Message::Ack(piece)).await?;
                }
            }
        }
    }

    /// A Report is taken only where there is room for it: updates do not wait for Reports.
    async fn next(&mut self) -> Result<Event, FollowFault> {
        let Self { stream: Stream { updates, outgoing }, reports, .. } = self;
        let report = async {
            drop(outgoing.reserve().await);
            reports.next().await
        };
        tokio::select! {
            piece = updates.message() => {
                let piece = piece.map_err(FollowFault::Ended)?;
                Ok(piece.map_or(Event::End, Event::Piece))
            }
            report = report => Ok(Event::Report(report)),
        }
    }

    /// Says what is held, and how issuers are.
    async fn greet(&mut self) -> Result<(), FollowFault> {
        for piece in pieces::of(self.holding.hello()) {
            self.send(Message::Hello(piece)).await?;
        }
        let holding = &*self.holding;
        for report in self.reports.last(|name| match name.strip_prefix(LIMIT_STORES) {
            Some(gateway) => holding.holds(Kind::Gateway, gateway),
            None => name.starts_with(QUESTIONS) || holding.holds(Kind::KeySet, name),
        }) {
            self.send(Message::Report(report)).await?;
        }
        Ok(())
    }

    /// Off the event loop: a large configuration takes its time, and the connection has to show signs of life.
    async fn apply(&mut self, update: v1::Update) -> Result<v1::Ack, FollowFault> {
        if self.holding.overflows_with(&update) {
            return Err(FollowFault::Update("it has too many resources"));
        }
        // Whoever applied nothing to nothing would call itself ready, and bare it is not.
        if self.holding.stays_bare_with(&update) {
            return Ok(v1::Ack { nonce: update.nonce, ..v1::Ack::default() });
        }
        let plane = Arc::clone(self.plane);
        let applied = spawn_blocking(move || {
            let ack = plane.apply(&update);
            (update, ack)
        });
        let (update, ack) = match applied.await {
            Ok(applied) => applied,
            // Nobody knows what is in force.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        self.holding.applied(update, &ack.rejected);
        Ok(ack)
    }

    /// Where nobody takes it the stream is over, and its end says why.
    async fn send(&self, one: Message) -> Result<(), FollowFault> {
        let sent = timeout(TAKEN_TIMEOUT, self.stream.outgoing.send(message(one))).await;
        sent.map(drop).map_err(|_| FollowFault::Late)
    }
}

fn message(message: Message) -> v1::Message {
    v1::Message { message: Some(message) }
}
