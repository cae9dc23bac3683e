//! Load by wrk: a closed loop, good for cost, never for latency.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Connections that are kept alive.
const CONNECTIONS: usize = 32;
/// The last of the routes, where there are 10,000 others.
const PATH: &str = "/apis/9999/orders";

/// What the callers send besides the request line.
pub(crate) struct Load<'a> {
    pub(crate) header: Option<(&'a str, &'a str)>,
    /// A file with one token a line, cycled through.
    pub(crate) tokens: Option<&'a Path>,
}

/// Sends for `seconds` from `core`; the number of requests that were answered with 200. Any other answer is an error.
pub(crate) fn run(folder: &Path, core: usize, port: u16, seconds: u64, load: &Load<'_>) -> anyhow::Result<u64> {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), "wrk", "-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")]);
    if let Some((name, value)) = load.header {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    if let Some(tokens) = load.tokens {
        let script = folder.join("tokens.lua");
        fs::write(&script, SCRIPT.replace("${TOKENS}", &tokens.display().to_string()))?;
        command.arg("-s").arg(script);
    }
    let output = command.arg(format!("http://127.0.0.1:{port}{PATH}")).output().context("wrk is not installed")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let refused = text.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors"));
    ensure!(refused.is_none() && output.status.success(), "wrk: {text}");
    let line = text.lines().find(|line| line.contains("requests in")).with_context(|| format!("wrk: {text}"))?;
    Ok(line.trim().split(' ').next().unwrap_or_default().parse()?)
}

const SCRIPT: &str = r#"
local tokens = {}
for line in io.lines("${TOKENS}") do tokens[#tokens + 1] = line end
local at = 0
request = function()
  at = at % #tokens + 1
  return wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. tokens[at] })
end
"#;
