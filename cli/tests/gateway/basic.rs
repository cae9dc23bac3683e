//! User names and passwords at the outer door.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty};
use rstest::rstest;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::kit::caller::{Answer, HOST, get, open, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{GATEWAY, backend, policy, policy_on, route, subscription};
use crate::kit::service::Service;

const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const ON_ROUTE: &str = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}";
const BY_LOGIN: &str = "authentication: [{name: login, basic: {secretRef: {name: staff}, realm: orders}}]";
const CHALLENGE: &str = r#"Basic realm="orders", charset="UTF-8""#;
/// All of one password, by other programs: bcrypt, SHA-crypt of both lengths.
const PASSWORD: &str = "päss:wörd";
const BCRYPT: &str = "$2y$04$abcdefghijklmnopqrstuukt5gEdxhyYU8q7nPVxOXoWsXfLuYbs6";
const SHA256: &str = "$5$rounds=1000$salt$Q4nDbI..G0Fqx57CshfgYhK6aJ40pBXcBPKYcdWKywD";
const SHA512: &str =
    "$6$rounds=1000$short$V406gb77FnfYN4TCvUvYIOqgAbyVInIZ51mkjLXGAPt4avfxltlI2zNqo.a9KZSzdsvlwZHZYNYKmBN.dfy.s0";
/// Of "pässword".
const ARGON2: &str = "$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$uec2fzdciZM+CBiiUAXQEF7ZKz42iQUTDNtOs7UWxG4";
/// Of 72 times `a`.
const LONGEST: &str = "$2b$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe";
/// What a busy machine takes to see that something has ended.
const SOON: Duration = Duration::from_secs(3);

fn staff(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!(
        "\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: staff, namespace: shop}}\nstringData:\n  htpasswd: |\n{lines}"
    )
}

fn everybody() -> String {
    staff(&[
        "# who may order",
        &format!("anna:{BCRYPT}"),
        &format!("ben:{SHA256}"),
        &format!("cleo:{SHA512}"),
        &format!("dörte:{ARGON2}"),
        &format!("emil:{LONGEST}"),
    ])
}

struct Shop {
    gateway: Gateway,
    service: Service,
}

