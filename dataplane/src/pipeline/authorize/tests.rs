//! Rules over callers: what admits, and what does not, whatever cannot be told included.

use http::header::HeaderMap;
use http::{HeaderName, HeaderValue, Method};
use sallyport_expression::parse::parse;
use sallyport_expression::wire;
use sallyport_snapshot::{Hash, v1};

use super::*;
use crate::clock::UnixMs;
use crate::map::Map;
use crate::path::Query;
use crate::pipeline::tokens::{Patience, Tokens};
use crate::runtime::keys::{Api, Door, Keys, Subscription};

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
    let (policy, problem) = Policy::build(&"orders".into(), Hash::of_bytes(b""), &policy);
    assert_eq!(problem, None);
    policy
}

fn with_token() -> Held {
    Held {
        alternative: "staff".into(),
        claims: Some(Arc::new(crate::jwt::claims_of_tests("jwt:3:joe:ada"))),
        ..Held::default()
    }
}

fn with_key() -> Held {
    let scope = Some(v1::subscription::Scope::Product("shop/gold".into()));
    let message = v1::Subscription { scope, ..v1::Subscription::default() };
    let subscription = Arc::new(Subscription::build(&"acme/one".into(), &message).unwrap());
    Held { alternative: "partners".into(), subscription: Some((subscription, [0; 32])), ..Held::default() }
}

/// What comes of a caller with this near finding, and one of the floor where there is one.
fn judged(policy: &Policy, near: &Held, floor: Option<Held>) -> Result<(), Rejection> {
    use base64::Engine as _;
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let token = format!("Bearer {}.{}.{}", part(r#"{"alg":"ES256","kid":"k"}"#), part(TOKEN), part("-"));
    let mut headers = HeaderMap::new();
    headers.insert("authorization", token.parse().unwrap());
    headers.insert("x-team", HeaderValue::from_static("blue"));
    headers.append("x-team", HeaderValue::from_static("red"));
    headers.append(HeaderName::from_static("x-odd"), HeaderValue::from_bytes(b"\xff").unwrap());
    let api = Api { kind: "HTTPRoute".into(), namespace: "shop".into(), name: "orders".into() };
    let (key_sets, unusable, products, tokens, keys) =
        (Map::default(), Map::default(), Map::default(), Tokens::default(), Keys::default());
    let caller = Caller {
        method: &Method::POST,
        host: "api.example.com",
        path: "/orders/4711",
        headers: &headers,
        query: Query(Some("a=1&b=%32&a=3&%ff=x")),
        address: Some("192.0.2.1".parse().unwrap()),
        door: Door { api: &api, gateway: "shop/public", products: &products },
        rule: "0",
        keys: &keys,
        tokens: &tokens,
        key_sets: &key_sets,
        unusable_key_sets: &unusable,
        patience: Patience::Waits,
        now: UnixMs(1_800_000_000_000),
    };
    let floors: Vec<_> = floor.into_iter().map(|held| (FLOOR.into(), held)).collect();
    judge(policy, &caller, &Findings { near, floors: &floors })
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
        (None, "request.headers['x-odd'][0] == 'a'", "`require` cannot be told: what [] asks for is not there"),
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
        let (policy, problem) = Policy::build(&"orders".into(), Hash::of_bytes(b""), &policy);
        assert!(policy.deny.is_some() && problem.is_some_and(|why| why.contains("authorization[r]")));
    }
}

#[test]
fn callers_are_told_what_the_rule_says_to_them() {
    let stated = v1::AuthorizationRule { message: "ask for orders.write".into(), ..rule(None, "false") };
    let refused = judged(&policy("ApiPolicy shop/orders", false, vec![stated]), &with_token(), None).unwrap_err();
    assert_eq!(refused.told.as_ref().map(|told| told.as_str()), Some("ask for orders.write"));
}
