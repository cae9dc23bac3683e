//! Who is asked whether a request may pass: a yes lets it through, with what it says, and nothing else does.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use rstest::rstest;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::kit::authorizer::{Authorizer, CheckResponse, DeniedResponse, OkResponse, Reply, Status, option};
use crate::kit::caller::{Answer, HOST, get, hear, raw, send};
use crate::kit::gateway::Gateway;
use crate::kit::hostile::Manner;
use crate::kit::manifest::{GATEWAY, OPEN, backend, gateway_with, policy, policy_on, route, secret, subscription};
use crate::kit::service::Service;

const DENIED: &str = "403 external-authorization-denied";
const UNANSWERED: &str = "503 external-authorization-unavailable";
const POLICY: &str = "ApiPolicy shop/orders";

struct Shop {
    gateway: Gateway,
    service: Service,
    authorizer: Authorizer,
}

/// What asks the Backend `opa`, by gRPC; `more` goes on after it.
fn asking(more: &str) -> String {
    by("GRPC", more)
}

fn by(protocol: &str, more: &str) -> String {
    let backend = "backendRef: {group: sallyport.dev, kind: Backend, name: opa}";
    format!("{OPEN}\nexternalAuthorization: {{{backend}, protocol: {protocol}{more}}}\n")
}

impl Shop {
    async fn start(reply: Reply, spec: &str) -> Self {
        let (service, authorizer) = (Service::start().await, Authorizer::saying(reply).await);
        let manifests = [
            GATEWAY,
            &route("orders", "shop"),
            &backend("shop", service.address, ""),
            &backend("opa", authorizer.address, ""),
        ];
        let mut gateway = Gateway::start(&manifests.concat()).await;
        gateway.write("policy.yaml", &policy("orders", spec));
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service, authorizer }
    }

    fn require(&mut self, spec: &str) {
        self.gateway.write("policy.yaml", &policy("orders", spec));
    }

    async fn asked(&self, headers: &[(&str, &str)]) -> Answer {
        send(self.gateway.http(), get("/orders", headers)).await
    }

    async fn verdict(&self) -> String {
        self.asked(&[]).await.verdict()
    }

    async fn posted(&self, body: impl Into<Bytes>) -> Answer {
        let request = Request::post("/orders").header("host", HOST).body(Full::new(body.into())).unwrap();
        send(self.gateway.http(), request).await
    }
}

