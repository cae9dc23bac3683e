//! What the figures have to be. A miss is told, and fails nothing: timings never gate a test.

use super::{Report, Row};
use crate::contender::Kind;
use crate::memory::Memory;

/// A figure and its bound.
pub(super) struct Gate {
    pub(super) what: String,
    pub(super) found: f64,
    pub(super) most: f64,
}

/// What is compared with the other contender of a case.
enum Figure {
    Ratio,
    Difference,
}

const OF_CASES: [(&str, Kind, Figure, f64); 9] = [
    ("plain", Kind::Nginx, Figure::Ratio, 1.3),
    ("plain", Kind::Envoy, Figure::Ratio, 0.5),
    ("routes-10000", Kind::SallyportPlain, Figure::Ratio, 1.05),
    ("key-among-100000", Kind::SallyportOneKey, Figure::Ratio, 1.05),
    ("key-among-100000", Kind::SallyportPlain, Figure::Difference, 0.5),
    ("token-seen", Kind::SallyportPlain, Figure::Difference, 1.5),
    ("token-seen-among-2000", Kind::SallyportPlain, Figure::Difference, 1.5),
    ("token-unseen-RS256", Kind::SallyportPlain, Figure::Difference, 24.0),
    ("token-unseen-ES256", Kind::SallyportPlain, Figure::Difference, 56.0),
];
/// Megabytes at rest.
const IDLE: f64 = 20.0;

/// The gates of what was measured; a case that was left out has none.
pub(super) fn judge(report: &Report) -> Vec<Gate> {
    let of_cases = OF_CASES.iter().filter_map(|(case, than, figure, most)| {
        let row = report.outcomes.iter().find(|outcome| outcome.case == *case)?.row(*than)?;
        let (found, how) = figure.of(row);
        Some(Gate { what: format!("{case}: ours {how} {than:?}"), found, most: *most })
    });
    let idle = report.memory.iter().find(|memory| memory.kind == Kind::Sallyport);
    let idle = idle.map(|Memory { what, resident_mb, .. }| Gate {
        what: format!("at rest with {what}, MB"),
        found: *resident_mb,
        most: IDLE,
    });
    of_cases.chain(idle).collect()
}

impl Figure {
    fn of(&self, row: &Row) -> (f64, &'static str) {
        match self {
            Self::Ratio => (row.ours_by_it.median, "by"),
            Self::Difference => (row.ours_less_it_us.median, "less, us,"),
        }
    }
}
