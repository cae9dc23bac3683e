//! Certificates that callers show: asked for where a route wants one, judged by each route for itself.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2 as client_http2};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType, SerialNumber, date_time_ymd};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::kit::caller::{Answer, HOST, get, get_http2, http2, over, read, send, tls};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{GATEWAY, OPEN, backend, pem, policy, route, subscription};
use crate::kit::pki::{Authority, Identity};
use crate::kit::secured::certificate;
use crate::kit::service::Service;

const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const TRUST: &str = "trust: {caCertificateRefs: [{kind: ConfigMap, name: machines}]}";
const LOADER: &str = "spiffe://example.com/loader";
const SERIAL: u64 = 4711;

/// `/orders` behind certificates on one port with TLS; `/open` behind nothing, `/plain` on a port without TLS.
struct Shop {
    gateway: Gateway,
    service: Service,
    public: Authority,
    machines: Authority,
}

impl Shop {
    /// Behind what `spec` says, beside which `more` is there.
    async fn start(spec: &str, more: &str) -> Self {
        let (public, machines, service) =
            (Authority::new("public"), Authority::new("machines"), Service::start().await);
        let https = format!(
            "  - {{name: https, port: 8443, protocol: HTTPS, hostname: '{HOST}', tls: {{certificateRefs: [{{name: shown}}]}}}}\n"
        );
        let manifests = [
            GATEWAY,
            &https,
            &route("orders", "shop"),
            &route("open", "shop"),
            &backend("shop", service.address, ""),
            &policy("open", OPEN),
            &certificate("shown", &public.issue(&[HOST])),
            &pem("ConfigMap", "machines", &[("ca.crt", &machines.pem())]),
            &subscription("acme", "{apis: [{kind: HTTPRoute, name: orders}]}", &format!("{{primary: {KEY}}}")),
            more,
        ];
        let mut gateway = Gateway::start(&manifests.concat()).await;
        gateway.write("policy.yaml", &policy("orders", spec));
        Self { gateway, service, public, machines }
    }

    async fn of_machines(identities: &str) -> Self {
        Self::start(&by_certificate(identities), "").await
    }

    fn loader(&self) -> Identity {
        self.machines.issue_changed(&[], loader)
    }

    fn showing(&self, identity: &Identity) -> ClientConfig {
        self.public.client_showing(&[], identity, &[])
    }

    async fn connected(&self, config: ClientConfig) -> TlsStream<TcpStream> {
        tls(self.gateway.https(), HOST, config).await.unwrap()
    }

    async fn asked(&self, config: ClientConfig, target: &str, headers: &[(&str, &str)]) -> Answer {
        over(self.connected(config).await, get(target, headers)).await
    }

    async fn verdict(&self, config: ClientConfig) -> String {
        self.asked(config, "/orders", &[]).await.verdict()
    }
}

fn by_certificate(more: &str) -> String {
    format!("authentication: [{{name: machines, clientCertificate: {{{TRUST}{more}}}}}]\n")
}

