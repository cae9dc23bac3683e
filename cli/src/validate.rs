//! `sallyport validate`: every problem, where it is, and the cure.

use std::path::PathBuf;

use anyhow::Context as _;
use sallyport_controller::manifest::{Diagnostic, Severity, files};

use crate::exit::Outcome;
use crate::standalone::State;
use crate::{Output, print};

pub(crate) fn validate(paths: &[PathBuf], output: Output) -> anyhow::Result<Outcome> {
    let mut sources = Vec::new();
    for path in paths {
        sources.extend(files::read(path).with_context(|| format!("{} cannot be read", path.display()))?);
    }
    anyhow::ensure!(!sources.is_empty(), "there is no *.yaml, *.yml or *.json file");
    let mut state = State::default();
    let mut diagnostics = state.load(&sources);
    diagnostics.extend(state.judge());
    diagnostics.sort();
    diagnostics.dedup();
    match output {
        Output::Table => table(&diagnostics),
        Output::Json => print::line(&serde_json::to_string_pretty(&diagnostics)?),
    }
    let findings = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    Ok(if findings { Outcome::Findings } else { Outcome::Fine })
}

fn table(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        let severity = if diagnostic.severity == Severity::Note { "note: " } else { "" };
        print::line(&format!("{severity}{diagnostic}"));
    }
    if diagnostics.is_empty() {
        print::line("no problems found");
    }
}
