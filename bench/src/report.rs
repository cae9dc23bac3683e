//! The table, for people and for later comparison.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::contender::Kind;
use crate::machine::{self, Memory};

#[derive(Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) kind: Kind,
    pub(crate) cost_us: f64,
}

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
    /// Median, least and most.
    cost_us: [f64; 3],
    /// Ours by this one, inside a block: median, least and most.
    ours_by_it: [f64; 3],
}

impl Outcome {
    pub(crate) fn new(case: &'static str, kinds: Vec<Kind>, blocks: Vec<Vec<Measured>>, thrown_away: usize) -> Self {
        let of = |block: &Vec<Measured>, kind: Kind| {
            let costs: Vec<_> = block.iter().filter(|one| one.kind == kind).map(|one| one.cost_us).collect();
            costs.iter().sum::<f64>() / f64::from(u32::try_from(costs.len().max(1)).unwrap_or(1))
        };
        let rows = kinds.into_iter().map(|kind| Row {
            kind,
            cost_us: spread(blocks.iter().map(|block| of(block, kind)).collect()),
            ours_by_it: spread(blocks.iter().map(|block| of(block, Kind::Sallyport) / of(block, kind)).collect()),
        });
        Self { case, rows: rows.collect(), blocks, thrown_away }
    }
}

fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    [at(values.len() / 2), at(0), at(values.len().saturating_sub(1))]
}

/// The rows of one case.
pub(crate) fn lines(outcome: &Outcome) -> String {
    let mut text = String::new();
    for row in &outcome.rows {
        let ([cost, least, most], [ratio, low, high]) = (row.cost_us, row.ours_by_it);
        // Writing to a String cannot fail.
        let _written = writeln!(
            text,
            "| {} | {:?} | {cost:.1} ({least:.1}-{most:.1}) | {ratio:.2} ({low:.2}-{high:.2}) |",
            outcome.case, row.kind
        );
    }
    text.trim_end().to_owned()
}

/// Writes `DATE-COMMIT.json` and `.md`.
pub(crate) fn write(folder: &Path, outcomes: &[Outcome], memory: &[Memory]) -> anyhow::Result<()> {
    let machine = machine::describe();
    let name = format!("{}-{}", machine.date, machine.commit);
    let mut text = format!(
        "# {name}\n\n```json\n{}\n```\n\nCPU of the gateway process for each request, one worker on one core, 32 connections, loopback: median (least-most) over blocks.\n\n| case | gateway | us | ours by it |\n|---|---|---|---|\n",
        serde_json::to_string_pretty(&machine)?
    );
    for outcome in outcomes {
        text += &lines(outcome);
        text.push('\n');
    }
    text += "\n| ours, at rest | resident MB | until the port answers, ms |\n|---|---|---|\n";
    for one in memory {
        let _written = writeln!(text, "| {} | {:.1} | {} |", one.what, one.resident_mb, one.started_within_ms);
    }
    let thrown: usize = outcomes.iter().map(|outcome| outcome.thrown_away).sum();
    let _written = writeln!(text, "\n{thrown} blocks were thrown away because the machine was busy.");
    fs::create_dir_all(folder)?;
    fs::write(folder.join(format!("{name}.md")), &text)?;
    let json = serde_json::json!({ "machine": machine, "outcomes": outcomes, "memory": memory });
    fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(&json)?)?;
    println!("{text}");
    Ok(())
}
