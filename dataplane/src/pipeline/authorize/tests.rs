//! Rules over callers: what admits, and what does not, whatever cannot be told included.

use http::header::HeaderMap;
use http::{HeaderName, HeaderValue, Method};
use sallyport_expression::parse::parse;
use sallyport_expression::wire;
use sallyport_snapshot::{Hash, v1};

use super::*;
use crate::clock::UnixMs;
use crate::introspection::Introspections;
use crate::limit::registry::Registry;
use crate::map::Map;
use crate::passwords::{self, Passwords};
use crate::path::Query;
use crate::pipeline::authenticate::{Course, Hop};
use crate::pipeline::hygiene::Peer;
use crate::pipeline::tokens::{Patience, Tokens};
use crate::rejection::Told;
use crate::replays::{self, Replays};
use crate::runtime::keys::{Api, Door, Keys, Subscription};
use crate::runtime::policy::token_place::TokenPlace;

/// Claims of a token whose signature nobody looks at here.
const TOKEN: &str =
    r#"{"iss":"joe","sub":"ada","scope":"orders.read","scp":["orders.write"],"roles":["buyer"],"level":3}"#;
const FLOOR: &str = "ApiPolicy infra/base";

fn rule(when: Option<&str>, require: &str) -> v1::AuthorizationRule {
    let told = |text: &str| wire::to_wire(&parse(text).unwrap());
    v1::AuthorizationRule {
        name: "r".into(),
        when: when.map(told),
        require: Some(told(require)),
        ..v1::AuthorizationRule::default()
    }
}

fn policy(object: &str, is_floor: bool, rules: Vec<v1::AuthorizationRule>) -> Policy {
    let open = v1::Alternative { name: "open".into(), public: true, ..v1::Alternative::default() };
    let policy = v1::Policy {
        authentication: Some(v1::Authentication { object: object.into(), alternatives: vec![open] }),
        authorizations: vec![v1::Authorization { object: object.into(), rules, is_floor }],
        ..v1::Policy::default()
    };
    let (policy, problem) = Policy::build(&"orders".into(), Hash::of_bytes(b""), &policy, &mut Registry::default());
    assert_eq!(problem, None);
    policy
}

fn with_token() -> Held {
    Held {
        alternative: "staff".into(),
        claims: Some(Arc::new(crate::jwt::claims_of_tests("jwt:3:joe:ada"))),
        place: Some(Arc::new(TokenPlace::authorization())),
        ..Held::default()
    }
}

fn with_key() -> Held {
    let scope = Some(v1::subscription::Scope::Product("shop/gold".into()));
    let message = v1::Subscription { scope, ..v1::Subscription::default() };
    let subscription = Arc::new(Subscription::build(&"acme/one".into(), &message).unwrap());
    Held { alternative: "partners".into(), subscription: Some((subscription, [0; 32])), ..Held::default() }
}

/// What a caller sends besides a token, and how.
struct Sent<'a> {
    path: &'a str,
    query: &'a str,
    lines: &'a [(&'a str, &'a [u8])],
    upgrade: Option<&'a str>,
    peer: Peer,
}

impl Default for Sent<'_> {
    fn default() -> Self {
        let lines: &[(&str, &[u8])] = &[("x-team", b"blue"), ("x-team", b"red"), ("x-odd", b"\xff")];
        Self { path: "/orders/4711", query: "a=1&b=%32&a=3", lines, upgrade: None, peer: Peer::Stranger }
    }
}

/// What comes of a caller with this near finding, and one of the floor where there is one.
fn judged(policy: &Policy, near: &Held, floor: Option<Held>) -> Result<(), Rejection> {
    let floors: Vec<_> = floor.into_iter().map(|held| (FLOOR.into(), held)).collect();
    judged_of(&Sent::default(), policy, &Findings { near, floors: &floors }, &mut Steps::default())
}