#[tokio::test]
async fn by_grpc_it_is_told_what_is_listed_and_sets_what_is_listed() {
    let more = ", headersToAuthorizer: [X-Team, Authorization], headersToBackend: [X-User, X-Gone], headersToCaller: [X-Told], context: [{name: tier, value: gold}, {name: who, expression: auth.alternative}]";
    let said = OkResponse {
        headers: vec![option("X-User", "alice"), option("x-other", "dropped"), option("host", "evil")],
        response_headers_to_add: vec![option("x-told", "yes"), option("set-cookie", "a=b")],
        ..OkResponse::default()
    };
    let reply = CheckResponse { status: Some(Status::default()), ok_response: Some(said), ..CheckResponse::default() };
    let shop = Shop::start(Reply::grpc(&reply), &asking(more)).await;
    let headers = [
        ("x-team", "a"),
        ("x-user", "root"),
        ("x_user", "root"),
        ("x-gone", "root"),
        ("x-hidden", "b"),
        ("authorization", "Bearer x"),
        ("cookie", "a=b"),
    ];
    let answer = send(shop.gateway.http(), get("/orders/b?c=d", &headers)).await;
    assert_eq!(answer.verdict(), "200");
    assert_eq!((answer.header("x-told"), answer.header("set-cookie")), (Some("yes"), None));
    let (seen, asked) = (shop.service.one(), shop.authorizer.one());
    assert_eq!((seen.header("x-user"), seen.header("x_user"), seen.header("x-gone")), (Some("alice"), None, None));
    assert_eq!((seen.header("x-other"), &*seen.authority, seen.header("x-hidden")), (None, HOST, Some("b")));
    assert_eq!((&*asked.target, asked.header("te")), ("/envoy.service.auth.v3.Authorization/Check", Some("trailers")));
    let told = asked.told();
    let context: Vec<_> = told.context_extensions.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(context, [("tier", "gold"), ("who", "open")]);
    assert_eq!(told.source.unwrap().principal, "");
    let http = told.request.unwrap().http.unwrap();
    assert_eq!((&*http.method, &*http.path, &*http.host, http.size), ("GET", "/orders/b?c=d", HOST, 0));
    assert_eq!(http.id.len(), 32);
    let headers: Vec<_> = http.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(headers, [("authorization", "Bearer x"), ("x-team", "a")]);
    let metrics = shop.gateway.metrics().await;
    assert!(metrics.contains(r#"sallyport_external_authorizations_total{outcome="allowed"} 1"#), "{metrics}");
    assert!(metrics.contains("sallyport_external_authorization_headers_dropped_total 3"), "{metrics}");
    assert!(metrics.contains("sallyport_external_authorization_duration_seconds_count 1"), "{metrics}");
}

#[tokio::test]
async fn by_http_it_gets_the_request_without_what_is_not_listed() {
    let more = ", pathPrefix: /check/it, headersToAuthorizer: [X-Team], headersToBackend: [X-User], headersToCaller: [X-Told, Set-Cookie], denial: Pass, context: [{name: X-Tier, value: gold}]";
    let said = [("x-user", "alice"), ("x-told", "yes"), ("set-cookie", "a=b"), ("x-other", "dropped")];
    let shop = Shop::start(Reply::http(200, &said), &by("HTTP", more)).await;
    let headers = [
        ("x-team", "a"),
        ("x-user", "root"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-tier", "free"),
        ("x_tier", "free"),
        ("cookie", "c=d"),
    ];
    let request = Request::put("/orders/1?e=f").header("host", HOST);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = send(shop.gateway.http(), request.body(Full::new(Bytes::from_static(b"body"))).unwrap()).await;
    assert_eq!(
        (answer.verdict(), answer.header("x-told"), answer.header("set-cookie")),
        ("200".into(), Some("yes"), Some("a=b"))
    );
    let (seen, asked) = (shop.service.one(), shop.authorizer.one());
    assert_eq!((seen.header("x-user"), seen.header("x-other"), &seen.body[..]), (Some("alice"), None, &b"body"[..]));
    assert_eq!((&*asked.method, &*asked.target, &*asked.authority), ("PUT", "/check/it/orders/1?e=f", HOST));
    for (name, value) in [
        ("x-team", Some("a")),
        ("x-tier", Some("gold")),
        ("x_tier", None),
        ("x-user", None),
        ("cookie", None),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", Some(HOST)),
        ("content-length", None),
    ] {
        assert_eq!(asked.header(name), value, "{name}: {asked:#?}");
    }
}

fn status(code: i32) -> CheckResponse {
    CheckResponse { status: Some(Status { code }), ..CheckResponse::default() }
}

fn grpc(status: &'static str) -> Reply {
    Reply { trailers: vec![("grpc-status", status)], ..Reply::yes(&[]) }
}

fn denied(code: i32) -> Reply {
    let denied = DeniedResponse { status: Some(Status { code }), ..DeniedResponse::default() };
    Reply::grpc(&CheckResponse { denied_response: Some(denied), ..status(0) })
}

#[rstest]
#[case::no(Reply::no(), DENIED)]
#[case::nothing_stated(Reply::grpc(&CheckResponse::default()), DENIED)]
#[case::both_yes_and_no(denied(200), DENIED)]
#[case::another_code(Reply::grpc(&status(-1)), DENIED)]
#[case::a_failed_call(grpc("13"), UNANSWERED)]
#[case::a_call_without_end(Reply { trailers: vec![], ..Reply::yes(&[]) }, UNANSWERED)]
#[case::an_empty_message(Reply::yes(&[]).body(""), UNANSWERED)]
#[case::half_a_message(Reply::yes(&[("x-user", "a")]).body(&b"\0\0\0\0\x09\x0a"[..]), UNANSWERED)]
#[case::two_messages(Reply::yes(&[]).body(&b"\0\0\0\0\x02\x0a\0\0\0\0\0\x02\x0a\0"[..]), UNANSWERED)]
#[case::compressed(Reply::yes(&[]).body(&b"\x01\0\0\0\x02\x0a\0"[..]), UNANSWERED)]
#[case::more_than_64_kib(Reply::yes(&[("x-user", &"a".repeat(64 * 1024))]), UNANSWERED)]
#[case::a_value_with_a_line_feed(Reply::yes(&[("x-user", "a\nhost: b")]), UNANSWERED)]
#[case::a_pseudo_header(Reply::yes(&[(":path", "/admin")]), UNANSWERED)]
#[case::another_status(Reply { status: 500, ..Reply::yes(&[]) }, UNANSWERED)]
#[case::another_type(Reply { headers: vec![("content-type", "application/json".into())], ..Reply::yes(&[]) }, UNANSWERED)]
#[case::too_late(Reply::yes(&[]).after(Duration::from_secs(3)), UNANSWERED)]
#[tokio::test]
async fn by_grpc_what_is_no_yes_lets_nobody_through(#[case] reply: Reply, #[case] expected: &str) {
    let shop = Shop::start(reply, &asking(", timeout: 400ms, headersToBackend: [X-User]")).await;
    let answer = shop.asked(&[]).await;
    assert_eq!((&*answer.verdict(), shop.service.count()), (expected, 0));
    assert_eq!(answer.header("retry-after"), (expected == UNANSWERED).then_some("1"));
    let line = shop.gateway.log(1).await.remove(0);
    assert_eq!(
        (line["refusal"]["object"].as_str(), line["refusal"]["section"].as_str()),
        (Some(POLICY), Some("externalAuthorization"))
    );
}

#[rstest]
#[case::created(201, DENIED)]
#[case::no_content(204, DENIED)]
#[case::partial(206, DENIED)]
#[case::not_modified(304, UNANSWERED)]
#[case::elsewhere(302, UNANSWERED)]
#[case::unauthorized(401, DENIED)]
#[case::forbidden(403, DENIED)]
#[case::gone(410, DENIED)]
#[case::failed(500, UNANSWERED)]
#[case::unavailable(503, UNANSWERED)]
#[tokio::test]
async fn by_http_what_is_not_200_lets_nobody_through(#[case] status: u16, #[case] expected: &str) {
    let shop = Shop::start(Reply::http(status, &[("location", "http://127.0.0.1:1/yes")]), &by("HTTP", "")).await;
    assert_eq!((&*shop.verdict().await, shop.service.count()), (expected, 0));
}

#[tokio::test]
async fn what_breaks_off_or_never_comes_lets_nobody_through() {
    use crate::kit::endpoint::Endpoint;
    let endpoint = Endpoint::saying(&serde_json::json!({})).await;
    let address = endpoint.url().trim_start_matches("http://").trim_end_matches("/introspect").parse().unwrap();
    let service = Service::start().await;
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, ""),
        &backend("opa", address, ""),
        &policy("orders", &by("HTTP", ", timeout: 400ms")),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let bytes = |text: &str| Manner::Bytes(text.as_bytes().to_vec());
    let large = format!("HTTP/1.1 200 OK\r\nx-large: {}\r\ncontent-length: 0\r\n\r\n", "a".repeat(17 * 1024));
    let body = format!("HTTP/1.1 200 OK\r\ncontent-length: 70000\r\n\r\n{}", "a".repeat(70_000));
    for manner in [
        bytes(""),
        bytes("HTTP/1.1 200 OK\r\ncontent-len"),
        bytes("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
        bytes("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        bytes("HTTP/1.1 2000 OK\r\n\r\n"),
        bytes("yes"),
        bytes(&large),
        bytes(&body),
        Manner::Silence,
        Manner::Drip(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()),
        Manner::Endless(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        Manner::Endless(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n".to_vec()),
    ] {
        endpoint.answer(manner);
        let answer = send(gateway.http(), get("/orders", &[])).await;
        assert_eq!((&*answer.verdict(), service.count()), (UNANSWERED, 0), "{}", gateway.said(POLICY));
    }
    endpoint.answer(bytes("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "200");
}

#[tokio::test]
async fn who_is_away_lets_nobody_through_and_is_asked_again_when_it_is_back() {
    let shop = Shop::start(Reply::yes(&[]), &asking(", timeout: 400ms")).await;
    assert_eq!(shop.verdict().await, "200");
    shop.authorizer.say(Reply::yes(&[]).after(Duration::from_secs(2)));
    assert_eq!(shop.verdict().await, UNANSWERED);
    shop.authorizer.say(Reply::yes(&[]));
    assert_eq!(shop.verdict().await, "200");
    assert_eq!(shop.service.count(), 2);
    let gone = Shop::start(Reply::yes(&[]), &by("HTTP", "")).await;
    gone.authorizer.stop();
    sleep(Duration::from_millis(50)).await;
    assert_eq!((&*gone.verdict().await, gone.service.count()), (UNANSWERED, 0));
}

#[tokio::test]
async fn a_body_is_shown_whole_and_handed_on_as_it_was_shown() {
    let shop = Shop::start(Reply::yes(&[]), &asking(", forwardBody: {maxBytes: 8}")).await;
    assert_eq!(shop.posted("12345678").await.verdict(), "200");
    let http = shop.authorizer.one().told().request.unwrap().http.unwrap();
    assert_eq!((&http.raw_body[..], http.size), (&b"12345678"[..], 8));
    assert_eq!((&shop.service.one().body[..], shop.service.count()), (&b"12345678"[..], 0));
    let trailers = HeaderMap::from_iter(
        [("x-sum", "1"), ("x_user", "root")]
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))),
    );
    let frames = [
        Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"1234"))),
        Ok(Frame::data(Bytes::from_static(b"5678"))),
        Ok(Frame::trailers(trailers)),
    ];
    let chunked =
        Request::post("/orders").header("host", HOST).header("te", "trailers").header("trailer", "x-sum, x_user");
    let chunked = chunked.body(StreamBody::new(stream::iter(frames)).boxed()).unwrap();
    assert_eq!(send(shop.gateway.http(), chunked).await.verdict(), "200");
    assert_eq!(&shop.authorizer.one().told().request.unwrap().http.unwrap().raw_body[..], b"12345678");
    let seen = shop.service.one();
    assert_eq!(
        (&seen.body[..], seen.trailers.unwrap().get("x-sum").map(HeaderValue::as_bytes)),
        (&b"12345678"[..], Some(&b"1"[..]))
    );
    assert_eq!(shop.posted("").await.verdict(), "200");
    assert_eq!(shop.authorizer.one().told().request.unwrap().http.unwrap().size, 0);
}

#[tokio::test]
async fn a_body_that_cannot_be_shown_whole_is_shown_to_nobody() {
    let mut shop = Shop::start(Reply::yes(&[]), &asking(", forwardBody: {maxBytes: 8}")).await;
    let chunked =
        |body: &str| format!("POST /orders HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n{body}");
    let long = format!("POST /orders HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 9\r\n\r\n123456789");
    for (request, status) in [
        (chunked("9\r\n123456789\r\n0\r\n\r\n"), "413"),
        (chunked("8\r\n12345678\r\n1\r\n9\r\n0\r\n\r\n"), "413"),
        (chunked("8\r\n12345678\r\nx\r\n"), "400"),
        (long, "413"),
    ] {
        let heard = raw(shop.gateway.http(), request.as_bytes()).await;
        assert!(heard.text.starts_with(&format!("HTTP/1.1 {status}")), "{request:?}: {heard:?}");
    }
    assert_eq!((shop.authorizer.count(), shop.service.count()), (0, 0));
    // A policy that bounds bodies more tightly has the first word.
    shop.require(&(asking(", forwardBody: {maxBytes: 8}") + "request: {maxBodyBytes: 4}\n"));
    let heard = raw(shop.gateway.http(), chunked("5\r\n12345\r\n0\r\n\r\n").as_bytes()).await;
    assert!(heard.text.starts_with("HTTP/1.1 413"), "{heard:?}");
    assert_eq!((shop.authorizer.count(), shop.service.count()), (0, 0));
}

#[tokio::test]
async fn who_expects_100_is_told_to_go_on_only_when_the_body_is_wanted() {
    let shop = Shop::start(Reply::yes(&[]), &asking(", forwardBody: {maxBytes: 8}")).await;
    let asking_first = |length: usize| {
        format!("POST /orders HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n")
    };
    let refused = raw(shop.gateway.http(), asking_first(9).as_bytes()).await;
    assert!(refused.text.starts_with("HTTP/1.1 413"), "{refused:?}");
    let wanted = raw(shop.gateway.http(), (asking_first(8) + "12345678").as_bytes()).await;
    assert!(wanted.text.starts_with("HTTP/1.1 100") && wanted.text.contains("HTTP/1.1 200"), "{wanted:?}");
}

#[rstest]
#[case("X-User", "x-user")]
#[case("X-User", "x_user")]
#[case("X_User", "x-user")]
#[tokio::test]
async fn what_it_may_set_nobody_else_sets(#[case] listed: &str, #[case] sent: &str) {
    let shop = Shop::start(Reply::yes(&[]), &asking(&format!(", headersToBackend: [{listed}]"))).await;
    assert_eq!(shop.asked(&[(sent, "root")]).await.verdict(), "200");
    assert_eq!(shop.asked(&[(sent, "root"), ("connection", sent)]).await.verdict(), "200");
    for seen in shop.service.take() {
        assert!(seen.headers.values().all(|value| value != "root"), "{seen:#?}");
    }
}

#[tokio::test]
async fn a_header_that_is_no_text_is_the_callers_fault() {
    let shop = Shop::start(Reply::yes(&[]), &asking(", headersToAuthorizer: [X-Team]")).await;
    let heard = raw(
        shop.gateway.http(),
        format!("GET /orders HTTP/1.1\r\nhost: {HOST}\r\nx-team: \u{1}\r\n\r\n").replace('\u{1}', "\u{80}").as_bytes(),
    )
    .await;
    assert!(heard.text.starts_with("HTTP/1.1 200"), "UTF-8 passes: {heard:?}");
    let unfit = [format!("GET /orders HTTP/1.1\r\nhost: {HOST}\r\nx-team: ").as_bytes(), b"\xff\r\n\r\n"].concat();
    let heard = raw(shop.gateway.http(), &unfit).await;
    assert!(heard.text.starts_with("HTTP/1.1 400") && heard.text.contains("malformed-request"), "{heard:?}");
    assert_eq!((shop.authorizer.count(), shop.service.count()), (1, 1));
}

#[tokio::test]
async fn a_key_is_never_shown_and_nothing_is_asked_before_who_calls_is_known() {
    let keys = "authentication: [{name: partners, subscriptionKey: {headers: [X-Api-Key], queryParameters: [key]}}]\n";
    let spec = |more: &str| asking(more).replace(&format!("{OPEN}\n"), keys);
    let mut shop = Shop::start(Reply::yes(&[]), &spec(", headersToAuthorizer: [X-Api-Key, X_Api_Key, X-Team], context: [{name: who, expression: auth.subscription.id}]")).await;
    let granted = "{apis: [{kind: HTTPRoute, name: orders}]}";
    shop.gateway
        .write("keys.yaml", &subscription("partner", granted, "{primary: a-key-of-32-characters-or-even-more}"));
    let key = "a-key-of-32-characters-or-even-more";
    assert_eq!(shop.verdict().await, "401 credential-missing");
    assert_eq!(shop.asked(&[("x-api-key", "wrong")]).await.verdict(), "401 key-unknown");
    assert_eq!(shop.authorizer.count(), 0);
    assert_eq!(shop.asked(&[("x-api-key", key), ("x-team", "a")]).await.verdict(), "200");
    let by_query = send(shop.gateway.http(), get(&format!("/orders?a=b&key={key}"), &[])).await;
    assert_eq!(by_query.verdict(), "200");
    let asked = shop.authorizer.take();
    assert_eq!(asked.len(), 2);
    for question in &asked {
        let text = String::from_utf8_lossy(&question.body).into_owned();
        assert!(!text.contains(key) && text.contains("shop/partner"), "{text}");
    }
    assert_eq!(asked[1].told().request.unwrap().http.unwrap().path, "/orders?a=b");
}

#[tokio::test]
async fn what_it_would_have_to_be_told_and_cannot_be_refuses() {
    let mut shop = Shop::start(
        Reply::yes(&[]),
        &asking(", context: [{name: team, expression: 'request.headers[\"x-team\"][0]'}]"),
    )
    .await;
    assert_eq!(shop.verdict().await, DENIED);
    assert_eq!(shop.asked(&[("x-team", "a")]).await.verdict(), "200");
    assert_eq!(shop.authorizer.one().told().context_extensions["team"], "a");
    shop.require(&asking(", context: [{name: team, expression: auth.?subscription.id}]"));
    assert_eq!(shop.verdict().await, "200");
    assert!(shop.authorizer.one().told().context_extensions.is_empty(), "what is absent is left out");
    shop.require(&by("HTTP", ", context: [{name: X-Team, expression: 'request.query[\"team\"][0]'}]"));
    shop.authorizer.say(Reply::http(200, &[]));
    let asked = send(shop.gateway.http(), get("/orders?team=a%0d%0ax-admin:%20b", &[])).await;
    assert_eq!((asked.verdict(), shop.authorizer.count()), (DENIED.to_owned(), 0));
}

fn floor(name: &str, more: &str) -> String {
    let spec = asking(more).replace(&format!("{OPEN}\n"), "enforcement: Floor\n").replace("name: opa}", "name: floor}");
    policy_on(name, "{group: gateway.networking.k8s.io, kind: Gateway, name: public}", &spec)
}

#[tokio::test]
async fn all_who_are_named_are_asked_and_the_floor_has_the_last_word() {
    let floor_says = Authorizer::saying(Reply::yes(&[("x-user", "floor"), ("x-floor", "yes")])).await;
    let more = ", headersToBackend: [X-User, X-Near]";
    let mut shop = Shop::start(Reply::yes(&[("x-user", "near"), ("x-near", "yes")]), &asking(more)).await;
    shop.gateway.write("floor-backend.yaml", &backend("floor", floor_says.address, ""));
    shop.gateway.write("floor.yaml", &floor("base", ", headersToBackend: [X-User, X-Floor]"));
    assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
    assert_eq!(shop.asked(&[("x-floor", "root")]).await.verdict(), "200");
    let seen = shop.service.one();
    assert_eq!(
        (seen.header("x-user"), seen.header("x-near"), seen.header("x-floor")),
        (Some("floor"), Some("yes"), Some("yes"))
    );
    assert_eq!((shop.authorizer.take().len(), floor_says.take().len()), (1, 1));
    floor_says.say(Reply::no());
    assert_eq!(shop.verdict().await, DENIED);
    assert_eq!((shop.authorizer.count(), floor_says.take().len()), (0, 1), "the floor is asked first");
    floor_says.say(Reply::yes(&[]));
    shop.authorizer.say(Reply::no());
    assert_eq!(shop.verdict().await, DENIED);
    shop.authorizer.say(Reply::yes(&[]));
    shop.require(OPEN);
    floor_says.say(Reply::no());
    assert_eq!(shop.verdict().await, DENIED, "a nearer policy takes no floor away");
    assert_eq!(shop.service.count(), 0);
}

#[tokio::test]
async fn what_a_floor_lets_its_authorizer_set_no_route_sets() {
    let floor_says = Authorizer::saying(Reply::yes(&[])).await;
    let mut shop = Shop::start(Reply::yes(&[("x-tenant", "near")]), &asking(", headersToBackend: [X-Tenant]")).await;
    shop.gateway.write("floor-backend.yaml", &backend("floor", floor_says.address, ""));
    shop.gateway.write("floor.yaml", &floor("base", ", headersToBackend: [X-Tenant]"));
    let filter = "requestHeaderModifier: {set: [{name: X-Tenant, value: route}, {name: X_Tenant, value: route}]}";
    let filtered = route("orders", "shop") + &format!("    filters: [{{type: RequestHeaderModifier, {filter}}}]\n");
    let manifests =
        [GATEWAY, &filtered, &backend("shop", shop.service.address, ""), &backend("opa", shop.authorizer.address, "")];
    shop.gateway.write("main.yaml", &manifests.concat());
    let set = "requestHeaders: {set: [{name: X-Tenant, value: policy}]}\n";
    for spec in [OPEN.to_owned() + "\n", asking(", headersToBackend: [X-Tenant]")] {
        for more in ["", set] {
            shop.require(&(spec.clone() + more));
            assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
            for (said, tenant) in [(Reply::yes(&[]), None), (Reply::yes(&[("x-tenant", "acme")]), Some("acme"))] {
                floor_says.say(said);
                assert_eq!(shop.asked(&[("x-tenant", "root")]).await.verdict(), "200");
                let seen = shop.service.one();
                assert_eq!((seen.header("x-tenant"), seen.header("x_tenant")), (tenant, None), "{spec}{more}");
            }
        }
    }
    let nearer = floor("nearer", ", headersToBackend: [X-Tenant]")
        .replace("kind: Gateway, name: public", "kind: HTTPRoute, name: orders")
        .replace("name: floor}", "name: opa}");
    shop.gateway.write("nearer.yaml", &nearer);
    shop.require(OPEN);
    assert_eq!(shop.verdict().await, "200");
    assert_eq!(shop.service.one().header("x-tenant"), Some("acme"), "a Floor of the route beats none of the Gateway");
}

#[tokio::test]
async fn what_only_the_gateway_may_say_is_not_told_as_the_callers_word() {
    let more = ", headersToAuthorizer: [X-User, X_User, X-Other, X-Key, X-Team], headersToBackend: [X-Other]";
    let set = "requestHeaders: {set: [{name: X-User, value: known}]}\n";
    let mut shop = Shop::start(Reply::yes(&[]), &(asking(more) + set)).await;
    shop.gateway.write(
        "elsewhere.yaml",
        &(route("elsewhere", "shop")
            + &policy(
                "elsewhere",
                "authentication: [{name: keys, subscriptionKey: {headers: [X-Key], queryParameters: [user]}}]",
            )),
    );
    assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
    let headers = [("x-user", "admin"), ("x_user", "admin"), ("x-other", "admin"), ("x-key", "a-key"), ("x-team", "a")];
    assert_eq!(send(shop.gateway.http(), get("/orders?user=root&a=b", &headers)).await.verdict(), "200");
    let http = shop.authorizer.one().told().request.unwrap().http.unwrap();
    assert_eq!(http.headers.into_iter().collect::<Vec<_>>(), [("x-team".to_owned(), "a".to_owned())]);
    let seen = shop.service.one();
    assert_eq!((&*http.path, &*seen.target), ("/orders?a=b", "/orders?a=b"), "both are told the same");
    // Of another service's routes that key is no key here.
    let other = Service::start().await;
    shop.gateway.write(
        "elsewhere.yaml",
        &(backend("other", other.address, "").replace("address: {ip: 127.0.0.1", "host: {name: localhost")
            + &route("elsewhere", "other")
            + &policy("elsewhere", "authentication: [{name: keys, subscriptionKey: {queryParameters: [user]}}]")),
    );
    assert_eq!(send(shop.gateway.http(), get("/orders?user=root", &[])).await.verdict(), "200");
    let http = shop.authorizer.one().told().request.unwrap().http.unwrap();
    assert_eq!((&*http.path, &*shop.service.one().target), ("/orders?user=root", "/orders?user=root"));
}

#[tokio::test]
async fn what_it_takes_out_the_service_does_not_get() {
    let said = OkResponse {
        headers_to_remove: vec!["X-Api-Token".into(), "Host".into(), ":path".into()],
        ..OkResponse::default()
    };
    let reply = CheckResponse { status: Some(Status::default()), ok_response: Some(said), ..CheckResponse::default() };
    let shop = Shop::start(Reply::grpc(&reply), &asking("")).await;
    assert_eq!(shop.asked(&[("x-api-token", "a"), ("x_api_token", "b"), ("x-kept", "c")]).await.verdict(), "200");
    let seen = shop.service.one();
    assert_eq!(
        (seen.header("x-api-token"), seen.header("x_api_token"), seen.header("x-kept")),
        (None, None, Some("c"))
    );
    assert_eq!(seen.authority, HOST);
}

#[tokio::test]
async fn what_a_trusted_proxy_tells_of_the_way_is_told() {
    let (service, authorizer) = (Service::start().await, Authorizer::saying(Reply::http(200, &[])).await);
    let manifests = [
        gateway_with("{trustedProxies: {cidrs: [127.0.0.0/8]}}"),
        route("orders", "shop"),
        backend("shop", service.address, ""),
        backend("opa", authorizer.address, ""),
        policy("orders", &by("HTTP", "")),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let told =
        [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example.com")];
    assert_eq!(send(gateway.http(), get("/orders", &told)).await.verdict(), "200");
    let asked = authorizer.one();
    for (name, value) in told {
        assert_eq!(asked.header(name), Some(value));
    }
    assert_eq!(send(gateway.http(), get("/orders", &[("x-forwarded-proto", "gopher")])).await.verdict(), "200");
    assert_eq!(authorizer.one().header("x-forwarded-proto"), Some("http"));
}

#[tokio::test]
async fn a_token_that_it_answers_travels_whoever_was_let_in() {
    let ways = "authentication: [{name: keys, subscriptionKey: {}}, {name: staff, jwt: {issuer: 'https://login.invalid', audiences: [orders], keys: {inline: '{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"1\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}'}}}]\n";
    let spec = asking(", headersToBackend: [Authorization]").replace(&format!("{OPEN}\n"), ways);
    let mut shop = Shop::start(Reply::yes(&[("authorization", "Bearer internal")]), &spec).await;
    let granted = "{apis: [{kind: HTTPRoute, name: orders}]}";
    shop.gateway
        .write("keys.yaml", &subscription("partner", granted, "{primary: a-key-of-32-characters-or-even-more}"));
    let key = ("sallyport-key", "a-key-of-32-characters-or-even-more");
    assert_eq!(shop.asked(&[key, ("authorization", "Bearer callers")]).await.verdict(), "200");
    assert_eq!(shop.service.one().header("authorization"), Some("Bearer internal"));
    shop.authorizer.say(Reply::yes(&[]));
    assert_eq!(shop.asked(&[key, ("authorization", "Bearer callers")]).await.verdict(), "200");
    assert_eq!(shop.service.one().header("authorization"), None);
}

#[rstest]
#[case::the_policy(true)]
#[case::what_streams_outlast(false)]
#[tokio::test]
async fn whose_policy_is_gone_before_the_body_has_come_is_let_in_by_none(#[case] ends: bool) {
    let streams = format!("streams: {{endOnExpiry: {ends}}}\n");
    let mut shop = Shop::start(Reply::yes(&[]), &(asking(", forwardBody: {maxBytes: 8}") + &streams)).await;
    let mut stream = TcpStream::connect(shop.gateway.http()).await.unwrap();
    let head = format!("POST /orders HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 8\r\n\r\n1234");
    stream.write_all(head.as_bytes()).await.unwrap();
    sleep(Duration::from_millis(150)).await;
    shop.require(
        &(asking(", forwardBody: {maxBytes: 8}").replace(OPEN, "authentication: [{name: keys, subscriptionKey: {}}]")
            + &streams),
    );
    stream.write_all(b"5678").await.unwrap();
    let heard = hear(&mut stream).await;
    assert!(heard.text.starts_with("HTTP/1.1 403") && heard.text.contains("permit-ended"), "{heard:?}");
    assert_eq!(shop.service.count(), 0);
}

#[tokio::test]
async fn of_a_service_that_speaks_grpc_no_body_is_shown() {
    let mut shop = Shop::start(Reply::yes(&[]), OPEN).await;
    let calls = backend("shop", shop.service.address, "protocol: GRPC");
    let manifests = [GATEWAY, &route("orders", "shop"), &calls, &backend("opa", shop.authorizer.address, "")];
    shop.gateway.write("main.yaml", &manifests.concat());
    shop.require(&asking(", forwardBody: {maxBytes: 8}"));
    assert!(shop.gateway.said(POLICY).contains("no end to wait for"), "{}", shop.gateway.said(POLICY));
    assert_eq!((shop.verdict().await, shop.authorizer.count()), ("500 configuration".to_owned(), 0));
    shop.require(&asking(""));
    assert_eq!(shop.verdict().await, "200");
}

#[tokio::test]
async fn policies_of_every_level_are_asked() {
    let further = Authorizer::saying(Reply::yes(&[("x-user", "gateway"), ("x-far", "yes")])).await;
    let mut shop = Shop::start(Reply::yes(&[("x-user", "route")]), &asking(", headersToBackend: [X-User]")).await;
    shop.gateway.write("further.yaml", &backend("further", further.address, ""));
    let spec = asking(", headersToBackend: [X-User, X-Far]").replace("name: opa", "name: further");
    shop.gateway.write(
        "base.yaml",
        &policy_on("base", "{group: gateway.networking.k8s.io, kind: Gateway, name: public}", &spec),
    );
    assert_eq!(shop.verdict().await, "200");
    let seen = shop.service.one();
    assert_eq!((seen.header("x-user"), seen.header("x-far")), (Some("route"), Some("yes")));
    further.say(Reply::no());
    assert_eq!((shop.verdict().await, shop.service.count()), (DENIED.to_owned(), 0));
}

#[tokio::test]
async fn a_no_is_passed_on_only_where_that_is_said() {
    let denied = || {
        let headers = vec![
            option("www-authenticate", "Bearer realm=\"theirs\""),
            option("x-secret", "a"),
            option("content-type", "text/plain"),
        ];
        let denied = DeniedResponse { status: Some(Status { code: 401 }), headers, body: "log in".into() };
        Reply::grpc(&CheckResponse { denied_response: Some(denied), ..status(16) })
    };
    let mut shop = Shop::start(denied(), &asking(", headersToCaller: [WWW-Authenticate], denial: Pass")).await;
    let answer = shop.asked(&[]).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..], answer.header("content-type")),
        (401, &b"log in"[..], Some("text/plain"))
    );
    assert_eq!((answer.header("www-authenticate"), answer.header("x-secret")), (Some("Bearer realm=\"theirs\""), None));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    shop.require(&asking(", headersToCaller: [WWW-Authenticate]"));
    let answer = shop.asked(&[]).await;
    assert_eq!((answer.verdict(), answer.header("www-authenticate")), (DENIED.to_owned(), None));
    shop.require(&by("HTTP", ", headersToCaller: [Location], denial: Pass"));
    shop.authorizer.say(Reply::http(302, &[("location", "https://login.example.com/?back=/orders")]));
    let answer = shop.asked(&[]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (302, Some("https://login.example.com/?back=/orders"))
    );
    shop.authorizer.say(Reply::http(200, &[]).body("not this"));
    assert_eq!(shop.verdict().await, "200");
    assert_eq!(shop.service.count(), 1);
    let lines = shop.gateway.log(4).await;
    assert_eq!(lines[0]["status"], 401);
    assert!(lines.iter().all(|line| !line.to_string().contains("log in")), "{lines:#?}");
}

