//! Asks authorisers whether a request may pass.

mod desk;
mod later;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Limited};
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, timeout_at};

use super::authenticate::Caller;
use super::body::request::RequestBody;
use super::body::shown::CallersBody;
use super::permit::Asks;
use crate::credential::Credential;
use crate::egress::leave::Leave;
use crate::external_authorization::{Answer, MAX_ANSWER_BYTES, No, Question, Unasked, Yes, read};
use crate::observe::metrics::durations::Durations;
use crate::path::Query;
use crate::rejection::{Reason, Rejection, Told};
use crate::route::Rule;
use crate::runtime::Runtime;
use crate::runtime::backend::Backend;
use crate::runtime::policy::external_authorization::{Asked, ExternalAuthorization};
use crate::runtime::policy::{Denial, Policy};
use crate::server::pace::upload::LeastRate;
use crate::server::worker::Worker;
use crate::sources::chain;
use crate::upstream::target::Target;
use crate::upstream::{Exchange, Purpose, Terms};
pub(crate) use desk::{Desk, Room};
pub(super) use later::{Later, Verdict};

/// By what somebody is asked.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) runtime: &'a Arc<Runtime>,
    /// What the Gateway opens.
    pub(super) leave: Option<&'a Arc<Leave>>,
}

/// Asks about one request.
pub(super) struct Asking<'a> {
    pub(super) means: Means<'a>,
    pub(super) policy: &'a Policy,
    pub(super) rule: &'a Rule,
    /// Names the exchange.
    pub(super) id: u128,
    pub(super) body: &'a mut CallersBody,
    /// In which the caller has to go on sending.
    pub(super) window: Duration,
}

impl Asks for Asking<'_> {
    async fn ask(
        &mut self,
        one: &ExternalAuthorization,
        asked: &Asked,
        caller: &Caller<'_>,
        question: Question,
    ) -> Result<Yes, Rejection> {
        let way = Way::find(self.means.runtime, one, asked)?;
        let question = self.complete(question, caller);
        let body = match asked.max_body_bytes {
            Some(_) => Some(self.shown_body(one, caller).await?),
            None => None,
        };
        let worker = self.means.worker;
        let place = worker.desk().place(&one.origin.object);
        let _place = place.ok_or_else(|| one.unavailable("as many questions as may be are under way; try again"))?;
        let began = Instant::now();
        let answered = pose(self.means, way, (one, asked), Question { body, ..question }).await;
        worker.shared().metrics.external_authorizations.count(&answered, began.elapsed());
        match answered? {
            Answer::Yes(yes) => Ok(*yes),
            Answer::No(No { told, passed }) => {
                let told_caller = passed.map(|passed| Arc::new(Told::Answer(*passed)));
                Err(Rejection { told: told_caller, ..one.rejection(Reason::ExternalAuthorizationDenied, told) })
            }
        }
    }
}

impl Asking<'_> {
    /// With what is known of the exchange; without parameters in which other routes of the namespace read keys.
    fn complete(&self, question: Question, caller: &Caller<'_>) -> Question {
        let shown = self.means.runtime.key_parameters(caller.door.gateway, &caller.door.api.namespace);
        let query = Query(question.query.as_deref());
        let query = query.without(|name| shown.is_some_and(|shown| shown.is_in(name))).map(Into::into);
        Question { id: format!("{:032x}", self.id), query, ..question }
    }

    /// What comes of a question of a policy that only reports.
    pub(super) fn later(
        &self,
        policy: &Arc<str>,
        one: Arc<ExternalAuthorization>,
        question: Question,
        caller: &Caller<'_>,
    ) -> impl Future<Output = Verdict> + use<> {
        let later = Later { policy: Arc::clone(policy), one, question: self.complete(question, caller) };
        later.verdict(self.means, self.body.held())
    }

    /// The whole body. It is read once, whoever is shown it.
    async fn shown_body(&mut self, one: &ExternalAuthorization, caller: &Caller<'_>) -> Result<Bytes, Rejection> {
        if self.rule.is_grpc() {
            let found = "forwardBody: a call has no end to wait for; take it out, or attach the policy to other routes";
            return Err(one.rejection(Reason::Configuration, found));
        }
        let (most, who) = self.policy.shown_body().ok_or_else(|| one.unavailable("no body is shown"))?;
        let too_large = |found: String| {
            let found = format!("{found}; forwardBody.maxBytes is {most}");
            who.rejection(Reason::BodyTooLarge, found)
        };
        if let Some(bytes) = caller.body_bytes.filter(|bytes| *bytes > most) {
            return Err(too_large(format!("the body has {bytes} bytes")));
        }
        let bound = self.policy.body_bound.as_ref().filter(|bound| bound.bytes < most);
        let at_most = bound.map_or(most, |bound| bound.bytes);
        let rate = LeastRate::of_bytes(self.window);
        let read = self.body.shown(at_most, rate, self.means.worker.desk()).await;
        read.map_err(|rejection| match (rejection.reason, bound) {
            (Reason::BodyTooLarge, Some(bound)) => bound.rejection("more came"),
            (Reason::BodyTooLarge, None) => too_large("more came".to_owned()),
            _ => rejection,
        })
    }
}

