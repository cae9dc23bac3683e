//! A strict check of the raw bytes of each HTTP/1.x connection, in front of hyper.
//!
//! Hyper reads generously, and hides what it has read over: a bare line feed, `Content-Length` beside `Transfer-Encoding`,
//! two hosts. The gate sees the bytes first. It validates each head as a whole, follows each body to its end, so that the next
//! head is where hyper finds it, and hands on nothing that it has not validated.
//!
//! What it refuses is answered: in place of the refused head hyper is given one last, well-formed request with a method that
//! no client can send, and the service behind answers it with what [`GateControl::refusal`] says. After that nothing is read.

mod chunk;
mod control;
mod head;

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::rejection::Reason;
use chunk::{ChunkFault, Chunks};
pub use control::GateControl;
use head::Framing;
pub use head::{HeadBounds, Refusal};
pub(crate) use head::{carries_requests, judge_expectation, judge_method, judge_target, members};

/// The method of the request that stands in for a refused one. The gate lets no client send it.
pub const REFUSED_METHOD: &str = "SALLYPORT-REFUSED";
const STAND_IN: &[u8] = b"SALLYPORT-REFUSED / HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n";
/// What an HTTP/2 connection begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Read at once: a typical head with its token, and a page of body.
pub(crate) const READ_BYTES: usize = 8 * 1024;

/// Bytes that are kept while it is not decided whether they are HTTP: what a WebSocket's caller may say before it is answered.
const HELD_BYTES: usize = READ_BYTES;

/// Bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub struct GateBounds {
    /// Bounds of one head.
    pub head: HeadBounds,
    /// Time from the first byte of a head to its last.
    pub head_timeout: Duration,
    /// Time without a request.
    pub idle_timeout: Duration,
}

/// An IO that yields only validated bytes of HTTP/1.x, or those of a tunnel after an upgrade.
pub struct GatedIo<T> {
    inner: T,
    control: Arc<GateControl>,
    bounds: GateBounds,
    buffer: BytesMut,
    /// How many bytes at the front of the buffer are validated.
    validated: usize,
    /// How many bytes behind those have been searched for the end of a head.
    searched: usize,
    state: State,
    timer: Pin<Box<Sleep>>,
    head_began: Option<Instant>,
}

enum State {
    Head,
    Body(u64),
    Chunks(Chunks),
    /// The request with this number asked for an upgrade: bytes are held back until the service has decided.
    Held(u32),
    Tunnel,
    /// Nothing is read any more.
    Refused,
    /// A body is broken: what came before it is handed on, and then the connection ends.
    Broken(ChunkFault),
}

impl<T> GatedIo<T> {
    /// Guards `inner`. `begun` are bytes that were read from it before.
    pub fn new(inner: T, begun: BytesMut, bounds: GateBounds) -> (Self, Arc<GateControl>) {
        let control = Arc::new(GateControl::new());
        let timer = Box::pin(tokio::time::sleep(bounds.head_timeout.min(bounds.idle_timeout)));
        let head_began = Some(Instant::now());
        let io = Self {
            inner,
            control: Arc::clone(&control),
            bounds,
            buffer: begun,
            validated: 0,
            searched: 0,
            state: State::Head,
            timer,
            head_began,
        };
        (io, control)
    }

    /// Puts `begun` in front of `inner` and judges nothing: for a connection that speaks HTTP/2.
    pub fn open(inner: T, begun: BytesMut) -> Self {
        let head = HeadBounds { bytes: 0, target_bytes: 0, fields: 0 };
        let bounds = GateBounds { head, head_timeout: Duration::MAX, idle_timeout: Duration::MAX };
        let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self {
            inner,
            control: Arc::new(GateControl::new()),
            bounds,
            buffer: begun,
            validated: 0,
            searched: 0,
            state: State::Tunnel,
            timer,
            head_began: None,
        }
    }

    /// Validates as much of the buffer as can be judged.
    fn judge(&mut self) {
        while self.validated < self.buffer.len() {
            let fresh = self.buffer.get(self.validated..).unwrap_or_default();
            match &mut self.state {
                State::Head => {
                    if !self.judge_head() {
                        return;
                    }
                }
                State::Body(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(fresh.len());
                    *left -= taken as u64;
                    self.validated += taken;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                }
                State::Chunks(chunks) => match chunks.advance(fresh) {
                    Ok((taken, ended)) => {
                        self.validated += taken;
                        if ended {
                            self.state = State::Head;
                        }
                    }
                    Err(fault) => self.state = State::Broken(fault),
                },
                State::Tunnel => self.validated = self.buffer.len(),
                State::Held(_) | State::Refused | State::Broken(_) => return,
            }
        }
    }

    /// Judges one head; false if it is not there as a whole.
    fn judge_head(&mut self) -> bool {
        let fresh = self.buffer.get(self.validated..).unwrap_or_default();
        // RFC 9112, 2.2: an empty line in front of a request says nothing. It is dropped once all before it has been handed on.
        if fresh.starts_with(b"\r\n") {
            if self.validated > 0 {
                return false;
            }
            self.buffer.advance(2);
            self.searched = 0;
            return !self.buffer.is_empty();
        }
        match head::find_end(fresh, self.searched, &self.bounds.head) {
            Ok(Some(length)) => {
                let verdict = fresh.get(..length).map(|head| head::judge(head, &self.bounds.head));
                match verdict {
                    Some(Ok(framing)) => self.accept(length, framing),
                    Some(Err(refusal)) => self.refuse(refusal),
                    None => return false,
                }
                true
            }
            Ok(None) => {
                self.searched = fresh.len();
                self.begin_head();
                false
            }
            Err(refusal) => {
                self.refuse(refusal);
                true
            }
        }
    }