#[tokio::test]
async fn what_cannot_be_resolved_closes_and_says_why() {
    let mut shop = Shop::start(Reply::yes(&[]), &asking("")).await;
    let foreign = "externalAuthorization: {backendRef: {group: sallyport.dev, kind: Backend, name: opa, namespace: other}, protocol: GRPC}\n";
    let shown = |credential: &str| backend("opa", shop.authorizer.address, credential);
    let (passing, query) = (
        shown("credential: {passThrough: {}}"),
        shown("credential: {queryParameter: {name: key, secretRef: {name: opa, key: key}}}"),
    );
    let plain = shown("");
    for (file, spec, told) in [
        (&plain, asking("").replace("name: opa", "name: gone"), "Backend shop/gone does not exist"),
        (&plain, format!("{OPEN}\n{foreign}"), "ReferenceGrant"),
        (
            &plain,
            asking("").replace("group: sallyport.dev, kind: Backend, name: opa", "name: opa, port: 80"),
            "Service shop/opa does not exist",
        ),
        (&passing, asking(""), "of kind passThrough"),
        (&query, asking(""), "of kind queryParameter"),
        (&plain, asking(", context: [{name: who, expression: auth.nobody}]"), "auth has no field nobody"),
        (
            &plain,
            asking(", context: [{name: x_team, value: a}], headersToAuthorizer: [X-Team]"),
            "headersToAuthorizer lists as well",
        ),
    ] {
        shop.gateway.write(
            "main.yaml",
            &[
                GATEWAY,
                &route("orders", "shop"),
                &backend("shop", shop.service.address, ""),
                file,
                &secret("opa", "{key: value}"),
            ]
            .concat(),
        );
        shop.require(&spec);
        assert_eq!(shop.verdict().await, "500 configuration", "{told}");
        assert!(shop.gateway.said(POLICY).contains(told), "{told}: {}", shop.gateway.said(POLICY));
    }
    assert_eq!((shop.authorizer.count(), shop.service.count()), (0, 0));
}

