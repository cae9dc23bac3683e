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
use super::body::shown::{CallersBody, Reading, counted};
use super::hygiene;
use super::permit::Asks;
use crate::credential::Credential;
use crate::egress::leave::Leave;
use crate::explain::Outcome;
use crate::external_authorization::{Answer, MAX_ANSWER_BYTES, No, Question, Unasked, Yes, read};
use crate::observe::metrics::durations::Durations;
use crate::path::Query;
use crate::rejection::{Reason, Rejection, Told};
use crate::route::Rule;
use crate::runtime::Runtime;
use crate::runtime::backend::Backend;
use crate::runtime::policy::external_authorization::{Asked, ExternalAuthorization, Speech};
use crate::runtime::policy::{Denial, Policy};
use crate::server::pace::upload::Progress;
use crate::server::worker::Worker;
use crate::sources::chain;
use crate::upstream::target::Target;
use crate::upstream::{Exchange, Purpose, Terms};
pub(crate) use desk::Desk;
pub(super) use desk::Room;
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
        let question = self.complete(question);
        // What costs nothing to find out comes before a body is read.
        question.judge(asked).map_err(|why| unasked(one, &why))?;
        let desk = self.means.worker.desk();
        let busy = || one.unavailable("as many questions as may be are under way; try again");
        if !desk.has_place(&one.origin.object) {
            return Err(busy());
        }
        let body = match asked.max_body_bytes {
            Some(_) => Some(self.shown_body(one, caller).await?),
            None => None,
        };
        if let Some(explanation) = caller.explained {
            explanation.note(&one.origin, Outcome::WouldBeAsked, format!("{} would be asked", asked.backend));
            return Ok(Yes::default());
        }
        let _place = desk.place(&one.origin.object).ok_or_else(busy)?;
        let began = Instant::now();
        let answered = pose(self.means, way, (one, asked), (Question { body, ..question }, namespace(caller))).await;
        self.means.worker.shared().metrics.external_authorizations.count(&answered, began.elapsed());
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
    /// With what is known of the exchange, and without what no service of the rule gets either: keys that other routes read, and headers that
    /// only the gateway may say to one of them.
    fn complete(&self, question: Question) -> Question {
        let runtime = self.means.runtime;
        let backends: Vec<_> = self.rule.backends().filter_map(|name| runtime.backends.get(name)).collect();
        let is_key = |name: &[u8]| {
            let reads = |backend: &&Arc<Backend>| backend.key_parameters.iter().any(|one| one.as_bytes() == name);
            !backends.is_empty() && backends.iter().all(reads)
        };
        let query = Query(question.query.as_deref()).without(is_key).map(Into::into);
        let mut headers = question.headers;
        backends.iter().for_each(|backend| hygiene::take_out(&mut headers, &backend.guarded));
        Question { id: format!("{:032x}", self.id), query, headers, ..question }
    }

    /// What comes of a question of a policy that only reports.
    pub(super) fn later(
        &self,
        policy: &Arc<str>,
        one: Arc<ExternalAuthorization>,
        question: Question,
        caller: &Caller<'_>,
    ) -> (Arc<str>, impl Future<Output = Verdict> + use<>) {
        let (namespace, has_end) = (Arc::clone(namespace(caller)), self.has_end());
        let question = self.complete(question);
        let later = Later { policy: Arc::clone(policy), namespace, one, question, has_end };
        later.verdict(self.means, self.body.held())
    }

    /// The whole body. It is read once, whoever is shown it.
    async fn shown_body(&mut self, one: &ExternalAuthorization, caller: &Caller<'_>) -> Result<Bytes, Rejection> {
        if !self.has_end() {
            return Err(without_end(one));
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
        let reading = Reading { most: at_most, within: self.window, namespace: namespace(caller) };
        let read = self.body.shown(reading, self.means.worker.desk()).await;
        read.map_err(|rejection| match (rejection.reason, bound) {
            (Reason::BodyTooLarge, Some(bound)) => bound.rejection("more came"),
            (Reason::BodyTooLarge, None) => too_large("more came".to_owned()),
            _ => rejection,
        })
    }

    /// Whether the body is one thing. Of calls by gRPC nobody can tell where they end; which of several services is asked is chosen later.
    fn has_end(&self) -> bool {
        let runtime = self.means.runtime;
        let speaks_grpc = |name| runtime.backends.get(name).is_some_and(|backend| backend.speaks_grpc);
        !self.rule.is_grpc() && !self.rule.backends().any(speaks_grpc)
    }
}

