//! What lasts, flows both ways, or ends with trailers.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::kit::caller::{HOST, get, hear, http2, open, over, raw, read, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route, secret, subscription};
use crate::kit::orders::Orders;
use crate::kit::service::Service;

async fn open_gateway(service: &Service, more: &str) -> Gateway {
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, more), &policy("orders", OPEN)];
    Gateway::start(&manifests.concat()).await
}

fn upgrade(target: &str, headers: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = get(target, headers);
    request.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    request.headers_mut().insert("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
    request
}

/// A tunnel through the gateway that echoes.
async fn tunnel(gateway: &Gateway, headers: &[(&str, &str)]) -> TokioIo<hyper::upgrade::Upgraded> {
    let stream = TcpStream::connect(gateway.http()).await.unwrap();
    let response = open(stream, upgrade("/orders/ws", headers)).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    tunnel.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    tunnel.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
    tunnel
}

async fn ends_within(tunnel: &mut TokioIo<hyper::upgrade::Upgraded>, limit: Duration) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(limit, tunnel.read_to_end(&mut rest)).await.is_ok()
}

const BY_TOKEN_OR_KEY: &str = "authentication:\n- name: staff\n  jwt: {issuer: '${ISSUER}', audiences: [orders-api], keys: {inline: '${KEYS}'}}\n- {name: customers, subscriptionKey: {}}\n";
const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

