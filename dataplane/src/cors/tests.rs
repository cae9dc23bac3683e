use super::*;

const SHOP: &str = "https://shop.example.com";

fn stated() -> v1::Cors {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    v1::Cors {
        allow_origins: texts(&[SHOP, "https://*.example.org", "http://dev.example.com:8080"]),
        allow_methods: texts(&["GET", "PUT"]),
        allow_headers: texts(&["authorization", "content-type"]),
        expose_headers: texts(&["retry-after"]),
        allow_credentials: false,
        max_age_s: 600,
    }
}

fn open() -> v1::Cors {
    let any = || vec!["*".to_owned()];
    v1::Cors { allow_origins: any(), allow_methods: any(), allow_headers: any(), expose_headers: any(), ..stated() }
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn written(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

/// What a preflight is answered by all of `said`.
fn preflight(said: &[v1::Cors], lines: &[(&'static str, &str)]) -> Option<HeaderMap> {
    let built: Vec<_> = said.iter().map(Cors::build).collect();
    let headers = headers(lines);
    let asked = Preflight::read(&Method::OPTIONS, &headers)?;
    Some(InForce(built.iter().collect()).of_preflight(&asked))
}

fn answer(said: &[v1::Cors], asked: &[(&'static str, &str)], of_service: &[(&'static str, &str)]) -> Vec<String> {
    let built: Vec<_> = said.iter().map(Cors::build).collect();
    let mut answer = headers(of_service);
    InForce(built.iter().collect()).of_answer(&headers(asked)).write(&mut answer);
    written(&answer)
}

const METHOD: (&str, &str) = ("access-control-request-method", "PUT");
const VARY_LINE: &str = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

#[test]
fn only_origins_that_are_listed_are_told_anything() {
    for (origin, is_allowed) in [
        (SHOP, true),
        ("HTTPS://SHOP.example.com", true),
        ("https://a.example.org", true),
        ("https://a.b.example.org", true),
        ("http://dev.example.com:8080", true),
        ("null", false),
        ("", false),
        ("*", false),
        ("http://shop.example.com", false),
        ("https://shop.example.com:8443", false),
        ("https://shop.example.com/", false),
        ("https://shop.example.com.evil.org", false),
        ("https://evilshop.example.com", false),
        ("https://shop.example.co", false),
        ("https://example.org", false),
        ("https://.example.org", false),
        ("https://evilexample.org", false),
        ("https://a.example.org:8443", false),
        ("http://a.example.org", false),
        ("https://a/.example.org", false),
        ("https://a@b.example.org", false),
        ("https://evil.org?.example.org", false),
        ("https://a.example.org https://shop.example.com", false),
        ("http://dev.example.com", false),
    ] {
        let told = preflight(&[stated()], &[("origin", origin), METHOD]).unwrap();
        let echoed = told.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap());
        assert_eq!(echoed, is_allowed.then_some(origin), "{origin}");
        if !is_allowed {
            assert_eq!(written(&told), [VARY_LINE], "{origin}");
            assert_eq!(answer(&[stated()], &[("origin", origin)], &[]), ["vary: Origin"], "{origin}");
        }
    }
}

#[test]
fn every_host_of_a_scheme_is_one_on_its_own_port() {
    let any_host = v1::Cors { allow_origins: vec!["https://*".into()], ..stated() };
    for (origin, is_allowed) in [
        (SHOP, true),
        ("https://localhost", true),
        ("https://", false),
        ("http://shop.example.com", false),
        ("https://shop.example.com:8443", false),
    ] {
        let told = preflight(std::slice::from_ref(&any_host), &[("origin", origin), METHOD]).unwrap();
        assert_eq!(told.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), is_allowed, "{origin}");
    }
}

#[test]
fn what_is_no_preflight_is_a_request_as_all_others() {
    let origin = ("origin", SHOP);
    for lines in [
        vec![],
        vec![origin],
        vec![METHOD],
        vec![origin, origin, METHOD],
        vec![origin, METHOD, METHOD],
        vec![origin, ("access-control-request-method", "")],
        vec![origin, ("access-control-request-method", "GET PUT")],
    ] {
        assert!(preflight(&[stated()], &lines).is_none(), "{lines:?}");
    }
    assert!(Preflight::read(&Method::GET, &headers(&[origin, METHOD])).is_none());
}

#[test]
fn a_preflight_is_told_what_is_listed_and_no_more() {
    let asked = ("access-control-request-headers", "authorization,x-other, content-type");
    let told = preflight(&[stated()], &[("origin", SHOP), METHOD, asked]).unwrap();
    assert_eq!(
        written(&told),
        [
            "access-control-allow-headers: authorization, content-type",
            "access-control-allow-methods: GET, PUT",
            "access-control-allow-origin: https://shop.example.com",
            "access-control-expose-headers: retry-after",
            "access-control-max-age: 600",
            VARY_LINE,
        ]
    );
    let none = preflight(&[v1::Cors::default()], &[("origin", SHOP), METHOD, asked]).unwrap();
    assert_eq!(written(&none), [VARY_LINE], "nobody is listed");
}

#[test]
fn an_asterisk_is_what_was_asked_for_but_for_credentials() {
    let asked = ("access-control-request-headers", "x-one,authorization,x-one,X-Two,x three");
    let no_text = ("access-control-request-headers", "x-four,\u{e9}");
    let told = preflight(&[open()], &[("origin", "https://any.example"), METHOD, asked, no_text]).unwrap();
    assert_eq!(
        written(&told),
        [
            "access-control-allow-headers: x-one",
            "access-control-allow-methods: PUT",
            "access-control-allow-origin: *",
            "access-control-expose-headers: *",
            "access-control-max-age: 600",
            VARY_LINE,
        ]
    );
    let with_credentials = v1::Cors { allow_credentials: true, ..open() };
    let told = preflight(&[with_credentials], &[("origin", "https://any.example"), METHOD]).unwrap();
    assert_eq!(told[ACCESS_CONTROL_ALLOW_ORIGIN], "https://any.example");
    assert_eq!(told[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    let listed = v1::Cors { allow_headers: vec!["*".into(), "authorization".into()], ..open() };
    let told = preflight(&[listed], &[("origin", SHOP), METHOD, ("access-control-request-headers", "authorization")]);
    assert_eq!(told.unwrap()[ACCESS_CONTROL_ALLOW_HEADERS], "authorization");
}

#[test]
fn an_asterisk_of_one_word_does_not_take_what_another_lists_of_credentials() {
    let listing = || v1::Cors { allow_headers: vec!["authorization".into(), "x-one".into()], ..open() };
    let asked = ("access-control-request-headers", "authorization,x-one");
    for said in [[open(), listing()], [listing(), open()]] {
        let told = preflight(&said, &[("origin", SHOP), METHOD, asked]).unwrap();
        assert_eq!(told[ACCESS_CONTROL_ALLOW_HEADERS], "x-one");
    }
    let told = preflight(&[listing(), listing()], &[("origin", SHOP), METHOD, asked]).unwrap();
    assert_eq!(told[ACCESS_CONTROL_ALLOW_HEADERS], "authorization, x-one");
}

#[test]
fn with_credentials_nobody_is_no_origin_and_what_is_exposed_is_listed() {
    let with_credentials = v1::Cors { allow_credentials: true, ..open() };
    let null = [("origin", "null"), METHOD];
    assert_eq!(written(&preflight(std::slice::from_ref(&with_credentials), &null).unwrap()), [VARY_LINE]);
    assert_eq!(preflight(&[open()], &null).unwrap()[ACCESS_CONTROL_ALLOW_ORIGIN], "*", "what is everybody's is");
    let of_service = [("etag", "1"), ("set-cookie", "a=b"), ("access-control-allow-methods", "DELETE")];
    assert_eq!(
        answer(&[with_credentials], &[("origin", SHOP)], &of_service),
        [
            "access-control-allow-credentials: true",
            "access-control-allow-origin: https://shop.example.com",
            "access-control-expose-headers: etag, vary",
            "etag: 1",
            "set-cookie: a=b",
            "vary: Origin",
        ]
    );
}

#[test]
fn nobody_lets_nothing_pass_and_takes_away_what_the_service_says() {
    let of_service = [("access-control-allow-origin", "*")];
    assert_eq!(answer(&[], &[("origin", SHOP)], &of_service), ["vary: Origin"]);
    assert_eq!(written(&preflight(&[], &[("origin", SHOP), METHOD]).unwrap()), [VARY_LINE]);
}

#[test]
fn an_origin_longer_than_any_is_none() {
    let origin = format!("https://{}.example.org", "a".repeat(MAX_ORIGIN_BYTES));
    assert_eq!(written(&preflight(&[stated()], &[("origin", &origin), METHOD]).unwrap()), [VARY_LINE]);
}

#[test]
fn of_several_words_the_narrowest_holds() {
    let floor = v1::Cors {
        allow_origins: vec!["https://*.example.com".into()],
        allow_methods: vec!["*".into()],
        allow_headers: vec!["content-type".into(), "x-more".into()],
        expose_headers: vec![],
        allow_credentials: true,
        max_age_s: 60,
    };
    let asked = ("access-control-request-headers", "authorization");
    let told = preflight(&[stated(), floor.clone()], &[("origin", SHOP), METHOD, asked]).unwrap();
    assert_eq!(
        written(&told),
        [
            "access-control-allow-headers: content-type",
            "access-control-allow-methods: GET, PUT",
            "access-control-allow-origin: https://shop.example.com",
            "access-control-max-age: 60",
            VARY_LINE,
        ]
    );
    for origin in ["https://other.example.com", "https://a.example.org"] {
        let told = preflight(&[stated(), floor.clone()], &[("origin", origin), METHOD]).unwrap();
        assert_eq!(written(&told), [VARY_LINE], "{origin}");
    }
    let told = preflight(&[open(), floor], &[("origin", SHOP), METHOD, asked]).unwrap();
    assert_eq!(told[ACCESS_CONTROL_ALLOW_ORIGIN], SHOP, "it is not for everybody");
}

#[test]
fn an_answer_says_it_in_place_of_the_service() {
    let of_service = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-origin", "https://evil.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-secret"),
        ("access-control-allow-methods", "DELETE"),
        ("vary", "Accept-Encoding"),
    ];
    assert_eq!(
        answer(&[stated()], &[("origin", SHOP)], &of_service),
        [
            "access-control-allow-origin: https://shop.example.com",
            "access-control-expose-headers: retry-after",
            "vary: Accept-Encoding",
            "vary: Origin",
        ]
    );
    for asked in [vec![], vec![("origin", "https://evil.example")], vec![("origin", SHOP), ("origin", SHOP)]] {
        assert_eq!(answer(&[stated()], &asked, &of_service), ["vary: Accept-Encoding", "vary: Origin"], "{asked:?}");
    }
    for vary in ["origin", "Accept, Origin", "*"] {
        let told = answer(&[stated()], &[], &[("vary", vary)]);
        assert_eq!(told, [format!("vary: {vary}")], "it is said already");
    }
}
