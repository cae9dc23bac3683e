//! A socket that writes what is small in one piece.
//!
//! A message without a body, or with a short one, is one `send`: the kernel does that at less cost than a `writev`, and by more
//! than copying some hundred bytes takes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Pieces that are shorter in sum are copied together.
const COPIED_BYTES: usize = 1024;

/// A socket whose small writes are gathered.
pub(crate) struct Gathered(pub(crate) TcpStream);

impl AsyncRead for Gathered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.0);
        if let [piece] = pieces {
            return socket.poll_write(context, piece);
        }
        let mut room = [0; COPIED_BYTES];
        match gather(pieces, &mut room) {
            Some(bytes) => socket.poll_write(context, bytes),
            None => socket.poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// All pieces one behind the other, if there is room for them.
fn gather<'a>(pieces: &[IoSlice<'_>], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut length = 0;
    for piece in pieces {
        let end = length + piece.len();
        room.get_mut(length..end)?.copy_from_slice(piece);
        length = end;
    }
    room.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_gathered_and_nothing_else() {
        let mut room = [0; 5];
        for (pieces, expected) in [
            (&["ab", "", "c"][..], Some("abc")),
            (&["abc", "de"], Some("abcde")),
            (&["abc", "def"], None),
            (&[], Some("")),
        ] {
            let pieces: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece.as_bytes())).collect();
            assert_eq!(gather(&pieces, &mut room), expected.map(str::as_bytes));
        }
    }
}
