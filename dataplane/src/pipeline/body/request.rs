//! The body of a request, on its way to a service.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, Method};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, timeout_at};

use super::shown::{CallersBody, Held};
use super::{BodyFault, Record};
use crate::pipeline::hygiene;
use crate::pipeline::isolation;
use crate::pipeline::stream::Standing;
use crate::pipeline::watch::Watch;
use crate::runtime::backend::Backend;
use crate::runtime::policy::Policy;
use crate::server::pace::upload::{LeastRate, Progress, Upload};
use crate::server::worker::Worker;
use crate::upstream::Again;
use crate::upstream::target::Target;

/// For the beginning of a body that may be none: a round trip around the world.
const BEGINNING: Duration = Duration::from_secs(1);
/// What is at hand is handed on in pieces: whoever takes one keeps it until it is sent.
const SLICE_BYTES: usize = 64 * 1024;

/// A request's body on its way to a service, which ends early when what admitted the request falls.
pub enum RequestBody {
    Empty,
    // Boxed, so that requests without a body stay small.
    Incoming(Box<Sent>),
    Whole(Box<Whole>),
}

/// One that is at hand.
pub struct Whole {
    /// What has not been handed on yet.
    bytes: Bytes,
    trailers: Option<HeaderMap>,
    progress: Rc<Progress>,
    /// The gateway's own: it may be asked twice.
    is_question: bool,
}

/// What a caller sends. It is watched by itself: it may last longer than the answer.
pub struct Sent {
    body: Upload,
    /// Looked at already, and not handed on yet.
    first: Option<Result<Frame<Bytes>, BodyFault>>,
    guard: Guard,
    worker: Rc<Worker>,
    number: u128,
    watch: Watch<Standing>,
}

/// What a trailer section must not say: the same as the header section.
pub struct Guard {
    pub(in crate::pipeline) backend: Arc<Backend>,
    /// What admitted the request, and reads tokens in headers.
    pub(in crate::pipeline) policy: Arc<Policy>,
    /// The header of the gateway's own credential.
    pub(in crate::pipeline) own: Option<HeaderName>,
    /// What nobody but what stands in front may say.
    pub(in crate::pipeline) edge_headers: Arc<[HeaderName]>,
}

impl Guard {
    fn clean<T>(&self, frame: &mut Frame<T>) {
        if let Some(trailers) = frame.trailers_mut() {
            self.clean_trailers(trailers);
        }
    }

    fn clean_trailers(&self, trailers: &mut HeaderMap) {
        let tokens = self.policy.token_places.iter().filter_map(|place| place.header());
        let guarded = self.backend.guarded.iter().chain(&self.own).chain(self.edge_headers.iter());
        hygiene::clean_trailers(trailers, guarded.chain(self.policy.identity_headers()).chain(tokens));
    }
}

impl RequestBody {
    /// What a caller sends, as long as `standing` holds and the caller goes on sending; and how that goes, if there is anything.
    pub(in crate::pipeline) fn of_caller(
        body: CallersBody,
        guard: Guard,
        standing: &Standing,
        record: &Record,
    ) -> (Self, Option<Rc<Progress>>) {
        let body = match body {
            CallersBody::Coming(body) if body.is_end_stream() => return (Self::Empty, None),
            CallersBody::Coming(body) => body,
            CallersBody::Held(held) => return Self::of_held(held, &guard),
            // The request was refused.
            CallersBody::Broken => return (Self::Empty, None),
        };
        let progress = Rc::<Progress>::default();
        let window = record.connection.bounds.body_timeout;
        let is_call = record.line.rule.as_ref().is_some_and(|rule| rule.is_grpc()) || guard.backend.speaks_grpc;
        let rate = if is_call { LeastRate::of_messages(window) } else { LeastRate::of_bytes(window) };
        let most = guard.policy.body_bound.as_ref().map(|bound| bound.bytes);
        let body = Upload::new(body, rate, most, &progress);
        let (worker, number, watch) = (Rc::clone(&record.worker), record.number(), standing.clone().watched());
        (Self::Incoming(Box::new(Sent { body, first: None, guard, worker, number, watch })), Some(progress))
    }

    /// What has been read already: its trailers are told as those of others are.
    fn of_held(held: Held, guard: &Guard) -> (Self, Option<Rc<Progress>>) {
        let Held { bytes, trailers } = held;
        let progress = Progress::held(bytes.len() as u64);
        let trailers = trailers.map(|mut trailers| {
            guard.clean_trailers(&mut trailers);
            trailers
        });
        let trailers = trailers.filter(|trailers| !trailers.is_empty());
        if bytes.is_empty() && trailers.is_none() {
            progress.handed_on();
            return (Self::Empty, Some(progress));
        }
        let whole = Whole { bytes, trailers, progress: Rc::clone(&progress), is_question: false };
        (Self::Whole(Box::new(whole)), Some(progress))
    }

