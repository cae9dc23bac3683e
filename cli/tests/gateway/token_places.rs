//! Where tokens are looked for, and what becomes of what stands there.

use rstest::rstest;
use serde_json::json;

use crate::kit::caller::{Answer, get, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::{Issuer, merged};
use crate::kit::manifest::{GATEWAY, backend, policy, route, secret};
use crate::kit::service::{Seen, Service};

struct Shop {
    gateway: Gateway,
    service: Service,
    issuer: Issuer,
}

impl Shop {
    /// `/orders` behind a token from `from`, which the JSON text of the alternative's `jwt` begins with, and what `more` says.
    async fn start(jwt: &str, more: &str, credential: &str) -> Self {
        let (service, issuer) = (Service::start().await, Issuer::start().await);
        let (name, keys) = (issuer.name(), issuer.key_set());
        let policy_spec = format!(
            "authentication:\n- name: staff\n  jwt: {{issuer: '{name}', audiences: [orders-api], keys: {{inline: '{keys}'}}, {jwt}}}\n{more}"
        );
        let manifests = [
            GATEWAY,
            &route("orders", "shop"),
            &backend("shop", service.address, credential),
            &policy("orders", &policy_spec),
            &secret("login", "{username: gateway, password: password}"),
        ];
        let gateway = Gateway::start(&manifests.concat()).await;
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service, issuer }
    }

    async fn asked(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.gateway.http(), get(target, headers)).await
    }

    async fn seen(&self, target: &str, headers: &[(&str, &str)]) -> Seen {
        let answer = self.asked(target, headers).await;
        assert_eq!(answer.verdict(), "200", "{answer:?}");
        self.service.one()
    }
}

const ANYWHERE: &str = "from: [{header: {name: Authorization}}, {header: {name: X-Token}}, {queryParameter: {name: access_token}}, {cookie: {name: session}}]";

/// Each with a good token, and with one that another issuer has signed.
#[rstest]
#[case::in_authorization("/orders", &[("authorization", "Bearer {good}")], "200")]
#[case::in_a_header("/orders", &[("x-token", "{good}")], "200")]
#[case::in_the_query("/orders?a=1&access_token={good}", &[], "200")]
#[case::in_a_cookie("/orders", &[("cookie", "a=1; session={good}; b=2")], "200")]
#[case::in_a_cookie_beside_basic("/orders", &[("authorization", "Basic eDp5"), ("cookie", "session={good}")], "200")]
#[case::nowhere("/orders", &[], "401 credential-missing")]
#[case::elsewhere("/orders?token={good}", &[("x-session", "{good}"), ("cookie", "token={good}")], "401 credential-missing")]
#[case::in_a_header_after_a_scheme("/orders", &[("x-token", "Bearer {good}")], "401 token-invalid")]
#[case::in_a_header_of_another_spelling("/orders", &[("x_token", "{good}")], "401 credential-missing")]
#[case::of_another_issuer("/orders", &[("x-token", "{foreign}")], "401 token-invalid")]
#[case::in_two_headers("/orders", &[("authorization", "Bearer {good}"), ("x-token", "{good}")], "400 credential-ambiguous")]
#[case::in_one_header_twice("/orders", &[("x-token", "{good}"), ("x-token", "{foreign}")], "400 credential-ambiguous")]
#[case::twice_in_the_query("/orders?access_token={good}&access%5Ftoken={foreign}", &[], "400 credential-ambiguous")]
#[case::in_two_cookies("/orders", &[("cookie", "session={good}; session={foreign}")], "400 credential-ambiguous")]
#[case::in_a_cookie_and_the_query("/orders?access_token={foreign}", &[("cookie", "session={good}")], "400 credential-ambiguous")]
#[tokio::test]
async fn a_token_is_taken_from_one_place(
    #[case] target: &str,
    #[case] headers: &[(&str, &str)],
    #[case] expected: &str,
) {
    let shop = Shop::start(ANYWHERE, "", "").await;
    let (good, foreign) = (shop.issuer.token("orders-api"), Issuer::start().await.token("orders-api"));
    let filled = |text: &str| text.replace("{good}", &good).replace("{foreign}", &foreign);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, filled(value))).collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = shop.asked(&filled(target), &headers).await;
    assert_eq!(answer.verdict(), expected);
    if expected.ends_with("ambiguous") {
        assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="sallyport", error="invalid_request""#));
    }
    assert_eq!(shop.service.count(), usize::from(expected == "200"));
}

