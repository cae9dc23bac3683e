//! The origin lock: who has not come through the firewall in front is refused before anything else is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use rstest::rstest;
use tokio::time::Instant;

use crate::kit::caller::{
    Answer, HOST, connect_from, get, get_from, get_http2, http2, open, over, raw, read, send, tls,
};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{OPEN, backend, gateway_with, other_gateway, pem, policy, route, secret};
use crate::kit::pki::Authority;
use crate::kit::secured::certificate;
use crate::kit::service::Service;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NEXT: &str = "fedcba9876543210fedcba9876543210";
const BY_HEADER: &str = "originLock: {header: {name: X-Origin, secretRef: {name: waf}}}";
const LOCKED: &str = "403 origin-locked";
const FIREWALL: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);
const PARAMETERS: &str = "GatewayParameters shop/own";

/// `/orders`, which anybody may call who comes by the firewall, on a port of another Gateway as well: `/others` of its host.
struct Shop {
    gateway: Gateway,
    service: Service,
    authority: Authority,
}

impl Shop {
    /// With these parameters of the Gateway.
    async fn start(own: &str) -> Self {
        Self::under("", own).await
    }

    /// With these of the class, and these of the Gateway.
    async fn under(class: &str, own: &str) -> Self {
        let (service, authority) = (Service::start().await, Authority::new("public"));
        let gateway = Gateway::start(&main(class, own, &service, &authority)).await;
        let mut shop = Self { gateway, service, authority };
        shop.gateway.write("waf.yaml", &values(&format!("{{primary: {SECRET}, secondary: {NEXT}}}")));
        shop
    }

    fn require(&mut self, own: &str) {
        let manifests = self.manifests(own);
        self.gateway.write("main.yaml", &manifests);
    }

    fn manifests(&self, own: &str) -> String {
        main("", own, &self.service, &self.authority)
    }

    async fn asked(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.gateway.http(), get(target, headers)).await
    }

    async fn verdict(&self, headers: &[(&str, &str)]) -> String {
        self.asked("/orders", headers).await.verdict()
    }
}

fn main(class: &str, own: &str, service: &Service, authority: &Authority) -> String {
    let listener = format!(
        "  - {{name: https, port: 8443, protocol: HTTPS, hostname: {HOST}, tls: {{certificateRefs: [{{name: front}}]}}}}\n"
    );
    let named = format!("name: http, port: 8080, hostname: {HOST}");
    let reference = "infrastructure: {parametersRef: {group: sallyport.dev, kind: GatewayParameters, name: own}}";
    let gateway = gateway_with(&format!("{{{class}}}"))
        .replace("name: http, port: 8080", &named)
        .replace("  - {name: http,", &format!("{listener}  - {{name: http,"))
        .replace("spec:\n  gatewayClassName", &format!("spec:\n  {reference}\n  gatewayClassName"));
    [
        gateway,
        parameters("own", own),
        route("orders", "shop"),
        backend("shop", service.address, ""),
        policy("orders", OPEN),
        certificate("front", &authority.issue(&[HOST])),
    ]
    .concat()
}

fn parameters(name: &str, spec: &str) -> String {
    format!(
        "
---
apiVersion: sallyport.dev/v1alpha1
kind: GatewayParameters
metadata: {{name: {name}, namespace: shop}}
spec: {{{spec}}}
"
    )
}

/// The Secret of the firewall.
fn values(data: &str) -> String {
    secret("waf", data)
}

/// Another Gateway on the same port with `/others`.
fn other(parameters: &str) -> String {
    let route = route("others", "shop").replace("name: public", "name: other");
    [other_gateway(parameters), route, policy("others", OPEN)].concat()
}

fn to(host: &str, target: &str, headers: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = get(target, headers);
    request.headers_mut().insert(header::HOST, host.parse().unwrap());
    request
}