#[tokio::test]
async fn the_backend_of_an_authorizer_shows_who_asks() {
    let mut shop = Shop::start(Reply::http(200, &[]), &by("HTTP", ", headersToAuthorizer: [Authorization]")).await;
    let login = "credential: {basic: {secretRef: {name: opa}}}";
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", shop.service.address, ""),
        &backend("opa", shop.authorizer.address, login),
    ];
    shop.gateway.write("main.yaml", &manifests.concat());
    shop.gateway.write("secret.yaml", &secret("opa", "{username: gateway, password: pass}"));
    assert_eq!(shop.asked(&[("authorization", "Bearer callers")]).await.verdict(), "200");
    assert_eq!(shop.authorizer.one().header("authorization"), Some("Basic Z2F0ZXdheTpwYXNz"));
    assert_eq!(shop.service.one().header("authorization"), Some("Bearer callers"));
    shop.gateway.remove("secret.yaml");
    assert_eq!((shop.verdict().await, shop.authorizer.count()), ("500 configuration".to_owned(), 0));
}

#[tokio::test]
async fn what_only_reports_is_told_and_delays_nobody() {
    let report = |more: &str| format!("mode: Report\n{}", asking(more));
    let mut shop = Shop::start(Reply::no().after(Duration::from_millis(300)), OPEN).await;
    let target = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}";
    shop.gateway.write("report.yaml", &policy_on("trial", target, &report(", headersToBackend: [X-User]")));
    let began = Instant::now();
    assert_eq!(shop.asked(&[("x-user", "alice")]).await.verdict(), "200");
    assert!(began.elapsed() < Duration::from_millis(250));
    assert_eq!(shop.service.one().header("x-user"), Some("alice"), "it sets nothing");
    let told = |line: &serde_json::Value| line["would_refuse"][0]["refusal"]["reason"].as_str().map(str::to_owned);
    let line = shop.gateway.log(1).await.remove(0);
    assert_eq!(told(&line).as_deref(), Some("external-authorization-denied"), "{line}");
    shop.authorizer.say(Reply::yes(&[]));
    assert_eq!(shop.verdict().await, "200");
    assert_eq!(told(&shop.gateway.log(2).await.remove(1)), None);
    shop.gateway.write("report.yaml", &policy_on("trial", target, &report(", forwardBody: {maxBytes: 8}")));
    assert_eq!(shop.posted("body").await.verdict(), "200");
    let line = shop.gateway.log(3).await.remove(2);
    assert_eq!(told(&line).as_deref(), Some("rehearsal-incomplete"), "{line}");
    shop.require(&asking(", forwardBody: {maxBytes: 8}"));
    shop.authorizer.take();
    assert_eq!(shop.posted("body").await.verdict(), "200");
    assert_eq!(told(&shop.gateway.log(4).await.remove(3)), None, "the body is read anyway");
    assert_eq!(shop.authorizer.count(), 2);
}

