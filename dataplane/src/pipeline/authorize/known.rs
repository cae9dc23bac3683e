//! A request, as expressions see it: as the service may read it. What costs something is read when it is asked for.

mod headers;
mod parameters;

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use sallyport_expression::Environment;
use sallyport_expression::declared::Field;
use sallyport_expression::value::{Map, Value};

use crate::jwt::Content;
use crate::pipeline::authenticate::{Caller, Held};
use crate::pipeline::token_places;
use crate::runtime::policy::Policy;
use crate::runtime::policy::token_place::TokenPlace;
use headers::Headers;
use parameters::Parameters;

/// What all expressions of a request share.
pub(super) struct Seen<'a> {
    pub(super) policy: &'a Policy,
    pub(super) caller: &'a Caller<'a>,
    /// Decoded: services do not tell apart what differs only in escapes.
    pub(super) path: &'a str,
    pub(super) tokens: &'a Tokens,
}

/// Tokens that expressions have asked for, each read once.
#[derive(Default)]
pub(super) struct Tokens(RefCell<Vec<Read>>);

/// One of them: what stands in a place, or of an encrypted token what was in it.
struct Read {
    place: Arc<TokenPlace>,
    opened: Option<Box<str>>,
    token: Token,
}

/// What a token says; nothing where it cannot be read again.
type Token = Rc<Option<Content>>;

impl Tokens {
    /// The one that stands in `place`, or of an encrypted one what was in it.
    fn of(&self, place: &Arc<TokenPlace>, opened: Option<&str>, caller: &Caller<'_>) -> Token {
        let mut read = self.0.borrow_mut();
        if let Some(known) = read.iter().find(|one| one.place == *place && one.opened.as_deref() == opened) {
            return Rc::clone(&known.token);
        }
        let sent = token_places::read(place, caller.headers, caller.query);
        let token = opened.or_else(|| sent.first().map(AsRef::as_ref));
        let token = Rc::new(token.and_then(Content::read));
        read.push(Read { place: Arc::clone(place), opened: opened.map(Into::into), token: Rc::clone(&token) });
        token
    }
}

/// A caller, and what was found out about it.
pub(super) struct Known<'a> {
    seen: &'a Seen<'a>,
    held: Option<&'a Held>,
    headers: Headers<'a>,
    query: Parameters<'a>,
    token: OnceCell<Token>,
}

impl<'a> Known<'a> {
    pub(super) fn new(seen: &'a Seen<'a>, held: Option<&'a Held>) -> Self {
        let Seen { policy, caller, .. } = *seen;
        let (headers, query) =
            (Headers { policy, caller }, Parameters { policy, beside: caller.beside, query: caller.query });
        Self { seen, held, headers, query, token: OnceCell::new() }
    }

    /// What the token says, if it has been validated.
    fn token(&self) -> Option<&Content> {
        let held = self.held?;
        let (place, claims) = (held.place.as_ref()?, held.claims.as_ref()?);
        let opened = claims.opened();
        let read = || self.seen.tokens.of(place, opened, self.seen.caller);
        Option::as_ref(self.token.get_or_init(read))
    }

    /// Who calls, told apart from everybody else.
    pub(super) fn identity(&self) -> Option<Value<'_>> {
        let held = self.held?;
        match held {
            Held { claims: Some(claims), .. } => Some(Value::text(claims.identity())),
            Held { introspection: Some(held), .. } => Some(Value::text(&*held.introspected.identity)),
            Held { subscription: Some((subscription, _)), .. } => {
                Some(Value::text(format!("subscription:{}", subscription.id)))
            }
            Held { certificate: Some(certificate), .. } => Some(Value::text(&*certificate.vouched.identity)),
            Held { login: Some(login), .. } => Some(Value::text(login.identity())),
            _ => None,
        }
    }

    /// What the certificate says, if it has been judged.
    fn certificate(&self, field: Field) -> Option<Value<'_>> {
        let shown = &self.held?.certificate.as_ref()?.shown;
        let facts = shown.facts()?;
        let texts = |texts: &'_ [String]| Value::list(texts.iter().map(|text| Value::text(text.clone())).collect());
        Some(match field {
            Field::CertificateSubject => Value::text(facts.subject.written()),
            Field::CertificateIssuer => Value::text(facts.issuer.written()),
            Field::CertificateSerialNumber => Value::text(facts.serial_number.as_str()),
            Field::CertificateFingerprint => Value::text(facts.sha256_fingerprint.as_str()),
            Field::CertificateNotAfter => {
                Value::Timestamp(Timestamp::from_millisecond(facts.not_after.0).unwrap_or(Timestamp::MAX))
            }
            Field::CertificateUris => texts(&facts.uris),
            Field::CertificateDnsNames => texts(&facts.dns_names),
            Field::CertificateEmails => texts(&facts.emails),
            Field::CertificateIps => texts(&facts.ips_written()),
            Field::CertificateRfc9440 => Value::text(shown.rfc9440()),
            _ => return None,
        })
    }
}

