//! Questions of policies that only report: asked when the response has begun, and told when they have been answered.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::{Means, Way, pose};
use crate::external_authorization::{Answer, Question};
use crate::rejection::{Reason, Rejection};
use crate::runtime::policy::external_authorization::ExternalAuthorization;

/// A question that nobody waits for.
pub(in crate::pipeline) struct Later {
    /// The policy that only reports.
    pub(in crate::pipeline) policy: Arc<str>,
    pub(in crate::pipeline) one: Arc<ExternalAuthorization>,
    pub(in crate::pipeline) question: Question,
}

/// What a policy would have said.
pub(in crate::pipeline) type Verdict = (Arc<str>, Result<(), Rejection>);

impl Later {
    /// Asks; `body` is what has been read of the request's, for others.
    pub(in crate::pipeline) fn verdict(
        self,
        Means { worker, runtime, leave }: Means<'_>,
        body: Option<Bytes>,
    ) -> impl Future<Output = Verdict> + use<> {
        let (worker, runtime, leave) = (Rc::clone(worker), Arc::clone(runtime), leave.cloned());
        async move {
            let means = Means { worker: &worker, runtime: &runtime, leave: leave.as_ref() };
            let verdict = would_be(means, &self.one, self.question, body).await;
            (self.policy, verdict)
        }
    }
}

async fn would_be(
    means: Means<'_>,
    one: &ExternalAuthorization,
    question: Question,
    body: Option<Bytes>,
) -> Result<(), Rejection> {
    let asked = one.asks.as_ref().map_err(|denial| denial.rejection())?;
    let way = Way::find(means.runtime, one, asked)?;
    let incomplete = |why: &str| one.rejection(Reason::RehearsalIncomplete, why);
    let body = match asked.max_body_bytes {
        None => None,
        Some(most) => {
            let body = body.ok_or_else(|| incomplete("the body is not read for a policy that only reports"))?;
            if body.len() as u64 > most {
                let found = format!("the body has {} bytes; forwardBody.maxBytes is {most}", body.len());
                return Err(one.rejection(Reason::BodyTooLarge, found));
            }
            Some(body)
        }
    };
    let place = means.worker.desk().rehearsed_place();
    let _place =
        place.ok_or_else(|| incomplete("as many questions of policies that only report as may be are under way"))?;
    match pose(means, way, (one, asked), Question { body, ..question }).await? {
        Answer::Yes(_) => Ok(()),
        Answer::No(no) => Err(one.rejection(Reason::ExternalAuthorizationDenied, no.told)),
    }
}
