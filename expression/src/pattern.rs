//! Patterns of `matches`, in the syntax of the crate regex: bounded each and together, and held once, whoever states them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::nfa::thompson::WhichCaptures;

/// Bytes that the program of one may take: hundreds of characters, and few repetitions of classes.
const MAX_BYTES: usize = 1 << 16;
/// Bytes that those of all expressions of one policy may take together: dozens of plain ones.
const MAX_TOGETHER: usize = 1 << 20;
/// What is tried first, and doubled until the program fits.
const LEAST_BYTES: usize = 1 << 12;
/// Room, for each thread that matches, for states that are made while it does. Without any left it goes on more slowly, in time that is
/// linear in text and program.
const CACHE_BYTES: usize = 1 << 16;
/// Bytes of a program that cost as much as one byte of text more.
const BYTES_A_WEIGHT: usize = LEAST_BYTES / 8;

/// A pattern that is ready to be matched.
pub struct Pattern {
    matcher: Regex,
    bytes: usize,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// What the patterns of one policy may still take. Both halves spend it in the order of rules, and in each of `when` and `require`.
#[derive(Debug)]
pub struct Budget {
    left_bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left_bytes: MAX_TOGETHER }
    }
}

impl Budget {
    /// The pattern, if there is room for it.
    pub(crate) fn pattern(&mut self, text: &str) -> Result<Arc<Pattern>, String> {
        let exhausted = || "the patterns of the policy take too much memory together".to_owned();
        if self.left_bytes == 0 {
            return Err(exhausted());
        }
        let pattern = Pattern::shared(text).inspect_err(|_| {
            self.left_bytes = self.left_bytes.saturating_sub(MAX_BYTES);
        })?;
        let fits = pattern.held_bytes() <= self.left_bytes;
        self.left_bytes = self.left_bytes.saturating_sub(pattern.held_bytes());
        if fits { Ok(pattern) } else { Err(exhausted()) }
    }
}

/// All that somebody holds, by their texts.
static HELD: LazyLock<Mutex<Held>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Held {
    by_text: HashMap<Box<str>, Weak<Pattern>>,
    /// At how many those are looked for that nobody holds any more.
    full_at: usize,
}

impl Pattern {
    fn shared(text: &str) -> Result<Arc<Self>, String> {
        if let Some(known) = HELD.lock().by_text.get(text).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let pattern = Arc::new(Self::build(text)?);
        let mut held = HELD.lock();
        if held.by_text.len() >= held.full_at {
            held.by_text.retain(|_, pattern| pattern.strong_count() > 0);
            held.full_at = 2 * held.by_text.len() + 64;
        }
        held.by_text.insert(text.into(), Arc::downgrade(&pattern));
        Ok(pattern)
    }

    fn build(text: &str) -> Result<Self, String> {
        let mut bytes = LEAST_BYTES;
        loop {
            match Regex::builder().configure(within(bytes)).build(text) {
                Ok(matcher) => return Ok(Self { matcher, bytes }),
                Err(error) if error.size_limit().is_some() && bytes < MAX_BYTES => bytes *= 2,
                Err(error) => return Err(because(&error)),
            }
        }
    }

    fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.matcher.memory_usage()
    }

    /// How many bytes of plain text a byte costs that is matched.
    pub(crate) fn weight(&self) -> usize {
        self.bytes / BYTES_A_WEIGHT
    }

    /// Whether it is somewhere in `text`.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }
}

/// Only whether something matches is asked: engines that find out where its groups are would take memory of their own.
fn within(bytes: usize) -> Config {
    Config::new()
        .nfa_size_limit(Some(bytes))
        .hybrid_cache_capacity(CACHE_BYTES)
        .which_captures(WhichCaptures::Implicit)
        .onepass(false)
        .backtrack(false)
        .dfa(false)
}

/// The last line says what is wrong; those before it show where.
fn because(error: &BuildError) -> String {
    match error.syntax_error() {
        Some(error) => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        None => "it takes too much memory; repeat less".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_bytes(bytes: usize) -> Budget {
        Budget { left_bytes: bytes }
    }

    #[test]
    fn a_pattern_matches_anywhere_unless_it_says_where() {
        for (text, within, matches) in [
            ("b", "abc", true),
            ("^b", "abc", false),
            ("^(a|b)+$", "abab", true),
            ("(?i)B", "abc", true),
            ("", "", true),
            (r"^\d{4}$", "2026", true),
            (r"a\.b", "axb", false),
        ] {
            assert_eq!(Budget::default().pattern(text).unwrap().is_match(within), matches, "{text} {within}");
        }
    }

    #[test]
    fn what_is_no_pattern_or_takes_too_much_is_refused_with_the_reason() {
        for (text, why) in [
            ("(", "unclosed group"),
            ("[", "unclosed character class"),
            (r"(a)\1", "backreferences are not supported"),
            ("(?=a)", "look-around"),
            (r"\w{100}", "it takes too much memory"),
            ("(?:a{1000}){1000}", "it takes too much memory"),
        ] {
            let found = Budget::default().pattern(text).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
    }

    #[test]
    fn groups_take_no_memory_of_their_own() {
        let held = |text: &str| Budget::default().pattern(text).unwrap().held_bytes();
        let (with, without) = (held("(abcdefghij(0123456789)a{300})"), held("(?:abcdefghij(?:0123456789)a{300})"));
        assert!(with <= without + 1024, "{with} {without}");
    }

    #[test]
    fn all_patterns_of_a_policy_have_so_much_together() {
        let mut budget = Budget::default();
        let fit = (0..10_000).take_while(|at| budget.pattern(&format!("{at}[ab]{{500}}")).is_ok()).count();
        assert!((5..100).contains(&fit), "{fit}");
        assert!(budget.pattern("a").is_err(), "what was refused has cost as well");
        let mut budget = Budget::default();
        assert!((0..100).all(|at| budget.pattern(&format!("^/orders/{at}/[0-9]+$")).is_ok()), "plain ones");
        let mut budget = Budget::default();
        let refused = (0..20).map(|_| budget.pattern(r"\w{100}").unwrap_err());
        assert!(refused.last().unwrap().contains("together"), "what fails has cost as much");
    }

    #[test]
    fn without_room_nothing_is_made() {
        assert!(of_bytes(0).pattern("a").unwrap_err().contains("together"));
        assert!(of_bytes(1).pattern("a").unwrap_err().contains("together"));
    }

    #[test]
    fn a_pattern_is_held_once_and_no_longer_than_somebody_has_it() {
        let text = "^held once$";
        let one = Budget::default().pattern(text).unwrap();
        assert!(Arc::ptr_eq(&one, &Budget::default().pattern(text).unwrap()));
        let weak = Arc::downgrade(&one);
        drop(one);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn a_large_pattern_costs_more_for_each_byte_of_text() {
        let weight = |text: &str| Budget::default().pattern(text).unwrap().weight();
        assert_eq!(weight("^/orders/[0-9]+$"), 8);
        assert!(weight("a[ab]{800}[^ab]") >= 64);
    }
}
