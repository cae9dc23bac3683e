//! The matches of one hostname, by path.

use super::entry::{Entry, PathMatch};
use super::{Asked, Found};

use crate::map::Map;

/// Within each list the entry with the highest precedence comes first.
#[derive(Default)]
pub(super) struct Host {
    exact: Map<Box<str>, Vec<Entry>>,
    prefixes: Map<Box<str>, Vec<Entry>>,
    /// Bytes of the longest prefix: nothing longer is looked up.
    longest_prefix: usize,
    /// Gateway API leaves their place open: behind exact paths, before prefixes.
    regexes: Vec<Entry>,
    /// Those of which nobody can tell what they match.
    unknown: Vec<Entry>,
}

impl Host {
    pub(super) fn build(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|one, other| other.precedence.cmp(&one.precedence));
        let mut host = Self::default();
        for entry in entries {
            match &entry.matching.path {
                PathMatch::Exact(path) => host.exact.entry(path.as_str().into()).or_default().push(entry),
                PathMatch::Prefix(prefix) => {
                    host.longest_prefix = host.longest_prefix.max(prefix.len());
                    host.prefixes.entry(prefix.as_str().into()).or_default().push(entry);
                }
                PathMatch::Regex(_) => host.regexes.push(entry),
                PathMatch::Unknown => host.unknown.push(entry),
            }
        }
        host
    }

    pub(super) fn find(&self, asked: &Asked<'_>) -> Option<Found> {
        self.find_exact(asked).or_else(|| self.find_regex(asked)).or_else(|| self.find_prefix(asked))
    }

    pub(super) fn has_unknown(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// A rule that might have matched, of this namespace where one is given.
    pub(super) fn find_unknown(&self, asked: &Asked<'_>, namespace: Option<&str>) -> Option<Found> {
        let of_namespace = |entry: &&Entry| namespace.is_none_or(|namespace| *entry.rule.api.namespace == *namespace);
        let mut entries = self.unknown.iter().filter(of_namespace);
        entries.find(|entry| entry.admits(asked)).map(|entry| found(entry, asked.path.len()))
    }

    fn find_exact(&self, asked: &Asked<'_>) -> Option<Found> {
        let entries = self.exact.get(asked.path)?;
        entries.iter().find(|entry| entry.admits(asked)).map(|entry| found(entry, asked.path.len()))
    }

    fn find_regex(&self, asked: &Asked<'_>) -> Option<Found> {
        let is_match = |entry: &&Entry| match &entry.matching.path {
            PathMatch::Regex(expression) => expression.is_match(asked.path.as_bytes()),
            _ => false,
        };
        let mut entries = self.regexes.iter().filter(is_match);
        entries.find(|entry| entry.admits(asked)).map(|entry| found(entry, asked.path.len()))
    }

    /// From the longest prefix to the shortest: the path itself, then up to each of its slashes.
    fn find_prefix(&self, asked: &Asked<'_>) -> Option<Found> {
        let whole = asked.path.trim_end_matches('/');
        let shorter = whole.rmatch_indices('/').map(|(at, _)| at);
        let lengths = std::iter::once(whole.len()).chain(shorter);
        // A long path of many slashes would be read once for each of them.
        for length in lengths.skip_while(|length| *length > self.longest_prefix) {
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
