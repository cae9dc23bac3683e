//! The program, a kubeconfig that leads to the API server of the test, and what came.

use std::process::Stdio;

use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::api::{Api, Place};

/// What a run of the program has come to.
pub struct Ran {
    pub code: Option<i32>,
    pub said: String,
    pub aside: String,
}

/// Runs the program as somebody in namespace `shop`.
pub async fn sallyport(api: &Api, arguments: &[&str]) -> Ran {
    let kubeconfig = kubeconfig(&format!("http://{}", api.address));
    run(&kubeconfig, arguments).await
}

pub fn kubeconfig(server: &str) -> NamedTempFile {
    let text = format!(
        "apiVersion: v1
kind: Config
current-context: here
clusters: [{{name: a, cluster: {{server: '{server}'}}}}]
contexts: [{{name: here, context: {{cluster: a, user: me, namespace: shop}}}}]
users: [{{name: me, user: {{}}}}]
"
    );
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

pub async fn run(kubeconfig: &NamedTempFile, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
    command.args(arguments).env("KUBECONFIG", kubeconfig.path()).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), said: text(output.stdout), aside: text(output.stderr) }
}

pub fn ours(plural: &str, name: &str) -> Place {
    Place::new(&format!("apis/sallyport.dev/v1alpha1/{plural}"), name)
}

pub const CLASS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: sallyport}
spec: {controllerName: sallyport.dev/gateway-controller}
status: {conditions: [{type: Accepted, status: 'True', reason: Accepted, observedGeneration: 1}]}
";
