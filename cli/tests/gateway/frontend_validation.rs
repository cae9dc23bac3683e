//! Certificates that a Gateway asks all callers of a port for in the handshake (`spec.tls.frontend`, GEP-91).

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, date_time_ymd};
use rstest::rstest;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::kit::caller::{HOST, get, get_http2, http2, over, read, send, tls};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, pem, policy, route};
use crate::kit::pki::{Authority, Identity};
use crate::kit::secured::certificate;
use crate::kit::service::Service;

const VOUCHED: &str = "default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: clients}]}}";
const INSECURE: &str = "default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: clients}], mode: AllowInsecureFallback}}";

/// `/orders`, which anybody may call who has a connection, with TLS or without.
struct Shop {
    gateway: Gateway,
    service: Service,
    public: Authority,
    clients: Authority,
}

impl Shop {
    /// With this as `tls.frontend` of the Gateway.
    async fn start(frontend: &str) -> Self {
        let (public, clients, service) = (Authority::new("public"), Authority::new("clients"), Service::start().await);
        let mut gateway = Gateway::empty().await;
        let more = [backend("shop", service.address, ""), certificate("shown", &public.issue(&[HOST]))].concat();
        gateway.write("more.yaml", &more);
        let mut shop = Self { gateway, service, public, clients };
        shop.trust(&shop.clients.pem());
        shop.require(frontend);
        shop
    }

    fn require(&mut self, frontend: &str) {
        let text = Self::manifests(frontend);
        self.gateway.write("main.yaml", &text);
    }

    fn manifests(frontend: &str) -> String {
        let listener = format!(
            "  - {{name: https, port: 8443, protocol: HTTPS, hostname: '{HOST}', tls: {{certificateRefs: [{{name: shown}}]}}}}\n"
        );
        let stated = format!("spec:\n  tls: {{frontend: {{{frontend}}}}}\n  gatewayClassName");
        let gateway = GATEWAY.replace("spec:\n  gatewayClassName", &stated);
        [&*gateway, &listener, &route("orders", "shop"), &policy("orders", OPEN)].concat()
    }

    fn trust(&mut self, pem_text: &str) {
        self.gateway.write("clients.yaml", &pem("ConfigMap", "clients", &[("ca.crt", pem_text)]));
    }

    fn client(&self) -> Identity {
        self.clients.issue_changed(&["client.example"], for_clients)
    }

    fn showing(&self, identity: &Identity) -> ClientConfig {
        self.public.client_showing(&[], identity, &[])
    }

