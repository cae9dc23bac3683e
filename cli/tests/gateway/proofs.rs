//! Tokens that are bound to a key (RFC 9449): whoever has copied one, with a proof or without, comes in nowhere.

use std::net::Ipv4Addr;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use http::Request;
use http_body_util::Empty;
use rstest::rstest;
use serde_json::{Value, json};

use crate::kit::caller::{Answer, HOST, get, get_from, over, send, tls};
use crate::kit::gateway::Gateway;
use crate::kit::identity_provider::{IdentityProvider, ORDERS};
use crate::kit::issuer::{Issuer, encode};
use crate::kit::manifest::{OPEN, backend, gateway_with, policy, policy_on, route, secret, subscription};
use crate::kit::pki::{Authority, Identity};
use crate::kit::prover::Prover;
use crate::kit::redis::{PASSWORD, Redis};
use crate::kit::secured::certificate;
use crate::kit::service::Service;

const PROOF: &str = "senderConstraint: {require: DPoP}";
const EITHER: &str = "senderConstraint: {require: Either}";
const IF_BOUND: &str = "senderConstraint: {require: IfBound}";
const INVALID: &str = "401 token-invalid";
const UNPROVEN: &str = "401 proof-invalid";
const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const CHALLENGE: &str =
    r#"DPoP realm="sallyport", algs="RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA Ed25519""#;

/// `/orders` behind tokens on a port with TLS and on one without; `/open` behind nothing.
struct Shop {
    gateway: Gateway,
    service: Service,
    issuer: Issuer,
    public: Authority,
    machines: Authority,
}

impl Shop {
    async fn start(constraint: &str) -> Self {
        Self::with("{}", constraint).await
    }

    async fn with(parameters: &str, constraint: &str) -> Self {
        let (public, machines) = (Authority::new("public"), Authority::new("machines"));
        let (service, issuer) = (Service::start().await, Issuer::start().await);
        let https = format!(
            "  - {{name: https, port: 8443, protocol: HTTPS, hostname: '{HOST}', tls: {{certificateRefs: [{{name: shown}}]}}}}\n"
        );
        let manifests = [
            gateway_with(parameters).replace("  - {name: http,", &format!("{https}  - {{name: http,")),
            route("orders", "shop"),
            route("open", "shop"),
            backend("shop", service.address, "credential: {passThrough: {}}"),
            policy("open", OPEN),
            certificate("shown", &public.issue(&[HOST])),
            secret("store", &format!("{{password: {PASSWORD}}}"))
                .replace("name: store,", "name: store, annotations: {sallyport.dev/hosts: 127.0.0.1},"),
        ];
        let mut gateway = Gateway::start(&manifests.concat()).await;
        gateway.write("policy.yaml", &policy("orders", &by_token(&issuer, constraint)));
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service, issuer, public, machines }
    }

    fn require(&mut self, constraint: &str) {
        self.gateway.write("policy.yaml", &policy("orders", &by_token(&self.issuer, constraint)));
        assert!(self.gateway.diagnostics.is_empty(), "{:#?}", self.gateway.diagnostics);
    }

    fn token_of(&self, prover: &Prover) -> String {
        self.bound_to(&prover.confirmation())
    }

    fn bound_to(&self, confirmation: &Value) -> String {
        self.issuer.token_with("orders-api", &json!({ "cnf": confirmation }))
    }

    async fn ask(&self, token: &str, proof: &str) -> Answer {
        send(self.gateway.http(), proven("/orders", token, proof)).await
    }

    async fn verdict(&self, token: &str, proof: &str) -> String {
        self.ask(token, proof).await.verdict()
    }
}

fn proven(target: &str, token: &str, proof: &str) -> Request<Empty<bytes::Bytes>> {
    get(target, &[("authorization", &format!("DPoP {token}")), ("dpop", proof)])
}

fn by_token(issuer: &Issuer, constraint: &str) -> String {
    let (name, keys) = (issuer.name(), issuer.key_set());
    format!(
        "authentication:\n- name: machines\n  jwt: {{issuer: '{name}', audiences: [orders-api], keys: {{inline: '{keys}'}}, {constraint}}}\n"
    )
}

fn print(identity: &Identity) -> String {
    encode(digest(&SHA256, &identity.der))
}

