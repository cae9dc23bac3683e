//! One thing that was looked at.

use serde::Serialize;

/// What was looked at, whether it is well, and the cure if it is not.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) fine: bool,
    pub(super) message: String,
}

impl Finding {
    pub(super) fn fine(what: impl Into<String>) -> Self {
        Self { what: what.into(), fine: true, message: String::new() }
    }

    pub(super) fn wrong(what: impl Into<String>, message: impl Into<String>) -> Self {
        Self { what: what.into(), fine: false, message: message.into() }
    }

    /// Well if there is no message.
    pub(super) fn of(what: impl Into<String>, message: Option<String>) -> Self {
        match message {
            None => Self::fine(what),
            Some(message) => Self::wrong(what, message),
        }
    }
}

/// A line each, and one that counts.
pub(super) fn lines(findings: &[Finding]) -> String {
    let line = |one: &Finding| match one.fine {
        true => format!("ok     {}", one.what),
        false => format!("wrong  {}: {}", one.what, one.message),
    };
    let printable = |text: String| text.replace(|letter: char| letter.is_control(), "\u{fffd}");
    let closing = match findings.iter().filter(|one| !one.fine).count() {
        0 => "everything is well".to_owned(),
        1 => "1 thing is wrong".to_owned(),
        wrong => format!("{wrong} things are wrong"),
    };
    let all = findings.iter().map(line).map(printable);
    all.chain([closing]).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_has_a_line_and_the_last_one_counts() {
        let wrong = Finding::wrong("Gateway API", "it is not served;\u{1b} install it");
        assert_eq!(lines(&[Finding::fine("Kubernetes 1.37")]), "ok     Kubernetes 1.37\neverything is well");
        assert_eq!(lines(&[wrong]), "wrong  Gateway API: it is not served;\u{fffd} install it\n1 thing is wrong");
    }
}