#[tokio::test]
async fn a_verified_token_travels_where_it_came_unless_something_else_is_shown() {
    let basic = "credential: {basic: {secretRef: {name: login}}}";
    for (credential, travels) in
        [("", true), ("credential: {passThrough: {}}", true), (basic, false), ("credential: {none: {}}", false)]
    {
        let shop = Shop::start(ANYWHERE, "", credential).await;
        let token = shop.issuer.token("orders-api");
        let own = |value: &str| travels.then(|| value.to_owned());
        let seen = shop.seen("/orders", &[("x-token", &token), ("x_token", "forged")]).await;
        assert_eq!(seen.header("x-token").map(str::to_owned), own(&token), "{credential}");
        assert_eq!(seen.header("x_token"), None, "{credential}");
        let seen = shop.seen(&format!("/orders?a=1&access_token={token}"), &[]).await;
        let target = if travels { format!("/orders?a=1&access_token={token}") } else { "/orders?a=1".to_owned() };
        assert_eq!(seen.target, target, "{credential}");
        let sent = format!("a=1; session={token}; %73ession=forged");
        let seen = shop.seen("/orders", &[("cookie", &sent)]).await;
        let cookies = if travels { format!("a=1; session={token}") } else { "a=1".to_owned() };
        assert_eq!(seen.header("cookie"), Some(&*cookies), "{credential}");
    }
}

/// One alternative reads the cookie, and another one holds: the service would take the cookie for verified.
#[tokio::test]
async fn what_has_not_been_verified_does_not_travel() {
    let second = "- name: partners\n  subscriptionKey: {headers: [X-Key]}\n";
    let subscription = r"
---
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {name: acme, namespace: shop}
spec:
  owner: {name: ACME, contact: api@acme.example}
  scope: {apis: [{kind: HTTPRoute, name: orders}]}
  keys: {secretName: key}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: shop}
stringData: {primary: 0123456789abcdef0123456789abcdef}
";
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let (name, keys) = (issuer.name(), issuer.key_set());
    let from = "from: [{cookie: {name: session}}, {queryParameter: {name: access_token}}, {header: {name: X-Token}}]";
    let spec = format!(
        "authentication:\n- name: staff\n  jwt: {{issuer: '{name}', audiences: [orders-api], keys: {{inline: '{keys}'}}, {from}}}\n{second}"
    );
    let own =
        [GATEWAY.to_owned(), route("orders", "shop"), backend("shop", service.address, ""), policy("orders", &spec)];
    let gateway = Gateway::start(&(own.concat() + subscription)).await;
    assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
    let headers = [
        ("x-key", "0123456789abcdef0123456789abcdef"),
        ("cookie", "session=forged; theme=dark"),
        ("x-token", "forged"),
        ("authorization", "Bearer of-the-service"),
    ];
    let answer = send(gateway.http(), get("/orders?access_token=forged&page=2", &headers)).await;
    assert_eq!(answer.verdict(), "200");
    let seen = service.one();
    assert_eq!((seen.target.as_str(), seen.header("cookie")), ("/orders?page=2", Some("theme=dark")));
    assert_eq!((seen.header("x-token"), seen.header("x-key")), (None, None));
    assert_eq!(seen.header("authorization"), Some("Bearer of-the-service"), "nobody reads it here");
}

/// An alternative that never holds has said as well what it would read.
#[tokio::test]
async fn what_a_broken_alternative_would_read_does_not_travel() {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let (name, keys) = (issuer.name(), issuer.key_set());
    let spec = format!(
        "authentication:\n- name: broken\n  jwt: {{issuer: 'https://login.example.com', audiences: [orders-api], keys: {{secretRef: {{name: none, key: keys}}}}, from: [{{cookie: {{name: session}}}}]}}\n- name: staff\n  jwt: {{issuer: '{name}', audiences: [orders-api], keys: {{inline: '{keys}'}}}}\n"
    );
    let own =
        [GATEWAY.to_owned(), route("orders", "shop"), backend("shop", service.address, ""), policy("orders", &spec)];
    let gateway = Gateway::start(&own.concat()).await;
    let token = format!("Bearer {}", issuer.token("orders-api"));
    let headers = [("authorization", token.as_str()), ("cookie", "session=forged; theme=dark")];
    let answer = send(gateway.http(), get("/orders", &headers)).await;
    assert_eq!(answer.verdict(), "200", "{answer:?}");
    assert_eq!(service.one().header("cookie"), Some("theme=dark"));
}