impl Shop {
    /// `/orders` behind `spec`.
    async fn start(spec: &str, more: &str) -> Self {
        let service = Service::start().await;
        let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), more];
        let mut gateway = Gateway::start(&manifests.concat()).await;
        gateway.write("staff.yaml", &everybody());
        gateway.write("orders.yaml", &policy("orders", spec));
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service }
    }

    async fn ask(&self, headers: &[(&str, &str)]) -> Answer {
        send(self.gateway.http(), get("/orders/1", headers)).await
    }

    async fn login(&self, user: &str, password: &str) -> Answer {
        self.ask(&[("authorization", &basic(user, password))]).await
    }

    async fn verdict(&self, user: &str, password: &str) -> String {
        self.login(user, password).await.verdict()
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn whoever_knows_a_password_of_the_file_comes_in_and_the_service_never_sees_it() {
    let shop = Shop::start(BY_LOGIN, "").await;
    for (user, password) in [
        ("anna", PASSWORD),
        ("ben", PASSWORD),
        ("cleo", PASSWORD),
        ("dörte", "pässword"),
        ("emil", &"a".repeat(72)),
        ("anna", PASSWORD),
    ] {
        assert_eq!(shop.verdict(user, password).await, "200", "{user}");
        assert_eq!(shop.service.one().header("authorization"), None);
    }
}

#[tokio::test]
async fn all_others_are_answered_alike() {
    let shop = Shop::start(BY_LOGIN, "").await;
    let mut bodies = BTreeSet::new();
    for (user, password) in [
        ("anna", "pass"),
        ("Anna", PASSWORD),
        ("nobody", PASSWORD),
        ("anna", "pa\u{308}ss:wo\u{308}rd"),
        ("do\u{308}rte", "pässword"),
        ("anna", ""),
        ("", PASSWORD),
        ("emil", &"a".repeat(73)),
        ("emil", &"a".repeat(71)),
        ("cleo", &"a".repeat(257)),
        ("anna", "päss:wörd\0"),
        ("anna ", PASSWORD),
        ("# who may order", PASSWORD),
    ] {
        let refused = shop.login(user, password).await;
        assert_eq!(refused.verdict(), "401 login-invalid", "{user} {password}");
        assert_eq!(refused.header("www-authenticate"), Some(CHALLENGE));
        let mut body: Value = serde_json::from_slice(&refused.body).unwrap();
        body.as_object_mut().unwrap().remove("traceId");
        body.as_object_mut().unwrap().remove("instance");
        bodies.insert(body.to_string());
    }
    assert_eq!((bodies.len(), shop.service.count()), (1, 0), "{bodies:#?}");
    let said: Vec<_> = shop.gateway.log(3).await.iter().map(|line| line["refusal"]["message"].clone()).collect();
    assert_eq!(
        said[..3],
        [
            "the password is wrong",
            "there is no such user, or its line cannot be used",
            "there is no such user, or its line cannot be used"
        ]
    );
}

#[tokio::test]
async fn a_login_stands_in_one_place_in_one_form() {
    let mut shop = Shop::start(BY_LOGIN, "").await;
    shop.gateway.write("staff.yaml", &staff(&[&format!("anna:{BCRYPT}"), &format!("??>a:{BCRYPT}")]));
    let pair = format!("??>a:{PASSWORD}");
    let padded = BASE64_STANDARD.encode(&pair);
    assert!(padded.ends_with('=') && padded.contains('+'), "else nothing is shown: {padded}");
    let latin1 = BASE64_STANDARD.encode(b"anna:p\xe4ss:w\xf6rd");
    for (sent, verdict) in [
        (format!("Basic {padded}"), "200"),
        (format!("bAsIc   {padded}"), "200"),
        (format!("Basic {}", BASE64_STANDARD_NO_PAD.encode(&pair)), "401 login-invalid"),
        (format!("Basic {}", BASE64_URL_SAFE.encode(&pair)), "401 login-invalid"),
        (format!("Basic {latin1}"), "401 login-invalid"),
        (format!("Basic {padded}, Basic {padded}"), "401 login-invalid"),
        (format!("Basic {pair}"), "401 login-invalid"),
        (format!("Basic {}", BASE64_STANDARD.encode("anna")), "401 login-invalid"),
        (format!("Basic {}", "YWFh".repeat(300)), "401 login-invalid"),
        ("Basic".to_owned(), "401 credential-missing"),
        (format!("Basic{padded}"), "401 credential-missing"),
        (format!("Bearer {padded}"), "401 credential-missing"),
        (padded.clone(), "401 credential-missing"),
    ] {
        let request =
            Request::get("/orders/1").header(header::HOST, HOST).header(header::AUTHORIZATION, sent.as_bytes());
        let answer = send(shop.gateway.http(), request.body(Empty::<Bytes>::new()).unwrap()).await;
        assert_eq!(answer.verdict(), verdict, "{sent}");
    }
    let login = basic("anna", PASSWORD);
    let twice = shop.ask(&[("authorization", &login), ("authorization", &login)]).await;
    assert_eq!(twice.verdict(), "400 credential-ambiguous");
    let missing = shop.ask(&[("proxy-authorization", &login)]).await;
    assert_eq!(
        (missing.verdict(), missing.header("www-authenticate")),
        ("401 credential-missing".into(), Some(CHALLENGE))
    );
}

#[tokio::test]
async fn a_change_of_the_file_is_in_force_at_once_whatever_is_remembered() {
    let mut shop = Shop::start(BY_LOGIN, "").await;
    assert_eq!(shop.verdict("anna", PASSWORD).await, "200");
    shop.gateway.write("staff.yaml", &staff(&[&format!("anna:{ARGON2}"), &format!("ben:{SHA256}")]));
    assert_eq!(shop.verdict("anna", PASSWORD).await, "401 login-invalid");
    assert_eq!(shop.verdict("anna", "pässword").await, "200");
    shop.gateway.write("staff.yaml", &staff(&[&format!("ben:{SHA256}")]));
    assert_eq!(shop.verdict("anna", "pässword").await, "401 login-invalid");
    assert_eq!(shop.verdict("ben", PASSWORD).await, "200");
    shop.gateway.remove("staff.yaml");
    assert_eq!(shop.verdict("ben", PASSWORD).await, "500 configuration");
    assert!(shop.gateway.said("ApiPolicy shop/orders").contains("Secret shop/staff does not exist"));
    shop.gateway.write("staff.yaml", &everybody());
    assert_eq!(shop.verdict("ben", PASSWORD).await, "200");
}

#[tokio::test]
async fn a_line_that_cannot_be_used_lets_nobody_in_and_keeps_nobody_else_out() {
    let mut shop = Shop::start(BY_LOGIN, "").await;
    let dear = BCRYPT.replacen("$04$", "$14$", 1);
    shop.gateway.write(
        "staff.yaml",
        &staff(&[
            &format!("anna:{BCRYPT}"),
            "clear:päss:wörd",
            "sha:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            &format!("dear:{dear}"),
            &format!("twice:{BCRYPT}"),
            &format!("twice:{BCRYPT}"),
        ]),
    );
    assert_eq!(shop.verdict("anna", PASSWORD).await, "200");
    for user in ["clear", "sha", "dear", "twice"] {
        for password in [PASSWORD, "password", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="] {
            assert_eq!(shop.verdict(user, password).await, "401 login-invalid", "{user}");
        }
    }
    let said = shop.gateway.said("ApiPolicy shop/orders");
    for line in ["line 2", "line 3", "line 4", "line 6"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("twice") && !said.contains("W6ph"), "{said}");
    shop.gateway.write("staff.yaml", &staff(&["clear:text"]));
    assert_eq!(shop.verdict("clear", "text").await, "500 configuration");
}

#[tokio::test]
async fn beside_a_key_both_have_to_hold_and_no_hash_is_computed_without_one() {
    let spec = "authentication: [{name: both, subscriptionKey: {}, basic: {secretRef: {name: staff}, realm: orders}}]";
    let scope = "{apis: [{kind: HTTPRoute, name: orders}]}";
    let shop = Shop::start(spec, &subscription("acme", scope, &format!("{{primary: {KEY}}}"))).await;
    let (right, wrong) = (basic("anna", PASSWORD), basic("anna", "guess"));
    for (headers, verdict) in [
        (vec![("authorization", &*wrong)], "401 credential-missing"),
        (vec![("authorization", &*right)], "401 credential-missing"),
        (vec![("authorization", &*wrong), ("sallyport-key", "sp_guessed")], "401 key-unknown"),
    ] {
        assert_eq!(shop.ask(&headers).await.verdict(), verdict, "{headers:?}");
    }
    assert!(!metrics(&shop).await.contains(r#"sallyport_password_hashes_total{outcome="wrong"} 1"#));
    let refused = shop.ask(&[("authorization", &wrong), ("sallyport-key", KEY)]).await;
    assert_eq!(refused.verdict(), "401 login-invalid");
    let missing = shop.ask(&[("sallyport-key", KEY)]).await;
    assert_eq!(
        (missing.verdict(), missing.header("www-authenticate")),
        ("401 credential-missing".into(), Some(CHALLENGE))
    );
    assert_eq!(shop.ask(&[("authorization", &right), ("sallyport-key", KEY)]).await.verdict(), "200");
    let told = metrics(&shop).await;
    assert!(told.contains(r#"outcome="wrong"} 1"#) && told.contains(r#"outcome="right"} 1"#), "{told}");
}

async fn metrics(shop: &Shop) -> String {
    let answer = send(shop.gateway.admin(), get("/metrics", &[])).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    text.lines().filter(|line| line.contains("password")).collect::<Vec<_>>().join("\n")
}

/// Two ways that read one field are told apart by the scheme.
#[tokio::test]
async fn beside_a_token_in_another_alternative_the_scheme_says_which_is_meant() {
    let issuer = Issuer::start().await;
    let spec = format!(
        "authentication: [{{name: token, jwt: {{issuer: '{}', audiences: [orders]}}}}, {{name: login, basic: {{secretRef: {{name: staff}}}}}}]",
        issuer.name()
    );
    let shop = Shop::start(&spec, "").await;
    let token = format!("Bearer {}", issuer.token("orders"));
    for (sent, verdict) in [
        (&*token, "200"),
        (&basic("anna", PASSWORD), "200"),
        (&basic("anna", "guess"), "401 login-invalid"),
        ("Bearer nonsense", "401 token-invalid"),
        ("Digest a", "401 credential-missing"),
    ] {
        let answer = shop.ask(&[("authorization", sent)]).await;
        assert_eq!(answer.verdict(), verdict, "{sent}");
        if verdict == "401 credential-missing" {
            let asked: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
            assert_eq!(asked, [r#"Bearer realm="sallyport""#, r#"Basic realm="sallyport", charset="UTF-8""#]);
        }
    }
    let seen: Vec<_> = shop.service.take().iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert_eq!(seen, [Some(token), None], "a token travels, a password does not");
}

#[tokio::test]
async fn a_password_travels_where_that_is_said_and_only_one_that_has_held() {
    let spec = format!("{BY_LOGIN}\ncredential: {{passThrough: {{}}}}");
    let shop = Shop::start(&spec, "").await;
    let login = basic("anna", PASSWORD);
    assert_eq!(shop.ask(&[("authorization", &login)]).await.verdict(), "200");
    assert_eq!(shop.service.one().header("authorization"), Some(&*login));
    // By another way, what stands there has not been judged.
    let ways = "authentication: [{name: login, basic: {secretRef: {name: staff}}}, {name: key, subscriptionKey: {}}]\ncredential: {passThrough: {}}";
    let scope = "{apis: [{kind: HTTPRoute, name: orders}]}";
    let shop = Shop::start(ways, &subscription("acme", scope, &format!("{{primary: {KEY}}}"))).await;
    let guess = basic("anna", "guess");
    assert_eq!(shop.ask(&[("authorization", &guess), ("sallyport-key", KEY)]).await.verdict(), "200");
    assert_eq!(shop.service.one().header("authorization"), None);
}

#[tokio::test]
async fn expressions_and_limits_know_who_has_logged_in() {
    let spec = format!(
        "{BY_LOGIN}\nauthorization: [{{name: no-ben, require: \"auth.basic.user != 'ben' && auth.identity == 'basic:19:shop/staff/htpasswd:' + auth.basic.user\"}}]\nlimits: [{{name: each, requests: 2, per: 1h, by: Identity}}]\nrequestHeaders: {{set: [{{name: X-User, expression: auth.basic.user}}, {{name: X-Seen, expression: \"'authorization' in request.headers ? 'yes' : 'no'\"}}]}}\n"
    );
    let shop = Shop::start(&spec, "").await;
    assert_eq!(shop.verdict("ben", PASSWORD).await, "403 authorization-denied");
    for (user, verdict) in [("anna", "200"), ("anna", "200"), ("anna", "429 rate-exceeded"), ("cleo", "200")] {
        assert_eq!(shop.verdict(user, PASSWORD).await, verdict, "{user}");
    }
    let seen = shop.service.take();
    assert_eq!(seen[0].header("x-user"), Some("anna"));
    assert_eq!(seen[0].header("x-seen"), Some("no"), "a password is nothing that an expression could hand on");
    // What somebody calls himself is not what he is called.
    let login = basic("anna", PASSWORD);
    let spoofed = shop.ask(&[("authorization", &login), ("x-user", "root"), ("X_User", "root")]).await;
    assert_eq!(spoofed.verdict(), "429 rate-exceeded");
}

#[tokio::test]
async fn a_floor_asks_for_a_login_of_its_own_secret() {
    let floor = policy_on("floor", ON_ROUTE, &format!("enforcement: Floor\n{BY_LOGIN}\n"));
    let shop = Shop::start("authentication: [{name: open, public: {}}]", &floor).await;
    assert_eq!(shop.ask(&[]).await.verdict(), "401 credential-missing");
    assert_eq!(shop.verdict("anna", "guess").await, "401 login-invalid");
    assert_eq!(shop.verdict("anna", PASSWORD).await, "200");
    assert_eq!(shop.service.one().header("authorization"), None);
}

/// Whose route it is may not be whose Secret it is.
#[rstest]
#[case::of_another_namespace("team", "shop", "", "", false)]
#[case::of_another_namespace_by_a_floor("team", "shop", "enforcement: Floor", "", false)]
#[case::of_both("team", "shop", "enforcement: Floor", "team", false)]
#[case::of_its_own("shop", "shop", "", "", true)]
#[case::of_its_own_by_a_floor("shop", "shop", "enforcement: Floor", "", true)]
#[case::twice_of_its_own("shop", "shop", "enforcement: Floor", "shop", true)]
#[tokio::test]
async fn a_password_is_handed_to_services_of_its_secrets_namespace(
    #[case] services: &str,
    #[case] gateways: &str,
    #[case] enforcement: &str,
    #[case] beside: &str,
    #[case] travels: bool,
) {
    let moved = |text: String| text.replace("namespace: shop", &format!("namespace: {services}"));
    let service = Service::start().await;
    let of_service = [route("orders", "shop"), backend("shop", service.address, "credential: {passThrough: {}}")];
    let of_service = moved(of_service.concat()).replace("{name: public}", "{name: public, namespace: shop}");
    let on_gateway = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
    let above = policy_on("above", on_gateway, &format!("{enforcement}\n{BY_LOGIN}\n"));
    let near = match beside {
        "" => String::new(),
        _ => moved([policy("orders", BY_LOGIN), everybody()].concat()),
    };
    let near = if beside == gateways { near.replace(&everybody(), "") } else { near };
    let gateway = Gateway::start(&[GATEWAY, &of_service, &above, &everybody(), &near].concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
    let login = basic("anna", PASSWORD);
    assert_eq!(send(gateway.http(), get("/orders/1", &[("authorization", &login)])).await.verdict(), "200");
    assert_eq!(service.one().header("authorization"), travels.then_some(&*login));
}

async fn writes(shop: &Shop, site: &str) -> String {
    let request = Request::post("/orders/1").header(header::HOST, HOST).header("sallyport-key", KEY);
    let request = request.header(header::AUTHORIZATION, basic("anna", PASSWORD)).header("sec-fetch-site", site);
    send(shop.gateway.http(), request.body(Empty::<Bytes>::new()).unwrap()).await.verdict()
}

/// Browsers send along what they keep, whoever asks for it.
#[tokio::test]
async fn another_site_cannot_have_a_browser_use_its_login() {
    let shop = Shop::start(BY_LOGIN, "").await;
    let login = basic("anna", PASSWORD);
    for (site, verdict) in
        [("cross-site", "403 cross-site"), ("same-site", "403 cross-site"), ("same-origin", "200"), ("none", "200")]
    {
        assert_eq!(writes(&shop, site).await, verdict, "{site}");
    }
    assert_eq!(
        shop.ask(&[("authorization", &login), ("sec-fetch-site", "cross-site")]).await.verdict(),
        "200",
        "a GET"
    );
}

/// A key, no browser sends by itself.
#[rstest]
#[case::check("csrf: Check", "403 cross-site")]
#[case::off("csrf: Off", "200")]
#[case::beside_a_key("}, subscriptionKey: {", "200")]
#[tokio::test]
async fn another_site_may_where_that_is_said_or_a_key_stands_beside(#[case] more: &str, #[case] verdict: &str) {
    let spec = format!("authentication: [{{name: login, basic: {{secretRef: {{name: staff}}, {more}}}}}]");
    let scope = "{apis: [{kind: HTTPRoute, name: orders}]}";
    let shop = Shop::start(&spec, &subscription("acme", scope, &format!("{{primary: {KEY}}}"))).await;
    assert_eq!(writes(&shop, "cross-site").await, verdict);
    assert_eq!(
        shop.verdict("anna", "guess").await,
        if more.contains("Key") { "401 credential-missing" } else { "401 login-invalid" }
    );
}

/// What cannot be asked for is no header that expressions could hand on.
#[tokio::test]
async fn a_password_stays_unseen_while_its_file_cannot_be_used() {
    let ways = "authentication: [{name: login, basic: {secretRef: {name: staff}}}, {name: key, subscriptionKey: {}}]\nrequestHeaders: {set: [{name: X-Seen, expression: \"'authorization' in request.headers ? 'yes' : 'no'\"}]}\n";
    let scope = "{apis: [{kind: HTTPRoute, name: orders}]}";
    let mut shop = Shop::start(ways, &subscription("acme", scope, &format!("{{primary: {KEY}}}"))).await;
    shop.gateway.remove("staff.yaml");
    let answer = shop.ask(&[("authorization", &basic("anna", PASSWORD)), ("sallyport-key", KEY)]).await;
    assert_eq!(answer.verdict(), "200");
    let seen = shop.service.one();
    assert_eq!((seen.header("x-seen"), seen.header("authorization")), (Some("no"), None));
}

/// Whoever is only reported waits for no hash.
#[tokio::test]
async fn a_rehearsal_tells_what_is_known_and_refuses_nobody() {
    let next = policy_on("next", ON_ROUTE, &format!("mode: Report\n{BY_LOGIN}\n"));
    let shop = Shop::start("authentication: [{name: open, public: {}}]", &next).await;
    let until = Instant::now() + SOON;
    let mut asked = 0;
    loop {
        assert_eq!(shop.verdict("anna", PASSWORD).await, "200");
        asked += 1;
        let told = shop.gateway.log(asked).await.pop().unwrap()["would_refuse"].to_string();
        assert!(!told.contains("login-invalid"), "{told}");
        if !told.contains("overloaded") {
            break;
        }
        assert!(Instant::now() < until, "it is hashed beside: {told}");
    }
    assert_eq!(shop.ask(&[]).await.verdict(), "200");
    let line = shop.gateway.log(asked + 1).await.pop().unwrap();
    assert!(line["would_refuse"].to_string().contains("credential-missing"), "{line}");
}

/// It is judged beside the live policy, and sees no more than that one's own expressions do.
#[tokio::test]
async fn a_rehearsal_sees_no_credential_that_the_live_policy_reads() {
    let seen = "'authorization' in request.headers || 'sallyport-key' in request.headers || 'key' in request.query";
    let next = policy_on(
        "next",
        ON_ROUTE,
        &format!("mode: Report\nauthorization: [{{name: none, require: \"!({seen})\"}}]\n"),
    );
    let both = "authentication: [{name: both, basic: {secretRef: {name: staff}}, subscriptionKey: {headers: [Sallyport-Key], queryParameters: [key]}}]";
    let scope = "{apis: [{kind: HTTPRoute, name: orders}]}";
    let subscription = subscription("acme", scope, &format!("{{primary: {KEY}}}"));
    let shop = Shop::start(both, &[next, subscription].concat()).await;
    let login = basic("anna", PASSWORD);
    let by_parameter = get(&format!("/orders/1?key={KEY}"), &[("authorization", &login)]);
    assert_eq!(send(shop.gateway.http(), by_parameter).await.verdict(), "200");
    assert_eq!(shop.ask(&[("authorization", &login), ("sallyport-key", KEY)]).await.verdict(), "200");
    for line in shop.gateway.log(2).await {
        assert!(line["would_refuse"].is_null(), "{line}");
    }
}

#[rstest]
#[case::other_password(&[("anna", ARGON2)], true)]
#[case::gone(&[("ben", SHA256)], true)]
#[case::another_user_changed(&[("anna", BCRYPT), ("ben", BCRYPT)], false)]
#[tokio::test]
async fn what_lasts_ends_when_the_users_line_changes(#[case] then: &[(&str, &str)], #[case] ends: bool) {
    let mut shop = Shop::start(BY_LOGIN, "").await;
    let stream = TcpStream::connect(shop.gateway.http()).await.unwrap();
    let request = get("/orders/drip", &[("authorization", &basic("anna", PASSWORD))]);
    let mut body = open(stream, request).await.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    let lines: Vec<_> = then.iter().map(|(user, hash)| format!("{user}:{hash}")).collect();
    shop.gateway.write("staff.yaml", &staff(&lines.iter().map(String::as_str).collect::<Vec<_>>()));
    let changed = Instant::now();
    let has_ended = loop {
        match body.frame().await {
            Some(Ok(_)) if changed.elapsed() > SOON => break false,
            Some(Ok(_)) => {}
            _ => break true,
        }
    };
    assert_eq!(has_ended, ends);
}

/// Who guesses, guesses beside the others: those who are known, and those who come otherwise, are served.
#[tokio::test]
async fn guessing_keeps_nobody_out_who_is_known() {
    let ways = "authentication: [{name: login, basic: {secretRef: {name: staff}}}, {name: key, subscriptionKey: {}}]";
    let scope = "{apis: [{kind: HTTPRoute, name: orders}]}";
    let shop = Shop::start(ways, &subscription("acme", scope, &format!("{{primary: {KEY}}}"))).await;
    assert_eq!(shop.verdict("anna", PASSWORD).await, "200");
    let guesses = (0..200).map(|guess| {
        let (gateway, login) = (shop.gateway.http(), basic("dörte", &format!("guess {guess}")));
        tokio::spawn(async move { send(gateway, get("/orders/1", &[("authorization", &login)])).await })
    });
    let guesses: Vec<_> = guesses.collect();
    for _ in 0..20 {
        assert_eq!(shop.verdict("anna", PASSWORD).await, "200");
        assert_eq!(shop.ask(&[("sallyport-key", KEY)]).await.verdict(), "200");
    }
    let mut verdicts = BTreeMap::<String, usize>::new();
    for guess in guesses {
        let answer = guess.await.unwrap();
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        *verdicts.entry(answer.verdict()).or_default() += 1;
    }
    let known = ["401 login-invalid", "503 overloaded"];
    assert!(verdicts.keys().all(|verdict| known.contains(&verdict.as_str())), "{verdicts:?}");
    assert!(verdicts[known[0]] >= 32, "{verdicts:?}");
    assert_eq!(shop.verdict("dörte", "pässword").await, "200", "and then she is let in");
}
