//! Headers that expressions give values, and those of answers.

use rstest::rstest;
use serde_json::{Value, json};

use crate::kit::caller::{Answer, get, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::{Issuer, merged};
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, policy_on, route};
use crate::kit::service::Service;

struct Shop {
    gateway: Gateway,
    service: Service,
    issuer: Issuer,
}

fn by_token(issuer: &Issuer, more: &str) -> String {
    let (name, keys) = (issuer.name(), issuer.key_set());
    format!(
        "authentication:\n- name: staff\n  jwt: {{issuer: '{name}', audiences: [orders-api], keys: {{inline: '{keys}'}}}}\n{more}"
    )
}

impl Shop {
    /// `/orders` behind a token and what `more` says.
    async fn start(more: &str, others: impl Fn(&Issuer) -> String) -> Self {
        let (service, issuer) = (Service::start().await, Issuer::start().await);
        let own =
            [route("orders", "shop"), backend("shop", service.address, ""), policy("orders", &by_token(&issuer, more))];
        let gateway = Gateway::start(&[GATEWAY.to_owned(), own.concat(), others(&issuer)].concat()).await;
        Self { gateway, service, issuer }
    }

    async fn asked(&self, claims: &Value, headers: &[(&str, &str)]) -> Answer {
        let claims = merged(self.issuer.claims("orders-api"), claims);
        let bearer = format!("Bearer {}", self.issuer.sign(&self.issuer.header(), &claims));
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        send(self.gateway.http(), get("/orders/1?page=2", &headers)).await
    }
}

const NAMED: &str = "requestHeaders: {set: [{name: X-Name, expression: auth.jwt.claims.name}]}\n";
const FORGED: &[(&str, &str)] = &[("x-name", "root"), ("x_name", "root"), ("X-Name", "admin")];

#[rstest]
#[case::a_text(json!("Ada"), Some("Ada"))]
#[case::of_other_letters(json!("Zo\u{eb}"), Some("Zo\u{eb}"))]
#[case::nothing_in_it(json!(""), Some(""))]
#[case::a_space_in_it(json!("Ada L"), Some("Ada L"))]
#[case::a_space_before(json!(" root"), None)]
#[case::a_space_behind(json!("root "), None)]
#[case::another_space_behind(json!("root\u{a0}"), None)]
#[case::a_line_end(json!("Ada\r\nX-Role: admin"), None)]
#[case::a_control(json!("Ada\u{0}"), None)]
#[case::a_number(json!(7), None)]
#[case::a_list(json!(["Ada"]), None)]
#[case::no_such_claim(Value::Null, None)]
#[tokio::test]
async fn a_service_is_told_what_a_header_can_hold_and_never_what_the_caller_says(
    #[case] name: Value,
    #[case] expected: Option<&str>,
) {
    let shop = Shop::start(NAMED, |_| String::new()).await;
    assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
    for forged in [&[][..], FORGED] {
        assert_eq!(shop.asked(&json!({ "name": name }), forged).await.verdict(), "200");
        let seen = shop.service.one();
        let told: Vec<_> = seen.headers.get_all("x-name").iter().map(|value| value.as_bytes().to_vec()).collect();
        assert_eq!(told, expected.map(|value| value.as_bytes().to_vec()).into_iter().collect::<Vec<_>>());
        assert_eq!(seen.header("x_name"), None);
    }
}

#[tokio::test]
async fn what_an_expression_cannot_tell_is_left_out_and_the_rest_is_told() {
    let more = "requestHeaders:\n  set:\n  - {name: X-Lost, expression: 'request.headers[\"x-none\"][0]'}\n  - {name: X-Kept, expression: 'request.path + \"?\" + request.query.page[0]'}\n  - {name: X-None, expression: auth.?subscription.id}\n  - {name: X-Fixed, value: fixed}\n";
    let shop = Shop::start(more, |_| String::new()).await;
    assert_eq!(shop.asked(&json!({}), &[("x-lost", "mine"), ("x-fixed", "mine")]).await.verdict(), "200");
    let seen = shop.service.one();
    let told = ["x-lost", "x-kept", "x-none", "x-fixed"].map(|name| seen.header(name));
    assert_eq!(told, [None, Some("/orders/1?2"), None, Some("fixed")]);
}

