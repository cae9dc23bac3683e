//! The long runs, by `make endure`: minutes rather than moments, each in a process of its own, with what came of them written
//! beside the benchmarks.

mod full_size;
mod record;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::kit::gateway::Gateway;
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route, secret, subscription};
use crate::kit::service::Service;
use crate::kit::traffic::Traffic;
use record::record;

const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// Growth of the resident memory between the first minute and the last that passes for none.
const FLAT: f64 = 1.10;

fn length() -> Duration {
    let minutes = std::env::var("ENDURE_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    Duration::from_secs(60 * minutes)
}

fn resident_kb() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn only_200(verdicts: &BTreeMap<String, usize>) {
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["200"], "{verdicts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_with_a_change_every_second() {
    let service = Service::start().await;
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &policy("orders", "authentication: [{name: customers, subscriptionKey: {}}]"),
        &backend("shop", service.address, "credential: {basic: {secretRef: {name: login}}}"),
        &secret("login", "{username: u, password: p}"),
        &subscription("acme", "{apis: [{kind: HTTPRoute, name: orders}]}", &format!("{{primary: {KEY}}}")),
    ];
    let mut gateway = Gateway::start(&manifests.concat()).await;
    let traffic = Traffic::steady(gateway.http(), 8, "/orders", &[("sallyport-key", KEY)]);
    let (began, mut settled, mut changes) = (Instant::now(), None, 0_u32);
    while began.elapsed() < length() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let name = format!("other-{}", changes % 20);
        let open = if changes % 2 == 0 { OPEN } else { "ipFilter: {deny: [10.0.0.0/8]}" };
        gateway.write(&format!("{name}.yaml"), &(route(&name, "shop") + &policy(&name, open)));
        changes += 1;
        // What is kept for the test itself must not look like growth.
        assert!(service.take().iter().all(|seen| seen.header("authorization") == Some("Basic dTpw")));
        gateway.forget_log();
        if settled.is_none() && began.elapsed() > Duration::from_secs(60) {
            settled = Some(resident_kb());
        }
    }
    let (first, last) = (settled.unwrap_or_else(resident_kb), resident_kb());
    let verdicts = traffic.stop().await;
    only_200(&verdicts);
    record(
        "Soak",
        &format!(
            "{} requests and {changes} changes in {} minutes, none failed; gateway, callers and service together hold {first} kB after the first minute, {last} kB at the end.",
            verdicts["200"],
            length().as_secs() / 60,
        ),
    );
    assert!(f64::from(last) < f64::from(first) * FLAT, "{first} kB, then {last} kB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_issuer() {
    let (service, issuer) = (Service::start().await, Arc::new(Issuer::start().await));
    let spec =
        format!("authentication: [{{name: staff, jwt: {{issuer: '{}', audiences: [orders-api]}}}}]", issuer.name());
    let manifests =
        [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", &spec)];
    let gateway = Gateway::start(&manifests.concat()).await;
    let (signer, number) = (Arc::clone(&issuer), AtomicUsize::new(0));
    let script = move || {
        let unseen = json!({ "jti": number.fetch_add(1, Ordering::Relaxed).to_string() });
        let token = signer.token_with("orders-api", &unseen);
        ("/orders".to_owned(), vec![("authorization".to_owned(), format!("Bearer {token}"))])
    };
    let script = Arc::new(script);
    // Before the issuer goes its keys have been had.
    let warm = Traffic::start(gateway.http(), 1, Arc::clone(&script) as _);
    warm.more(5).await;
    warm.stop().await;
    issuer.stop();
    let traffic = Traffic::start(gateway.http(), 4, script);
    let began = Instant::now();
    while began.elapsed() < length() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        service.take();
        gateway.forget_log();
    }
    let verdicts = traffic.stop().await;
    only_200(&verdicts);
    let minutes = length().as_secs() / 60;
    record(
        "An issuer's outage",
        &format!("{} tokens never seen before in {minutes} minutes, none refused.", verdicts["200"]),
    );
}
