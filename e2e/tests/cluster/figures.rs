//! Figures of a controller in a cluster, recorded by `make figures`: from an apply to what is enforced and said, what is written for it,
//! what is sent again, and memory. Times gate nothing; counts do.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::kit::answer::{ask, caller};
use crate::kit::besieged::serves;
use crate::kit::fate::{CONTROLLER, kubectl};
use crate::kit::manifest::{BY_KEY, key, policy, protected, replicas, route, subscription};
use crate::kit::trust::Caller;
use crate::kit::world::World;

/// Who looks without a pause takes the processor from what is measured.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);
const CHANGES: usize = 200;
const MANY: usize = 1_000;
/// Written at the same time, as by somebody who applies a folder.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(20);

/// Sums over the controller's replicas, by metric.
struct Counted(String);

impl Counted {
    async fn now() -> Self {
        let (namespace, _) = CONTROLLER;
        let label = "app.kubernetes.io/name=sallyport-controller";
        let pods =
            kubectl(&["get", "pods", "-n", namespace, "-l", label, "-o", "jsonpath={.items[*].metadata.name}"]).await;
        let mut all = String::new();
        for pod in pods.split_whitespace() {
            let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:9090/proxy/metrics");
            all += &kubectl(&["get", "--raw", &path]).await;
        }
        Self(all)
    }

    /// Once nothing is written any more.
    async fn at_rest() -> Self {
        let mut before = Self::now().await;
        loop {
            sleep(Duration::from_secs(3)).await;
            let now = Self::now().await;
            let all = |counted: &Self| counted.sum("sallyport_controller_status_writes_total", &[]);
            if all(&now) == all(&before) {
                return now;
            }
            before = now;
        }
    }

    /// All rows of a metric that have each of these labels.
    fn sum(&self, metric: &str, labels: &[&str]) -> f64 {
        let is_of = |line: &&str| {
            line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        let values = self.0.lines().filter(is_of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }

    /// How often something was done since `before`, and how long it took.
    fn since(&self, before: &Self, work: &str) -> String {
        let [count, sum] = ["count", "sum"].map(|of| {
            let metric = format!("sallyport_controller_{work}_duration_seconds_{of}");
            self.sum(&metric, &[]) - before.sum(&metric, &[])
        });
        format!("{count} times in {:.1} ms each", 1e3 * sum / count.max(1.0))
    }

    fn status_writes(&self, kind: &str) -> f64 {
        self.sum("sallyport_controller_status_writes_total", &[&format!("kind=\"{kind}\""), "outcome=\"written\""])
    }
}

/// Milliseconds, sorted.
struct Times(Vec<f64>);

impl Times {
    fn of(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        Self(all)
    }

    fn told(&self) -> String {
        // By nearest rank.
        let at = |percent: usize| self.0[(self.0.len() * percent).div_ceil(100).max(1) - 1];
        format!("p50 {:.1} ms, p99 {:.1} ms, the last {:.1} ms", at(50), at(99), at(100))
    }
}

/// The policy of `orders`, which keeps this machine out or does not.
fn switched(number: usize) -> (String, &'static str) {
    let (denied, verdict) =
        if number.is_multiple_of(2) { ("0.0.0.0/0", "403 address-denied") } else { ("192.0.2.1", "200") };
    (policy("orders", &format!("{BY_KEY}\n  ipFilter: {{deny: [{denied}]}}")), verdict)
}

/// From the apply to when each replica answers so.
async fn enforced(caller: &Caller, places: &[String], key: &str, verdict: &str, began: Instant) -> f64 {
    for place in places {
        let url = format!("http://{place}/orders");
        while ask(caller, &url, &[("sallyport-key", key)]).await.unwrap().verdict() != verdict {
            assert!(began.elapsed() < PATIENCE, "{verdict} did not come");
            sleep(BETWEEN_LOOKS).await;
        }
    }
    began.elapsed().as_secs_f64() * 1e3
}

/// From the apply to when the status says so; from then on every replica does it.
async fn said(world: &World, generation: i64, began: Instant) -> f64 {
    loop {
        let object = world.get("ApiPolicy", "orders").await.unwrap();
        let ancestors = object["status"]["ancestors"][0]["conditions"].as_array().cloned().unwrap_or_default();
        let is_programmed = |one: &Value| {
            one["type"] == "Programmed"
                && one["status"] == "True"
                && one["observedGeneration"].as_i64() >= Some(generation)
        };
        if ancestors.iter().any(is_programmed) {
            return began.elapsed().as_secs_f64() * 1e3;
        }
        assert!(began.elapsed() < PATIENCE, "Programmed did not come for {generation}: {}", object["status"]);
        sleep(BETWEEN_LOOKS).await;
    }
}

/// Changes one after the other: how long the API server takes to answer, C1 and C2.
async fn changes(world: &World, key: &str) -> String {
    let found = world.places("public").replicas().await.unwrap();
    let places: Vec<_> = found.into_iter().map(|replica| replica.address).collect();
    let (caller, mut answered_ms, mut enforced_ms, mut said_ms) = (caller(), vec![], vec![], vec![]);
    let before = Counted::now().await;
    for number in 0..CHANGES {
        let before = world.get("ApiPolicy", "orders").await.unwrap()["metadata"]["generation"].as_i64().unwrap();
        let (manifest, verdict) = switched(number);
        let began = Instant::now();
        world.apply(&manifest).await;
        answered_ms.push(began.elapsed().as_secs_f64() * 1e3);
        let both = tokio::join!(enforced(&caller, &places, key, verdict, began), said(world, before + 1, began));
        enforced_ms.push(both.0);
        said_ms.push(both.1);
        for place in &places {
            let now = ask(&caller, &format!("http://{place}/orders"), &[("sallyport-key", key)]).await.unwrap();
            assert_eq!(now.verdict(), verdict, "it is said before it is so");
        }
    }
    let after = Counted::now().await;
    let [built, planned] = ["build", "plan"].map(|work| after.since(&before, work));
    let [answered, enforced, said] = [answered_ms, enforced_ms, said_ms].map(|times| Times::of(times).told());
    format!(
        "The API server answers after {answered}; enforced by both after {enforced}; said by the status after {said}. All controllers judged everything {built}, and planned what is said {planned}."
    )
}

/// So many more routes, each with a subscription of its own.
async fn grow(world: &World, test: &str) {
    let numbers: Vec<_> = (1..MANY).collect();
    for some in numbers.chunks(AT_ONCE) {
        let manifests = some.iter().map(|number| {
            let name = format!("route-{number}");
            let made = route(&name).replace("Backend, name: route", "Backend, name: orders #");
            let made = made.replace(&format!("orders #-{number}"), "orders");
            let subscription = subscription(&name, &format!("{}-{number}", key(test)));
            format!("{made}\n---\n{}\n---\n{subscription}", policy(&name, BY_KEY))
        });
        let manifests: Vec<_> = manifests.collect();
        let applied = manifests.iter().map(|manifests| world.apply(manifests));
        futures_util::future::join_all(applied).await;
    }
    world.ready("Subscription", &format!("route-{}", MANY - 1)).await;
    world.ready("ApiPolicy", &format!("route-{}", MANY - 1)).await;
}

/// Resident memory of the controller's replicas, in megabytes.
async fn memory() -> Vec<f64> {
    let node = kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]).await;
    let told = kubectl(&["get", "--raw", &format!("/api/v1/nodes/{node}/proxy/stats/summary")]).await;
    let summary: Value = serde_json::from_str(&told).unwrap();
    let pods = summary["pods"].as_array().unwrap().iter();
    let ours = pods.filter(|pod| pod["podRef"]["name"].as_str().is_some_and(|name| name.starts_with(CONTROLLER.1)));
    ours.filter_map(|pod| Some(pod["containers"][0]["memory"]["rssBytes"].as_f64()? / 1e6)).collect()
}

