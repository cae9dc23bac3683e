//! Services over TLS: what is spoken to them, and to whom nothing is said.

use std::sync::Arc;

use http::Version;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, date_time_ymd};
use rstest::rstest;
use rustls::ServerConfig;
use rustls::server::ResolvesServerCertUsingSni;
use rustls::sign::CertifiedKey;

use crate::kit::caller::{get, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, pem, policy, route};
use crate::kit::pki::{Authority, Identity};
use crate::kit::service::Service;

/// A Backend over TLS that has to prove to be `hostname`, with the authority in the ConfigMap `services`.
fn tls(protocol: &str, hostname: &str) -> String {
    format!(
        "protocol: {protocol}\ntls: {{validation: {{hostname: {hostname}, caCertificateRefs: [{{kind: ConfigMap, name: services}}]}}}}"
    )
}

/// `/orders` to `service`, as the Backend's spec says in `more`.
async fn open_to(service: &Service, more: &str, authority: &Authority) -> Gateway {
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, more),
        &policy("orders", OPEN),
        &pem("ConfigMap", "services", &[("ca.crt", &authority.pem())]),
    ];
    Gateway::start(&manifests.concat()).await
}

async fn verdict(gateway: &Gateway) -> String {
    send(gateway.http(), get("/orders", &[("authorization", "Bearer callers")])).await.verdict()
}

#[rstest]
#[case::the_service_has_both("HTTP", &["h2", "http/1.1"], Version::HTTP_2)]
#[case::the_service_prefers_the_older("HTTP", &["http/1.1"], Version::HTTP_11)]
#[case::the_service_has_the_newer_only("HTTP", &["h2"], Version::HTTP_2)]
#[case::the_service_knows_no_alpn("HTTP", &[], Version::HTTP_11)]
#[case::the_older_is_asked_for("HTTP11", &["h2", "http/1.1"], Version::HTTP_11)]
#[case::the_older_without_alpn("HTTP11", &[], Version::HTTP_11)]
#[case::the_newer_is_asked_for("HTTP2", &["h2", "http/1.1"], Version::HTTP_2)]
#[case::grpc("GRPC", &["h2"], Version::HTTP_2)]
#[tokio::test]
async fn over_tls_what_alpn_agrees_on_is_spoken(
    #[case] protocol: &str,
    #[case] offered: &[&str],
    #[case] spoken: Version,
) {
    let authority = Authority::new("services");
    let service = Service::with_tls(authority.issue(&["orders.internal"]).server(offered)).await;
    let gateway = open_to(&service, &tls(protocol, "orders.internal"), &authority).await;
    for _ in 0..3 {
        assert_eq!(verdict(&gateway).await, "200", "{:?}", gateway.diagnostics);
        assert_eq!(service.one().version, spoken);
    }
}

/// Where there is no common protocol nothing is sent in the hope that it will be understood.
#[rstest]
#[case::the_newer_from_who_has_the_older("HTTP2", &["http/1.1"])]
#[case::the_newer_from_who_says_nothing("HTTP2", &[])]
#[case::the_older_from_who_has_the_newer("HTTP11", &["h2"])]
#[case::grpc_from_who_has_the_older("GRPC", &["http/1.1"])]
#[case::grpc_from_who_says_nothing("GRPC", &[])]
#[case::something_else("HTTP", &["spdy/3"])]
#[tokio::test]
async fn without_a_common_protocol_nothing_is_sent(#[case] protocol: &str, #[case] offered: &[&str]) {
    let authority = Authority::new("services");
    let service = Service::with_tls(authority.issue(&["orders.internal"]).server(offered)).await;
    let gateway = open_to(&service, &tls(protocol, "orders.internal"), &authority).await;
    assert_eq!(verdict(&gateway).await, "502 upstream-tls", "{:?}", gateway.diagnostics);
    assert_eq!(service.count(), 0);
}

