//! The matches of one hostname, by path.

use super::entry::{Entry, PathMatch, ValueTest};
use super::{Asked, Found};

use crate::map::Map;

/// Within each list the entry with the highest precedence comes first.
#[derive(Default)]
pub(super) struct Host {
    exact: Map<Box<str>, Vec<Entry>>,
    prefixes: Map<Box<str>, Vec<Entry>>,
    /// Gateway API leaves their place open: behind exact paths, before prefixes.
    regexes: Vec<(ValueTest, Entry)>,
}

impl Host {
    pub(super) fn build(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|one, other| other.precedence.cmp(&one.precedence));
        let mut host = Self::default();
        for entry in entries {
            match &entry.path {
                PathMatch::Exact(path) => host.exact.entry(path.as_str().into()).or_default().push(entry),
                PathMatch::Prefix(prefix) => host.prefixes.entry(prefix.as_str().into()).or_default().push(entry),
                PathMatch::Regex(test) => host.regexes.push((test.clone(), entry)),
            }
        }
        host
    }

    pub(super) fn find(&self, asked: &Asked<'_>) -> Option<Found> {
        self.find_exact(asked).or_else(|| self.find_regex(asked)).or_else(|| self.find_prefix(asked))
    }

    /// Whether an entry has the rule's names and its policy's. The rule itself may have been prepared anew.
    pub(super) fn holds(&self, found: &Found) -> bool {
        let listed = self.exact.values().chain(self.prefixes.values()).flatten();
        let mut entries = listed.chain(self.regexes.iter().map(|(_, entry)| entry));
        entries.any(|entry| {
            entry.policy == found.policy && entry.rule.api == found.rule.api && entry.rule.name == found.rule.name
        })
    }

    fn find_exact(&self, asked: &Asked<'_>) -> Option<Found> {
        let entries = self.exact.get(asked.path)?;
        entries.iter().find(|entry| entry.admits(asked)).map(|entry| found(entry, asked.path.len()))
    }

    fn find_regex(&self, asked: &Asked<'_>) -> Option<Found> {
        let matching = |(test, entry): &&(ValueTest, Entry)| test.passes(asked.path.as_bytes()) && entry.admits(asked);
        self.regexes.iter().find(matching).map(|(_, entry)| found(entry, asked.path.len()))
    }

    /// From the longest prefix to the shortest: the path itself, then up to each of its slashes.
    fn find_prefix(&self, asked: &Asked<'_>) -> Option<Found> {
        let whole = asked.path.trim_end_matches('/');
        let shorter = whole.rmatch_indices('/').map(|(at, _)| at);
        let lengths = std::iter::once(whole.len()).chain(shorter);
        for length in lengths {
            let entries = asked.path.get(..length).and_then(|prefix| self.prefixes.get(prefix));
            if let Some(entry) = entries.into_iter().flatten().find(|entry| entry.admits(asked)) {
                return Some(found(entry, length));
            }
        }
        None
    }
}

fn found(entry: &Entry, matched: usize) -> Found {
    Found { rule: entry.rule.clone(), policy: entry.policy.clone(), matched }
}
