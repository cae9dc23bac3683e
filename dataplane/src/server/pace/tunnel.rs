//! Two connections joined, until they end or nothing has passed for too long.

use std::cell::Cell;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;
use tokio_util::io::InspectReader;

/// For the last bytes to either side, and the word that the tunnel ends.
const PARTING: Duration = Duration::from_millis(250);

/// Carries bytes both ways until either side ends, or neither has said anything for `idle`.
pub(crate) async fn join<A, B>(caller: A, service: B, idle: Duration)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let heard = Cell::new(Instant::now());
    let note = |_: &[u8]| heard.set(Instant::now());
    let (mut caller, mut service) = (InspectReader::new(caller, note), InspectReader::new(service, note));
    tokio::select! {
        _ended = tokio::io::copy_bidirectional(&mut caller, &mut service) => {}
        () = silence(&heard, idle) => {}
    }
}

/// Ends both sides in order: what was under way to them arrives, and then they hear of the end.
pub(crate) async fn part<A: AsyncWrite + Unpin, B: AsyncWrite + Unpin>(caller: &mut A, service: &mut B) {
    // Whoever does not take it has gone, or is not waited for.
    let ended = async { tokio::join!(caller.shutdown(), service.shutdown()) };
    let _ended = tokio::time::timeout(PARTING, ended).await;
}

async fn silence(heard: &Cell<Instant>, idle: Duration) {
    while heard.get() + idle > Instant::now() {
        tokio::time::sleep_until(heard.get() + idle).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    const IDLE: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_ends_when_nothing_has_passed_either_way_for_long() {
        let ((mut caller, near), (far, mut service)) = (duplex(64), duplex(64));
        let began = Instant::now();
        let talking = async {
            tokio::time::sleep(IDLE / 2).await;
            caller.write_all(b"a").await.unwrap();
            assert_eq!(service.read_u8().await.unwrap(), b'a');
            tokio::time::sleep(IDLE / 2).await;
            service.write_all(b"b").await.unwrap();
            assert_eq!(caller.read_u8().await.unwrap(), b'b');
            (caller, service)
        };
        let ((), _kept_open) = tokio::join!(join(near, far, IDLE), talking);
        assert_eq!(began.elapsed(), IDLE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn parting_tells_both_sides_and_waits_for_nobody() {
        let ((mut caller, mut near), (mut far, mut service)) = (duplex(64), duplex(64));
        part(&mut near, &mut far).await;
        assert_eq!((caller.read(&mut [0; 8]).await.unwrap(), service.read(&mut [0; 8]).await.unwrap()), (0, 0));
        let began = Instant::now();
        part(&mut Stuck, &mut Stuck).await;
        assert_eq!(began.elapsed(), PARTING);
    }

    /// Takes nothing, its end neither.
    struct Stuck;

    impl AsyncWrite for Stuck {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_ends_when_both_sides_have() {
        let ((caller, near), (far, service)) = (duplex(64), duplex(64));
        drop((caller, service));
        let began = Instant::now();
        join(near, far, IDLE).await;
        assert!(began.elapsed() < IDLE);
    }
}
