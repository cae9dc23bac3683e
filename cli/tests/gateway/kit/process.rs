//! `sallyport run` as a process of its own, for what one process cannot try on itself.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::caller::{get, over};
use super::gateway::{HTTP, own_address};

const ADMIN: u16 = 9090;
/// A process that is not ready by then never will be.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Process {
    child: Child,
    pub http: SocketAddr,
    pub admin: SocketAddr,
    folder: tempfile::TempDir,
}

impl Process {
    /// Runs with these manifests in force, under limits that a shell sets first, e.g. `ulimit -n 64`.
    pub async fn start(limits: &str, manifests: &str) -> Self {
        Self::start_with(limits, manifests, |_| {}).await
    }

    /// The same of a command that is changed first.
    pub async fn start_with(limits: &str, manifests: &str, change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("main.yaml"), manifests).unwrap();
        let ip = own_address();
        let (http, admin) = (SocketAddr::from((ip, HTTP)), SocketAddr::from((ip, ADMIN)));
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                &format!("{limits}; exec \"$0\" \"$@\""),
                env!("CARGO_BIN_EXE_sallyport"),
                "run",
                "--workers",
                "1",
            ])
            .args(["--bind", &ip.to_string(), "--admin", &admin.to_string(), "-f", folder.path().to_str().unwrap()])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        change(&mut command);
        let child = command.spawn().unwrap();
        let process = Self { child, http, admin, folder };
        tokio::time::timeout(PATIENCE, process.ready()).await.expect("the gateway becomes ready");
        process
    }

    /// Puts `text` into a file beside its manifests, which it hears of by itself.
    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).unwrap();
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Its memory at the moment.
    pub fn resident_kb(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Tells the process to stop.
    pub async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Sends it a signal by its name.
    pub async fn signal(&self, name: &str) {
        let told = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().await.unwrap();
        assert!(told.success());
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> std::process::ExitStatus {
        self.child.wait().await.unwrap()
    }

    async fn ready(&self) {
        loop {
            if let Ok(stream) = TcpStream::connect(self.admin).await
                && over(stream, get("/readyz", &[])).await.status == 200
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
