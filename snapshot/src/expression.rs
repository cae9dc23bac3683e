//! Regular expressions of routes: one judge for both halves, so that what one takes the other takes, and means the same by it.

use regex::Error;
use regex::bytes::{Regex, RegexBuilder};

/// Bytes that the program of one expression may take.
pub const MAX_BYTES: usize = 1 << 20;

/// `text` as it is matched, anchored at both ends; why it cannot be used.
pub fn compile(text: &str) -> Result<Regex, String> {
    judge(text)?;
    RegexBuilder::new(&format!("^(?:{text})$")).size_limit(MAX_BYTES).build().map_err(|error| because(&error))
}

/// Whether `text` is an expression by itself, and stays a whole within brackets: `a)|(b` closes brackets that are not its own, and
/// `(?x)a #` makes a comment of what follows it.
pub fn judge(text: &str) -> Result<(), String> {
    [text, &format!("(?:{text})")].into_iter().try_for_each(judge_syntax)
}

/// Without room for a program only the syntax is looked at.
fn judge_syntax(text: &str) -> Result<(), String> {
    match RegexBuilder::new(text).size_limit(0).build() {
        Ok(_) | Err(Error::CompiledTooBig(_)) => Ok(()),
        Err(error) => Err(because(&error)),
    }
}

/// The last line says what is wrong; those before it show where.
fn because(error: &Error) -> String {
    match error {
        Error::CompiledTooBig(_) => "it takes too much memory".to_owned(),
        _ => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_the_whole_text() {
        for (expression, text, is_match) in [
            ("/a|/b", "/a", true),
            ("/a|/b", "/b", true),
            ("/a|/b", "/ax", false),
            ("/a|/b", "x/b", false),
            ("", "", true),
            ("", "x", false),
            ("(?i)/a", "/A", true),
            ("(?m)/a$", "/a\n/b", false),
            (r"(?-u)/\xff", "/\u{ff}", false),
        ] {
            assert_eq!(compile(expression).unwrap().is_match(text.as_bytes()), is_match, "{expression} {text}");
        }
    }

    #[test]
    fn what_is_no_whole_is_refused() {
        for expression in ["(", ")", "a)|(b", "[", "a\\", "(?x)a #", "(?x", "*", "(?<n>", r"\8"] {
            assert!(judge(expression).is_err() && compile(expression).is_err(), "{expression}");
        }
        for expression in ["(?x)a # a word\n", "(a)|(b)", r"a\)|\(b", "[)]|[(]"] {
            assert!(judge(expression).is_ok() && compile(expression).is_ok(), "{expression}");
        }
    }

    #[test]
    fn what_takes_too_much_is_refused() {
        for expression in [r"\w{1000}", "(?:a{1000}){1000}", "((a{100}){100}){100}"] {
            assert_eq!(compile(expression).unwrap_err(), "it takes too much memory", "{expression}");
            assert!(judge(expression).is_ok(), "{expression}");
        }
    }
}
