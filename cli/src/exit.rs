//! One table of exit codes for every verb and every output format.

use std::process::ExitCode;

/// Shown by `--help`.
pub(crate) const HELP: &str =
    "Exit codes, the same for every verb and format: 0 fine, 1 findings, 2 wrong usage or cannot tell.";

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is as it should be.
    Fine,
    /// There is something to be corrected.
    Findings,
    /// Wrong usage, or something that could not be read, bound or reached.
    CannotTell,
}

impl Outcome {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Fine, Self::Findings, Self::CannotTell];

    /// What the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Findings => 1,
            Self::CannotTell => 2,
        }
    }

    /// What it means, for the reference page.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Fine => {
                "Fine: `validate` found no error (notes are none), `status` and `check` found everything ready, `explain` that the request is forwarded, to whichever service it falls on, `run` was told to stop and has drained."
            }
            Self::Findings => {
                "Findings: `validate` found errors, `status` or `check` something that is not ready, `explain` that the request is not forwarded, or not to every service, `demo` was answered otherwise than expected, another word overrules an approval, or what was waited for did not come in time."
            }
            Self::CannotTell => {
                "Wrong usage, or it cannot be told: an option is wrong, a file cannot be read, an address is taken, a cluster cannot be reached or does not let one read; or what `explain` is asked hangs on somebody whom it does not ask, or cannot reach."
            }
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_each_code() {
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(outcome.code()), at);
            assert!(HELP.contains(&format!(" {} ", outcome.code())), "{outcome:?}");
        }
        assert!(!HELP.contains(" 3 "));
    }
}
