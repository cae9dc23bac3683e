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

/// What has to come in each window, unless the body ends. 17 bytes a second where the window is a minute: half of what a line of 300
/// bauds carries, and more than what holds a place at a service is worth to whoever only wants to hold it.
const LEAST_BYTES: usize = 1024;

/// What a caller has to send of a body that nobody answers yet. Only time counts in which it is waited for: a service that does not
/// take what has come is not its fault.
#[derive(Clone, Copy)]
pub(crate) struct LeastRate {
    window: Duration,
    bytes: usize,
}

/// A request's body that ends with an error when too little has come for too long. While the response is under way it may pause: both
/// sides of a stream speak when they have something to say.
pub struct Upload<B = Incoming> {
    body: B,
    rate: LeastRate,
    /// Of more bytes than these nothing is handed on.
    most: Option<u64>,
    /// What has come in this window.
    came: usize,
    patience: Patience,
    progress: Rc<Progress>,
}

/// What the exchange and its request's body have to tell each other.
#[derive(Default)]
pub(crate) struct Progress {
    is_answering: Cell<bool>,
    stage: Cell<Stage>,
    /// How many bytes have come.
    bytes: Cell<u64>,
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
    /// More has come than may.
    TooLarge,
    /// The service did not take all of it.
    Dropped,
}

impl LeastRate {
    /// Of a body that is one thing, however large.
    pub(crate) fn of_bytes(window: Duration) -> Self {
        Self { window, bytes: LEAST_BYTES }
    }

    /// Of a body that is a sequence of messages, which may be small and far between: anything counts. What a client streams by gRPC
    /// is answered when it ends, so that there is no telling by the answer that it is a stream. Whether it is one says the route
    /// or the author of the service, and never the caller, who would call anything gRPC to be slow.
    pub(crate) fn of_messages(window: Duration) -> Self {
        Self { window, bytes: 1 }
    }
}

impl Progress {
    /// Of a body that is at hand, of so many bytes.
    pub(crate) fn held(bytes: u64) -> Rc<Self> {
        Rc::new(Self { bytes: Cell::new(bytes), ..Self::default() })
    }

    /// The last of it has been handed on.
    pub(crate) fn handed_on(&self) {
        self.end(Stage::Whole);
    }

    /// Nobody takes any more of it.
    pub(crate) fn dropped(&self) {
        if self.stage.get() == Stage::UnderWay {
            self.end(Stage::Dropped);
        }
    }

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

    /// How many bytes have come so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
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
            Stage::Stalled => (Reason::BodyTooSlow, "of the body came nothing, or too little, for bounds.bodyTimeout"),
            Stage::TooLarge => (Reason::BodyTooLarge, "more came than may be handed on"),
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
    TooLarge,
}

impl<E> fmt::Display for UploadFault<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken(_) => "the body of the request broke off",
            Self::Stalled => "of the request's body came nothing, or too little, for too long",
            Self::TooLarge => "the body of the request is larger than it may be",
        })
    }
}

impl<E: std::error::Error + 'static> std::error::Error for UploadFault<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Broken(error) => Some(error),
            Self::Stalled | Self::TooLarge => None,
        }
    }
}

impl<B> Upload<B> {
    /// Waits for what comes of `body` at this rate, up to so many bytes.
    pub(crate) fn new(body: B, rate: LeastRate, most: Option<u64>, progress: &Rc<Progress>) -> Self {
        Self { body, rate, most, came: 0, patience: Patience::new(rate.window), progress: Rc::clone(progress) }
    }

    /// So many bytes more have come.
    fn take(&mut self, bytes: usize) {
        self.progress.bytes.set(self.progress.bytes.get().saturating_add(bytes as u64));
        self.came += bytes;
        if self.came >= self.rate.bytes || self.progress.is_answering.get() {
            self.begin_window();
        } else {
            self.patience.interrupt();
        }
    }

    fn begin_window(&mut self) {
        self.came = 0;
        self.patience.relax();
    }

    fn is_too_large(&self) -> bool {
        self.most.is_some_and(|most| self.progress.bytes() > most)
    }

    /// Ready when too little has come for too long.
    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.patience.poll(context).is_ready() {
            if !self.progress.is_answering.get() {
                self.progress.end(Stage::Stalled);
                return Poll::Ready(());
            }
            self.begin_window();
        }
        Poll::Pending
    }
}

