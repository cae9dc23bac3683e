//! The claims of a token whose signature holds.

use serde_json::{Map, Value};

use super::TokenFault;
use super::binding::Bonds;
use super::issuer::Origin;
use super::key_ring::PublicHalf;
use super::rules::ClaimRules;
use crate::clock::UnixMs;
use sallyport_snapshot::v1::ClaimRule;

/// Dates are seconds; what is larger than this is no date (the year 9999).
const MAX_DATE_S: f64 = 253_402_300_800.0;

/// What a valid token says, as far as anybody asks later: it is remembered, so that it holds nothing else.
#[derive(Clone, Debug)]
pub struct Claims {
    identity: Box<str>,
    expires: UnixMs,
    admitted_until: UnixMs,
    key: PublicHalf,
    opened: Option<Box<str>>,
    bonds: Option<Box<Bonds>>,
}

impl Claims {
    /// Issuer and subject, written so that no two pairs give the same text; unique across issuers.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// `exp`: the end of what it has opened.
    pub fn expires(&self) -> UnixMs {
        self.expires
    }

    /// `exp` and the clock skew that the policy allows: the end of what it opens.
    pub fn admitted_until(&self) -> UnixMs {
        self.admitted_until
    }

    /// What whoever brings the token has to hold; `None`: nothing.
    pub fn bonds(&self) -> Option<&Bonds> {
        self.bonds.as_deref()
    }

    /// Of an encrypted token the signed one that stands in it.
    pub fn opened(&self) -> Option<&str> {
        self.opened.as_deref()
    }

    /// The same claims of a token that stood in an encrypted one.
    pub fn of_opened(self, token: &str) -> Self {
        Self { opened: Some(token.into()), ..self }
    }

    /// What it takes to remember them, besides what is the same for all.
    pub(super) fn bytes(&self) -> usize {
        let bonds = self.bonds.as_ref().map_or(0, |_| size_of::<Bonds>());
        self.identity.len() + self.opened.as_deref().map_or(0, str::len) + bonds
    }

    /// The key that vouches for them.
    pub fn key(&self) -> PublicHalf {
        self.key
    }
}

/// Judges the claims of a token from `origin` that `key` vouches for.
pub(super) fn judge(
    members: &Map<String, Value>,
    rules: &ClaimRules,
    (origin, key): (&Origin<'_>, PublicHalf),
    now: UnixMs,
) -> Result<Claims, TokenFault> {
    let (term, bonds) = judge_itself(members, rules, now)?;
    let (Some(expires), Some(admitted_until)) = (term.expires, term.admitted_until) else {
        return Err(TokenFault::Expired);
    };
    let identity = origin.identity(members)?;
    judge_scopes(members, rules)?;
    judge_rules(members, rules, |claim| origin.leaves_out(claim, members))?;
    Ok(Claims { identity, expires, admitted_until, key, opened: None, bonds: bonds.map(Box::new) })
}

/// When what is said of a token ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// `exp`, where it is there.
    pub expires: Option<UnixMs>,
    /// The same, and the clock skew that the policy allows.
    pub admitted_until: Option<UnixMs>,
}

/// Judges what is said of a token by whoever has issued it.
pub fn judge_said(members: &Map<String, Value>, rules: &ClaimRules, now: UnixMs) -> Result<Term, TokenFault> {
    let (term, _) = judge_itself(members, rules, now)?;
    judge_scopes(members, rules)?;
    judge_rules(members, rules, |_| false)?;
    Ok(term)
}

/// What has to hold whatever it opens: dates, audience, binding.
fn judge_itself(
    members: &Map<String, Value>,
    rules: &ClaimRules,
    now: UnixMs,
) -> Result<(Term, Option<Bonds>), TokenFault> {
    let term = judge_dates(members, rules, now)?;
    judge_audience(members, rules)?;
    let bonds = rules.binding.judge(members)?;
    if members.get("sub").is_some_and(|subject| !subject.is_string()) {
        return Err(TokenFault::ClaimForm("sub"));
    }
    Ok((term, bonds))
}

fn judge_rules(
    members: &Map<String, Value>,
    rules: &ClaimRules,
    is_left_out: impl Fn(&str) -> bool,
) -> Result<(), TokenFault> {
    for rule in &rules.claims {
        if is_left_out(&rule.name) {
            return Err(TokenFault::LeftOut);
        }
        if !holds(rule, members.get(&rule.name)) {
            return Err(TokenFault::ClaimMismatch { claim: rule.name.clone() });
        }
    }
    Ok(())
}