fn loader(params: &mut CertificateParams) {
    params.subject_alt_names = vec![SanType::URI(LOADER.try_into().unwrap())];
    params.serial_number = Some(SerialNumber::from(SERIAL));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

#[tokio::test]
async fn a_certificate_of_the_authority_lets_in_and_no_other_does() {
    let shop = Shop::of_machines("").await;
    let (other, middle) = (Authority::new("machines"), Authority::new("middle"));
    let self_signed = other.issue(&[HOST]);
    let server = shop.machines.issue_changed(&[], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let expired = shop.machines.issue_changed(&[], |params| params.not_after = date_time_ymd(2026, 1, 1));
    for (what, config, expected) in [
        ("its own", shop.showing(&shop.loader()), "200"),
        ("none", shop.public.client(&[]), "403 certificate-missing"),
        ("of another authority of the same name", shop.showing(&self_signed), "403 certificate-refused"),
        ("of the Gateway's own authority", shop.showing(&shop.public.issue(&[HOST])), "403 certificate-refused"),
        ("for servers", shop.showing(&server), "403 certificate-refused"),
        ("expired", shop.showing(&expired), "403 certificate-refused"),
        (
            "with a stranger between",
            shop.public.client_showing(&[], &middle.issue(&[HOST]), &[&middle]),
            "403 certificate-refused",
        ),
    ] {
        assert_eq!(shop.verdict(config).await, expected, "{what}");
    }
    assert_eq!(shop.service.count(), 1);
    let in_clear = send(shop.gateway.http(), get("/orders", &[])).await;
    assert_eq!(in_clear.verdict(), "403 certificate-missing");
    let forged =
        [("client-cert", ":AAAA:"), ("x-forwarded-client-cert", "By=x;Hash=y"), ("ssl-client-verify", "SUCCESS")];
    assert_eq!(send(shop.gateway.http(), get("/orders", &forged)).await.verdict(), "403 certificate-missing");
    assert_eq!(shop.asked(shop.public.client(&[]), "/orders", &forged).await.verdict(), "403 certificate-missing");
}

#[tokio::test]
async fn only_who_is_meant_gets_in() {
    for (identities, expected) in [
        (format!("{{subjectAltName: {{uri: '{LOADER}'}}}}"), "200"),
        ("{subjectAltName: {uri: 'spiffe://example.com/other'}}".to_owned(), "403 certificate-refused"),
        (format!("{{subjectAltName: {{dns: other.example.com}}}}, {{subjectAltName: {{uri: '{LOADER}'}}}}"), "200"),
        ("{subject: 'CN=rcgen self signed cert'}".to_owned(), "200"),
        ("{subject: 'CN=rcgen Self signed cert'}".to_owned(), "403 certificate-refused"),
        ("{issuer: 'CN=machines', serialNumber: '1267'}".to_owned(), "200"),
        ("{issuer: 'CN=machines', serialNumber: '1268'}".to_owned(), "403 certificate-refused"),
        (format!("{{sha256Fingerprint: '{}'}}", "0".repeat(64)), "403 certificate-refused"),
    ] {
        let shop = Shop::of_machines(&format!(", identities: [{identities}]")).await;
        let said = shop.gateway.said("ApiPolicy shop/orders");
        assert_eq!(shop.verdict(shop.showing(&shop.loader())).await, expected, "{identities}: {said}");
    }
}

#[tokio::test]
async fn a_certificate_can_be_pinned_without_an_authority() {
    let (partners, others) = (Authority::new("partners"), Authority::new("partners"));
    let (partner, other) = (partners.issue(&["a.example"]), others.issue(&["a.example"]));
    let spec =
        "authentication: [{name: partner, clientCertificate: {identities: [{certificateRef: {name: partner}}]}}]\n";
    let mut shop = Shop::start(spec, "").await;
    assert_eq!(shop.verdict(shop.showing(&partner)).await, "500 configuration", "it is not there yet");
    let pinned = |one: &Identity| pem("Secret", "partner", &[("tls.crt", &one.certificate)]);
    shop.gateway.write("partner.yaml", &pinned(&partner));
    assert_eq!(shop.verdict(shop.showing(&partner)).await, "200");
    assert_eq!(shop.verdict(shop.showing(&other)).await, "403 certificate-refused");
    assert_eq!(shop.verdict(shop.showing(&partners.issue(&["a.example"]))).await, "403 certificate-refused");
    shop.gateway.write("partner.yaml", &pinned(&other));
    assert_eq!(shop.verdict(shop.showing(&partner)).await, "403 certificate-refused", "another is pinned");
    assert_eq!(shop.verdict(shop.showing(&other)).await, "200");
}

/// Which part of several speaks, and that all of them have to hold.
#[tokio::test]
async fn a_certificate_beside_a_key_and_a_token() {
    let issuer = Issuer::start().await;
    let jwt = format!(
        "jwt: {{issuer: '{}', audiences: [orders-api], keys: {{inline: '{}'}}}}",
        issuer.name(),
        issuer.key_set()
    );
    let both = format!("authentication: [{{name: both, subscriptionKey: {{}}, clientCertificate: {{{TRUST}}}}}]\n");
    let either =
        format!("authentication: [{{name: machines, clientCertificate: {{{TRUST}}}}}, {{name: staff, {jwt}}}]\n");
    let bearer = format!("Bearer {}", issuer.token("orders-api"));
    let (key, token) = (("sallyport-key", KEY), ("authorization", bearer.as_str()));
    for (spec, shows, headers, expected) in [
        (&both, true, vec![key], "200"),
        (&both, false, vec![key], "403 certificate-missing"),
        (&both, true, vec![], "401 credential-missing"),
        (&both, true, vec![("sallyport-key", "sp_unknown")], "401 key-unknown"),
        (&both, false, vec![], "401 credential-missing"),
        (&either, true, vec![], "200"),
        (&either, false, vec![token], "200"),
        (&either, false, vec![], "401 credential-missing"),
        (&either, false, vec![("authorization", "Bearer x.y.z")], "401 token-invalid"),
    ] {
        let shop = Shop::start(spec, "").await;
        let config = if shows { shop.showing(&shop.loader()) } else { shop.public.client(&[]) };
        assert_eq!(shop.asked(config, "/orders", &headers).await.verdict(), expected, "{spec} {shows} {headers:?}");
    }
}

#[tokio::test]
async fn expressions_and_the_service_are_told_what_was_judged() {
    let spec = by_certificate("")
        + "authorization:\n- {name: loader, require: '\"spiffe://example.com/loader\" in auth.certificate.uris && auth.certificate.issuer == \"CN=machines\"'}\n"
        + "requestHeaders:\n  set:\n  - {name: Client-Cert, expression: auth.certificate.rfc9440}\n  - {name: X-Caller, expression: auth.identity}\n";
    let shop = Shop::start(&spec, "").await;
    assert!(shop.gateway.diagnostics.is_empty(), "{:#?}", shop.gateway.diagnostics);
    let loader = shop.loader();
    let answer = shop.asked(shop.showing(&loader), "/orders", &[("client-cert", ":AAAA:"), ("x_caller", "me")]).await;
    assert_eq!(answer.verdict(), "200");
    let seen = shop.service.one();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &loader.der);
    assert_eq!(seen.header("client-cert"), Some(format!(":{encoded}:").as_str()));
    assert!(seen.header("x-caller").is_some_and(|identity| identity.starts_with("certificate:")), "{seen:?}");
    let other = shop.machines.issue(&["other.example.com"]);
    assert_eq!(shop.verdict(shop.showing(&other)).await, "403 authorization-denied");
}

/// Of each authority one; what is added takes effect on connections that are open.
#[tokio::test]
async fn what_is_revoked_is_refused_at_once_and_the_rest_goes_on() {
    let lists =
        |shop: &Shop, serials: &[u64]| pem("ConfigMap", "revoked", &[("ca.crl", &shop.machines.revoking(serials))]);
    let spec = by_certificate(", revocation: {crlRefs: [{kind: ConfigMap, name: revoked}]}");
    let mut shop = Shop::start(&spec, "").await;
    assert_eq!(shop.verdict(shop.showing(&shop.loader())).await, "500 configuration", "no list is there");
    let clean = lists(&shop, &[1]);
    shop.gateway.write("revoked.yaml", &clean);
    let stream = shop.connected(shop.showing(&shop.loader())).await;
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async || read(sender.send_request(get("/orders", &[])).await.unwrap()).await.verdict();
    assert_eq!(ask().await, "200");
    let revoked = lists(&shop, &[1, SERIAL]);
    shop.gateway.write("revoked.yaml", &revoked);
    assert_eq!(ask().await, "403 certificate-refused", "on the connection that it had");
    assert_eq!(shop.verdict(shop.showing(&shop.machines.issue(&["a.example"]))).await, "200");
    shop.gateway.write("revoked.yaml", &pem("ConfigMap", "revoked", &[("ca.crl", "nonsense")]));
    assert_eq!(ask().await, "500 configuration");
    assert!(shop.gateway.said("ApiPolicy shop/orders").contains("crlRefs[0]"), "{:?}", shop.gateway.diagnostics);
    shop.gateway.write("revoked.yaml", &clean);
    assert_eq!(ask().await, "200");
}

/// An answer that goes on without end.
#[tokio::test]
async fn a_stream_ends_when_its_certificate_is_revoked_and_outlives_other_changes() {
    let spec = by_certificate(", revocation: {crlRefs: [{kind: ConfigMap, name: revoked}]}");
    let mut shop = Shop::start(&spec, "").await;
    let list =
        |shop: &Shop, serials: &[u64]| pem("ConfigMap", "revoked", &[("ca.crl", &shop.machines.revoking(serials))]);
    let (clean, more, revoked) = (list(&shop, &[]), list(&shop, &[1, 2]), list(&shop, &[SERIAL]));
    shop.gateway.write("revoked.yaml", &clean);
    let stream = shop.connected(shop.showing(&shop.loader())).await;
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut body = sender.send_request(get("/orders/drip", &[])).await.unwrap().into_body();
    assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
    shop.gateway.write("revoked.yaml", &more);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(body.frame().await.is_some_and(|frame| frame.is_ok()), "others were revoked");
    shop.gateway.write("revoked.yaml", &revoked);
    let ended = async { while body.frame().await.is_some_and(|frame| frame.is_ok()) {} };
    tokio::time::timeout(Duration::from_secs(3), ended).await.expect("it ends");
}

#[tokio::test]
async fn a_certificate_is_asked_for_only_where_a_route_wants_one() {
    let mut shop = Shop::start(OPEN, "").await;
    let loader = shop.loader();
    let before = shop.connected(shop.showing(&loader)).await;
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(before)).await.unwrap();
    let ended = tokio::spawn(connection);
    let answered = read(sender.send_request(get("/orders", &[])).await.unwrap()).await;
    assert_eq!(answered.verdict(), "200");
    shop.gateway.write("policy.yaml", &policy("orders", &by_certificate("")));
    let open = read(sender.send_request(get("/open", &[])).await.unwrap()).await;
    assert_eq!(open.verdict(), "200", "routes that want none go on");
    let late = read(sender.send_request(get("/orders", &[])).await.unwrap()).await;
    assert_eq!(late.verdict(), "421 misdirected-request", "it was not asked for one");
    ended.await.unwrap().expect("the connection ends, so that the next one is asked");
    assert_eq!(shop.verdict(shop.showing(&loader)).await, "200");
    assert_eq!(shop.asked(shop.public.client(&[]), "/open", &[]).await.verdict(), "200", "and needs none for others");
    shop.gateway.write("policy.yaml", &policy("orders", &format!("mode: Report\n{}", by_certificate(""))));
    assert_eq!(shop.verdict(shop.showing(&loader)).await, "500 unprotected", "who only reports asks nobody");
}

