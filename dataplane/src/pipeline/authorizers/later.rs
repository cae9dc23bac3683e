//! Questions of policies that only report: asked when the response has begun, and told when they have been answered.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::{Means, Way, pose, without_end};
use crate::external_authorization::{Answer, Question};
use crate::rejection::{Reason, Rejection};
use crate::runtime::policy::Denial;
use crate::runtime::policy::external_authorization::ExternalAuthorization;

/// A question that nobody waits for.
pub(in crate::pipeline) struct Later {
    /// The policy that only reports.
    pub(super) policy: Arc<str>,
    /// Of the route.
    pub(super) namespace: Arc<str>,
    pub(super) one: Arc<ExternalAuthorization>,
    pub(super) question: Question,
    /// Whether the body is one thing.
    pub(super) has_end: bool,
}

/// What a policy would have said.
pub(in crate::pipeline) type Verdict = Result<(), Rejection>;

impl Later {
    /// Asks; `body` is what is at hand of the request's.
    pub(super) fn verdict(
        self,
        Means { worker, runtime, leave }: Means<'_>,
        body: Option<Bytes>,
    ) -> (Arc<str>, impl Future<Output = Verdict> + use<>) {
        let (worker, runtime, leave) = (Rc::clone(worker), Arc::clone(runtime), leave.cloned());
        let policy = Arc::clone(&self.policy);
        let verdict = async move {
            let means = Means { worker: &worker, runtime: &runtime, leave: leave.as_ref() };
            self.would_be(means, body).await
        };
        (policy, verdict)
    }

    async fn would_be(self, means: Means<'_>, body: Option<Bytes>) -> Verdict {
        let one = &*self.one;
        let asked = one.asks.as_ref().map_err(Denial::rejection)?;
        let way = Way::find(means.runtime, one, asked)?;
        let body = match asked.max_body_bytes {
            Some(most) => Some(self.shown(body, most)?),
            None => None,
        };
        let place = means.worker.desk().rehearsed_place(&self.namespace);
        let full = "as many questions of policies that only report as may be are under way";
        let _place = place.ok_or_else(|| one.rejection(Reason::RehearsalIncomplete, full))?;
        let question = Question { body, ..self.question };
        match pose(means, way, (one, asked), (question, &self.namespace)).await? {
            Answer::Yes(_) => Ok(()),
            Answer::No(no) => Err(one.rejection(Reason::ExternalAuthorizationDenied, no.told)),
        }
    }

    /// The body, if it is at hand and may be shown.
    fn shown(&self, body: Option<Bytes>, most: u64) -> Result<Bytes, Rejection> {
        if !self.has_end {
            return Err(without_end(&self.one));
        }
        let unread = "the body is not read for a policy that only reports";
        let body = body.ok_or_else(|| self.one.rejection(Reason::RehearsalIncomplete, unread))?;
        if body.len() as u64 > most {
            let found = format!("the body has {} bytes; forwardBody.maxBytes is {most}", body.len());
            return Err(self.one.rejection(Reason::BodyTooLarge, found));
        }
        Ok(body)
    }
}
