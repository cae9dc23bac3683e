//! `sallyport validate`: every problem, where it is, and the cure.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sallyport_controller::manifest::files::{self, Found};
use sallyport_controller::manifest::{Diagnostic, Severity};

use crate::exit::Outcome;
use crate::standalone::State;
use crate::{Output, print};

/// A path of this name is standard input, as kubectl has it.
const STANDARD_INPUT: &str = "-";

pub(crate) fn validate(paths: &[PathBuf], output: Output) -> anyhow::Result<Outcome> {
    let found = read(paths)?;
    let is_unreadable = !found.unreadable.is_empty();
    anyhow::ensure!(is_unreadable || !found.files.is_empty(), "there is no *.yaml, *.yml or *.json file");
    let mut state = State::default();
    let mut diagnostics = state.load_found(found);
    diagnostics.extend(state.judge());
    diagnostics.sort();
    diagnostics.dedup();
    match output {
        Output::Table => table(&diagnostics),
        Output::Json => print::line(&serde_json::to_string_pretty(&diagnostics)?),
    }
    Ok(match count(&diagnostics, Severity::Error) {
        _ if is_unreadable => Outcome::CannotTell,
        0 => Outcome::Fine,
        _ => Outcome::Findings,
    })
}

fn read(paths: &[PathBuf]) -> anyhow::Result<Found> {
    let (streams, paths): (Vec<_>, Vec<_>) = paths.iter().cloned().partition(|path| path == Path::new(STANDARD_INPUT));
    let mut found = files::read(&paths);
    if !streams.is_empty() {
        let file = files::read_stream("standard input", io::stdin()).context("standard input cannot be read")?;
        found.files.push(file);
    }
    Ok(found)
}

fn table(diagnostics: &[Diagnostic]) {
    let is_coloured = print::is_coloured();
    for diagnostic in diagnostics {
        print::line(&row(diagnostic, is_coloured));
    }
    print::line(&closing_line(diagnostics));
}

fn row(diagnostic: &Diagnostic, is_coloured: bool) -> String {
    let severity = diagnostic.severity.as_str();
    let severity = match diagnostic.severity {
        Severity::Error if is_coloured => format!("\u{1b}[31m{severity}\u{1b}[0m"),
        Severity::Note if is_coloured => format!("\u{1b}[36m{severity}\u{1b}[0m"),
        Severity::Error | Severity::Note => severity.to_owned(),
    };
    // Whoever wrote a manifest writes no control sequences to the terminal of whoever validates it.
    let printable = |text: String| text.replace(|letter: char| letter.is_control(), "\u{fffd}");
    format!("{}: {severity}: {}", printable(diagnostic.place()), printable(diagnostic.text()))
}

fn closing_line(diagnostics: &[Diagnostic]) -> String {
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let notes = match count(diagnostics, Severity::Note) {
        0 => String::new(),
        notes => format!(", {}", counted(notes, "note")),
    };
    match count(diagnostics, Severity::Error) {
        0 => format!("no problems found{notes}"),
        errors => format!("{} found{notes}", counted(errors, "problem")),
    }
}

fn count(diagnostics: &[Diagnostic], severity: Severity) -> usize {
    diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(line: u32, severity: Severity) -> Diagnostic {
        let (object, field) = ("ApiPolicy shop/orders".to_owned(), "spec.mode".to_owned());
        Diagnostic {
            file: "a.yaml".into(),
            line,
            column: 3,
            object,
            field,
            severity,
            reason: None,
            message: "no \u{1b}[2J".into(),
        }
    }

    #[test]
    fn a_row_has_place_severity_object_field_and_message_and_no_control_characters() {
        let plain = "a.yaml:7:3: error: ApiPolicy shop/orders: spec.mode: no \u{fffd}[2J";
        assert_eq!(row(&diagnostic(7, Severity::Error), false), plain);
        let coloured = plain.replace("error", "\u{1b}[31merror\u{1b}[0m");
        assert_eq!(row(&diagnostic(7, Severity::Error), true), coloured);
        let of_file = Diagnostic::of_file("b.yaml", Severity::Note, "the file holds no object");
        assert_eq!(row(&of_file, false), "b.yaml: note: the file holds no object");
    }

    #[test]
    fn the_last_line_counts() {
        let (error, note) = (diagnostic(1, Severity::Error), diagnostic(2, Severity::Note));
        for (diagnostics, line) in [
            (vec![], "no problems found"),
            (vec![note.clone()], "no problems found, 1 note"),
            (vec![error.clone()], "1 problem found"),
            (vec![error.clone(), error, note.clone(), note], "2 problems found, 2 notes"),
        ] {
            assert_eq!(closing_line(&diagnostics), line);
        }
    }
}
