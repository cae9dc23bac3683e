//! A request, as expressions see it. What costs something is read when it is asked for.

use std::borrow::Cow;
use std::cell::OnceCell;

use http::HeaderMap;
use http::header::HeaderName;
use jiff::Timestamp;
use sallyport_expression::Environment;
use sallyport_expression::declared::Field;
use sallyport_expression::value::{Map, Table, Value};

use crate::jwt::Content;
use crate::path::Query;
use crate::pipeline::authenticate::{Caller, Held, bearer_token};

/// A caller, and what was found out about it.
pub(super) struct Known<'a> {
    caller: &'a Caller<'a>,
    held: Option<&'a Held>,
    headers: Headers<'a>,
    query: Parameters<'a>,
    token: OnceCell<Option<Content>>,
}

impl<'a> Known<'a> {
    pub(super) fn new(caller: &'a Caller<'a>, held: Option<&'a Held>) -> Self {
        let (headers, query) = (Headers(caller.headers), Parameters(caller.query));
        Self { caller, held, headers, query, token: OnceCell::new() }
    }

    /// What the token says, if it has been validated.
    fn token(&self) -> Option<&Content> {
        self.held?.claims.as_ref()?;
        let read = || bearer_token(self.caller.headers).and_then(Content::read);
        self.token.get_or_init(read).as_ref()
    }

    fn identity(&self) -> Option<Value<'_>> {
        let held = self.held?;
        match (&held.claims, &held.subscription) {
            (Some(claims), _) => Some(Value::text(claims.identity())),
            (None, Some((subscription, _))) => Some(Value::text(format!("subscription:{}", subscription.id))),
            (None, None) => None,
        }
    }
}

impl Environment for Known<'_> {
    fn read(&self, field: Field) -> Option<Value<'_>> {
        let Caller { method, host, path, address, door, now, rule, .. } = self.caller;
        let subscription = || self.held?.subscription.as_ref().map(|(subscription, _)| subscription);
        let claim = |name| self.token()?.claims.get(name)?.as_str().map(Value::text);
        match field {
            Field::RequestMethod => Some(Value::text(method.as_str())),
            Field::RequestPath => Some(Value::text(*path)),
            Field::RequestHost => Some(Value::text(*host)),
            Field::RequestTime => Timestamp::from_millisecond(now.0).ok().map(Value::Timestamp),
            Field::RequestHeaders => Some(Value::Map(Map::Table(&self.headers))),
            Field::RequestQuery => Some(Value::Map(Map::Table(&self.query))),
            Field::ClientAddress => address.map(|address| Value::text(address.to_string())),
            Field::AuthAlternative => self.held.map(|held| Value::text(&*held.alternative)),
            Field::AuthIdentity => self.identity(),
            Field::AuthJwt => self.held?.claims.as_ref().map(|_| Value::Bool(true)),
            Field::AuthSubscription => subscription().map(|_| Value::Bool(true)),
            Field::TokenIssuer => claim("iss"),
            Field::TokenSubject => claim("sub"),
            Field::TokenScopes => self.token().map(|token| Value::list(token.scopes().map(Value::text).collect())),
            Field::TokenClaims => self.token().map(|token| Value::Map(Map::Json(&token.claims))),
            Field::TokenHeader => self.token().map(|token| Value::Map(Map::Json(&token.header))),
            Field::SubscriptionId => subscription().map(|subscription| Value::text(&*subscription.id)),
            Field::SubscriptionProduct => subscription()?.product().map(Value::text),
            Field::RouteKind => Some(Value::text(&*door.api.kind)),
            Field::RouteNamespace => Some(Value::text(&*door.api.namespace)),
            Field::RouteName => Some(Value::text(&*door.api.name)),
            Field::RouteRule => Some(Value::text(*rule)),
        }
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Table for Headers<'_> {
    fn find(&self, name: &str) -> Vec<Cow<'_, str>> {
        let lines = self.0.get_all(name).into_iter();
        lines.filter_map(|line| std::str::from_utf8(line.as_bytes()).ok()).map(Cow::Borrowed).collect()
    }

    fn names(&self) -> Vec<Cow<'_, str>> {
        self.0.keys().map(HeaderName::as_str).map(Cow::Borrowed).collect()
    }

    fn bytes_read(&self) -> usize {
        0
    }
}

struct Parameters<'a>(Query<'a>);

impl Table for Parameters<'_> {
    fn find(&self, name: &str) -> Vec<Cow<'_, str>> {
        let values = self.0.decoded().filter(|(own, _)| **own == *name.as_bytes());
        values.filter_map(|(_, value)| text(value)).collect()
    }

    fn names(&self) -> Vec<Cow<'_, str>> {
        let mut names: Vec<_> = self.0.decoded().filter_map(|(name, _)| text(name)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn bytes_read(&self) -> usize {
        self.0.0.map_or(0, str::len)
    }
}

fn text(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}