impl<B> Drop for Upload<B> {
    fn drop(&mut self) {
        self.progress.dropped();
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
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            this.take(data.map_or(0, Bytes::len));
            if this.is_too_large() {
                this.progress.end(Stage::TooLarge);
                return Poll::Ready(Some(Err(UploadFault::TooLarge)));
            }
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

    const PIECE: &[u8] = &[b'x'; LEAST_BYTES];

    /// The same piece after each of these pauses, and then none.
    fn pieces(piece: &'static [u8], pauses: Vec<Duration>) -> impl HttpBody<Data = Bytes, Error = Infallible> + Unpin {
        let stream = futures_util::stream::unfold(pauses.into_iter(), move |mut pauses| async move {
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
            Some((Ok(Frame::data(Bytes::from_static(piece))), pauses))
        });
        StreamBody::new(Box::pin(stream))
    }

    fn bytes() -> LeastRate {
        LeastRate::of_bytes(LIMIT)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_pauses_for_too_long_is_refused() {
        let (progress, began) = (Rc::<Progress>::default(), Instant::now());
        let mut upload = Upload::new(pieces(PIECE, vec![LIMIT * 9 / 10; 3]), bytes(), None, &progress);
        for _ in 0..3 {
            upload.frame().await.unwrap().unwrap();
            assert!(progress.refusal().is_none());
        }
        assert!(matches!(upload.frame().await, Some(Err(UploadFault::Stalled))));
        assert_eq!(began.elapsed(), LIMIT * 27 / 10 + LIMIT);
        assert_eq!(progress.refusal().unwrap().reason, Reason::BodyTooSlow);
    }

    /// After how many such pieces, nine in each window, a body is refused; when. After a hundred none follows.
    async fn refused_after(piece: &'static [u8], rate: LeastRate) -> (usize, Duration) {
        let (progress, began) = (Rc::<Progress>::default(), Instant::now());
        let mut upload = Upload::new(pieces(piece, vec![LIMIT * 2 / 19; 100]), rate, None, &progress);
        let mut taken = 0;
        while matches!(upload.frame().await, Some(Ok(_))) {
            taken += 1;
        }
        assert_eq!(progress.refusal().unwrap().reason, Reason::BodyTooSlow);
        (taken, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_refused_as_one_that_pauses() {
        let messages = LeastRate::of_messages(LIMIT);
        for (piece, rate) in
            [(&PIECE[..1], bytes()), (&PIECE[..LEAST_BYTES / 10], bytes()), (&[], bytes()), (&[], messages)]
        {
            let (taken, when) = refused_after(piece, rate).await;
            assert_eq!((taken, when), (9, LIMIT), "{} bytes", piece.len());
        }
        for (piece, rate) in [(&PIECE[..LEAST_BYTES / 8], bytes()), (PIECE, bytes()), (&PIECE[..1], messages)] {
            let (taken, _) = refused_after(piece, rate).await;
            assert_eq!(taken, 100, "{} bytes", piece.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_one_window_is_not_saved_for_the_next() {
        static MUCH: [u8; 100 * LEAST_BYTES] = [b'x'; 100 * LEAST_BYTES];
        let progress = Rc::<Progress>::default();
        let mut upload = Upload::new(pieces(&MUCH, vec![Duration::ZERO, LIMIT * 2]), bytes(), None, &progress);
        upload.frame().await.unwrap().unwrap();
        assert!(matches!(upload.frame().await, Some(Err(UploadFault::Stalled))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_is_not_blamed_for_a_service_that_takes_nothing() {
        let progress = Rc::<Progress>::default();
        let mut upload = Upload::new(pieces(&PIECE[..1], vec![LIMIT / 20; 15]), bytes(), None, &progress);
        for _ in 0..15 {
            upload.frame().await.unwrap().unwrap();
            tokio::time::sleep(LIMIT * 2).await;
        }
    }

    /// Two pieces, and then what comes last: an error, or the end.
    async fn progress_after(last: Option<&'static str>) -> Rc<Progress> {
        let piece = || Ok(Frame::data(Bytes::from_static(b"x")));
        let frames = [piece(), piece()].into_iter().chain(last.map(|why| Err(std::io::Error::other(why))));
        let progress = Rc::<Progress>::default();
        let mut upload = Upload::new(StreamBody::new(futures_util::stream::iter(frames)), bytes(), None, &progress);
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

    #[tokio::test]
    async fn of_a_body_that_is_too_large_nothing_is_handed_on_that_goes_beyond() {
        for (most, passing, is_whole) in [(0, 0, false), (3, 1, false), (4, 2, true), (5, 2, true)] {
            let progress = Rc::<Progress>::default();
            let frames = [b"ab", b"cd"].map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece))));
            let body = StreamBody::new(futures_util::stream::iter(frames));
            let mut upload = Upload::new(body, bytes(), Some(most), &progress);
            for _ in 0..passing {
                upload.frame().await.unwrap().unwrap();
            }
            let last = upload.frame().await;
            assert_eq!(matches!(last, Some(Err(UploadFault::TooLarge))), !is_whole, "{most}");
            drop(upload);
            let refusal = progress.refusal().map(|rejection| rejection.reason);
            assert_eq!(
                (progress.is_whole(), refusal),
                (is_whole, (!is_whole).then_some(Reason::BodyTooLarge)),
                "{most}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_pause_while_it_is_answered_and_no_longer() {
        let progress = Rc::<Progress>::default();
        let mut upload = Upload::new(pieces(&PIECE[..1], vec![LIMIT * 5]), bytes(), None, &progress);
        progress.answering();
        upload.frame().await.unwrap().unwrap();
        assert!(timeout(LIMIT * 5, upload.frame()).await.is_err());
        progress.answered();
        assert!(matches!(timeout(LIMIT * 2, upload.frame()).await, Ok(Some(Err(UploadFault::Stalled)))));
    }
}
