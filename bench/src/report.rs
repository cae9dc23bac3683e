//! The table, for people and for later comparison.

mod gates;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::contender::Kind;
use crate::machine::Machine;
use crate::memory::Memory;

/// All that one session has found.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) memory: Vec<Memory>,
}

#[derive(Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) kind: Kind,
    pub(crate) cost_us: f64,
}

/// One case.
#[derive(Serialize)]
pub(crate) struct Outcome {
    case: &'static str,
    rows: Vec<Row>,
    blocks: Vec<Vec<Measured>>,
    thrown_away: usize,
}

#[derive(Serialize)]
struct Row {
    kind: Kind,
    cost_us: Spread,
    /// Ours by this one, inside a block.
    ours_by_it: Spread,
    /// Ours less this one, inside a block.
    ours_less_it_us: Spread,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Outcome {
    pub(crate) fn new(case: &'static str, kinds: Vec<Kind>, blocks: Vec<Vec<Measured>>, thrown_away: usize) -> Self {
        let over_blocks =
            |figure: &dyn Fn(&[Measured]) -> f64| Spread::of(blocks.iter().map(|block| figure(block)).collect());
        let rows = kinds.into_iter().map(|kind| Row {
            kind,
            cost_us: over_blocks(&|block| cost(block, kind)),
            ours_by_it: over_blocks(&|block| cost(block, Kind::Sallyport) / cost(block, kind)),
            ours_less_it_us: over_blocks(&|block| cost(block, Kind::Sallyport) - cost(block, kind)),
        });
        Self { case, rows: rows.collect(), blocks, thrown_away }
    }

    fn row(&self, kind: Kind) -> Option<&Row> {
        self.rows.iter().find(|row| row.kind == kind)
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let (upper, lower) = (values.len() / 2, values.len().saturating_sub(1) / 2);
        Self { median: f64::midpoint(at(lower), at(upper)), least: at(0), most: at(values.len().saturating_sub(1)) }
    }
}

/// The mean of the two runs that one contender has in a block.
fn cost(block: &[Measured], kind: Kind) -> f64 {
    let costs: Vec<_> = block.iter().filter(|one| one.kind == kind).map(|one| one.cost_us).collect();
    costs.iter().sum::<f64>() / f64::from(u32::try_from(costs.len().max(1)).unwrap_or(1))
}

/// The rows of one case.
pub(crate) fn rows(outcome: &Outcome) -> String {
    let row = |row: &Row| {
        let Row { kind, cost_us: cost, ours_by_it: ratio, ours_less_it_us: less } = row;
        format!(
            "| {} | {kind:?} | {:.1} ({:.1}-{:.1}) | {:.2} ({:.2}-{:.2}) | {:+.1} ({:+.1} to {:+.1}) |",
            outcome.case,
            cost.median,
            cost.least,
            cost.most,
            ratio.median,
            ratio.least,
            ratio.most,
            less.median,
            less.least,
            less.most
        )
    };
    outcome.rows.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// Writes `DATE-COMMIT.json` and `.md`, and prints the latter.
pub(crate) fn write(folder: &Path, report: &Report) -> anyhow::Result<()> {
    let name = format!("{}-{}", report.machine.date, report.machine.commit);
    let text = markdown(&name, report)?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join(format!("{name}.md")), &text)?;
    fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(report)? + "\n")?;
    println!("{text}");
    Ok(())
}

fn markdown(name: &str, report: &Report) -> anyhow::Result<String> {
    let mut text = format!(
        "# {name}\n\n```json\n{}\n```\n\nCPU of the gateway process for each request, one worker on one core, 32 connections, loopback: median (least-most) over blocks.\n\n| case | gateway | us | ours by it | ours less it, us |\n|---|---|---|---|---|\n",
        serde_json::to_string_pretty(&report.machine)?
    );
    // Writing to a String cannot fail.
    for outcome in &report.outcomes {
        let _written = writeln!(text, "{}", rows(outcome));
    }
    text += "\n| gateway | at rest with | resident MB | until the port answers, ms |\n|---|---|---|---|\n";
    for one in &report.memory {
        let _written =
            writeln!(text, "| {:?} | {} | {:.1} | {} |", one.kind, one.what, one.resident_mb, one.started_within_ms);
    }
    text += "\n| gate | found | at most | |\n|---|---|---|---|\n";
    for gate in gates::judge(report) {
        let verdict = if gate.found <= gate.most { "met" } else { "**missed**" };
        let _written = writeln!(text, "| {} | {:.2} | {} | {verdict} |", gate.what, gate.found, gate.most);
    }
    let thrown: usize = report.outcomes.iter().map(|outcome| outcome.thrown_away).sum();
    let _written = writeln!(text, "\n{thrown} blocks were thrown away because the machine was busy.");
    Ok(text)
}
