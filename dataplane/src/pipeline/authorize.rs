//! What expressions say once it is known who calls: rules of every level that have to hold besides, and headers.

mod known;
mod told;

use std::sync::Arc;

use http::HeaderValue;
use sallyport_expression::value::Value;
use sallyport_expression::{Fault, Program, Steps};
use smallvec::SmallVec;

use crate::explain::{Explanation, Outcome};
use crate::path;
use crate::pipeline::authenticate::{Caller, Held};
use crate::pipeline::limits::Key;
use crate::rejection::{Reason, Rejection};
use crate::runtime::keys::Subscription;
use crate::runtime::policy::Policy;
use crate::runtime::policy::authorization::{Authorization, Rule};
use crate::runtime::policy::computed::ComputedHeader;
use crate::runtime::policy::header_changes::Computed;
use crate::runtime::policy::limit::Limit;
use known::{Known, Seen, Tokens};

/// What was found at each level: the nearest one's, then that of each floor that says who may call, with the object that says it.
pub struct Findings<'a> {
    pub near: &'a Held,
    pub floors: &'a [(Arc<str>, Held)],
}

/// The expressions of a policy, over one caller.
pub struct Expressions<'a> {
    policy: &'a Policy,
    caller: &'a Caller<'a>,
    findings: &'a Findings<'a>,
    tokens: Tokens,
}

impl<'a> Expressions<'a> {
    /// Over a caller of whom this was found.
    pub fn new(policy: &'a Policy, caller: &'a Caller<'a>, findings: &'a Findings<'a>) -> Self {
        Self { policy, caller, findings, tokens: Tokens::default() }
    }

    /// Judges each rule, in steps that are left of `steps`.
    ///
    /// Services differ in whether `/admin;x` is `/admin`: where a rule asks for the path, all hold for both.
    pub fn judge(&self, steps: &mut Steps) -> Result<(), Rejection> {
        if self.policy.authorizations.is_empty() {
            return Ok(());
        }
        let asks_for_path = self.policy.authorizations.iter().any(|one| one.asks_for_path);
        let plain = asks_for_path.then(|| path::without_parameters(self.caller.path)).flatten();
        for path in std::iter::once(self.caller.path).chain(plain.as_deref()) {
            self.all_levels_hold(&self.seen(&path::as_meant(path)), steps)?;
        }
        Ok(())
    }

    /// What headers are set to. One whose value cannot be told, or can stand in no header, is left out.
    pub fn headers(&self, computed: &[ComputedHeader], steps: &mut Steps) -> Computed {
        if computed.is_empty() {
            return Computed::default();
        }
        let path = path::as_meant(self.caller.path);
        let seen = self.seen(&path);
        let near = Known::new(&seen, Some(self.findings.near));
        let value = |header: &ComputedHeader| {
            let floor = header.is_floor.then(|| Known::new(&seen, self.findings.of_floor(&header.object)));
            let value = header.value.evaluate(floor.as_ref().unwrap_or(&near), steps).ok()?;
            Some((header.name.clone(), header_value(&value)?))
        };
        computed.iter().filter_map(value).collect()
    }

    /// Whether a limit counts the request: by its path or by what a service reads that cuts parameters off. One of which it cannot be told is
    /// counted.
    pub fn counts(&self, limit: &Limit, when: &Program, steps: &mut Steps) -> bool {
        let is_meant = |value: &Value<'_>| Some(!matches!(value, Value::Bool(false)));
        let plain = path::without_parameters(self.caller.path);
        let mut paths = std::iter::once(self.caller.path).chain(plain.as_deref());
        paths.any(|path| self.evaluated((limit, path), when, steps, is_meant).unwrap_or(true))
    }

    /// Who calls, as a limit knows it.
    pub fn identity(&self, limit: &Limit) -> Option<Key> {
        match Known::new(&self.seen(self.caller.path), self.knows(limit)).identity()? {
            Value::Text(identity) if !is_of_nobody(&identity) => Some(Key::from_slice(identity.as_bytes())),
            _ => None,
        }
    }

    /// The Subscription that a limit knows the caller by.
    pub fn subscription(&self, limit: &Limit) -> Option<Key> {
        let (subscription, _) = self.knows(limit)?.subscription.as_ref()?;
        Some(Key::from_slice(subscription.id.as_bytes()))
    }

