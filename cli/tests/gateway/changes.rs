//! Changes while requests run: those that are not meant notice nothing, those that are notice at once.

use std::time::Duration;

use crate::kit::caller::{get, get_http2, send, tls};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, pem, policy, policy_on, route, secret};
use crate::kit::secured::{Secured, certificate};
use crate::kit::service::Service;
use crate::kit::traffic::Traffic;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_changes_in_a_row_fail_no_request_on_untouched_routes() {
    let service = Service::start().await;
    let manifests = [
        GATEWAY,
        &route("steady", "shop"),
        &policy("steady", OPEN),
        &backend("shop", service.address, "credential: {basic: {secretRef: {name: login}}}"),
        &secret("login", "{username: u, password: p}"),
    ];
    let mut gateway = Gateway::start(&manifests.concat()).await;
    let traffic = Traffic::steady(gateway.http(), 4, "/steady", &[]);
    traffic.more(50).await;
    for change in 0..50 {
        let name = format!("other-{}", change % 7);
        gateway.write(&format!("{name}.yaml"), &route(&name, "shop"));
        gateway.write(
            &format!("{name}-policy.yaml"),
            &policy(&name, if change % 2 == 0 { OPEN } else { "ipFilter: {deny: [10.0.0.0/8]}" }),
        );
        gateway.write("more.yaml", &backend(&format!("more-{change}"), service.address, ""));
        gateway.remove(&format!("{name}-policy.yaml"));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    traffic.more(50).await;
    let verdicts = traffic.stop().await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["200"], "{verdicts:?}");
    assert!(service.take().iter().all(|seen| seen.header("authorization") == Some("Basic dTpw")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_takes_the_configuration_of_its_moment_also_on_a_kept_connection() {
    let service = Service::start().await;
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, "")];
    let mut gateway = Gateway::start(&manifests.concat()).await;
    gateway.write("p.yaml", &policy("orders", OPEN));
    let traffic = Traffic::steady(gateway.http(), 2, "/orders", &[]);
    traffic.more(20).await;
    assert_eq!(traffic.so_far().keys().collect::<Vec<_>>(), ["200"]);
    gateway.write("p.yaml", &policy("orders", "authentication: [{name: customers, subscriptionKey: {}}]"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    service.take();
    traffic.more(20).await;
    assert_eq!(service.count(), 0, "the change is in force when `apply` returns");
    assert!(traffic.stop().await.contains_key("401 credential-missing"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_finishes_what_is_under_way_and_takes_nothing_new() {
    let service = Service::start().await;
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    let (http, admin) = (gateway.http(), gateway.admin());
    let slow = tokio::spawn(send(http, get("/orders/slow", &[])));
    while service.count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let drained = tokio::spawn(gateway.drain(Duration::from_secs(10)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(tokio::net::TcpStream::connect(http).await.is_err(), "nothing new is accepted");
    let ready = send(admin, get("/readyz", &[])).await;
    assert_eq!((ready.status.as_u16(), &*ready.body), (503, &b"draining\n"[..]));
    assert_eq!(slow.await.unwrap().verdict(), "200");
    drained.await.unwrap();
}

#[tokio::test]
async fn server_names_choose_certificates_and_a_connection_serves_its_own_listener_only() {
    let secured = Secured::start().await;
    assert_eq!(secured.get("one.example.com", "one.example.com").await.unwrap(), "200");
    assert_eq!(secured.get("two.example.com", "two.example.com:8443").await.unwrap(), "200");
    assert_eq!(secured.get("other.example.com", "other.example.com").await.unwrap(), "200");
    let one = secured.certificate_of("one.example.com").await.unwrap();
    assert_ne!(one, secured.certificate_of("two.example.com").await.unwrap());
    assert_eq!(one, secured.certificate_of("ONE.example.com").await.unwrap());
    assert_eq!(secured.get("one.example.com", "two.example.com").await.unwrap(), "421 misdirected-request");
    assert_eq!(secured.get("other.example.com", "one.example.com").await.unwrap(), "421 misdirected-request");
    assert!(secured.certificate_of("elsewhere.org").await.is_none(), "no listener has the name");
    assert_eq!(secured.service.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_certificate_is_shown_to_new_connections_at_once_and_open_ones_go_on() {
    let mut secured = Secured::start().await;
    let before = secured.certificate_of("one.example.com").await.unwrap();
    let stream = tls(secured.gateway.https(), "one.example.com", secured.authority.client(&["h2"])).await.unwrap();
    let mut open = crate::kit::caller::http2(stream).await;
    let renewed = secured.authority.issue(&["one.example.com"]);
    secured.gateway.write("one.yaml", &certificate("one", &renewed));
    assert_eq!(secured.certificate_of("one.example.com").await.unwrap(), renewed.der.to_vec());
    assert_ne!(before, renewed.der.to_vec());
    let response = open.send_request(get_http2("https", "one.example.com", "/orders", &[])).await.unwrap();
    assert_eq!(response.status(), 200, "a connection that is open goes on");
}

#[tokio::test]
async fn a_broken_certificate_keeps_the_last_good_and_a_deleted_one_closes_its_listener_only() {
    let mut secured = Secured::start().await;
    let good = secured.certificate_of("one.example.com").await.unwrap();
    let broken = pem(
        "Secret",
        "one",
        &[("tls.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), ("tls.key", "none")],
    );
    secured.gateway.write("one.yaml", &broken.replace("stringData", "type: kubernetes.io/tls\nstringData"));
    let said = secured.gateway.said("Gateway shop/public");
    assert!(said.contains("certificateRefs"), "{said}");
    assert_eq!(secured.certificate_of("one.example.com").await, Some(good), "the last good one is kept");
    secured.gateway.remove("one.yaml");
    assert_eq!(secured.certificate_of("one.example.com").await, None);
    assert_eq!(secured.get("two.example.com", "two.example.com").await.unwrap(), "200");
    assert_eq!(secured.get("other.example.com", "one.example.com").await.unwrap(), "421 misdirected-request");
}

#[tokio::test]
async fn a_section_of_a_gateway_is_a_level_of_its_own() {
    let secured = Secured::start().await;
    let mut gateway = secured.gateway;
    let target = "{group: gateway.networking.k8s.io, kind: Gateway, name: public, sectionName: two}";
    gateway.write(
        "floor.yaml",
        &policy_on("two", target, "enforcement: Floor\nauthentication: [{name: customers, subscriptionKey: {}}]"),
    );
    let secured = Secured { gateway, ..secured };
    assert_eq!(secured.get("one.example.com", "one.example.com").await.unwrap(), "200");
    assert_eq!(secured.get("two.example.com", "two.example.com").await.unwrap(), "401 credential-missing");
}