/// Where an authoriser is, and what it is shown.
#[derive(Clone)]
struct Way {
    backend: Arc<Backend>,
    credential: Option<Arc<Credential>>,
}

impl Way {
    fn find(runtime: &Runtime, one: &ExternalAuthorization, asked: &Asked) -> Result<Self, Rejection> {
        let missing =
            |what: &str, name: &str| one.rejection(Reason::Configuration, format!("{what} {name} is not there"));
        let backend = runtime.backends.get(&asked.backend).ok_or_else(|| missing("backend", &asked.backend))?;
        backend.target.as_ref().map_err(Denial::rejection)?;
        let credential = asked.credential.as_ref();
        let credential = credential
            .map(|name| runtime.credentials.get(name).ok_or_else(|| missing("credential", name)))
            .transpose()?;
        match credential.map(AsRef::as_ref) {
            Some(Credential::Unavailable(denial)) => return Err(denial.rejection()),
            Some(Credential::PassThrough | Credential::QueryParameter(_)) => {
                return Err(
                    one.rejection(Reason::Configuration, "its credential is of a kind that no authoriser is shown")
                );
            }
            Some(Credential::Header(..) | Credential::None) | None => {}
        }
        Ok(Self { backend: Arc::clone(backend), credential: credential.map(Arc::clone) })
    }

    fn target(&self) -> Result<&Target, Rejection> {
        self.backend.target.as_ref().map_err(Denial::rejection)
    }
}

/// Asks, in the time that there is for all of it.
async fn pose(
    means: Means<'_>,
    way: Way,
    (one, asked): (&ExternalAuthorization, &Asked),
    question: Question,
) -> Result<Answer, Rejection> {
    let request = question.written(asked).map_err(|why| unasked(one, &why))?;
    let upstreams = means.worker.upstreams();
    let until = Instant::now() + asked.timeout;
    let terms = Terms { until: Some(until), attempt: None, head: None, purpose: Purpose::Question };
    let sent =
        upstreams.send(way.target()?, with_ours(request, means, &way), terms, means.leave.map(AsRef::as_ref)).await;
    let Exchange { response, lease, .. } = sent.map_err(|failure| match failure.reason() {
        Reason::Configuration => one.rejection(Reason::Configuration, chain(&failure)),
        _ => one.unavailable(chain(&failure)),
    })?;
    let (head, body) = response.into_parts();
    let body = timeout_at(until, Limited::new(body, MAX_ANSWER_BYTES).collect()).await;
    let body = body.map_err(|_| one.unavailable("its answer did not end in time"))?;
    let whole =
        body.map_err(|_| one.unavailable(format!("its answer broke off, or has over {MAX_ANSWER_BYTES} bytes")))?;
    upstreams.give_back(lease);
    let trailers = whole.trailers().cloned();
    let read = read(asked, &one.headers_to_backend, &head, &whole.to_bytes(), trailers.as_ref());
    read.map_err(|why| one.unavailable(why.to_string()))
}

/// With what shows who asks, and tells this gateway what comes back to it.
fn with_ours(mut request: Request<Bytes>, means: Means<'_>, way: &Way) -> Request<RequestBody> {
    means.worker.shared().mark.put(request.headers_mut());
    if let Some(Credential::Header(name, value)) = way.credential.as_deref() {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    request.map(RequestBody::whole)
}

fn unasked(one: &ExternalAuthorization, why: &Unasked) -> Rejection {
    let reason = match why {
        Unasked::NoText(_) => Reason::Malformed,
        Unasked::Context(_) | Unasked::Form => Reason::ExternalAuthorizationDenied,
    };
    one.rejection(reason, why.to_string())
}

/// What came of questions.
pub(crate) struct Counters {
    pub(crate) allowed: Counter,
    pub(crate) denied: Counter,
    pub(crate) unavailable: Counter,
    pub(crate) durations: Durations,
    pub(crate) dropped_headers: Counter,
}

impl Counters {
    fn count(&self, answered: &Result<Answer, Rejection>, took: Duration) {
        self.durations.observe(took);
        let outcome = match answered {
            Ok(Answer::Yes(yes)) => {
                self.dropped_headers.inc_by(yes.dropped as u64);
                &self.allowed
            }
            Ok(Answer::No(_)) => &self.denied,
            Err(_) => &self.unavailable,
        };
        outcome.inc();
    }
}
