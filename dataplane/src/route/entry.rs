//! One match of one rule, and its precedence.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, Method};
use regex::bytes::Regex;
use sallyport_snapshot::expression;
use sallyport_snapshot::v1::{self, r#match::Path, value_match::Value};

use super::{Asked, Rule};
use crate::path::{Query, canonical};

/// A match of a rule on one listener, under one policy.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) precedence: Precedence,
    pub(super) matching: Arc<Match>,
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

impl Match {
    pub(super) fn prepare(one: &v1::Match) -> Self {
        let path = match &one.path {
            Some(Path::Exact(path)) => PathMatch::Exact(as_asked_for(path)),
            Some(Path::Prefix(prefix)) => PathMatch::Prefix(as_asked_for(prefix).trim_end_matches('/').to_owned()),
            Some(Path::Regex(expression)) => compile(expression).map_or(PathMatch::Unknown, PathMatch::Regex),
            None => PathMatch::Prefix(String::new()),
        };
        Self {
            path,
            method: Method::from_bytes(one.method.as_bytes()).ok(),
            headers: one
                .headers
                .iter()
                .filter_map(|test| Some((test.name.parse().ok()?, ValueTest::new(test))))
                .collect(),
            query: one.query.iter().map(|test| (test.name.clone(), ValueTest::new(test))).collect(),
        }
    }

    /// Whether everything but the path matches.
    pub(super) fn admits(&self, asked: &Asked<'_>) -> bool {
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
        Self { precedence, matching: Arc::clone(matching), rule: Arc::clone(rule), policy: Arc::clone(policy) }
    }
}

impl ValueTest {
    fn new(test: &v1::ValueMatch) -> Self {
        match &test.value {
            Some(Value::Exact(value)) => Self::Exact(value.clone().into_bytes()),
            Some(Value::Regex(expression)) => compile(expression).map_or(Self::Anything, Self::Regex),
            None => Self::Anything,
        }
    }

    fn passes(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(expected) => expected == value,
            Self::Regex(expression) => expression.is_match(value),
            Self::Anything => true,
        }
    }
}

pub(super) fn compile(text: &str) -> Result<Regex, String> {
    expression::compile(text).map_err(|why| format!("{text:?} is no expression that can be used: {why}"))
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
