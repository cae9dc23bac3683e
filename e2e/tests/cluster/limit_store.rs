//! Limits that a store counts for all replicas of a Gateway, and a quota that outlives them.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::kit::fate::{kubectl, rolled_out};
use crate::kit::manifest::{BY_KEY, key, policy, protected, replicas};
use crate::kit::world::{World, until};

/// An address beside the nodes, which pods reach; whoever is there answers for a Service without pods.
const OUTSIDE: &str = "10.90.0.2";
const PORT: u16 = 6379;
const PASSWORD: &str = "the password of the store";

/// Ends with its test. What it has stays over a restart.
struct Redis {
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Redis {
    async fn start() -> Self {
        let mut redis = Self { folder: tempfile::tempdir().unwrap(), process: None };
        redis.start_again().await;
        redis
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    async fn start_again(&mut self) {
        self.stop();
        let server = Command::new("redis-server")
            .args(["--bind", OUTSIDE, "--port", &PORT.to_string(), "--requirepass", PASSWORD, "--save", "", "--dir"])
            .arg(self.folder.path())
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .stdout(Stdio::null())
            .spawn();
        self.process = Some(server.expect("redis-server is needed: `make e2e` installs it"));
        let began = Instant::now();
        while TcpStream::connect((OUTSIDE, PORT)).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "redis-server does not listen");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

fn gateway(namespace: &str, replicas: usize, when_away: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: store}}
spec: {{ports: [{{name: redis, port: {PORT}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: store-1, labels: {{kubernetes.io/service-name: store}}}}
addressType: IPv4
endpoints: [{{addresses: [{OUTSIDE}]}}]
ports: [{{name: redis, port: {PORT}}}]
---
apiVersion: v1
kind: Secret
metadata: {{name: store, annotations: {{sallyport.dev/hosts: store.{namespace}.svc}}}}
stringData: {{password: {PASSWORD}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: GatewayParameters
metadata: {{name: public}}
spec:
  deployment: {{replicas: {replicas}}}
  limits:
    store: Redis
    redis: {{addresses: ['store.{namespace}.svc:{PORT}'], secretRef: {{name: store}}, timeout: 1s, whenAway: {when_away}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: public}}
spec:
  gatewayClassName: sallyport
  infrastructure: {{parametersRef: {{group: sallyport.dev, kind: GatewayParameters, name: public}}}}
  listeners: [{{name: http, port: 80, protocol: HTTP}}]
"
    )
}

async fn store_is(world: &World, reason: &str) {
    let told = async || {
        let gateway = world.get("Gateway", "public").await?;
        let conditions = gateway["status"]["conditions"].as_array()?.clone();
        let is_it = |one: &serde_json::Value| one["type"] == "sallyport.dev/LimitStoreReady" && one["reason"] == reason;
        conditions.iter().any(is_it).then_some(())
    };
    until(&format!("the store is {reason}"), told).await;
}

/// The verdicts of each replica in turn.
async fn asked(world: &World, key: &str, times: usize) -> Vec<String> {
    let places: Vec<_> = world.places("public").replicas().await.unwrap().into_iter().map(|one| one.address).collect();
    let mut all = Vec::new();
    for time in 0..times {
        all.push(world.ask(&places[time % places.len()], "/orders", &[("sallyport-key", key)]).await.verdict());
    }
    all
}

fn admitted(verdicts: &[String]) -> usize {
    verdicts.iter().filter(|verdict| *verdict == "200").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_counts_for_all_replicas_and_quotas_outlive_them() {
    let (test, key) = ("limit-store", key("limit-store"));
    let mut redis = Redis::start().await;
    let world = World::with(test, &protected("orders", &key, &replicas(3))).await;
    world.apply(&gateway(&world.namespace, 3, "Deny")).await;
    world.ready("ApiPolicy", "orders").await;
    world.replicas("public", 3).await;
    store_is(&world, "Ready").await;
    let limits = "limits: [{name: monthly, requests: 20, per: Month, by: Subscription}]";
    world.apply(&policy("orders", &format!("{BY_KEY}\n  {limits}"))).await;
    world.ready("ApiPolicy", "orders").await;
    let first = asked(&world, &key, 9).await;
    assert_eq!(admitted(&first), 9, "{first:?}");

    redis.stop();
    let away = asked(&world, &key, 3).await;
    assert!(away.iter().all(|verdict| verdict == "503 store-unavailable"), "{away:?}");
    store_is(&world, "StoreUnreached").await;
    redis.start_again().await;
    store_is(&world, "Ready").await;

    kubectl(&["rollout", "restart", "-n", &world.namespace, "deployment/public-sallyport"]).await;
    rolled_out(&world.namespace, "public-sallyport").await;
    world.replicas("public", 3).await;
    store_is(&world, "Ready").await;
    let last = asked(&world, &key, 18).await;
    assert_eq!(admitted(&last), 11, "twenty altogether, whoever counts: {last:?}");
    assert!(last[11..].iter().all(|verdict| verdict == "429 quota-exceeded"), "{last:?}");
}
