//! What came of a run, with the machine and the commit.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes a paragraph for this run.
#[expect(clippy::print_stdout, reason = "whoever waits for minutes wants to see something")]
pub(super) fn record(what: &str, text: &str) {
    let (date, commit) = (said("date", &["-u", "+%F"]), said("git", &["describe", "--always", "--dirty"]));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../bench/results/endure-{date}-{commit}.md"));
    let mut all = fs::read_to_string(&path).unwrap_or_else(|_| format!("# Long runs at {commit}\n\n{}\n", machine()));
    writeln!(all, "\n## {what}\n\n{text}").unwrap();
    fs::write(path, all).unwrap();
    println!("{what}: {text}");
}

fn machine() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
    format!("{}, {cores} cores, Linux {}", processor.trim_start_matches([' ', '\t', ':']), said("uname", &["-r"]))
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
