//! A socket whose other side has to take what it is sent.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Patience;

/// Fails where the other side has taken nothing for too long. What it sends is not judged here.
pub(crate) struct PacedSocket<T> {
    inner: T,
    patience: Patience,
}

impl<T> PacedSocket<T> {
    pub(crate) fn new(inner: T, limit: Duration) -> Self {
        Self { inner, patience: Patience::new(limit) }
    }

    fn judge<R>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.patience.relax();
            return written;
        }
        let late = |()| Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing of what it is sent"));
        self.patience.poll(context).map(late)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for PacedSocket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for PacedSocket<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, pieces);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.inner).poll_shutdown(context);
        self.judge(context, ended)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (near, _far) = tokio::io::duplex(16);
        let (mut paced, began) = (PacedSocket::new(near, LIMIT), Instant::now());
        let error = paced.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_little_by_little_is_not() {
        let (near, mut far) = tokio::io::duplex(16);
        let (mut paced, began) = (PacedSocket::new(near, LIMIT), Instant::now());
        let taking = async {
            let mut taken = [0; 16];
            for _ in 0..4 {
                tokio::time::sleep(LIMIT * 9 / 10).await;
                far.read_exact(&mut taken).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(paced.write_all(&[0; 64]), taking);
        written.unwrap();
        assert!(began.elapsed() > 3 * LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_of_the_peer_is_not_judged() {
        let (near, _far) = tokio::io::duplex(16);
        let mut paced = PacedSocket::new(near, LIMIT);
        assert!(tokio::time::timeout(LIMIT * 5, paced.read_u8()).await.is_err());
    }
}