    /// All Subscriptions that hold, each once: that of the policy, then those of Floors.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        let all = [self.findings.near].into_iter().chain(self.findings.floors.iter().map(|(_, held)| held));
        let all: SmallVec<[_; 1]> = all.filter_map(|held| held.subscription.as_ref()).map(|(one, _)| one).collect();
        let is_first = |(at, one): &(usize, &Arc<Subscription>)| !all.iter().take(*at).any(|other| other.id == one.id);
        let first: SmallVec<[_; 1]> = all.iter().copied().enumerate().filter(is_first).map(|(_, one)| one).collect();
        first.into_iter()
    }

    /// The text by which a limit tells requests apart.
    pub fn key(&self, limit: &Limit, program: &Program, steps: &mut Steps) -> Option<Key> {
        fn text(value: &Value<'_>) -> Option<Key> {
            match value {
                Value::Text(text) => Some(Key::from_slice(text.as_bytes())),
                Value::Optional(Some(held)) => text(held),
                _ => None,
            }
        }
        // By parameters that a service cuts off nobody has one more.
        let plain = path::without_parameters(self.caller.path);
        self.evaluated((limit, plain.as_deref().unwrap_or(self.caller.path)), program, steps, text)
    }

    fn evaluated<T>(
        &self,
        (limit, path): (&Limit, &str),
        program: &Program,
        steps: &mut Steps,
        read: impl FnOnce(&Value<'_>) -> Option<T>,
    ) -> Option<T> {
        let path = path::as_meant(path);
        let seen = self.seen(&path);
        let known = Known::new(&seen, self.knows(limit));
        let value = program.evaluate(&known, steps).ok()?;
        read(&value)
    }

    /// What a limit knows of the caller.
    fn knows(&self, limit: &Limit) -> Option<&Held> {
        if limit.is_floor { self.findings.of_floor(&limit.origin.object) } else { Some(self.findings.near) }
    }

    fn seen<'s>(&'s self, path: &'s str) -> Seen<'s> {
        Seen { policy: self.policy, caller: self.caller, path, tokens: &self.tokens }
    }

    fn all_levels_hold(&self, seen: &Seen<'_>, steps: &mut Steps) -> Result<(), Rejection> {
        let near = Known::new(seen, Some(self.findings.near));
        for authorization in &self.policy.authorizations {
            if authorization.is_floor {
                let known = Known::new(seen, self.findings.of_floor(&authorization.object));
                all_hold(authorization, &known, steps, seen.caller.explained)?;
            } else {
                all_hold(authorization, &near, steps, seen.caller.explained)?;
            }
        }
        Ok(())
    }
}

/// Whether a token names its issuer alone: it may be anybody's.
fn is_of_nobody(identity: &str) -> bool {
    let subject = || {
        let (length, rest) = identity.strip_prefix("jwt:")?.split_once(':')?;
        rest.get(length.parse::<usize>().ok()?..)
    };
    subject() == Some(":")
}

/// A text that a header can hold as it is: whoever reads ` root` reads `root`.
fn header_value(value: &Value<'_>) -> Option<HeaderValue> {
    match value {
        Value::Text(text) if text.trim().len() == text.len() => HeaderValue::from_bytes(text.as_bytes()).ok(),
        Value::Optional(Some(held)) => header_value(held),
        _ => None,
    }
}

impl Findings<'_> {
    /// A floor knows of the caller what its own authentication has found, and nothing else.
    fn of_floor(&self, object: &str) -> Option<&Held> {
        self.floors.iter().find(|(own, _)| **own == *object).map(|(_, held)| held)
    }
}

fn all_hold(
    authorization: &Authorization,
    known: &Known<'_>,
    steps: &mut Steps,
    explained: Option<&Explanation>,
) -> Result<(), Rejection> {
    authorization.rules.iter().try_for_each(|rule| {
        let judged = holds(rule, known, steps);
        match (explained, &judged) {
            (None, _) => {}
            (Some(explanation), Ok(true)) => explanation.note(&rule.origin, Outcome::Holds, ""),
            (Some(explanation), Ok(false)) => explanation.note(&rule.origin, Outcome::NotAsked, "`when` does not hold"),
            (Some(explanation), Err(rejection)) => {
                explanation.note(&rule.origin, Outcome::Refuses, rejection.to_string());
            }
        }
        judged.map(drop)
    })
}

/// Whether it holds; false where it is not asked.
fn holds(rule: &Rule, known: &Known<'_>, steps: &mut Steps) -> Result<bool, Rejection> {
    let refuse = |message: String| {
        let rejection = Rejection::decided_by(rule.origin.with_message(message), Reason::AuthorizationDenied);
        Err(Rejection { told: rule.message.clone(), ..rejection })
    };
    let (when, require) = match &rule.asks {
        Ok(asked) => asked,
        Err(denial) => return Err(denial.rejection()),
    };
    match when.as_ref().map_or(Ok(true), |when| is_true(when, known, steps)) {
        Ok(true) => {}
        Ok(false) => return Ok(false),
        Err(fault) => return refuse(format!("`when` cannot be told: {fault}")),
    }
    match is_true(require, known, steps) {
        Ok(true) => Ok(true),
        Ok(false) => refuse("`require` does not hold".to_owned()),
        Err(fault) => refuse(format!("`require` cannot be told: {fault}")),
    }
}

/// What is neither true nor false cannot be told either: a claim that was to be one may be anything.
fn is_true(program: &Program, known: &Known<'_>, steps: &mut Steps) -> Result<bool, Fault> {
    match program.evaluate(known, steps)? {
        Value::Bool(one) => Ok(one),
        _ => Err(Fault::NoOverload("a condition")),
    }
}

#[cfg(test)]
mod tests;
