//! Blocks: direct, ours, the peers, the peers, ours, direct. Ratios are taken inside a block, where the machine was the same.

use std::fs;

use anyhow::Context as _;

use crate::case::Case;
use crate::contender::{Bench, Checks, KEY, Kind, OTHER_CORE};
use crate::load::{self, Load};
use crate::report::{Measured, Outcome};
use crate::token::Signer;

/// A block in which the service itself cost this much more than in the best one is thrown away: the machine was busy.
const NOISE: f64 = 1.15;

pub(crate) fn measure(bench: &Bench, case: &Case, blocks: usize, seconds: u64) -> anyhow::Result<Outcome> {
    let seconds = case.seconds.unwrap_or(seconds);
    let signer = match case.checks {
        Checks::Token(algorithm) => Some(Signer::new(algorithm)?),
        Checks::None | Checks::Key { .. } => None,
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
    let mut all = Vec::new();
    for _ in 0..blocks {
        let mut block: Vec<Measured> = Vec::new();
        for kind in order.iter().chain(order.iter().rev()).copied() {
            let cost_us =
                one(bench, case, kind, seconds, &load, signer.as_ref()).with_context(|| format!("{kind:?}"))?;
            block.push(Measured { kind, cost_us });
        }
        all.push(block);
    }
    let best =
        all.iter().flatten().filter(|one| one.kind == Kind::Direct).map(|one| one.cost_us).fold(f64::MAX, f64::min);
    let quiet = |block: &Vec<Measured>| {
        block.iter().filter(|one| one.kind == Kind::Direct).all(|one| one.cost_us <= best * NOISE)
    };
    let kept: Vec<_> = all.iter().filter(|block| quiet(block)).cloned().collect();
    let thrown_away = all.len() - kept.len();
    Ok(Outcome::new(case.name, contenders, if kept.is_empty() { all } else { kept }, thrown_away))
}

/// CPU time of the process for each request, in microseconds.
fn one(
    bench: &Bench,
    case: &Case,
    kind: Kind,
    seconds: u64,
    load: &Load<'_>,
    signer: Option<&Signer>,
) -> anyhow::Result<f64> {
    let port = Bench::port(kind);
    if kind == Kind::Direct {
        let before = bench.upstream.cpu_ns()?;
        let requests = load::run(bench.folder(), OTHER_CORE, port, seconds, load)?;
        return Ok(per_request(bench.upstream.cpu_ns()? - before, requests));
    }
    let gateway = bench.start(kind, case.checks, signer)?;
    if !case.afresh {
        // Connections, caches and branch predictors settle.
        load::run(bench.folder(), OTHER_CORE, port, 1, load)?;
    }
    let before = gateway.cpu_ns()?;
    let requests = load::run(bench.folder(), OTHER_CORE, port, seconds, load)?;
    Ok(per_request(gateway.cpu_ns()? - before, requests))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_request(cpu_ns: u64, requests: u64) -> f64 {
    cpu_ns as f64 / requests.max(1) as f64 / 1000.0
}