fn without_end(one: &ExternalAuthorization) -> Rejection {
    let found = "forwardBody: a gRPC call has no end to wait for; take it out, or attach the policy to other routes";
    one.rejection(Reason::Configuration, found)
}

/// Whose room a request takes.
fn namespace<'a>(caller: &Caller<'a>) -> &'a Arc<str> {
    &caller.door.api.namespace
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
    (question, namespace): (Question, &Arc<str>),
) -> Result<Answer, Rejection> {
    let (request, progress) = written(means, &way, (one, asked), (&question, namespace))?;
    drop(question);
    let upstreams = means.worker.upstreams();
    let until = Instant::now() + asked.timeout;
    let terms = Terms { until: Some(until), attempt: None, head: None, purpose: Purpose::Question };
    let sent = upstreams.send(way.target()?, request, terms, means.leave.map(AsRef::as_ref)).await;
    let Exchange { response, lease, .. } = sent.map_err(|failure| match failure.reason() {
        Reason::Configuration => one.rejection(Reason::Configuration, chain(&failure)),
        _ => one.unavailable(chain(&failure)),
    })?;
    let (head, body) = response.into_parts();
    let body = timeout_at(until, Limited::new(body, MAX_ANSWER_BYTES).collect()).await;
    let body = body.map_err(|_| one.unavailable("its answer did not end in time"))?;
    let whole =
        body.map_err(|_| one.unavailable(format!("its answer broke off, or has over {MAX_ANSWER_BYTES} bytes")))?;
    // Where it answered before it had the whole question, nobody can say what it takes the rest for.
    if progress.is_whole() {
        upstreams.give_back(lease);
    }
    let trailers = whole.trailers().cloned();
    let read = read(asked, &one.headers_to_backend, &head, &whole.to_bytes(), trailers.as_ref());
    read.map_err(|why| one.unavailable(why.to_string()))
}

/// The question, with what shows who asks, and tells this gateway what comes back to it. A body that is copied into it counts once more.
fn written(
    means: Means<'_>,
    way: &Way,
    (one, asked): (&ExternalAuthorization, &Asked),
    (question, namespace): (&Question, &Arc<str>),
) -> Result<(Request<RequestBody>, Rc<Progress>), Rejection> {
    let mut room = means.worker.desk().room(namespace);
    if matches!(asked.speech, Speech::Grpc { .. }) {
        room.take(question.body.as_ref().map_or(0, Bytes::len))?;
    }
    let (mut head, body) = question.written(asked).map_err(|why| unasked(one, &why))?.into_parts();
    means.worker.shared().mark.put(&mut head.headers);
    match way.credential.as_deref() {
        Some(Credential::Header(name, value)) => drop(head.headers.insert(name.clone(), value.clone())),
        Some(Credential::None) | None => {}
        // Whoever looked for the way has refused these.
        Some(Credential::PassThrough | Credential::QueryParameter(_) | Credential::Unavailable(_)) => {
            return Err(one.rejection(Reason::Configuration, "its credential cannot be shown to an authoriser"));
        }
    }
    let body = if matches!(asked.speech, Speech::Grpc { .. }) { counted(body, room) } else { body };
    let (body, progress) = RequestBody::of_question(body);
    Ok((Request::from_parts(head, body), progress))
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
