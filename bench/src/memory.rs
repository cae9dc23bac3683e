//! What a gateway takes at rest, and how long it takes to start.

use std::thread::sleep;
use std::time::Duration;

use serde::Serialize;

use crate::contender::{Bench, Checks, Kind};

/// Between the start and the look at memory: buffers of the start are given back by then.
const REST: Duration = Duration::from_millis(1500);
/// Starts of each, of which the median counts.
const STARTS: usize = 3;

#[derive(Serialize)]
pub(crate) struct Memory {
    pub(crate) kind: Kind,
    pub(crate) what: &'static str,
    pub(crate) resident_mb: f64,
    /// The port answers.
    pub(crate) started_within_ms: i64,
}

const SIZES: [(&str, usize, usize); 4] = [
    ("one route, one key", 0, 1),
    ("10,000 routes", 10_000, 1),
    ("100,000 keys", 0, 100_000),
    ("10,000 routes and 100,000 keys", 10_000, 100_000),
];

/// Ours at each size, and the peers with one open route.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Memory>> {
    let ours = SIZES.map(|(what, routes, keys)| (Kind::Sallyport, what, Checks::Scale { routes, keys }));
    let idle = |kind| (kind, "one route", Checks::None);
    let all = [idle(Kind::Sallyport)].into_iter().chain(ours);
    let peers = [Kind::Nginx, Kind::HaProxy, Kind::Envoy].into_iter().filter(|kind| bench.has(*kind)).map(idle);
    all.chain(peers).map(|(kind, what, checks)| at_rest(bench, kind, what, checks)).collect()
}

fn at_rest(bench: &Bench, kind: Kind, what: &'static str, checks: Checks) -> anyhow::Result<Memory> {
    let mut seen = Vec::new();
    for _ in 0..STARTS {
        let gateway = bench.start(kind, checks, None)?;
        sleep(REST);
        seen.push((gateway.started_within_ms, gateway.resident_kb()?));
    }
    seen.sort_unstable();
    let (started_within_ms, resident_kb) = seen.get(STARTS / 2).copied().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let resident_mb = resident_kb as f64 / 1024.0;
    Ok(Memory { kind, what, resident_mb, started_within_ms })
}