fn judge_dates(members: &Map<String, Value>, rules: &ClaimRules, now: UnixMs) -> Result<Term, TokenFault> {
    let expires = date(members.get("exp"), "exp")?;
    if expires.is_none() && rules.has_end {
        return Err(TokenFault::Expired);
    }
    let admitted_until = expires.map(|expires| UnixMs(expires.0.saturating_add(rules.clock_skew_ms)));
    if admitted_until.is_some_and(|until| until <= now) {
        return Err(TokenFault::Expired);
    }
    let latest = UnixMs(now.0.saturating_add(rules.clock_skew_ms));
    let (begins, issued) = (date(members.get("nbf"), "nbf")?, date(members.get("iat"), "iat")?);
    if [begins, issued].into_iter().flatten().any(|date| date > latest) {
        return Err(TokenFault::NotYetValid);
    }
    match (rules.max_lifetime_ms, expires) {
        (Some(most), Some(expires)) if !lasts_at_most(most, issued, expires) => Err(TokenFault::Lifetime),
        _ => Ok(Term { expires, admitted_until }),
    }
}

/// How long a token lasts that does not say when it was issued, nobody can tell.
fn lasts_at_most(most_ms: i64, issued: Option<UnixMs>, expires: UnixMs) -> bool {
    issued.is_some_and(|issued| expires.0.saturating_sub(issued.0) <= most_ms)
}

/// A NumericDate (RFC 7519, 2): seconds, with or without a fraction.
pub(super) fn date(value: Option<&Value>, name: &'static str) -> Result<Option<UnixMs>, TokenFault> {
    let Some(value) = value else { return Ok(None) };
    let seconds =
        value.as_f64().filter(|seconds| (0.0..MAX_DATE_S).contains(seconds)).ok_or(TokenFault::ClaimForm(name))?;
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked a line above")]
    Ok(Some(UnixMs((seconds * 1000.0) as i64)))
}

fn judge_audience(members: &Map<String, Value>, rules: &ClaimRules) -> Result<(), TokenFault> {
    if rules.audience_unchecked {
        return Ok(());
    }
    let audiences = texts(members.get("aud")).ok_or(TokenFault::Audience)?;
    let meant = audiences.iter().any(|audience| rules.audiences.iter().any(|own| own == audience));
    if meant { Ok(()) } else { Err(TokenFault::Audience) }
}

/// All required scopes in `scope` (RFC 8693, 4.2: split at spaces) or `scp` (a text or a list).
fn judge_scopes(members: &Map<String, Value>, rules: &ClaimRules) -> Result<(), TokenFault> {
    if rules.scopes.is_empty() {
        return Ok(());
    }
    let held = |wanted: &str| scopes(members).any(|one| one == wanted);
    match rules.scopes.iter().find(|wanted| !held(wanted)) {
        None => Ok(()),
        Some(missing) => Err(TokenFault::InsufficientScope { missing: missing.clone() }),
    }
}

/// Each scope in `scope` and `scp`; none of a claim that has another form.
pub fn scopes(members: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let scope = members.get("scope").and_then(Value::as_str);
    let scp = texts(members.get("scp")).unwrap_or_default();
    scope.into_iter().chain(scp).flat_map(|text| text.split(' ')).filter(|one| !one.is_empty())
}

/// A claim that is there and neither a text nor a list of texts meets no rule, not even one that only excludes.
fn holds(rule: &ClaimRule, claim: Option<&Value>) -> bool {
    let values = match claim {
        None => Vec::new(),
        Some(claim) => match texts(Some(claim)) {
            Some(values) => values,
            None => return false,
        },
    };
    let has = |wanted: &String| values.iter().any(|value| value == wanted);
    (rule.any_of.is_empty() || rule.any_of.iter().any(has))
        && rule.all_of.iter().all(has)
        && !rule.none_of.iter().any(has)
}

/// A text, or a list of nothing but texts.
fn texts(claim: Option<&Value>) -> Option<Vec<&str>> {
    match claim? {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// Claims that say whose they are, for tests of what is done with them.
#[cfg(test)]
pub(super) fn of_subject(subject: &str, now: UnixMs) -> Claims {
    let expires = UnixMs(now.0 + 300_000);
    Claims {
        identity: subject.into(),
        expires,
        admitted_until: expires,
        key: PublicHalf::of_bytes(b"key"),
        opened: None,
        bonds: None,
    }
}
