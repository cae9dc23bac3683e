//! Tokens that are bound to the certificate of their caller (RFC 8705): whoever has copied one comes in with it nowhere.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http_body_util::Empty;
use rstest::rstest;
use rustls::ClientConfig;
use serde_json::{Value, json};

use crate::kit::caller::{HOST, get, get_http2, http2, over, read, send, tls};
use crate::kit::gateway::Gateway;
use crate::kit::identity_provider::{IdentityProvider, ORDERS};
use crate::kit::issuer::{Issuer, encode};
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};
use crate::kit::pki::{Authority, Identity};
use crate::kit::secured::certificate;
use crate::kit::service::Service;

const CERTIFICATE: &str = "senderConstraint: {require: Certificate}";
const IF_BOUND: &str = "senderConstraint: {require: IfBound}";
const INVALID: &str = "401 token-invalid";

/// `/orders` behind tokens on a port with TLS and on one without; `/open` behind nothing.
struct Shop {
    gateway: Gateway,
    service: Service,
    issuer: Issuer,
    public: Authority,
    /// Nobody trusts it here: whose a certificate is, the issuer of tokens has looked at.
    machines: Authority,
}

impl Shop {
    async fn start(constraint: &str) -> Self {
        let (public, machines) = (Authority::new("public"), Authority::new("machines"));
        let (service, issuer) = (Service::start().await, Issuer::start().await);
        let https = format!(
            "  - {{name: https, port: 8443, protocol: HTTPS, hostname: '{HOST}', tls: {{certificateRefs: [{{name: shown}}]}}}}\n"
        );
        let manifests = [
            GATEWAY,
            &https,
            &route("orders", "shop"),
            &route("open", "shop"),
            &backend("shop", service.address, ""),
            &policy("open", OPEN),
            &certificate("shown", &public.issue(&[HOST])),
        ];
        let mut gateway = Gateway::start(&manifests.concat()).await;
        gateway.write("policy.yaml", &policy("orders", &by_token(&issuer, constraint)));
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service, issuer, public, machines }
    }

    fn require(&mut self, constraint: &str) {
        self.gateway.write("policy.yaml", &policy("orders", &by_token(&self.issuer, constraint)));
    }

    fn machine(&self) -> Identity {
        self.machines.issue(&["loader.example.com"])
    }

    fn showing(&self, identity: &Identity) -> ClientConfig {
        self.public.client_showing(&[], identity, &[])
    }

    fn bound_to(&self, confirmation: &Value) -> String {
        self.issuer.token_with("orders-api", &json!({ "cnf": confirmation }))
    }

    async fn verdict(&self, config: ClientConfig, token: &str) -> String {
        let stream = tls(self.gateway.https(), HOST, config).await.unwrap();
        over(stream, get("/orders", &[("authorization", &format!("Bearer {token}"))])).await.verdict()
    }
}

fn by_token(issuer: &Issuer, constraint: &str) -> String {
    let (name, keys) = (issuer.name(), issuer.key_set());
    format!(
        "authentication:\n- name: machines\n  jwt: {{issuer: '{name}', audiences: [orders-api], keys: {{inline: '{keys}'}}, {constraint}}}\n"
    )
}

fn print(identity: &Identity) -> Value {
    json!({ "x5t#S256": encode(digest(&SHA256, &identity.der)) })
}

#[rstest]
#[case::where_all_have_to_be_bound(CERTIFICATE)]
#[case::where_only_bound_ones_are_looked_at(IF_BOUND)]
#[tokio::test]
async fn a_token_is_its_callers_alone(#[case] constraint: &str) {
    let shop = Shop::start(constraint).await;
    let (machine, colleague) = (shop.machine(), shop.machine());
    let token = shop.bound_to(&print(&machine));
    assert_eq!(shop.verdict(shop.showing(&machine), &token).await, "200");
    assert_eq!(shop.verdict(shop.showing(&machine), &token).await, "200", "remembered");
    for (what, config) in [
        ("nobody's", shop.public.client(&[])),
        ("a colleague's", shop.showing(&colleague)),
        ("the gateway's own authority's", shop.showing(&shop.public.issue(&["loader.example.com"]))),
    ] {
        assert_eq!(shop.verdict(config, &token).await, INVALID, "{what}");
    }
    assert_eq!(shop.verdict(shop.showing(&colleague), &shop.bound_to(&print(&colleague))).await, "200");
    assert_eq!(shop.service.count(), 3);
    let forged = [
        ("authorization", &*format!("Bearer {token}")),
        ("client-cert", &*format!(":{}:", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &machine.der))),
        ("x-forwarded-client-cert", "Hash=00"),
    ];
    assert_eq!(send(shop.gateway.http(), get("/orders", &forged)).await.verdict(), INVALID, "in clear");
    let stream = tls(shop.gateway.https(), HOST, shop.public.client(&[])).await.unwrap();
    assert_eq!(over(stream, get("/orders", &forged)).await.verdict(), INVALID);
    assert_eq!(shop.service.count(), 3);
    let log = shop.gateway.log(8).await;
    let told = |at: usize| log[at]["refusal"]["message"].to_string() + &log[at].to_string();
    assert!(told(2).contains("no certificate was shown") && told(3).contains("another one was shown"), "{log:#?}");
}

