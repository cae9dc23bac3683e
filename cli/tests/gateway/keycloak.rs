//! Keycloak as the issuer: tokens of each kind that it makes, asked about and not, bound and not; and what becomes of them when it changes its keys,
//! or loses its realm.

use crate::kit::caller::{HOST, get, over, send, tls};
use crate::kit::gateway::Gateway;
use crate::kit::keycloak::Keycloak;
use crate::kit::manifest::{GATEWAY, backend, pem, policy, route, secret};
use crate::kit::pki::{Authority, Identity};
use crate::kit::secured::certificate;
use crate::kit::service::Service;

const INVALID: &str = "401 token-invalid";
const AUTHORITY: &str = "caCertificateRefs: [{kind: ConfigMap, name: login-ca}]";
/// Routes, and what each asks of a token.
const ROUTES: [&str; 5] = ["any", "typed", "bound", "proven", "asked"];

/// Routes of one service behind tokens of one realm, on a port with TLS and on one without.
struct Shop {
    gateway: Gateway,
    service: Service,
    keycloak: Keycloak,
    public: Authority,
    machines: Authority,
}

impl Shop {
    async fn start() -> Self {
        let (public, machines) = (Authority::new("public"), Authority::new("machines"));
        let (service, keycloak) = (Service::start().await, Keycloak::start(&machines).await);
        let https = format!(
            "  - {{name: https, port: 8443, protocol: HTTPS, hostname: '{HOST}', tls: {{certificateRefs: [{{name: shown}}]}}}}\n"
        );
        let client = secret("client", "{client-secret: gateway-secret}")
            .replace("name: client,", "name: client, annotations: {sallyport.dev/hosts: 127.0.0.1},");
        let mut manifests = vec![
            GATEWAY.to_owned(),
            https,
            backend("shop", service.address, ""),
            certificate("shown", &public.issue(&[HOST])),
            pem("ConfigMap", "login-ca", &[("ca.crt", &keycloak.authority())]),
            client,
        ];
        manifests.extend(ROUTES.map(|name| route(name, "shop")));
        let issuer = keycloak.issuer();
        let jwt = |more: &str| {
            format!("jwt: {{issuer: '{issuer}', audiences: [orders-api], scopes: ['orders:read'], {AUTHORITY}{more}}}")
        };
        let login = "clientAuthentication: {id: gateway, method: ClientSecretBasic, secretRef: {name: client}}";
        let asking = format!(
            "introspection: {{endpoint: '{issuer}/protocol/openid-connect/token/introspect', issuer: '{issuer}', {login}, audiences: [orders-api], scopes: ['orders:read'], {AUTHORITY}, cache: 0s, timeout: 10s}}"
        );
        let asked = [
            jwt(""),
            jwt(", types: [at+jwt]"),
            jwt(", senderConstraint: {require: Certificate}"),
            jwt(", senderConstraint: {require: DPoP}"),
            asking,
        ];
        let mut gateway = Gateway::start(&manifests.concat()).await;
        for (name, asks) in ROUTES.iter().zip(asked) {
            let policy = policy(name, &format!("authentication:\n- name: machines\n  {asks}\n"));
            gateway.write(&format!("{name}.yaml"), &policy);
        }
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service, keycloak, public, machines }
    }

    /// Fetches the keys of `/any` as those of an address that it has not asked before: of one that it knows it asks now and then.
    fn look_anew(&mut self, number: u8) {
        let issuer = self.keycloak.issuer();
        let keys = format!("keys: {{jwks: {{uri: '{issuer}/protocol/openid-connect/certs?look={number}'}}}}");
        let jwt = format!("jwt: {{issuer: '{issuer}', audiences: [orders-api], {keys}, {AUTHORITY}}}");
        self.gateway.write("any.yaml", &policy("any", &format!("authentication:\n- name: machines\n  {jwt}\n")));
        assert!(self.gateway.diagnostics.is_empty(), "{:#?}", self.gateway.diagnostics);
    }

    async fn verdict(&self, route: &str, token: &str) -> String {
        let headers = [("authorization", &*format!("Bearer {token}"))];
        send(self.gateway.http(), get(&format!("/{route}"), &headers)).await.verdict()
    }

    async fn verdict_of(&self, machine: &Identity, token: &str) -> String {
        let config = self.public.client_showing(&[], machine, &[]);
        let stream = tls(self.gateway.https(), HOST, config).await.unwrap();
        over(stream, get("/bound", &[("authorization", &format!("Bearer {token}"))])).await.verdict()
    }
}

