//! The client address is judged on what a trusted proxy sent.

use crate::kit::caller::{HOST, raw};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{OPEN, backend, gateway_with, policy, route};
use crate::kit::service::Service;

const BEHIND_PROXIES: &str = "{trustedProxies: {cidrs: [127.0.0.0/8]}}";

#[tokio::test]
async fn a_connection_field_does_not_take_the_clients_address_away() {
    let service = Service::start().await;
    let spec = format!("{OPEN}\nipFilter: {{allow: [127.0.0.0/8, 198.51.100.9]}}");
    let manifests = [
        gateway_with(BEHIND_PROXIES),
        route("orders", "shop"),
        backend("shop", service.address, ""),
        policy("orders", &spec),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let asked = |client: &str| {
        format!(
            "GET /orders HTTP/1.1\r\nHost: {HOST}\r\nConnection: close, X-Forwarded-For\r\nX-Forwarded-For: {client}\r\n\r\n"
        )
    };
    let barred = raw(gateway.http(), asked("203.0.113.7").as_bytes()).await;
    assert_eq!(barred.statuses(), [403], "{barred:?}");
    assert_eq!(service.count(), 0);
    assert_eq!(raw(gateway.http(), asked("198.51.100.9").as_bytes()).await.statuses(), [200]);
    let seen = service.one();
    assert!(seen.header("x-forwarded-for").is_some_and(|told| told.starts_with("198.51.100.9, ")), "{seen:?}");
    let line = gateway.log(2).await.remove(1);
    assert_eq!(line["client"], "198.51.100.9", "{line}");
}