#[rstest]
#[case::where_all_have_to_be_bound(PROOF)]
#[case::where_it_may_be_a_certificate_as_well(EITHER)]
#[case::where_only_bound_ones_are_looked_at(IF_BOUND)]
#[tokio::test]
async fn a_token_is_its_callers_alone(#[case] constraint: &str) {
    let shop = Shop::start(constraint).await;
    let (machine, colleague) = (Prover::new(), Prover::new());
    let token = shop.token_of(&machine);
    assert_eq!(shop.verdict(&token, &machine.proof(&token)).await, "200");
    assert_eq!(shop.verdict(&token, &machine.proof(&token)).await, "200", "each request has its own");
    let theirs = shop.token_of(&colleague);
    for (what, sent, proof) in [
        ("a colleague's proof", &token, colleague.proof(&token)),
        ("a proof of another token of one's own", &token, machine.proof(&theirs)),
        ("a colleague's token", &theirs, machine.proof(&theirs)),
        ("nothing but letters", &token, "letters".to_owned()),
        ("the token itself", &token, token.clone()),
    ] {
        let refused = shop.ask(sent, &proof).await;
        assert_eq!(refused.verdict(), UNPROVEN, "{what}");
        let challenge = CHALLENGE.replace(", algs", r#", error="invalid_dpop_proof", algs"#);
        assert_eq!(refused.header("www-authenticate"), Some(&*challenge), "{what}");
    }
    let without = get("/orders", &[("authorization", &format!("DPoP {token}"))]);
    assert_eq!(send(shop.gateway.http(), without).await.verdict(), UNPROVEN);
    let two = proven("/orders", &token, &machine.proof(&token));
    let two = {
        let (mut head, body) = two.into_parts();
        head.headers.append("dpop", machine.proof(&token).parse().unwrap());
        Request::from_parts(head, body)
    };
    assert_eq!(send(shop.gateway.http(), two).await.verdict(), UNPROVEN, "two proofs");
    assert_eq!(shop.service.count(), 2);
    let log = shop.gateway.log(9).await;
    assert!(log[2].to_string().contains("another key than the token is bound to"), "{:#}", log[2]);
    let metrics = shop.gateway.metrics().await;
    assert!(metrics.contains(r#"sallyport_proofs_total{outcome="accepted"} 2"#), "{metrics}");
    assert!(metrics.contains(r#"sallyport_proofs_total{outcome="invalid"} 7"#), "{metrics}");
}

#[tokio::test]
async fn a_proof_is_for_one_request() {
    let mut shop = Shop::start(PROOF).await;
    shop.gateway.write("more.yaml", &(route("more", "shop") + &policy("more", &by_token(&shop.issuer, PROOF))));
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    let proof = machine.proof(&token);
    assert_eq!(shop.verdict(&token, &proof).await, "200");
    for _ in 0..3 {
        assert_eq!(shop.verdict(&token, &proof).await, UNPROVEN, "seen before");
    }
    let elsewhere = proven("/more", &token, &machine.proof(&token));
    assert_eq!(send(shop.gateway.http(), elsewhere).await.verdict(), UNPROVEN, "for another path");
    let (mut head, body) = proven("/orders", &token, &machine.proof(&token)).into_parts();
    head.method = http::Method::POST;
    assert_eq!(send(shop.gateway.http(), Request::from_parts(head, body)).await.verdict(), UNPROVEN, "for GET");
    for changes in [
        json!({ "htu": "http://evil.example/orders" }),
        json!({ "htu": format!("https://{HOST}/orders") }),
        json!({ "htu": format!("http://{HOST}:8080/orders") }),
        json!({ "ath": null }),
        json!({ "iat": 1 }),
        json!({ "iat": 4_000_000_000_i64 }),
        json!({ "jti": null }),
    ] {
        assert_eq!(shop.verdict(&token, &machine.proof_with(&token, &changes)).await, UNPROVEN, "{changes}");
    }
    assert_eq!(shop.service.count(), 1);
    // The query is not a part of what is proven (RFC 9449, 4.3).
    let query = proven("/orders?page=2", &token, &machine.proof(&token));
    assert_eq!(send(shop.gateway.http(), query).await.verdict(), "200");
}

/// All at once, on whatever connections and workers: one of them is taken.
#[tokio::test]
async fn of_many_copies_one_is_taken() {
    let shop = Shop::start(PROOF).await;
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    let (proof, gateway) = (machine.proof(&token), shop.gateway.http());
    let copies: Vec<_> = (0..32).map(|_| tokio::spawn(send(gateway, proven("/orders", &token, &proof)))).collect();
    let mut verdicts = Vec::new();
    for copy in copies {
        verdicts.push(copy.await.unwrap().verdict());
    }
    assert_eq!(verdicts.iter().filter(|verdict| *verdict == "200").count(), 1, "{verdicts:?}");
    assert_eq!(verdicts.iter().filter(|verdict| *verdict == UNPROVEN).count(), 31, "{verdicts:?}");
    assert_eq!(shop.service.count(), 1);
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token_and_a_bearer_token_proves_nothing() {
    let mut shop = Shop::start(PROOF).await;
    let machine = Prover::new();
    let (bound, unbound) = (shop.token_of(&machine), shop.issuer.token("orders-api"));
    let bearer =
        |token: &str, proof: &str| get("/orders", &[("authorization", &format!("Bearer {token}")), ("dpop", proof)]);
    for (constraint, bearer_passes) in [(PROOF, false), (EITHER, false), (IF_BOUND, true), ("", true)] {
        shop.require(constraint);
        let downgraded = send(shop.gateway.http(), bearer(&bound, &machine.proof(&bound))).await;
        assert_eq!(downgraded.verdict(), INVALID, "{constraint}: a bound token as a bearer token");
        let proven = shop.verdict(&unbound, &machine.proof(&unbound)).await;
        let expected = if constraint.is_empty() { "401 credential-missing" } else { INVALID };
        assert_eq!(proven, expected, "{constraint}: an unbound token with a proof");
        let bare = send(shop.gateway.http(), bearer(&unbound, &machine.proof(&unbound))).await.verdict();
        assert_eq!(bare, if bearer_passes { "200" } else { INVALID }, "{constraint}: an unbound token");
    }
    assert_eq!(shop.service.count(), 2);
}

#[tokio::test]
async fn who_sends_nothing_is_told_what_to_send() {
    let mut shop = Shop::start(PROOF).await;
    let challenges = |answer: &Answer| -> Vec<String> {
        answer.headers.get_all("www-authenticate").iter().map(|one| one.to_str().unwrap().to_owned()).collect()
    };
    for (constraint, expected) in [
        (PROOF, &[CHALLENGE][..]),
        (EITHER, &[r#"Bearer realm="sallyport""#, CHALLENGE]),
        (IF_BOUND, &[r#"Bearer realm="sallyport""#, CHALLENGE]),
    ] {
        shop.require(constraint);
        let refused = send(shop.gateway.http(), get("/orders", &[])).await;
        assert_eq!(
            (refused.verdict().as_str(), challenges(&refused)),
            ("401 credential-missing", expected.iter().map(|one| (*one).to_owned()).collect())
        );
    }
    shop.require("senderConstraint: {require: DPoP, dpop: {algorithms: [ES256, EdDSA]}}");
    let refused = send(shop.gateway.http(), get("/orders", &[("authorization", "DPoP x.y.z"), ("dpop", "x")])).await;
    assert_eq!(refused.verdict(), INVALID);
    assert_eq!(challenges(&refused), [r#"DPoP realm="sallyport", error="invalid_token", algs="ES256 EdDSA Ed25519""#]);
    shop.require("scopes: [orders.write], senderConstraint: {require: DPoP, dpop: {algorithms: [ES256]}}");
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    let refused = shop.ask(&token, &machine.proof(&token)).await;
    assert_eq!(refused.verdict(), "403 scope-insufficient");
    assert_eq!(
        challenges(&refused),
        [r#"DPoP realm="sallyport", error="insufficient_scope", scope="orders.write", algs="ES256""#]
    );
}

/// What is bound to a certificate and to a key needs both.
#[tokio::test]
async fn who_holds_a_part_of_what_a_token_is_bound_to_holds_nothing() {
    let mut shop = Shop::start(EITHER).await;
    let (machine, prover) = (shop.machines.issue(&["loader.example.com"]), Prover::new());
    let by_certificate = json!({ "x5t#S256": print(&machine) });
    let both = json!({ "x5t#S256": print(&machine), "jkt": prover.confirmation()["jkt"] });
    let with_certificate = shop.public.client_showing(&[], &machine, &[]);
    let without = shop.public.client(&[]);
    let secure = json!({ "htu": format!("https://{HOST}/orders") });
    for (constraint, confirmation, certificate, scheme, expected) in [
        (EITHER, &both, true, "DPoP", "200"),
        (EITHER, &both, false, "DPoP", INVALID),
        (EITHER, &both, true, "Bearer", INVALID),
        (EITHER, &by_certificate, true, "Bearer", "200"),
        (EITHER, &by_certificate, false, "Bearer", INVALID),
        (EITHER, &by_certificate, true, "DPoP", INVALID),
        (IF_BOUND, &both, true, "DPoP", "200"),
        (IF_BOUND, &both, true, "Bearer", INVALID),
        (PROOF, &both, true, "DPoP", INVALID),
        (PROOF, &by_certificate, true, "DPoP", INVALID),
        ("senderConstraint: {require: Certificate}", &both, true, "DPoP", "401 credential-missing"),
        ("senderConstraint: {require: Certificate}", &both, true, "Bearer", INVALID),
    ] {
        shop.require(constraint);
        let token = shop.bound_to(confirmation);
        let proof = prover.proof_with(&token, &secure);
        let config = if certificate { with_certificate.clone() } else { without.clone() };
        let stream = tls(shop.gateway.https(), HOST, config).await.unwrap();
        let request = get("/orders", &[("authorization", &format!("{scheme} {token}")), ("dpop", &proof)]);
        let verdict = over(stream, request).await.verdict();
        assert_eq!(verdict, expected, "{constraint} {confirmation} {certificate} {scheme}");
    }
    assert_eq!(shop.service.count(), 3);
}

/// Which address was asked for only trusted proxies may tell, and only where nobody has stated it.
#[tokio::test]
async fn behind_a_proxy_a_proof_is_for_what_the_caller_has_asked() {
    let mut shop = Shop::with("{trustedProxies: {cidrs: [127.0.0.1]}}", PROOF).await;
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    let (gateway, authorization) = (shop.gateway.http(), format!("DPoP {token}"));
    let told = [("x-forwarded-proto", "https"), ("x-forwarded-host", "evil.example")];
    let public = json!({ "htu": format!("https://{HOST}/orders") });
    let evil = json!({ "htu": "https://evil.example/orders" });
    let (proxy, stranger) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 8));
    for (what, changes, headers, source, expected) in [
        ("the scheme as the proxy tells it", &public, &told[..1], proxy, "200"),
        ("it tells nothing", &json!({}), &[], proxy, "200"),
        ("another scheme than it tells", &json!({}), &told[..1], proxy, UNPROVEN),
        ("another host, which callers may have told it", &evil, &told, proxy, UNPROVEN),
        ("the host that the route was chosen by", &public, &told, proxy, "200"),
        ("it tells two things", &public, &[("x-forwarded-proto", "https, http")], proxy, UNPROVEN),
        ("it tells twice", &public, &[told[0], told[0]], proxy, UNPROVEN),
        ("a stranger tells", &public, &told, stranger, UNPROVEN),
        ("a stranger's own", &json!({}), &told, stranger, "200"),
    ] {
        let proof = machine.proof_with(&token, changes);
        let mut all = vec![("authorization", &*authorization), ("dpop", &*proof)];
        all.extend(headers);
        let verdict = get_from(source, gateway, "/orders", &all).await.verdict();
        assert_eq!(verdict, expected, "{what}");
    }
    shop.require(
        "senderConstraint: {require: DPoP, dpop: {origins: ['https://shop.example.com:443', 'https://[::1]:8443']}}",
    );
    for (changes, expected) in [
        (json!({ "htu": "https://shop.example.com/orders" }), "200"),
        (public, UNPROVEN),
        (json!({ "htu": "https://[::1]:8443/orders" }), "200"),
        (json!({}), UNPROVEN),
        (json!({ "htu": "https://shop.example.com:8443/orders" }), UNPROVEN),
        (json!({ "htu": "https://shop.example.com/open" }), UNPROVEN),
    ] {
        assert_eq!(shop.verdict(&token, &machine.proof_with(&token, &changes)).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn the_service_sees_a_proof_only_beside_the_token() {
    let mut shop = Shop::start(PROOF).await;
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    let proof = machine.proof(&token);
    assert_eq!(shop.verdict(&token, &proof).await, "200");
    let seen = shop.service.one();
    assert_eq!((seen.header("authorization"), seen.header("dpop")), (Some(&*format!("DPoP {token}")), Some(&*proof)));
    shop.gateway.write("backend.yaml", &backend("bare", shop.service.address, "credential: {none: {}}"));
    shop.gateway.write("bare.yaml", &(route("bare", "bare") + &policy("bare", &by_token(&shop.issuer, PROOF))));
    assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
    let proof = machine.proof_with(&token, &json!({ "htu": format!("http://{HOST}/bare") }));
    let answer = send(shop.gateway.http(), proven("/bare", &token, &proof)).await;
    assert_eq!(answer.verdict(), "200");
    let seen = shop.service.one();
    assert_eq!((seen.header("authorization"), seen.header("dpop")), (None, None));
}

/// A Floor and a route's own policy see one request, and one proof of it; two alternatives as well.
#[tokio::test]
async fn one_proof_serves_all_levels() {
    let mut shop = Shop::start(PROOF).await;
    let gateway = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
    let floor = format!("enforcement: Floor\n{}", by_token(&shop.issuer, PROOF));
    let with_key =
        by_token(&shop.issuer, PROOF).replace("- name: machines", "- name: customers\n  subscriptionKey: {}");
    let own = by_token(&shop.issuer, PROOF).replace("authentication:\n", &with_key);
    shop.gateway.write("floor.yaml", &policy_on("floor", gateway, &floor));
    shop.gateway.write("policy.yaml", &policy("orders", &own));
    assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    let proof = machine.proof(&token);
    assert_eq!(shop.verdict(&token, &proof).await, "200");
    // The first alternative has a key to ask for.
    assert_eq!(shop.verdict(&token, &proof).await, "401 credential-missing");
    let log = shop.gateway.log(2).await;
    assert_eq!(log[0]["alternative"], "machines", "{log:#?}");
}

/// Where policies differ in what they remember, and for how long, what one has seen all have seen.
#[tokio::test]
async fn levels_and_alternatives_that_differ_take_no_proof_twice() {
    let mut redis = Redis::start();
    let mut shop = Shop::with(&stored(&redis), PROOF).await;
    shop.gateway.until("Gateway shop/public", "sallyport.dev/LimitStoreReady", "Ready").await;
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    let with = |replay: &str, age: &str| {
        let dpop = format!("dpop: {{replay: {replay}, maxAge: {age}}}");
        by_token(&shop.issuer, &format!("senderConstraint: {{require: DPoP, {dpop}}}"))
    };
    let (own, shared) = (with("Replica", "20s"), with("Store", "120s"));
    let others = shared.replace("authentication:\n", "").replace("name: machines", "name: others");
    let gateway = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
    let floor = policy_on("floor", gateway, &format!("enforcement: Floor\n{shared}"));
    for (what, policies, floor) in [
        ("alternatives", policy("orders", &(own.clone() + &others)), String::new()),
        ("a Floor", policy("orders", &own), floor),
    ] {
        shop.gateway.write("policy.yaml", &policies);
        if !floor.is_empty() {
            shop.gateway.write("floor.yaml", &floor);
        }
        assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
        let proof = machine.proof(&token);
        assert_eq!(shop.verdict(&token, &proof).await, "200", "{what}");
        assert_eq!(shop.verdict(&token, &proof).await, UNPROVEN, "{what}");
        // Too old for the one, and not for the other.
        shop.gateway.clock.advance(Duration::from_secs(40));
        assert_eq!(shop.verdict(&token, &proof).await, UNPROVEN, "{what}");
        shop.gateway.clock.set_back(Duration::from_secs(40));
    }
    // The route's own policy would do without the store: the Floor does not.
    redis.stop();
    assert_eq!(shop.verdict(&token, &machine.proof(&token)).await, "503 store-unavailable");
}

/// A proof is used up by what it opens, and not by what is refused for something else.
#[tokio::test]
async fn who_lacks_something_else_may_send_it_again() {
    let mut shop = Shop::start(PROOF).await;
    let beside = by_token(&shop.issuer, PROOF) + "  subscriptionKey: {}\n";
    let acme = subscription("acme", "{apis: [{kind: HTTPRoute, name: orders}]}", &format!("{{primary: {KEY}}}"));
    shop.gateway.write("policy.yaml", &(policy("orders", &beside) + &acme));
    assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    let (authorization, proof) = (format!("DPoP {token}"), machine.proof(&token));
    let with = |key| get("/orders", &[("authorization", &*authorization), ("dpop", &*proof), ("sallyport-key", key)]);
    assert_eq!(shop.verdict(&token, &proof).await, "401 credential-missing");
    assert_eq!(send(shop.gateway.http(), with("nobody's")).await.verdict(), "401 key-unknown");
    assert_eq!(send(shop.gateway.http(), with(KEY)).await.verdict(), "200");
    assert_eq!(send(shop.gateway.http(), with(KEY)).await.verdict(), UNPROVEN);
}

/// What an expression could hand on, the service must not see.
#[tokio::test]
async fn expressions_see_no_proof() {
    let mut shop = Shop::start(PROOF).await;
    let told = "requestHeaders:\n  set:\n  - {name: X-Proof, expression: '\"dpop\" in request.headers ? request.headers[\"dpop\"][0] : \"none\"'}\n";
    shop.gateway.write("policy.yaml", &policy("orders", &(by_token(&shop.issuer, PROOF) + told)));
    assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    assert_eq!(shop.verdict(&token, &machine.proof(&token)).await, "200");
    assert_eq!(shop.service.one().header("x-proof"), Some("none"));
}

/// Where a token stands elsewhere, `Authorization` is the service's.
#[tokio::test]
async fn no_proof_is_looked_for_where_tokens_stand_elsewhere() {
    let mut shop = Shop::start(PROOF).await;
    shop.require("senderConstraint: {require: IfBound}, from: [{header: {name: X-Token}}]");
    let machine = Prover::new();
    let (bound, unbound) = (shop.token_of(&machine), shop.issuer.token("orders-api"));
    let sent = [("x-token", &*unbound), ("authorization", "Basic b3duOnNlcnZpY2U=")];
    assert_eq!(send(shop.gateway.http(), get("/orders", &sent)).await.verdict(), "200");
    assert_eq!(shop.service.one().header("authorization"), Some("Basic b3duOnNlcnZpY2U="));
    assert_eq!(send(shop.gateway.http(), get("/orders", &[("x-token", &bound)])).await.verdict(), INVALID);
    assert_eq!(shop.verdict(&bound, &machine.proof(&bound)).await, "401 credential-missing");
}

#[tokio::test]
async fn what_is_only_reported_uses_no_proof_up() {
    let mut shop = Shop::start("").await;
    let report = policy("report", &format!("mode: Report\n{}", by_token(&shop.issuer, PROOF)))
        .replace("kind: HTTPRoute, name: report", "kind: HTTPRoute, name: orders");
    shop.gateway.write("policy.yaml", &policy("orders", OPEN));
    shop.gateway.write("report.yaml", &report);
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    let (good, wrong) = (machine.proof(&token), machine.proof_with(&token, &json!({ "htm": "POST" })));
    for proof in [&good, &good, &wrong] {
        assert_eq!(shop.verdict(&token, proof).await, "200");
    }
    shop.gateway.write("report.yaml", &report.replace("require: DPoP}", "require: DPoP, dpop: {nonce: Required}}"));
    assert_eq!(shop.verdict(&token, &good).await, "200");
    shop.gateway.write("report.yaml", &report.replace("require: DPoP}", "require: DPoP, dpop: {replay: Store}}"));
    assert_eq!(shop.verdict(&token, &good).await, "200");
    let log = shop.gateway.log(5).await;
    for (line, word) in log.iter().zip(["", "", "proof-invalid", "rehearsal-incomplete", "configuration"]) {
        let would = &line["would_refuse"];
        assert!(if word.is_empty() { would.is_null() } else { would.to_string().contains(word) }, "{word}: {line:#}");
    }
    let metrics = shop.gateway.metrics().await;
    assert!(metrics.contains(r#"sallyport_proofs_total{outcome="invalid"} 0"#), "{metrics}");
}

fn stored(redis: &Redis) -> String {
    format!(
        "{{limits: {{store: Redis, redis: {{addresses: ['{}'], timeout: 1s, secretRef: {{name: store}}}}}}}}",
        redis.address()
    )
}

/// With a store no replica takes what another has taken; while it is away nobody comes in by a proof.
#[tokio::test]
async fn replicas_remember_together() {
    let mut redis = Redis::start();
    let (mut one, mut other) = (Shop::with(&stored(&redis), PROOF).await, Shop::with(&stored(&redis), PROOF).await);
    for shop in [&mut one, &mut other] {
        shop.gateway.until("Gateway shop/public", "sallyport.dev/LimitStoreReady", "Ready").await;
    }
    other.gateway.write("policy.yaml", &policy("orders", &by_token(&one.issuer, PROOF)));
    let machine = Prover::new();
    let token = one.token_of(&machine);
    let (first, second) = (machine.proof(&token), machine.proof(&token));
    assert_eq!(one.verdict(&token, &first).await, "200");
    assert_eq!(other.verdict(&token, &first).await, UNPROVEN);
    assert_eq!(other.verdict(&token, &second).await, "200");
    assert_eq!(one.verdict(&token, &second).await, UNPROVEN);
    let own = PROOF.replace("DPoP}", "DPoP, dpop: {replay: Replica}}");
    one.require(&own);
    other.gateway.write("policy.yaml", &policy("orders", &by_token(&one.issuer, &own)));
    let third = machine.proof(&token);
    for shop in [&one, &other] {
        assert_eq!(shop.verdict(&token, &third).await, "200", "each for itself");
        assert_eq!(shop.verdict(&token, &third).await, UNPROVEN);
    }
    one.require(PROOF);
    redis.stop();
    let refused = one.ask(&token, &machine.proof(&token)).await;
    assert_eq!((refused.verdict().as_str(), refused.header("retry-after")), ("503 store-unavailable", Some("1")));
    assert_eq!(one.verdict(&token, "x").await, UNPROVEN, "what is wrong is wrong without it");
    redis.start_again(PASSWORD);
    one.gateway.until("Gateway shop/public", "sallyport.dev/LimitStoreReady", "StoreUnreached").await;
    one.gateway.until("Gateway shop/public", "sallyport.dev/LimitStoreReady", "Ready").await;
    assert_eq!(one.verdict(&token, &machine.proof(&token)).await, "200");
    assert_eq!(one.service.count() + other.service.count(), 5);
}

#[tokio::test]
async fn a_store_that_is_demanded_and_not_there_opens_nothing_and_is_told() {
    let mut shop = Shop::start(PROOF).await;
    shop.gateway.write(
        "policy.yaml",
        &policy("orders", &by_token(&shop.issuer, "senderConstraint: {require: DPoP, dpop: {replay: Store}}")),
    );
    let told = format!("{:?}", shop.gateway.diagnostics);
    assert!(told.contains("senderConstraint.dpop.replay") && told.contains("has no store"), "{told}");
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    assert_eq!(shop.verdict(&token, &machine.proof(&token)).await, "500 configuration");
    assert_eq!(shop.service.count(), 0);
}

const DEMANDING: &str = "senderConstraint: {require: DPoP, dpop: {nonce: Required}}";

#[tokio::test]
async fn a_proof_holds_the_number_that_the_gateway_has_handed_out() {
    let shop = Shop::start(DEMANDING).await;
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    let refused = shop.ask(&token, &machine.proof(&token)).await;
    assert_eq!(refused.verdict(), "401 proof-nonce");
    let challenge = CHALLENGE.replace(", algs", r#", error="use_dpop_nonce", algs"#);
    assert_eq!(refused.header("www-authenticate"), Some(&*challenge));
    let nonce = refused.header("dpop-nonce").unwrap().to_owned();
    let with = |nonce: &str| machine.proof_with(&token, &json!({ "nonce": nonce }));
    let served = shop.ask(&token, &with(&nonce)).await;
    assert_eq!((served.verdict().as_str(), served.header("dpop-nonce")), ("200", None), "it lasts");
    assert_eq!(shop.verdict(&token, &with(&nonce)).await, "200", "for other proofs as well");
    let changed = format!("{}{}", &nonce[..nonce.len() - 1], if nonce.ends_with('A') { "Q" } else { "A" });
    for wrong in ["", "x", &changed, &nonce[1..]] {
        let refused = shop.ask(&token, &with(wrong)).await;
        assert_eq!(refused.verdict(), "401 proof-nonce", "{wrong}");
        assert!(refused.header("dpop-nonce").is_some(), "{wrong}");
    }
    let proof = machine.proof_with(&token, &json!({ "nonce": nonce, "htm": "POST" }));
    let refused = shop.ask(&token, &proof).await;
    assert_eq!((refused.verdict().as_str(), refused.header("dpop-nonce")), (UNPROVEN, None));
    shop.gateway.clock.advance(Duration::from_secs(200));
    let fresh = json!({ "nonce": nonce, "iat": shop.gateway.clock.now().seconds() });
    let served = shop.ask(&token, &machine.proof_with(&token, &fresh)).await;
    assert_eq!(served.verdict(), "200");
    let next = served.header("dpop-nonce").expect("the next is due").to_owned();
    assert_ne!(next, nonce);
    shop.gateway.clock.advance(Duration::from_secs(120));
    let now = shop.gateway.clock.now().seconds();
    for (nonce, expected) in [(&nonce, "401 proof-nonce"), (&next, "200")] {
        let proof = machine.proof_with(&token, &json!({ "nonce": nonce, "iat": now }));
        assert_eq!(shop.verdict(&token, &proof).await, expected);
    }
    let other = Shop::start(DEMANDING).await;
    let theirs = other.token_of(&machine);
    let proof = machine.proof_with(&theirs, &json!({ "nonce": nonce }));
    assert_eq!(other.verdict(&theirs, &proof).await, "401 proof-nonce", "of a process that shares no key");
    let metrics = shop.gateway.metrics().await;
    assert!(metrics.contains(r#"sallyport_proofs_total{outcome="nonce"} 6"#), "{metrics}");
}

#[tokio::test]
async fn pages_of_other_sites_may_read_the_number() {
    let mut shop = Shop::start(DEMANDING).await;
    let origin = "https://app.example.com";
    let machine = Prover::new();
    let token = shop.token_of(&machine);
    for (cors, exposed) in [
        (
            format!("allowOrigins: ['{origin}'], allowHeaders: [Authorization, DPoP]"),
            Some("dpop-nonce, www-authenticate"),
        ),
        (format!("allowOrigins: ['{origin}'], exposeHeaders: [X-Page]"), Some("x-page, dpop-nonce, www-authenticate")),
        (format!("allowOrigins: ['{origin}'], exposeHeaders: ['*']"), Some("*")),
        ("allowOrigins: ['https://elsewhere.example']".to_owned(), None),
    ] {
        let policy_text = format!("{}cors: {{{cors}}}\n", by_token(&shop.issuer, DEMANDING));
        shop.gateway.write("policy.yaml", &policy("orders", &policy_text));
        assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
        let authorization = format!("DPoP {token}");
        let sent = [("authorization", &*authorization), ("dpop", &*machine.proof(&token)), ("origin", origin)];
        let refused = send(shop.gateway.http(), get("/orders", &sent)).await;
        assert_eq!(refused.verdict(), "401 proof-nonce");
        assert_eq!(refused.header("access-control-expose-headers"), exposed, "{cors}");
    }
}

/// Tokens of a real provider, shown by a client that is not ours either.
#[tokio::test]
async fn a_real_client_proves_what_a_real_provider_has_bound() {
    let provider = IdentityProvider::start("ES256").await;
    let mut shop = Shop::start(PROOF).await;
    let by_discovery = format!(
        "authentication:\n- name: machines\n  jwt: {{issuer: '{}', audiences: [orders-api], scopes: [orders.read], {PROOF}}}\n",
        provider.name()
    );
    shop.gateway.write("policy.yaml", &policy("orders", &by_discovery));
    // Clients sign what they call the API by.
    let address = format!("http://{}/orders", shop.gateway.http());
    for _ in 0..2 {
        let told = provider.call_with_proof(&address, ORDERS, "orders.read").await;
        assert_eq!(told["status"], 200, "{told}");
        assert_eq!(told["copied"], 401, "{told}");
        assert_eq!(told["bearer"], 401, "{told}");
    }
    let other = provider.call_with_proof(&address, ORDERS, "orders.write").await;
    assert_eq!(other["status"], 403, "{other}");
    shop.gateway.write("policy.yaml", &policy("orders", &by_discovery.replace(PROOF, DEMANDING)));
    let told = provider.call_with_proof(&address, ORDERS, "orders.read").await;
    assert_eq!((&told["status"], &told["asked"], &told["copied"]), (&json!(200), &json!(2), &json!(401)), "{told}");
    assert_eq!(shop.service.count(), 3);
}
