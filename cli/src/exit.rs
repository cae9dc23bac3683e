//! One table of exit codes for every verb and every output format.

use std::process::ExitCode;

/// Shown by `--help`.
pub(crate) const HELP: &str =
    "Exit codes, the same for every verb and format: 0 fine, 1 findings, 2 wrong usage or cannot tell.";

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Fine,
    Findings,
    CannotTell,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Fine => Self::SUCCESS,
            Outcome::Findings => Self::from(1),
            Outcome::CannotTell => Self::from(2),
        }
    }
}
