//! What a store may say: no more than is asked of it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// For login and script.
const AT_FIRST: u64 = 16 * 1024;
/// Of one answer: five numbers for each limit, or an error.
const EACH: u64 = 16 * 1024;
/// 1 MiB: of more at the same time each takes a few hundred bytes.
const MOST_AWAITED: u64 = 64;

/// How many bytes may still come.
#[derive(Clone)]
pub(super) struct Allowed(Arc<AtomicU64>);

/// A connection that ends where more comes than may.
pub(super) struct Bounded<T> {
    stream: T,
    allowed: Allowed,
}

impl Allowed {
    /// One more answer is awaited. Of what those before have left over, no more than so many are saved up.
    pub(super) fn answer(&self) {
        let more = |left: u64| Some(left.saturating_add(EACH).min(MOST_AWAITED * EACH));
        let _always = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    fn take(&self, bytes: usize) -> bool {
        let less = |left: u64| left.checked_sub(u64::try_from(bytes).ok()?);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl<T> Bounded<T> {
    pub(super) fn new(stream: T) -> (Self, Allowed) {
        let allowed = Allowed(Arc::new(AtomicU64::new(AT_FIRST)));
        (Self { stream, allowed: allowed.clone() }, allowed)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Bounded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        match self.allowed.take(buffer.filled().len() - before) {
            true => Poll::Ready(Ok(())),
            false => Poll::Ready(Err(io::Error::other("it says more than was asked"))),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Bounded<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn no_more_comes_than_was_asked() {
        let said = vec![b'x'; 64 * 1024];
        let (mut stream, allowed) = Bounded::new(&said[..]);
        let mut first = vec![0; 16 * 1024];
        stream.read_exact(&mut first).await.unwrap();
        allowed.answer();
        stream.read_exact(&mut first).await.unwrap();
        assert!(stream.read_exact(&mut first).await.is_err());
    }
}
