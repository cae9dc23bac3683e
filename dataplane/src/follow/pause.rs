//! How long to wait before the next connection.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// Twice as long each time, and short again after a connection that has lasted longer than the longest pause: one that is cut off at
/// once does not come again at once.
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(SHORTEST)
    }
}

impl Pause {
    /// The pause after a connection that has lasted so long. Somewhere between half of it and all: those that lost a controller
    /// together do not come back together.
    pub(super) fn after(&mut self, lasted: Duration) -> Duration {
        if lasted > LONGEST {
            self.0 = SHORTEST;
        }
        let longest = self.0;
        self.0 = (longest * 2).min(LONGEST);
        longest.mul_f64(0.5 + 0.5 * rand::random::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_over() {
        let mut pause = Pause::default();
        let pauses: Vec<_> = (0..12).map(|_| pause.after(Duration::from_secs(1))).collect();
        assert!(pauses[0] >= SHORTEST / 2 && pauses[0] <= SHORTEST);
        assert!(pauses[11] >= LONGEST / 2 && pauses[11] <= LONGEST, "{pauses:?}");
        assert!(pause.after(Duration::from_secs(6)) <= SHORTEST);
    }
}
