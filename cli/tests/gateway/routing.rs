//! HTTPRoute: what each kind of match takes, which of several wins, and for which hosts.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Empty;

use crate::kit::caller::{HOST, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy_on};
use crate::kit::service::Service;

const ON_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";

/// A rule that says its name in the response.
fn rule(name: &str, matching: &str) -> String {
    format!(
        "
  - matches: [{matching}]
    filters: [{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: X-Rule, value: {name}}}]}}}}]
    backendRefs: [{{group: sallyport.dev, kind: Backend, name: shop}}]"
    )
}

/// The route `name`, created in this year, with `more` in its spec.
fn route_of(name: &str, year: u32, more: &str, rules: &[String]) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: shop, creationTimestamp: '{year}-01-01T00:00:00Z'}}
spec:
  parentRefs: [{{name: public}}]
  {more}
  rules:{}
",
        rules.concat()
    )
}

/// A gateway on whose every route anybody may call.
async fn open(service: &Service, gateway: &str, routes: &[String]) -> Gateway {
    let base = [gateway, &backend("shop", service.address, ""), &policy_on("open", ON_GATEWAY, OPEN)].concat();
    Gateway::start(&(base + &routes.concat())).await
}

/// The name of the rule that served the request, or the verdict of the gateway.
async fn served_by(gateway: &Gateway, host: &str, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = Request::builder().method(method).uri(target).header(header::HOST, host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = send(gateway.http(), request.body(Empty::<Bytes>::new()).unwrap()).await;
    answer.header("x-rule").map_or_else(|| answer.verdict(), str::to_owned)
}

const NOWHERE: &str = "404 no-route";

type Sent<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

async fn check(gateway: &Gateway, cases: &[Sent<'_>]) {
    let mut wrong = Vec::new();
    for (method, target, headers, expected) in cases {
        let found = served_by(gateway, HOST, method, target, headers).await;
        if found != *expected {
            wrong.push(format!("{method} {target} {headers:?}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?} {:?}", gateway.diagnostics);
}

#[tokio::test]
async fn each_kind_of_match_takes_what_it_names_and_nothing_else() {
    let service = Service::start().await;
    let rules = [
        rule("exact", "{path: {type: Exact, value: /exact}}"),
        rule("prefix", "{path: {type: PathPrefix, value: /prefix}}"),
        rule("regex", "{path: {type: RegularExpression, value: '/re/[a-z]+'}}"),
        rule("method", "{path: {type: PathPrefix, value: /method}, method: PUT}"),
        rule("header", "{path: {type: PathPrefix, value: /header}, headers: [{name: X-Team, value: blue}]}"),
        rule(
            "header-regex",
            "{path: {type: PathPrefix, value: /h-re}, headers: [{type: RegularExpression, name: X-Team, value: 'b.*e'}]}",
        ),
        rule("query", "{path: {type: PathPrefix, value: /query}, queryParams: [{name: q, value: '1'}]}"),
        rule(
            "query-regex",
            "{path: {type: PathPrefix, value: /q-re}, queryParams: [{type: RegularExpression, name: q, value: '[0-9]+'}]}",
        ),
        rule(
            "all",
            "{path: {type: Exact, value: /all}, method: GET, headers: [{name: a, value: '1'}], queryParams: [{name: q, value: '1'}]}",
        ),
        rule("either", "{path: {type: Exact, value: /one}}, {path: {type: Exact, value: /two}}"),
    ];
    let gateway = open(&service, GATEWAY, &[route_of("all", 2020, "", &rules)]).await;
    check(&gateway, &PATHS).await;
    check(&gateway, &FIELDS).await;
    let expected = PATHS.iter().chain(&FIELDS).filter(|(.., expected)| !expected.starts_with("40")).count();
    assert_eq!(service.count(), expected, "what no rule takes reaches no service");
}

const PATHS: [Sent<'static>; 17] = [
    ("GET", "/exact", &[], "exact"),
    ("GET", "/exact?q=1", &[], "exact"),
    ("DELETE", "/exact", &[], "exact"),
    ("GET", "/exact/", &[], NOWHERE),
    ("GET", "/exact/x", &[], NOWHERE),
    ("GET", "/Exact", &[], NOWHERE),
    ("GET", "/prefix", &[], "prefix"),
    ("GET", "/prefix/", &[], "prefix"),
    ("GET", "/prefix/a/b", &[], "prefix"),
    ("GET", "/prefixed", &[], NOWHERE),
    ("GET", "/x/prefix", &[], NOWHERE),
    ("GET", "/re/abc", &[], "regex"),
    ("GET", "/re/abc1", &[], NOWHERE),
    ("GET", "/x/re/abc", &[], NOWHERE),
    ("GET", "/re/", &[], NOWHERE),
    ("GET", "/two", &[], "either"),
    ("GET", "/", &[], NOWHERE),
];

const FIELDS: [Sent<'static>; 26] = [
    ("PUT", "/method", &[], "method"),
    ("GET", "/method", &[], NOWHERE),
    ("put", "/method", &[], "400 malformed-request"),
    ("GET", "/header", &[("X-TEAM", "blue")], "header"),
    ("GET", "/header", &[("x-team", "Blue")], NOWHERE),
    ("GET", "/header", &[("x-team", "blue2")], NOWHERE),
    ("GET", "/header", &[("x-team", "blue"), ("x-team", "red")], NOWHERE),
    ("GET", "/header", &[("x_team", "blue")], NOWHERE),
    ("GET", "/header", &[], NOWHERE),
    ("GET", "/h-re", &[("x-team", "blue")], "header-regex"),
    ("GET", "/h-re", &[("x-team", "bluer")], NOWHERE),
    ("GET", "/h-re", &[("x-team", "a blue")], NOWHERE),
    ("GET", "/query?q=1", &[], "query"),
    ("GET", "/query?a=b&q=1", &[], "query"),
    ("GET", "/query?q=%31", &[], "query"),
    ("GET", "/query?q=1&q=2", &[], "query"),
    ("GET", "/query?q=2&q=1", &[], NOWHERE),
    ("GET", "/query?Q=1", &[], NOWHERE),
    ("GET", "/query?q=", &[], NOWHERE),
    ("GET", "/query", &[], NOWHERE),
    ("GET", "/q-re?q=12", &[], "query-regex"),
    ("GET", "/q-re?q=12x", &[], NOWHERE),
    ("GET", "/all?q=1", &[("a", "1")], "all"),
    ("POST", "/all?q=1", &[("a", "1")], NOWHERE),
    ("GET", "/all?q=1", &[], NOWHERE),
    ("GET", "/all", &[("a", "1")], NOWHERE),
];

/// The rules stand in the reverse of the order in which they count: their position must not help.
#[tokio::test]
async fn the_most_specific_match_wins_wherever_it_stands() {
    let service = Service::start().await;
    let two_headers = "headers: [{name: a, value: '1'}, {name: b, value: '1'}]";
    let two_parameters = "queryParams: [{name: q, value: '1'}, {name: r, value: '1'}]";
    let rules = [
        rule("any", "{path: {type: PathPrefix, value: /}}"),
        rule("short", "{path: {type: PathPrefix, value: /a}}"),
        rule("short-method", &format!("{{path: {{type: PathPrefix, value: /a}}, method: GET, {two_headers}}}")),
        rule("long", "{path: {type: PathPrefix, value: /a/b}}"),
        rule("regex", "{path: {type: RegularExpression, value: '/a/b/[a-z]'}}"),
        rule("exact", "{path: {type: Exact, value: /a/b/c}}"),
        rule("exact-method", "{path: {type: Exact, value: /a/b/c}, method: POST}"),
        rule("two-parameters", &format!("{{path: {{type: PathPrefix, value: /f}}, {two_parameters}}}")),
        rule("one-header", "{path: {type: PathPrefix, value: /f}, headers: [{name: a, value: '1'}]}"),
        rule("two-headers", &format!("{{path: {{type: PathPrefix, value: /f}}, {two_headers}}}")),
        rule("method", "{path: {type: PathPrefix, value: /f}, method: PUT}"),
    ];
    let gateway = open(&service, GATEWAY, &[route_of("all", 2020, "", &rules)]).await;
    let both: &[_] = &[("a", "1"), ("b", "1")];
    let cases: [Sent<'_>; 14] = [
        ("GET", "/", &[], "any"),
        ("GET", "/ab", &[], "any"),
        ("GET", "/a", &[], "short"),
        ("GET", "/a/x", both, "short-method"),
        ("GET", "/a/b", both, "long"),
        ("GET", "/a/b/x", &[], "regex"),
        ("GET", "/a/b/xx", &[], "long"),
        ("GET", "/a/b/c", both, "exact"),
        ("POST", "/a/b/c", &[], "exact-method"),
        ("GET", "/f?q=1&r=1", &[], "two-parameters"),
        ("GET", "/f?q=1&r=1", &[("a", "1")], "one-header"),
        ("GET", "/f?q=1&r=1", both, "two-headers"),
        ("PUT", "/f?q=1&r=1", both, "method"),
        ("GET", "/f?q=1", &[("b", "1")], "any"),
    ];
    check(&gateway, &cases).await;
}

#[tokio::test]
async fn of_equal_matches_the_older_route_wins_then_the_name_then_the_place() {
    let service = Service::start().await;
    let equal = |name: &str| rule(name, "{path: {type: PathPrefix, value: /tie}}");
    let routes = [
        route_of("a", 2022, "", &[equal("younger"), equal("younger-second")]),
        route_of("b", 2021, "", &[equal("older"), equal("older-second")]),
        route_of("c", 2021, "", &[equal("named-later")]),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let shuffled = order.map(|at| routes[at].clone());
        let mut gateway = open(&service, GATEWAY, &[]).await;
        gateway.write("routes.yaml", &shuffled.concat());
        check(&gateway, &[("GET", "/tie", &[], "older")]).await;
        gateway.write("routes.yaml", &[routes[0].clone(), routes[2].clone()].concat());
        check(&gateway, &[("GET", "/tie", &[], "named-later")]).await;
        gateway.write("routes.yaml", &routes[0]);
        check(&gateway, &[("GET", "/tie", &[], "younger")]).await;
        gateway.remove("routes.yaml");
        check(&gateway, &[("GET", "/tie", &[], NOWHERE)]).await;
    }
}

fn listeners(hostnames: &[&str]) -> String {
    let listener = |(at, hostname): (usize, &&str)| {
        let hostname = if hostname.is_empty() { String::new() } else { format!(", hostname: '{hostname}'") };
        format!("  - {{name: l{at}, port: 8080, protocol: HTTP{hostname}}}\n")
    };
    let all: String = hostnames.iter().enumerate().map(listener).collect();
    let (head, _) = GATEWAY.split_once("  - {name: http").unwrap();
    head.to_owned() + &all
}

#[tokio::test]
async fn a_route_is_served_for_the_hosts_that_its_listener_has_as_well() {
    let service = Service::start().await;
    let hostnames = "hostnames: [a.example.com, '*.b.example.com', other.org, '*.com']";
    let routes = [route_of("all", 2020, hostnames, &[rule("all", "{}")])];
    for (listener, taken, left) in [
        ("", ["a.example.com", "x.b.example.com", "other.org"], ["b.example.org", "x.other.org", "com"]),
        (
            "*.example.com",
            ["a.example.com", "x.y.b.example.com", "z.example.com"],
            ["example.com", "other.org", "x.com"],
        ),
        (
            "a.example.com",
            ["a.example.com", "A.EXAMPLE.COM", "a.example.com:8080"],
            ["x.a.example.com", "b.com", "other.org"],
        ),
        (
            "*.b.example.com",
            ["x.b.example.com", "x.y.b.example.com", "y.b.example.com"],
            ["b.example.com", "a.example.com", "xb.example.com"],
        ),
    ] {
        let gateway = open(&service, &listeners(&[listener]), &routes).await;
        for (hosts, expected) in [(taken, "all"), (left, NOWHERE)] {
            for host in hosts {
                assert_eq!(served_by(&gateway, host, "GET", "/", &[]).await, expected, "{host} at {listener:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_route_without_a_common_host_serves_nothing_and_says_so() {
    let service = Service::start().await;
    let routes = [route_of("lost", 2020, "hostnames: [a.example.org]", &[rule("lost", "{}")])];
    let gateway = open(&service, &listeners(&["*.example.com"]), &routes).await;
    for host in ["a.example.org", "a.example.com"] {
        assert_eq!(served_by(&gateway, host, "GET", "/", &[]).await, NOWHERE, "{host}");
    }
    assert!(gateway.said("HTTPRoute shop/lost").contains("hostname"), "{:?}", gateway.diagnostics);
}

/// A host belongs to one listener, the most specific; what is attached to others only is not served for it.
#[tokio::test]
async fn the_most_specific_listener_has_the_host_alone() {
    let service = Service::start().await;
    let at = |listener: usize, name: &str, path: &str| {
        let rules = [rule(name, &format!("{{path: {{type: PathPrefix, value: {path}}}}}"))];
        route_of(name, 2020, "", &rules)
            .replace("[{name: public}]", &format!("[{{name: public, sectionName: l{listener}}}]"))
    };
    let routes = [at(0, "any", "/any"), at(1, "wild", "/wild"), at(2, "deeper", "/deeper"), at(3, "exact", "/exact")];
    let gateway =
        open(&service, &listeners(&["", "*.example.com", "*.b.example.com", "a.b.example.com"]), &routes).await;
    for (host, paths) in [
        ("other.org", ["any", NOWHERE, NOWHERE, NOWHERE]),
        ("a.example.com", [NOWHERE, "wild", NOWHERE, NOWHERE]),
        ("x.b.example.com", [NOWHERE, NOWHERE, "deeper", NOWHERE]),
        ("a.b.example.com", [NOWHERE, NOWHERE, NOWHERE, "exact"]),
    ] {
        for (path, expected) in ["/any", "/wild", "/deeper", "/exact"].into_iter().zip(paths) {
            assert_eq!(served_by(&gateway, host, "GET", path, &[]).await, expected, "{host}{path}");
        }
    }
}

/// Of one listener's routes those of the more specific host are asked first, whatever their paths.
#[tokio::test]
async fn the_more_specific_hostname_beats_the_more_specific_path() {
    let service = Service::start().await;
    let exact = "{path: {type: Exact, value: /a}}";
    let routes = [
        route_of("wide", 2019, "hostnames: ['*.example.com']", &[rule("wide", exact), rule("wide-any", "{}")]),
        route_of(
            "deep",
            2020,
            "hostnames: ['*.b.example.com']",
            &[rule("deep", "{path: {type: PathPrefix, value: /a}}")],
        ),
        route_of("one", 2021, "hostnames: [a.b.example.com]", &[rule("one", "{path: {type: PathPrefix, value: /a}}")]),
        route_of("every", 2018, "", &[rule("every", exact)]),
    ];
    let gateway = open(&service, GATEWAY, &routes).await;
    for (host, target, expected) in [
        ("a.b.example.com", "/a", "one"),
        ("x.b.example.com", "/a", "deep"),
        ("x.example.com", "/a", "wide"),
        ("a.b.example.com", "/b", "wide-any"),
        ("other.org", "/a", "every"),
        ("other.org", "/b", NOWHERE),
    ] {
        assert_eq!(served_by(&gateway, host, "GET", target, &[]).await, expected, "{host}{target}");
    }
}