impl Environment for Known<'_> {
    fn read(&self, field: Field) -> Option<Value<'_>> {
        let Caller { method, host, address, door, now, rule, .. } = self.seen.caller;
        let subscription = || self.held?.subscription.as_ref().map(|(subscription, _)| subscription);
        let said = || self.held?.introspection.as_ref().map(|held| &*held.introspected);
        let claim = |name| self.token()?.claims.get(name)?.as_str().map(Value::text);
        match field {
            Field::RequestMethod => Some(Value::text(method.as_str())),
            Field::RequestPath => Some(Value::text(self.seen.path)),
            Field::RequestHost => Some(Value::text(*host)),
            Field::RequestTime => Timestamp::from_millisecond(now.0).ok().map(Value::Timestamp),
            Field::RequestHeaders => Some(Value::Map(Map::Table(&self.headers))),
            Field::RequestQuery => Some(Value::Map(Map::Table(&self.query))),
            Field::ClientAddress => address.map(|address| Value::text(address.to_string())),
            Field::AuthAlternative => self.held.map(|held| Value::text(&*held.alternative)),
            Field::AuthIdentity => self.identity(),
            Field::AuthJwt => self.held?.claims.as_ref().map(|_| Value::Bool(true)),
            Field::AuthSubscription => subscription().map(|_| Value::Bool(true)),
            Field::AuthCertificate => self.held?.certificate.as_ref().map(|_| Value::Bool(true)),
            Field::TokenIssuer => claim("iss"),
            Field::TokenSubject => claim("sub"),
            Field::TokenScopes => self.token().map(|token| Value::list(token.scopes().map(Value::text).collect())),
            Field::TokenClaims => self.token().map(|token| Value::Map(Map::Json(&token.claims))),
            Field::TokenHeader => self.token().map(|token| Value::Map(Map::Json(&token.header))),
            Field::SubscriptionId => subscription().map(|subscription| Value::text(&*subscription.id)),
            Field::SubscriptionProduct => subscription()?.product().map(Value::text),
            Field::CertificateSubject
            | Field::CertificateIssuer
            | Field::CertificateSerialNumber
            | Field::CertificateFingerprint
            | Field::CertificateNotAfter
            | Field::CertificateUris
            | Field::CertificateDnsNames
            | Field::CertificateEmails
            | Field::CertificateIps
            | Field::CertificateRfc9440 => self.certificate(field),
            Field::AuthIntrospection => said().map(|_| Value::Bool(true)),
            Field::IntrospectionSubject => said()?.members.get("sub")?.as_str().map(Value::text),
            Field::IntrospectionScopes => said().map(|said| Value::list(said.scopes().map(Value::text).collect())),
            Field::IntrospectionClaims => said().map(|said| Value::Map(Map::Json(&said.members))),
            Field::AuthBasic => self.held?.login.as_ref().map(|_| Value::Bool(true)),
            Field::BasicUser => self.held?.login.as_ref().map(|login| Value::text(&*login.user)),
            Field::RouteKind => Some(Value::text(&*door.api.kind)),
            Field::RouteNamespace => Some(Value::text(&*door.api.namespace)),
            Field::RouteName => Some(Value::text(&*door.api.name)),
            Field::RouteRule => Some(Value::text(*rule)),
        }
    }
}
