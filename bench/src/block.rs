//! Blocks: direct, ours, the peers, the peers, ours, direct. Ratios are taken inside a block, where the machine was the same.

use std::fs;

use anyhow::Context as _;

use crate::case::{Case, Run};
use crate::contender::{Bench, Checks, KEY, Kind, OTHER_CORE};
use crate::load::{self, Load};
use crate::report::{Measured, Outcome};
use crate::token::Signer;

/// A block in which the service itself cost this much more than in the best one is thrown away: the machine was busy.
const NOISE: f64 = 1.15;
/// Seconds in which connections, caches and branch predictors settle.
const SETTLE: u64 = 1;
/// Seconds of a run in which no token may come twice.
const AFRESH: u64 = 1;

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) blocks: usize,
    /// Of each run.
    pub(crate) seconds: u64,
}

pub(crate) fn measure(bench: &Bench, case: &Case, extent: Extent) -> anyhow::Result<Outcome> {
    let signer = match case.checks {
        Checks::Token(algorithm) => Some(Signer::new(algorithm)?),
        _ => None,
    };
    let tokens = bench.folder().join("tokens");
    if let Some(signer) = &signer {
        let lines: Result<Vec<_>, _> = (0..case.tokens).map(|number| signer.token(number)).collect();
        fs::write(&tokens, lines?.join("\n"))?;
    }
    let load = Load {
        header: matches!(case.checks, Checks::Key { .. }).then_some(("Sallyport-Key", KEY)),
        tokens: signer.as_ref().map(|_| tokens.as_path()),
    };
    let contenders: Vec<_> = case.contenders.iter().copied().filter(|kind| bench.has(*kind)).collect();
    let order: Vec<_> = [Kind::Direct].into_iter().chain(contenders.iter().copied()).collect();
    let session = Session { bench, case, seconds: extent.seconds, load, signer: signer.as_ref() };
    let blocks = (0..extent.blocks).map(|_| session.block(&order)).collect::<Result<Vec<_>, _>>()?;
    let (kept, thrown_away) = quiet(blocks);
    Ok(Outcome::new(case.name, contenders, kept, thrown_away))
}

/// One case under measurement.
struct Session<'a> {
    bench: &'a Bench,
    case: &'a Case,
    seconds: u64,
    load: Load<'a>,
    signer: Option<&'a Signer>,
}

impl Session<'_> {
    fn block(&self, order: &[Kind]) -> anyhow::Result<Vec<Measured>> {
        let one = |kind: &Kind| -> anyhow::Result<Measured> {
            let cost_us = self.cost_us(*kind).with_context(|| format!("{kind:?}"))?;
            Ok(Measured { kind: *kind, cost_us })
        };
        order.iter().chain(order.iter().rev()).map(one).collect()
    }

    /// CPU time of the process for each request, in microseconds.
    fn cost_us(&self, kind: Kind) -> anyhow::Result<f64> {
        let load = |seconds| load::run(self.bench.folder(), OTHER_CORE, kind.port(), seconds, &self.load);
        let started =
            if kind == Kind::Direct { None } else { Some(self.bench.start(kind, self.case.checks, self.signer)?) };
        let process = started.as_ref().unwrap_or(&self.bench.upstream);
        let seconds = match self.case.run {
            Run::Afresh => AFRESH,
            Run::Settled => {
                load(SETTLE)?;
                self.seconds
            }
        };
        let before = process.cpu_ns()?;
        let requests = load(seconds)?;
        Ok(per_request(process.cpu_ns()? - before, requests))
    }
}

/// The blocks during which the machine was quiet, or all if there is none; and how many were thrown away.
fn quiet(blocks: Vec<Vec<Measured>>) -> (Vec<Vec<Measured>>, usize) {
    let direct = |block: &'_ [Measured]| -> f64 {
        block.iter().filter(|one| one.kind == Kind::Direct).map(|one| one.cost_us).fold(0.0, f64::max)
    };
    let all = blocks.iter().flatten().filter(|one| one.kind == Kind::Direct);
    let best = all.map(|one| one.cost_us).fold(f64::MAX, f64::min);
    let count = blocks.len();
    // The best of all stands in one that may be thrown away for its other half.
    let is_quiet = |block: &Vec<Measured>| direct(block) <= best * NOISE;
    if !blocks.iter().any(is_quiet) {
        return (blocks, 0);
    }
    let kept: Vec<_> = blocks.into_iter().filter(is_quiet).collect();
    let thrown_away = count - kept.len();
    (kept, thrown_away)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_request(cpu_ns: u64, requests: u64) -> f64 {
    cpu_ns as f64 / requests.max(1) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(direct: [f64; 2]) -> Vec<Measured> {
        direct.map(|cost_us| Measured { kind: Kind::Direct, cost_us }).to_vec()
    }

    #[test]
    fn blocks_of_a_busy_machine_are_thrown_away() {
        let (kept, thrown_away) = quiet(vec![block([10.0, 11.0]), block([10.0, 12.0]), block([11.4, 11.5])]);
        assert_eq!((kept.len(), thrown_away), (2, 1));
    }

    #[test]
    fn where_no_block_was_quiet_all_are_kept() {
        let (kept, thrown_away) = quiet(vec![block([10.0, 12.0]), block([12.0, 13.0])]);
        assert_eq!((kept.len(), thrown_away), (2, 0));
    }
}
