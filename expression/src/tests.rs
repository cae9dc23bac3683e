//! What expressions give, by table; and that another implementation of the language gives the same.

mod attack;
mod peer;

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::declared::Field;
use crate::fault::Fault;
use crate::parse::{line_and_column, parse};
use crate::program::Program;
use crate::typing::Type;
use crate::value::{List, Map, Table, Value};
use crate::wire::{from_wire, to_wire};
use crate::{Budget, Complaint, Environment, Steps, check};

/// A request of a caller with a token.
struct Request {
    headers: Texts,
    query: Texts,
    claims: serde_json::Map<String, Json>,
    has_token: bool,
}

struct Texts(Vec<(&'static str, Vec<&'static str>)>);

impl Table for Texts {
    fn find(&self, name: &str) -> Result<Vec<Cow<'_, str>>, Fault> {
        let found = self.0.iter().find(|(own, _)| *own == name);
        let values = found.into_iter().flat_map(|(_, values)| values);
        values.map(|value| if *value == NO_TEXT { Err(no_text()) } else { Ok(Cow::Borrowed(*value)) }).collect()
    }

    fn names(&self) -> Result<Vec<Cow<'_, str>>, Fault> {
        self.0
            .iter()
            .map(|(name, _)| if *name == NO_TEXT { Err(no_text()) } else { Ok(Cow::Borrowed(*name)) })
            .collect()
    }

    fn bytes_read(&self) -> usize {
        self.0.iter().map(|(name, _)| name.len()).sum()
    }
}

/// Stands for bytes that are no UTF-8.
const NO_TEXT: &str = "\u{fffd}";

fn no_text() -> Fault {
    Fault::NoText("a line".into())
}

impl Request {
    fn new() -> Self {
        let claims = json!({
            "roles": ["buyer", "admin"], "level": 3, "name": "Ada", "org": {"id": 7, "tags": ["a"]}, "none": null,
            "large": 9_007_199_254_740_993_u64, "largest": u64::MAX, "least": i64::MIN, "exact": 9_007_199_254_740_992_u64
        });
        Self {
            headers: Texts(vec![
                ("x-team", vec!["blue", "red"]),
                ("accept", vec!["*/*"]),
                ("x-odd", vec!["a", NO_TEXT]),
            ]),
            query: Texts(vec![("page", vec!["1"]), (NO_TEXT, vec!["x"])]),
            claims: claims.as_object().unwrap().clone(),
            has_token: true,
        }
    }

    fn of_nobody() -> Self {
        Self { has_token: false, ..Self::new() }
    }
}

impl Environment for Request {
    fn read(&self, field: Field) -> Option<Value<'_>> {
        let scopes = || Value::list(vec![Value::text("orders.read"), Value::text("orders.write")]);
        match field {
            Field::RequestMethod => Some(Value::text("POST")),
            Field::RequestPath => Some(Value::text("/orders/4711")),
            Field::RequestTime => Some(Value::Timestamp("2026-11-24T10:20:30.5Z".parse::<Timestamp>().unwrap())),
            Field::RequestHeaders => Some(Value::Map(Map::Table(&self.headers))),
            Field::RequestQuery => Some(Value::Map(Map::Table(&self.query))),
            Field::ClientAddress => Some(Value::text("192.0.2.1")),
            Field::AuthAlternative => Some(Value::text("staff")),
            Field::AuthJwt | Field::AuthIdentity if self.has_token => Some(Value::Bool(true)),
            Field::TokenSubject if self.has_token => Some(Value::text("ada")),
            Field::TokenScopes if self.has_token => Some(scopes()),
            Field::TokenClaims if self.has_token => Some(Value::Map(Map::Json(&self.claims))),
            _ => None,
        }
    }
}

fn program(text: &str) -> Result<Program, Complaint> {
    let tree = parse(text)?;
    assert_eq!(from_wire(&to_wire(&tree)).as_ref(), Ok(&tree), "{text}");
    check(&tree, &[Type::Dyn], &mut Budget::default())
}

/// A value as a text that tells its type.
fn shown(value: &Value<'_>) -> String {
    let all = |items: &mut dyn Iterator<Item = Value<'_>>| items.map(|one| shown(&one)).collect::<Vec<_>>().join(", ");
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(one) => one.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => format!("{number}u"),
        Value::Double(number) => format!("{number:?}"),
        Value::Text(text) => format!("{text:?}"),
        Value::Bytes(bytes) => format!("b\"{}\"", bytes.escape_ascii()),
        Value::Timestamp(moment) => moment.to_string(),
        Value::Duration(length) => crate::duration::text(*length),
        Value::List(list @ (List::Made(_) | List::Json(_))) => format!("[{}]", all(&mut list.items())),
        Value::Map(map) => format!("{{{}}}", all(&mut map.keys(&mut Steps::default()).unwrap().into_iter())),
        Value::Optional(None) => "none".to_owned(),
        Value::Optional(Some(held)) => format!("some {}", shown(held)),
    }
}

