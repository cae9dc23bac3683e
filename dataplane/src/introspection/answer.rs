//! What an issuer says of a token (RFC 7662, 2.2).

use std::sync::Arc;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::{Introspection, IntrospectionFault, Verdict};
use crate::clock::UnixMs;
use crate::digest::sha256_of;
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
    /// When it was said.
    pub(super) said: UnixMs,
    meaning: [u8; 32],
    bytes: usize,
}

impl Eq for Introspected {}

impl Introspected {
    /// Each scope.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        jwt::scopes(&self.members)
    }

    /// What it takes to remember it, about.
    pub(super) fn bytes(&self) -> usize {
        self.identity.len() + self.bytes
    }

    /// Stands for what is said of whom, but for when and in which order: it is the same of an answer that lets in the same.
    pub(super) fn meaning(&self) -> [u8; 32] {
        self.meaning
    }

    /// When what it lets in ends. What only the clock skew has admitted lasts as long as the skew does.
    pub fn ends(&self, admitted: UnixMs) -> Option<UnixMs> {
        if self.term.expires? <= admitted { self.term.admitted_until } else { self.term.expires }
    }
}

/// What comes of an answer with status 200. One that can be read in two ways, or that is for somebody else, says nothing.
pub(super) fn judge(answer: &Answer, asked: &Introspection, now: UnixMs) -> Verdict {
    let unusable = |why: &str| Err(IntrospectionFault::Unavailable(format!("its answer cannot be used: {why}").into()));
    if !is_json(&answer.headers) {
        return unusable("it is not of type application/json");
    }
    let Some(mut members) = jwt::strict_object(&answer.body) else {
        return unusable("it is no plain JSON object");
    };
    // Some say so that there is none.
    members.retain(|_, value| !value.is_null());
    match members.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Err(IntrospectionFault::Inactive),
        _ => return unusable("active is neither true nor false"),
    }
    judge_issuer(&members, asked)?;
    if is_of_another_use(&members) {
        return Err(IntrospectionFault::Type);
    }
    let is_bearer = |kind: &Value| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer"));
    if !members.get("token_type").is_none_or(is_bearer) {
        return Err(IntrospectionFault::Type);
    }
    let term = jwt::judge_said(&members, &asked.rules, now).map_err(IntrospectionFault::Claims)?;
    let identity = identity(&members, asked).ok_or(IntrospectionFault::Nobody)?;
    let bytes = answer.body.len() + memory(members.values());
    if bytes > MAX_MEMORY {
        return unusable("it says too many things");
    }
    let meaning = meaning(&identity, &members);
    Ok(Arc::new(Introspected { identity, members, term, said: now, meaning, bytes }))
}

/// What endpoints that also know refresh and ID tokens say of them: the hint of a question binds nobody (RFC 7662, 2.1).
fn is_of_another_use(members: &Map<String, Value>) -> bool {
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_ascii_lowercase);
    let is_used_otherwise =
        text("token_use").is_some_and(|of| !matches!(&*of, "access" | "access_token" | "access-token" | "bearer"));
    is_used_otherwise
        || text("typ").is_some_and(|of| {
            matches!(&*of, "refresh" | "refresh_token" | "offline" | "id" | "id_token" | "serialized-id" | "logout")
        })
}

/// What values take besides their text, about: an object has a table even if it has one member.
fn memory<'a>(values: impl Iterator<Item = &'a Value>) -> usize {
    values
        .map(|value| {
            VALUE_BYTES
                + match value {
                    Value::Object(members) => TABLE_BYTES + memory(members.values()),
                    Value::Array(items) => memory(items.iter()),
                    _ => 0,
                }
        })
        .sum()
}

const VALUE_BYTES: usize = 96;
const TABLE_BYTES: usize = 700;
/// What a new answer may say otherwise of the same token: when, by which answer, and how long it is still.
const PASSING: [&str; 7] = ["exp", "iat", "nbf", "jti", "expires_in", "auth_time", "updated_at"];
/// Of one answer: whoever is let in holds it.
const MAX_MEMORY: usize = 256 * 1024;

/// Lists and scopes are sets here: no two nodes of an issuer need write them in one order.
fn meaning(identity: &str, members: &Map<String, Value>) -> [u8; 32] {
    sha256_of(|context| {
        context.update(identity.as_bytes());
        for (name, value) in members.iter().filter(|(name, _)| !PASSING.contains(&name.as_str())) {
            for part in std::iter::once(name).chain(&parts(name, value)) {
                context.update(&part.len().to_be_bytes());
                context.update(part.as_bytes());
            }
        }
    })
}

fn parts(name: &str, value: &Value) -> Vec<String> {
    let mut parts: Vec<_> = match value {
        Value::String(scopes) if name == "scope" || name == "scp" => scopes.split(' ').map(str::to_owned).collect(),
        value => vec![as_set(value).to_string()],
    };
    parts.sort_unstable();
    parts
}

fn as_set(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(as_set).collect();
            items.sort_by_cached_key(ToString::to_string);
            Value::Array(items)
        }
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), as_set(value))).collect(),
        value => value.clone(),
    }
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
        (None, Some(client)) => of(&format!("client-{kind}"), client),
        (None, None) => None,
    }
}