/// However far another credential has come: on another connection all may be otherwise.
#[tokio::test]
async fn what_cannot_come_on_a_connection_speaks_loudest() {
    let issuer = Issuer::start().await;
    let mut shop = Shop::start(OPEN, "").await;
    let loader = shop.loader();
    let scoped = format!(
        "authentication:\n- {{name: staff, jwt: {{issuer: '{}', audiences: [orders-api], scopes: [none], keys: {{inline: '{}'}}}}}}\n- {{name: broken, subscriptionKey: {{}}, jwt: {{issuer: '{0}', audiences: [orders-api], keys: {{secretRef: {{name: none, key: none}}}}}}}}\n- {{name: machines, clientCertificate: {{{TRUST}}}}}\n",
        issuer.name(),
        issuer.key_set()
    );
    let bearer = format!("Bearer {}", issuer.token("orders-api"));
    let stream = shop.connected(shop.showing(&loader)).await;
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.unwrap();
    let ended = tokio::spawn(connection);
    assert_eq!(read(sender.send_request(get("/orders", &[])).await.unwrap()).await.verdict(), "200");
    shop.gateway.write("policy.yaml", &policy("orders", &scoped));
    let late = read(sender.send_request(get("/orders", &[("authorization", &bearer)])).await.unwrap()).await;
    assert_eq!(late.verdict(), "421 misdirected-request");
    ended.await.unwrap().expect("it ends");
    assert_eq!(shop.asked(shop.showing(&loader), "/orders", &[("authorization", &bearer)]).await.verdict(), "200");
}

