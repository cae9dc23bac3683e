//! What is made of answers, and what is asked at all.

use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use super::*;
use crate::egress::Answer;

const NOW: UnixMs = UnixMs(1_800_000_000_000);
const ENDPOINT: &str = "https://login.example.com/introspect";
const ISSUER: &str = "https://login.example.com";

fn message() -> v1::Introspection {
    v1::Introspection {
        name: "a".into(),
        endpoint: ENDPOINT.into(),
        client_id: "gateway".into(),
        client_secret: Some(v1::Secret { value: "s3cret:+/".into() }),
        audiences: vec!["orders-api".into()],
        scopes: vec!["orders.read".into()],
        timeout_ms: 2000,
        cache_ms: 60_000,
        negative_cache_ms: 10_000,
        clock_skew_s: 60,
        ..v1::Introspection::default()
    }
}

fn asked(message: &v1::Introspection) -> Introspection {
    Introspection::build("ApiPolicy shop/orders", message).unwrap()
}

fn good() -> Value {
    json!({
        "active": true, "sub": "alice", "aud": "orders-api", "scope": "openid orders.read", "token_type": "Bearer",
        "exp": NOW.seconds() + 300,
    })
}

fn with(changes: &Value) -> Value {
    let mut members = good();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(members.as_object_mut().unwrap().remove(name)),
            value => members[name] = value.clone(),
        }
    }
    members
}

fn said(body: &str, message: &v1::Introspection) -> Verdict {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    answer::judge(&Answer { headers, body: body.to_owned().into() }, &asked(message), NOW)
}

fn fault(changes: &Value) -> IntrospectionFault {
    said(&with(changes).to_string(), &message()).unwrap_err()
}

#[test]
fn an_answer_is_judged_as_claims_are() {
    use IntrospectionFault as F;
    use TokenFault as T;
    let introspected = said(&good().to_string(), &message()).unwrap();
    assert_eq!(&*introspected.identity, format!("introspection:{}:{ENDPOINT}:alice", ENDPOINT.len()));
    assert_eq!(introspected.term.expires, Some(UnixMs(NOW.0 + 300_000)));
    assert_eq!(introspected.term.admitted_until, Some(UnixMs(NOW.0 + 360_000)));
    assert_eq!(introspected.scopes().collect::<Vec<_>>(), ["openid", "orders.read"]);
    for fine in [
        json!({ "exp": null }),
        json!({ "token_type": null }),
        json!({ "token_type": "bearer" }),
        json!({ "aud": ["other", "orders-api"] }),
        json!({ "sub": null, "client_id": "batch" }),
        json!({ "iss": "anybody" }),
        json!({ "username": "alice", "ext": { "a": [1] } }),
    ] {
        assert!(said(&with(&fine).to_string(), &message()).is_ok(), "{fine}");
    }
    for (changes, expected) in [
        (json!({ "active": false }), F::Inactive),
        (json!({ "exp": NOW.seconds() - 60 }), F::Claims(T::Expired)),
        (json!({ "exp": "never" }), F::Claims(T::ClaimForm("exp"))),
        (json!({ "nbf": NOW.seconds() + 61 }), F::Claims(T::NotYetValid)),
        (json!({ "iat": NOW.seconds() + 61 }), F::Claims(T::NotYetValid)),
        (json!({ "aud": null }), F::Claims(T::Audience)),
        (json!({ "aud": "orders" }), F::Claims(T::Audience)),
        (json!({ "aud": ["orders-api", 1] }), F::Claims(T::Audience)),
        (json!({ "scope": null }), F::Claims(T::InsufficientScope { missing: "orders.read".into() })),
        (json!({ "scope": "orders.reader" }), F::Claims(T::InsufficientScope { missing: "orders.read".into() })),
        (json!({ "cnf": { "jkt": "x" } }), F::Claims(T::Bound)),
        (json!({ "sub": 1 }), F::Claims(T::ClaimForm("sub"))),
        (json!({ "token_type": "N_A" }), F::Type),
        (json!({ "token_type": "DPoP" }), F::Type),
        (json!({ "token_type": 1 }), F::Type),
        (json!({ "sub": null }), F::Nobody),
        (json!({ "sub": "", "client_id": "" }), F::Nobody),
        (json!({ "sub": null, "client_id": 1 }), F::Nobody),
    ] {
        assert_eq!(fault(&changes), expected, "{changes}");
    }
    // Whatever else stands beside it.
    assert_eq!(fault(&json!({ "active": false, "aud": "other", "exp": 1 })), F::Inactive);
}

