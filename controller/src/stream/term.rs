//! How long a stream lasts.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Bounds;

/// Ends with the token, with the longest life of a stream, or with the server.
pub(super) struct Term {
    ends: Instant,
    closing: CancellationToken,
}

impl Term {
    pub(super) fn new(bounds: &Bounds, valid_for: Option<Duration>, closing: CancellationToken) -> Self {
        // Data planes that came together do not come together again.
        let lifetime = bounds.lifetime.mul_f64(0.9 + 0.2 * rand::random::<f64>());
        let lasts = valid_for.map_or(lifetime, |valid_for| valid_for.min(lifetime));
        Self { ends: Instant::now() + lasts, closing }
    }

    pub(super) async fn over(&self) {
        tokio::select! {
            () = tokio::time::sleep_until(self.ends) => {}
            () = self.closing.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_with_its_token_or_its_life_whichever_is_first() {
        let bounds = Bounds { lifetime: Duration::from_secs(100), ..Bounds::default() };
        for (valid_for, least, most) in [(None, 90, 111), (Some(7), 7, 8), (Some(1000), 90, 111), (Some(0), 0, 1)] {
            let began = Instant::now();
            Term::new(&bounds, valid_for.map(Duration::from_secs), CancellationToken::new()).over().await;
            let lasted = began.elapsed().as_secs();
            assert!((least..most).contains(&lasted), "{valid_for:?}: {lasted}");
        }
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_server() {
        let closing = CancellationToken::new();
        let term = Term::new(&Bounds::default(), None, closing.clone());
        closing.cancel();
        term.over().await;
    }
}