    /// Of what the gateway itself asks; and how that goes.
    pub(in crate::pipeline) fn of_question(bytes: Bytes) -> (Self, Rc<Progress>) {
        let progress = Progress::held(bytes.len() as u64);
        if bytes.is_empty() {
            progress.handed_on();
            return (Self::Empty, progress);
        }
        let whole = Whole { bytes, trailers: None, progress: Rc::clone(&progress), is_question: true };
        (Self::Whole(Box::new(whole)), progress)
    }

    /// The same, or none, where a GET or HEAD says no length: over HTTP/2 it may end with an empty frame. HTTP/1.1 would have to call
    /// that chunked, and many services refuse these methods then. The frame comes with the head as a rule; where it does not, it is
    /// waited for, so that what a service is sent does not depend on where packets end. Not for long: a caller may want to hear
    /// something before it goes on, and then it is chunked.
    pub(in crate::pipeline) async fn begun(mut self, method: &Method, target: &Target, until: Option<Instant>) -> Self {
        let Self::Incoming(sent) = &mut self else { return self };
        if !matches!(*method, Method::GET | Method::HEAD)
            || sent.body.size_hint().exact().is_some()
            || target.is_http2()
        {
            return self;
        }
        let late = Instant::now() + BEGINNING;
        let late = until.map_or(late, |until| until.min(late));
        match timeout_at(late, poll_fn(|context| sent.poll_emptiness(context))).await {
            Ok(true) => Self::Empty,
            Ok(false) | Err(_) => self,
        }
    }
}

impl Sent {
    /// Whether nothing comes at all.
    fn poll_emptiness(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        loop {
            match self.poll_frame(context) {
                Poll::Ready(None) => return Poll::Ready(true),
                Poll::Ready(Some(Ok(frame))) if frame.data_ref().is_some_and(Bytes::is_empty) => {
                    if self.body.is_end_stream() {
                        return Poll::Ready(true);
                    }
                }
                Poll::Ready(first) => {
                    self.first = first;
                    return Poll::Ready(false);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if let Err(fallen) = self.watch.look_if_due() {
            return Poll::Ready(Some(Err(fallen.into())));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(mut frame))) => {
                self.guard.clean(&mut frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => Poll::Ready(ended.map(|frame| frame.map_err(BodyFault::Caller))),
            Poll::Pending => self.watch.poll_fall(context).map(|fallen| Some(Err(fallen.into()))),
        }
    }
}

impl Again for RequestBody {
    fn again(&self) -> Option<Self> {
        match self {
            Self::Whole(whole) if whole.is_question => {
                let (bytes, progress) = (whole.bytes.clone(), Rc::clone(&whole.progress));
                Some(Self::Whole(Box::new(Whole { bytes, trailers: None, progress, is_question: true })))
            }
            _ => self.is_end_stream().then_some(Self::Empty),
        }
    }
}

impl Whole {
    fn next(&mut self) -> Option<Frame<Bytes>> {
        let frame = if self.bytes.is_empty() {
            self.trailers.take().map(Frame::trailers)
        } else {
            Some(Frame::data(self.bytes.split_to(self.bytes.len().min(SLICE_BYTES))))
        };
        if self.is_over() {
            self.progress.handed_on();
        }
        frame
    }

    fn is_over(&self) -> bool {
        self.bytes.is_empty() && self.trailers.is_none()
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        self.progress.dropped();
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(whole) => Poll::Ready(whole.next().map(Ok)),
            Self::Incoming(sent) => {
                let (worker, number) = (Rc::clone(&sent.worker), sent.number);
                let polled = isolation::polled(&worker, number, || sent.poll_frame(context));
                polled.unwrap_or(Poll::Ready(Some(Err(BodyFault::Panicked))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(whole) => whole.is_over(),
            Self::Incoming(sent) => sent.first.is_none() && sent.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            // Whoever says a length has no trailers behind it.
            Self::Whole(whole) if whole.trailers.is_some() => SizeHint::default(),
            Self::Whole(whole) => SizeHint::with_exact(whole.bytes.len() as u64),
            Self::Incoming(sent) => sent.body.size_hint(),
        }
    }
}
