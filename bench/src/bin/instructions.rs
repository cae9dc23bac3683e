//! Instruction counts beside the recorded base: `make instructions`.
//!
//! Reads what gungraun prints as JSON, one function a line, and fails where a function takes noticeably more than it did.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde_json::Value;

/// Hash tables are seeded anew in each process, which moves counts by about one in a hundred.
const MOST_RATIO: f64 = 1.05;

/// Where callgrind's count stands in a summary.
const INSTRUCTIONS: &str = "/profiles/0/data/total/metrics/Ir/values/new";

#[derive(Parser)]
struct Arguments {
    /// Where the base stands
    #[arg(long, default_value = "bench/results/instructions.json")]
    base: PathBuf,
    /// Writes the counts as the new base instead of comparing
    #[arg(long)]
    record: bool,
}

/// Instructions by the name of the function and its case.
type Counts = BTreeMap<String, u64>;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let lines: Vec<_> = io::stdin().lock().lines().collect::<Result<_, _>>()?;
    let counts = read(&lines)?;
    if arguments.record {
        fs::write(&arguments.base, serde_json::to_string_pretty(&counts)? + "\n")?;
        println!("{} counts are the new base in {}", counts.len(), arguments.base.display());
        return Ok(());
    }
    let text = fs::read_to_string(&arguments.base)
        .with_context(|| format!("{}: write it with `make instructions RECORD=--record`", arguments.base.display()))?;
    let (table, grown) = compare(&serde_json::from_str(&text)?, &counts);
    println!("{table}");
    ensure!(grown.is_empty(), "over {MOST_RATIO} of the base, or gone: {}", grown.join(", "));
    Ok(())
}

/// The counts in gungraun's summaries; other lines are cargo's.
fn read(lines: &[String]) -> anyhow::Result<Counts> {
    let summaries = lines.iter().filter(|line| line.starts_with('{'));
    let counts: Counts = summaries.map(|line| count(line)).collect::<Result<_, _>>()?;
    ensure!(!counts.is_empty(), "gungraun has printed no summary");
    Ok(counts)
}

fn count(line: &str) -> anyhow::Result<(String, u64)> {
    let summary: Value = serde_json::from_str(line)?;
    let part = |name: &str| summary.get(name).and_then(Value::as_str).with_context(|| format!("no {name}"));
    let name = format!("{} {}", part("function_name")?, part("id")?);
    let instructions = summary.pointer(INSTRUCTIONS).and_then(Value::as_u64);
    Ok((name.clone(), instructions.with_context(|| format!("{name}: no count"))?))
}

/// A table, and the names of the functions that take too much.
fn compare(base: &Counts, counts: &Counts) -> (String, Vec<String>) {
    let mut lines = vec!["| function | base | now | ratio |".to_owned(), "|---|---|---|---|".to_owned()];
    let mut grown: Vec<_> = base.keys().filter(|name| !counts.contains_key(*name)).cloned().collect();
    for (name, now) in counts {
        let Some(before) = base.get(name) else {
            lines.push(format!("| {name} | | {now} | new |"));
            continue;
        };
        let ratio = ratio(*now, *before);
        lines.push(format!("| {name} | {before} | {now} | {ratio:.3} |"));
        if ratio > MOST_RATIO {
            grown.push(name.clone());
        }
    }
    (lines.join("\n"), grown)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn ratio(now: u64, before: u64) -> f64 {
    now as f64 / before.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(name: &str, count: u64) -> String {
        format!(
            r#"{{"function_name":"{name}","id":"one","profiles":[{{"data":{{"total":{{"metrics":{{"Ir":{{"values":{{"old":1,"new":{count}}}}}}}}}}}}}]}}"#
        )
    }

    fn counts(of: &[(&str, u64)]) -> Counts {
        read(&of.iter().map(|(name, count)| summary(name, *count)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn counts_are_read_from_between_other_lines() {
        let lines = ["Compiling".to_owned(), summary("find", 7)];
        assert_eq!(read(&lines).unwrap(), Counts::from([("find one".to_owned(), 7)]));
    }

    #[test]
    fn a_run_without_counts_is_an_error() {
        for lines in [vec![], vec!["Compiling".to_owned()], vec!["{}".to_owned()], vec!["{".to_owned()]] {
            assert!(read(&lines).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn what_grows_or_goes_is_named() {
        let base = counts(&[("same", 100), ("grown", 100), ("less", 100), ("gone", 100)]);
        let (table, grown) = compare(&base, &counts(&[("same", 105), ("grown", 106), ("less", 50), ("new", 100)]));
        assert_eq!(grown, ["gone one", "grown one"]);
        assert!(table.contains("| new one | | 100 | new |"), "{table}");
    }
}