fn given(text: &str, request: &Request) -> Result<String, Fault> {
    let program = program(text).unwrap_or_else(|why| panic!("{text}: {why}"));
    program.evaluate(request, &mut Steps::default()).map(|value| shown(&value))
}

#[test]
fn expressions_give_what_the_language_says() {
    let request = Request::new();
    for (text, value) in [
        (r#"request.method != "GET""#, "true"),
        (r#""orders.write" in auth.jwt.scopes || auth.alternative == "machines""#, "true"),
        (r#"request.headers["x-team"][0]"#, r#""blue""#),
        (r#"request.headers["x-team"].size()"#, "2"),
        (r#"request.headers[?"x-none"].orValue(["-"])[0]"#, r#""-""#),
        (r#"request.headers.?accept.orValue([])"#, r#"["*/*"]"#),
        (r#""accept" in request.headers"#, "true"),
        (r#"has(request.headers.accept) && !has(request.headers.cookie)"#, "true"),
        ("auth.jwt.claims.roles.exists(r, r == 'admin')", "true"),
        ("auth.jwt.claims.roles.all(r, r.startsWith('a'))", "false"),
        ("auth.jwt.claims.roles.exists_one(r, r.endsWith('r'))", "true"),
        ("auth.jwt.claims.roles.map(r, r.upperAscii())", r#"["BUYER", "ADMIN"]"#),
        ("auth.jwt.claims.roles.filter(r, r != 'buyer').join(',')", r#""admin""#),
        ("auth.jwt.claims.level == 3 && auth.jwt.claims.level > 2u", "true"),
        ("auth.jwt.claims.level", "3.0"),
        ("auth.jwt.claims.org.id", "7.0"),
        ("auth.jwt.claims.org.tags[0] + '!'", r#""a!""#),
        ("auth.jwt.claims.none == null", "true"),
        ("auth.jwt.claims.org.exists(key, key == 'id')", "true"),
        ("auth.?jwt.subject.orValue('nobody')", r#""ada""#),
        ("auth.?jwt.?claims.name.orValue('?')", r#""Ada""#),
        ("auth.?subscription.id.orValue('none')", r#""none""#),
        ("auth.?subscription.hasValue()", "false"),
        ("has(auth.jwt) && !has(auth.subscription)", "true"),
        ("request.path.split('/')", r#"["", "orders", "4711"]"#),
        ("int(request.path.split('/')[2]) + 1", "4712"),
        ("request.path.matches('^/orders/[0-9]+$')", "true"),
        ("request.path.substring(1, 7)", r#""orders""#),
        ("request.path.indexOf('4')", "8"),
        ("request.path.replace('/', '-')", r#""-orders-4711""#),
        ("'  a '.trim() + 'Ä'.lowerAscii()", r#""aÄ""#),
        ("size('Größe')", "5"),
        ("request.time.getFullYear() == 2026 && request.time.getMonth() == 10", "true"),
        ("[request.time.getDate(), request.time.getDayOfMonth(), request.time.getDayOfWeek()]", "[24, 23, 2]"),
        ("[request.time.getHours(), request.time.getMinutes(), request.time.getMilliseconds()]", "[10, 20, 500]"),
        ("request.time < timestamp('2027-01-01T00:00:00Z')", "true"),
        ("request.time + duration('1h30m') - request.time", "5400s"),
        ("duration('90s').getMinutes()", "1"),
        ("1 + 2 * 3 - 4 / 2 % 3", "5"),
        ("-(-1)", "1"),
        ("7u / 2u", "3u"),
        ("0.5 + 0.25", "0.75"),
        ("1 == 1 ? 'a' : 'b'", r#""a""#),
        ("{'a': 1}['a'] + {'b': 2}.b", "3"),
        ("'a' in {'a': 1} && !(3 in [1, 2])", "true"),
        ("[1, 2] + [3] == [1, 2, 3]", "true"),
        ("{'a': [1]} == {'a': [1]}", "true"),
        ("b'a' + bytes('b')", r#"b"ab""#),
        ("string(b'a') + string(1) + string(true) + string(2u) + string(1.5)", r#""a1true21.5""#),
        ("double('1.5') + double(2)", "3.5"),
        ("int(-1.9)", "-1"),
        ("uint(3)", "3u"),
        ("bool('true')", "true"),
        ("dyn(1) == 1.0 && dyn('a') != dyn(1)", "true"),
        ("optional.of(1).hasValue() && !optional.none().hasValue()", "true"),
        ("optional.none().or(optional.of(2)).value()", "2"),
        ("optional.of(1).orValue(1 / 0)", "1"),
        ("optional.of(1).or(optional.of(1 / 0)).value()", "1"),
        ("auth.?jwt.subject.orValue(auth.subscription.id)", r#""ada""#),
        ("[[1]].map(x, x + [x.size()])", "[[1, 1]]"),
        ("[['a']].exists(v, (v + ['b']).size() == 2 && v[0] == 'a')", "true"),
        ("[1, 2].map(x, [x].map(x, [x]))", "[[[1]], [[2]]]"),
        ("[1, 2, 3].filter(x, x > 1).map(x, [x] + [x])", "[[2, 2], [3, 3]]"),
        ("string(auth.jwt.claims.large)", r#""9007199254740993""#),
        ("string(auth.jwt.claims.largest)", r#""18446744073709551615""#),
        ("auth.jwt.claims.least", "-9223372036854775808"),
        ("auth.jwt.claims.exact", "9007199254740992.0"),
        ("auth.jwt.claims.large == 9007199254740992", "false"),
        ("auth.jwt.claims.large == 9007199254740993 && auth.jwt.claims.large > auth.jwt.claims.exact", "true"),
        ("[[1, 2], [3]].map(l, l.map(x, x * 2))", "[[2, 4], [6]]"),
        ("'a' < 'b' && b'a' <= b'a' && false < true", "true"),
    ] {
        assert_eq!(given(text, &request).as_deref(), Ok(value), "{text}");
    }
}

#[test]
fn what_one_side_says_by_itself_counts() {
    let request = Request::of_nobody();
    for (text, value) in [
        ("auth.jwt.subject == 'ada' || true", Some("true")),
        ("true || auth.jwt.subject == 'ada'", Some("true")),
        ("auth.jwt.subject == 'ada' && false", Some("false")),
        ("false && auth.jwt.subject == 'ada'", Some("false")),
        ("auth.jwt.subject == 'ada' || false", None),
        ("auth.jwt.subject == 'ada' && true", None),
        ("!(auth.jwt.subject == 'ada')", None),
        ("[1, 0].exists(x, 1 / x == 1)", Some("true")),
        ("[0, 1].exists(x, 1 / x == 1)", Some("true")),
        ("[0, 2].exists(x, 1 / x == 1)", None),
        ("[0, 1].all(x, 1 / x == 2)", Some("false")),
        ("[0, 1].all(x, 1 / x == 1)", None),
        ("[0, 1].exists_one(x, 1 / x == 1)", None),
        ("[0].map(x, 1 / x)", None),
    ] {
        assert_eq!(given(text, &request).ok().as_deref(), value, "{text}");
    }
}

#[test]
fn what_cannot_be_told_is_a_fault() {
    let request = Request::of_nobody();
    for (text, fault) in [
        ("auth.jwt.subject", "auth.jwt.subject is not there"),
        ("auth.jwt.claims.roles", "auth.jwt.claims is not there"),
        ("request.headers['x-none']", "what [] asks for is not there"),
        ("request.headers.cookie", "cookie is not there"),
        ("[1][1]", "what [] asks for is not there"),
        ("[1][-1]", "what [] asks for is not there"),
        ("{'a': 1}['b']", "what [] asks for is not there"),
        ("1 / 0", "/ goes beyond what a number can hold"),
        ("1 % 0", "% goes beyond what a number can hold"),
        ("9223372036854775807 + 1", "+ goes beyond what a number can hold"),
        ("0u - 1u", "- goes beyond what a number can hold"),
        ("-(-9223372036854775807 - 1)", "- goes beyond what a number can hold"),
        ("uint(-1)", "uint goes beyond what a number can hold"),
        ("int(1e30)", "int goes beyond what a number can hold"),
        ("int('a')", "int cannot read the text"),
        ("duration('1d')", "duration cannot read the text"),
        ("timestamp('yesterday')", "timestamp cannot read the text"),
        ("string(b'\\xff')", "string cannot read the text"),
        ("{'a': 1, 'a': 2}", "a map has the same key twice"),
        ("'abc'.substring(2, 1)", "substring goes beyond the text"),
        ("'abc'.substring(4)", "substring goes beyond the text"),
        ("double('NaN') > 1.0", "double cannot read the text"),
        ("double('-nan')", "double cannot read the text"),
        ("optional.none().orValue(1 / 0)", "/ goes beyond what a number can hold"),
        ("request.headers['x-odd'][0]", "a line is no UTF-8"),
        ("'x-odd' in request.headers", "a line is no UTF-8"),
        ("has(request.query.page) && request.query.exists(p, p == 'page')", "a line is no UTF-8"),
        ("request.headers[?'x-odd'].hasValue()", "a line is no UTF-8"),
        ("request.headers.?x.or(request.headers[?'x-odd']).hasValue()", "a line is no UTF-8"),
        ("size(request.query) == 1", "a line is no UTF-8"),
        ("{'a': request.query} == {'a': request.query}", "a line is no UTF-8"),
        ("dyn('a') < dyn(1)", "< cannot be applied to such values"),
        ("dyn(1).b", ". cannot be applied to such values"),
        ("dyn(1) && true", "&& cannot be applied to such values"),
        ("optional.none().value()", "the value of what is optional is not there"),
        ("auth.?jwt.subject.value()", "the value of what is optional is not there"),
    ] {
        let found = given(text, &request).unwrap_err();
        assert_eq!(found.to_string(), fault, "{text}");
    }
}

#[test]
fn what_cannot_be_typed_is_refused_where_it_stands() {
    for (text, place, message) in [
        ("request.metod == 'GET'", (1, 8), "request has no field metod; it has method, path"),
        ("user.name", (1, 1), "user is not known; there are request, client, auth, route"),
        ("auth.jwt", (1, 5), "auth.jwt is no value by itself; select one of issuer"),
        ("request", (1, 1), "request is no value by itself"),
        ("auth.jwt.subject.name", (1, 17), "string has no fields, and so no name"),
        ("request.method == 1", (1, 16), "== cannot be applied to string and int"),
        ("true &&\n  request.method", (2, 10), "this is string, and has to be bool"),
        ("request.path.starts('/')", (1, 20), "there is no function starts like this"),
        ("startsWith(request.path, '/')", (1, 11), "write it behind a dot: value.startsWith(...)"),
        ("request.path.matches(request.method)", (1, 29), "the pattern has to be a string literal"),
        ("request.path.matches('(')", (1, 22), "the pattern cannot be used"),
        ("1 + 'a'", (1, 3), "+ cannot be applied to int and string"),
        ("true ? 1 : 'a'", (1, 12), "one side of ?: is int, this one string"),
        ("1.all(x, true)", (1, 1), "it goes over int, and can go over a list or a map"),
        ("[1].all(x, x + 1)", (1, 14), "this is int, and has to be bool"),
        ("{1.5: 1}", (1, 2), "a key cannot be double"),
        ("Account{id: 1}", (1, 8), "a message cannot be made"),
        ("[?optional.of(1)]", (1, 1), "an optional item cannot be made"),
        ("request.", (1, 9), "it is no expression"),
        ("", (1, 1), "it is no expression"),
        ("a b", (1, 3), "it is no expression"),
        ("now()", (1, 4), "there is no function now like this"),
        ("type(1) == int", (1, 5), "there is no function type like this"),
    ] {
        let found = program(text).expect_err(text);
        assert!(found.message.contains(message), "{text}: {found}");
        assert_eq!(line_and_column(text, found.at), place, "{text}: {found}");
    }
}

#[test]
fn what_it_gives_is_what_was_asked_for() {
    let checked = |text: &str, wanted: &[Type]| {
        check(&parse(text).unwrap(), wanted, &mut Budget::default()).map_err(|why| why.message)
    };
    assert!(checked("true", &[Type::Bool]).is_ok());
    assert!(checked("auth.jwt.claims.admin", &[Type::Bool]).is_ok(), "it may be");
    let text_or_none = [Type::Text, Type::optional(Type::Text)];
    assert!(checked("auth.?jwt.subject", &text_or_none).is_ok());
    assert_eq!(checked("request.path", &[Type::Bool]).unwrap_err(), "it gives string, and has to give bool");
    assert_eq!(checked("1", &text_or_none).unwrap_err(), "it gives int, and has to give string or optional(string)");
    assert!(checked("auth.jwt.scopes.map(s, s.upperAscii())", &[Type::list(Type::Int)]).is_err());
}

#[test]
fn what_is_read_is_known_beforehand() {
    let reads = |text: &str| program(text).unwrap().reads().to_vec();
    assert_eq!(reads("has(auth.jwt) && auth.jwt.claims.a == 1"), [Field::AuthJwt, Field::TokenClaims]);
    assert_eq!(reads("[1].map(request, request + 1)"), [], "a macro's variable hides what is declared");
}

#[test]
fn each_field_has_one_name_and_a_text() {
    for field in Field::ALL {
        let declared = field.declaration();
        assert_eq!(declared.object.field(declared.name), Some(field));
        assert!(declared.text.ends_with('.'), "{}", field.path());
    }
}