#[tokio::test]
async fn an_unbound_token_opens_only_where_that_is_said() {
    let mut shop = Shop::start(CERTIFICATE).await;
    let (machine, unbound) = (shop.machine(), shop.issuer.token("orders-api"));
    assert_eq!(shop.verdict(shop.showing(&machine), &unbound).await, INVALID);
    assert_eq!(shop.verdict(shop.public.client(&[]), &unbound).await, INVALID);
    shop.require(IF_BOUND);
    assert_eq!(shop.verdict(shop.showing(&machine), &unbound).await, "200");
    assert_eq!(shop.verdict(shop.public.client(&[]), &unbound).await, "200");
    let in_clear = get("/orders", &[("authorization", &format!("Bearer {unbound}"))]);
    assert_eq!(send(shop.gateway.http(), in_clear).await.verdict(), "200");
    shop.require("");
    assert_eq!(shop.verdict(shop.public.client(&[]), &unbound).await, "200");
    let bound = shop.bound_to(&print(&machine));
    assert_eq!(shop.verdict(shop.showing(&machine), &bound).await, INVALID, "nobody would look who brings it");
    assert_eq!(shop.service.count(), 4);
}

#[tokio::test]
async fn a_token_that_is_bound_to_something_else_as_well_opens_nothing() {
    let mut shop = Shop::start(CERTIFICATE).await;
    let machine = shop.machine();
    let right = print(&machine)["x5t#S256"].clone();
    let upper = right.as_str().unwrap().to_uppercase();
    for constraint in [CERTIFICATE, IF_BOUND] {
        shop.require(constraint);
        for confirmation in [
            json!({}),
            json!(right),
            json!([right]),
            json!({ "jkt": right }),
            json!({ "x5t": right }),
            json!({ "x5t#s256": right }),
            json!({ "x5t#S256": right, "jkt": right }),
            json!({ "x5t#S256": [right] }),
            json!({ "x5t#S256": format!("{}=", right.as_str().unwrap()) }),
            json!({ "x5t#S256": upper }),
            json!({ "x5t#S256": "" }),
        ] {
            let token = shop.bound_to(&confirmation);
            assert_eq!(shop.verdict(shop.showing(&machine), &token).await, INVALID, "{confirmation}");
        }
    }
    assert_eq!(shop.service.count(), 0);
}

/// A connection that was made before anybody wanted a certificate has none to tell of.
#[tokio::test]
async fn who_was_not_asked_is_asked_on_another_connection() {
    let mut shop = Shop::start("").await;
    let machine = shop.machine();
    let config = shop.public.client_showing(&["h2"], &machine, &[]);
    let mut sender = http2::<Empty<Bytes>>(tls(shop.gateway.https(), HOST, config.clone()).await.unwrap()).await;
    assert_eq!(read(sender.send_request(get_http2("https", HOST, "/open", &[])).await.unwrap()).await.verdict(), "200");
    shop.require(CERTIFICATE);
    let bearer = format!("Bearer {}", shop.bound_to(&print(&machine)));
    let request = || get_http2("https", HOST, "/orders", &[("authorization", &*bearer)]);
    let late = read(sender.send_request(request()).await.unwrap()).await;
    assert_eq!(late.verdict(), "421 misdirected-request");
    let mut next = http2(tls(shop.gateway.https(), HOST, config).await.unwrap()).await;
    assert_eq!(read(next.send_request(request()).await.unwrap()).await.verdict(), "200");
}

#[tokio::test]
async fn what_is_only_reported_asks_nobody() {
    let mut shop = Shop::start("").await;
    let report = by_token(&shop.issuer, CERTIFICATE);
    let report = policy("report", &format!("mode: Report\n{report}"))
        .replace("kind: HTTPRoute, name: report", "kind: HTTPRoute, name: orders");
    shop.gateway.write("policy.yaml", &policy("orders", OPEN));
    shop.gateway.write("report.yaml", &report);
    let machine = shop.machine();
    assert_eq!(shop.verdict(shop.showing(&machine), &shop.bound_to(&print(&machine))).await, "200");
    let told = shop.gateway.log(1).await[0]["would_refuse"].to_string();
    assert!(told.contains("token-invalid") && told.contains("only where it is enforced"), "{told}");
}

#[tokio::test]
async fn tokens_of_a_real_identity_provider_are_bound() {
    let provider = IdentityProvider::start("ES256").await;
    let mut shop = Shop::start(CERTIFICATE).await;
    let by_discovery = format!(
        "authentication:\n- name: machines\n  jwt: {{issuer: '{}', audiences: [orders-api], scopes: [orders.read], {CERTIFICATE}}}\n",
        provider.name()
    );
    shop.gateway.write("policy.yaml", &policy("orders", &by_discovery));
    let (machine, colleague) = (shop.machine(), shop.machine());
    let bound = provider.token_of_machine(ORDERS, "orders.read", &machine).await;
    let unbound = provider.token(ORDERS, "orders.read").await;
    assert_eq!(shop.verdict(shop.showing(&machine), &bound).await, "200");
    for (config, token) in
        [(shop.showing(&colleague), &bound), (shop.public.client(&[]), &bound), (shop.showing(&machine), &unbound)]
    {
        assert_eq!(shop.verdict(config, token).await, INVALID);
    }
    assert_eq!(shop.service.count(), 1);
}
