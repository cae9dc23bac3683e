//! What the numbers were taken on.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    /// Averages over 1, 5 and 15 minutes when the measurement began.
    load: String,
    peers: Vec<String>,
    pub(crate) commit: String,
    pub(crate) date: String,
}

/// Describes the machine as it is now, before it is measured.
pub(crate) fn describe(envoy: Option<&Path>) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo").lines().find_map(|line| line.strip_prefix("model name").map(str::to_owned));
    let peers = [Path::new("nginx"), Path::new("haproxy")].into_iter().map(|peer| said(peer, &["-v"]));
    Machine {
        processor: processor.unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned(),
        cores: std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get),
        kernel: said(Path::new("uname"), &["-r"]),
        load: read("/proc/loadavg").trim().to_owned(),
        peers: peers.chain(envoy.map(|envoy| said(envoy, &["--version"]))).collect(),
        commit: said(Path::new("git"), &["describe", "--always", "--dirty"]),
        date: said(Path::new("date"), &["-u", "+%F"]),
    }
}

/// The first line that a program prints, to whichever of its outputs; empty if it cannot be run.
fn said(program: &Path, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    // Envoy begins with where it stands, which is nobody's business.
    line.strip_prefix(&*program.to_string_lossy()).map_or(line, str::trim_start).to_owned()
}
