//! Requests end with what admitted them, also those that wait for an answer or go on sending.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{Empty, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::kit::caller::{Answer, HOST, get, http2, open, read, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, policy_on, route, subscription};
use crate::kit::service::Service;

const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const ON_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
/// Within a second, and what a busy machine takes besides. The slow service answers only after it.
const SOON: Duration = Duration::from_millis(2000);

const ASKS_FOR_KEYS: &str = "authentication: [{name: customers, subscriptionKey: {}}]";

async fn keyed(address: SocketAddr, protocol: &str, more: &str) -> Gateway {
    let mut gateway = Gateway::start(&orders(address, protocol, &format!("{ASKS_FOR_KEYS}{more}"))).await;
    subscribe(&mut gateway);
    gateway
}

fn orders(address: SocketAddr, protocol: &str, spec: &str) -> String {
    let service = backend("shop", address, &format!("protocol: {protocol}"));
    [GATEWAY, &route("orders", "shop"), &service, &policy("orders", spec)].concat()
}

fn subscribe(gateway: &mut Gateway) {
    let scope = "{apis: [{kind: HTTPRoute, name: orders}]}";
    gateway.write("keys.yaml", &subscription("acme", scope, &format!("{{primary: {KEY}}}")));
}

async fn reached(service: &Service) {
    while service.count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("it ends within a second of what admitted it")
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_waits_for_its_answer_ends_with_its_subscription(#[values("HTTP11", "H2C")] protocol: &str) {
    let service = Service::start().await;
    let mut gateway = keyed(service.address, protocol, "").await;
    let waiting = tokio::spawn(send(gateway.http(), get("/orders/slow", &[("sallyport-key", KEY)])));
    reached(&service).await;
    gateway.remove("keys.yaml");
    assert_eq!(soon(waiting).await.unwrap().verdict(), "403 permit-ended");
    let line = gateway.log(1).await.remove(0);
    assert_eq!((&line["status"], &line["refusal"]["reason"]), (&403.into(), &"permit-ended".into()), "{line}");
    assert_eq!(line["subscription"], "shop/acme", "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_waits_for_its_answer_ends_with_its_token() {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let gateway = tokened(&service, &issuer).await;
    let end = gateway.clock.now().seconds() + 600;
    let token = format!("Bearer {}", issuer.token_with("orders-api", &json!({ "exp": end })));
    let waiting = tokio::spawn(send(gateway.http(), get("/orders/slow", &[("authorization", &token)])));
    reached(&service).await;
    gateway.clock.advance(Duration::from_secs(601));
    assert_eq!(soon(waiting).await.unwrap().verdict(), "403 permit-ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_waits_is_answered_where_nothing_of_its_own_changes() {
    let service = Service::start().await;
    let mut gateway = keyed(service.address, "HTTP11", "").await;
    let waiting = tokio::spawn(send(gateway.http(), get("/orders/slow", &[("sallyport-key", KEY)])));
    reached(&service).await;
    gateway.write("other.yaml", &route("other", "shop"));
    assert_eq!(waiting.await.unwrap().verdict(), "200");
}

#[rstest]
#[case::admits_it_as_well("ipFilter: {deny: [192.0.2.1]}", "200")]
#[case::sets_a_header("requestHeaders: {set: [{name: X-Tier, value: gold}]}", "200")]
#[case::denies_its_address("ipFilter: {deny: [127.0.0.1]}", "403 permit-ended")]
#[case::lets_others_pass_only("ipFilter: {allow: [192.0.2.1]}", "403 permit-ended")]
#[case::asks_for_something_else(
    "authentication: [{name: customers, subscriptionKey: {headers: [X-Key]}}]",
    "403 permit-ended"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_waits_ends_with_its_policy_unless_the_new_one(#[case] change: &str, #[case] verdict: &str) {
    let service = Service::start().await;
    let mut gateway = keyed(service.address, "HTTP11", "").await;
    let waiting = tokio::spawn(send(gateway.http(), get("/orders/slow", &[("sallyport-key", KEY)])));
    reached(&service).await;
    let spec =
        if change.starts_with("authentication") { change.to_owned() } else { format!("{ASKS_FOR_KEYS}\n{change}") };
    gateway.write("main.yaml", &orders(service.address, "HTTP11", &spec));
    assert_eq!(waiting.await.unwrap().verdict(), verdict, "{:#?}", gateway.diagnostics);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_waits_is_answered_where_the_policy_lets_streams_go_on() {
    let service = Service::start().await;
    let mut gateway = keyed(service.address, "HTTP11", "\nstreams: {endOnExpiry: false}").await;
    let waiting = tokio::spawn(send(gateway.http(), get("/orders/slow", &[("sallyport-key", KEY)])));
    reached(&service).await;
    gateway.remove("keys.yaml");
    assert_eq!(waiting.await.unwrap().verdict(), "200");
}

/// A frame now and then, without end.
fn endless() -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Ok(Frame::data(Bytes::from_static(b"more"))), ()))
    })
}

