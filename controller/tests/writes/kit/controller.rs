//! The program, as a process of its own.

use std::net::TcpListener;
use std::process::Stdio;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::{BETWEEN_LOOKS, PATIENCE, SITE};
use crate::api::Api;

/// Killed when it is dropped.
pub struct Controller {
    process: Child,
    pub stream_port: u16,
    admin_port: u16,
    _files: TempDir,
}

impl Controller {
    /// One that runs as the pod of that name.
    pub fn start(api: &Api, pod: &str) -> Self {
        Self::start_at(api, pod, free_port())
    }

    /// One that watches these namespaces only.
    pub fn within(api: &Api, namespaces: &str) -> Self {
        Self::with(api, "controller-1", free_port(), &["--watch-namespaces", namespaces])
    }

    /// One whose stream is served at that port, as one that ran before was: data planes are told the port.
    pub fn start_at(api: &Api, pod: &str, stream_port: u16) -> Self {
        Self::with(api, pod, stream_port, &[])
    }

    fn with(api: &Api, pod: &str, stream_port: u16, further: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let (kubeconfig, token) = (files.path().join("kubeconfig"), files.path().join("token"));
        std::fs::write(&kubeconfig, kubeconfig_of(api)).unwrap();
        std::fs::write(&token, "none").unwrap();
        let admin_port = free_port();
        let process = Command::new(env!("CARGO_BIN_EXE_sallyport-controller"))
            .env_clear()
            .env("KUBECONFIG", &kubeconfig)
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn,kube_runtime=error".into()))
            .args([
                "--namespace",
                SITE,
                "--pod",
                pod,
                "--pod-ip",
                "127.0.0.1",
                "--dataplane-image",
                "example.com/dataplane:1",
            ])
            .args(["--stream-port", &stream_port.to_string(), "--admin", &format!("127.0.0.1:{admin_port}")])
            .args(further)
            .arg("--token")
            .arg(&token)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { process, stream_port, admin_port, _files: files }
    }

    /// Waits until it has published what it has read.
    pub async fn ready(&self) {
        self.says("/readyz", StatusCode::OK).await;
    }

    /// Waits until the path is answered with this status.
    pub async fn says(&self, path: &str, status: StatusCode) {
        let began = Instant::now();
        while self.ask(path).await.map(|(status, _)| status) != Some(status) {
            assert!(began.elapsed() < PATIENCE, "{path} does not come to {status}");
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Waits for a line of its metrics.
    pub async fn counts(&self, line: &str) {
        let (began, mut text) = (Instant::now(), String::new());
        while !text.lines().any(|one| one == line) {
            assert!(began.elapsed() < PATIENCE, "{line} is not among\n{text}");
            sleep(BETWEEN_LOOKS).await;
            text = self.ask("/metrics").await.map(|(_, text)| text).unwrap_or_default();
        }
    }

    /// Asks once; none if nobody answers.
    pub async fn ask(&self, path: &str) -> Option<(StatusCode, String)> {
        let stream = TcpStream::connect(("127.0.0.1", self.admin_port)).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let request = Request::get(path).header("host", "controller").body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.ok()?;
        let status = response.status();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Tells it to stop, as Kubernetes does, and waits until it has.
    pub async fn stop(mut self) {
        let pid = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        assert!(ended.expect("it does not stop").unwrap().success());
    }
}

/// Free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn kubeconfig_of(api: &Api) -> String {
    format!(
        "{{apiVersion: v1, kind: Config, current-context: it, contexts: [{{name: it, context: {{cluster: it, user: it}}}}], \
         clusters: [{{name: it, cluster: {{server: 'http://{}'}}}}], users: [{{name: it, user: {{}}}}]}}",
        api.address
    )
}