#[tokio::test]
async fn a_request_brings_one_of_the_values_in_one_line() {
    let shop = Shop::start(BY_HEADER).await;
    assert!(shop.gateway.diagnostics.is_empty(), "{:?}", shop.gateway.diagnostics);
    for right in [SECRET, NEXT] {
        assert_eq!(shop.verdict(&[("x-origin", right)]).await, "200");
    }
    let (longer, shorter, list, upper) =
        (format!("{SECRET}0"), &SECRET[1..], format!("{SECRET}, {SECRET}"), SECRET.to_uppercase());
    for wrong in [
        &[][..],
        &[("x-origin", "")],
        &[("x-origin", &*longer)],
        &[("x-origin", shorter)],
        &[("x-origin", &*list)],
        &[("x-origin", &*upper)],
        &[("x-origin", "0000")],
        &[("x_origin", SECRET)],
        &[("x-origin-", SECRET)],
        &[("x-origin", SECRET), ("x-origin", SECRET)],
        &[("x-origin", SECRET), ("x-origin", "other")],
        &[("authorization", SECRET), ("cookie", "x-origin=0123456789abcdef0123456789abcdef")],
    ] {
        assert_eq!(shop.verdict(wrong).await, LOCKED, "{wrong:?}");
    }
    assert_eq!(shop.asked(&format!("/orders?x-origin={SECRET}"), &[]).await.verdict(), LOCKED);
    assert_eq!(shop.service.count(), 2);
    let said: Vec<_> = shop.gateway.log(3).await.into_iter().map(|line| line.to_string()).collect();
    assert!(said.iter().all(|line| !line.contains(SECRET) && !line.contains(NEXT)), "{said:#?}");
    assert!(said[2].contains("X-Origin") || said[2].contains("x-origin"), "{}", said[2]);
}

/// Nothing but the name of the refusal tells one place from another.
#[tokio::test]
async fn nobody_learns_what_there_is_behind_it() {
    let shop = Shop::start(BY_HEADER).await;
    let right = [("x-origin", SECRET)];
    let preflight = [("origin", "https://app.example.com"), ("access-control-request-method", "GET")];
    let mut seen = Vec::new();
    for (host, method, target, headers) in [
        (HOST, Method::GET, "/orders", &[][..]),
        (HOST, Method::GET, "/nowhere", &[]),
        (HOST, Method::GET, "/", &[]),
        (HOST, Method::GET, "/.well-known/acme-challenge/token", &[]),
        (HOST, Method::OPTIONS, "/orders", &preflight),
        (HOST, Method::OPTIONS, "/nowhere", &preflight),
        (HOST, Method::DELETE, "/orders", &[]),
        ("unknown.example.com", Method::GET, "/orders", &[]),
        ("127.0.0.1", Method::GET, "/", &[]),
    ] {
        let mut request = to(host, target, headers);
        *request.method_mut() = method;
        let answer = send(shop.gateway.http(), request).await;
        assert_eq!(answer.verdict(), LOCKED, "{host} {target}");
        let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        seen.push(names);
    }
    assert!(seen.iter().all(|names| *names == seen[0]), "{seen:#?}");
    for (host, target) in [(HOST, "/nowhere"), ("unknown.example.com", "/orders")] {
        let answer = send(shop.gateway.http(), to(host, target, &right)).await;
        assert_eq!(answer.verdict(), "404 no-route", "{host} {target}");
    }
    assert_eq!(shop.service.count(), 0);
}