/// Resources that are sent when a data plane has lost its controller, and nothing has changed.
async fn sent_again() -> f64 {
    let (namespace, name) = CONTROLLER;
    let connected = async || Counted::now().await.sum("sallyport_controller_data_planes", &[]);
    let before = connected().await;
    let label = "app.kubernetes.io/name=sallyport-controller";
    kubectl(&["scale", "-n", namespace, &format!("deployment/{name}"), "--replicas=0"]).await;
    kubectl(&["wait", "-n", namespace, "--for=delete", "pod", "-l", label, "--timeout=60s"]).await;
    crate::kit::fate::controller_replicas(2).await;
    let began = Instant::now();
    while connected().await < before {
        assert!(began.elapsed() < PATIENCE * 3, "data planes do not come back");
        sleep(Duration::from_millis(500)).await;
    }
    sleep(Duration::from_secs(2)).await;
    Counted::now().await.sum("sallyport_controller_update_resources_total", &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn figures() {
    let (test, mut page) = ("figures", String::from("## A controller in a cluster\n\n"));
    let key = key(test);
    let world = World::with(test, &protected("orders", &key, &replicas(2))).await;
    world.ready("ApiPolicy", "orders").await;
    world.replicas("public", 2).await;
    serves(&world, &key).await;
    let told = changes(&world, &key).await;
    writeln!(page, "One route, two data planes, {CHANGES} changes of a policy. {told}").unwrap();

    let before = Counted::now().await;
    grow(&world, test).await;
    let after = Counted::at_rest().await;
    let written = |kind: &str| after.status_writes(kind) - before.status_writes(kind);
    let [gateways, routes, policies, subscriptions] =
        ["Gateway", "HTTPRoute", "ApiPolicy", "Subscription"].map(written);
    writeln!(page, "A storm of {MANY} routes, policies and subscriptions: status writes {gateways} of the Gateway, {routes} of routes, {policies} of policies, {subscriptions} of subscriptions.").unwrap();
    let told = changes(&world, &key).await;
    writeln!(page, "{MANY} routes, the same. {told}").unwrap();
    let memory: Vec<_> = memory().await.iter().map(|megabytes| format!("{megabytes:.0} MB")).collect();
    writeln!(page, "Resident memory of the controller's replicas then: {}.", memory.join(", ")).unwrap();

    let before = Counted::at_rest().await;
    for number in [3, 1] {
        let scaled = format!("--replicas={number}");
        kubectl(&["scale", "-n", &world.namespace, "deployment/echo", &scaled]).await;
        crate::kit::fate::rolled_out(&world.namespace, "echo").await;
    }
    let after = Counted::at_rest().await;
    let churn: f64 = ["Gateway", "HTTPRoute", "ApiPolicy", "Backend"]
        .map(|kind| after.status_writes(kind) - before.status_writes(kind))
        .iter()
        .sum();
    let again = sent_again().await;
    writeln!(page, "Endpoints that come and go: {churn} status writes. Controllers gone and back, nothing changed: {again} resources sent again.").unwrap();
    println!("{page}");
    if let Some(file) = std::env::var_os("SALLYPORT_FIGURES") {
        std::fs::write(file, &page).unwrap();
    }
    assert!(gateways <= 20.0 && churn == 0.0 && again == 0.0, "{page}");
}
