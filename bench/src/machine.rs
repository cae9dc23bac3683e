//! What the numbers were taken on, and what ours takes of memory and of time to start.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde::Serialize;

use crate::contender::{Bench, Checks, Kind};

#[derive(Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    load: String,
    pub(crate) commit: String,
    pub(crate) date: String,
}

#[derive(Serialize)]
pub(crate) struct Memory {
    pub(crate) what: &'static str,
    pub(crate) resident_mb: f64,
    pub(crate) started_within_ms: u128,
}

pub(crate) fn describe() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo").lines().find_map(|line| line.strip_prefix("model name").map(str::to_owned));
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    Machine {
        processor: processor.unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned(),
        cores: std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get),
        kernel: said("uname", &["-r"]),
        load: read("/proc/loadavg").trim().to_owned(),
        commit: said("git", &["rev-parse", "--short", "HEAD"]),
        date: said("date", &["-u", "+%F"]),
    }
}

/// Resident memory after the start, at rest.
pub(crate) fn memory(bench: &Bench) -> anyhow::Result<Vec<Memory>> {
    let cases = [("one open route", Checks::None), ("100,000 subscription keys", Checks::Key { among: 100_000 })];
    cases
        .into_iter()
        .map(|(what, checks)| {
            let gateway = bench.start(Kind::Sallyport, checks, None)?;
            sleep(Duration::from_millis(500));
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let resident_mb = gateway.resident_kb()? as f64 / 1024.0;
            Ok(Memory { what, resident_mb, started_within_ms: gateway.started_within.as_millis() })
        })
        .collect()
}