#[test]
fn an_answer_that_can_be_read_in_two_ways_is_none() {
    let good = good().to_string();
    for body in [
        String::new(),
        "null".into(),
        "[]".into(),
        format!("[{good}]"),
        "{}".into(),
        r#"{"active":"true"}"#.into(),
        r#"{"active":1}"#.into(),
        r#"{"active":null}"#.into(),
        r#"{"Active":true}"#.into(),
        good.replace("\"active\":true", "\"active\":true,\"active\":true"),
        good.replace("\"active\":true", "\"active\":false,\"active\":true"),
        format!("{good} x"),
        "<html>".into(),
        good[..good.len() - 1].to_owned(),
    ] {
        let fault = said(&body, &message()).unwrap_err();
        assert!(matches!(fault, IntrospectionFault::Unavailable(_)), "{body}: {fault}");
    }
    for kinds in [&[][..], &["text/html"], &["application/jwt"], &["application/json", "application/json"]] {
        let mut headers = HeaderMap::new();
        for kind in kinds {
            headers.append(header::CONTENT_TYPE, kind.parse().unwrap());
        }
        let answer = Answer { headers, body: good.clone().into() };
        let fault = answer::judge(&answer, &asked(&message()), NOW).unwrap_err();
        assert!(matches!(fault, IntrospectionFault::Unavailable(_)), "{kinds:?}");
    }
}

/// An endpoint may know the tokens of many.
#[test]
fn where_an_issuer_is_stated_it_has_to_be_said() {
    let of_one = v1::Introspection { issuer: ISSUER.into(), ..message() };
    let said = |changes: Value| said(&with(&changes).to_string(), &of_one);
    let introspected = said(json!({ "iss": ISSUER })).unwrap();
    assert_eq!(&*introspected.identity, format!("jwt:{}:{ISSUER}:alice", ISSUER.len()), "as of a JWT of the same");
    let client = said(json!({ "iss": ISSUER, "sub": null, "client_id": "alice" })).unwrap();
    assert_eq!(
        &*client.identity,
        format!("client-jwt:{}:{ISSUER}:alice", ISSUER.len()),
        "a client is nobody's namesake"
    );
    for other in [json!({}), json!({ "iss": format!("{ISSUER}/") }), json!({ "iss": 1 }), json!({ "iss": [ISSUER] })] {
        assert_eq!(said(other.clone()), Err(IntrospectionFault::Claims(TokenFault::Issuer)), "{other}");
    }
}

#[test]
fn a_lifetime_asks_for_both_dates() {
    let bounded = v1::Introspection { max_lifetime_ms: Some(600_000), ..message() };
    let (begin, end) = (NOW.seconds() - 10, NOW.seconds() + 500);
    for (changes, is_taken) in [
        (json!({ "iat": begin, "exp": end }), true),
        (json!({ "iat": begin, "exp": end + 100 }), false),
        (json!({ "exp": end }), false),
        (json!({ "iat": begin, "exp": null }), false),
    ] {
        assert_eq!(said(&with(&changes).to_string(), &bounded).is_ok(), is_taken, "{changes}");
    }
}

#[test]
fn nobodys_token_is_shown_to_another_issuer() {
    let token = |claims: &Value| {
        use base64::Engine as _;
        let part = |text: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part("{}"), part(&claims.to_string()))
    };
    let of_one = v1::Introspection { issuer: ISSUER.into(), ..message() };
    let foreign = vec!["https://other.example.com".into(), "https://tenants.example.com/*".into()];
    let of_any = v1::Introspection { foreign_issuers: foreign, ..message() };
    let below = v1::Introspection {
        issuer: format!("{ISSUER}/shop/"),
        foreign_issuers: vec![format!("{ISSUER}/")],
        ..message()
    };
    let prefixed = v1::Introspection { prefix: "opq_".into(), ..message() };
    let (own, other) = (token(&json!({ "iss": ISSUER })), token(&json!({ "iss": "https://other.example.com" })));
    for (message, sent, is_shown) in [
        (&of_one, "opaque", true),
        (&of_one, &*own, true),
        (&of_one, &*token(&json!({ "sub": "a" })), true),
        (&of_one, &*other, false),
        (&of_any, &*own, true),
        (&of_any, &*other, false),
        (&of_any, &*token(&json!({ "iss": "https://tenants.example.com/one/v2.0" })), false),
        (&of_any, &*token(&json!({ "iss": "https://other.example.com/one" })), true),
        (&below, &*token(&json!({ "iss": format!("{ISSUER}/shop/") })), true),
        (&below, &*token(&json!({ "iss": format!("{ISSUER}/") })), false),
        (&prefixed, "opq_1", true),
        (&prefixed, "1_opq_", false),
        (&prefixed, "OPQ_1", false),
    ] {
        assert_eq!(asked(message).judge_form(sent).is_ok(), is_shown, "{sent}");
    }
    let long = "a".repeat(16 * 1024 + 1);
    for malformed in ["", "=", "a b", "a\"b", "a,b", "ä", "a=b", "a\u{0}", &long] {
        assert_eq!(asked(&message()).judge_form(malformed), Err(IntrospectionFault::Malformed), "{malformed}");
    }
    assert!(asked(&message()).judge_form("aA0-._~+/==").is_ok());
}

