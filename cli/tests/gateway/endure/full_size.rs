//! A configuration of full size, changed while every route and every key in it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{length, only_200, record, resident_kb};
use crate::kit::caller::{get, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};
use crate::kit::service::Service;
use crate::kit::traffic::Traffic;

const POLICIES: usize = 1_000;
const ROUTES: usize = 10_000;
const SUBSCRIPTIONS: usize = 100_000;
/// Objects in one file, so that no file is larger than what is taken.
const BATCH: usize = 10_000;
/// Coprime to the number of subscriptions: every one of them has its turn.
const STRIDE: usize = 7_919;

fn batches(count: usize, object: fn(usize) -> String) -> impl Iterator<Item = String> {
    (0..count).step_by(BATCH).map(move |from| (from..count.min(from + BATCH)).map(object).collect())
}

fn numbered_route(number: usize) -> String {
    format!(
        "---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: r{number}, namespace: shop}}, spec: {{parentRefs: [{{name: public}}], rules: [{{matches: [{{path: {{type: PathPrefix, value: /apis/{number}}}}}], backendRefs: [{{group: sallyport.dev, kind: Backend, name: shop}}]}}]}}}}\n"
    )
}

/// Each guards every thousandth route.
fn numbered_policy(number: usize) -> String {
    let targets = (number..ROUTES).step_by(POLICIES);
    let targets: Vec<_> =
        targets.map(|route| format!("{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r{route}}}")).collect();
    format!(
        "---\n{{apiVersion: sallyport.dev/v1alpha1, kind: ApiPolicy, metadata: {{name: p{number}, namespace: shop}}, spec: {{targetRefs: [{}], authentication: [{{name: customers, subscriptionKey: {{}}}}]}}}}\n",
        targets.join(", ")
    )
}

fn key(number: usize) -> String {
    format!("sp_{number:032}")
}

fn numbered_subscription(number: usize) -> String {
    let (route, key) = (number % ROUTES, key(number));
    format!(
        "---\n{{apiVersion: sallyport.dev/v1alpha1, kind: Subscription, metadata: {{name: s{number}, namespace: shop}}, spec: {{scope: {{apis: [{{kind: HTTPRoute, name: r{route}}}]}}, keys: {{secretName: s{number}}}}}}}\n---\n{{apiVersion: v1, kind: Secret, metadata: {{name: s{number}, namespace: shop}}, stringData: {{primary: {key}}}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_of_full_size() {
    let service = Service::start().await;
    let mut gateway = Gateway::empty().await;
    let mut files = vec![("main.yaml".to_owned(), GATEWAY.to_owned() + &backend("shop", service.address, ""))];
    let batches = batches(ROUTES, numbered_route)
        .chain(batches(POLICIES, numbered_policy))
        .chain(batches(SUBSCRIPTIONS, numbered_subscription));
    files.extend(batches.enumerate().map(|(at, text)| (format!("batch-{at}.yaml"), text)));
    let began = Instant::now();
    gateway.write_all(files);
    let (loaded, resident) = (began.elapsed(), resident_kb());
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics.first());
    let elsewhere = [("sallyport-key", &*key(1))];
    assert_eq!(send(gateway.http(), get("/apis/2/x", &elsewhere)).await.verdict(), "403 key-out-of-scope");
    assert_eq!(send(gateway.http(), get("/apis/2/x", &[])).await.verdict(), "401 credential-missing");

    let turn = AtomicUsize::new(0);
    let (forget_seen, forget_log) = (service.forgetter(), gateway.log_forgetter());
    let script = move || {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        // A change takes long: what is kept of the requests meanwhile is not what this measures.
        if turn.is_multiple_of(10_000) {
            forget_seen();
            forget_log();
        }
        let number = turn * STRIDE % SUBSCRIPTIONS;
        (format!("/apis/{}/x", number % ROUTES), vec![("sallyport-key".to_owned(), key(number))])
    };
    let traffic = Traffic::start(gateway.http(), 8, Arc::new(script));
    let (began, mut changes) = (Instant::now(), Vec::new());
    while began.elapsed() < length() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let name = format!("other-{}", changes.len() % 3);
        let asked = Instant::now();
        gateway.write(&format!("{name}.yaml"), &(route(&name, "shop") + &policy(&name, OPEN)));
        changes.push(asked.elapsed());
        assert_eq!(send(gateway.http(), get(&format!("/{name}"), &[])).await.verdict(), "200");
    }
    let verdicts = traffic.stop().await;
    only_200(&verdicts);
    changes.sort();
    let text = format!(
        "{POLICIES} policies, {ROUTES} routes and {SUBSCRIPTIONS} subscriptions from files: in force after {:.1} s, {resident} kB resident with the texts of the files. {} requests over all keys and routes in {} minutes and {} changes, none failed; a change was in force after {:.1} s (median), all files being read anew; {} kB at the end.",
        loaded.as_secs_f64(),
        verdicts["200"],
        length().as_secs() / 60,
        changes.len(),
        changes.get(changes.len() / 2).map_or(0.0, Duration::as_secs_f64),
        resident_kb(),
    );
    record("A configuration of full size", &text);
}
