//! Tokens of Microsoft Entra ID, from an authority of our own. Every combination of what they say is judged beside the judge itself.

use rstest::rstest;
use serde_json::{Value, json};

use crate::kit::caller::{Answer, get, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::{Issuer, merged};
use crate::kit::manifest::{GATEWAY, backend, policy, route, subscription};
use crate::kit::service::Service;

const OWN: &str = "11111111-2222-3333-4444-555555555555";
const OTHER: &str = "99999999-2222-3333-4444-555555555555";
const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
const API: &str = "0c0ffee0-0000-0000-0000-000000000000";
const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

struct Shop {
    gateway: Gateway,
    service: Service,
    authority: Issuer,
}

impl Shop {
    /// `/orders` behind tokens of `tenants`, and what `more` asks of the alternative besides.
    async fn start(tenants: &str, rules: &str, more: &str) -> Self {
        Self::before(Issuer::start().await, tenants, rules, more).await
    }

    async fn before(authority: Issuer, tenants: &str, rules: &str, more: &str) -> Self {
        let service = Service::start().await;
        let entra = format!("{{authority: '{}', {tenants}, audiences: [{API}]{rules}}}", authority.name());
        let manifests = [
            GATEWAY,
            &route("orders", "shop"),
            &backend("shop", service.address, ""),
            &policy("orders", &format!("authentication:\n- name: staff\n  entraId: {entra}\n{more}")),
            &subscription("acme", "{apis: [{kind: HTTPRoute, name: orders}]}", &format!("{{primary: {KEY}}}")),
        ];
        let gateway = Gateway::start(&manifests.concat()).await;
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service, authority }
    }

    /// A good token of `tenant` with some claims of its own.
    fn token(&self, tenant: &str, changes: &Value) -> String {
        let iss = format!("{}/{tenant}/v2.0", self.authority.name());
        let claims =
            json!({ "ver": "2.0", "iss": iss, "tid": tenant, "azp": CLIENT, "oid": "o", "scp": "orders.read" });
        self.authority.token_with(API, &merged(claims, changes))
    }

    async fn asked(&self, token: &str, headers: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {token}");
        send(self.gateway.http(), get("/orders", &[&[("authorization", bearer.as_str())], headers].concat())).await
    }

    async fn verdict(&self, token: &str) -> String {
        self.asked(token, &[]).await.verdict()
    }
}

fn tenants(listed: &[&str]) -> String {
    format!("tenants: [{}]", listed.join(", "))
}

#[rstest]
#[case::good(json!({}), "200")]
#[case::of_an_application(json!({ "scp": null, "roles": ["Orders.Read.All"] }), "403 scope-insufficient")]
#[case::of_another_tenant(json!({ "tid": OTHER }), "401 token-invalid")]
#[case::of_version_1(json!({ "ver": "1.0" }), "401 token-invalid")]
#[case::of_no_version(json!({ "ver": null }), "401 token-invalid")]
#[case::an_id_token(json!({ "azp": null }), "401 token-invalid")]
#[case::of_nobody(json!({ "oid": null }), "401 token-invalid")]
#[case::for_graph(json!({ "aud": "00000003-0000-0000-c000-000000000000" }), "401 token-invalid")]
#[case::of_another_client(json!({ "azp": OTHER }), "403 claim-insufficient")]
#[case::with_too_many_groups(json!({ "hasgroups": true }), "403 claim-insufficient")]
#[case::of_a_blocked_group(json!({ "groups": ["blocked"] }), "403 claim-insufficient")]
#[tokio::test]
async fn what_a_token_says_is_judged(#[case] changes: Value, #[case] expected: &str) {
    let rules = format!(
        ", clientApplications: [{CLIENT}], scopes: [orders.read], claims: [{{name: groups, noneOf: [blocked]}}]"
    );
    let shop = Shop::start(&tenants(&[OWN]), &rules, "").await;
    assert_eq!(shop.verdict(&shop.token(OWN, &changes)).await, expected);
    assert_eq!(shop.service.count(), usize::from(expected == "200"));
}