#[tokio::test]
async fn a_preflight_and_a_redirect_ask_nobody() {
    let mut shop =
        Shop::start(Reply::no(), &(asking("") + "cors: {allowOrigins: ['https://shop.example.com']}\n")).await;
    let preflight = Request::options("/orders")
        .header("host", HOST)
        .header("origin", "https://shop.example.com")
        .header("access-control-request-method", "GET")
        .body(Full::new(Bytes::new()))
        .unwrap();
    assert_eq!(send(shop.gateway.http(), preflight).await.status.as_u16(), 204);
    let elsewhere = route("orders", "shop").replace(
        "    backendRefs: [{group: sallyport.dev, kind: Backend, name: shop}]",
        "    filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example.com}}]",
    );
    let manifests =
        [GATEWAY, &elsewhere, &backend("shop", shop.service.address, ""), &backend("opa", shop.authorizer.address, "")];
    shop.gateway.write("main.yaml", &manifests.concat());
    assert_eq!(shop.asked(&[]).await.status.as_u16(), 302);
    assert_eq!((shop.authorizer.count(), shop.service.count()), (0, 0));
}

#[tokio::test]
async fn a_no_uses_no_limit_up_that_knows_the_caller() {
    let limits = "limits: [{name: each, by: Identity, requests: 1, per: 60s}]\n";
    let shop = Shop::start(Reply::no(), &(asking("") + limits)).await;
    for _ in 0..3 {
        assert_eq!(shop.verdict().await, DENIED);
    }
    shop.authorizer.say(Reply::yes(&[]));
    assert_eq!(shop.verdict().await, "200");
    assert_eq!(shop.verdict().await, "429 rate-exceeded");
    assert_eq!(shop.authorizer.count(), 5);
}

#[tokio::test]
async fn it_is_asked_once_more_where_a_kept_connection_was_closed() {
    let shop = Shop::start(Reply::http(200, &[("connection", "close")]), &by("HTTP", "")).await;
    for _ in 0..5 {
        assert_eq!(shop.verdict().await, "200");
    }
    assert_eq!((shop.authorizer.count(), shop.service.count()), (5, 5));
}
