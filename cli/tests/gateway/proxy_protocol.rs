//! The PROXY protocol: whom a trusted proxy tells of is the client, from anybody else it is refused, and without it a proxy is not heard.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rstest::rstest;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::kit::caller::{HOST, Heard, get, get_http2, hear, http2, over, read};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{OPEN, backend, gateway_with, policy, policy_on, route};
use crate::kit::pki::Authority;
use crate::kit::secured::certificate;
use crate::kit::service::Service;

const ON_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
const REQUIRED: &str = "{trustedProxies: {cidrs: [127.0.0.3], proxyProtocol: Required}}";
const OFF: &str = "{trustedProxies: {cidrs: [127.0.0.3], proxyProtocol: \"Off\"}}";
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
const BARRED: &str = "PROXY TCP4 203.0.113.7 127.0.0.1 40000 80\r\n";
const ADMITTED: &str = "PROXY TCP4 198.51.100.9 127.0.0.1 40000 80\r\n";
const FLOOR: &str = "enforcement: Floor\nipFilter: {deny: [203.0.113.7]}";

/// The header of version 2 for a TCP connection from this address.
fn version_2(source: [u8; 4]) -> Vec<u8> {
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c", &source[..], &[127, 0, 0, 1, 0x9c, 0x40, 0, 80]].concat()
}

struct World {
    gateway: Gateway,
    service: Service,
    authority: Authority,
    manifests: String,
}

/// A route over HTTP and HTTPS, which lets this client address pass, or all of them, under a Floor of the Gateway.
async fn world(parameters: &str, filter: &str, floor: &str) -> World {
    let (service, authority) = (Service::start().await, Authority::new("public"));
    let listener = "  - {name: https, port: 8443, protocol: HTTPS, hostname: api.example.com, tls: {certificateRefs: [{name: front}]}}\n";
    let gateway = gateway_with(parameters).replace("  - {name: http,", &format!("{listener}  - {{name: http,"));
    let manifests = [
        gateway,
        route("orders", "shop"),
        backend("shop", service.address, ""),
        policy("orders", &format!("{OPEN}\n{filter}")),
        policy_on("floor", ON_GATEWAY, floor),
        certificate("front", &authority.issue(&[HOST])),
    ];
    let manifests = manifests.concat();
    let gateway = Gateway::start(&manifests).await;
    World { gateway, service, authority, manifests }
}

async fn connected(source: Ipv4Addr, gateway: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    socket.connect(gateway).await.unwrap()
}

impl World {
    async fn begun(&self, source: Ipv4Addr, header: &[u8]) -> TcpStream {
        let mut stream = connected(source, self.gateway.http()).await;
        stream.write_all(header).await.unwrap();
        stream
    }

    async fn http(&self, header: &[u8], more: &[(&str, &str)]) -> String {
        over(self.begun(PROXY, header).await, get("/orders", more)).await.verdict()
    }

    /// What is heard after `header` and a request, in one piece.
    async fn raw(&self, source: Ipv4Addr, header: &[u8]) -> Heard {
        let request = format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        let mut stream = connected(source, self.gateway.http()).await;
        let _closed = stream.write_all(&[header, request.as_bytes()].concat()).await;
        hear(&mut stream).await
    }

    /// Over TLS with HTTP/2; nothing where no hands are shaken.
    async fn https(&self, source: Ipv4Addr, header: &[u8]) -> Option<String> {
        let mut stream = connected(source, self.gateway.https()).await;
        stream.write_all(header).await.unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        let config = std::sync::Arc::new(self.authority.client(&["h2"]));
        let stream = TlsConnector::from(config).connect(name, stream).await.ok()?;
        let mut sender = http2(stream).await;
        Some(read(sender.send_request(get_http2("https", HOST, "/orders", &[])).await.ok()?).await.verdict())
    }
}

