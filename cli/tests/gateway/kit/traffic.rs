//! Requests that go on while something changes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::caller::HOST;

/// Callers that send one request after the other over kept-alive connections until they are stopped.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    verdicts: Arc<Mutex<BTreeMap<String, usize>>>,
    callers: Vec<JoinHandle<()>>,
}

/// What each caller sends: target and headers, asked for anew before every request.
pub type Script = Arc<dyn Fn() -> (String, Vec<(String, String)>) + Send + Sync>;

impl Traffic {
    pub fn start(gateway: SocketAddr, callers: usize, script: Script) -> Self {
        let (stop, verdicts) = (Arc::<AtomicBool>::default(), Arc::<Mutex<BTreeMap<String, usize>>>::default());
        let caller = || tokio::spawn(call(gateway, Arc::clone(&script), Arc::clone(&stop), Arc::clone(&verdicts)));
        let callers = (0..callers).map(|_| caller()).collect();
        Self { stop, verdicts, callers }
    }

    /// Callers that send the same all the time.
    pub fn steady(gateway: SocketAddr, callers: usize, target: &str, headers: &[(&str, &str)]) -> Self {
        let target = target.to_owned();
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::start(gateway, callers, Arc::new(move || (target.clone(), headers.clone())))
    }

    /// How often each verdict came so far: status and reason, or "broken".
    pub fn so_far(&self) -> BTreeMap<String, usize> {
        self.verdicts.lock().clone()
    }

    /// Waits until `count` more answers have come.
    pub async fn more(&self, count: usize) {
        let sum = || self.verdicts.lock().values().sum::<usize>();
        let goal = sum() + count;
        while sum() < goal {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    /// Ends, and tells how often each verdict came.
    pub async fn stop(self) -> BTreeMap<String, usize> {
        self.stop.store(true, Ordering::SeqCst);
        for caller in self.callers {
            caller.await.unwrap();
        }
        let verdicts = self.verdicts.lock();
        verdicts.clone()
    }
}

async fn call(
    gateway: SocketAddr,
    script: Script,
    stop: Arc<AtomicBool>,
    verdicts: Arc<Mutex<BTreeMap<String, usize>>>,
) {
    let mut kept = None;
    while !stop.load(Ordering::SeqCst) {
        let (target, headers) = script();
        let verdict = match exchange(gateway, &mut kept, &target, &headers).await {
            Some(verdict) => verdict,
            None => {
                kept = None;
                "broken".to_owned()
            }
        };
        *verdicts.lock().entry(verdict).or_default() += 1;
    }
}

async fn exchange(
    gateway: SocketAddr,
    kept: &mut Option<SendRequest<Empty<Bytes>>>,
    target: &str,
    headers: &[(String, String)],
) -> Option<String> {
    let still_open = match kept.as_mut() {
        Some(sender) => sender.ready().await.is_ok(),
        None => false,
    };
    if !still_open {
        let stream = TcpStream::connect(gateway).await.ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        *kept = Some(sender);
    }
    let sender = kept.as_mut()?;
    let mut request = Request::get(target).header(header::HOST, HOST);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = sender.send_request(request.body(Empty::new()).ok()?).await.ok()?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    Some(format!("{status} {}", problem["reason"].as_str().unwrap_or_default()).trim().to_owned())
}
