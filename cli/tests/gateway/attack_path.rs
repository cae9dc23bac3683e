//! What policy judged is what is forwarded: no spelling of a protected path gets past it through an open route.

use crate::kit::caller::{HOST, get_http2, http2, raw, read};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};
use crate::kit::service::Service;

/// `/` is open, `/admin` asks for a key.
async fn world() -> (Gateway, Service) {
    let service = Service::start().await;
    let all = route("all", "shop").replace("value: /all", "value: /");
    let manifests = [
        GATEWAY,
        &all,
        &route("admin", "shop"),
        &backend("shop", service.address, ""),
        &policy("all", OPEN),
        &policy("admin", "authentication: [{name: customers, subscriptionKey: {}}]"),
    ];
    (Gateway::start(&manifests.concat()).await, service)
}

const SPELLINGS: [&str; 49] = [
    "/admin",
    "/admin/",
    "/admin/x",
    "//admin",
    "///admin//x",
    "/./admin",
    "/../admin",
    "/x/../admin",
    "/x/./../admin",
    "/%2e/admin",
    "/%2E%2e/admin",
    "/x/%2e%2e/admin",
    "/x/.%2e/admin",
    "/x/%2e./admin",
    "/%61dmin",
    "/%41dmin",
    "/admi%6e",
    "/%2fadmin",
    "/x%2f..%2fadmin",
    "/x/..%2fadmin",
    "/%5cadmin",
    "/x\\..\\admin",
    "/\\admin",
    "/x/..\\admin",
    "/x%5c..%5cadmin",
    "/%252e%252e/admin",
    "/x/%252e%252e/admin",
    "/%2561dmin",
    "/x;/../admin",
    "/admin;x",
    "/x/..;/admin",
    "/x/..;a=b/admin",
    "/x/..%3Bx/admin",
    "/x/%2e.%3b/admin",
    "/;/admin",
    "/admin%00",
    "/%00/admin",
    "/admin%20",
    "/admin%09",
    "/admin%3f",
    "/admin%23x",
    "/admin?x",
    "/admin%3bx",
    "/x/%c0%ae%c0%ae/admin",
    "/x/%e0%80%ae%e0%80%ae/admin",
    "/%ef%bc%8fadmin",
    "/x/../../admin",
    "/.//admin",
    "/x/%25%32%65%25%32%65/admin",
];

/// The paths that servers of all kinds could make of what they are sent.
fn readings(target: &str) -> Vec<String> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let once = decoded(path);
    let parameterless = |text: &str| -> String {
        text.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
    };
    let spellings = [
        path.to_owned(),
        once.clone(),
        path.replace('\\', "/"),
        once.replace('\\', "/"),
        parameterless(path),
        parameterless(&once),
    ];
    spellings.iter().map(|text| resolved(text)).collect()
}

/// Dot segments and empty ones removed.
fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment.trim_end_matches('\0') {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

fn is_admin(target: &str) -> bool {
    readings(target).iter().any(|path| path == "/admin" || path.starts_with("/admin/"))
}

#[tokio::test]
async fn no_spelling_reaches_the_protected_path_through_the_open_route() {
    let (gateway, service) = world().await;
    for spelling in SPELLINGS {
        for line in [format!("GET {spelling} HTTP/1.1"), format!("GET http://{HOST}{spelling} HTTP/1.1")] {
            let heard =
                raw(gateway.http(), format!("{line}\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").as_bytes()).await;
            let statuses = heard.statuses();
            for seen in service.take() {
                assert!(!is_admin(&seen.target), "{line} arrived as {} {statuses:?}", seen.target);
            }
            assert!(matches!(statuses[..], [200 | 400 | 401]), "{line}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn nor_over_http_2() {
    let (gateway, service) = world().await;
    for spelling in SPELLINGS.iter().filter(|spelling| spelling.parse::<http::Uri>().is_ok()) {
        let mut sender = http2(tokio::net::TcpStream::connect(gateway.http()).await.unwrap()).await;
        // What the client library itself refuses to send is no request.
        if let Ok(response) = sender.send_request(get_http2("http", HOST, spelling, &[])).await {
            let answer = read(response).await;
            for seen in service.take() {
                assert!(!is_admin(&seen.target), "{spelling} arrived as {} {}", seen.target, answer.verdict());
            }
        }
    }
}

#[tokio::test]
async fn clear_spellings_are_served_in_one_canonical_form() {
    let (gateway, service) = world().await;
    let cases = [
        ("/x//y", "/x/y"),
        ("/%78/%7e", "/x/~"),
        ("/x/%c3%bc", "/x/%C3%BC"),
        ("/x/a%20b", "/x/a%20b"),
        ("/x?q=%2e%2e/admin", "/x?q=%2e%2e/admin"),
        ("/x;v=1", "/x;v=1"),
        ("/x/", "/x/"),
    ];
    for (sent, expected) in cases {
        let text = format!("GET {sent} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        assert_eq!(raw(gateway.http(), text.as_bytes()).await.statuses(), [200], "{sent}");
        assert_eq!(service.one().target, expected, "{sent}");
    }
}

#[tokio::test]
async fn a_hosts_spelling_changes_nothing() {
    let service = Service::start().await;
    let only = |name: &str| {
        route(name, "shop")
            .replace("parentRefs", "hostnames: [api.example.com]\n  parentRefs")
            .replace(&format!("value: /{name}"), "value: /")
    };
    let manifests = [GATEWAY, &only("orders"), &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    for (host, status) in [
        ("api.example.com", 200),
        ("API.Example.COM", 200),
        ("api.example.com.", 200),
        ("api.example.com:8080", 200),
        ("api.example.com:443", 200),
        ("api.example.com..", 400),
        ("api.example.com:x", 400),
        ("api.example.com:99999", 400),
        ("xapi.example.com", 404),
        ("example.com", 404),
        ("[::1]", 404),
        ("api.example.com\u{e9}", 400),
        ("api%2eexample.com", 400),
    ] {
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(raw(gateway.http(), text.as_bytes()).await.statuses(), [status], "{host}");
    }
}

#[tokio::test]
async fn a_rule_may_name_a_path_with_parameters() {
    let service = Service::start().await;
    let named = route("orders", "shop").replace("type: PathPrefix, value: /orders", "type: Exact, value: /orders;v=1");
    let manifests = [GATEWAY, &named, &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    for (path, status) in [("/orders;v=1", 200), ("/orders;v=2", 404), ("/orders", 404)] {
        let text = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        assert_eq!(raw(gateway.http(), text.as_bytes()).await.statuses(), [status], "{path}");
    }
}
