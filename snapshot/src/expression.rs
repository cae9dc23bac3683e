//! Regular expressions of routes: one judge for both halves, so that what one takes the other takes, and means the same by it.

use regex::Error;
use regex::bytes::{Regex, RegexBuilder};

/// Bytes that the program of one expression may take.
pub const MAX_BYTES: usize = 1 << 20;
/// Bytes that the programs of all expressions of one route may take together: eight of the greatest, or thousands of plain ones. What
/// matching by them takes besides, on each thread that matches, is [`CACHE_SHARE`] times as much at most.
pub const MAX_ROUTE_BYTES: usize = 8 * MAX_BYTES;
/// An expression's states are made while it is matched, and kept. With room for this many times its program a plain one keeps all of
/// its states; one with more of them makes some anew, or is matched in slower ways, in time that is linear all the same.
pub const CACHE_SHARE: usize = 3;
/// What is tried first, and doubled until the program fits: an expression costs at most twice what it needs.
const LEAST_BYTES: usize = 1 << 12;

/// An expression that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In the words of whoever has compiled it.
    pub why: String,
    /// What it took to find out.
    pub bytes: usize,
}

/// What the expressions of one route may still take. Both halves spend it in the order of rules, matches, and in each of them path,
/// headers, query.
#[derive(Debug)]
pub struct Budget {
    left_bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left_bytes: MAX_ROUTE_BYTES }
    }
}

impl Budget {
    /// What `compile` makes of an expression, with the bytes that it takes, if there is room for it. Without any it is not even tried.
    pub fn spend<T>(&mut self, compile: impl FnOnce() -> Result<(T, usize), Refused>) -> Result<T, String> {
        let exhausted = || "the expressions of the route take too much memory together".to_owned();
        if self.left_bytes == 0 {
            return Err(exhausted());
        }
        let compiled = compile();
        let bytes = compiled.as_ref().map_or_else(|refused| refused.bytes, |(_, bytes)| *bytes);
        let fits = bytes <= self.left_bytes;
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
        match compiled {
            Ok((expression, _)) if fits => Ok(expression),
            Ok(_) => Err(exhausted()),
            Err(refused) => Err(refused.why),
        }
    }
}

/// `text` as it is matched, anchored at both ends, and the bytes that it takes.
pub fn compile(text: &str) -> Result<(Regex, usize), Refused> {
    judge(text).map_err(|why| Refused { why, bytes: LEAST_BYTES })?;
    let anchored = format!("^(?:{text})$");
    let mut bytes = LEAST_BYTES;
    loop {
        match RegexBuilder::new(&anchored).size_limit(bytes).dfa_size_limit(bytes * CACHE_SHARE).build() {
            Ok(expression) => return Ok((expression, bytes)),
            Err(Error::CompiledTooBig(_)) if bytes < MAX_BYTES => bytes = bytes.saturating_mul(2),
            Err(error) => return Err(Refused { why: because(&error), bytes }),
        }
    }
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
            assert_eq!(compile(expression).unwrap().0.is_match(text.as_bytes()), is_match, "{expression} {text}");
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
            let refused = Refused { why: "it takes too much memory".to_owned(), bytes: MAX_BYTES };
            assert_eq!(compile(expression).unwrap_err(), refused, "{expression}");
            assert!(judge(expression).is_ok(), "{expression}");
        }
    }

    #[test]
    fn a_route_has_so_much_and_no_more() {
        let spent = |expressions: &[&str]| {
            let mut budget = Budget::default();
            let compiled = expressions.iter().map(|text| budget.spend(|| compile(text)).is_ok());
            compiled.collect::<Vec<_>>()
        };
        let (big, too_big) = (r"\w{20}", r"\w{1000}");
        let (_, bytes) = compile(big).unwrap();
        assert!(bytes > MAX_BYTES / 4, "{bytes}");
        let fit = MAX_ROUTE_BYTES / bytes;
        assert_eq!(spent(&vec![big; fit + 2]), [vec![true; fit], vec![false; 2]].concat());
        assert_eq!(spent(&[&[too_big; 8][..], &["a"]].concat()), [false; 9], "what fails has cost as much");
        assert_eq!(
            spent(&[&[too_big; 7][..], &["a", "("], &["b"; 200]].concat())[7..],
            [&[true, false][..], &[true; 200]].concat()
        );
        assert!(spent(&["/orders/[0-9]+"; 1000]).iter().all(|compiled| *compiled));
    }

    #[test]
    fn without_room_nothing_is_compiled() {
        let mut budget = Budget::default();
        assert!(budget.spend(|| Ok(((), MAX_ROUTE_BYTES))).is_ok());
        assert!(budget.spend::<()>(|| panic!("it is tried")).is_err());
    }
}
