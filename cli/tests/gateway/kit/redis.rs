//! A real server that speaks the protocol of Redis, on loopback.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::pki::Authority;

pub const PASSWORD: &str = "the password of the store";

/// Ends with its test. What it has stays over a restart.
pub struct Redis {
    pub port: u16,
    arguments: Vec<String>,
    folder: TempDir,
    process: Option<Child>,
}

impl Redis {
    /// In the clear.
    pub fn start() -> Self {
        let port = free_port();
        Self::with(port, vec!["--port".into(), port.to_string()], tempfile::tempdir().unwrap())
    }

    /// Over TLS, with a certificate of `authority` for `name`.
    pub fn secured(authority: &Authority, name: &str) -> Self {
        let (port, identity) = (free_port(), authority.issue(&[name]));
        let folder = tempfile::tempdir().unwrap();
        let written = |file: &str, text: &str| {
            let path = folder.path().join(file);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (chain, key) = (written("tls.crt", &identity.certificate), written("tls.key", &identity.key));
        let ca = written("ca.crt", &authority.pem());
        let of_tls = ["--tls-cert-file", &chain, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
        let of_port = ["--port", "0", "--tls-port", &port.to_string(), "--tls-auth-clients", "no"];
        let arguments = of_tls.iter().chain(&of_port).map(|argument| (*argument).to_owned()).collect();
        Self::with(port, arguments, folder)
    }

    fn with(port: u16, arguments: Vec<String>, folder: TempDir) -> Self {
        let mut redis = Self { port, arguments, folder, process: None };
        redis.start_again(PASSWORD);
        redis
    }

    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// At the same place, with what it had.
    pub fn start_again(&mut self, password: &str) {
        self.stop();
        self.process = Some(run(self.port, &self.arguments, self.folder.path(), password));
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn run(port: u16, arguments: &[String], folder: &Path, password: &str) -> Child {
    let server = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--requirepass", password, "--save", "", "--dir"])
        .arg(folder)
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .args(arguments)
        .stdout(Stdio::null())
        .spawn();
    let process =
        server.expect("redis-server is needed: `make test` installs it, or install Debian's package of that name");
    let began = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "redis-server does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    process
}
