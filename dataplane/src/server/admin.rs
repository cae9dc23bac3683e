//! Probes and metrics, on a port of their own: they answer also when workers have too much to do.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::worker::Shared;

/// Connections at a time: every probe and scraper of a node has one, and one to spare. Of more the oldest ends, so that nobody keeps probes
/// out by holding what he does not use.
const MAX_CONNECTIONS: usize = 64;
/// Until the head of the request has come: probes are near.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// For the one request of a connection, from its beginning to the end of the response: as long as Prometheus waits by default.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// A pause after accepting has failed: what is missing, descriptors as a rule, is not there a moment later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds `address` and answers there until the process ends. Returns the address, which matters where the port was 0.
pub async fn start(address: SocketAddr, shared: Arc<Shared>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    tokio::spawn(accept(listener, shared));
    Ok(bound)
}

/// Never ends: an error says something of one connection, or of this moment.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut served = VecDeque::<AbortHandle>::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                served.retain(|one| !one.is_finished());
                if served.len() >= MAX_CONNECTIONS {
                    served.pop_front().inspect(AbortHandle::abort);
                }
                let shared = Arc::clone(&shared);
                // Whoever is not done by then is not waited for.
                let serving = async move { timeout(CONNECTION_TIMEOUT, serve(stream, &shared)).await };
                served.push_back(tokio::spawn(serving).abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the admin port could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers one request.
async fn serve(stream: TcpStream, shared: &Shared) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(shared, request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).keep_alive(false);
    // The caller may have gone, or have sent what is no HTTP.
    let _ended = builder.serve_connection(TokioIo::new(stream), service).await;
}

fn answer(shared: &Shared, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let (status, text) = match (method, path) {
        (&Method::GET | &Method::HEAD, "/livez") => (StatusCode::OK, "ok\n".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") => readiness(shared),
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, shared.metrics.text()),
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, "known are /livez, /readyz and /metrics\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}

fn readiness(shared: &Shared) -> (StatusCode, String) {
    if shared.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    if shared.runtime.load().generation == 0 {
        return (StatusCode::SERVICE_UNAVAILABLE, "no configuration has been applied yet\n".to_owned());
    }
    (StatusCode::OK, "ok\n".to_owned())
}
