//! The body of a response, and the record of an exchange that ends with it.

mod rehearsing;
pub mod request;
pub(super) mod shown;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::authorizers::Verdict;
use super::isolation;
use super::permit::Permit;
use super::reflection;
use super::respond::Speech;
use super::stream::Standing;
use super::watch::{Fallen, Watch};
use crate::cors::Said;
use crate::credential::QueryParameter;
use crate::limit::allowance::Allowance;
use crate::nonces;
use crate::observe::access_log::Line;
use crate::observe::access_log::choice::Choice;
use crate::rejection::{Reason, Rejection};
use crate::route::Found;
use crate::runtime::listener::{Gateway, Port};
use crate::runtime::policy::Policy;
use crate::server::connection::Connection;
use crate::server::pace::upload::{Progress, UploadFault};
use crate::server::worker::Worker;
use crate::upstream::Lease;
use rehearsing::{Rehearsing, Told};
use request::RequestBody;

/// Of a path, no more is logged.
const MAX_LOGGED_PATH_BYTES: usize = 1024;

/// Judging a request takes longer only where keys have to be waited for.
const MAX_JUDGING: Duration = Duration::from_millis(50);
/// A caller that takes a request back within this time has hardly been interested in the answer.
const PREMATURE: Duration = Duration::from_secs(1);

/// A response's body on its way to the caller. Its end is the end of the exchange.
pub struct Body {
    content: Content,
    record: Option<Box<Record>>,
}

enum Content {
    Empty,
    Whole(Option<Bytes>),
    Upstream(Box<Upstream>),
}

struct Upstream {
    body: Incoming,
    worker: Rc<Worker>,
    lease: Option<Lease<RequestBody>>,
    /// Of the request's body, if there is one: the answer may end before it.
    upload: Option<Rc<Progress>>,
    watch: Watch<Standing>,
    /// The credential that the service was shown in the query, if it was.
    shown: Option<Arc<QueryParameter>>,
    /// What was kept back since it repeats that.
    withheld: Option<Rejection>,
}

/// Why a body ended early.
#[derive(Debug)]
pub enum BodyFault {
    Upstream(hyper::Error),
    Caller(UploadFault),
    /// What admitted the request no longer holds.
    Revoked(&'static str),
    /// A defect of the gateway itself.
    Panicked,
}

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(_) => f.write_str("the body of the service broke off"),
            Self::Caller(_) => f.write_str("the body of the caller cannot be had"),
            Self::Revoked(why) => f.write_str(why),
            Self::Panicked => f.write_str("the gateway failed"),
        }
    }
}

impl std::error::Error for BodyFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Upstream(error) => Some(error),
            Self::Caller(fault) => Some(fault),
            Self::Revoked(_) | Self::Panicked => None,
        }
    }
}

impl From<Fallen> for BodyFault {
    fn from(Fallen(why): Fallen) -> Self {
        Self::Revoked(why)
    }
}

impl Body {
    pub(super) fn empty() -> Self {
        Self { content: Content::Empty, record: None }
    }

    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { content: Content::Whole(Some(bytes)), record: None }
    }

    /// The body of a service, which ends early when what `watch` looks at falls.
    pub(super) fn upstream(
        body: Incoming,
        worker: &Rc<Worker>,
        lease: Lease<RequestBody>,
        upload: Option<Rc<Progress>>,
        watch: Watch<Standing>,
    ) -> Self {
        let (worker, lease) = (Rc::clone(worker), Some(lease));
        let mut upstream = Upstream { body, worker, lease, upload, watch, shown: None, withheld: None };
        if upstream.body.is_end_stream() {
            upstream.give_back();
        }
        Self { content: Content::Upstream(Box::new(upstream)), record: None }
    }

    /// Keeps back the trailers that repeat what the service was shown.
    pub(super) fn without(mut self, shown: Option<&Arc<QueryParameter>>) -> Self {
        if let Content::Upstream(upstream) = &mut self.content {
            upstream.shown = shown.map(Arc::clone);
        }
        self
    }
}

