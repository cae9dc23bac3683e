//! Which exchanges have a line.

use http::StatusCode;
use sallyport_snapshot::v1;

use super::Line;

/// All of them.
const WHOLE: u32 = 1_000_000;

/// What a Gateway says of its exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// `None`: as the process was started.
    pub(super) is_on: Option<bool>,
    /// Of a million that went well.
    pub(super) per_million: u32,
}

/// As the process was started, and all of them.
impl Default for Choice {
    fn default() -> Self {
        Self { is_on: None, per_million: WHOLE }
    }
}

impl Choice {
    /// Reads what a Gateway says.
    pub fn of_gateway(access_log: &v1::AccessLog) -> Self {
        Self { is_on: access_log.on, per_million: access_log.sample_per_million.unwrap_or(WHOLE).min(WHOLE) }
    }

    /// What leaves out what both leave out: for requests of which nobody can say which Gateway they are for.
    #[must_use]
    pub fn loosest(self, other: Self) -> Self {
        let is_on = match (self.is_on, other.is_on) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (None, _) | (_, None) => None,
            (Some(false), Some(false)) => Some(false),
        };
        Self { is_on, per_million: self.per_million.max(other.per_million) }
    }

    /// Whether the exchange has a line, if lines are written. Chance is `instance`, which is random already.
    pub(super) fn takes(self, line: &Line, instance: u128) -> bool {
        self.per_million == WHOLE || is_remarkable(line) || lot(instance) < self.per_million
    }
}

/// What somebody will look for.
fn is_remarkable(line: &Line) -> bool {
    line.rejection.is_some() || !line.rehearsed.is_empty() || line.status >= StatusCode::INTERNAL_SERVER_ERROR
}

/// A number below a million, each as likely as the others.
fn lot(instance: u128) -> u32 {
    let share = ((instance >> 64) * u128::from(WHOLE)) >> 64;
    u32::try_from(share).unwrap_or(WHOLE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rejection::{Reason, Rejection};

    fn sampled(per_million: u32) -> Choice {
        Choice::of_gateway(&v1::AccessLog { on: None, sample_per_million: Some(per_million) })
    }

    /// Instances that are spread evenly.
    fn taken(choice: Choice, line: &Line) -> usize {
        (0..10_000u128).filter(|at| choice.takes(line, at * (u128::MAX / 10_000))).count()
    }

    #[test]
    fn what_went_well_is_chosen_by_lot() {
        let mut line = Line::default();
        for status in [200, 101, 304, 404, 499] {
            line.status = StatusCode::from_u16(status).unwrap();
            for (per_million, count) in
                [(0, 0), (100, 1), (10_000, 100), (250_000, 2_500), (WHOLE, 10_000), (u32::MAX, 10_000)]
            {
                let taken = taken(sampled(per_million), &line);
                assert!(taken.abs_diff(count) <= 1, "{taken} of 10,000 at {per_million}, {status}");
            }
        }
    }

    #[test]
    fn what_went_wrong_is_never_left_out() {
        let rejection = || Rejection::plain(Reason::NoRoute);
        let refused = Line { rejection: Some(rejection()), ..Line::default() };
        let reported = Line { rehearsed: vec![(Arc::from("shop/a"), rejection())], ..Line::default() };
        let failed = |status| Line { status: StatusCode::from_u16(status).unwrap(), ..Line::default() };
        for line in [refused, reported, failed(500), failed(503), failed(599)] {
            assert_eq!(taken(sampled(0), &line), 10_000);
        }
    }

    #[test]
    fn who_shares_a_port_leaves_out_what_both_do() {
        let choice = |is_on, per_million| Choice { is_on, per_million };
        for (own, other, both) in [
            (choice(Some(false), 5), choice(Some(false), 7), choice(Some(false), 7)),
            (choice(Some(false), 5), Choice::default(), Choice::default()),
            (choice(None, 5), choice(Some(true), 0), choice(Some(true), 5)),
            (choice(Some(true), 5), choice(Some(false), 0), choice(Some(true), 5)),
        ] {
            assert_eq!((own.loosest(other), other.loosest(own)), (both, both));
        }
    }
}