#[tokio::test]
async fn expressions_know_a_token_wherever_it_came_from() {
    let rule = "authorization: [{name: blue, require: auth.jwt.claims.team == \"blue\"}]\n";
    let shop = Shop::start(ANYWHERE, rule, "").await;
    for (team, expected) in [("blue", "200"), ("red", "403 authorization-denied")] {
        let claims = merged(shop.issuer.claims("orders-api"), &json!({ "team": team }));
        let token = shop.issuer.sign(&shop.issuer.header(), &claims);
        for headers in [[("x-token", token.clone())], [("cookie", format!("session={token}"))]] {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(shop.asked("/orders", &headers).await.verdict(), expected);
        }
        assert_eq!(shop.asked(&format!("/orders?access_token={token}"), &[]).await.verdict(), expected);
    }
}

#[rstest]
#[case::of_the_right_type_and_short(json!({ "typ": "at+jwt" }), 300, "200")]
#[case::an_id_token(json!({ "typ": "JWT" }), 300, "401 token-invalid")]
#[case::of_no_type(json!({ "typ": null }), 300, "401 token-invalid")]
#[case::for_too_long(json!({ "typ": "at+jwt" }), 4000, "401 token-invalid")]
#[tokio::test]
async fn types_and_lifetimes_are_bounded(
    #[case] header: serde_json::Value,
    #[case] lifetime_s: i64,
    #[case] expected: &str,
) {
    let shop = Shop::start("types: [at+jwt], maxLifetime: 1h", "", "").await;
    let claims = shop.issuer.claims("orders-api");
    let issued = claims["iat"].as_i64().or(claims["nbf"].as_i64()).unwrap();
    let claims = merged(claims, &json!({ "iat": issued, "exp": issued + lifetime_s }));
    let token = shop.issuer.sign(&merged(shop.issuer.header(), &header), &claims);
    let answer = shop.asked("/orders", &[("authorization", &format!("Bearer {token}"))]).await;
    assert_eq!(answer.verdict(), expected);
}

/// A browser sends its cookies along with what another site asks of it.
#[rstest]
#[case::by_the_site_itself("POST", &[("sec-fetch-site", "same-origin")], "200")]
#[case::by_the_person("POST", &[("sec-fetch-site", "none"), ("origin", "https://evil.example")], "200")]
#[case::by_a_program("POST", &[], "200")]
#[case::by_an_older_browser_of_the_site("POST", &[("origin", "http://api.example.com")], "200")]
#[case::what_changes_nothing("GET", &[("sec-fetch-site", "cross-site")], "200")]
#[case::by_another_site("POST", &[("sec-fetch-site", "cross-site")], "403 cross-site")]
#[case::by_a_neighbour("DELETE", &[("sec-fetch-site", "same-site")], "403 cross-site")]
#[case::by_an_older_browser("PUT", &[("origin", "https://evil.example")], "403 cross-site")]
#[case::of_no_origin("POST", &[("origin", "null")], "403 cross-site")]
#[case::of_two_minds("POST", &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], "403 cross-site")]
#[case::a_websocket("GET", &[("sec-fetch-site", "cross-site"), ("connection", "upgrade"), ("upgrade", "websocket")], "403 cross-site")]
#[tokio::test]
async fn what_another_site_asks_of_a_browser_is_not_done(
    #[case] method: &str,
    #[case] headers: &[(&str, &str)],
    #[case] expected: &str,
) {
    let checked = Shop::start("from: [{cookie: {name: session}}, {header: {name: X-Token}}]", "", "").await;
    let unchecked = Shop::start("from: [{cookie: {name: session, csrf: Off}}]", "", "").await;
    let asked = async |shop: &Shop, name: &str, value: String| {
        let headers = [headers, &[(name, value.as_str())]].concat();
        let mut request = get("/orders", &headers);
        *request.method_mut() = method.parse().unwrap();
        send(shop.gateway.http(), request).await.verdict()
    };
    assert_eq!(asked(&checked, "cookie", format!("session={}", checked.issuer.token("orders-api"))).await, expected);
    assert_eq!(checked.service.count(), usize::from(expected == "200"));
    if headers.iter().all(|(name, _)| *name != "upgrade") {
        assert_eq!(
            asked(&checked, "x-token", checked.issuer.token("orders-api")).await,
            "200",
            "no browser sends it by itself"
        );
        let token = format!("session={}", unchecked.issuer.token("orders-api"));
        assert_eq!(asked(&unchecked, "cookie", token).await, "200");
    }
}