fn judged_of(sent: &Sent<'_>, policy: &Policy, findings: &Findings<'_>, steps: &mut Steps) -> Result<(), Rejection> {
    use base64::Engine as _;
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let token = format!("Bearer {}.{}.{}", part(r#"{"alg":"ES256","kid":"k"}"#), part(TOKEN), part("-"));
    let mut headers = HeaderMap::new();
    headers.insert("authorization", token.parse().unwrap());
    for (name, line) in sent.lines {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(line).unwrap());
    }
    let api = Api { kind: "HTTPRoute".into(), namespace: "shop".into(), name: "orders".into() };
    let (key_sets, unusable, products, tokens, keys) =
        (Map::default(), Map::default(), Map::default(), Tokens::default(), Keys::default());
    let upgrade = sent.upgrade.map(|upgrade| HeaderValue::from_str(upgrade).unwrap());
    let caller = Caller {
        method: &Method::POST,
        host: "api.example.com",
        path: sent.path,
        headers: &headers,
        query: Query(Some(sent.query)),
        address: Some("192.0.2.1".parse().unwrap()),
        door: Door { api: &api, gateway: "shop/public", products: &products },
        hop: Hop { upgrade: upgrade.as_ref(), authority: None, peer: sent.peer, ..Hop::default() },
        body_bytes: None,
        replicas: std::num::NonZeroU32::MIN,
        rule: "0",
        keys: &keys,
        tokens: &tokens,
        key_sets: &key_sets,
        unusable_key_sets: &unusable,
        trusts: &Map::default(),
        password_files: &Map::default(),
        passwords: &Passwords::new(passwords::Counters::default()).unwrap(),
        introspections: &Introspections::of_tests(),
        patience: Patience::Waits,
        beside: None,
        replays: &Replays::new(replays::Counters::default(), crate::clock::Clock::default()),
        nonces: None,
        course: &Course::default(),
        now: UnixMs(1_800_000_000_000),
        explained: None,
        asks_nobody: false,
        limit_store: None,
        counts_in_store: false,
    };
    Expressions::new(policy, &caller, findings).judge(steps)
}

/// Whether a caller with a token may pass by a rule.
fn passes(sent: &Sent<'_>, when: Option<&str>, require: &str) -> bool {
    let policy = policy("ApiPolicy shop/orders", false, vec![rule(when, require)]);
    judged_of(sent, &policy, &Findings { near: &with_token(), floors: &[] }, &mut Steps::default()).is_ok()
}

#[test]
fn a_request_is_what_expressions_see() {
    for require in [
        r#"request.method == "POST""#,
        r#"request.path.startsWith("/orders/")"#,
        r#"request.host == "api.example.com""#,
        r#"request.headers["x-team"] == ["blue", "red"]"#,
        r#"!has(request.headers.cookie)"#,
        r#"request.query["a"] == ["1", "3"] && request.query.b[0] == "2""#,
        r#"!("" in request.query)"#,
        r#"client.address == "192.0.2.1""#,
        "request.time.getFullYear() == 2027",
        r#"auth.alternative == "staff" && auth.identity == "jwt:3:joe:ada""#,
        r#"auth.jwt.issuer == "joe" && auth.jwt.subject == "ada""#,
        r#"auth.jwt.scopes == ["orders.read", "orders.write"]"#,
        r#""buyer" in auth.jwt.claims.roles && auth.jwt.claims.level == 3"#,
        r#"auth.jwt.header.kid == "k""#,
        "!has(auth.subscription)",
        r#"route.kind + "/" + route.namespace + "/" + route.name + "/" + route.rule == "HTTPRoute/shop/orders/0""#,
    ] {
        let policy = policy("ApiPolicy shop/orders", false, vec![rule(None, require)]);
        assert!(judged(&policy, &with_token(), None).is_ok(), "{require}");
        let denied = format!("!({require})");
        let policy = self::policy("ApiPolicy shop/orders", false, vec![rule(None, &denied)]);
        let refused = judged(&policy, &with_token(), None).unwrap_err();
        assert_eq!(refused.reason, Reason::AuthorizationDenied, "{denied}");
    }
}

#[test]
fn a_subscription_is_told_by_its_id_and_product() {
    let require = r#"auth.identity == "subscription:acme/one" && auth.subscription.id == "acme/one" && auth.subscription.product == "shop/gold" && !has(auth.jwt)"#;
    assert!(judged(&policy("ApiPolicy shop/orders", false, vec![rule(None, require)]), &with_key(), None).is_ok());
}

#[test]
fn what_cannot_be_told_refuses() {
    for (when, require, message) in [
        (None, "auth.jwt.subject == 'ada'", "`require` cannot be told: auth.jwt.subject is not there"),
        (None, "request.headers['x-none'][0] == 'a'", "`require` cannot be told: what [] asks for is not there"),
        (None, "request.headers['x-odd'][0] == 'a'", "`require` cannot be told: a line of x-odd is no UTF-8"),
        (Some("auth.jwt.subject == 'ada'"), "true", "`when` cannot be told: auth.jwt.subject is not there"),
        (None, "false", "`require` does not hold"),
        (
            None,
            "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, true))))) || true",
            "`require` cannot be told: the expressions of the request take too many steps",
        ),
    ] {
        let policy = policy("ApiPolicy shop/orders", false, vec![rule(when, require)]);
        let refused = judged(&policy, &with_key(), None).unwrap_err();
        assert_eq!((refused.reason, &*refused.origin.message), (Reason::AuthorizationDenied, message), "{require}");
        assert_eq!((refused.origin.section, &*refused.origin.rule), ("authorization", "r"));
    }
}

#[test]
fn a_claim_that_is_no_truth_is_none() {
    for require in ["auth.jwt.claims.level", "auth.jwt.claims.roles", "auth.jwt.claims.sub", "auth.jwt.claims.none"] {
        let policy = policy("ApiPolicy shop/orders", false, vec![rule(None, require)]);
        assert!(judged(&policy, &with_token(), None).is_err(), "{require}");
    }
}

#[test]
fn a_rule_asks_only_of_requests_that_it_is_for() {
    let of_get = rule(Some("request.method == 'GET'"), "false");
    let of_post = rule(Some("request.method == 'POST'"), "false");
    let near = |rules| judged(&policy("ApiPolicy shop/orders", false, rules), &with_token(), None);
    assert!(near(vec![of_get.clone()]).is_ok());
    assert!(near(vec![of_get.clone(), of_post]).is_err(), "each has to hold");
    assert!(near(vec![]).is_ok());
}

#[test]
fn a_floor_knows_what_it_has_found_itself() {
    let by_staff = policy(FLOOR, true, vec![rule(None, "auth.alternative == 'staff'")]);
    assert!(judged(&by_staff, &with_key(), Some(with_token())).is_ok());
    assert!(judged(&by_staff, &with_token(), Some(with_key())).is_err(), "the nearest level's word is not the floor's");
    assert!(judged(&by_staff, &with_token(), None).is_err(), "it has found nobody");
    let of_all = policy(FLOOR, true, vec![rule(None, "request.method == 'POST'")]);
    assert!(judged(&of_all, &with_token(), None).is_ok());
}

#[test]
fn a_rule_that_cannot_be_used_never_holds() {
    let deny = v1::Deny { object: "ApiPolicy shop/orders".into(), ..v1::Deny::default() };
    let unavailable =
        v1::AuthorizationRule { name: "r".into(), unavailable: Some(deny), ..v1::AuthorizationRule::default() };
    let refused = judged(&policy("ApiPolicy shop/orders", false, vec![unavailable]), &with_token(), None).unwrap_err();
    assert_eq!(refused.reason, Reason::Configuration);
}

#[test]
fn what_is_told_and_no_condition_closes_the_policy() {
    let told = |text: &str| Some(wire::to_wire(&parse(text).unwrap()));
    for require in [None, Some(v1::Expression::default()), told("'a'"), told("auth.jwt"), told("nobody.knows")] {
        let rule = v1::AuthorizationRule { name: "r".into(), require, ..v1::AuthorizationRule::default() };
        let authorization =
            v1::Authorization { object: "ApiPolicy shop/orders".into(), rules: vec![rule], is_floor: false };
        let open = v1::Alternative { name: "open".into(), public: true, ..v1::Alternative::default() };
        let policy = v1::Policy {
            authentication: Some(v1::Authentication { object: String::new(), alternatives: vec![open] }),
            authorizations: vec![authorization],
            ..v1::Policy::default()
        };
        let (policy, problem) = Policy::build(&"orders".into(), Hash::of_bytes(b""), &policy, &mut Registry::default());
        assert!(policy.deny.is_some() && problem.is_some_and(|why| why.contains("authorization[r]")));
    }
}

#[test]
fn callers_are_told_what_the_rule_says_to_them() {
    let stated = v1::AuthorizationRule { message: "ask for orders.write".into(), ..rule(None, "false") };
    let refused = judged(&policy("ApiPolicy shop/orders", false, vec![stated]), &with_token(), None).unwrap_err();
    let told = refused.told.as_deref();
    assert!(matches!(told, Some(Told::Detail(words)) if words == "ask for orders.write"));
}

/// What differs only in escapes is one path to services, and what stands behind a semicolon is part of it to some.
#[test]
fn a_rule_about_paths_holds_for_every_reading_of_them() {
    let (internal, of_nobody) = (r#"request.path.startsWith("/orders/internal")"#, "false");
    let passes = |path: &str, when: &str| passes(&Sent { path, ..Sent::default() }, Some(when), of_nobody);
    for path in [
        "/orders/internal/1",
        "/orders/;x/internal/1",
        "/orders/%3Bx/internal/1",
        "/orders/internal;x/1",
        "/;a/orders/internal",
    ] {
        assert!(!passes(path, internal), "{path}");
    }
    for path in ["/orders/1", "/orders/;internal/1", "/orders/x;/internal"] {
        assert!(passes(path, internal), "{path}");
    }
    for (path, when) in [
        ("/orders/1%3Acancel", r#"request.path.endsWith(":cancel")"#),
        ("/%24metadata", r#"request.path.startsWith("/$metadata")"#),
        ("/gr%C3%B6%C3%9Fe", r#"request.path == "/größe""#),
        ("/admin;x", r#"request.path == "/admin""#),
        ("/admin%3Bx=1", r#"request.path.matches("^/admin(/|$)")"#),
    ] {
        assert!(!passes(path, when), "{path} {when}");
    }
}

#[test]
fn what_is_no_text_is_neither_there_nor_not() {
    for (lines, query) in [
        (&[("x-region", &b"mars\xff"[..])][..], ""),
        (&[("x-region", b"eu"), ("x-region", b"mars\xff")], ""),
        (&[("x_region", b"mars\xff")], ""),
        (&[], "region=mars%ff"),
        (&[], "region=eu&region=%ff"),
    ] {
        let sent = Sent { lines, query, ..Sent::default() };
        let of = if query.is_empty() { r#"request.headers, "x-region""# } else { r#"request.query, "region""# };
        let (map, name) = of.split_once(", ").unwrap();
        assert!(!passes(&sent, Some(&format!("{name} in {map}")), "false"), "{lines:?} {query}");
        assert!(
            !passes(&sent, None, &format!(r#"{map}[?{name}].orValue(["eu"]).all(r, r == "eu")"#)),
            "{lines:?} {query}"
        );
        assert!(!passes(&sent, None, &format!("!({name} in {map})")), "{lines:?} {query}");
    }
}

#[test]
fn a_header_has_one_name_in_every_spelling() {
    for name in ["x-region", "x_region", "X_Region"] {
        let sent = Sent { lines: &[(name, b"mars")], ..Sent::default() };
        assert!(!passes(&sent, Some(r#""x-region" in request.headers"#), "false"), "{name}");
        assert!(passes(&sent, None, r#"request.headers["X-Region"] == ["mars"]"#), "{name}");
        assert!(passes(&sent, None, r#"request.headers.exists(name, name == "x-region")"#), "{name}");
    }
    let both = Sent { lines: &[("x-region", b"eu"), ("x_region", b"mars")], ..Sent::default() };
    assert!(!passes(&both, None, r#"request.headers["x-region"].all(r, r == "eu")"#));
    assert!(passes(&both, None, r#"request.headers["x-region"].size() == 2"#));
    let split = Sent { lines: &[("cookie", b"a=1"), ("cookie", b"b=2")], ..Sent::default() };
    assert!(passes(&split, None, r#"request.headers.cookie == ["a=1; b=2"]"#));
}

/// None of these reaches the service as it came, so that no rule is about it.
#[test]
fn what_is_believed_from_nobody_is_not_told() {
    for name in [
        "x-ssl-client-verify",
        "X_SSL_Client_Verify",
        "x-forwarded-client-cert",
        "client-cert",
        "x-http-method-override",
        "x-original-url",
        "sallyport-key",
        "host",
        "x-forwarded-for",
        "x-real-ip",
        "forwarded",
    ] {
        let sent = Sent { lines: &[(name, b"SUCCESS")], ..Sent::default() };
        assert!(passes(&sent, None, &format!(r#"!("{name}" in request.headers)"#)), "{name}");
        assert!(!passes(&sent, None, &format!(r#"request.headers["{name}"] == ["SUCCESS"]"#)), "{name}");
        assert!(!passes(&sent, None, r#"request.headers.exists(n, request.headers[n] == ["SUCCESS"])"#), "{name}");
    }
    let lines: &[(&str, &[u8])] = &[("x-forwarded-for", b"203.0.113.7")];
    let sent = Sent { lines, peer: Peer::TrustedProxy, ..Sent::default() };
    assert!(passes(&sent, None, r#"request.headers["x-forwarded-for"] == ["203.0.113.7"]"#));
}

/// Keys and tokens are for the gateway: an expression would hand them on.
#[test]
fn credentials_are_not_told() {
    let jwt = Some(v1::Jwt {
        issuer: "joe".into(),
        audience_unchecked: true,
        algorithms: vec!["ES256".into()],
        ..v1::Jwt::default()
    });
    let key = Some(v1::SubscriptionKey { headers: vec!["x-key".into()], query_parameters: vec!["key".into()] });
    let place = Some(v1::token_place::Place::QueryParameter("token".into()));
    let parameter = v1::TokenPlace { place, from_other_sites: false };
    let by_key = v1::Alternative { name: "key".into(), subscription_key: key, ..v1::Alternative::default() };
    let by_token = v1::Alternative { name: "token".into(), jwt: jwt.clone(), ..v1::Alternative::default() };
    let elsewhere =
        v1::Alternative { name: "elsewhere".into(), jwt, token_places: vec![parameter], ..v1::Alternative::default() };
    let require = r#"!("x-key" in request.headers) && !("authorization" in request.headers) && !request.headers.exists(n, n == "x-key") && !("key" in request.query) && !("token" in request.query) && request.query.size() == 1"#;
    let policy = v1::Policy {
        authentication: Some(v1::Authentication {
            object: "o".into(),
            alternatives: vec![by_key, by_token, elsewhere],
        }),
        authorizations: vec![v1::Authorization {
            object: "o".into(),
            rules: vec![rule(None, require)],
            is_floor: false,
        }],
        ..v1::Policy::default()
    };
    let (policy, problem) = Policy::build(&"orders".into(), Hash::of_bytes(b""), &policy, &mut Registry::default());
    assert_eq!(problem, None);
    let sent = Sent { lines: &[("x_key", b"secret")], query: "key=secret&token=secret&a=1", ..Sent::default() };
    let judged = judged_of(&sent, &policy, &Findings { near: &with_token(), floors: &[] }, &mut Steps::default());
    assert!(judged.is_ok(), "{:?}", judged.map_err(|refused| refused.origin.message));
}

#[test]
fn what_a_connection_is_to_become_is_told() {
    let sent = Sent { upgrade: Some("websocket"), ..Sent::default() };
    assert!(!passes(&sent, Some(r#""upgrade" in request.headers"#), "false"));
    assert!(passes(
        &sent,
        None,
        r#"request.headers.upgrade == ["websocket"] && request.headers.exists(n, n == "upgrade")"#
    ));
    assert!(passes(&Sent::default(), Some(r#""upgrade" in request.headers"#), "false"));
}

/// What is only reported of a request has so many steps together, however many report.
#[test]
fn all_that_is_asked_in_one_turn_has_so_many_steps_together() {
    let ten = "[1,2,3,4,5,6,7,8,9,10]";
    let long = format!("{ten}.all(a, {ten}.all(b, {ten}.all(c, a + b + c > 0)))");
    let policy = policy("ApiPolicy shop/orders", false, vec![rule(None, &long)]);
    let mut steps = Steps::default();
    let mut judged =
        || judged_of(&Sent::default(), &policy, &Findings { near: &with_token(), floors: &[] }, &mut steps);
    assert!(judged().is_ok());
    let refused = (0..5).find_map(|_| judged().err()).unwrap();
    assert!(refused.origin.message.contains("too many steps"), "{}", refused.origin.message);
}