    /// What comes of one request: the handshake may end after the caller takes it for done.
    async fn verdict(&self, config: ClientConfig) -> String {
        let Ok(mut stream) = tls(self.gateway.https(), HOST, config).await else { return "no handshake".to_owned() };
        let request = format!("GET /orders HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
        let mut heard = Vec::new();
        let done = async {
            stream.write_all(request.as_bytes()).await?;
            stream.read_to_end(&mut heard).await
        };
        match done.await {
            Err(_) if heard.is_empty() => "no handshake".to_owned(),
            _ => String::from_utf8_lossy(heard.get(9..12).unwrap_or_default()).into_owned(),
        }
    }

    /// Handshakes are counted once their end has been told.
    async fn has_failed(&self, cause: &str, times: u32) {
        let line = format!("sallyport_tls_handshakes_failed_total{{cause=\"{cause}\"}} {times}\n");
        let until = Instant::now() + Duration::from_secs(5);
        while !self.gateway.metrics().await.contains(&line) {
            assert!(Instant::now() < until, "{line}{}", self.gateway.metrics().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn kept_open(&self, identity: &Identity) -> SendRequest<Empty<Bytes>> {
        let stream = tls(self.gateway.https(), HOST, self.showing(identity)).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }
}

fn for_clients(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

#[rstest]
#[case::tls_1_3(&TLS13)]
#[case::tls_1_2(&TLS12)]
#[tokio::test]
async fn whom_nobody_vouches_for_has_no_handshake(#[case] version: &'static rustls::SupportedProtocolVersion) {
    let shop = Shop::start(VOUCHED).await;
    let (other, middle) = (Authority::new("clients"), Authority::new("middle"));
    let between = shop.clients.middle("between");
    let server = shop.clients.issue_changed(&["a.example"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let expired = shop.clients.issue_changed(&["a.example"], |params| {
        for_clients(params);
        params.not_after = date_time_ymd(2026, 1, 1);
    });
    let showing = |identity: &Identity, others: &[&Authority]| {
        let shown = shop.public.client_showing(&[], identity, others).client_auth_cert_resolver.clone();
        let mut config = shop.public.client_of(&[version]);
        config.client_auth_cert_resolver = shown;
        config
    };
    for (what, config, expected) in [
        ("its own", showing(&shop.client(), &[]), "200"),
        ("one by way of another", showing(&between.issue(&["a.example"]), &[&between]), "200"),
        ("none", shop.public.client_of(&[version]), "no handshake"),
        ("of another authority of the same name", showing(&other.issue(&["a.example"]), &[]), "no handshake"),
        ("of the Gateway's own authority", showing(&shop.public.issue(&[HOST]), &[]), "no handshake"),
        ("for servers", showing(&server, &[]), "no handshake"),
        ("expired", showing(&expired, &[]), "no handshake"),
        ("with the way left out", showing(&between.issue(&["a.example"]), &[]), "no handshake"),
        ("with a stranger between", showing(&middle.issue(&["a.example"]), &[&middle]), "no handshake"),
    ] {
        assert_eq!(shop.verdict(config).await, expected, "{what}");
    }
    assert_eq!(shop.service.count(), 2);
    shop.has_failed("certificate", 7).await;
    assert!(tls(shop.gateway.https(), "other.example.com", shop.public.client(&[])).await.is_err());
    shop.has_failed("server-name", 1).await;
    assert_eq!(send(shop.gateway.http(), get("/orders", &[])).await.verdict(), "200", "it is for TLS alone");
}

#[tokio::test]
async fn it_is_no_authentication() {
    let mut shop = Shop::start(VOUCHED).await;
    shop.gateway.write("bare.yaml", &route("bare", "shop"));
    let stream = tls(shop.gateway.https(), HOST, shop.showing(&shop.client())).await.unwrap();
    assert_eq!(over(stream, get("/bare", &[])).await.verdict(), "500 unprotected");
}

#[tokio::test]
async fn with_the_insecure_mode_everybody_gets_in_and_the_status_says_so() {
    let mut shop = Shop::start(INSECURE).await;
    let stranger = Authority::new("clients").issue(&["a.example"]);
    for config in [shop.public.client(&[]), shop.showing(&stranger), shop.showing(&shop.client())] {
        assert_eq!(shop.verdict(config).await, "200");
    }
    let insecure = "InsecureFrontendValidationMode";
    let told = shop.gateway.until("Gateway shop/public", insecure, "ConfigurationChanged").await;
    assert!(told.message.contains("spec.tls.frontend.default.validation.mode"), "{told:?}");
    shop.require(VOUCHED);
    assert!(!shop.gateway.said("Gateway shop/public").contains(insecure));
    assert_eq!(shop.verdict(shop.public.client(&[])).await, "no handshake");
}

#[tokio::test]
async fn what_a_port_says_holds_there_in_place_of_the_default() {
    let other = "[{group: '', kind: ConfigMap, name: missing}]";
    let of_port = |tls: &str| format!("{VOUCHED}, perPort: [{{port: 8443, tls: {tls}}}]");
    let mut shop = Shop::start(&of_port("{}")).await;
    assert_eq!(shop.verdict(shop.public.client(&[])).await, "200", "it asks for nothing");
    shop.require(&of_port(&format!("{{validation: {{caCertificateRefs: {other}}}}}")));
    assert_eq!(shop.verdict(shop.showing(&shop.client())).await, "no handshake");
    let said = shop.gateway.said("Gateway shop/public");
    assert!(
        said.contains("ConfigMap shop/missing does not exist") && said.contains("nobody is left to vouch"),
        "{said}"
    );
    assert_eq!(send(shop.gateway.http(), get("/orders", &[])).await.verdict(), "200", "it is for TLS alone");
    shop.require(&VOUCHED.replacen("default:", "default: {}, perPort: [{port: 8444, tls:", 1).replace("}}", "}}}]"));
    assert_eq!(shop.verdict(shop.public.client(&[])).await, "200", "another port is meant");
    assert!(shop.gateway.said("Gateway shop/public").contains("no HTTPS listener has port 8444"));
}

/// As soon as the authority is gone, on the connection that there is and in what lasts. Sessions do not resume: they would bring the
/// certificate that they began with.
#[tokio::test]
async fn who_was_vouched_for_is_out_when_the_authority_is() {
    let mut shop = Shop::start(VOUCHED).await;
    let (client, next) = (shop.client(), Authority::new("next"));
    let config = shop.showing(&client);
    let mut connection = shop.kept_open(&client).await;
    let mut ask = async || read(connection.send_request(get("/orders", &[])).await.unwrap()).await.verdict();
    assert_eq!(ask().await, "200");
    let mut lasting = shop.kept_open(&client).await;
    let mut events = lasting.send_request(get("/orders/drip", &[])).await.unwrap().into_body();
    assert_eq!(shop.verdict(config.clone()).await, "200");
    let again = tls(shop.gateway.https(), HOST, config.clone()).await.unwrap();
    assert_eq!(again.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));

    shop.trust(&[shop.clients.pem(), next.pem()].concat());
    lasts(&mut events).await;
    assert_eq!(ask().await, "200", "another is trusted besides");
    shop.trust(&next.pem());
    breaks_off(events).await;
    assert_eq!(ask().await, "421 misdirected-request", "with another handshake all may be well");
    assert_eq!(shop.verdict(config).await, "no handshake", "and with this certificate nothing is");
    let renewed = next.issue_changed(&["client.example"], for_clients);
    assert_eq!(shop.verdict(shop.showing(&renewed)).await, "200");
}

/// The last authority goes, or cannot be told any more.
#[rstest]
#[case::it_is_gone("default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: gone}]}}")]
#[case::it_is_of_another_kind(
    "default: {validation: {caCertificateRefs: [{group: '', kind: Service, name: clients}]}}"
)]
#[case::it_is_another_mode_s(
    "default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: gone}], mode: AllowInsecureFallback}}"
)]
#[tokio::test]
async fn where_nobody_vouches_what_lasts_ends(#[case] broken: &str) {
    for before in [VOUCHED, "default: {}"] {
        let mut shop = Shop::start(before).await;
        let client = shop.client();
        let (mut lasting, mut connection) = (shop.kept_open(&client).await, shop.kept_open(&client).await);
        let mut ask = async || read(connection.send_request(get("/orders", &[])).await.unwrap()).await.verdict();
        assert_eq!(ask().await, "200");
        let mut events = lasting.send_request(get("/orders/drip", &[])).await.unwrap().into_body();
        lasts(&mut events).await;
        shop.require(broken);
        breaks_off(events).await;
        assert_eq!(ask().await, "421 misdirected-request", "{before}");
        assert_eq!(shop.verdict(shop.showing(&client)).await, "no handshake", "{before}");
    }
}

#[tokio::test]
async fn a_listener_that_is_renamed_lets_go_of_what_lasts() {
    let mut shop = Shop::start(VOUCHED).await;
    let streams = policy("orders", "streams: {endOnExpiry: false}")
        .replace("name: orders, namespace", "name: streams, namespace");
    shop.gateway.write("streams.yaml", &streams);
    let mut lasting = shop.kept_open(&shop.client()).await;
    let mut events = lasting.send_request(get("/orders/drip", &[])).await.unwrap().into_body();
    lasts(&mut events).await;
    let renamed = Shop::manifests(VOUCHED).replace("name: https,", "name: other,");
    shop.gateway.write("main.yaml", &renamed);
    breaks_off(events).await;
}

#[tokio::test]
async fn who_came_in_before_it_was_asked_for_is_asked_anew() {
    let mut shop = Shop::start("default: {}").await;
    let client = shop.client();
    let stream = tls(shop.gateway.https(), HOST, shop.public.client(&["h2"])).await.unwrap();
    let mut before = http2(stream).await;
    let ask = |sender: &mut hyper::client::conn::http2::SendRequest<Empty<Bytes>>| {
        let answer = sender.send_request(get_http2("https", HOST, "/orders", &[]));
        async { read(answer.await.unwrap()).await.verdict() }
    };
    assert_eq!(ask(&mut before).await, "200");
    let mut lasting = shop.kept_open(&client).await;
    let events = lasting.send_request(get("/orders/drip", &[])).await.unwrap().into_body();
    shop.require(VOUCHED);
    assert_eq!(ask(&mut before).await, "421 misdirected-request");
    breaks_off(events).await;
    assert_eq!(shop.verdict(shop.showing(&client)).await, "200");
    shop.require("default: {}");
    assert_eq!(shop.verdict(shop.public.client(&[])).await, "200");
}

/// A connection that was made for a host that asks for nothing carries no requests for one that does.
#[tokio::test]
async fn another_gateway_of_the_port_is_no_way_around() {
    let mut shop = Shop::start(VOUCHED).await;
    let open = "open.example.com";
    let both = shop.public.issue(&[HOST, open]);
    shop.gateway.write("more.yaml", &[backend("shop", shop.service.address, ""), certificate("shown", &both)].concat());
    let other = |frontend: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: other, namespace: shop}}\nspec:\n  gatewayClassName: sallyport\n  tls: {{frontend: {{{frontend}}}}}\n  listeners:\n  - {{name: https, port: 8443, protocol: HTTPS, hostname: {open}, tls: {{certificateRefs: [{{name: shown}}]}}}}\n"
        )
    };
    let stranger = Authority::new("clients").issue(&["a.example"]);
    // The second is asked for his certificate, and shows it.
    for (frontend, config) in
        [("default: {}", shop.public.client(&["h2"])), (INSECURE, shop.public.client_showing(&["h2"], &stranger, &[]))]
    {
        shop.gateway.write("other.yaml", &other(frontend));
        let stream = tls(shop.gateway.https(), open, config).await.unwrap();
        let mut sender = http2(stream).await;
        let answer = sender.send_request(get_http2("https", HOST, "/orders", &[])).await.unwrap();
        assert_eq!(read(answer).await.verdict(), "421 misdirected-request");
    }
    assert_eq!(shop.service.count(), 0);
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
