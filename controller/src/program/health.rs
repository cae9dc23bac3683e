//! Probes and metrics of the controller.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::brain::HEARTBEAT;
use crate::metrics::Metrics;
use crate::stream::strangers::Strangers;

/// Connections at a time: probes and a collector of metrics need few. Of more the oldest ends, so that nobody keeps probes out by holding
/// what he does not use.
const MAX_CONNECTIONS: usize = 64;
/// Of one address.
const MAX_PER_ADDRESS: usize = 16;
/// For the one request of a connection, from its beginning to the end of the response.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// A pause after accepting has failed: what is missing, descriptors as a rule, is not there a moment later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Time for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Without a sign of life for this long, the brain does not live: it shows one much more often, and the largest cluster is judged in seconds.
const LIFELESS: Duration = HEARTBEAT.saturating_mul(12);

/// What is told about the process.
#[derive(Clone)]
pub(super) struct Health(Arc<Inner>);

struct Inner {
    /// Everything has been published once.
    ready: watch::Sender<bool>,
    /// Rights that are missing.
    refused: watch::Sender<Vec<String>>,
    /// When the brain has last shown that it goes on.
    alive: watch::Sender<Instant>,
    metrics: Metrics,
}

impl Health {
    pub(super) fn new(metrics: Metrics) -> Self {
        let (ready, refused) = (watch::Sender::new(false), watch::Sender::new(vec![]));
        Self(Arc::new(Inner { ready, refused, alive: watch::Sender::new(Instant::now()), metrics }))
    }

    pub(super) fn ready(&self) -> watch::Sender<bool> {
        self.0.ready.clone()
    }

    pub(super) fn refused(&self) -> watch::Sender<Vec<String>> {
        self.0.refused.clone()
    }

    pub(super) fn alive(&self) -> watch::Sender<Instant> {
        self.0.alive.clone()
    }

    fn is_alive(&self) -> bool {
        self.0.alive.borrow().elapsed() < LIFELESS
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, String) {
        match (method, path) {
            (&Method::GET | &Method::HEAD, "/livez") if self.is_alive() => (StatusCode::OK, "ok\n".to_owned()),
            (&Method::GET | &Method::HEAD, "/livez") => {
                (StatusCode::SERVICE_UNAVAILABLE, "nothing is judged any more\n".to_owned())
            }
            (&Method::GET | &Method::HEAD, "/readyz") if *self.0.ready.borrow() => (StatusCode::OK, "ok\n".to_owned()),
            (&Method::GET | &Method::HEAD, "/readyz") => {
                let refused = self.0.refused.borrow().iter().map(|one| format!("{one}\n")).collect::<String>();
                (StatusCode::SERVICE_UNAVAILABLE, format!("the cluster has not been read yet\n{refused}"))
            }
            (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, self.0.metrics.text()),
            (&Method::GET | &Method::HEAD, _) => {
                (StatusCode::NOT_FOUND, "known are /livez, /readyz and /metrics\n".to_owned())
            }
            _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned()),
        }
    }
}

/// Answers probes and questions for metrics.
pub(super) async fn serve(listener: TcpListener, health: Health) {
    let strangers = Strangers::within(MAX_CONNECTIONS, MAX_PER_ADDRESS);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection to the admin port could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (place, _) = strangers.enter(peer.ip());
        let health = health.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ended = timeout(CONNECTION_TIMEOUT, answer_one(stream, &health)) => {}
                () = place.evicted() => {}
            }
        });
    }
}

async fn answer_one(stream: TcpStream, health: &Health) {
    let service = service_fn(|request: Request<Incoming>| {
        let (status, text) = health.answer(request.method(), request.uri().path());
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        async move { Ok::<_, std::convert::Infallible>(response) }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(false);
    // The caller may have gone, or have sent what is no HTTP.
    let _ended = server.serve_connection(TokioIo::new(stream), service).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::fleet::Fleet;

    fn health() -> Health {
        Health::new(Metrics::new(Fleet::default()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_brain_that_shows_no_sign_of_life_is_restarted() {
        let health = health();
        let alive = || health.answer(&Method::GET, "/livez").0;
        assert_eq!(alive(), StatusCode::OK, "it has just begun");
        tokio::time::advance(LIFELESS - Duration::from_secs(1)).await;
        assert_eq!(alive(), StatusCode::OK);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(alive(), StatusCode::SERVICE_UNAVAILABLE);
        health.alive().send_replace(Instant::now());
        assert_eq!(alive(), StatusCode::OK, "it only took long");
    }

    #[tokio::test]
    async fn who_holds_connections_keeps_no_probe_out() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let _serving = tokio::spawn(serve(listener, health()));
        let mut silent = Vec::new();
        for _ in 0..300 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let probe = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = timeout(Duration::from_secs(1), probe).await.expect("it waits for nobody");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn it_is_ready_once_everything_was_published() {
        let health = health();
        let ready = || health.answer(&Method::GET, "/readyz").0;
        assert_eq!(ready(), StatusCode::SERVICE_UNAVAILABLE);
        health.ready().send_replace(true);
        assert_eq!(ready(), StatusCode::OK);
    }

    #[tokio::test]
    async fn until_then_it_says_which_right_is_missing() {
        let health = health();
        health.refused().send_replace(vec!["the controller may not list secrets".to_owned()]);
        let (status, text) = health.answer(&Method::GET, "/readyz");
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.ends_with("\nthe controller may not list secrets\n"), "{text}");
    }

    #[tokio::test]
    async fn nothing_else_is_answered() {
        for (method, path, status) in [
            (Method::GET, "/", StatusCode::NOT_FOUND),
            (Method::GET, "/readyz/", StatusCode::NOT_FOUND),
            (Method::POST, "/metrics", StatusCode::METHOD_NOT_ALLOWED),
            (Method::DELETE, "/livez", StatusCode::METHOD_NOT_ALLOWED),
        ] {
            assert_eq!(health().answer(&method, path).0, status, "{method} {path}");
        }
    }
}
