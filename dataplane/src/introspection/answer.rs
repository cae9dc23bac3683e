//! What an issuer says of a token (RFC 7662, 2.2).

use std::sync::Arc;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::{Introspection, IntrospectionFault, Verdict};
use crate::clock::UnixMs;
use crate::egress::Answer;
use crate::jwt::{self, Term, TokenFault};

/// What is said of a token that is active, and is what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Introspected {
    /// Whose it is; unique across issuers.
    pub identity: Box<str>,
    /// All that is said.
    pub members: Map<String, Value>,
    /// When that ends.
    pub term: Term,
    text_bytes: usize,
}

impl Eq for Introspected {}

impl Introspected {
    /// Each scope.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        jwt::scopes(&self.members)
    }

    /// What it takes to remember it, about.
    pub(super) fn bytes(&self) -> usize {
        self.identity.len() + self.text_bytes
    }
}

/// What comes of an answer with status 200. One that can be read in two ways, or that is for somebody else, says nothing.
pub(super) fn judge(answer: &Answer, asked: &Introspection, now: UnixMs) -> Verdict {
    let unusable = |why: &str| Err(IntrospectionFault::Unavailable(format!("its answer cannot be used: {why}").into()));
    if !is_json(&answer.headers) {
        return unusable("it is not of type application/json");
    }
    let Some(members) = jwt::strict_object(&answer.body) else {
        return unusable("it is no plain JSON object");
    };
    match members.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Err(IntrospectionFault::Inactive),
        _ => return unusable("active is neither true nor false"),
    }
    judge_issuer(&members, asked)?;
    let is_bearer = |kind: &Value| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer"));
    if !members.get("token_type").is_none_or(is_bearer) {
        return Err(IntrospectionFault::Type);
    }
    let term = jwt::judge_said(&members, &asked.rules, now).map_err(IntrospectionFault::Claims)?;
    let identity = identity(&members, asked).ok_or(IntrospectionFault::Nobody)?;
    Ok(Arc::new(Introspected { identity, members, term, text_bytes: answer.body.len() }))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let kind = line.to_str().ok().and_then(|line| line.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// Where an issuer is stated, it has to be said, and equal: an endpoint may know tokens of many.
fn judge_issuer(members: &Map<String, Value>, asked: &Introspection) -> Result<(), IntrospectionFault> {
    match &asked.issuer {
        Some(issuer) if members.get("iss").and_then(Value::as_str) != Some(issuer) => {
            Err(IntrospectionFault::Claims(TokenFault::Issuer))
        }
        _ => Ok(()),
    }
}

/// The same as of a JWT of that issuer, so that one person is one; each part with its length before it.
fn identity(members: &Map<String, Value>, asked: &Introspection) -> Option<Box<str>> {
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let base = asked.issuer.as_ref().unwrap_or(&asked.endpoint);
    let kind = if asked.issuer.is_some() { "jwt" } else { "introspection" };
    let of = |kind: &str, name: &str| Some(format!("{kind}:{}:{base}:{name}", base.len()).into());
    match (text("sub"), text("client_id")) {
        (Some(subject), _) => of(kind, subject),
        (None, Some(client)) => of("client", client),
        (None, None) => None,
    }
}