/// Whatever reads requests afterwards finds nothing there, also of another Gateway whose port it is.
#[tokio::test]
async fn nobody_behind_it_reads_what_opens_it() {
    let mut shop = Shop::start(BY_HEADER).await;
    shop.gateway.write("other.yaml", &other(""));
    let copies = "requestHeaders:\n  set:\n  - {name: x-copy, expression: \"'x-origin' in request.headers ? request.headers['x-origin'][0] : 'nothing'\"}";
    shop.gateway
        .write("copies.yaml", &policy("orders", copies).replace("name: orders, namespace", "name: copies, namespace"));
    let headers = [("x-origin", SECRET), ("X_Origin", SECRET), ("x-other", "kept"), ("connection", "x-origin")];
    assert_eq!(shop.verdict(&headers).await, "200");
    assert_eq!(send(shop.gateway.http(), to("other.example.com", "/others", &headers[..3])).await.verdict(), "200");
    assert_eq!(send(shop.gateway.http(), to("other.example.com", "/others", &[])).await.verdict(), "200");
    let seen = shop.service.take();
    assert!(seen.iter().all(|seen| !format!("{:?}", seen.headers).contains(SECRET)), "{seen:#?}");
    assert!(seen[..2].iter().all(|seen| seen.header("x-other") == Some("kept")), "{seen:#?}");
    assert!(seen[0].header("x-copy") == Some("nothing"), "{seen:#?}");
    let unknown = send(shop.gateway.http(), to("unknown.example.com", "/", &[])).await;
    assert_eq!(unknown.verdict(), "404 no-route", "who may call the other Gateway learns that of it");
    shop.gateway.write("other.yaml", &other(BY_HEADER));
    let unknown = send(shop.gateway.http(), to("unknown.example.com", "/", &[])).await;
    assert_eq!(unknown.verdict(), LOCKED);
}

#[tokio::test]
async fn a_value_is_changed_after_the_other() {
    let mut shop = Shop::start(BY_HEADER).await;
    shop.gateway.write("waf.yaml", &values(&format!("{{primary: {NEXT}}}")));
    assert_eq!(shop.verdict(&[("x-origin", SECRET)]).await, LOCKED);
    assert_eq!(shop.verdict(&[("x-origin", NEXT)]).await, "200");
    shop.gateway.write("waf.yaml", &values(&format!("{{secondary: {SECRET}}}")));
    assert_eq!(shop.verdict(&[("x-origin", SECRET)]).await, "200");
    assert_eq!(shop.verdict(&[("x-origin", NEXT)]).await, LOCKED);
}

#[rstest]
#[case::of_31_characters("{primary: 0123456789abcdef0123456789abcde}", "32 to 256")]
#[case::with_a_line_end("{primary: \"0123456789abcdef0123456789abcdef\\n\"}", "line ends")]
#[case::with_a_blank("{primary: \"0123456789abcdef 0123456789abcdef\"}", "line ends")]
#[case::one_of_both_too_short("{primary: 0123456789abcdef0123456789abcdef, secondary: short}", "secondary")]
#[case::none("{other: 0123456789abcdef0123456789abcdef}", "primary")]
#[case::empty("{primary: \"\"}", "primary")]
#[tokio::test]
async fn with_a_value_that_is_none_nobody_passes(#[case] data: &str, #[case] told: &str) {
    let mut shop = Shop::start(BY_HEADER).await;
    shop.gateway.write("waf.yaml", &values(data));
    for value in [SECRET, NEXT, "", "short", "0123456789abcdef0123456789abcde"] {
        assert_eq!(shop.verdict(&[("x-origin", value)]).await, "500 configuration");
    }
    assert_eq!(shop.asked("/nowhere", &[]).await.verdict(), "500 configuration");
    let said = shop.gateway.said(PARAMETERS);
    assert!(said.contains("spec.originLock.header.secretRef") && said.contains(told), "{said}");
    assert_eq!(shop.service.count(), 0);
}

#[tokio::test]
async fn what_is_gone_or_cannot_be_read_lets_nobody_pass() {
    let mut shop = Shop::start(BY_HEADER).await;
    let right = [("x-origin", SECRET)];
    shop.gateway.remove("waf.yaml");
    assert_eq!(shop.verdict(&right).await, "500 configuration");
    assert!(shop.gateway.said(PARAMETERS).contains("waf"), "{}", shop.gateway.said(PARAMETERS));
    shop.gateway.write("waf.yaml", &values(&format!("{{primary: {SECRET}}}")));
    assert_eq!(shop.verdict(&right).await, "200");
    for broken in [
        "originLock: {cidrs: [nowhere]}",
        "originLock: {cidrs: [127.0.0.0/8, 10.0.0.0/33]}",
        "originLock: {clientCertificate: {trust: {caCertificateRefs: [{kind: ConfigMap, name: none}]}}}",
    ] {
        shop.require(broken);
        assert_eq!(shop.verdict(&right).await, "500 configuration", "{broken}");
        assert!(shop.gateway.said(PARAMETERS).contains("spec.originLock"), "{}", shop.gateway.said(PARAMETERS));
    }
    shop.require(BY_HEADER);
    assert_eq!(shop.verdict(&right).await, "200");
    assert_eq!(shop.service.count(), 2);
}

