//! What has to hold besides, once it is known who calls: rules in CEL, of every level.

mod known;

use std::sync::Arc;

use sallyport_expression::value::Value;
use sallyport_expression::{Fault, Program, Steps};

use crate::path;
use crate::pipeline::authenticate::{Caller, Held};
use crate::rejection::{Reason, Rejection};
use crate::runtime::policy::Policy;
use crate::runtime::policy::authorization::{Authorization, Rule};
use known::{Known, Seen, Tokens};

/// What was found at each level: the nearest one's, then that of each floor that says who may call, with the object that says it.
pub struct Findings<'a> {
    pub near: &'a Held,
    pub floors: &'a [(Arc<str>, Held)],
}

/// Judges each rule of `policy`, in steps that are left of `steps`.
///
/// Services differ in whether `/admin;x` is `/admin`: where a rule asks for the path, all hold for both.
pub fn judge(
    policy: &Policy,
    caller: &Caller<'_>,
    findings: &Findings<'_>,
    steps: &mut Steps,
) -> Result<(), Rejection> {
    if policy.authorizations.is_empty() {
        return Ok(());
    }
    let asks_for_path = policy.authorizations.iter().any(|one| one.asks_for_path);
    let plain = asks_for_path.then(|| path::without_parameters(caller.path)).flatten();
    let tokens = Tokens::default();
    for path in std::iter::once(caller.path).chain(plain.as_deref()) {
        let path = path::as_meant(path);
        all_levels_hold(&Seen { policy, caller, path: &path, tokens: &tokens }, findings, steps)?;
    }
    Ok(())
}

fn all_levels_hold(seen: &Seen<'_>, findings: &Findings<'_>, steps: &mut Steps) -> Result<(), Rejection> {
    let near = Known::new(seen, Some(findings.near));
    for authorization in &seen.policy.authorizations {
        if authorization.is_floor {
            let known = Known::new(seen, findings.of_floor(&authorization.object));
            all_hold(authorization, &known, steps)?;
        } else {
            all_hold(authorization, &near, steps)?;
        }
    }
    Ok(())
}

impl Findings<'_> {
    /// A floor knows of the caller what its own authentication has found, and nothing else.
    fn of_floor(&self, object: &str) -> Option<&Held> {
        self.floors.iter().find(|(own, _)| **own == *object).map(|(_, held)| held)
    }
}

fn all_hold(authorization: &Authorization, known: &Known<'_>, steps: &mut Steps) -> Result<(), Rejection> {
    authorization.rules.iter().try_for_each(|rule| holds(rule, known, steps))
}

fn holds(rule: &Rule, known: &Known<'_>, steps: &mut Steps) -> Result<(), Rejection> {
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
        Ok(false) => return Ok(()),
        Err(fault) => return refuse(format!("`when` cannot be told: {fault}")),
    }
    match is_true(require, known, steps) {
        Ok(true) => Ok(()),
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