#[tokio::test]
async fn tokens_of_each_kind_open_what_they_are_for() {
    let shop = Shop::start().await;
    let keycloak = &shop.keycloak;
    let (machine, colleague) =
        (shop.machines.issue(&["loader.example.com"]), shop.machines.issue(&["loader.example.com"]));
    let plain = keycloak.token("machine").await;
    let alice = keycloak.token_of_alice().await;
    let typed = keycloak.token("machine-rfc9068").await;
    let light = keycloak.token("machine-light").await;
    let bound = keycloak.token_of(&machine).await;
    for (route, token, verdict) in [
        ("any", &plain, "200"),
        ("any", &alice, "200"),
        ("any", &typed, "200"),
        ("any", &light, INVALID),
        ("any", &bound, INVALID),
        ("typed", &typed, "200"),
        ("typed", &plain, INVALID),
        ("bound", &plain, INVALID),
        ("proven", &plain, INVALID),
        ("proven", &bound, INVALID),
        ("asked", &plain, "200"),
        ("asked", &alice, "200"),
        // Its own words say nothing of an audience: they are kept for whoever asks.
        ("asked", &light, "200"),
        // Not for whoever asks about it, and so not active for him (RFC 7662, 4).
        ("asked", &typed, INVALID),
        ("asked", &bound, INVALID),
    ] {
        assert_eq!(shop.verdict(route, token).await, verdict, "{route} {token}");
    }
    assert_eq!(shop.verdict_of(&machine, &bound).await, "200");
    assert_eq!(shop.verdict_of(&colleague, &bound).await, INVALID);
    assert_eq!(shop.verdict_of(&machine, &plain).await, INVALID);
    let told = keycloak.call_with_proof(&format!("http://{}/proven", shop.gateway.http())).await;
    assert_eq!((&told["status"], &told["copied"], &told["bearer"]), (&200.into(), &401.into(), &401.into()), "{told}");
    assert_eq!(shop.service.count(), 9);
}

#[tokio::test]
async fn keys_and_realms_come_and_go() {
    let mut shop = Shop::start().await;
    let keycloak = &shop.keycloak;
    let first = keycloak.token("machine").await;
    assert_eq!((shop.verdict("any", &first).await, shop.verdict("asked", &first).await), ("200".into(), "200".into()));
    let kept = keycloak.rotate("second", 200).await;
    let second = keycloak.token("machine").await;
    for token in [&first, &second] {
        assert_eq!(shop.verdict("any", token).await, "200", "the old key beside the new one");
        assert_eq!(shop.verdict("asked", token).await, "200");
    }
    keycloak.forget_keys_but(&kept).await;
    assert_eq!(shop.verdict("asked", &first).await, INVALID, "who is asked knows at once");
    shop.look_anew(1);
    assert_eq!(shop.verdict("any", &second).await, "200");
    assert_eq!(shop.verdict("any", &first).await, INVALID, "its key is gone");

    shop.keycloak.delete_realm().await;
    assert_eq!(shop.verdict("asked", &second).await, "503 introspection-unavailable");
    assert_eq!(shop.verdict("any", &second).await, "200", "known keys outlive who told of them");
    shop.keycloak.make_realm().await;
    let anew = shop.keycloak.token("machine").await;
    assert_eq!(shop.verdict("asked", &second).await, INVALID);
    assert_eq!(shop.verdict("asked", &anew).await, "200");
    shop.look_anew(2);
    assert_eq!(shop.verdict("any", &anew).await, "200");
    assert_eq!(shop.verdict("any", &second).await, INVALID, "of the realm that was deleted");
}
