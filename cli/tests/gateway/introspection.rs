//! Tokens whose issuer is asked about them (RFC 7662): what it says lets in, what it does not say does not, and nobody else's is shown to it.

use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use rstest::rstest;
use serde_json::{Value, json};

use crate::kit::caller::{Answer, get, open, send};
use crate::kit::endpoint::{Endpoint, json as say};
use crate::kit::gateway::Gateway;
use crate::kit::hostile::Manner;
use crate::kit::identity_provider::{IdentityProvider, OPAQUE};
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route, secret};
use crate::kit::service::Service;

const INVALID: &str = "401 token-invalid";
const UNANSWERED: &str = "503 introspection-unavailable";
const POLICY: &str = "ApiPolicy shop/orders";

struct Shop {
    gateway: Gateway,
    service: Service,
    endpoint: Endpoint,
}

fn active() -> Value {
    json!({ "active": true, "sub": "alice", "aud": "orders-api", "scope": "orders.read", "client_id": "app" })
}

fn with(name: &str, value: Value) -> Value {
    let mut members = active();
    members[name] = value;
    members
}

/// The gateway's secret, which may be sent to this machine.
fn client(data: &str) -> String {
    let hosts = "annotations: {sallyport.dev/hosts: 'login.example.com, 127.0.0.1'}";
    secret("client", data).replace("namespace: shop}", &format!("namespace: shop, {hosts}}}"))
}

/// What the alternative asks, and of whom; `more` goes on after it.
fn asking(url: &str, more: &str) -> String {
    let client = "clientAuthentication: {id: gateway, method: ClientSecretBasic, secretRef: {name: client}}";
    format!("introspection: {{endpoint: '{url}', {client}, audiences: [orders-api], scopes: [orders.read]{more}}}")
}

fn alternative(url: &str, more: &str) -> String {
    format!("authentication:\n- name: opaque\n  {}\n", asking(url, more))
}

impl Shop {
    async fn start(more: &str) -> Self {
        let (service, endpoint) = (Service::start().await, Endpoint::saying(&active()).await);
        let manifests = [
            GATEWAY,
            &route("orders", "shop"),
            &backend("shop", service.address, ""),
            &client("{client-secret: 's3cret:+/'}"),
        ];
        let mut gateway = Gateway::start(&manifests.concat()).await;
        gateway.write("policy.yaml", &policy("orders", &alternative(&endpoint.url(), more)));
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service, endpoint }
    }

    fn require(&mut self, more: &str) {
        self.gateway.write("policy.yaml", &policy("orders", &alternative(&self.endpoint.url(), more)));
    }

    async fn asked(&self, token: &str) -> Answer {
        send(self.gateway.http(), get("/orders", &[("authorization", &format!("Bearer {token}"))])).await
    }

    async fn verdict(&self, token: &str) -> String {
        self.asked(token).await.verdict()
    }
}

