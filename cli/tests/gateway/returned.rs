//! What comes back: secrets in what a service answers, keys in what a caller is sent to, requests that have been here before.

use rstest::rstest;

use crate::kit::caller::{get, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route, secret, subscription};
use crate::kit::service::Service;

const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[tokio::test]
async fn no_caller_reads_the_credential_that_the_service_was_shown_in_the_query() {
    let service = Service::start().await;
    let shown = "credential: {queryParameter: {name: key, secretRef: {name: vendor, key: key}}}";
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, shown),
        &policy("orders", OPEN),
        &secret("vendor", "{key: s3cret/value}"),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let moved = send(gateway.http(), get("/orders/moved?page=2&key=mine", &[])).await;
    assert_eq!(service.one().target, "/orders/moved?page=2&key=s3cret%2Fvalue");
    assert_eq!((moved.status.as_u16(), moved.header("location")), (302, Some("/orders/moved?page=2")), "{moved:?}");
    let repeated = send(gateway.http(), get("/orders/repeated", &[])).await;
    assert_eq!(repeated.verdict(), "502 credential-reflected");
    assert!(!format!("{repeated:?}").contains("s3cret"), "{repeated:?}");
    let log = serde_json::to_string(&gateway.log(2).await).unwrap();
    assert!(log.contains("repeats in link") && !log.contains("s3cret"), "{log}");
}

#[rstest]
#[tokio::test]
async fn no_caller_reads_that_credential_in_the_trailers_either(#[values("HTTP11", "H2C")] protocol: &str) {
    let service = Service::start().await;
    let shown = "credential: {queryParameter: {name: key, secretRef: {name: vendor, key: key}}}";
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &route("plain", "plain"),
        &backend("shop", service.address, &format!("protocol: {protocol}\n{shown}")),
        &backend("plain", service.address, &format!("protocol: {protocol}")),
        &policy("orders", OPEN),
        &policy("plain", OPEN),
        &secret("vendor", "{key: s3cret/value}"),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let asked = |target: &str| send(gateway.http(), get(target, &[("te", "trailers")]));
    let plain = asked("/plain/repeated-last?key=mine").await.trailers.unwrap();
    assert!(plain["x-asked"].to_str().unwrap().ends_with("?key=mine"), "there is nothing to be kept back: {plain:?}");
    let answer = asked("/orders/repeated-last").await;
    let trailers = answer.trailers.unwrap();
    assert_eq!((answer.status.as_u16(), &*answer.body, trailers.len()), (200, &b"rows"[..], 1), "{trailers:?}");
    assert_eq!(trailers["x-sum"], "1");
    let log = gateway.log(2).await;
    let told: Vec<_> = log.iter().map(|line| line["refusal"]["reason"].as_str()).collect();
    assert_eq!(told, [None, Some("credential-reflected")], "{log:?}");
}

/// A route in `shop` from `/NAME` that only redirects.
fn redirecting(name: &str, to: &str) -> String {
    route(name, "shop").replace(
        "    backendRefs: [{group: sallyport.dev, kind: Backend, name: shop}]",
        &format!("    filters: [{{type: RequestRedirect, requestRedirect: {to}}}]"),
    )
}

#[tokio::test]
async fn whoever_is_sent_elsewhere_keeps_its_key() {
    let spec = "authentication: [{name: customers, subscriptionKey: {queryParameters: [key]}}]";
    let scope = "{apis: [{kind: HTTPRoute, name: orders}]}";
    let manifests = [
        GATEWAY,
        &redirecting("orders", "{hostname: new.example.com}"),
        // Nobody has said anything of these.
        &redirecting("old", "{hostname: partner.example.org}"),
        &redirecting("secure", "{scheme: https}"),
        // Where the key is asked for as well.
        &redirecting("moved", "{hostname: www.example.com}"),
        &route("www", "shop").replace("  rules:", "  hostnames: [www.example.com]\n  rules:"),
        &policy("orders", spec),
        &subscription("acme", scope, &format!("{{primary: {KEY}}}")),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let all = format!("?a=1&k%65y={KEY}&b=2");
    for (path, left) in [("orders", "?a=1&b=2"), ("old", "?a=1&b=2"), ("secure", &all), ("moved", &all)] {
        let answer = send(gateway.http(), get(&format!("/{path}{all}"), &[])).await;
        let location = answer.header("location").unwrap_or_else(|| panic!("{answer:?} {:?}", gateway.diagnostics));
        assert!(location.ends_with(&format!("/{path}{left}")), "{location}");
    }
}

#[tokio::test]
async fn a_route_that_leads_back_to_the_gateway_is_found_out_at_once() {
    let mut gateway = Gateway::empty().await;
    let manifests =
        [GATEWAY, &route("orders", "itself"), &backend("itself", gateway.http(), ""), &policy("orders", OPEN)];
    gateway.write("main.yaml", &manifests.concat());
    let answer = send(gateway.http(), get("/orders", &[("connection", "cdn-loop")])).await;
    assert_eq!(answer.verdict(), "508 loop-detected");
    assert_eq!(gateway.log(2).await.len(), 2, "it came back once");
}

#[tokio::test]
async fn a_service_hears_who_has_been_here_besides() {
    let service = Service::start().await;
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(send(gateway.http(), get("/orders", &[("cdn-loop", "cdn.example")])).await.verdict(), "200");
    let seen = service.one();
    let told: Vec<_> = seen.headers.get_all("cdn-loop").iter().map(|line| line.to_str().unwrap()).collect();
    assert!(told[0] == "cdn.example" && told[1].starts_with("sallyport-") && told.len() == 2, "{told:?}");
}

/// Rules match methods letter by letter, and services exist that do not.
#[tokio::test]
async fn a_method_in_small_letters_finds_no_looser_rule() {
    let service = Service::start().await;
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    for (method, verdict) in
        [("post", "400 malformed-request"), ("Get", "400 malformed-request"), ("PURGE", "200"), ("purge", "200")]
    {
        let mut request = get("/orders", &[]);
        *request.method_mut() = method.parse().unwrap();
        assert_eq!(send(gateway.http(), request).await.verdict(), verdict, "{method}");
    }
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn a_request_says_its_path_and_method_once() {
    let service = Service::start().await;
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    let sent = [
        ("x-original-url", "/admin"),
        ("x_rewrite_url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("x-forwarded-prefix", "/admin"),
        ("x-ssl-client-s-dn", "CN=root"),
        ("x-arr-clientcert", "MII"),
        ("x-amzn-mtls-clientcert", "MII"),
        ("x-amzn-mtls-clientcert-subject", "CN=root"),
        ("x-tls-client-subject", "CN=root"),
        ("x-forwarded-tls-client-cert-info", "CN=root"),
        ("x-kept", "1"),
    ];
    assert_eq!(send(gateway.http(), get("/orders", &sent)).await.verdict(), "200");
    let seen = service.one();
    let left: Vec<_> = sent.iter().filter(|(name, _)| seen.headers.contains_key(*name)).collect();
    assert_eq!(left, [&("x-kept", "1")]);
}

#[tokio::test]
async fn a_credential_in_a_field_of_proxies_arrives() {
    let service = Service::start().await;
    let shown = "credential: {header: {name: X-Real-IP, secretRef: {name: vendor, key: key}}}";
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, shown),
        &policy("orders", OPEN),
        &secret("vendor", "{key: s3cret}"),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(send(gateway.http(), get("/orders", &[("x-real-ip", "mine")])).await.verdict(), "200");
    assert_eq!(service.one().header("x-real-ip"), Some("s3cret"));
}
