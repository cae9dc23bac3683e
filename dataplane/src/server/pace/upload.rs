//! The body of a request, whose caller has to go on sending.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::Patience;
use crate::rejection::{Reason, Rejection};
use crate::upstream::Stream;

/// A request's body that ends with an error when nothing has come for too long. While the response is under way it may pause: both
/// sides of a stream speak when they have something to say.
pub struct Upload<B = Incoming> {
    body: B,
    patience: Patience,
    progress: Rc<Progress>,
}

/// What the exchange and its request's body have to tell each other.
#[derive(Default)]
pub(crate) struct Progress {
    is_answering: Cell<bool>,
    stage: Cell<Stage>,
    /// The answer has ended before the body: what they came on together is busy as long as the body is.
    kept: RefCell<Option<Stream>>,
}

/// How far a request's body has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// There may be more.
    #[default]
    UnderWay,
    /// All of it has been handed on.
    Whole,
    Stalled,
    Broken,
    /// The service did not take all of it.
    Dropped,
}

impl Progress {
    /// The response has begun.
    pub(crate) fn answering(&self) {
        self.is_answering.set(true);
    }

    /// The response has ended: nobody is told anything any more.
    pub(crate) fn answered(&self) {
        self.is_answering.set(false);
    }

    /// Whether all of the body has been handed on: before that the service's connection is in the middle of a message.
    pub(crate) fn is_whole(&self) -> bool {
        self.stage.get() == Stage::Whole
    }

    /// Lets go of `stream` when the body ends, or nobody takes it any more.
    pub(crate) fn keep(&self, stream: Stream) {
        if self.stage.get() == Stage::UnderWay {
            self.kept.replace(Some(stream));
        }
    }

    fn end(&self, stage: Stage) {
        self.stage.set(stage);
        self.kept.take();
    }

    /// What the caller is told where the exchange has failed because of its body.
    pub(crate) fn refusal(&self) -> Option<Rejection> {
        let (reason, why) = match self.stage.get() {
            Stage::UnderWay | Stage::Whole | Stage::Dropped => return None,
            Stage::Stalled => (Reason::BodyTooSlow, "nothing of the body came for bounds.bodyTimeout"),
            Stage::Broken => (Reason::BodyBroken, "the body ended early, or its framing is wrong"),
        };
        Some(Rejection::because(reason, why))
    }
}

/// Why the body of a request ended early.
#[derive(Debug)]
pub enum UploadFault<E = hyper::Error> {
    Broken(E),
    Stalled,
}

impl<E> fmt::Display for UploadFault<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken(_) => "the body of the request broke off",
            Self::Stalled => "nothing of the request's body came for too long",
        })
    }
}

impl<E: std::error::Error + 'static> std::error::Error for UploadFault<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Broken(error) => Some(error),
            Self::Stalled => None,
        }
    }
}

impl<B> Upload<B> {
    /// Waits for each piece of `body` no longer than `limit`.
    pub(crate) fn new(body: B, limit: Duration, progress: &Rc<Progress>) -> Self {
        Self { body, patience: Patience::new(limit), progress: Rc::clone(progress) }
    }

    /// Ready when nothing has come for too long.
    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.patience.poll(context).is_ready() {
            if !self.progress.is_answering.get() {
                self.progress.end(Stage::Stalled);
                return Poll::Ready(());
            }
            self.patience.relax();
        }
        Poll::Pending
    }
}

impl<B> Drop for Upload<B> {
    fn drop(&mut self) {
        if self.progress.stage.get() == Stage::UnderWay {
            self.progress.end(Stage::Dropped);
        }
    }
}

impl<B: HttpBody> Upload<B> {
    fn note(&self, frame: &Option<Result<Frame<B::Data>, B::Error>>) {
        match frame {
            Some(Err(_)) => self.progress.end(Stage::Broken),
            Some(Ok(_)) if !self.body.is_end_stream() => {}
            Some(Ok(_)) | None => self.progress.end(Stage::Whole),
        }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Upload<B> {
    type Data = Bytes;
    type Error = UploadFault<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFault<B::Error>>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.patience.relax();
            this.note(&frame);
            return Poll::Ready(frame.map(|frame| frame.map_err(UploadFault::Broken)));
        }
        this.poll_stall(context).map(|()| Some(Err(UploadFault::Stalled)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::time::{Instant, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Pieces that come after these pauses, and then none.
    fn pieces(pauses: Vec<Duration>) -> impl HttpBody<Data = Bytes, Error = Infallible> + Unpin {
        let stream = futures_util::stream::unfold(pauses.into_iter(), |mut pauses| async {
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
            Some((Ok(Frame::data(Bytes::from_static(b"x"))), pauses))
        });
        StreamBody::new(Box::pin(stream))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_pauses_for_too_long_is_refused() {
        let (progress, began) = (Rc::<Progress>::default(), Instant::now());
        let mut upload = Upload::new(pieces(vec![LIMIT * 9 / 10; 3]), LIMIT, &progress);
        for _ in 0..3 {
            upload.frame().await.unwrap().unwrap();
            assert!(progress.refusal().is_none());
        }
        assert!(matches!(upload.frame().await, Some(Err(UploadFault::Stalled))));
        assert_eq!(began.elapsed(), LIMIT * 27 / 10 + LIMIT);
        assert_eq!(progress.refusal().unwrap().reason, Reason::BodyTooSlow);
    }

    /// Two pieces, and then what comes last: an error, or the end.
    async fn progress_after(last: Option<&'static str>) -> Rc<Progress> {
        let piece = || Ok(Frame::data(Bytes::from_static(b"x")));
        let frames = [piece(), piece()].into_iter().chain(last.map(|why| Err(std::io::Error::other(why))));
        let progress = Rc::<Progress>::default();
        let mut upload = Upload::new(StreamBody::new(futures_util::stream::iter(frames)), LIMIT, &progress);
        for _ in 0..2 {
            assert!(!progress.is_whole() && progress.refusal().is_none());
            upload.frame().await.unwrap().unwrap();
        }
        assert_eq!(upload.frame().await.is_some(), last.is_some());
        progress
    }

    #[tokio::test]
    async fn a_body_is_whole_at_its_end_and_never_after_an_error() {
        let whole = progress_after(None).await;
        assert!(whole.is_whole() && whole.refusal().is_none());
        let broken = progress_after(Some("no more")).await;
        assert!(!broken.is_whole());
        assert_eq!(broken.refusal().unwrap().reason, Reason::BodyBroken);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_pause_while_it_is_answered_and_no_longer() {
        let progress = Rc::<Progress>::default();
        let mut upload = Upload::new(pieces(vec![LIMIT * 5]), LIMIT, &progress);
        progress.answering();
        upload.frame().await.unwrap().unwrap();
        assert!(timeout(LIMIT * 5, upload.frame()).await.is_err());
        progress.answered();
        assert!(matches!(timeout(LIMIT * 2, upload.frame()).await, Ok(Some(Err(UploadFault::Stalled)))));
    }
}