impl Upstream {
    /// Where the request's body is still under way, or broke off, the connection is in the middle of a message: it serves nobody
    /// else, and ends with the body. A stream ends with it as well.
    fn give_back(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        match (lease, self.upload.as_ref().filter(|upload| !upload.is_whole())) {
            (lease, None) => self.worker.upstreams().give_back(lease),
            (Lease::Http2(stream), Some(upload)) => upload.keep(stream),
            (Lease::Http1(_), Some(_)) => {}
        }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        // A service that never pauses is looked at as well.
        if let Err(fallen) = self.watch.look_if_due() {
            return Poll::Ready(Some(Err(fallen.into())));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(mut frame))) => {
                if self.body.is_end_stream() {
                    self.give_back();
                }
                if let (Some(shown), Some(trailers)) = (&self.shown, frame.trailers_mut()) {
                    self.withheld = reflection::withhold(trailers, shown);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(fault))) => {
                // Nobody can say where on the connection the next answer would begin.
                self.lease = None;
                Poll::Ready(Some(Err(BodyFault::Upstream(fault))))
            }
            Poll::Pending => self.watch.poll_fall(context).map(|fallen| Some(Err(fallen.into()))),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = self.get_mut();
        let frame = match &mut this.content {
            Content::Empty => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Upstream(upstream) => {
                let number = this.record.as_ref().map_or(0, |record| record.number());
                let worker = Rc::clone(&upstream.worker);
                let polled = isolation::polled(&worker, number, || upstream.poll_frame(context));
                if let (Some(withheld), Some(record)) = (upstream.withheld.take(), &mut this.record) {
                    record.refused(withheld);
                }
                polled.unwrap_or(Poll::Ready(Some(Err(BodyFault::Panicked))))
            }
        };
        if let Some(record) = &this.record {
            record.connection.last_turn.note(&frame);
        }
        if let (Poll::Ready(Some(Ok(frame))), Some(record)) = (&frame, &mut this.record) {
            record.line.bytes_sent += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Whole(bytes) => bytes.is_none(),
            Content::Upstream(upstream) => upstream.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Content::Upstream(upstream) => upstream.body.size_hint(),
        }
    }
}

/// What is told of an exchange when it has ended.
pub(crate) struct Record {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    began: Instant,
    line: Line,
    logged: Choice,
    /// Its Gateway says where its span goes, and is one of several.
    is_recorded_late: bool,
    random: u128,
    /// Of the request's body, which may pause until the response has ended.
    upload: Option<Rc<Progress>>,
    /// What answers say to pages of other sites, where somebody has said which may read them.
    cors: Option<Box<Said>>,
    nonce: Option<HeaderValue>,
    /// What answers say of limits.
    allowance: Option<Box<Allowance>>,
    speech: Speech,
    is_answered: bool,
    rehearsing: Vec<Rehearsing>,
}

impl Record {
    /// Boxed from the start: it outlives the request's future, with the body of the response.
    pub(super) fn begin(
        worker: &Rc<Worker>,
        connection: &Rc<Connection>,
        request: &Request<Incoming>,
        port: Option<&Arc<Port>>,
    ) -> Box<Self> {
        worker.begin_request();
        connection.begin_request();
        let traces = port.and_then(|port| port.traces.as_ref()).unwrap_or(&worker.shared().exporters.default);
        let trace = traces.begin(request.method(), request.headers());
        let line = Line {
            method: request.method().clone(),
            scheme: connection.scheme(),
            peer: Some(connection.peer),
            trace,
            ..Line::default()
        };
        Box::new(Self {
            worker: Rc::clone(worker),
            connection: Rc::clone(connection),
            began: Instant::now(),
            line,
            logged: port.map(|port| port.logged).unwrap_or_default(),
            is_recorded_late: port.is_some_and(|port| port.is_recorded_late),
            random: worker.random_128(),
            upload: None,
            speech: Speech::default(),
            cors: None,
            nonce: None,
            allowance: None,
            is_answered: false,
            rehearsing: Vec::new(),
        })
    }