#[tokio::test]
async fn whom_its_issuer_says_to_be_active_is_let_in() {
    let mut shop = Shop::start("").await;
    let spec = alternative(&shop.endpoint.url(), "")
        + "requestHeaders:\n  set:\n  - {name: X-User, expression: auth.introspection.subject}\n  - {name: X-Identity, expression: auth.identity}\n  - {name: X-Client, expression: auth.introspection.claims.client_id}\n  - {name: X-Jwt, expression: 'has(auth.jwt) ? \"jwt\" : \"none\"'}\nauthorization: [{name: readers, require: '\"orders.read\" in auth.introspection.scopes'}]\n";
    shop.gateway.write("policy.yaml", &policy("orders", &spec));
    assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
    assert_eq!(shop.verdict("a+b/c==").await, "200");
    let (seen, asked) = (shop.service.one(), shop.endpoint.take());
    let url = shop.endpoint.url();
    assert_eq!(seen.header("x-user"), Some("alice"));
    assert_eq!(seen.header("x-client"), Some("app"));
    assert_eq!(seen.header("x-jwt"), Some("none"));
    assert_eq!(seen.header("x-identity"), Some(&*format!("introspection:{}:{url}:alice", url.len())));
    assert_eq!(seen.header("authorization"), Some("Bearer a+b/c=="), "it is what has been verified");
    let [question] = &asked[..] else { panic!("{asked:#?}") };
    assert_eq!(question.form, "token=a%2Bb%2Fc%3D%3D&token_type_hint=access_token");
    for line in [
        "post /introspect http/1.1",
        "content-type: application/x-www-form-urlencoded",
        "accept: application/json",
        "authorization: basic z2f0zxdhetpzm2nyzxqlm0elmkilmky=",
    ] {
        assert!(question.head.lines().any(|own| own == line), "{line}: {}", question.head);
    }
    let metrics = shop.gateway.metrics().await;
    assert!(metrics.contains(r#"sallyport_introspections_total{outcome="active"} 1"#), "{metrics}");
}

#[rstest]
#[case::not_active(json!({ "active": false }), INVALID)]
#[case::not_active_whatever_else_is_said(with("active", json!(false)), INVALID)]
#[case::for_another(with("aud", json!("other")), INVALID)]
#[case::for_nobody(with("aud", json!(null)), INVALID)]
#[case::over(with("exp", json!(1)), INVALID)]
#[case::not_yet(with("nbf", json!(9_999_999_999_i64)), INVALID)]
#[case::bound_to_somebody(with("cnf", json!({ "jkt": "x" })), INVALID)]
#[case::of_another_type(with("token_type", json!("refresh_token")), INVALID)]
#[case::without_a_scope(with("scope", json!("orders.write")), "403 scope-insufficient")]
#[case::with_a_part_of_a_scope(with("scope", json!("orders.reads")), "403 scope-insufficient")]
#[case::of_nobody(json!({ "active": true, "aud": "orders-api", "scope": "orders.read" }), "403 claim-insufficient")]
#[case::in_words(with("active", json!("true")), UNANSWERED)]
#[case::in_numbers(with("active", json!(1)), UNANSWERED)]
#[case::nothing(json!({}), UNANSWERED)]
#[case::a_list(json!([active()]), UNANSWERED)]
#[tokio::test]
async fn what_it_says_otherwise_lets_nobody_in(#[case] said: Value, #[case] expected: &str) {
    let shop = Shop::start("").await;
    shop.endpoint.say(&said);
    for _ in 0..2 {
        let answer = shop.asked("opaque").await;
        assert_eq!(answer.verdict(), expected, "{said}");
        assert_eq!(answer.header("retry-after"), (expected == UNANSWERED).then_some("5"));
    }
    let questions = if expected == UNANSWERED { 2 } else { 1 };
    assert_eq!(shop.endpoint.count(), questions, "an answer is remembered, and what is none is not");
    assert_eq!(shop.service.count(), 0);
}

fn bytes(text: &str) -> Manner {
    Manner::Bytes(text.as_bytes().to_vec())
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_and_lets_nobody_in() {
    let mut shop = Shop::start(", timeout: 300ms").await;
    let good = active().to_string();
    let head =
        |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}content-length: {}\r\n\r\n{good}", good.len());
    let json = "content-type: application/json\r\n";
    for (what, manner) in [
        ("an error", bytes(&head("500 Oops", json))),
        ("a refusal", bytes(&head("401 Unauthorized", json))),
        ("a redirect", bytes(&head("302 Found", &format!("{json}location: /yes\r\n")))),
        ("another success", bytes(&head("201 Created", json))),
        ("no type", bytes(&head("200 OK", ""))),
        ("HTML", bytes(&head("200 OK", "content-type: text/html\r\n"))),
        ("compressed", bytes(&head("200 OK", &format!("{json}content-encoding: gzip\r\n")))),
        ("a member twice", say(&good.replace("\"active\":true", "\"active\":true,\"active\":true"))),
        ("too much", say(&format!("{}{good}", " ".repeat(64 * 1024)))),
        ("cut short", bytes(&format!("HTTP/1.1 200 OK\r\n{json}content-length: 999\r\n\r\n{good}"))),
        ("no HTTP", bytes("nonsense\r\n\r\n")),
        ("silence", Manner::Silence),
        ("a drip", Manner::Drip(head("200 OK", json).into_bytes())),
        ("no end", Manner::Endless(b"HTTP/1.1 200 OK\r\n".to_vec())),
    ] {
        shop.endpoint.answer(manner);
        assert_eq!(shop.verdict("tok-4711").await, UNANSWERED, "{what}");
    }
    let told = shop.gateway.until(POLICY, "IssuerHealthy", "IntrospectionUnanswered").await;
    assert!(!told.message.contains("s3cret"), "{}", told.message);
    assert_eq!(shop.service.count(), 0);
    shop.endpoint.say(&active());
    assert_eq!(shop.verdict("tok-4711").await, "200");
    shop.gateway.until(POLICY, "IssuerHealthy", "IssuerHealthy").await;
    let log = shop.gateway.log(15).await;
    let refused: Vec<_> = log.iter().map(|line| line["refusal"].to_string()).collect();
    assert!(refused[1].contains("clientAuthentication"), "{}", refused[1]);
    assert!(log.iter().all(|line| !line.to_string().contains("tok-4711")), "{log:#?}");
}

#[tokio::test]
async fn an_answer_holds_for_a_while() {
    let shop = Shop::start(", cache: 60s, negativeCache: 10s").await;
    let seconds = Duration::from_secs;
    for _ in 0..3 {
        assert_eq!(shop.verdict("one").await, "200");
    }
    assert_eq!(shop.endpoint.count(), 1);
    shop.endpoint.say(&json!({ "active": false }));
    shop.gateway.clock.advance(seconds(59));
    assert_eq!(shop.verdict("one").await, "200");
    assert_eq!(shop.verdict("two").await, INVALID, "what is known is known of one token");
    shop.gateway.clock.advance(seconds(2));
    assert_eq!(shop.verdict("one").await, INVALID, "it has been revoked");
    assert_eq!(shop.endpoint.count(), 3);
    shop.endpoint.say(&active());
    assert_eq!(shop.verdict("one").await, INVALID);
    shop.gateway.clock.advance(seconds(11));
    assert_eq!(shop.verdict("one").await, "200");
    // Not past its own end, and not because nobody can be asked.
    let end = shop.gateway.clock.now().seconds() + 20;
    shop.endpoint.say(&with("exp", json!(end)));
    assert_eq!(shop.verdict("three").await, "200");
    shop.gateway.clock.advance(seconds(25));
    shop.endpoint.answer(bytes("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"));
    assert_eq!(shop.verdict("three").await, UNANSWERED);
}

#[tokio::test]
async fn without_a_cache_each_request_asks() {
    let shop = Shop::start(", cache: 0s, negativeCache: 0s").await;
    for _ in 0..3 {
        assert_eq!(shop.verdict("one").await, "200");
    }
    shop.endpoint.say(&json!({ "active": false }));
    for _ in 0..3 {
        assert_eq!(shop.verdict("one").await, INVALID);
    }
    assert_eq!(shop.endpoint.count(), 6);
}

#[tokio::test]
async fn for_all_who_wait_it_is_asked_once() {
    let shop = Shop::start("").await;
    let verdicts = join_all((0..50).map(|_| shop.verdict("one"))).await;
    assert!(verdicts.iter().all(|verdict| verdict == "200"), "{verdicts:?}");
    assert!(shop.endpoint.count() <= 2, "{}", shop.endpoint.count());
}

/// One who guesses takes no more than an endpoint may have.
#[tokio::test]
async fn of_many_tokens_not_all_are_asked_about_at_once() {
    let shop = Shop::start(", timeout: 2s").await;
    shop.endpoint.answer(Manner::Silence);
    let tokens: Vec<_> = (0..200).map(|number| format!("guess-{number}")).collect();
    let verdicts = join_all(tokens.iter().map(|token| shop.verdict(token))).await;
    assert!(verdicts.iter().all(|verdict| verdict == UNANSWERED), "{verdicts:?}");
    assert_eq!(shop.endpoint.count(), 64);
    let metrics = shop.gateway.metrics().await;
    assert!(metrics.contains(r#"sallyport_introspections_total{outcome="busy"} 136"#), "{metrics}");
    shop.endpoint.say(&active());
    assert_eq!(shop.verdict("one").await, "200", "and then there is room again");
}

/// A JSON Web Token says whose it is: another issuer's is shown to nobody.
#[tokio::test]
async fn a_token_goes_to_its_own_issuer_alone() {
    let mut shop = Shop::start("").await;
    let issuer = Issuer::start().await;
    let (name, keys, url) = (issuer.name(), issuer.key_set(), shop.endpoint.url());
    let foreign = issuer.token("orders-api");
    let (head, _) = foreign.rsplit_once('.').unwrap();
    let forged = format!("{head}.c2ln");
    // Judged by its keys in the first alternative, and by nobody in the second.
    let both = format!(
        "authentication:\n- name: staff\n  jwt: {{issuer: '{name}', audiences: [orders-api], keys: {{inline: '{keys}'}}}}\n- name: opaque\n  {}\n",
        asking(&url, "")
    );
    shop.gateway.write("policy.yaml", &policy("orders", &both));
    assert_eq!(shop.verdict(&foreign).await, "200");
    assert_eq!(shop.verdict(&forged).await, INVALID);
    shop.require(", issuer: 'https://login.example.com'");
    assert_eq!(shop.verdict(&foreign).await, INVALID);
    shop.require(", prefix: opq_");
    assert_eq!(shop.verdict("other").await, INVALID);
    for malformed in ["a\u{e9}", "a,b", "a\"b"] {
        assert_eq!(shop.verdict(malformed).await, INVALID, "{malformed}");
    }
    assert_eq!(shop.endpoint.count(), 0, "it was shown none of them");
    assert_eq!(shop.verdict("opq_1").await, "200");
    shop.require(", issuer: 'https://login.example.com'");
    assert_eq!(shop.verdict("opq_2").await, INVALID, "it does not say whose it is");
    shop.endpoint.say(&with("iss", json!("https://login.example.com")));
    assert_eq!(shop.verdict("opq_3").await, "200");
}

#[tokio::test]
async fn what_one_policy_knows_another_does_not() {
    let mut shop = Shop::start("").await;
    let stricter = alternative(&shop.endpoint.url(), "").replace("[orders.read]", "[orders.admin]");
    shop.gateway.write("admin.yaml", &[route("admin", "shop"), policy("admin", &stricter)].concat());
    assert_eq!(shop.verdict("one").await, "200");
    let admin = send(shop.gateway.http(), get("/admin", &[("authorization", "Bearer one")])).await;
    assert_eq!(admin.verdict(), "403 scope-insufficient");
    assert_eq!(shop.verdict("one").await, "200");
}

#[tokio::test]
async fn nothing_sent_and_two_sent_ask_nobody() {
    let shop = Shop::start(", from: [{header: {name: Authorization}}, {header: {name: X-Token}}]").await;
    let nothing = send(shop.gateway.http(), get("/orders", &[])).await;
    assert_eq!(nothing.verdict(), "401 credential-missing");
    assert!(nothing.header("www-authenticate").is_some_and(|challenge| challenge.contains("Bearer")), "{nothing:?}");
    let twice = [("authorization", "Bearer one"), ("x-token", "one")];
    assert_eq!(send(shop.gateway.http(), get("/orders", &twice)).await.verdict(), "400 credential-ambiguous");
    assert_eq!(shop.endpoint.count(), 0);
    assert_eq!(send(shop.gateway.http(), get("/orders", &[("x-token", "one")])).await.verdict(), "200");
}

/// A dear part is reached by nobody whose cheap part fails.
#[tokio::test]
async fn beside_a_key_it_is_asked_last() {
    let mut shop = Shop::start("").await;
    let both = alternative(&shop.endpoint.url(), "") + "  subscriptionKey: {}\n";
    shop.gateway.write("policy.yaml", &policy("orders", &both));
    assert_eq!(shop.verdict("one").await, "401 credential-missing");
    let wrong = [("authorization", "Bearer one"), ("sallyport-key", "nobody")];
    assert_eq!(send(shop.gateway.http(), get("/orders", &wrong)).await.verdict(), "401 key-unknown");
    assert_eq!(shop.endpoint.count(), 0);
}

/// What lasts is asked about anew; a no ends it, and that nobody can be asked ends it after a while.
#[rstest]
#[case::revoked(json!({ "active": false }), 61)]
#[case::for_another_now(with("aud", json!("other")), 61)]
#[case::of_somebody_else_now(with("sub", json!("bob")), 61)]
#[case::with_another_role_now(with("roles", json!(["none"])), 61)]
#[case::nobody_says_anything(json!({}), 181)]
#[tokio::test]
async fn what_lasts_ends_with_the_token(#[case] said: Value, #[case] after: u64) {
    let shop = Shop::start(", cache: 60s").await;
    let stream = tokio::net::TcpStream::connect(shop.gateway.http()).await.unwrap();
    let mut events = open(stream, get("/orders/drip", &[("authorization", "Bearer one")])).await.into_body();
    assert!(events.frame().await.is_some_and(|frame| frame.is_ok()));
    shop.gateway.clock.advance(Duration::from_secs(61));
    lasts(&mut events).await;
    assert!(shop.endpoint.count() >= 2, "it has been asked about anew");
    shop.endpoint.say(&said);
    shop.gateway.clock.advance(Duration::from_secs(after));
    let ended = async { while events.frame().await.is_some_and(|frame| frame.is_ok()) {} };
    tokio::time::timeout(Duration::from_secs(4), ended).await.expect("it ends soon");
}

async fn lasts(events: &mut hyper::body::Incoming) {
    let until = tokio::time::Instant::now() + Duration::from_millis(2500);
    while tokio::time::Instant::now() < until {
        assert!(events.frame().await.is_some_and(|frame| frame.is_ok()), "it ended");
    }
}

#[tokio::test]
async fn what_is_only_reported_waits_for_nobody_and_asks_seldom() {
    let mut shop = Shop::start("").await;
    let report = policy("report", &format!("mode: Report\n{}", alternative(&shop.endpoint.url(), "")))
        .replace("kind: HTTPRoute, name: report", "kind: HTTPRoute, name: orders");
    shop.gateway.write("policy.yaml", &policy("orders", OPEN));
    shop.gateway.write("report.yaml", &report);
    shop.endpoint.answer(Manner::Silence);
    for number in 0..40 {
        assert_eq!(shop.verdict(&format!("token-{number}")).await, "200");
    }
    assert!(shop.endpoint.count() <= 30, "{}", shop.endpoint.count());
    let told = shop.gateway.log(40).await.pop().unwrap()["would_refuse"].to_string();
    assert!(told.contains("introspection-unavailable") && told.contains("only where it is enforced"), "{told}");
}

#[tokio::test]
async fn a_client_secret_that_is_none_closes_the_alternative() {
    let mut shop = Shop::start("").await;
    for (data, told) in [
        ("{client-secret: ''}", "client-secret is empty"),
        ("{client-secret: \"s3cret\\n\"}", "line end"),
        ("{other: s3cret}", "no entry client-secret"),
    ] {
        let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", shop.service.address, ""), &client(data)];
        shop.gateway.write("main.yaml", &manifests.concat());
        assert_eq!(shop.verdict("one").await, "500 configuration", "{data}");
        let said = shop.gateway.said(POLICY);
        assert!(said.contains("clientAuthentication.secretRef") && said.contains(told), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    assert_eq!(shop.endpoint.count(), 0);
}

/// Whoever writes a policy chooses who is asked, and whoever keeps the Secret who may be sent it.
#[tokio::test]
async fn a_secret_is_sent_only_where_it_says() {
    let mut shop = Shop::start("").await;
    for annotation in [
        "",
        ", annotations: {sallyport.dev/hosts: login.example.com}",
        ", annotations: {sallyport.dev/hosts: '127.0.0.11, 127.0.0'}",
    ] {
        let kept = secret("client", "{client-secret: s3cret}");
        let kept = kept.replace("namespace: shop}", &format!("namespace: shop{annotation}}}"));
        let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", shop.service.address, ""), &kept];
        shop.gateway.write("main.yaml", &manifests.concat());
        assert_eq!(shop.verdict("one").await, "500 configuration", "{annotation}");
        let said = shop.gateway.said(POLICY);
        assert!(said.contains("sallyport.dev/hosts: 127.0.0.1"), "{said}");
    }
    assert_eq!(shop.endpoint.count(), 0);
}

/// Endpoints that know other tokens as well say so in one way or another.
#[rstest]
#[case::a_refresh_token(with("token_use", json!("refresh_token")))]
#[case::an_id_token(with("token_use", json!("id")))]
#[case::keycloaks_refresh_token(with("typ", json!("Refresh")))]
#[case::keycloaks_offline_token(with("typ", json!("Offline")))]
#[case::keycloaks_id_token(with("typ", json!("ID")))]
#[tokio::test]
async fn a_token_for_something_else_is_no_access_token(#[case] said: Value) {
    let shop = Shop::start("").await;
    shop.endpoint.say(&said);
    assert_eq!(shop.verdict("one").await, INVALID);
    let fine = [with("token_use", json!("access_token")), with("typ", json!("Bearer")), with("exp", json!(null))];
    for (number, fine) in fine.iter().enumerate() {
        shop.endpoint.say(fine);
        assert_eq!(shop.verdict(&format!("token-{number}")).await, "200", "{fine}");
    }
}

#[tokio::test]
async fn a_real_identity_provider_is_asked() {
    let provider = IdentityProvider::start_with_tls("RS256").await;
    let service = Service::start().await;
    let asked = format!(
        "authentication:\n- name: opaque\n  introspection: {{endpoint: '{}/token/introspection', issuer: '{}', clientAuthentication: {{id: test-client, method: ClientSecretBasic, secretRef: {{name: client}}}}, audiences: [orders-api], scopes: [orders.read], caCertificateRefs: [{{kind: ConfigMap, name: login-ca}}]}}\n",
        provider.name(),
        provider.name()
    );
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, ""),
        &client("{client-secret: not-a-secret-outside-of-tests}"),
        &crate::kit::manifest::pem("ConfigMap", "login-ca", &[("ca.crt", &provider.authority())]),
        &policy("orders", &asked),
    ];
    let mut gateway = Gateway::start(&manifests.concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
    let token = provider.token(OPAQUE, "orders.read").await;
    let unfit = provider.token(OPAQUE, "orders.write").await;
    assert!(!token.contains('.'), "it says nothing by itself");
    let verdict = async |gateway: &Gateway, token: &str| {
        let bearer = format!("Bearer {token}");
        send(gateway.http(), get("/orders", &[("authorization", &bearer)])).await.verdict()
    };
    assert_eq!(verdict(&gateway, &token).await, "200");
    assert_eq!(verdict(&gateway, &unfit).await, "403 scope-insufficient");
    assert_eq!(verdict(&gateway, "nonsense").await, INVALID);
    provider.revoke(&token).await;
    assert_eq!(verdict(&gateway, &token).await, "200", "for a while");
    gateway.clock.advance(Duration::from_secs(61));
    assert_eq!(verdict(&gateway, &token).await, INVALID);
    let mut without = manifests.to_vec();
    without.pop();
    gateway.write("main.yaml", &without.concat());
    gateway.write("policy.yaml", &policy("orders", &asked));
    let another = provider.token(OPAQUE, "orders.read").await;
    assert_eq!(verdict(&gateway, &another).await, "200");
    let wrong = without.concat().replace("not-a-secret-outside-of-tests", "wrong");
    gateway.write("main.yaml", &wrong);
    assert_eq!(verdict(&gateway, &another).await, UNANSWERED, "it does not take the gateway's login");
}
