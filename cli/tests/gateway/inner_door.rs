//! What the service is shown.

use rstest::rstest;

use crate::kit::caller::{get, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{GATEWAY, OPEN, backend, pem, policy, route, secret};
use crate::kit::pki::Authority;
use crate::kit::service::{Seen, Service};

const LOGIN: &str = "{username: gateway, password: 'päss:word'}";

/// `/orders` for anybody, to a Backend with `more` in its spec, beside `objects`.
async fn open_to(service: &Service, more: &str, objects: &str) -> Gateway {
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, more), &policy("orders", OPEN), objects];
    Gateway::start(&manifests.concat()).await
}

async fn seen(gateway: &Gateway, service: &Service, target: &str, headers: &[(&str, &str)]) -> Seen {
    let answer = send(gateway.http(), get(target, headers)).await;
    assert_eq!(answer.verdict(), "200", "{answer:?} {:?}", gateway.diagnostics);
    service.one()
}

#[tokio::test]
async fn scenario_2_the_token_stays_outside_and_the_service_gets_a_client_certificate() {
    let authority = Authority::new("services");
    let (of_service, of_gateway) = (authority.issue(&["orders.internal"]), authority.issue(&["gateway.internal"]));
    let service = Service::with_tls(authority.demanding_server(&of_service)).await;
    let issuer = Issuer::start().await;
    let spec = format!(
        "authentication:\n- name: staff\n  jwt: {{issuer: '{}', audiences: [orders-api], keys: {{inline: '{}'}}}}\n",
        issuer.name(),
        issuer.key_set()
    );
    let tls = "tls:\n  validation: {hostname: orders.internal, caCertificateRefs: [{kind: ConfigMap, name: services}]}\n  clientCertificateRef: {kind: Secret, name: identity}";
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, tls),
        &policy("orders", &spec),
        &pem("ConfigMap", "services", &[("ca.crt", &authority.pem())]),
        &pem("Secret", "identity", &[("tls.crt", &of_gateway.certificate), ("tls.key", &of_gateway.key)])
            .replace("stringData", "type: kubernetes.io/tls\nstringData"),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let token = format!("Bearer {}", issuer.token("orders-api"));
    let seen = seen(&gateway, &service, "/orders", &[("authorization", &token)]).await;
    assert_eq!(seen.header("authorization"), None, "the token is for the gateway");
    assert_eq!(seen.certificate.as_deref(), Some(&*of_gateway.der));
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "401 credential-missing");
    assert_eq!(service.count(), 0);
}

/// Connections that were made with the old certificate serve no further request, of whichever protocol they are.
#[rstest]
#[tokio::test]
async fn a_replaced_client_certificate_is_shown_at_once(#[values("HTTP11", "HTTP2")] protocol: &str) {
    let authority = Authority::new("services");
    let of_service = authority.issue(&["orders.internal"]);
    let mut server = authority.demanding_server(&of_service);
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let service = Service::with_tls(server).await;
    let tls = format!(
        "protocol: {protocol}\ntls:\n  validation: {{hostname: orders.internal, caCertificateRefs: [{{kind: ConfigMap, name: services}}]}}\n  clientCertificateRef: {{kind: Secret, name: identity}}"
    );
    let mut gateway = open_to(&service, &tls, &pem("ConfigMap", "services", &[("ca.crt", &authority.pem())])).await;
    for _ in 0..3 {
        let identity = authority.issue(&["gateway.internal"]);
        let entries = [("tls.crt", &*identity.certificate), ("tls.key", &*identity.key)];
        let secret = pem("Secret", "identity", &entries).replace("stringData", "type: kubernetes.io/tls\nstringData");
        gateway.write("identity.yaml", &secret);
        for _ in 0..2 {
            let seen = seen(&gateway, &service, "/orders", &[]).await;
            assert_eq!(seen.certificate.as_deref(), Some(&*identity.der));
        }
    }
}

#[rstest]
#[case::of_another_name("other.internal", "services", "502 upstream-tls")]
#[case::of_another_authority("orders.internal", "strangers", "502 upstream-tls")]
#[tokio::test]
async fn a_service_that_is_not_the_one_gets_nothing(
    #[case] hostname: &str,
    #[case] trusted: &str,
    #[case] expected: &str,
) {
    let (authority, stranger) = (Authority::new("services"), Authority::new("strangers"));
    let identity = authority.issue(&["orders.internal"]);
    let service = Service::with_tls(identity.server(&[])).await;
    let tls = format!(
        "tls:\n  validation: {{hostname: {hostname}, caCertificateRefs: [{{kind: ConfigMap, name: {trusted}}}]}}"
    );
    let objects = [
        pem("ConfigMap", "services", &[("ca.crt", &authority.pem())]),
        pem("ConfigMap", "strangers", &[("ca.crt", &stranger.pem())]),
    ];
    let gateway = open_to(&service, &tls, &objects.concat()).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), expected);
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn basic_to_a_legacy_service() {
    let service = Service::start().await;
    let gateway = open_to(&service, "credential: {basic: {secretRef: {name: login}}}", &secret("login", LOGIN)).await;
    let seen = seen(&gateway, &service, "/orders", &[("authorization", "Basic Y2FsbGVyOng=")]).await;
    assert_eq!(seen.header("authorization"), Some("Basic Z2F0ZXdheTpww6Rzczp3b3Jk"));
}

