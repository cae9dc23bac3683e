//! What authorisers are told of a request.

use http::HeaderValue;
use http::header::HeaderMap;
use sallyport_expression::Steps;
use sallyport_expression::value::Value;

use super::{Expressions, Known};
use crate::external_authorization::Question;
use crate::path;
use crate::pipeline::authenticate::Held;
use crate::pipeline::hygiene::{Peer, is_never_forwarded, same_variable};
use crate::rejection::{Reason, Rejection};
use crate::runtime::policy::Policy;
use crate::runtime::policy::external_authorization::{Asked, Context, ExternalAuthorization, Told};

impl Expressions<'_> {
    /// The question, but for what only whoever asks knows.
    pub fn told(&self, one: &ExternalAuthorization, asked: &Asked, steps: &mut Steps) -> Result<Question, Rejection> {
        let caller = self.caller;
        let held = if one.is_floor { self.findings.of_floor(&one.origin.object) } else { Some(self.findings.near) };
        let authority = caller.hop.authority.cloned();
        let authority = authority.or_else(|| HeaderValue::try_from(caller.host).ok());
        let authority = authority.unwrap_or(HeaderValue::from_static(""));
        let (scheme, forwarded_host) = self.forwarded(&authority);
        Ok(Question {
            id: String::new(),
            time: caller.now,
            method: caller.method.clone(),
            scheme,
            forwarded_host,
            authority,
            path: caller.path.to_owned(),
            query: self.query(),
            version: caller.hop.version,
            address: caller.address,
            principal: held.and_then(principal),
            headers: self.headers_told(asked),
            context: self.context((one, asked), held, steps)?,
            size: caller.body_bytes,
            body: None,
        })
    }

    fn policies(&self) -> impl Iterator<Item = &Policy> {
        std::iter::once(self.policy).chain(self.caller.beside)
    }

    /// How and by what name the caller has asked, where a trusted proxy tells that, as the service is told it.
    fn forwarded(&self, authority: &HeaderValue) -> (&'static str, HeaderValue) {
        let hop = &self.caller.hop;
        let told = |name: &str| self.caller.headers.get(name).filter(|_| hop.peer == Peer::TrustedProxy);
        let scheme = match told("x-forwarded-proto").map(HeaderValue::as_bytes) {
            Some(scheme) if scheme.eq_ignore_ascii_case(b"https") => "https",
            Some(scheme) if scheme.eq_ignore_ascii_case(b"http") => "http",
            _ if hop.is_cleartext => "http",
            _ => "https",
        };
        (scheme, told("x-forwarded-host").unwrap_or(authority).clone())
    }

    /// Without parameters in which credentials stand.
    fn query(&self) -> Option<String> {
        let shows = |name: &[u8]| self.policies().flat_map(Policy::key_parameters).any(|one| one.as_bytes() == name);
        self.caller.query.without(shows).map(Into::into)
    }

    /// Those that are listed, in the very spelling. What callers cannot say to the service is not told as their word, and a subscription key
    /// not at all, whatever is listed.
    fn headers_told(&self, asked: &Asked) -> HeaderMap {
        let rehearsed = self.policies().flat_map(|policy| &policy.rehearsals);
        let keys = self.policies().chain(rehearsed).flat_map(Policy::key_headers);
        let hidden: Vec<_> = keys.chain(self.policies().flat_map(Policy::identity_headers)).collect();
        let is_hidden = |name: &str| hidden.iter().any(|one| same_variable(name, one.as_str()));
        let mut told = HeaderMap::new();
        let names = asked.headers_to_authorizer.iter();
        for name in names.filter(|name| !is_never_forwarded(name.as_str()) && !is_hidden(name.as_str())) {
            for line in self.caller.headers.get_all(name) {
                told.append(name.clone(), line.clone());
            }
        }
        told
    }

    fn context(
        &self,
        (one, asked): (&ExternalAuthorization, &Asked),
        held: Option<&Held>,
        steps: &mut Steps,
    ) -> Result<Vec<(Box<str>, String)>, Rejection> {
        let path = path::as_meant(self.caller.path);
        let seen = self.seen(&path);
        let known = Known::new(&seen, held);
        let mut told = Vec::with_capacity(asked.context.len());
        for Context { name, value } in &asked.context {
            let text = match value {
                Told::Fixed(text) => Some(text.to_string()),
                Told::Computed(program) => {
                    let value = program.evaluate(&known, steps).map_err(|fault| fault.to_string());
                    let text = value.and_then(|value| text(&value));
                    let cannot = |why| format!("context {name} cannot be told: {why}");
                    text.map_err(|why| one.rejection(Reason::ExternalAuthorizationDenied, cannot(why)))?
                }
            };
            told.extend(text.map(|text| (name.clone(), text)));
        }
        Ok(told)
    }
}

/// A text, or none.
fn text(value: &Value<'_>) -> Result<Option<String>, String> {
    match value {
        Value::Text(text) => Ok(Some(text.to_string())),
        Value::Optional(Some(held)) => text(held),
        Value::Optional(None) => Ok(None),
        _ => Err("it is no text".to_owned()),
    }
}

/// Whom a verified certificate is of: the first of its names that says so (Envoy, `AttributeContext.Peer`).
fn principal(held: &Held) -> Option<String> {
    let facts = held.certificate.as_ref()?.shown.facts()?;
    let name = facts.uris.first().or(facts.dns_names.first()).cloned();
    Some(name.unwrap_or_else(|| facts.subject.written()))
}