/// A session that is resumed has the certificate of the one that it resumes, and is judged anew.
#[tokio::test]
async fn a_resumed_session_is_judged_as_the_first() {
    let mut shop = Shop::of_machines("").await;
    for (config, expected) in
        [(shop.showing(&shop.loader()), "200"), (shop.public.client(&[]), "403 certificate-missing")]
    {
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let stream = shop.connected(config.clone()).await;
            let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.unwrap();
            let served = tokio::spawn(connection.without_shutdown());
            assert_eq!(read(sender.send_request(get("/orders", &[])).await.unwrap()).await.verdict(), expected);
            drop(sender);
            kinds.push(served.await.unwrap().unwrap().io.into_inner().get_ref().1.handshake_kind());
        }
        assert_eq!(kinds[1], Some(rustls::HandshakeKind::Resumed), "{kinds:?}");
    }
    let config = shop.showing(&shop.loader());
    assert_eq!(shop.verdict(config.clone()).await, "200");
    let elsewhere = by_certificate(", identities: [{subjectAltName: {dns: other.example.com}}]");
    shop.gateway.write("policy.yaml", &policy("orders", &elsewhere));
    assert_eq!(shop.verdict(config).await, "403 certificate-refused", "what it resumes was let in");
}

#[tokio::test]
async fn what_is_only_reported_says_what_it_cannot_know() {
    let report = policy("report", &format!("mode: Report\n{}", by_certificate("")))
        .replace("kind: HTTPRoute, name: report", "kind: HTTPRoute, name: orders");
    let shop = Shop::start(OPEN, &report).await;
    assert_eq!(shop.verdict(shop.showing(&shop.loader())).await, "200");
    let log = shop.gateway.log(1).await;
    let told = log[0]["would_refuse"].to_string();
    assert!(told.contains("certificate-missing") && told.contains("only where it is enforced"), "{told}");
}

