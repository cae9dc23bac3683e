//! What a scrape tells beside requests.

use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, pem};
use crate::kit::pki::Authority;

#[tokio::test]
async fn the_end_of_a_certificate_is_told_while_a_listener_shows_it() {
    const TLS: &str = "\n  - {name: tls, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: site}]}}\n";
    const METRIC: &str = r#"sallyport_certificate_not_after_timestamp_seconds{certificate="shop/site"} "#;
    let identity = Authority::new("sites").issue(&["api.example.com"]);
    let secret = pem("Secret", "site", &[("tls.crt", &identity.certificate), ("tls.key", &identity.key)]);
    let mut gateway = Gateway::start(&[GATEWAY.trim_end(), TLS, &secret].concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    let text = gateway.metrics().await;
    let told = text.split_once(METRIC).and_then(|(_, rest)| rest.lines().next()).unwrap_or_else(|| panic!("{text}"));
    // What the library that makes it says of its own accord: 1 January 4096.
    assert_eq!(told, "67090118400", "{text}");
    gateway.write("main.yaml", GATEWAY);
    assert!(!gateway.metrics().await.contains("shop/site"));
}
