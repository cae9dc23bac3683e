//! One match of one rule, and its precedence.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, Method};
use regex::bytes::Regex;
use sallyport_snapshot::expression::{self, Budget};
use sallyport_snapshot::v1::{self, r#match::Path, value_match::Value};

use super::{Asked, Rule};
use crate::path::{Query, canonical};

/// A match of a rule on one listener, under one policy.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) precedence: Precedence,
    pub(super) matching: Arc<Match>,
    /// Of the suffix that may have exactly one label in front of it, the length; absent where any number is taken.
    single_before: Option<usize>,
    pub(super) rule: Arc<Rule>,
    pub(super) policy: Arc<str>,
}

/// What a match asks for, prepared once for all listeners and hosts.
pub(super) struct Match {
    pub(super) path: PathMatch,
    method: Option<Method>,
    headers: Vec<(HeaderName, ValueTest)>,
    query: Vec<(String, ValueTest)>,
}

/// Gateway API's order among matches of the same path: the greatest wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence {
    method: bool,
    headers: usize,
    query: usize,
    /// Creation, "namespace/name" and rule: the smallest wins.
    age: Reverse<(i64, Arc<str>, usize)>,
}

pub(super) enum PathMatch {
    Exact(String),
    /// Without a slash at its end; empty matches every path.
    Prefix(String),
    Regex(Regex),
    /// An expression that does not compile: nobody can tell what it would have matched, and its rule denies.
    Unknown,
}

pub(super) enum ValueTest {
    Exact(Vec<u8>),
    Regex(Regex),
    /// An expression that does not compile: its rule denies, and so it has to match whatever the expression could.
    Anything,
}

/// Prepares the matches of one route. What cannot be prepared is named; its rule denies, and so it has to match whatever it could.
#[derive(Default)]
pub(super) struct Preparation {
    budget: Budget,
    problems: Vec<String>,
}

impl Preparation {
    /// The matches of `rule`, and what of them could not be prepared.
    pub(super) fn matches(&mut self, rule: &v1::Rule) -> (Vec<Arc<Match>>, Vec<String>) {
        let matches = rule.matches.iter().map(|one| Arc::new(self.one(one))).collect();
        (matches, std::mem::take(&mut self.problems))
    }

    fn one(&mut self, one: &v1::Match) -> Match {
        let path = match &one.path {
            Some(Path::Exact(path)) => PathMatch::Exact(as_asked_for(path)),
            Some(Path::Prefix(prefix)) => PathMatch::Prefix(as_asked_for(prefix).trim_end_matches('/').to_owned()),
            Some(Path::Regex(text)) => self.expression(text).map_or(PathMatch::Unknown, PathMatch::Regex),
            None => PathMatch::Prefix(String::new()),
        };
        let method = self.method(&one.method);
        let headers = self.headers(&one.headers);
        let query = one.query.iter().map(|test| (test.name.clone(), self.value(test))).collect();
        Match { path, method, headers, query }
    }

    fn method(&mut self, text: &str) -> Option<Method> {
        let method = (!text.is_empty()).then(|| Method::from_bytes(text.as_bytes()))?;
        self.noted(method.map_err(|_| format!("method {text:?}")))
    }

    /// Of tests of one header the first counts (Gateway API, HTTPHeaderMatch).
    fn headers(&mut self, tests: &[v1::ValueMatch]) -> Vec<(HeaderName, ValueTest)> {
        let mut headers = Vec::<(HeaderName, ValueTest)>::with_capacity(tests.len());
        for test in tests {
            let parsed = test.name.parse::<HeaderName>().map_err(|_| format!("header name {:?}", test.name));
            let Some(name) = self.noted(parsed) else { continue };
            if headers.iter().all(|(other, _)| *other != name) {
                headers.push((name, self.value(test)));
            }
        }
        headers
    }

    fn value(&mut self, test: &v1::ValueMatch) -> ValueTest {
        match &test.value {
            Some(Value::Exact(value)) => ValueTest::Exact(value.clone().into_bytes()),
            Some(Value::Regex(text)) => self.expression(text).map_or(ValueTest::Anything, ValueTest::Regex),
            None => {
                self.problems.push(format!("a test of {:?} without a value", test.name));
                ValueTest::Anything
            }
        }
    }

    fn expression(&mut self, text: &str) -> Option<Regex> {
        let compiled = self.budget.spend(|| expression::compile(text));
        self.noted(compiled.map_err(|why| format!("{text:?} is no expression that can be used: {why}")))
    }

    fn noted<T>(&mut self, prepared: Result<T, String>) -> Option<T> {
        prepared.map_err(|problem| self.problems.push(problem)).ok()
    }
}

impl Match {
    /// Whether everything but host and path matches.
    fn admits(&self, asked: &Asked<'_>) -> bool {
        self.method.as_ref().is_none_or(|method| method == asked.method)
            && self.headers.iter().all(|(name, test)| header_passes(asked.headers, name, test))
            && self.query.iter().all(|(name, test)| query_passes(asked.query, name, test))
    }
}

/// In the form that requests are compared in. What has none stands for requests that are refused: as it is, it matches nothing.
fn as_asked_for(path: &str) -> String {
    canonical(path).map_or_else(|_| path.to_owned(), Cow::into_owned)
}

impl Entry {
    /// `age`: creation, "namespace/name" and rule.
    pub(super) fn new(matching: &Arc<Match>, rule: &Arc<Rule>, policy: &Arc<str>, age: (i64, Arc<str>, usize)) -> Self {
        let precedence = Precedence {
            method: matching.method.is_some(),
            headers: matching.headers.len(),
            query: matching.query.len(),
            age: Reverse(age),
        };
        let (matching, rule, policy) = (Arc::clone(matching), Arc::clone(rule), Arc::clone(policy));
        Self { precedence, matching, single_before: None, rule, policy }
    }

    /// The same for hosts with exactly one label in front of `suffix`, e.g. ".example.com".
    pub(super) fn with_one_label_before(self, suffix: &str) -> Self {
        Self { single_before: Some(suffix.len()), ..self }
    }

    /// Whether everything but the path matches, of a host that has the entry's suffix.
    pub(super) fn admits(&self, asked: &Asked<'_>) -> bool {
        let is_single = |suffix: usize| asked.host.find('.') == asked.host.len().checked_sub(suffix);
        self.single_before.is_none_or(is_single) && self.matching.admits(asked)
    }
}

impl ValueTest {
    fn passes(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(expected) => expected == value,
            Self::Regex(expression) => expression.is_match(value),
            Self::Anything => true,
        }
    }
}

/// Several lines of one name are one value, with commas between them (RFC 9110, 5.3).
fn header_passes(headers: &HeaderMap, name: &HeaderName, test: &ValueTest) -> bool {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (None, _) => false,
        (Some(line), None) => test.passes(line.as_bytes()),
        (Some(_), Some(_)) => {
            let all: Vec<_> = headers.get_all(name).into_iter().map(http::HeaderValue::as_bytes).collect();
            test.passes(&all.join(&b","[..]))
        }
    }
}

/// The first value of a parameter counts.
fn query_passes(query: Query<'_>, name: &str, test: &ValueTest) -> bool {
    let first = query.decoded().find(|(one, _)| **one == *name.as_bytes());
    first.is_some_and(|(_, value)| test.passes(&value))
}