/// They may have held a lock.
#[tokio::test]
async fn parameters_that_cannot_be_found_let_nobody_pass() {
    let mut shop = Shop::start(BY_HEADER).await;
    let of_nobody = shop.manifests(BY_HEADER).replace("metadata: {name: own,", "metadata: {name: nobodys,");
    shop.gateway.write("main.yaml", &of_nobody);
    assert_eq!(shop.verdict(&[("x-origin", SECRET)]).await, "500 configuration");
    assert_eq!(shop.asked("/nowhere", &[]).await.verdict(), "500 configuration");
    let said = shop.gateway.said("Gateway shop/public");
    assert!(said.contains("originLock"), "{said}");
    assert_eq!(shop.service.count(), 0);
}

#[tokio::test]
async fn a_connection_comes_from_the_firewall() {
    let shop = Shop::start("originLock: {cidrs: [127.0.0.7]}").await;
    let gateway = shop.gateway.http();
    assert_eq!(get_from(FIREWALL, gateway, "/orders", &[]).await.verdict(), "200");
    assert_eq!(get_from(FIREWALL, gateway, "/nowhere", &[]).await.verdict(), "404 no-route");
    for stranger in [Ipv4Addr::new(127, 0, 0, 8), Ipv4Addr::LOCALHOST] {
        assert_eq!(connect_from(stranger, gateway).await, "", "it is closed before anything is read");
    }
    let metrics = shop.gateway.metrics().await;
    assert!(metrics.contains("sallyport_connections_barred_total 2"), "{metrics}");
    assert_eq!(shop.service.count(), 1);
}

#[tokio::test]
async fn where_another_gateway_takes_a_stranger_each_request_is_refused() {
    let mut shop = Shop::start("originLock: {cidrs: [127.0.0.7]}").await;
    shop.gateway.write("other.yaml", &other(""));
    let forged = [("x-forwarded-for", "127.0.0.7"), ("forwarded", "for=127.0.0.7"), ("x-real-ip", "127.0.0.7")];
    assert_eq!(shop.verdict(&forged).await, LOCKED);
    assert_eq!(send(shop.gateway.http(), to("other.example.com", "/others", &[])).await.verdict(), "200");
    assert_eq!(shop.service.count(), 1);
}

