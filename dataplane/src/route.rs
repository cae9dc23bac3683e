//! Which rule serves a request: Gateway API's precedence, found by look-ups rather than by a scan.

mod entry;
pub mod filter;
mod host;
mod rule;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::{HeaderMap, Method};
use sallyport_snapshot::v1;

use crate::map::Map;
use crate::path::Query;
use crate::runtime::keys::Api;
use crate::runtime::listener::suffixes;
use entry::{Entry, Match, Preparation};
use host::Host;
pub use rule::{Pick, Rule};

/// The routes of one listener.
#[derive(Default)]
pub struct RouteTable {
    exact: Map<Arc<str>, Host>,
    /// By what follows the asterisk, e.g. ".example.com".
    wildcards: Map<Arc<str>, Host>,
    any: Host,
    /// Some host has rules of which nobody can tell what they match.
    has_unknown: bool,
    serving: HashSet<Serving, RandomState>,
}

/// Names of a rule that serves, and of its policy: both may be prepared anew, and are the same to whoever they have admitted.
#[derive(PartialEq, Eq, Hash)]
struct Serving {
    api: Api,
    rule: Arc<str>,
    policy: Arc<str>,
}

/// What a request is matched by.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Canonical, without port.
    pub host: &'a str,
    /// Canonical.
    pub path: &'a str,
    pub method: &'a Method,
    pub headers: &'a HeaderMap,
    pub query: Query<'a>,
}

/// The rule that serves a request.
#[derive(Clone)]
pub struct Found {
    pub rule: Arc<Rule>,
    /// Name of the effective Policy.
    pub policy: Arc<str>,
    /// Bytes of the path that a prefix match covers; the whole path for other matches.
    pub matched: usize,
}

/// A route that has been prepared, with what could not be.
pub struct PreparedRoute {
    created_ms: i64,
    /// "namespace/name", for ties.
    name: Arc<str>,
    attachments: Vec<v1::Attachment>,
    rules: Vec<(Arc<Rule>, Vec<Arc<Match>>)>,
}

impl Found {
    /// Whether both are one rule under one policy.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rule, &other.rule) && self.policy == other.policy
    }
}

impl Serving {
    fn new(rule: &Rule, policy: &Arc<str>) -> Self {
        Self { api: rule.api.clone(), rule: Arc::clone(&rule.name), policy: Arc::clone(policy) }
    }
}

impl PreparedRoute {
    /// Prepares filters and backends. What cannot be prepared makes its rule deny, and is named.
    pub fn new(route: &v1::Route) -> (Self, Vec<String>) {
        let object = route.object.clone().unwrap_or_default();
        let mut problems = Vec::new();
        let mut preparation = Preparation::default();
        let rules = route.rules.iter().map(|rule| {
            let (matches, of_matches) = preparation.matches(rule);
            let (prepared, mut found) = Rule::prepare(&object, rule, of_matches);
            problems.append(&mut found);
            (Arc::new(prepared), matches)
        });
        let rules = rules.collect();
        let name = format!("{}/{}", object.namespace, object.name).into();
        (Self { created_ms: route.created_ms, name, attachments: route.attachments.clone(), rules }, problems)
    }

    /// The same matches, none of which is served: nothing looser takes their place.
    pub fn closed(&self, why: &str) -> Self {
        let closed = |(rule, matches): &(Arc<Rule>, Vec<Arc<Match>>)| (Arc::new(rule.closed(why)), matches.clone());
        Self {
            created_ms: self.created_ms,
            name: Arc::clone(&self.name),
            attachments: self.attachments.clone(),
            rules: self.rules.iter().map(closed).collect(),
        }
    }

    /// Names of the listeners it is attached to.
    pub fn listeners(&self) -> impl Iterator<Item = &str> {
        self.attachments.iter().map(|attachment| attachment.listener.as_str())
    }

    /// The listeners it is attached to, with its hostnames and policies there.
    pub fn attachments(&self) -> &[v1::Attachment] {
        &self.attachments
    }

    /// Where the object is.
    pub fn namespace(&self) -> &str {
        self.name.split_once('/').map_or("", |(namespace, _)| namespace)
    }
}