#[tokio::test]
async fn whom_a_trusted_proxy_tells_of_is_the_client() {
    let world = world(REQUIRED, "ipFilter: {allow: [198.51.100.9]}", FLOOR).await;
    assert!(world.gateway.diagnostics.is_empty(), "{:?}", world.gateway.diagnostics);
    for header in [ADMITTED.as_bytes(), &version_2([198, 51, 100, 9])] {
        assert_eq!(world.http(header, &[]).await, "200");
        assert_eq!(world.https(PROXY, header).await.as_deref(), Some("200"));
    }
    let seen = world.service.take();
    assert!(seen.iter().all(|seen| seen.header("x-forwarded-for") == Some("198.51.100.9")), "{seen:?}");
    for line in world.gateway.log(4).await {
        assert_eq!(line["client"], "198.51.100.9", "{line}");
        assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.3:")), "{line}");
    }
    let other = "PROXY TCP4 192.0.2.1 127.0.0.1 40000 80\r\n".as_bytes();
    assert_eq!(world.http(other, &[]).await, "403 address-denied", "no address that the route lets pass");
    assert_eq!(world.https(PROXY, &version_2([192, 0, 2, 1])).await.as_deref(), Some("403 address-denied"));
}

#[tokio::test]
async fn whom_a_floor_of_the_gateway_bars_is_closed_before_anything_is_read() {
    let world = world(REQUIRED, "", FLOOR).await;
    for header in [BARRED.as_bytes(), &version_2([203, 0, 113, 7])] {
        let heard = world.raw(PROXY, header).await;
        assert!(heard.text.is_empty() && heard.closed, "{heard:?}");
        assert_eq!(world.https(PROXY, header).await, None);
    }
    assert_eq!(world.service.count(), 0);
    assert_eq!(world.http(ADMITTED.as_bytes(), &[]).await, "200");
}

#[tokio::test]
async fn a_client_that_is_no_trusted_proxy_says_nothing_of_itself_through_one() {
    let world = world(REQUIRED, "", FLOOR).await;
    let claims = [("x-forwarded-for", "203.0.113.7")];
    assert_eq!(world.http(ADMITTED.as_bytes(), &claims).await, "200", "what it claims does not count against it");
    assert_eq!(world.service.one().header("x-forwarded-for"), Some("198.51.100.9"), "nor for it");
    let proxies = b"PROXY TCP4 127.0.0.3 127.0.0.1 40000 80\r\n";
    assert_eq!(world.http(proxies, &claims).await, "403 address-denied", "one proxy behind another is believed");
}

#[tokio::test]
async fn a_trusted_proxy_that_says_nothing_is_closed() {
    let world = world(REQUIRED, "", FLOOR).await;
    for nothing in
        [&b""[..], b"PROXY TCP4 nobody 127.0.0.1 1 2\r\n", b"proxy TCP4 198.51.100.9 127.0.0.1 1 2\r\n", b"\r\n"]
    {
        let heard = world.raw(PROXY, nothing).await;
        assert!(heard.text.is_empty() && heard.closed, "{nothing:?}: {heard:?}");
        assert_eq!(world.https(PROXY, nothing).await, None, "{nothing:?}");
    }
    let twice = [ADMITTED, ADMITTED].concat();
    assert_eq!(world.raw(PROXY, twice.as_bytes()).await.statuses(), [400], "the second is no request");
    assert_eq!(world.service.count(), 0);
}

#[rstest]
#[case::where_it_is_required_of_others(REQUIRED)]
#[case::where_it_is_off(OFF)]
#[case::where_nobody_speaks_of_it("{trustedProxies: {cidrs: [127.0.0.3]}}")]
#[tokio::test]
async fn what_a_stranger_says_is_refused(#[case] parameters: &str) {
    let world = world(parameters, "", FLOOR).await;
    for header in [ADMITTED.as_bytes(), &version_2([198, 51, 100, 9])] {
        let heard = world.raw(STRANGER, header).await;
        assert!(heard.statuses().iter().all(|status| *status == 400) && heard.closed, "{heard:?}");
        assert_eq!(world.https(STRANGER, header).await, None);
    }
    assert_eq!(world.service.count(), 0);
    assert_eq!(world.raw(STRANGER, b"").await.statuses(), [200], "without it a stranger is served");
}

#[tokio::test]
async fn where_it_is_off_a_trusted_proxy_is_refused_as_well() {
    let world = world(OFF, "", FLOOR).await;
    let heard = world.raw(PROXY, ADMITTED.as_bytes()).await;
    assert!(heard.statuses().iter().all(|status| *status == 400) && heard.closed, "{heard:?}");
    assert_eq!(world.raw(PROXY, b"").await.statuses(), [200]);
    assert_eq!(world.service.count(), 1);
}

