//! The long runs, by `make endure`: minutes rather than moments, with what came of them written beside the benchmarks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
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

/// Writes a line for this run.
#[expect(clippy::print_stdout, reason = "whoever waits for minutes wants to see something")]
fn record(what: &str, text: &str) {
    let said = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let name = format!("endure-{}-{}.md", said("date", &["-u", "+%F"]), said("git", &["rev-parse", "--short", "HEAD"]));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/results").join(name);
    let mut all = std::fs::read_to_string(&path).unwrap_or_else(|_| "# Long runs\n".to_owned());
    writeln!(all, "\n## {what}, {} minutes\n\n{text}", length().as_secs() / 60).unwrap();
    std::fs::write(path, all).unwrap();
    println!("{what}: {text}");
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
            "{} requests, {changes} changes, none failed; resident {first} kB after the first minute, {last} kB at the end.",
            verdicts["200"]
        ),
    );
    assert!(f64::from(last) < f64::from(first) * FLAT, "{first} kB, then {last} kB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuers_outage() {
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
    record("An issuer's outage", &format!("{} tokens never seen before, none refused.", verdicts["200"]));
}