#[rstest]
#[case::of_the_firewall("127.0.0.7", "200")]
#[case::of_anybody_else("127.0.0.8", "")]
#[tokio::test]
async fn whom_a_proxy_tells_of_in_front_of_the_connection_is_the_peer(#[case] client: &str, #[case] expected: &str) {
    let proxies = "trustedProxies: {cidrs: [127.0.0.1], proxyProtocol: Required}";
    let shop = Shop::under(proxies, "originLock: {cidrs: [127.0.0.7]}").await;
    let request = format!(
        "PROXY TCP4 {client} 127.0.0.1 40000 80\r\nGET /orders HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    );
    let heard = raw(shop.gateway.http(), request.as_bytes()).await;
    let statuses: Vec<_> = heard.statuses().iter().map(ToString::to_string).collect();
    assert_eq!(statuses.concat(), expected, "{heard:?}");
    assert_eq!(shop.service.count(), usize::from(expected == "200"));
    assert_eq!(connect_from(FIREWALL, shop.gateway.http()).await.get(..12), Some("HTTP/1.1 404"));
}

/// A trusted proxy is not thereby the firewall.
#[tokio::test]
async fn whose_word_is_believed_may_not_speak_for_that() {
    let shop = Shop::under("trustedProxies: {cidrs: [127.0.0.9]}", "originLock: {cidrs: [127.0.0.7]}").await;
    assert_eq!(connect_from(Ipv4Addr::new(127, 0, 0, 9), shop.gateway.http()).await, "");
    let told = [("x-forwarded-for", "127.0.0.7")];
    assert_eq!(get_from(FIREWALL, shop.gateway.http(), "/orders", &told).await.verdict(), "200");
}

#[tokio::test]
async fn the_firewall_shows_its_certificate() {
    let lock = "clientCertificate: {trust: {caCertificateRefs: [{kind: ConfigMap, name: machines}]}, identities: [{subjectAltName: {dns: waf.example.com}}]}";
    let mut shop = Shop::start("").await;
    let machines = Authority::new("machines");
    shop.gateway.write("machines.yaml", &pem("ConfigMap", "machines", &[("ca.crt", &machines.pem())]));
    let firewall = machines.issue(&["waf.example.com"]);
    let shown = |identity| shop.authority.client_showing(&["h2"], identity, &[]);
    let (right, another, nobodys) = (
        shown(&firewall),
        shown(&machines.issue(&["other.example.com"])),
        shown(&Authority::new("machines").issue(&["waf.example.com"])),
    );
    let none = shop.authority.client(&["h2"]);
    let mut before = http2::<Empty<Bytes>>(tls(shop.gateway.https(), HOST, right.clone()).await.unwrap()).await;
    let request = |target: &str| get_http2("https", HOST, target, &[("client-cert", ":AAAA:")]);
    assert_eq!(read(before.send_request(request("/orders")).await.unwrap()).await.verdict(), "200");

    shop.require(&format!("originLock: {{{lock}}}"));
    let late = read(before.send_request(request("/orders")).await.unwrap()).await;
    assert_eq!(late.verdict(), "421 misdirected-request", "it was not asked for a certificate");
    for (what, config, expected) in [
        ("its own", &right, "200"),
        ("none", &none, LOCKED),
        ("another", &another, LOCKED),
        ("of nobody", &nobodys, LOCKED),
    ] {
        let mut sender = http2(tls(shop.gateway.https(), HOST, config.clone()).await.unwrap()).await;
        assert_eq!(read(sender.send_request(request("/orders")).await.unwrap()).await.verdict(), expected, "{what}");
        let nowhere = read(sender.send_request(request("/nowhere")).await.unwrap()).await;
        assert_eq!(nowhere.verdict(), if expected == "200" { "404 no-route" } else { LOCKED }, "{what}");
    }
    assert_eq!(shop.verdict(&[]).await, LOCKED, "in clear");
    assert_eq!(shop.service.count(), 2);

    shop.require(&format!("originLock: {{{lock}, header: {{name: X-Origin, secretRef: {{name: waf}}}}}}"));
    for (headers, expected) in [(&[("x-origin", SECRET)][..], "200"), (&[], LOCKED)] {
        let mut sender = http2(tls(shop.gateway.https(), HOST, right.clone()).await.unwrap()).await;
        let request = get_http2("https", HOST, "/orders", headers);
        assert_eq!(read(sender.send_request(request).await.unwrap()).await.verdict(), expected);
    }
    let in_clear = shop.verdict(&[("x-origin", SECRET)]).await;
    assert_eq!(in_clear, LOCKED, "all that is stated has to hold");
}

#[tokio::test]
async fn over_http2_a_connection_to_another_host_does_not_lead_around_it() {
    let mut shop = Shop::start(BY_HEADER).await;
    shop.gateway.write("other.yaml", &other(""));
    let mut sender = http2::<Empty<Bytes>>(tokio::net::TcpStream::connect(shop.gateway.http()).await.unwrap()).await;
    for (host, target, headers, expected) in [
        ("other.example.com", "/others", &[][..], "200"),
        (HOST, "/orders", &[], LOCKED),
        (HOST, "/orders", &[("x-origin", SECRET)], "200"),
        (HOST, "/orders", &[], LOCKED),
    ] {
        let request = get_http2("http", host, target, headers);
        assert_eq!(read(sender.send_request(request).await.unwrap()).await.verdict(), expected, "{host}");
    }
    assert_eq!(shop.service.count(), 2);
}

#[tokio::test]
async fn what_is_only_reported_refuses_nobody() {
    let shop = Shop::start(&BY_HEADER.replace("}}}", "}}, cidrs: [127.0.0.7], mode: Report}")).await;
    let right = [("x-origin", SECRET)];
    assert_eq!(shop.verdict(&[]).await, "200");
    assert_eq!(shop.verdict(&right).await, "200");
    assert_eq!(get_from(FIREWALL, shop.gateway.http(), "/orders", &right).await.verdict(), "200");
    let seen = shop.service.take();
    assert!(seen.iter().all(|seen| seen.header("x-origin").is_none()), "{seen:#?}");
    let log = shop.gateway.log(3).await;
    for line in &log[..2] {
        let told = &line["would_refuse"][0];
        assert_eq!(told["refusal"]["reason"], "origin-locked", "{line}");
        assert!(told.to_string().contains(PARAMETERS), "{line}");
    }
    assert!(log[2]["would_refuse"].is_null(), "{}", log[2]);
    let metrics = shop.gateway.metrics().await;
    assert!(metrics.contains("sallyport_rehearsed_refusals_total{") && metrics.contains("origin-locked"), "{metrics}");
}

/// A certificate is asked for only where one is enforced: of the rest it is told what would be.
#[tokio::test]
async fn of_a_certificate_that_nobody_asks_for_nothing_is_reported() {
    let lock = "{header: {name: X-Origin, secretRef: {name: waf}}, clientCertificate: {trust: {caCertificateRefs: [{kind: ConfigMap, name: machines}]}}, mode: Report}";
    let mut shop = Shop::start("").await;
    shop.gateway.write("machines.yaml", &pem("ConfigMap", "machines", &[("ca.crt", &Authority::new("m").pem())]));
    shop.require(&format!("originLock: {lock}"));
    for (at, (headers, told)) in [(&[("x-origin", SECRET)][..], None), (&[], Some("x-origin"))].into_iter().enumerate()
    {
        let stream = tls(shop.gateway.https(), HOST, shop.authority.client(&[])).await.unwrap();
        assert_eq!(over(stream, get("/orders", headers)).await.verdict(), "200");
        let line = shop.gateway.log(at + 1).await.pop().unwrap();
        assert_eq!(line["would_refuse"].is_null(), told.is_none(), "{line}");
        assert!(told.is_none_or(|told| line["would_refuse"].to_string().contains(told)), "{line}");
    }
    assert_eq!(shop.verdict(&[("x-origin", SECRET)]).await, "200");
    let line = shop.gateway.log(3).await.pop().unwrap();
    assert!(line["would_refuse"].to_string().contains("speaks no TLS"), "{line}");
}

/// The lock asks for no client address: where nobody knows one, whoever brings the header passes all the same.
#[tokio::test]
async fn whose_address_nobody_can_read_passes_by_the_header() {
    let shop = Shop::under("trustedProxies: {cidrs: [127.0.0.1]}", BY_HEADER).await;
    for told in ["nonsense", "192.0.2.7:5678:1", "unknown"] {
        let told = ("x-forwarded-for", told);
        assert_eq!(shop.verdict(&[("x-origin", SECRET), told]).await, "200", "{told:?}");
        assert_eq!(shop.verdict(&[told]).await, LOCKED, "{told:?}");
    }
    let shop = Shop::under("trustedProxies: {cidrs: [127.0.0.1], proxyProtocol: Required}", BY_HEADER).await;
    for (secret, expected) in [(SECRET, 200), (NEXT, 200), ("guess", 403)] {
        let request = format!(
            "PROXY UNKNOWN\r\nGET /orders HTTP/1.1\r\nHost: {HOST}\r\nX-Origin: {secret}\r\nConnection: close\r\n\r\n"
        );
        let heard = raw(shop.gateway.http(), request.as_bytes()).await;
        assert_eq!(heard.statuses(), [expected], "{heard:?}");
    }
    let shop = Shop::start(&format!("{BY_HEADER}, trustedProxies: {{cidrs: [nowhere]}}")).await;
    assert_eq!(shop.verdict(&[("x-origin", SECRET)]).await, "200");
}

/// What has been let in is let go on only as long as what it has brought opens the lock.
#[rstest]
#[case::another_value(BY_HEADER, Some("{primary: fedcba9876543210fedcba9876543210}"))]
#[case::other_addresses("originLock: {cidrs: [127.0.0.7]}", None)]
#[case::another_header("originLock: {header: {name: X-Other, secretRef: {name: waf}}}", None)]
#[case::a_value_that_is_none(BY_HEADER, Some("{primary: short}"))]
#[tokio::test]
async fn what_lasts_ends_with_what_let_it_in(#[case] own: &str, #[case] data: Option<&str>) {
    let mut shop = Shop::start(&BY_HEADER.replace("}}}", "}}, cidrs: [127.0.0.0/8]}")).await;
    let stream = tokio::net::TcpStream::connect(shop.gateway.http()).await.unwrap();
    let mut events = open(stream, get("/orders/drip", &[("x-origin", SECRET)])).await.into_body();
    assert!(events.frame().await.is_some_and(|frame| frame.is_ok()));
    shop.gateway.write("another.yaml", &secret("another", "{}"));
    shop.gateway.write("waf.yaml", &values(&format!("{{primary: {NEXT}, secondary: {SECRET}}}")));
    lasts(&mut events).await;
    if let Some(data) = data {
        shop.gateway.write("waf.yaml", &values(data));
    } else {
        shop.require(own);
    }
    breaks_off(events).await;
}

#[tokio::test]
async fn what_came_in_before_there_was_a_lock_ends_when_there_is_one() {
    let mut shop = Shop::start("").await;
    let stream = tokio::net::TcpStream::connect(shop.gateway.http()).await.unwrap();
    let mut events = open(stream, get("/orders/drip", &[("x-origin", SECRET)])).await.into_body();
    shop.require(&BY_HEADER.replace("}}}", "}}, mode: Report}"));
    lasts(&mut events).await;
    shop.require(BY_HEADER);
    breaks_off(events).await;
}

/// The route's owner lets streams last; the Gateway's owner does not let them past the lock.
#[tokio::test]
async fn a_policy_does_not_let_streams_outlast_the_lock() {
    let mut shop = Shop::start(BY_HEADER).await;
    shop.gateway.write(
        "streams.yaml",
        &policy("orders", "streams: {endOnExpiry: false}")
            .replace("name: orders, namespace", "name: streams, namespace"),
    );
    let stream = tokio::net::TcpStream::connect(shop.gateway.http()).await.unwrap();
    let mut events = open(stream, get("/orders/drip", &[("x-origin", SECRET)])).await.into_body();
    lasts(&mut events).await;
    shop.gateway.write("waf.yaml", &values(&format!("{{primary: {NEXT}}}")));
    breaks_off(events).await;
}

/// Whether things come for longer than it takes to notice a change.
async fn lasts(events: &mut Incoming) {
    let until = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < until {
        assert!(events.frame().await.is_some_and(|frame| frame.is_ok()), "it ended");
    }
}

async fn breaks_off(mut events: Incoming) {
    let ended = async { while events.frame().await.is_some_and(|frame| frame.is_ok()) {} };
    tokio::time::timeout(Duration::from_secs(3), ended).await.expect("it ends within a second");
}

/// A request has said all that matters in its head: what it says of the kind at its end is nobody's.
#[tokio::test]
async fn trailers_carry_it_no_further() {
    let mut shop = Shop::start(BY_HEADER).await;
    let over_http2 = shop.manifests(BY_HEADER).replace("  endpoints:", "  protocol: H2C\n  endpoints:");
    shop.gateway.write("main.yaml", &over_http2);
    let body = format!(
        "POST /orders HTTP/1.1\r\nHost: {HOST}\r\nX-Origin: {SECRET}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\nX-Origin: {SECRET}\r\nX_Origin: {SECRET}\r\nX-Sum: kept\r\n\r\n"
    );
    assert_eq!(raw(shop.gateway.http(), body.as_bytes()).await.statuses(), [200]);
    let seen = shop.service.one();
    let trailers = seen.trailers.expect("they come");
    assert!(trailers.contains_key("x-sum") && !format!("{trailers:?}").contains(SECRET), "{trailers:?}");
}

/// One line cannot be two values.
#[tokio::test]
async fn two_locks_that_no_request_opens_are_told_of() {
    let own = BY_HEADER.replace("name: waf", "name: inner");
    let mut shop = Shop::under(BY_HEADER, &own).await;
    shop.gateway.write("inner.yaml", &secret("inner", "{primary: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}"));
    let said = shop.gateway.said("Gateway shop/public");
    assert!(said.contains("no value stands in both Secrets"), "{said}");
    assert_eq!(shop.verdict(&[("x-origin", SECRET)]).await, LOCKED);
    shop.gateway.write("inner.yaml", &secret("inner", &format!("{{secondary: {SECRET}}}")));
    assert_eq!(shop.gateway.said("Gateway shop/public"), "");
    assert_eq!(shop.verdict(&[("x-origin", SECRET)]).await, "200");
    assert_eq!(shop.verdict(&[("x-origin", NEXT)]).await, LOCKED);
}

/// A Gateway's lock adds to the class's.
#[tokio::test]
async fn that_of_the_class_and_that_of_the_gateway_hold_both() {
    let inner = "originLock: {header: {name: X-Inner, secretRef: {name: inner}}}";
    let mut shop = Shop::under(BY_HEADER, inner).await;
    shop.gateway.write("inner.yaml", &secret("inner", &format!("{{primary: {NEXT}}}")));
    let (outer, inner) = (("x-origin", SECRET), ("x-inner", NEXT));
    assert_eq!(shop.verdict(&[outer, inner]).await, "200");
    for headers in [&[outer][..], &[inner], &[("x-origin", NEXT), ("x-inner", SECRET)], &[]] {
        assert_eq!(shop.verdict(headers).await, LOCKED, "{headers:?}");
    }
    let seen = shop.service.one();
    assert!(seen.header("x-origin").is_none() && seen.header("x-inner").is_none(), "{seen:?}");
    shop.gateway.remove("inner.yaml");
    assert_eq!(shop.verdict(&[outer, inner]).await, "500 configuration");
}

/// Also where nothing else of a request is in order, it does not go around.
#[tokio::test]
async fn an_absolute_target_and_an_old_version_do_not_lead_around_it() {
    let shop = Shop::start(BY_HEADER).await;
    for head in [
        format!("GET http://{HOST}/orders HTTP/1.1\r\nHost: other.example.com\r\n"),
        format!("GET http://{HOST}/orders HTTP/1.1\r\nHost: {HOST}\r\n"),
        format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"),
        format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\nTrailer: X-Origin\r\n"),
    ] {
        let heard = raw(shop.gateway.http(), format!("{head}\r\n").as_bytes()).await;
        let statuses = heard.statuses();
        assert!(!statuses.is_empty() && statuses.iter().all(|status| matches!(status, 400 | 403)), "{head}: {heard:?}");
    }
    let address: SocketAddr = shop.gateway.http();
    let old = raw(address, format!("GET /orders HTTP/1.0\r\nHost: {HOST}\r\n\r\n").as_bytes()).await;
    assert!(old.text.starts_with("HTTP/1.0 403"), "{old:?}");
    let body = format!(
        "POST /orders HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Origin\r\n\r\n0\r\nX-Origin: {SECRET}\r\n\r\n"
    );
    assert_eq!(raw(address, body.as_bytes()).await.statuses(), [403]);
    assert_eq!(shop.service.count(), 0);
    assert_eq!(
        over(tokio::net::TcpStream::connect(address).await.unwrap(), get("/orders", &[("x-origin", SECRET)]))
            .await
            .verdict(),
        "200"
    );
}