#[tokio::test]
async fn a_vendors_key_in_a_header_or_in_the_query_replaces_what_the_caller_wrote_there() {
    let service = Service::start().await;
    let vendor = secret("vendor", "{key: s3cret/&=}");
    let credential = "credential: {header: {name: X-Api-Key, prefix: 'Key ', secretRef: {name: vendor, key: key}}}";
    let gateway = open_to(&service, credential, &vendor).await;
    let first = seen(&gateway, &service, "/orders", &[("x-api-key", "mine"), ("X_Api_Key", "mine too")]).await;
    assert_eq!(first.header("x-api-key"), Some("Key s3cret/&="));
    assert_eq!(first.header("x_api_key"), None);
    let credential = "credential: {queryParameter: {name: key, secretRef: {name: vendor, key: key}}}";
    let gateway = open_to(&service, credential, &vendor).await;
    let second = seen(&gateway, &service, "/orders?a=1&key=mine&k%65y=mine&b", &[]).await;
    assert_eq!(second.target, "/orders?a=1&b&key=s3cret%2F%26%3D");
}

#[rstest]
#[case::pass_through("credential: {passThrough: {}}", Some("Bearer caller"))]
#[case::none("credential: {none: {}}", None)]
#[case::nothing_stated("", Some("Bearer caller"))]
#[tokio::test]
async fn what_an_open_route_does_with_authorization(#[case] credential: &str, #[case] expected: Option<&str>) {
    let service = Service::start().await;
    let gateway = open_to(&service, credential, "").await;
    let seen = seen(&gateway, &service, "/orders", &[("authorization", "Bearer caller")]).await;
    assert_eq!(seen.header("authorization"), expected);
}

#[tokio::test]
async fn a_credential_on_the_routes_policy_beats_the_backends() {
    let service = Service::start().await;
    let objects = [secret("login", LOGIN), secret("vendor", "{key: of-the-route}")].concat();
    let spec = format!("{OPEN}\ncredential: {{header: {{name: X-Api-Key, secretRef: {{name: vendor, key: key}}}}}}");
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, "credential: {basic: {secretRef: {name: login}}}"),
        &policy("orders", &spec),
        &objects,
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let seen = seen(&gateway, &service, "/orders", &[]).await;
    assert_eq!((seen.header("x-api-key"), seen.header("authorization")), (Some("of-the-route"), None));
}

#[rstest]
#[case::missing("")]
#[case::empty("\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: login, namespace: shop}\n")]
#[case::without_password(
    "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: login, namespace: shop}\nstringData: {username: x}\n"
)]
#[case::not_base64(
    "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: login, namespace: shop}\ndata: {username: '!', password: '!'}\n"
)]
#[case::of_another_namespace(
    "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: login, namespace: other}\nstringData: {username: x, password: y}\n"
)]
#[tokio::test]
async fn nothing_is_sent_bare_when_the_credential_is_missing(#[case] object: &str) {
    let service = Service::start().await;
    let gateway = open_to(&service, "credential: {basic: {secretRef: {name: login}}}", object).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "500 configuration");
    assert_eq!(service.count(), 0);
    let said = gateway.said("Backend shop/shop");
    assert!(said.contains("spec.credential.basic.secretRef"), "{said}");
}

#[tokio::test]
async fn a_rotated_secret_is_shown_at_once_and_a_deleted_one_closes() {
    let service = Service::start().await;
    let mut gateway = open_to(&service, "credential: {basic: {secretRef: {name: login}}}", "").await;
    for (password, expected) in [("one", "Basic dTpvbmU="), ("two", "Basic dTp0d28=")] {
        gateway.write("login.yaml", &secret("login", &format!("{{username: u, password: {password}}}")));
        assert_eq!(seen(&gateway, &service, "/orders", &[]).await.header("authorization"), Some(expected));
    }
    gateway.remove("login.yaml");
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "500 configuration");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn identity_headers_are_the_gateways_word_on_every_route_of_a_service() {
    let service = Service::start().await;
    let spec = format!("{OPEN}\nrequestHeaders: {{set: [{{name: X-User, value: verified}}], remove: [X-Debug]}}");
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &route("public", "shop"),
        &backend("shop", service.address, ""),
        &policy("orders", &spec),
        &policy("public", OPEN),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let forged: &[_] = &[("x-user", "root"), ("X_User", "root"), ("x-debug", "1"), ("client-cert", ":x:")];
    let orders = seen(&gateway, &service, "/orders", forged).await;
    assert_eq!(orders.headers.get_all("x-user").iter().collect::<Vec<_>>(), ["verified"]);
    assert!(["x_user", "x-debug", "client-cert"].iter().all(|name| orders.header(name).is_none()), "{orders:?}");
    let public = seen(&gateway, &service, "/public", forged).await;
    assert!(["x-user", "x_user", "client-cert"].iter().all(|name| public.header(name).is_none()), "{public:?}");
    assert_eq!(public.header("x-debug"), Some("1"), "only the other route removes it");
    let lies: &[_] = &[
        ("forwarded", "for=10.0.0.1"),
        ("X_Forwarded_For", "10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("x-forwarded-for", "10.0.0.1"),
    ];
    let told = seen(&gateway, &service, "/public", lies).await;
    assert_eq!(told.header("x-forwarded-for"), Some("127.0.0.1"), "a stranger's word about itself does not count");
    assert!(["forwarded", "x_forwarded_for", "x-real-ip"].iter().all(|name| told.header(name).is_none()), "{told:?}");
    let named = seen(&gateway, &service, "/public", &[("connection", "x-hop"), ("x-hop", "1")]).await;
    assert_eq!(named.header("x-hop"), None);
}