#[tokio::test]
async fn an_expression_that_cannot_be_typed_closes_the_policy_and_says_where() {
    let shop =
        Shop::start("requestHeaders: {set: [{name: X-Name, expression: auth.jwt.scopes}]}\n", |_| String::new()).await;
    assert_eq!(shop.asked(&json!({}), &[]).await.verdict(), "500 configuration");
    let told = format!("{:?}", shop.gateway.diagnostics);
    assert!(told.contains("requestHeaders.set[0].expression") && told.contains("line 1, column 9"), "{told}");
    assert_eq!(shop.service.count(), 0);
}

#[tokio::test]
async fn a_floor_has_the_last_word_and_knows_the_caller_by_its_own() {
    let floor = |issuer: &Issuer| {
        let spec = by_token(
            issuer,
            "enforcement: Floor\nrequestHeaders: {set: [{name: X-Name, expression: auth.alternative + \" of the floor\"}]}\n",
        );
        policy_on("floor", "{group: gateway.networking.k8s.io, kind: Gateway, name: public}", &spec)
    };
    let shop = Shop::start(NAMED, floor).await;
    assert_eq!(shop.asked(&json!({ "name": "Ada" }), FORGED).await.verdict(), "200");
    assert_eq!(shop.service.one().header("x-name"), Some("staff of the floor"));
    let blind = policy_on(
        "blind",
        "{group: gateway.networking.k8s.io, kind: Gateway, name: public}",
        "enforcement: Floor\nrequestHeaders: {set: [{name: X-Name, expression: auth.identity}]}\n",
    );
    let shop = Shop::start(NAMED, |_| blind.clone()).await;
    assert_eq!(shop.asked(&json!({ "name": "Ada" }), &[]).await.verdict(), "500 configuration", "it knows nobody");
}

#[tokio::test]
async fn answers_are_changed_and_refusals_are_as_they_are() {
    let more = "responseHeaders:\n  set:\n  - {name: Cache-Control, value: no-store}\n  - {name: X-Asked, expression: request.path}\n  - {name: X-Answered-By, expression: auth.jwt.claims.none}\n  remove: [Server, X-Powered-By]\n";
    let service = Service::start().await;
    let issuer = Issuer::start().await;
    let filters = "[{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: Server, value: mine}, {name: Cache-Control, value: public}, {name: X-Answered-By, value: service}, {name: X-Other, value: kept}]}}]";
    let routed = route("orders", "shop").replace("backendRefs:", &format!("filters: {filters}\n    backendRefs:"));
    let manifests =
        [GATEWAY, &routed, &backend("shop", service.address, ""), &policy("orders", &by_token(&issuer, more))];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
    let shop = Shop { gateway, service, issuer };
    let answer = shop.asked(&json!({}), &[]).await;
    assert_eq!(answer.verdict(), "200");
    let told = ["cache-control", "x-asked", "x-answered-by", "server", "x-other"].map(|name| answer.header(name));
    assert_eq!(told, [Some("no-store"), Some("/orders/1"), None, None, Some("kept")]);
    let refused = send(shop.gateway.http(), get("/orders/1", &[])).await;
    assert_eq!((refused.verdict().as_str(), refused.header("x-asked")), ("401 credential-missing", None));
}

#[tokio::test]
async fn open_routes_can_tell_as_well() {
    let service = Service::start().await;
    let spec = format!(
        "{OPEN}\nrequestHeaders: {{set: [{{name: X-Who, expression: 'auth.?identity.orValue(\"nobody\")'}}]}}\n"
    );
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", &spec)];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(send(gateway.http(), get("/orders", &[("x-who", "root")])).await.verdict(), "200");
    assert_eq!(service.one().header("x-who"), Some("nobody"));
}