impl RouteTable {
    /// The table of the listener called `listener`.
    pub fn build<'a>(listener: &str, routes: impl IntoIterator<Item = &'a PreparedRoute>) -> Self {
        let mut table = Self::default();
        let mut by_host: BTreeMap<Cow<'_, str>, Vec<Entry>> = BTreeMap::new();
        for route in routes {
            for attachment in route.attachments.iter().filter(|attachment| attachment.listener == listener) {
                let entries = entries(route, attachment);
                let serving = entries.iter().filter(|entry| entry.rule.deny.is_none());
                table.serving.extend(serving.map(|entry| Serving::new(&entry.rule, &entry.policy)));
                if attachment.hostnames.is_empty() {
                    by_host.entry("".into()).or_default().extend(entries);
                    continue;
                }
                for hostname in &attachment.hostnames {
                    let (hostname, entries) = under(hostname, entries.iter().cloned());
                    by_host.entry(hostname).or_default().extend(entries);
                }
            }
        }
        for (hostname, entries) in by_host {
            table.put(&hostname, Host::build(entries));
        }
        table
    }

    /// The rule with the highest precedence among those that match. Less specific hosts are asked only where none does.
    ///
    /// A rule that cannot tell what it matches stands in the way of its own namespace's rules, which may be broader than what it
    /// guards, and of nobody else's.
    pub fn find(&self, asked: &Asked<'_>) -> Option<Found> {
        let found = self.hosts(asked.host).enumerate().find_map(|(at, host)| Some((at, host.find(asked)?)));
        if !self.has_unknown {
            return found.map(|(_, found)| found);
        }
        let (passed, found) = found.map_or((usize::MAX, None), |(at, found)| (at.saturating_add(1), Some(found)));
        let namespace = found.as_ref().map(|found| &*found.rule.api.namespace);
        let in_the_way = self.hosts(asked.host).take(passed).find_map(|host| host.find_unknown(asked, namespace));
        in_the_way.or(found)
    }

    /// The hosts that cover `host`, the most specific first.
    fn hosts<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Host> {
        // Most tables know no wildcard: the name is not even taken apart.
        let suffixes = (!self.wildcards.is_empty()).then(|| suffixes(host)).into_iter().flatten();
        let wildcards = suffixes.filter_map(|suffix| self.wildcards.get(suffix));
        self.exact.get(host).into_iter().chain(wildcards).chain([&self.any])
    }

    /// Whether the rule that was found is still here, and serves under the same policy.
    pub fn holds(&self, found: &Found) -> bool {
        self.serving.contains(&Serving::new(&found.rule, &found.policy))
    }

    fn put(&mut self, hostname: &str, host: Host) {
        self.has_unknown |= host.has_unknown();
        if hostname.is_empty() {
            self.any = host;
        } else if let Some(suffix) = hostname.strip_prefix('*') {
            self.wildcards.insert(suffix.into(), host);
        } else {
            self.exact.insert(hostname.into(), host);
        }
    }
}

/// The hostname that entries stand under: those of exactly one label stand among those of one or more.
fn under(hostname: &str, entries: impl Iterator<Item = Entry>) -> (Cow<'_, str>, Vec<Entry>) {
    match hostname.strip_prefix('?') {
        None => (hostname.into(), entries.collect()),
        Some(suffix) => (format!("*{suffix}").into(), entries.map(|one| one.with_one_label_before(suffix)).collect()),
    }
}

fn entries(route: &PreparedRoute, attachment: &v1::Attachment) -> Vec<Entry> {
    let rules = route.rules.iter().enumerate();
    let of_rule = |(at, (rule, matches)): (usize, &(Arc<Rule>, Vec<Arc<Match>>))| {
        // A policy that is not named is one that is not there: it denies.
        let policy: Arc<str> = attachment.policies.get(at).map_or("", String::as_str).into();
        let age = (route.created_ms, Arc::clone(&route.name), at);
        let entries: Vec<_> = matches.iter().map(|one| Entry::new(one, rule, &policy, age.clone())).collect();
        entries
    };
    rules.flat_map(of_rule).collect()
}

#[cfg(test)]
mod tests;