    /// What [`Self::instance`] writes.
    pub(super) fn number(&self) -> u128 {
        self.random
    }

    /// Names this exchange, in the answer to the caller and in the log.
    pub(super) fn instance(&self) -> String {
        format!("{:032x}", self.random)
    }

    pub(super) fn path(&mut self, path: &str) {
        if self.worker.shared().access_log.is_on(self.logged) {
            self.line.path = shortened(path);
        }
    }

    /// The Gateway that was asked: from now on it says what is told.
    pub(super) fn is_for(&mut self, gateway: &Gateway, method: &Method, headers: &HeaderMap) {
        self.logged = gateway.logged;
        if self.is_recorded_late {
            let traces = gateway.traces.as_ref().unwrap_or(&self.worker.shared().exporters.default);
            self.line.trace = traces.begin(method, headers);
        }
    }

    pub(super) fn came_from(&mut self, address: Option<IpAddr>) {
        self.line.client = address;
    }

    /// The rule that serves the request, and the policy in force there.
    pub(super) fn matched(&mut self, found: &Found, policy: &Arc<Policy>, headers: &HeaderMap) {
        if found.rule.is_grpc() {
            self.speech = Speech::of_grpc_route(headers);
        }
        self.line.rule = Some(Arc::clone(&found.rule));
        self.line.policy = Some(Arc::clone(policy));
    }

    /// What answers say to pages of other sites.
    pub(super) fn says(&mut self, cors: Option<Said>) {
        self.cors = cors.map(Box::new);
    }

    /// The number that the caller has to put into its next proof.
    pub(super) fn tells(&mut self, nonce: Option<HeaderValue>) {
        self.nonce = nonce;
    }

    /// Says it in an answer.
    pub(super) fn say(&self, headers: &mut HeaderMap) {
        if let Some(nonce) = &self.nonce {
            headers.insert(nonces::HEADER, nonce.clone());
            // It is of no use to whoever would be given it out of a cache (RFC 9449, 8.2).
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if let Some(cors) = &self.cors {
            cors.write(headers);
            if self.nonce.is_some() {
                cors.expose(headers, &[nonces::HEADER, header::WWW_AUTHENTICATE]);
            }
        }
        if let Some(allowance) = &self.allowance {
            allowance.write(headers);
        }
    }

    /// In which protocol the caller reads a refusal.
    pub(super) fn speech(&self) -> Speech {
        self.speech
    }

    pub(super) fn admitted(&mut self, permit: &mut Permit) {
        let allowance = permit.take_allowance();
        self.allowance = (!allowance.is_empty()).then(|| Box::new(allowance));
        self.line.alternative = Some(Arc::clone(permit.alternative()));
        self.line.subscription = permit.subscription().map(|subscription| Arc::clone(&subscription.id));
    }

    /// What policies that only report have said so far.
    pub(super) fn rehearsed(&self) -> &[(Arc<str>, Rejection)] {
        &self.line.rehearsed
    }

    pub(super) fn would_refuse(&mut self, policy: &Arc<str>, rejection: &Rejection) {
        self.line.rehearsed.push((Arc::clone(policy), rejection.clone()));
    }

    /// What is to be asked for `policy`, which only reports, when the response has begun.
    pub(super) fn rehearse_later(&mut self, policy: Arc<str>, question: impl Future<Output = Verdict> + 'static) {
        self.rehearsing.push(Rehearsing::new(policy, question));
    }

    /// The moment at which the request's time is up.
    pub(super) fn deadline(&self, allowed: Option<Duration>) -> Option<Instant> {
        allowed.map(|allowed| self.began + allowed)
    }

    /// Whether it took long to come to the exchange at `now`: what was found out before may be over.
    pub(super) fn has_lasted(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) > MAX_JUDGING
    }

