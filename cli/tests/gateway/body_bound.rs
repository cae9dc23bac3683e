//! How large the body of a request may be: by what it says, and by what comes.

use bytes::Bytes;
use http::{Request, Version, header};
use http_body::Frame;
use http_body_util::StreamBody;
use rstest::rstest;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::kit::caller::{Answer, HOST, get, hear, http2, over, raw, read, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, policy_on, route};
use crate::kit::service::Service;

const BY_KEY: &str = "authentication: [{name: customers, subscriptionKey: {}}]";
const ON_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
const ON_ROUTE: &str = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}";

struct Shop {
    gateway: Gateway,
    service: Service,
}

/// What `POST`s so many bytes in pieces of four, and says no length.
fn pieces(
    version: Version,
    bytes: usize,
) -> Request<impl http_body::Body<Data = Bytes, Error = std::io::Error> + Send + Unpin> {
    let piece = move |at| Ok(Frame::data(Bytes::from_static(b"four").slice(..4.min(bytes - at))));
    let body = StreamBody::new(futures_util::stream::iter((0..bytes).step_by(4).map(piece)));
    let target = if version == Version::HTTP_2 { format!("http://{HOST}/orders") } else { "/orders".to_owned() };
    let request = Request::post(target).version(version);
    let request = if version == Version::HTTP_2 { request } else { request.header(header::HOST, HOST) };
    request.body(body).unwrap()
}

impl Shop {
    async fn start(spec: &str, of_backend: &str, more: &str) -> Self {
        let service = Service::start().await;
        let manifests = [
            GATEWAY,
            &route("orders", "shop"),
            &backend("shop", service.address, of_backend),
            &policy("orders", spec),
            more,
        ];
        let gateway = Gateway::start(&manifests.concat()).await;
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service }
    }

    /// A body of so many bytes whose length is said.
    async fn stated(&self, bytes: usize) -> String {
        let request = Request::post("/orders").header(header::HOST, HOST);
        let body = http_body_util::Full::new(Bytes::from(vec![b'x'; bytes]));
        send(self.gateway.http(), request.body(body).unwrap()).await.verdict()
    }

    /// One whose length is not, by a caller who hears the answer whatever becomes of the rest.
    async fn refused(&self, version: Version, bytes: usize) -> String {
        if version == Version::HTTP_2 {
            return self.streamed(version, bytes).await.verdict();
        }
        let (size, body) = (format!("{bytes:x}"), "x".repeat(bytes));
        let head = format!("POST /orders HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let heard = raw(self.gateway.http(), format!("{head}{size}\r\n{body}\r\n0\r\n\r\n").as_bytes()).await;
        assert!(heard.closed && heard.text.contains("body-too-large"), "{heard:?}");
        heard.statuses().iter().map(u16::to_string).collect::<Vec<_>>().join(" ") + " body-too-large"
    }

    /// One whose length is not.
    async fn streamed(&self, version: Version, bytes: usize) -> Answer {
        let stream = TcpStream::connect(self.gateway.http()).await.unwrap();
        if version == Version::HTTP_2 {
            let mut sender = http2(stream).await;
            return read(sender.send_request(pieces(version, bytes)).await.unwrap()).await;
        }
        over(stream, pieces(version, bytes)).await
    }
}

fn bounded(bytes: &str) -> String {
    format!("{OPEN}\nrequest: {{maxBodyBytes: {bytes}}}\n")
}

#[tokio::test]
async fn what_says_that_it_is_too_large_is_not_begun() {
    let shop = Shop::start(&bounded("1Ki"), "", "").await;
    assert_eq!(shop.stated(1024).await, "200");
    assert_eq!(shop.service.one().body.len(), 1024);
    assert_eq!(shop.stated(1025).await, "413 body-too-large");
    let waiting =
        format!("POST /orders HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n");
    let heard = raw(shop.gateway.http(), waiting.as_bytes()).await;
    assert_eq!((heard.statuses(), heard.closed), (vec![413], true), "nothing of it is asked for: {heard:?}");
    assert_eq!(shop.service.count(), 0);
    let line = shop.gateway.log(3).await.pop().unwrap();
    let told = &line["refusal"];
    assert_eq!((&told["object"], &told["section"]), (&"ApiPolicy shop/orders".into(), &"request".into()), "{line}");
    assert!(told["message"].as_str().is_some_and(|text| text.contains("1025") && text.contains("1024")), "{line}");
}

/// What a service gets of it never looks whole.
#[rstest]
#[tokio::test]
async fn what_does_not_say_how_large_it_is_is_counted(
    #[values(Version::HTTP_11, Version::HTTP_2)] version: Version,
    #[values("protocol: HTTP11", "protocol: H2C")] of_backend: &str,
) {
    let shop = Shop::start(&bounded("8"), of_backend, "").await;
    for bytes in [1, 8] {
        assert_eq!(shop.streamed(version, bytes).await.verdict(), "200");
        assert_eq!(shop.service.one().body.len(), bytes);
    }
    for bytes in [9, 12, 4096] {
        assert_eq!(shop.refused(version, bytes).await, "413 body-too-large", "{bytes}");
        assert!(shop.service.take().iter().all(|seen| &*seen.body == b"broken"), "{bytes}: never a whole one");
    }
    let line = shop.gateway.log(5).await.pop().unwrap();
    assert_eq!(line["refusal"]["object"], "ApiPolicy shop/orders", "{line}");
}