fn upload(gateway: SocketAddr) -> JoinHandle<Option<Answer>> {
    tokio::spawn(async move {
        let mut caller = http2(TcpStream::connect(gateway).await.unwrap()).await;
        let request = Request::post(format!("http://{HOST}/orders"))
            .header("sallyport-key", KEY)
            .body(StreamBody::new(Box::pin(endless())))
            .unwrap();
        Some(read(caller.send_request(request).await.ok()?).await)
    })
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_ends_with_its_subscription_at_the_service_as_well(#[values("HTTP11", "H2C")] protocol: &str) {
    let service = Service::start().await;
    let mut gateway = keyed(service.address, protocol, "").await;
    let uploading = upload(gateway.http());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!uploading.is_finished());
    gateway.remove("keys.yaml");
    let answer = soon(uploading).await.unwrap().expect("it is answered");
    assert_eq!(answer.verdict(), "403 permit-ended");
    soon(reached(&service)).await;
    assert_eq!(service.one().body, "broken", "the service does not take what came so far for the whole");
}

/// A service that answers at once and goes on reading; tells when the connection has ended.
async fn hasty() -> (SocketAddr, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 4096];
        let mut taken = stream.read(&mut bytes).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        while let Ok(count @ 1..) = stream.read(&mut bytes).await {
            taken += count;
        }
        taken
    });
    (address, serving)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_outlasts_its_answer_ends_with_its_subscription() {
    let (address, serving) = hasty().await;
    let mut gateway = keyed(address, "HTTP11", "").await;
    let mut caller = TcpStream::connect(gateway.http()).await.unwrap();
    let head =
        format!("POST /orders HTTP/1.1\r\nhost: {HOST}\r\nsallyport-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n");
    caller.write_all(head.as_bytes()).await.unwrap();
    let sending = tokio::spawn(async move {
        while caller.write_all(b"4\r\nmore\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    gateway.remove("keys.yaml");
    assert!(soon(serving).await.unwrap() > 0);
    sending.abort();
}

fn upgrade(headers: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = get("/orders/ws", headers);
    request.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    request
}

type Tunnel = TokioIo<hyper::upgrade::Upgraded>;

async fn tunnel(gateway: &Gateway, headers: &[(&str, &str)]) -> Tunnel {
    let response = open(TcpStream::connect(gateway.http()).await.unwrap(), upgrade(headers)).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

async fn echoes(tunnel: &mut Tunnel) {
    tunnel.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    tunnel.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
}

async fn ends(tunnel: &mut Tunnel) {
    let mut rest = Vec::new();
    let _broken = soon(tunnel.read_to_end(&mut rest)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_ends_with_the_subscription_that_a_floor_asked_for() {
    let service = Service::start().await;
    let floor = "enforcement: Floor\nauthentication: [{name: customers, subscriptionKey: {}}]";
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, ""),
        &policy("orders", OPEN),
        &policy_on("floor", ON_GATEWAY, floor),
    ];
    let mut gateway = Gateway::start(&manifests.concat()).await;
    subscribe(&mut gateway);
    let mut websocket = tunnel(&gateway, &[("sallyport-key", KEY)]).await;
    echoes(&mut websocket).await;
    let line = gateway.log(1).await.remove(0);
    assert_eq!(line["subscription"], "shop/acme", "no level below has one: {line}");
    gateway.remove("keys.yaml");
    ends(&mut websocket).await;
}

async fn tokened(service: &Service, issuer: &Issuer) -> Gateway {
    let spec = format!(
        "authentication:\n- name: staff\n  jwt: {{issuer: '{}', audiences: [orders-api], keys: {{inline: '{}'}}}}\n",
        issuer.name(),
        issuer.key_set()
    );
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", &spec)];
    Gateway::start(&manifests.concat()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_clock_skew_admits_lasts_as_long_as_the_skew() {
    let (service, issuer) = (Service::start().await, Issuer::start().await);
    let gateway = tokened(&service, &issuer).await;
    let end = gateway.clock.now().seconds() - 10;
    let token = format!("Bearer {}", issuer.token_with("orders-api", &json!({ "exp": end })));
    let mut websocket = tunnel(&gateway, &[("authorization", &token)]).await;
    for _ in 0..3 {
        echoes(&mut websocket).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    echoes(&mut websocket).await;
    gateway.clock.advance(Duration::from_secs(55));
    ends(&mut websocket).await;
}
