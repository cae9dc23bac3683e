//! What has to hold besides: rules in CEL, at every level.

use http::HeaderValue;
use rstest::rstest;
use serde_json::{Value, json};

use crate::kit::caller::{get, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::{Issuer, merged};
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, policy_on, route};
use crate::kit::service::Service;

/// A token policy with the issuer's keys inline.
fn by_token(issuer: &Issuer, more: &str) -> String {
    let keys = issuer.key_set();
    let name = issuer.name();
    format!(
        "authentication:\n- name: staff\n  jwt: {{issuer: \"{name}\", audiences: [orders-api], keys: {{inline: '{keys}'}}}}\n{more}"
    )
}

struct Shop {
    gateway: Gateway,
    service: Service,
    issuer: Issuer,
}

impl Shop {
    /// `/orders` behind a token and what `more` says; `others` are further manifests.
    async fn start(more: &str, others: impl Fn(&Issuer) -> String) -> Self {
        let (service, issuer) = (Service::start().await, Issuer::start().await);
        let own =
            [route("orders", "shop"), backend("shop", service.address, ""), policy("orders", &by_token(&issuer, more))];
        let gateway = Gateway::start(&[GATEWAY.to_owned(), own.concat(), others(&issuer)].concat()).await;
        Self { gateway, service, issuer }
    }

    async fn asked(&self, claims: Value, headers: &[(&str, &str)]) -> crate::kit::caller::Answer {
        let claims = merged(self.issuer.claims("orders-api"), &claims);
        let bearer = format!("Bearer {}", self.issuer.sign(&self.issuer.header(), &claims));
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        send(self.gateway.http(), get("/orders/1?page=2", &headers)).await
    }
}

const RULES: &str = r#"authorization:
- name: team
  when: request.path.startsWith("/orders/")
  require: auth.jwt.claims.team in request.headers["x-team"]
  message: the header X-Team has to name your team
- name: pages
  require: int(request.query["page"][0]) <= auth.jwt.claims.pages && !auth.jwt.scopes.exists(s, s == "none")
"#;

#[rstest]
#[case::all_holds(json!({"team": "blue", "pages": 3, "scope": "orders"}), &[("x-team", "red"), ("X-Team", "blue")], "200")]
#[case::of_another_team(json!({"team": "green", "pages": 3}), &[("x-team", "blue")], "403 authorization-denied")]
#[case::no_team_in_the_token(json!({"pages": 3}), &[("x-team", "blue")], "403 authorization-denied")]
#[case::no_team_in_the_request(json!({"team": "blue", "pages": 3}), &[], "403 authorization-denied")]
#[case::a_list_for_a_team(json!({"team": ["blue"], "pages": 3}), &[("x-team", "blue")], "403 authorization-denied")]
#[case::the_second_rule_fails(json!({"team": "blue", "pages": 1}), &[("x-team", "blue")], "403 authorization-denied")]
#[case::a_text_for_a_number(json!({"team": "blue", "pages": "3"}), &[("x-team", "blue")], "403 authorization-denied")]
#[case::a_scope_that_bars(json!({"team": "blue", "pages": 3, "scope": "a none"}), &[("x-team", "blue")], "403 authorization-denied")]
#[tokio::test]
async fn every_rule_has_to_hold(#[case] claims: Value, #[case] headers: &[(&str, &str)], #[case] expected: &str) {
    let shop = Shop::start(RULES, |_| String::new()).await;
    assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
    assert_eq!(shop.asked(claims, headers).await.verdict(), expected);
    assert_eq!(shop.service.count(), usize::from(expected == "200"));
}

#[tokio::test]
async fn callers_are_told_what_the_rule_says_to_them_and_the_log_which_it_was() {
    let shop = Shop::start(RULES, |_| String::new()).await;
    let barred = shop.asked(json!({"team": "green", "pages": 3}), &[("x-team", "blue")]).await;
    let told: Value = serde_json::from_slice(&barred.body).unwrap();
    assert_eq!(told["detail"], "the header X-Team has to name your team");
    let plain = shop.asked(json!({"team": "blue"}), &[("x-team", "blue")]).await;
    let told: Value = serde_json::from_slice(&plain.body).unwrap();
    assert_eq!(told["detail"], "This request is not allowed.");
    let log = shop.gateway.log(2).await;
    assert_eq!(log[0]["refusal"]["section"], "authorization");
    assert_eq!(log[0]["refusal"]["rule"], "team");
    assert_eq!(log[0]["refusal"]["message"], "`require` does not hold");
    assert_eq!(log[1]["refusal"]["rule"], "pages");
    assert_eq!(log[1]["refusal"]["message"], "`require` cannot be told: pages is not there");
}

#[tokio::test]
async fn who_is_not_known_is_asked_for_a_credential_first() {
    let shop = Shop::start(RULES, |_| String::new()).await;
    assert_eq!(send(shop.gateway.http(), get("/orders/1", &[])).await.verdict(), "401 credential-missing");
}