/// The answer has begun: it can only be broken off, and the log says why.
#[tokio::test]
async fn what_turns_out_too_large_after_the_answer_has_begun_ends_it() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", address, ""), &policy("orders", &bounded("8"))];
    let gateway = Gateway::start(&manifests.concat()).await;
    let mut caller = TcpStream::connect(gateway.http()).await.unwrap();
    let head = format!("POST /orders HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n");
    caller.write_all(head.as_bytes()).await.unwrap();
    let (mut service, _) = listener.accept().await.unwrap();
    // An answer before its question would be none.
    let asked = hear(&mut service).await;
    assert!(asked.text.ends_with("4\r\nfour\r\n") && !asked.closed, "{asked:?}");
    service.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
    let begun = hear(&mut caller).await;
    assert!(begun.text.ends_with("half") && !begun.closed, "{begun:?}");
    caller.write_all(b"5\r\nfives\r\n0\r\n\r\n").await.unwrap();
    let rest = hear(&mut caller).await;
    assert!(rest.text.is_empty() && rest.closed, "{rest:?}");
    let heard = hear(&mut service).await;
    assert!(heard.closed && heard.text.is_empty(), "never a whole one: {heard:?}");
    let line = gateway.log(1).await.pop().unwrap();
    assert_eq!((&line["status"], &line["refusal"]["reason"]), (&200.into(), &"body-too-large".into()), "{line}");
}

#[tokio::test]
async fn none_at_all_is_none_and_strangers_learn_nothing() {
    let shop = Shop::start(&bounded("0"), "", "").await;
    assert_eq!(send(shop.gateway.http(), get("/orders", &[])).await.verdict(), "200");
    assert_eq!(shop.stated(0).await, "200");
    shop.service.take();
    assert_eq!(shop.stated(1).await, "413 body-too-large");
    assert_eq!(shop.refused(Version::HTTP_11, 1).await, "413 body-too-large");
    assert!(shop.service.take().iter().all(|seen| &*seen.body == b"broken"));
    let shop = Shop::start(&format!("{BY_KEY}\nrequest: {{maxBodyBytes: 1}}\n"), "", "").await;
    assert_eq!(shop.stated(1000).await, "401 credential-missing");
}

/// How many bytes pass, where route and Gateway say this.
#[rstest]
#[case::the_route("{maxBodyBytes: 8}", "", 8)]
#[case::the_gateway("", "Default {maxBodyBytes: 8}", 8)]
#[case::the_route_lifts_it("{maxBodyBytes: 16}", "Default {maxBodyBytes: 8}", 16)]
#[case::the_route_states_none("{}", "Default {maxBodyBytes: 8}", 100)]
#[case::a_floor_is_not_lifted("{maxBodyBytes: 16}", "Floor {maxBodyBytes: 8}", 8)]
#[case::nor_taken_away("{}", "Floor {maxBodyBytes: 8}", 8)]
#[case::a_floor_of_its_own("", "Floor {maxBodyBytes: 8}", 8)]
#[case::the_route_is_stricter("{maxBodyBytes: 8}", "Floor {maxBodyBytes: 16}", 8)]
#[case::an_empty_floor("{maxBodyBytes: 8}", "Floor {}", 8)]
#[case::nobody("", "", 100)]
#[tokio::test]
async fn the_nearest_word_and_all_floors_hold(#[case] of_route: &str, #[case] of_gateway: &str, #[case] most: usize) {
    let section = |stated: &str| if stated.is_empty() { String::new() } else { format!("request: {stated}\n") };
    let on_gateway = of_gateway.split_once(' ').map(|(enforcement, stated)| {
        policy_on("on-gateway", ON_GATEWAY, &format!("enforcement: {enforcement}\n{}", section(stated)))
    });
    let spec = format!("{OPEN}\n{}", section(of_route));
    let shop = Shop::start(&spec, "", &on_gateway.unwrap_or_default()).await;
    assert_eq!(shop.stated(most).await, "200");
    if most < 100 {
        assert_eq!(shop.stated(most + 1).await, "413 body-too-large");
    }
}

#[tokio::test]
async fn what_only_reports_tells_it_once_by_length_and_by_what_came() {
    let report = policy_on("rehearsal", ON_ROUTE, "mode: Report\nrequest: {maxBodyBytes: 8}\n");
    let shop = Shop::start(OPEN, "", &report).await;
    assert_eq!(shop.stated(8).await, "200");
    assert_eq!(shop.stated(9).await, "200");
    assert_eq!(shop.streamed(Version::HTTP_11, 8).await.verdict(), "200");
    assert_eq!(shop.streamed(Version::HTTP_11, 9).await.verdict(), "200");
    let log = shop.gateway.log(4).await;
    let told: Vec<_> = log.iter().map(|line| line["would_refuse"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(told, [0, 1, 0, 1], "{log:#?}");
    assert_eq!(log[3]["would_refuse"][0]["refusal"]["reason"], "body-too-large", "{log:#?}");
}
