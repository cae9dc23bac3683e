//! HTTPRoute's filters: header modifiers, redirects, rewrites.

use rstest::rstest;

use crate::kit::caller::{HOST, get, send};
use crate::kit::gateway::{Gateway, HTTP};
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};
use crate::kit::service::Service;

/// `/orders` with these filters of its rule, as a flow sequence.
async fn filtered(service: &Service, filters: &str) -> Gateway {
    let filtered =
        route("orders", "shop").replace("    backendRefs", &format!("    filters: {filters}\n    backendRefs"));
    let manifests = [GATEWAY, &filtered, &backend("shop", service.address, ""), &policy("orders", OPEN)];
    Gateway::start(&manifests.concat()).await
}

/// `/orders` with filters of its one backend.
async fn filtered_at_the_backend(service: &Service, filters: &str) -> Gateway {
    let filtered = route("orders", "shop").replace("name: shop}]", &format!("name: shop, filters: {filters}}}]"));
    let manifests = [GATEWAY, &filtered, &backend("shop", service.address, ""), &policy("orders", OPEN)];
    Gateway::start(&manifests.concat()).await
}

const REQUEST_HEADERS: &str = "[{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: ours}], add: [{name: X-Add, value: ours}, {name: X-New, value: new}], remove: [X-Gone, x-twice]}}]";

fn lines<'a>(headers: &'a http::HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[rstest]
#[tokio::test]
async fn request_headers_are_set_added_and_removed(#[values(true, false)] of_the_rule: bool) {
    let service = Service::start().await;
    let gateway = if of_the_rule {
        filtered(&service, REQUEST_HEADERS).await
    } else {
        filtered_at_the_backend(&service, REQUEST_HEADERS).await
    };
    let sent: &[_] = &[
        ("x-set", "theirs"),
        ("X-SET", "theirs too"),
        ("x-add", "theirs"),
        ("x-gone", "1"),
        ("x-twice", "1"),
        ("X-Twice", "2"),
        ("x-kept", "1"),
    ];
    let answer = send(gateway.http(), get("/orders", sent)).await;
    assert_eq!(answer.verdict(), "200", "{:?}", gateway.diagnostics);
    let seen = service.one();
    for (name, expected) in [
        ("x-set", &["ours"][..]),
        ("x-add", &["theirs", "ours"]),
        ("x-new", &["new"]),
        ("x-gone", &[]),
        ("x-twice", &[]),
        ("x-kept", &["1"]),
    ] {
        assert_eq!(lines(&seen.headers, name), expected, "{name}");
        assert!(lines(&answer.headers, name).is_empty(), "{name} is for the service");
    }
}

#[tokio::test]
async fn response_headers_are_set_added_and_removed() {
    let service = Service::start().await;
    let filters = "[{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Set, value: ours}], add: [{name: Server, value: ours}], remove: [X-Internal, Date]}}]";
    let gateway = filtered(&service, filters).await;
    let answer = send(gateway.http(), get("/orders/headers", &[("x-set", "theirs")])).await;
    assert_eq!(answer.verdict(), "200", "{:?}", gateway.diagnostics);
    assert_eq!(lines(&answer.headers, "x-set"), ["ours"]);
    assert_eq!(lines(&answer.headers, "server"), ["secret/1.0", "ours"]);
    assert!(lines(&answer.headers, "x-internal").is_empty());
    assert_eq!(service.one().header("x-set"), Some("theirs"), "the request stays as it is");
}

/// Filters of a rule come before those of its backend.
#[tokio::test]
async fn a_backends_filters_have_the_last_word() {
    let service = Service::start().await;
    let set = |value: &str| {
        format!("[{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: X-Who, value: {value}}}]}}}}]")
    };
    let filtered = route("orders", "shop")
        .replace("    backendRefs", &format!("    filters: {}\n    backendRefs", set("rule")))
        .replace("name: shop}]", &format!("name: shop, filters: {}}}]", set("backend")));
    let manifests = [GATEWAY, &filtered, &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "200", "{:?}", gateway.diagnostics);
    assert_eq!(service.one().header("x-who"), Some("backend"));
}

/// What frames a message or says where it goes is in no filter's hands.
#[rstest]
#[case::host("requestHeaderModifier: {set: [{name: Host, value: other}]}")]
#[case::length("requestHeaderModifier: {add: [{name: Content-Length, value: '3'}]}")]
#[case::coding("requestHeaderModifier: {remove: [Transfer-Encoding]}")]
#[case::connection("requestHeaderModifier: {set: [{name: connection, value: x-user}]}")]
#[case::proxy("requestHeaderModifier: {set: [{name: Proxy-Authorization, value: x}]}")]
#[case::of_the_response("responseHeaderModifier: {set: [{name: Transfer-Encoding, value: chunked}]}")]
#[tokio::test]
async fn a_filter_that_would_frame_or_route_closes_its_rule(#[case] modifier: &str) {
    let service = Service::start().await;
    let kind = if modifier.starts_with("request") { "RequestHeaderModifier" } else { "ResponseHeaderModifier" };
    let gateway = filtered(&service, &format!("[{{type: {kind}, {modifier}}}]")).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "500 configuration");
    assert_eq!(service.count(), 0);
    assert!(!gateway.said("HTTPRoute shop/orders").is_empty(), "{:?}", gateway.diagnostics);
}