#[tokio::test]
async fn over_http2_what_was_not_asked_for_is_not_waited_for_either() {
    let mut shop = Shop::start(OPEN, "").await;
    let config = shop.public.client_showing(&["h2"], &shop.loader(), &[]);
    let stream = shop.connected(config.clone()).await;
    let builder = client_http2::Builder::new(hyper_util::rt::TokioExecutor::new());
    let (mut sender, connection) = builder.handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.unwrap();
    let ended = tokio::spawn(connection);
    let request = || get_http2("https", HOST, "/orders", &[]);
    assert_eq!(read(sender.send_request(request()).await.unwrap()).await.verdict(), "200");
    shop.gateway.write("policy.yaml", &policy("orders", &by_certificate("")));
    assert_eq!(read(sender.send_request(request()).await.unwrap()).await.verdict(), "421 misdirected-request");
    tokio::time::timeout(Duration::from_secs(3), ended).await.expect("it ends").unwrap().unwrap();
    let mut next = http2(shop.connected(config).await).await;
    assert_eq!(read(next.send_request(request()).await.unwrap()).await.verdict(), "200");
}

/// The configuration names what is wrong, and lets nobody in by it.
#[tokio::test]
async fn whom_nobody_can_be_told_to_trust_nobody_is_let_in_by() {
    let mut shop = Shop::of_machines("").await;
    let loader = shop.loader();
    let elsewhere = by_certificate("").replace("name: machines}]", "name: others}]");
    shop.gateway.write("policy.yaml", &policy("orders", &elsewhere));
    let own = shop.machines.issue(&["a.example"]).certificate;
    for (authorities, told) in [
        (None, "does not exist"),
        (Some("nonsense"), "no certificate in PEM"),
        (Some(own.as_str()), "may not sign others"),
    ] {
        if let Some(text) = authorities {
            shop.gateway.write("others.yaml", &pem("ConfigMap", "others", &[("ca.crt", text)]));
        }
        assert_eq!(shop.verdict(shop.showing(&loader)).await, "500 configuration", "{told}");
        let said = shop.gateway.said("ApiPolicy shop/orders");
        assert!(said.contains(told) && said.contains("caCertificateRefs[0]"), "{said}");
    }
    for (identities, told) in [
        ("{subject: 'CN=a, O=b'}", "RFC 4514"),
        ("{issuer: loader}", "RFC 4514"),
        ("{certificateRef: {kind: ConfigMap, name: machines}}", "no entry tls.crt"),
    ] {
        shop.gateway.write("policy.yaml", &policy("orders", &by_certificate(&format!(", identities: [{identities}]"))));
        assert_eq!(shop.verdict(shop.showing(&loader)).await, "500 configuration", "{identities}");
        let said = shop.gateway.said("ApiPolicy shop/orders");
        assert!(said.contains(told) && said.contains("identities[0]"), "{said}");
    }
}
