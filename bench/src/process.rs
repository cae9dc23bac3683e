//! A process of ours on one core, and what it has used.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;

/// How long a process may take until its port answers.
const START: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(2);

pub(crate) struct Running {
    child: Child,
    pub(crate) started_within_ms: i64,
}

impl Running {
    /// Starts `command` on `core` and waits until `port` takes connections.
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    pub(crate) fn start(core: usize, port: u16, command: &[String]) -> anyhow::Result<Self> {
        // It ends with this program, however that ends.
        let mut pinned = Command::new("setpriv");
        pinned.args(["--pdeathsig", "KILL", "taskset", "-c", &core.to_string()]).args(command).stdin(Stdio::null());
        pinned.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let begun = Timestamp::now();
        let mut child = pinned.spawn().with_context(|| format!("{command:?} cannot be started"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let looks = u32::try_from(START.as_millis() / LOOK_EVERY.as_millis()).unwrap_or(u32::MAX);
        for _ in 0..looks {
            if TcpStream::connect_timeout(&address, LOOK_EVERY).is_ok() {
                let started_within_ms = Timestamp::now().as_millisecond() - begun.as_millisecond();
                return Ok(Self { child, started_within_ms });
            }
            if let Some(status) = child.try_wait()? {
                bail!("{command:?} ended with {status}");
            }
            sleep(LOOK_EVERY);
        }
        let _ended = child.kill().and_then(|()| child.wait());
        bail!("{command:?} did not open port {port} in time")
    }

    /// CPU time of all its threads, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> anyhow::Result<u64> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        let used = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
        Ok(used.filter_map(|line| line.split(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// Resident memory in kilobytes.
    pub(crate) fn resident_kb(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}