#[rstest]
#[case::scheme("scheme: https", "/orders/1?a=b", 302, "https://{HOST}/orders/1?a=b")]
#[case::scheme_and_its_port("scheme: https, port: 443", "/orders", 302, "https://{HOST}/orders")]
#[case::hostname("hostname: other.example.com", "/orders/1", 302, "http://other.example.com:{PORT}/orders/1")]
#[case::port("port: 9000", "/orders", 302, "http://{HOST}:9000/orders")]
#[case::port_of_the_scheme("port: 80", "/orders", 302, "http://{HOST}/orders")]
#[case::moved_for_good(
    "hostname: b.example.com, port: 80, statusCode: 301",
    "/orders",
    301,
    "http://b.example.com/orders"
)]
#[case::full_path(
    "path: {type: ReplaceFullPath, replaceFullPath: /new/place}",
    "/orders/1?q=1",
    302,
    "http://{HOST}:{PORT}/new/place?q=1"
)]
#[case::prefix(
    "path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}",
    "/orders/1/2?q=1",
    302,
    "http://{HOST}:{PORT}/v2/1/2?q=1"
)]
#[case::prefix_alone(
    "path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2/}",
    "/orders",
    302,
    "http://{HOST}:{PORT}/v2"
)]
#[case::prefix_to_the_root(
    "path: {type: ReplacePrefixMatch, replacePrefixMatch: /}",
    "/orders/1",
    302,
    "http://{HOST}:{PORT}/1"
)]
#[case::everything(
    "scheme: https, hostname: b.example.com, port: 8443, path: {type: ReplaceFullPath, replaceFullPath: /}, statusCode: 301",
    "/orders/1?x",
    301,
    "https://b.example.com:8443/?x"
)]
#[tokio::test]
async fn a_redirect_says_where_to_and_forwards_nothing(
    #[case] redirect: &str,
    #[case] target: &str,
    #[case] status: u16,
    #[case] location: &str,
) {
    let service = Service::start().await;
    let redirecting = route("orders", "shop").replace(
        "    backendRefs: [{group: sallyport.dev, kind: Backend, name: shop}]",
        &format!("    filters: [{{type: RequestRedirect, requestRedirect: {{{redirect}}}}}]"),
    );
    let manifests = [GATEWAY, &redirecting, &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    let answer = send(gateway.http(), get(target, &[])).await;
    let expected = location.replace("{HOST}", HOST).replace("{PORT}", &HTTP.to_string());
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (status, Some(&*expected)),
        "{:?}",
        gateway.diagnostics
    );
    assert_eq!((service.count(), answer.body.len()), (0, 0));
}

#[rstest]
#[case::host("hostname: inner.example.com", "/orders/1?q=1", "inner.example.com", "/orders/1?q=1")]
#[case::full_path("path: {type: ReplaceFullPath, replaceFullPath: /fixed}", "/orders/1?q=1", HOST, "/fixed?q=1")]
#[case::prefix("path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}", "/orders/1?q=1", HOST, "/v2/1?q=1")]
#[case::prefix_alone("path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}", "/orders", HOST, "/v2")]
#[case::prefix_with_its_slash("path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}", "/orders/", HOST, "/v2/")]
#[case::prefix_to_the_root("path: {type: ReplacePrefixMatch, replacePrefixMatch: /}", "/orders/1", HOST, "/1")]
#[case::both(
    "hostname: inner.example.com, path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}",
    "/orders/1",
    "inner.example.com",
    "/v2/1"
)]
#[tokio::test]
async fn a_rewrite_is_what_the_service_sees(
    #[case] rewrite: &str,
    #[case] target: &str,
    #[case] host: &str,
    #[case] seen: &str,
) {
    let service = Service::start().await;
    let gateway = filtered(&service, &format!("[{{type: URLRewrite, urlRewrite: {{{rewrite}}}}}]")).await;
    let answer = send(gateway.http(), get(target, &[])).await;
    assert_eq!((answer.verdict().as_str(), answer.header("location")), ("200", None), "{:?}", gateway.diagnostics);
    let arrived = service.one();
    assert_eq!((&*arrived.authority, &*arrived.target), (host, seen));
}

/// What the caller wrote is judged; what a rewrite makes of it goes to the service and is not matched again.
#[tokio::test]
async fn a_rewrite_leads_past_no_other_rule() {
    let service = Service::start().await;
    let rewriting = route("orders", "shop").replace(
        "    backendRefs",
        "    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /admin}}}]\n    backendRefs",
    );
    let manifests = [
        GATEWAY,
        &rewriting,
        &route("admin", "shop"),
        &backend("shop", service.address, ""),
        &policy("orders", OPEN),
        &policy("admin", "authentication: [{name: customers, subscriptionKey: {}}]"),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    for target in ["/orders/../admin", "/orders/%2e%2e/admin", "/orders/..%2fadmin", "/admin/1", "//admin", "/./admin"]
    {
        let verdict = send(gateway.http(), get(target, &[])).await.verdict();
        assert!(["400 malformed-request", "401 credential-missing"].contains(&&*verdict), "{target}: {verdict}");
    }
    assert_eq!(service.count(), 0);
    assert_eq!(send(gateway.http(), get("/orders/1", &[])).await.verdict(), "200");
    assert_eq!(service.one().target, "/admin/1", "its owner has said so");
}

#[rstest]
#[case::mirror("{type: RequestMirror, requestMirror: {backendRef: {group: sallyport.dev, kind: Backend, name: shop}}}")]
#[case::extension("{type: ExtensionRef, extensionRef: {group: example.com, kind: Filter, name: x}}")]
#[tokio::test]
async fn a_filter_that_is_not_there_closes_its_rule(#[case] filter: &str) {
    let service = Service::start().await;
    let gateway = filtered(&service, &format!("[{filter}]")).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "500 configuration");
    assert_eq!(service.count(), 0);
    assert!(!gateway.said("HTTPRoute shop/orders").is_empty(), "{:?}", gateway.diagnostics);
}
