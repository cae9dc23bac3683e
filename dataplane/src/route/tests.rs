//! Precedence as Gateway API has it.

use http::HeaderValue;
use sallyport_snapshot::v1::{r#match::Path, value_match::Value};

use super::*;

fn path(path: Path) -> v1::Match {
    v1::Match { path: Some(path), ..v1::Match::default() }
}

fn route(name: &str, created_ms: i64, hostnames: &[&str], matches: Vec<v1::Match>) -> v1::Route {
    let rules = matches.into_iter().enumerate().map(|(at, one)| v1::Rule {
        name: at.to_string(),
        matches: vec![one],
        ..v1::Rule::default()
    });
    let rules: Vec<_> = rules.collect();
    let policies = (0..rules.len()).map(|at| format!("{name}-{at}")).collect();
    v1::Route {
        object: Some(v1::ObjectRef { kind: "HTTPRoute".into(), namespace: "shop".into(), name: name.into() }),
        created_ms,
        attachments: vec![v1::Attachment {
            listener: "l".into(),
            hostnames: hostnames.iter().map(|one| (*one).to_owned()).collect(),
            policies,
        }],
        rules,
    }
}

fn table(routes: &[v1::Route]) -> RouteTable {
    let prepared: Vec<_> = routes.iter().map(|route| PreparedRoute::new(route).0).collect();
    RouteTable::build("l", &prepared)
}

fn find(table: &RouteTable, host: &str, path: &str) -> Option<String> {
    find_with(table, host, path, &Method::GET, &HeaderMap::new(), None)
}

fn find_with(
    table: &RouteTable,
    host: &str,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Option<String> {
    table.find(&Asked { host, path, method, headers, query: Query(query) }).map(|found| found.policy.to_string())
}

#[test]
fn a_path_matches_in_whatever_spelling_it_is_written() {
    let routes = [route(
        "r",
        0,
        &[],
        vec![
            path(Path::Prefix("/".into())),
            path(Path::Prefix("/caf%c3%a9/".into())),
            path(Path::Exact("/%61dmin".into())),
            path(Path::Exact("/a%2fb".into())),
        ],
    )];
    let table = table(&routes);
    for (asked, rule) in [("/caf%C3%A9", 1), ("/caf%C3%A9/x", 1), ("/admin", 2), ("/a", 0), ("/a/b", 0)] {
        assert_eq!(find(&table, "any", asked), Some(format!("r-{rule}")), "{asked}");
    }
}

#[test]
fn an_expression_that_is_none_stands_in_the_way_of_its_own_namespace_only() {
    let mut broken = route("broken", 0, &["a.example.com"], vec![path(Path::Regex("/v[0-9".into()))]);
    let mut others =
        route("others", 1, &["a.example.com", "*.example.com"], vec![path(Path::Prefix("/orders".into()))]);
    let own = route("own", 2, &["*.example.com"], vec![path(Path::Prefix("/".into()))]);
    broken.object = Some(v1::ObjectRef { namespace: "web".into(), ..broken.object.unwrap_or_default() });
    others.object = Some(v1::ObjectRef { namespace: "other".into(), ..others.object.unwrap_or_default() });
    let own =
        v1::Route { object: Some(v1::ObjectRef { namespace: "web".into(), ..own.object.unwrap_or_default() }), ..own };
    let table = table(&[broken, others, own]);
    for (host, path, rule) in [
        ("a.example.com", "/orders", "others-0"),
        ("a.example.com", "/v1", "broken-0"),
        ("b.example.com", "/v1", "own-0"),
        ("b.example.com", "/orders", "others-0"),
    ] {
        assert_eq!(find(&table, host, path).as_deref(), Some(rule), "{host}{path}");
    }
}

#[test]
fn a_question_mark_stands_for_exactly_one_label() {
    let all = || vec![path(Path::Prefix("/".into()))];
    let deep = || vec![path(Path::Prefix("/deep".into()))];
    let routes = [
        route("one", 0, &["?.example.com"], all()),
        route("many", 1, &["*.example.com"], deep()),
        route("own", 2, &["own.example.com"], deep()),
        route("any", 3, &[], all()),
    ];
    let table = table(&routes);
    for (host, path, found) in [
        ("a.example.com", "/", "one-0"),
        ("a.example.com", "/deep", "many-0"),
        ("a.b.example.com", "/", "any-0"),
        ("a.b.example.com", "/deep", "many-0"),
        ("own.example.com", "/deep", "own-0"),
        ("own.example.com", "/", "one-0"),
        ("example.com", "/", "any-0"),
        (".example.com", "/", "any-0"),
        ("aexample.com", "/", "any-0"),
        ("?.example.com.org", "/", "any-0"),
    ] {
        assert_eq!(find(&table, host, path).as_deref(), Some(found), "{host}{path}");
    }
}

#[test]
fn the_most_specific_path_wins() {
    let routes = [route(
        "r",
        0,
        &[],
        vec![
            path(Path::Prefix("/".into())),
            path(Path::Prefix("/a".into())),
            path(Path::Prefix("/a/b/".into())),
            path(Path::Exact("/a/b".into())),
            path(Path::Regex("/a/[0-9]+".into())),
        ],
    )];
    let table = table(&routes);
    for (path, rule) in [
        ("/", 0),
        ("/x", 0),
        ("/ab", 0),
        ("/a", 1),
        ("/a/", 1),
        ("/a/x", 1),
        ("/a/b", 3),
        ("/a/b/", 2),
        ("/a/b/c", 2),
        ("/a/bc", 1),
        ("/a/17", 4),
        ("/a/17x", 1),
    ] {
        assert_eq!(find(&table, "h", path), Some(format!("r-{rule}")), "{path}");
    }
}

#[test]
fn the_most_specific_host_wins_and_others_are_asked_where_it_has_nothing() {
    let all = || vec![path(Path::Prefix("/".into()))];
    let table = table(&[
        route("any", 0, &[], all()),
        route("wild", 0, &["*.example.com"], all()),
        route("deep", 0, &["*.a.example.com"], all()),
        route("exact", 0, &["x.example.com"], vec![path(Path::Exact("/only".into()))]),
    ]);
    for (host, at, found) in [
        ("x.example.com", "/only", "exact"),
        ("x.example.com", "/other", "wild"),
        ("y.example.com", "/", "wild"),
        ("b.a.example.com", "/", "deep"),
        ("a.example.com", "/", "wild"),
        ("example.com", "/", "any"),
        ("other", "/", "any"),
    ] {
        assert_eq!(find(&table, host, at), Some(format!("{found}-0")), "{host}{at}");
    }
}

#[test]
fn method_then_headers_then_query_then_age_then_name_break_ties() {
    let prefix = || path(Path::Prefix("/".into()));
    let header = |name: &str| v1::ValueMatch { name: name.into(), value: Some(Value::Exact("1".into())) };
    let routes = [
        route("b", 5, &[], vec![prefix()]),
        route("a", 5, &[], vec![prefix()]),
        route("z", 1, &[], vec![prefix()]),
        route("method", 9, &[], vec![v1::Match { method: "POST".into(), ..prefix() }]),
        route("headers", 9, &[], vec![v1::Match { headers: vec![header("x"), header("y")], ..prefix() }]),
        route("header", 9, &[], vec![v1::Match { headers: vec![header("x")], ..prefix() }]),
        route("query", 9, &[], vec![v1::Match { query: vec![header("q")], ..prefix() }]),
    ];
    let headers = |names: &[&'static str]| {
        names
            .iter()
            .map(|name| (http::HeaderName::from_static(name), HeaderValue::from_static("1")))
            .collect::<HeaderMap>()
    };
    for shift in 0..routes.len() {
        let mut shuffled = routes.to_vec();
        shuffled.rotate_left(shift);
        let table = table(&shuffled);
        let found = |method, names: &[&'static str], query| {
            find_with(&table, "h", "/", &method, &headers(names), query).unwrap()
        };
        assert_eq!(found(Method::GET, &[], None), "z-0", "the oldest");
        assert_eq!(found(Method::POST, &["x", "y"], None), "method-0");
        assert_eq!(found(Method::GET, &["x", "y"], Some("q=1")), "headers-0");
        assert_eq!(found(Method::GET, &["x"], Some("q=1")), "header-0");
        assert_eq!(found(Method::GET, &[], Some("q=1&q=2")), "query-0");
        assert_eq!(found(Method::GET, &[], Some("q=2&q=1")), "z-0", "the first value counts");
    }
}

#[test]
fn an_expression_that_does_not_compile_denies_whatever_it_could_match() {
    let routes = [
        route("open", 9, &[], vec![path(Path::Prefix("/".into()))]),
        route("broken", 1, &[], vec![path(Path::Regex("(".into()))]),
    ];
    let (prepared, problems) = PreparedRoute::new(&routes[1]);
    assert!(problems[0].contains("rule 0"), "{problems:?}");
    assert!(prepared.rules[0].0.deny.is_some());
    let table = table(&routes);
    assert_eq!(find(&table, "h", "/anything"), Some("broken-0".to_owned()));
}

/// What closes a bracket that is not its own would lose its anchors.
#[test]
fn an_expression_that_is_no_whole_is_none() {
    for expression in ["/a)|(/b", "(?x)/a #"] {
        let broken = route("broken", 1, &[], vec![path(Path::Regex(expression.into()))]);
        let (prepared, problems) = PreparedRoute::new(&broken);
        assert_eq!(problems.len(), 1, "{expression}: {problems:?}");
        assert!(prepared.rules[0].0.deny.is_some(), "{expression}");
        let table = RouteTable::build("l", &[prepared]);
        assert_eq!(find(&table, "h", "/neither"), Some("broken-0".to_owned()), "{expression}");
    }
}

#[test]
fn expressions_of_a_route_share_what_they_may_take() {
    let big = path(Path::Regex(r"/\w{20}".into()));
    let (prepared, problems) = PreparedRoute::new(&route("r", 0, &[], vec![big; 40]));
    assert!(prepared.rules[0].0.deny.is_none() && prepared.rules[39].0.deny.is_some());
    assert!(problems.iter().all(|problem| problem.contains("together")), "{problems:?}");
}

/// It would match more than it says.
#[test]
fn a_test_that_cannot_be_prepared_denies() {
    let test = |name: &str, value| vec![v1::ValueMatch { name: name.into(), value }];
    let exact = || Some(Value::Exact("1".into()));
    let any = || path(Path::Prefix("/".into()));
    for (broken, word) in [
        (v1::Match { method: "GE T".into(), ..any() }, "method"),
        (v1::Match { headers: test("no name", exact()), ..any() }, "header name"),
        (v1::Match { headers: test("x", None), ..any() }, "without a value"),
        (v1::Match { query: test("q", None), ..any() }, "without a value"),
        (v1::Match { query: test("q", Some(Value::Regex("(".into()))), ..any() }, "expression"),
    ] {
        let (prepared, problems) = PreparedRoute::new(&route("r", 0, &[], vec![broken]));
        assert!(problems.len() == 1 && problems[0].contains(word), "{word}: {problems:?}");
        assert!(prepared.rules[0].0.deny.is_some(), "{word}");
    }
}

#[test]
fn what_has_been_found_is_held_while_it_serves_under_its_policy() {
    let of = |change: fn(&mut v1::Route)| {
        let mut route =
            route("r", 0, &["a.example.com"], vec![path(Path::Prefix("/".into())), path(Path::Exact("/x".into()))]);
        change(&mut route);
        table(&[route])
    };
    let first = of(|_| {});
    let headers = HeaderMap::new();
    let asked =
        Asked { host: "a.example.com", path: "/x", method: &Method::GET, headers: &headers, query: Query(None) };
    let found = first.find(&asked).unwrap();
    for (change, holds) in [
        ((|_| {}) as fn(&mut v1::Route), true),
        (|route| route.rules[0].deny = Some(v1::Deny::default()), true),
        (|route| route.attachments[0].hostnames = vec![], true),
        (|route| route.rules[1].deny = Some(v1::Deny::default()), false),
        (|route| route.rules[1].matches[0].method = "GE T".into(), false),
        (|route| route.rules[1].name = "other".into(), false),
        (|route| route.attachments[0].policies[1] = "other".into(), false),
        (|route| route.attachments[0].listener = "other".into(), false),
        (|route| drop(route.rules.pop()), false),
    ] {
        assert_eq!(of(change).holds(&found), holds);
    }
    assert!(!RouteTable::default().holds(&found), "a listener that is closed");
}

#[test]
fn weights_are_kept() {
    let backend = |name: &str, weight| v1::WeightedBackend {
        weight,
        target: Some(v1::weighted_backend::Target::Backend(name.into())),
        ..Default::default()
    };
    let pick = |backends: Vec<v1::WeightedBackend>, random| {
        let rule = v1::Rule { backends, ..Default::default() };
        match Rule::prepare(&v1::ObjectRef::default(), &rule, vec![]).0.pick(random) {
            Pick::Backend { backend, .. } => backend.to_string(),
            Pick::Denied(_) => "denied".to_owned(),
        }
    };
    let mixed = || vec![backend("a", 1), backend("none", 0), backend("b", 3)];
    let picked: Vec<_> = (0..4).map(|random| pick(mixed(), random)).collect();
    assert_eq!(picked, ["a", "b", "b", "b"]);
    assert_eq!(pick(vec![], 7), "denied");
    assert_eq!(pick(vec![backend("a", 0)], 7), "denied");
}

#[test]
fn a_rule_that_redirects_for_one_of_its_backends_denies() {
    let redirect = v1::filter::Filter::Redirect(v1::Redirect { status: 302, ..v1::Redirect::default() });
    let headers = v1::filter::Filter::RequestHeaders(v1::HeaderEdit::default());
    for (filter, denies) in [(redirect, true), (headers, false)] {
        let mut route = route("r", 0, &[], vec![path(Path::Prefix("/".into()))]);
        let backend = v1::WeightedBackend {
            weight: 1,
            target: Some(v1::weighted_backend::Target::Backend("b".into())),
            filters: vec![v1::Filter { filter: Some(filter) }],
            credential: String::new(),
        };
        route.rules[0].backends.push(backend);
        let (prepared, problems) = PreparedRoute::new(&route);
        let table = RouteTable::build("l", &[prepared]);
        let headers = HeaderMap::new();
        let asked = Asked { host: "any", path: "/", method: &Method::GET, headers: &headers, query: Query(None) };
        assert_eq!(table.find(&asked).unwrap().rule.deny.is_some(), denies);
        assert_eq!(problems.len(), usize::from(denies), "{problems:?}");
    }
}