    /// A head is there in part: its time runs. One that comes as a whole never has the clock read for it.
    fn begin_head(&mut self) {
        if self.head_began.is_none() {
            let now = Instant::now();
            self.head_began = Some(now);
            if self.timer.deadline() > now + self.bounds.head_timeout {
                self.timer.as_mut().reset(now + self.bounds.head_timeout);
            }
        }
    }

    fn accept(&mut self, length: usize, framing: Framing) {
        self.validated += length;
        self.searched = 0;
        self.head_began = None;
        let number = self.control.begin();
        self.state = match framing {
            Framing::Empty => State::Head,
            Framing::Length(bytes) => State::Body(bytes),
            Framing::Chunked => State::Chunks(Chunks::default()),
            Framing::Upgrade => State::Held(number),
        };
    }

    /// Puts the stand-in where the refused head begins.
    fn refuse(&mut self, refusal: Refusal) {
        self.control.refuse(refusal);
        self.buffer.truncate(self.validated);
        self.buffer.extend_from_slice(STAND_IN);
        self.validated = self.buffer.len();
        self.state = State::Refused;
    }

    /// Whether the service has decided about the upgrade that bytes are held for; the task is woken when it does.
    fn is_decided(&mut self, context: &mut Context<'_>) -> bool {
        let State::Held(number) = self.state else { return true };
        self.control.wake_on_decision(context.waker());
        match self.control.decision(number) {
            Some(control::Decision::Tunnel) => self.state = State::Tunnel,
            Some(control::Decision::Resume) => self.state = State::Head,
            None => return false,
        }
        true
    }

    /// Ends what takes too long: a head by a refusal, an idle connection by its end.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<Late> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let now = Instant::now();
            let deadline = match (self.head_began, self.control.idle_since()) {
                (Some(began), _) => began + self.bounds.head_timeout,
                (None, Some(since)) => since + self.bounds.idle_timeout,
                (None, None) => now + self.bounds.idle_timeout,
            };
            if deadline > now {
                // A head that is late in coming may be there a moment later, and the connection idle from then on.
                self.timer.as_mut().reset(deadline.min(now + self.bounds.idle_timeout));
                continue;
            }
            let began = self.head_began.is_some() && self.validated < self.buffer.len();
            return Poll::Ready(if began { Late::Head } else { Late::Idle });
        }
    }

    fn hand_out(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.validated.min(buffer.remaining());
        buffer.put_slice(self.buffer.get(..count).unwrap_or_default());
        self.buffer.advance(count);
        self.validated -= count;
    }
}

/// What has taken too long.
enum Late {
    Head,
    Idle,
}

impl<T: AsyncRead + Unpin> AsyncRead for GatedIo<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            this.judge();
            if this.validated > 0 {
                this.hand_out(buffer);
                return Poll::Ready(Ok(()));
            }
            match &this.state {
                State::Refused => return Poll::Pending,
                State::Broken(fault) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, *fault)));
                }
                State::Held(_) => {
                    if this.is_decided(context) {
                        continue;
                    }
                    // As for any request under way: a caller that goes away is noticed, if it has not said too much before.
                    if this.poll_deadline(context).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    if this.buffer.len() >= HELD_BYTES {
                        return Poll::Pending;
                    }
                }
                State::Head => {
                    if let Poll::Ready(late) = this.poll_deadline(context) {
                        match late {
                            Late::Idle => return Poll::Ready(Ok(())),
                            Late::Head => {
                                this.refuse(Refusal::new(Reason::HeadTooSlow, "the head did not arrive in time"));
                                continue;
                            }
                        }
                    }
                }
                State::Body(_) | State::Chunks(_) | State::Tunnel => {}
            }
            if ready!(this.poll_fill(context))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<T: AsyncRead + Unpin> GatedIo<T> {
    /// Reads what there is behind the validated bytes; 0 at the end.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.buffer.reserve(READ_BYTES);
        let mut reader = ReadInto { inner: &mut self.inner, buffer: &mut self.buffer };
        reader.poll(context)
    }
}

/// Reads into spare capacity.
struct ReadInto<'a, T> {
    inner: &'a mut T,
    buffer: &'a mut BytesMut,
}

impl<T: AsyncRead + Unpin> ReadInto<'_, T> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        tokio_util::io::poll_read_buf(Pin::new(&mut *self.inner), context, self.buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for GatedIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Which protocol a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// HTTP/2 with prior knowledge.
    Http2,
    /// Anything else: for the gate to judge.
    Http1,
}

/// Reads on after `begun` until it is clear whether the connection begins as HTTP/2 does. Returns all that was read.
pub async fn read_opening<T: AsyncRead + Unpin>(io: &mut T, mut begun: BytesMut) -> io::Result<(Opening, BytesMut)> {
    loop {
        if begun.starts_with(PREFACE) {
            return Ok((Opening::Http2, begun));
        }
        if !begun.is_empty() && !PREFACE.starts_with(&begun) {
            return Ok((Opening::Http1, begun));
        }
        if tokio::io::AsyncReadExt::read_buf(io, &mut begun).await? == 0 {
            return Ok((Opening::Http1, begun));
        }
    }
}

#[cfg(test)]
mod tests;