#[rstest]
#[case::plain("HTTP", Version::HTTP_11)]
#[case::the_older("HTTP11", Version::HTTP_11)]
#[case::h2c("H2C", Version::HTTP_2)]
#[case::grpc("GRPC", Version::HTTP_2)]
#[tokio::test]
async fn in_cleartext_what_the_backend_says_is_spoken(#[case] protocol: &str, #[case] spoken: Version) {
    let (authority, service) = (Authority::new("services"), Service::start().await);
    let gateway = open_to(&service, &format!("protocol: {protocol}"), &authority).await;
    for _ in 0..3 {
        assert_eq!(verdict(&gateway).await, "200", "{:?}", gateway.diagnostics);
        assert_eq!(service.one().version, spoken);
    }
}

#[rstest]
#[case::http_2_in_cleartext("protocol: HTTP2")]
#[case::h2c_over_tls("protocol: H2C\ntls: {validation: {hostname: orders.internal, wellKnownCACertificates: System}}")]
#[case::a_protocol_that_is_none("protocol: HTTP3")]
#[tokio::test]
async fn a_protocol_that_contradicts_itself_is_not_guessed_at(#[case] more: &str) {
    let (authority, service) = (Authority::new("services"), Service::start().await);
    let gateway = open_to(&service, more, &authority).await;
    assert_eq!(verdict(&gateway).await, "500 configuration");
    assert_eq!(service.count(), 0);
    assert!(!gateway.said("Backend shop/shop").is_empty(), "{:?}", gateway.diagnostics);
}

type Change = fn(&mut CertificateParams);

const EXPIRED: Change = |params| {
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
};
const NOT_YET_VALID: Change = |params| {
    params.not_before = date_time_ymd(2095, 1, 1);
    params.not_after = date_time_ymd(2096, 1, 1);
};
const FOR_CLIENTS: Change = |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
const NAMED_AS_OF_OLD: Change = |params| params.distinguished_name.push(DnType::CommonName, "orders.internal");
const AS_IT_SHOULD_BE: Change = |_| {};

#[rstest]
#[case::expired(&["orders.internal"], EXPIRED)]
#[case::not_yet_valid(&["orders.internal"], NOT_YET_VALID)]
#[case::for_clients_only(&["orders.internal"], FOR_CLIENTS)]
#[case::its_name_in_the_subject_only(&["other.internal"], NAMED_AS_OF_OLD)]
#[case::without_any_name(&[], NAMED_AS_OF_OLD)]
#[case::of_the_host_that_callers_name(&["api.example.com"], AS_IT_SHOULD_BE)]
#[case::of_the_address(&["127.0.0.1"], AS_IT_SHOULD_BE)]
#[case::of_a_longer_name(&["orders.internal.example.com"], AS_IT_SHOULD_BE)]
#[case::of_a_name_that_ends_alike(&["xorders.internal"], AS_IT_SHOULD_BE)]
#[case::of_names_below(&["*.orders.internal"], AS_IT_SHOULD_BE)]
#[case::of_all_names_of_a_domain_of_one_label(&["*.internal"], AS_IT_SHOULD_BE)]
#[tokio::test]
async fn a_service_whose_certificate_is_not_good_gets_nothing(#[case] names: &[&str], #[case] change: Change) {
    let authority = Authority::new("services");
    let service = Service::with_tls(authority.issue_changed(names, change).server(&[])).await;
    let gateway = open_to(&service, &tls("HTTP", "orders.internal"), &authority).await;
    for _ in 0..2 {
        assert_eq!(verdict(&gateway).await, "502 upstream-tls", "{:?}", gateway.diagnostics);
    }
    assert_eq!(service.count(), 0);
    let line = gateway.log(1).await.remove(0);
    let message = line["refusal"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("TLS handshake") && !message.contains("callers"), "the operator reads why: {line}");
}