    /// Names the span of this exchange to the service.
    pub(super) fn hand_trace_on(&self, headers: &mut HeaderMap) {
        if let Some(trace) = &self.line.trace {
            trace.hand_on(headers);
        }
    }

    /// A service has answered, asked at `asked`.
    pub(super) fn upstream(&mut self, address: SocketAddr, asked: Instant) {
        self.line.upstream = Some(address);
        self.line.upstream_time = Some(asked.elapsed());
    }

    /// The body of the request, which may last longer than the answer.
    pub(super) fn uploads(&mut self, upload: Option<&Rc<Progress>>) {
        self.upload = upload.map(Rc::clone);
    }

    pub(super) fn refused(&mut self, rejection: Rejection) {
        self.line.rejection = Some(rejection);
    }

    /// Ends with `response`'s body.
    pub(super) fn attach(mut self: Box<Self>, mut response: Response<Body>) -> Response<Body> {
        self.line.status = response.status();
        self.is_answered = true;
        for one in &mut self.rehearsing {
            one.begin();
        }
        response.body_mut().record = Some(self);
        response
    }
}

/// A path as it is logged: lines wait in memory, and whoever asks for nothing but long paths must not fill it.
fn shortened(path: &str) -> String {
    match path.get(..MAX_LOGGED_PATH_BYTES) {
        Some(start) if start.len() < path.len() => format!("{start}…"),
        _ => path.to_owned(),
    }
}

impl Record {
    /// What only shows when the body has come: that it is too large, for a caller who had an answer by then, and for policies that only report.
    fn judge_body(&mut self) {
        let (Some(upload), Some(policy)) = (&self.upload, &self.line.policy) else { return };
        if self.line.rejection.is_none() {
            let too_large = |rejection: &Rejection| rejection.reason == Reason::BodyTooLarge;
            self.line.rejection = policy.refusal_of(upload).filter(too_large);
        }
        for rehearsal in &policy.rehearsals {
            let verdict = rehearsal.body_bound.as_ref().map_or(Ok(()), |bound| bound.admit(Some(upload.bytes())));
            let is_told = self.line.rehearsed.iter().any(|(name, _)| *name == rehearsal.name);
            if let (Err(rejection), false) = (verdict, is_told) {
                self.line.rehearsed.push((Arc::clone(&rehearsal.name), rejection));
            }
        }
    }

    /// Nobody waits for an answer any more.
    fn abandon(&mut self) {
        let rejection = if self.worker.has_stopped() {
            Rejection::because(Reason::Stopped, "it was under way when bounds.drainTimeout was over")
        } else {
            Rejection::because(Reason::CallerGone, "the caller's connection or stream ended before there was an answer")
        };
        self.line.status = rejection.reason.meaning().status;
        self.line.rejection = Some(rejection);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let ended = Instant::now();
        if !self.is_answered {
            self.abandon();
        }
        self.worker.end_request();
        if let Some(upload) = &self.upload {
            upload.answered();
        }
        self.judge_body();
        self.line.duration = ended.saturating_duration_since(self.began);
        self.connection.finish_request(ended);
        if !self.is_answered && self.line.duration < PREMATURE {
            self.connection.taken_back();
        }
        if let Some(trace) = self.line.trace.take() {
            self.line.trace = Some(trace.ended(&self.line));
        }
        self.line.ended = (!self.rehearsing.is_empty()).then(|| self.worker.shared().clock.now());
        let (line, rehearsing) = (std::mem::take(&mut self.line), std::mem::take(&mut self.rehearsing));
        let (worker, logged, instance) = (Rc::clone(&self.worker), self.logged, self.random);
        let told = Told { worker, logged, instance, line, rehearsing };
        if told.is_awaited() {
            tokio::task::spawn_local(told.when_rehearsed());
        }
    }
}
