//! What the service is shown changes while requests run: none fails, and none shows what is old.

use rstest::rstest;

use crate::kit::caller::{get, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, pem, policy, route, secret};
use crate::kit::pki::Authority;
use crate::kit::secured::certificate;
use crate::kit::service::{Seen, Service};
use crate::kit::traffic::Traffic;

const CALLERS: usize = 4;
const ROTATIONS: usize = 8;
/// Besides the load, a request that begins after the change.
const PROBE: &str = "/orders/probe";

/// Puts one thing after the other into force while requests run. `of` gives a manifest, and what a request shows that comes after it.
async fn rotate<T: PartialEq + std::fmt::Debug>(
    gateway: &mut Gateway,
    service: &Service,
    of: impl Fn(usize) -> (String, T),
    shown: impl Fn(&Seen) -> T,
) {
    gateway.write("secret.yaml", &of(0).0);
    let traffic = Traffic::steady(gateway.http(), CALLERS, "/orders", &[]);
    for number in 0..ROTATIONS {
        traffic.more(20).await;
        let (manifest, expected) = of(number);
        gateway.write("secret.yaml", &manifest);
        for _ in 0..3 {
            service.take();
            assert_eq!(send(gateway.http(), get(PROBE, &[])).await.verdict(), "200");
            let seen = service.take();
            let probe = seen.iter().find(|seen| seen.target.starts_with(PROBE)).expect("it has come");
            assert_eq!(shown(probe), expected, "rotation {number}");
        }
    }
    let verdicts = traffic.stop().await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["200"], "{verdicts:?}");
}

async fn open_to(service: &Service, more: &str, objects: &str) -> Gateway {
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, more), &policy("orders", OPEN), objects];
    Gateway::start(&manifests.concat()).await
}

fn header(seen: &Seen, name: &str) -> String {
    seen.header(name).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_rotates_under_load() {
    use base64::Engine as _;
    let service = Service::start().await;
    let mut gateway = open_to(&service, "credential: {basic: {secretRef: {name: login}}}", "").await;
    let of = |number| {
        let expected = base64::engine::general_purpose::STANDARD.encode(format!("gateway:password-{number}"));
        (secret("login", &format!("{{username: gateway, password: password-{number}}}")), format!("Basic {expected}"))
    };
    rotate(&mut gateway, &service, of, |seen| header(seen, "authorization")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendors_key_in_a_header_rotates_under_load() {
    let service = Service::start().await;
    let credential = "protocol: H2C\ncredential: {header: {name: X-Api-Key, secretRef: {name: vendor, key: key}}}";
    let mut gateway = open_to(&service, credential, "").await;
    let of = |number| (secret("vendor", &format!("{{key: vendor-key-{number}}}")), format!("vendor-key-{number}"));
    rotate(&mut gateway, &service, of, |seen| header(seen, "x-api-key")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendors_key_in_the_query_rotates_under_load() {
    let service = Service::start().await;
    let credential = "credential: {queryParameter: {name: key, secretRef: {name: vendor, key: key}}}";
    let mut gateway = open_to(&service, credential, "").await;
    let of = |number| (secret("vendor", &format!("{{key: vendor{number}}}")), format!("{PROBE}?key=vendor{number}"));
    rotate(&mut gateway, &service, of, |seen| seen.target.clone()).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_rotates_under_load(#[values("HTTP11", "HTTP2")] protocol: &str) {
    let authority = Authority::new("services");
    let mut server = authority.demanding_server(&authority.issue(&["orders.internal"]));
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let service = Service::with_tls(server).await;
    let tls = format!(
        "protocol: {protocol}\ntls:\n  validation: {{hostname: orders.internal, caCertificateRefs: [{{kind: ConfigMap, name: services}}]}}\n  clientCertificateRef: {{kind: Secret, name: identity}}"
    );
    let mut gateway = open_to(&service, &tls, &pem("ConfigMap", "services", &[("ca.crt", &authority.pem())])).await;
    let identities: Vec<_> = (0..ROTATIONS).map(|_| authority.issue(&["gateway.internal"])).collect();
    let of = |number: usize| {
        let identity = &identities[number];
        (certificate("identity", identity), Some(identity.der.to_vec()))
    };
    rotate(&mut gateway, &service, of, |seen| seen.certificate.clone()).await;
}

/// A Secret that is taken away and given back fails requests while it is away, and sends none of them bare.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_goes_and_comes_back_sends_nothing_bare() {
    let service = Service::start().await;
    let mut gateway = open_to(&service, "credential: {basic: {secretRef: {name: login}}}", "").await;
    let login = secret("login", "{username: gateway, password: password}");
    gateway.write("secret.yaml", &login);
    let traffic = Traffic::steady(gateway.http(), CALLERS, "/orders", &[]);
    for _ in 0..ROTATIONS {
        traffic.more(10).await;
        gateway.remove("secret.yaml");
        traffic.more(10).await;
        gateway.write("secret.yaml", &login);
    }
    traffic.more(10).await;
    let verdicts = traffic.stop().await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["200", "500 configuration"], "{verdicts:?}");
    let seen = service.take();
    assert_eq!(seen.len(), verdicts["200"]);
    assert!(seen.iter().all(|seen| header(seen, "authorization").starts_with("Basic ")));
}