#[rstest]
#[case::its_own(&["orders.shop.internal"])]
#[case::among_others(&["other.internal", "orders.shop.internal"])]
#[case::by_a_wildcard(&["*.shop.internal"])]
#[tokio::test]
async fn a_service_is_known_by_the_name_that_its_backend_states(#[case] names: &[&str]) {
    let authority = Authority::new("services");
    let service = Service::with_tls(authority.issue(names).server(&[])).await;
    let gateway = open_to(&service, &tls("HTTP", "orders.shop.internal"), &authority).await;
    assert_eq!(verdict(&gateway).await, "200", "{:?}", gateway.diagnostics);
    assert_eq!(service.one().authority, "api.example.com", "the caller's host goes on");
}

/// Shows its certificate only to who asks for this name.
fn asked_for(name: &str, identity: &Identity) -> ServerConfig {
    let key = identity.server(&[]);
    let provider = Arc::clone(key.crypto_provider());
    let signing = provider.key_provider.load_private_key(identity.private_key()).unwrap();
    let mut resolver = ResolvesServerCertUsingSni::new();
    resolver.add(name, CertifiedKey::new(vec![identity.der.clone()], signing)).unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver))
}

#[tokio::test]
async fn the_name_that_is_verified_is_asked_for() {
    let authority = Authority::new("services");
    let identity = authority.issue(&["orders.internal", "other.internal"]);
    for (hostname, expected) in [("orders.internal", "200"), ("other.internal", "502 upstream-tls")] {
        let service = Service::with_tls(asked_for("orders.internal", &identity)).await;
        let gateway = open_to(&service, &tls("HTTP", hostname), &authority).await;
        assert_eq!(verdict(&gateway).await, expected, "{hostname}");
    }
}

/// The authority is exchanged: what was not trusted is served at once, and what was trusted no longer.
#[tokio::test]
async fn an_authority_that_is_replaced_counts_at_once() {
    let (old, new) = (Authority::new("services"), Authority::new("services"));
    let service = Service::with_tls(new.issue(&["orders.internal"]).server(&["h2", "http/1.1"])).await;
    let mut gateway = open_to(&service, &tls("HTTP", "orders.internal"), &old).await;
    assert_eq!(verdict(&gateway).await, "502 upstream-tls");
    let manifests = |authorities: &str| {
        let named = tls("HTTP", "orders.internal").replace("name: services", "name: trusted");
        [
            GATEWAY,
            &route("orders", "shop"),
            &backend("shop", service.address, &named),
            &policy("orders", OPEN),
            &pem("ConfigMap", "trusted", &[("ca.crt", authorities)]),
        ]
        .concat()
    };
    gateway.write("main.yaml", &manifests(&(old.pem() + &new.pem())));
    assert_eq!(verdict(&gateway).await, "200", "{:?}", gateway.diagnostics);
    gateway.write("main.yaml", &manifests(&new.pem()));
    assert_eq!(verdict(&gateway).await, "200", "{:?}", gateway.diagnostics);
    gateway.write("main.yaml", &manifests(&old.pem()));
    assert_eq!(verdict(&gateway).await, "502 upstream-tls", "a connection that was kept serves no further request");
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn tls_and_cleartext_are_not_taken_for_each_other() {
    let authority = Authority::new("services");
    let plain = Service::start().await;
    let gateway = open_to(&plain, &tls("HTTP", "orders.internal"), &authority).await;
    assert_eq!(verdict(&gateway).await, "502 upstream-tls");
    assert_eq!(plain.count(), 0);
    let secured = Service::with_tls(authority.issue(&["orders.internal"]).server(&[])).await;
    for protocol in ["HTTP11", "H2C"] {
        let gateway = open_to(&secured, &format!("protocol: {protocol}"), &authority).await;
        assert_eq!(verdict(&gateway).await, "502 upstream-protocol", "{protocol}");
    }
    assert_eq!(secured.count(), 0);
}