/// What stands behind a PROXY header is the client's own word, also for a Gateway that does not listen to the header any more.
#[tokio::test]
async fn who_came_by_a_header_does_not_choose_its_address_once_it_is_off() {
    let mut world = world(REQUIRED, "ipFilter: {allow: [198.51.100.9]}", FLOOR).await;
    let mut stream = world.begun(PROXY, BARRED.replace("203.0.113.7", "203.0.113.8").as_bytes()).await;
    let request = format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(hear(&mut stream).await.statuses(), [403]);
    let off = world.manifests.replace("Required", "\"Off\"");
    world.gateway.write("main.yaml", &off);
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(hear(&mut stream).await.statuses(), [403]);
    assert_eq!(world.raw(PROXY, b"").await.statuses(), [403], "the proxy itself is not the one that is let in");
    assert_eq!(
        world.http(b"", &[("x-forwarded-for", "198.51.100.9")]).await,
        "200",
        "whom it tells of by the field is"
    );
}

/// No address is not the proxy's: a filter that lists the proxy lets nobody pass whom it does not know.
#[tokio::test]
async fn a_client_without_an_address_passes_no_filter_and_the_proxy_itself_does() {
    let world = world(REQUIRED, "ipFilter: {allow: [127.0.0.0/8]}", FLOOR).await;
    let unspecified = b"\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x00";
    for header in [&b"PROXY UNKNOWN\r\n"[..], unspecified] {
        assert_eq!(world.http(header, &[]).await, "403 address-denied");
        assert_eq!(world.http(header, &[("x-forwarded-for", "127.0.0.9")]).await, "403 address-denied");
    }
    assert_eq!(world.http(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00", &[]).await, "200", "LOCAL");
}

#[tokio::test]
async fn a_header_has_the_time_of_a_head() {
    let parameters = "{trustedProxies: {cidrs: [127.0.0.3], proxyProtocol: Required}, bounds: {headerTimeout: 300ms, idleTimeout: 60s}}";
    let world = world(parameters, "", FLOOR).await;
    for begun in [&b""[..], b"PROXY TCP4 198.5", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"] {
        for address in [world.gateway.http(), world.gateway.https()] {
            let mut stream = connected(PROXY, address).await;
            stream.write_all(begun).await.unwrap();
            let heard = tokio::time::timeout(Duration::from_secs(10), hear(&mut stream)).await.expect("it is closed");
            assert!(heard.text.is_empty() && heard.closed, "{begun:?}: {heard:?}");
        }
    }
}

/// Only a class can say it, and a Gateway can do without.
#[tokio::test]
async fn a_gateway_alone_believes_nobody() {
    let service = Service::start().await;
    let named = |class: &str, own: &str| {
        let reference = "spec:\n  infrastructure: {parametersRef: {group: sallyport.dev, kind: GatewayParameters, name: own}}\n  gatewayClassName: sallyport";
        let gateway = gateway_with(class).replace("spec:\n  gatewayClassName: sallyport", reference);
        let own = format!(
            "---\napiVersion: sallyport.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {{name: own, namespace: shop}}\nspec: {own}\n"
        );
        [gateway, own, route("orders", "shop"), backend("shop", service.address, ""), policy("orders", OPEN)].concat()
    };
    for (class, own, is_reported) in [(OFF, REQUIRED, true), (REQUIRED, OFF, false)] {
        let gateway = Gateway::start(&named(class, own)).await;
        let told =
            gateway.diagnostics.iter().any(|said| format!("{said:?}").contains("proxyProtocol: Required is ignored"));
        assert_eq!(told, is_reported, "{:?}", gateway.diagnostics);
        assert_eq!(over(connected(PROXY, gateway.http()).await, get("/orders", &[])).await.verdict(), "200");
    }
    let gateway = Gateway::start(&named(REQUIRED, "{trustedProxies: {cidrs: [127.0.0.3]}}")).await;
    let mut stream = connected(PROXY, gateway.http()).await;
    stream.write_all(ADMITTED.as_bytes()).await.unwrap();
    assert_eq!(over(stream, get("/orders", &[])).await.verdict(), "200", "what it does not say is the class's");
}