#[test]
fn whoever_asks_says_who_it_is() {
    let call = asked(&message()).call("a+b/c==");
    assert_eq!(call.form.as_deref(), Some("token=a%2Bb%2Fc%3D%3D&token_type_hint=access_token"));
    // "gateway:s3cret%3A%2B%2F"
    assert_eq!(call.authorization.unwrap(), "Basic Z2F0ZXdheTpzM2NyZXQlM0ElMkIlMkY=");
    let in_form = asked(&v1::Introspection { secret_in_form: true, ..message() }).call("t");
    let form = "token=t&token_type_hint=access_token&client_id=gateway&client_secret=s3cret%3A%2B%2F";
    assert_eq!((in_form.form.as_deref(), in_form.authorization), (Some(form), None));
    for broken in [
        v1::Introspection { client_id: String::new(), ..message() },
        v1::Introspection { client_secret: None, ..message() },
        v1::Introspection { client_secret: Some(v1::Secret::default()), ..message() },
        v1::Introspection { audiences: vec![], ..message() },
        v1::Introspection { audience_unchecked: true, ..message() },
        v1::Introspection { clock_skew_s: 301, ..message() },
    ] {
        assert!(Introspection::build("ApiPolicy shop/orders", &broken).is_err());
    }
}

#[test]
fn what_is_remembered_is_of_one_token_and_all_that_it_is_judged_by() {
    let one = asked(&message());
    let others = v1::Introspection { scopes: vec!["admin".into()], ..message() };
    assert_eq!(one.case("t"), asked(&message()).case("t"));
    assert_ne!(one.case("t"), one.case("u"));
    assert_ne!(one.case("t"), asked(&others).case("t"));
}

#[test]
fn an_answer_means_the_same_whenever_and_in_whatever_order_it_is_given() {
    let meaning = |changes: Value| said(&with(&changes).to_string(), &message()).unwrap().meaning();
    let first = meaning(json!({ "roles": ["a", "b"], "ext": { "x": [1, 2] } }));
    for same in [
        json!({ "roles": ["b", "a"], "ext": { "x": [2, 1] } }),
        json!({ "roles": ["a", "b"], "ext": { "x": [1, 2] }, "scope": "orders.read openid" }),
        json!({ "roles": ["a", "b"], "ext": { "x": [1, 2] }, "exp": NOW.seconds() + 900, "iat": 1, "jti": "9", "expires_in": 7 }),
    ] {
        assert_eq!(meaning(same.clone()), first, "{same}");
    }
    for other in [
        json!({ "roles": ["a"], "ext": { "x": [1, 2] } }),
        json!({ "roles": ["a", "b"], "ext": { "x": [1, 3] } }),
        json!({ "roles": ["a", "b"], "ext": { "x": [1, 2] }, "sub": "bob" }),
        json!({ "roles": ["a", "b"], "ext": { "x": [1, 2] }, "scope": "orders.read" }),
        json!({ "roles": ["a", "b"], "ext": { "x": [1, 2] }, "more": 1 }),
        json!({ "roles": ["a\",\"b"], "ext": { "x": [1, 2] } }),
    ] {
        assert_ne!(meaning(other.clone()), first, "{other}");
    }
}

#[test]
fn an_answer_takes_no_more_memory_than_one_may() {
    let tables = |count: usize| json!({ "x": vec![json!({ "a": 0 }); count] });
    assert!(said(&with(&tables(100)).to_string(), &message()).unwrap().bytes() > 70_000);
    let fault = said(&with(&tables(1000)).to_string(), &message()).unwrap_err();
    assert!(matches!(fault, IntrospectionFault::Unavailable(_)), "{fault}");
}
