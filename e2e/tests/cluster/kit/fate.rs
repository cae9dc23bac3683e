//! What befalls a cluster: commands of whoever runs it, and processes that stop or die.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Namespace and name of the controller's Deployment.
pub const CONTROLLER: (&str, &str) = ("sallyport-system", "sallyport-controller");

/// Standard output of a `kubectl` that succeeds.
pub async fn kubectl(arguments: &[&str]) -> String {
    output(Command::new("kubectl").args(arguments)).await
}

/// What a `kubectl` says that does not succeed, with this on its standard input.
pub async fn refused(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("kubectl");
    let piped = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(!output.status.success(), "{arguments:?} is not refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A verb of `helm` on the controller's release.
pub async fn helm(arguments: &[&str]) {
    let rest = ["--namespace", CONTROLLER.0, "--timeout", "90s"];
    output(Command::new("helm").args(arguments).args(rest)).await;
}

/// Sends a signal to each process of a program on the cluster's node, or to those in one pod.
pub async fn signal(signal: &str, program: &str, pod: Option<&str>) {
    let cluster =
        std::env::var("SALLYPORT_E2E_CLUSTER").expect("needs the node of a cluster that `make e2e` brought up");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/signal");
    output(Command::new(script).args([&cluster, signal, program]).args(pod)).await;
}

async fn output(command: &mut Command) -> String {
    let output = command.output().await.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}", told(&output.stderr));
    told(&output.stdout)
}

/// Name of the pod that writes.
pub async fn leader() -> String {
    let (namespace, name) = CONTROLLER;
    kubectl(&["get", "lease", "-n", namespace, name, "-o", "jsonpath={.spec.holderIdentity}"]).await
}

/// Scales the controller, and waits until it is so.
pub async fn controller_replicas(replicas: u32) {
    scale(CONTROLLER, replicas).await;
}

/// Scales a Deployment whose pods have its name in `app.kubernetes.io/name`, and waits until it is so.
pub async fn scale((namespace, name): (&str, &str), replicas: u32) {
    let deployment = format!("deployment/{name}");
    kubectl(&["scale", "-n", namespace, &deployment, &format!("--replicas={replicas}")]).await;
    rolled_out(namespace, name).await;
    if replicas == 0 {
        let label = format!("app.kubernetes.io/name={name}");
        kubectl(&["wait", "-n", namespace, "--for=delete", "pod", "-l", &label, "--timeout=60s"]).await;
    }
}

/// Restarts each pod of a Deployment, as its strategy says, and waits for the end.
pub async fn roll(namespace: &str, deployment: &str) {
    kubectl(&["rollout", "restart", "-n", namespace, &format!("deployment/{deployment}")]).await;
    rolled_out(namespace, deployment).await;
}

pub async fn rolled_out(namespace: &str, deployment: &str) {
    kubectl(&["rollout", "status", "-n", namespace, &format!("deployment/{deployment}"), "--timeout=100s"]).await;
}

/// What time it is: cluster and tests have one clock.
#[allow(clippy::disallowed_methods, reason = "tests live in real time")]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