#[tokio::test]
async fn what_is_no_text_and_what_a_connection_is_to_become_pass_no_rule() {
    let rules = "authorization:\n- {name: region, when: '\"x-region\" in request.headers', require: 'false'}\n- {name: sockets, when: '\"upgrade\" in request.headers', require: 'false'}\n";
    let shop = Shop::start(rules, |_| String::new()).await;
    assert_eq!(shop.asked(json!({}), &[]).await.verdict(), "200");
    assert_eq!(shop.service.take().len(), 1);
    let bearer = format!("Bearer {}", shop.issuer.token("orders-api"));
    let sent = async |name: &'static str, value: &[u8]| {
        let mut request = get("/orders/1", &[("authorization", &bearer)]);
        if name == "upgrade" {
            request.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
        }
        request.headers_mut().insert(name, HeaderValue::from_bytes(value).unwrap());
        send(shop.gateway.http(), request).await.verdict()
    };
    for (name, value) in
        [("x-region", &b"mars"[..]), ("x-region", b"mars\xff"), ("x_region", b"\xff"), ("upgrade", b"websocket")]
    {
        assert_eq!(sent(name, value).await, "403 authorization-denied", "{name}");
    }
    assert_eq!(shop.service.count(), 0);
}

/// On the whole Gateway of all routes.
fn on_gateway(name: &str, spec: &str) -> String {
    policy_on(name, "{group: gateway.networking.k8s.io, kind: Gateway, name: public}", spec)
}

#[tokio::test]
async fn rules_of_all_levels_add_up_and_a_nearer_one_takes_none_away() {
    let of_gateway = "authorization: [{name: edge, require: '\"edge\" in request.headers[\"x-from\"]'}]";
    for nearer in ["", "authorization: []\n", "authorization: [{name: open, require: 'true'}]\n"] {
        let shop = Shop::start(nearer, |_| on_gateway("base", of_gateway)).await;
        assert_eq!(shop.asked(json!({}), &[("x-from", "edge")]).await.verdict(), "200", "{nearer}");
        assert_eq!(shop.asked(json!({}), &[]).await.verdict(), "403 authorization-denied", "{nearer}");
    }
}

#[tokio::test]
async fn a_floor_knows_the_caller_by_its_own_word() {
    let floor = |issuer: &Issuer| {
        let authorization =
            "authorization: [{name: staff-only, require: auth.jwt.claims.kind == \"staff\"}]\nenforcement: Floor\n";
        on_gateway("floor", &by_token(issuer, authorization))
    };
    let shop = Shop::start("", floor).await;
    assert_eq!(shop.asked(json!({"kind": "staff"}), &[]).await.verdict(), "200");
    assert_eq!(shop.asked(json!({"kind": "guest"}), &[]).await.verdict(), "403 authorization-denied");
    assert_eq!(shop.service.count(), 1);
}

#[tokio::test]
async fn a_floor_that_names_a_caller_it_does_not_know_lets_nobody_in() {
    let floor = "authorization: [{name: staff-only, require: auth.alternative == \"staff\"}]\nenforcement: Floor\n";
    let shop = Shop::start("", |_| on_gateway("floor", floor)).await;
    assert_eq!(shop.asked(json!({}), &[]).await.verdict(), "500 configuration");
    assert!(shop.gateway.diagnostics.iter().any(|one| format!("{one:?}").contains("state authentication in it")));
}

#[tokio::test]
async fn an_expression_that_cannot_be_typed_closes_the_route_and_says_where() {
    let shop =
        Shop::start("authorization: [{name: typo, require: request.metod == \"GET\"}]\n", |_| String::new()).await;
    assert_eq!(shop.asked(json!({}), &[]).await.verdict(), "500 configuration");
    let told = format!("{:?}", shop.gateway.diagnostics);
    assert!(told.contains("line 1, column 8: request has no field metod"), "{told}");
    assert_eq!(shop.service.count(), 0);
}

#[tokio::test]
async fn a_rule_in_report_mode_refuses_nobody_and_is_told() {
    let report = "mode: Report\nauthorization: [{name: blue, require: auth.jwt.claims.team == \"blue\"}]\n";
    let target = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}";
    let shop = Shop::start("", |_| policy_on("rehearsed", target, report)).await;
    assert_eq!(shop.asked(json!({"team": "blue"}), &[]).await.verdict(), "200");
    assert_eq!(shop.asked(json!({"team": "red"}), &[]).await.verdict(), "200");
    let log = shop.gateway.log(2).await;
    assert!(!log[0].to_string().contains("authorization-denied"), "{}", log[0]);
    assert!(log[1].to_string().contains("authorization-denied"), "{}", log[1]);
}

#[tokio::test]
async fn anybody_may_be_let_in_by_what_the_request_is_alone() {
    let rules = format!(
        "{OPEN}\nauthorization: [{{name: reads, require: 'request.method in [\"GET\", \"HEAD\"] && !has(auth.jwt)'}}]\n"
    );
    let service = Service::start().await;
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", &rules)];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "200");
    let mut post = get("/orders", &[]);
    *post.method_mut() = http::Method::POST;
    assert_eq!(send(gateway.http(), post).await.verdict(), "403 authorization-denied");
    assert_eq!(service.count(), 1);
}