async fn guarded(service: &Service, issuer: &Issuer) -> Gateway {
    let spec = BY_TOKEN_OR_KEY.replace("${ISSUER}", &issuer.name()).replace("${KEYS}", &issuer.key_set().to_string());
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, "")];
    let mut gateway = Gateway::start(&manifests.concat()).await;
    gateway.write("policy.yaml", &policy("orders", &spec));
    let scope = "{apis: [{kind: HTTPRoute, name: orders}]}";
    gateway.write("keys.yaml", &subscription("acme", scope, &format!("{{primary: {KEY}}}")));
    gateway
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_ends_when_its_token_does() {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let gateway = guarded(&service, &issuer).await;
    let end = gateway.clock.now().seconds() + 600;
    let token = format!("Bearer {}", issuer.token_with("orders-api", &json!({ "exp": end })));
    let mut websocket = tunnel(&gateway, &[("authorization", &token)]).await;
    assert!(!ends_within(&mut websocket, Duration::from_millis(700)).await, "the token is good for ten minutes");
    gateway.clock.advance(Duration::from_secs(601));
    assert!(ends_within(&mut websocket, Duration::from_millis(1500)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_ends_when_its_subscription_or_its_policy_changes_and_not_otherwise() {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let mut gateway = guarded(&service, &issuer).await;
    let token = format!("Bearer {}", issuer.token("orders-api"));
    let mut by_token = tunnel(&gateway, &[("authorization", &token)]).await;
    let mut by_key = tunnel(&gateway, &[("sallyport-key", KEY)]).await;
    gateway.write("other.yaml", &route("other", "shop"));
    assert!(!ends_within(&mut by_key, Duration::from_millis(1200)).await, "another route is not its business");
    gateway.remove("keys.yaml");
    assert!(ends_within(&mut by_key, Duration::from_millis(1500)).await);
    assert!(!ends_within(&mut by_token, Duration::from_millis(100)).await, "the key is not its credential");
    gateway.write("policy.yaml", &policy("orders", OPEN));
    assert!(ends_within(&mut by_token, Duration::from_millis(1500)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_ends_when_the_issuer_takes_back_the_key_of_its_token() {
    let issuer = Issuer::start().await;
    let orders = Orders::behind(&issuer.name(), "").await;
    let old = issuer.token("orders-api");
    orders.served(&old).await;
    let mut websocket = tunnel(&orders.gateway, &[("authorization", &format!("Bearer {old}"))]).await;
    assert!(!ends_within(&mut websocket, Duration::from_millis(700)).await, "the key is good");
    issuer.rotate("second");
    let only_new: Vec<_> = issuer.key_set()["keys"].as_array().unwrap().iter().skip(1).cloned().collect();
    issuer.publish(&json!({ "keys": only_new }).to_string());
    // A token of the new key makes the gateway look.
    orders.served(&issuer.token("orders-api")).await;
    assert!(ends_within(&mut websocket, Duration::from_millis(1500)).await);
    assert_eq!(orders.verdict(&old).await, "401 token-invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_events_flows_at_once_and_ends_with_its_subscription() {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let mut gateway = guarded(&service, &issuer).await;
    let stream = TcpStream::connect(gateway.http()).await.unwrap();
    let mut response = open(stream, get("/orders/drip", &[("sallyport-key", KEY)])).await;
    for expected in 0..3 {
        let frame =
            tokio::time::timeout(Duration::from_secs(1), response.frame()).await.expect("no buffering").unwrap();
        assert_eq!(frame.unwrap().into_data().unwrap(), format!("data: {expected}\n\n"));
    }
    gateway.remove("keys.yaml");
    let ended = async { while let Some(Ok(_)) = response.frame().await {} };
    tokio::time::timeout(Duration::from_millis(2000), ended)
        .await
        .expect("it ends although the service goes on talking");
}

#[tokio::test]
async fn an_upgrade_that_is_not_admitted_is_refused_and_what_follows_is_no_request() {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let gateway = guarded(&service, &issuer).await;
    let smuggled = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nGET /orders/smuggled HTTP/1.1\r\nhost: api.example.com\r\nsallyport-key: sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n";
    let heard = raw(gateway.http(), smuggled.as_bytes()).await;
    assert_eq!(heard.statuses().first(), Some(&401), "{heard:?}");
    assert!(service.take().iter().all(|seen| !seen.headers.contains_key("upgrade")));
}

#[tokio::test]
async fn a_service_that_switches_to_what_nobody_asked_for_is_not_let() {
    let service = Service::start().await;
    let gateway = open_gateway(&service, "").await;
    let mut request = upgrade("/orders", &[]);
    request.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("chat/2"));
    let answer = send(gateway.http(), request).await;
    assert_eq!(answer.verdict(), "502 upstream-protocol", "it switches to websocket");
}

#[tokio::test]
async fn h2c_is_no_upgrade() {
    let service = Service::start().await;
    let gateway = open_gateway(&service, "").await;
    let mut request = get("/orders", &[("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQAAP__")]);
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade, HTTP2-Settings"));
    assert_eq!(send(gateway.http(), request).await.status, 200);
    let seen = service.one();
    assert_eq!((seen.header("upgrade"), seen.header("http2-settings")), (None, None));
}

/// Whatever was answered before on the connection, or is answered while the upgrade waits behind it.
#[tokio::test]
async fn an_upgrade_comes_after_other_requests_of_its_connection() {
    let service = Service::start().await;
    let gateway = open_gateway(&service, "").await;
    let plain = format!("GET /orders HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let upgrade = format!(
        "GET /orders/ws HTTP/1.1\r\nhost: {HOST}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    for pieces in [vec![plain.clone(), upgrade.clone()], vec![plain + &upgrade]] {
        let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
        let mut statuses = Vec::new();
        for piece in pieces {
            stream.write_all(piece.as_bytes()).await.unwrap();
            statuses.extend(hear(&mut stream).await.statuses());
        }
        assert_eq!(statuses, [200, 101]);
        stream.write_all(b"\x81\x04ping").await.unwrap();
        let mut echo = [0; 6];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"\x81\x04ping");
    }
}

/// A connection whose upgrade is answered by the gateway itself goes on as HTTP.
#[tokio::test]
async fn an_upgrade_that_is_redirected_leaves_http_behind() {
    let service = Service::start().await;
    let manifests = [
        GATEWAY,
        "\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: moved, namespace: shop}\nspec: {parentRefs: [{name: public}], rules: [{filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /orders}}}]}]}\n",
        &backend("shop", service.address, ""),
        &policy("moved", OPEN),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let asked = format!("GET /ws HTTP/1.1\r\nhost: {HOST}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
    let heard = raw(gateway.http(), (asked.clone() + &asked).as_bytes()).await;
    assert_eq!(heard.statuses(), [302, 302]);
}

#[tokio::test]
async fn bodies_and_trailers_travel_in_both_directions() {
    let service = Service::start().await;
    let gateway = open_gateway(&service, "").await;
    let trailers: HeaderMap =
        [("x-sum", "1"), ("authorization", "Bearer x"), ("host", "evil"), ("content-length", "3")]
            .into_iter()
            .map(|(name, value)| (name.parse::<header::HeaderName>().unwrap(), HeaderValue::from_static(value)))
            .collect();
    let frames = [
        Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from("one"))),
        Ok(Frame::data(Bytes::from("two"))),
        Ok(Frame::trailers(trailers)),
    ];
    let request = Request::post("/orders/trailers")
        .header(header::HOST, HOST)
        .header(header::TE, "trailers")
        .header(header::TRAILER, "x-sum")
        .body(StreamBody::new(stream::iter(frames)))
        .unwrap();
    let answer = send(gateway.http(), request).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"onetwo"[..]));
    let seen = service.one();
    let received = seen.trailers.unwrap_or_default();
    assert_eq!(received.get("x-sum").map(HeaderValue::as_bytes), Some(&b"1"[..]), "{received:?}");
    for name in ["authorization", "host", "content-length"] {
        assert!(!received.contains_key(name), "{name} in a trailer is nobody's word: {received:?}");
    }
}

#[rstest]
#[tokio::test]
async fn a_trailer_says_nothing_that_only_the_gateway_says(#[values("HTTP11", "H2C")] protocol: &str) {
    let service = Service::start().await;
    let vendor = "credential: {header: {name: X-Api-Key, secretRef: {name: vendor, key: key}}}";
    let spec = "authentication: [{name: customers, subscriptionKey: {}}]\nrequestHeaders: {set: [{name: X-User, value: verified}]}";
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, &format!("protocol: {protocol}\n{vendor}")),
        &secret("vendor", "{key: ours}"),
        &policy("orders", spec),
        &subscription("acme", "{apis: [{kind: HTTPRoute, name: orders}]}", &format!("{{primary: {KEY}}}")),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let forged = ["x-user", "x_user", "x-api-key", "sallyport-key", "authorization", "client-cert", "x-forwarded-for"];
    let names = forged.iter().chain(&["x-sum"]);
    let trailers: HeaderMap = names
        .clone()
        .map(|name| (name.parse::<header::HeaderName>().unwrap(), HeaderValue::from_static("forged")))
        .collect();
    let frames =
        [Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from("body"))), Ok(Frame::trailers(trailers.clone()))];
    let request = Request::post(format!("http://{HOST}/orders/trailers"))
        .header("sallyport-key", KEY)
        .header(header::TE, "trailers")
        .header(header::TRAILER, names.cloned().collect::<Vec<_>>().join(", "))
        .body(StreamBody::new(stream::iter(frames)))
        .unwrap();
    let mut caller = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let answer = read(caller.send_request(request).await.unwrap()).await;
    assert_eq!(answer.status, 200, "{:?}", gateway.diagnostics);
    let received = service.one().trailers.unwrap_or_default();
    assert_eq!(received.keys().map(header::HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
}

#[tokio::test]
async fn grpc_goes_through_with_its_trailers() {
    let service = Service::start().await;
    let manifests = [
        GATEWAY.to_owned(),
        "\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {name: greeter, namespace: shop}\nspec: {parentRefs: [{name: public}], rules: [{matches: [{method: {service: hello.Greeter, method: trailers}}], backendRefs: [{group: sallyport.dev, kind: Backend, name: shop}]}]}\n".to_owned(),
        backend("shop", service.address, "protocol: H2C"),
        crate::kit::manifest::policy_on("greeter", "{group: gateway.networking.k8s.io, kind: GRPCRoute, name: greeter}", OPEN),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let mut sender = http2::<Full<Bytes>>(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let call = |method: &str| {
        Request::post(format!("http://{HOST}/hello.Greeter/{method}"))
            .header(header::TE, "trailers")
            .header(header::CONTENT_TYPE, "application/grpc")
            .body(Full::new(Bytes::from_static(b"\0\0\0\0\0")))
            .unwrap()
    };
    let answer = read(sender.send_request(call("trailers")).await.unwrap()).await;
    assert_eq!(answer.status, 200, "{:?}", gateway.diagnostics);
    assert_eq!(answer.trailers.unwrap().get("etag").unwrap(), "t");
    let seen = service.one();
    assert_eq!((seen.version, seen.header("te")), (http::Version::HTTP_2, Some("trailers")));
    let other = read(sender.send_request(call("Other")).await.unwrap()).await;
    assert_ne!(other.status, 200);
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_hundred_continue_is_given_only_to_who_may_send() {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let gateway = guarded(&service, &issuer).await;
    let head = |key: &str| {
        format!(
            "POST /orders HTTP/1.1\r\nhost: {HOST}\r\nsallyport-key: {key}\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    stream.write_all(head(KEY).as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.unwrap();
    assert_eq!(hear(&mut stream).await.statuses(), [200]);
    assert_eq!(service.one().body, "body");
    let heard = raw(gateway.http(), head("nobody").as_bytes()).await;
    assert_eq!(heard.statuses(), [401], "{heard:?}");
}

#[tokio::test]
async fn a_body_left_unread_after_a_refusal_is_never_taken_for_a_request() {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let gateway = guarded(&service, &issuer).await;
    let inner = format!("GET /orders/inner HTTP/1.1\r\nhost: {HOST}\r\nsallyport-key: {KEY}\r\n\r\n");
    let outer = format!("POST /orders HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {}\r\n\r\n{inner}", inner.len());
    let heard = raw(gateway.http(), outer.as_bytes()).await;
    assert_eq!(heard.statuses(), [401], "{heard:?}");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn large_bodies_flow_without_being_held() {
    let service = Service::start().await;
    let gateway = open_gateway(&service, "").await;
    let body = Bytes::from(vec![b'x'; 8 * 1024 * 1024]);
    let request = Request::post("/orders").header(header::HOST, HOST).body(Full::new(body.clone())).unwrap();
    let answer = over(TcpStream::connect(gateway.http()).await.unwrap(), request).await;
    assert_eq!(answer.body, body);
}

#[tokio::test]
async fn http2_requests_go_to_a_service_that_speaks_http_1() {
    let service = Service::start().await;
    let gateway = open_gateway(&service, "protocol: HTTP11").await;
    let mut sender = http2(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let request = crate::kit::caller::get_http2("http", HOST, "/orders?a=b", &[("cookie", "a=1"), ("cookie", "b=2")]);
    let answer = read(sender.send_request(request).await.unwrap()).await;
    assert_eq!(answer.status, 200);
    let seen = service.one();
    assert_eq!(
        (seen.version, seen.authority.as_str(), seen.target.as_str()),
        (http::Version::HTTP_11, HOST, "/orders?a=b")
    );
    assert_eq!(seen.header("cookie"), Some("a=1; b=2"), "RFC 9113, 8.2.3: joined for HTTP/1.1");
}

#[tokio::test]
async fn timeouts_answer_504() {
    let service = Service::start().await;
    let gateway = open_gateway(&service, "timeouts: {request: 200ms}").await;
    assert_eq!(send(gateway.http(), get("/orders/slow", &[])).await.verdict(), "504 upstream-timeout");
}

#[tokio::test]
async fn a_service_that_is_not_there_answers_502_and_one_without_endpoints_503() {
    let service = Service::start().await;
    service.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let gateway = open_gateway(&service, "").await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "502 upstream-connect");
    let kind_service =
        "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: empty, namespace: shop}\nspec: {ports: [{port: 80}]}\n";
    let to_service =
        route("empty", "shop").replace("{group: sallyport.dev, kind: Backend, name: shop}", "{name: empty, port: 80}");
    let manifests = [GATEWAY, &to_service, kind_service, &policy("empty", OPEN)].concat();
    let gateway = Gateway::start(&manifests).await;
    assert_eq!(
        send(gateway.http(), get("/empty", &[])).await.verdict(),
        "503 no-endpoint",
        "{:?}",
        gateway.diagnostics
    );
}

#[tokio::test]
async fn a_service_may_be_named_by_its_host() {
    let service = Service::start().await;
    let more = format!("# {}", service.address);
    let by_name = backend("shop", service.address, &more).replace("address: {ip: 127.0.0.1", "host: {name: localhost");
    let manifests = [GATEWAY, &route("orders", "shop"), &by_name, &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    for _ in 0..3 {
        assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "200", "{:?}", gateway.diagnostics);
    }
    assert_eq!(service.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_without_any_pause_ends_with_its_subscription_as_well() {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let mut gateway = guarded(&service, &issuer).await;
    let stream = TcpStream::connect(gateway.http()).await.unwrap();
    let mut response = open(stream, get("/orders/flood", &[("sallyport-key", KEY)])).await;
    assert!(response.frame().await.unwrap().is_ok());
    gateway.remove("keys.yaml");
    let ended = async { while let Some(Ok(_)) = response.frame().await {} };
    tokio::time::timeout(Duration::from_millis(2500), ended).await.expect("it ends although the service never pauses");
}

#[tokio::test]
async fn a_routes_timeout_covers_the_whole_answer() {
    let service = Service::start().await;
    let timed = route("orders", "shop").replace("    backendRefs", "    timeouts: {request: 400ms}\n    backendRefs");
    let manifests = [GATEWAY, &timed, &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert_eq!(send(gateway.http(), get("/orders/slow", &[])).await.verdict(), "504 upstream-timeout");
    let began = tokio::time::Instant::now();
    let mut response = open(TcpStream::connect(gateway.http()).await.unwrap(), get("/orders/drip", &[])).await;
    assert_eq!(response.status(), 200);
    let mut last = None;
    while let Some(frame) = response.frame().await {
        last = Some(frame.is_ok());
    }
    assert_eq!(last, Some(false), "it breaks off, and does not look whole");
    assert!(began.elapsed() < Duration::from_secs(2));
}