/// Of one tenant its own keys, of several those of all: the authority has both.
#[tokio::test]
async fn tenants_are_those_that_are_listed_or_all() {
    for (stated, taken) in [
        (tenants(&[OWN]), [true, false]),
        (tenants(&[OTHER]), [false, true]),
        (tenants(&[OWN, OTHER]), [true, true]),
        ("tenantCheck: None".to_owned(), [true, true]),
    ] {
        let shop = Shop::start(&stated, "", "").await;
        for (tenant, is_taken) in [OWN, OTHER].into_iter().zip(taken) {
            let expected = if is_taken { "200" } else { "401 token-invalid" };
            assert_eq!(shop.verdict(&shop.token(tenant, &json!({}))).await, expected, "{stated} {tenant}");
        }
    }
}

/// A key that the authority publishes for one tenant alone.
#[tokio::test]
async fn a_key_signs_for_whom_it_is_published() {
    let authority = Issuer::start().await;
    let mut keys = authority.key_set();
    keys["keys"][0]["issuer"] = json!(format!("{}/{OTHER}/v2.0", authority.name()));
    authority.publish(&keys.to_string());
    let shop = Shop::before(authority, "tenantCheck: None", "", "").await;
    assert_eq!(shop.verdict(&shop.token(OTHER, &json!({}))).await, "200");
    assert_eq!(shop.verdict(&shop.token(OWN, &json!({}))).await, "401 token-invalid");
    assert_eq!(shop.service.count(), 1);
}

#[tokio::test]
async fn a_key_is_asked_for_besides() {
    let shop = Shop::start(&tenants(&[OWN]), "", "  subscriptionKey: {}\n").await;
    let token = shop.token(OWN, &json!({}));
    let foreign = shop.token(OTHER, &json!({}));
    for (token, headers, expected) in [
        (&token, vec![("sallyport-key", KEY)], "200"),
        (&token, vec![], "401 credential-missing"),
        (&token, vec![("sallyport-key", "sp_unknown")], "401 key-unknown"),
        (&foreign, vec![("sallyport-key", KEY)], "401 token-invalid"),
    ] {
        assert_eq!(shop.asked(token, &headers).await.verdict(), expected, "{headers:?}");
    }
    assert_eq!(shop.service.count(), 1);
}

#[tokio::test]
async fn the_usual_mistake_is_named_to_the_operator_alone() {
    let shop = Shop::start(&tenants(&[OWN]), "", "").await;
    let answer = shop.asked(&shop.token(OWN, &json!({ "azp": null, "nonce": "n" })), &[]).await;
    assert_eq!(answer.verdict(), "401 token-invalid");
    let text = String::from_utf8_lossy(&answer.body);
    assert!(!text.contains("ID token") && !text.contains("azp"), "{text}");
    let log = shop.gateway.log(1).await;
    let message = log[0]["refusal"]["message"].as_str().unwrap();
    assert!(message.contains("ID token"), "{message}");
}

#[tokio::test]
async fn an_authority_that_is_away_is_waited_for() {
    let shop = Shop::before(Issuer::down().await, &tenants(&[OWN]), "", "").await;
    let answer = shop.asked(&shop.token(OWN, &json!({})), &[]).await;
    assert_eq!((answer.verdict().as_str(), answer.header("retry-after").is_some()), ("503 issuer-unreached", true));
    assert_eq!(
        shop.verdict(&shop.token(OTHER, &json!({}))).await,
        "401 token-invalid",
        "that can be told without keys"
    );
}

#[tokio::test]
async fn an_authority_that_calls_itself_otherwise_gives_no_keys() {
    let authority = Issuer::start().await;
    let name = authority.name();
    let service = Service::start().await;
    let entra =
        format!("{{authority: '{}', {}, audiences: [api]}}", name.replace("127.0.0.1", "localhost"), tenants(&[OWN]));
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, ""),
        &policy("orders", &format!("authentication: [{{name: staff, entraId: {entra}}}]")),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let iss = format!("{}/{OWN}/v2.0", name.replace("127.0.0.1", "localhost"));
    let claims = json!({ "ver": "2.0", "iss": iss, "tid": OWN, "azp": CLIENT, "oid": "o" });
    let bearer = format!("Bearer {}", authority.token_with(API, &claims));
    let answer = send(gateway.http(), get("/orders", &[("authorization", &bearer)])).await;
    assert_eq!(answer.verdict(), "503 issuer-unreached");
    assert_eq!(service.count(), 0);
}
