//! Probes and metrics of the controller.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::fleet::Fleet;

/// Connections at a time: probes and a collector of metrics need few.
const MAX_CONNECTIONS: usize = 64;
/// Time for a request's head.
const HEADER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// What is told about the process.
#[derive(Clone, Default)]
pub(super) struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Everything has been published once.
    ready: watch::Sender<bool>,
    known: Mutex<Option<(Fleet, watch::Receiver<bool>)>>,
}

impl Health {
    pub(super) fn ready(&self) -> watch::Sender<bool> {
        self.0.ready.clone()
    }

    pub(super) fn knows(&self, fleet: Fleet, leads: watch::Receiver<bool>) {
        *self.0.known.lock() = Some((fleet, leads));
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, String) {
        match (method, path) {
            (&Method::GET | &Method::HEAD, "/livez") => (StatusCode::OK, "ok\n".to_owned()),
            (&Method::GET | &Method::HEAD, "/readyz") if *self.0.ready.borrow() => (StatusCode::OK, "ok\n".to_owned()),
            (&Method::GET | &Method::HEAD, "/readyz") => {
                (StatusCode::SERVICE_UNAVAILABLE, "the cluster has not been read yet\n".to_owned())
            }
            (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, self.metrics()),
            (&Method::GET | &Method::HEAD, _) => {
                (StatusCode::NOT_FOUND, "known are /livez, /readyz and /metrics\n".to_owned())
            }
            _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned()),
        }
    }

    fn metrics(&self) -> String {
        let known = self.0.known.lock();
        let Some((fleet, leads)) = known.as_ref() else { return String::new() };
        let mut text = fleet.counters().text();
        text.push_str(
            "# HELP sallyport_controller_leads Whether this replica writes.\n# TYPE sallyport_controller_leads gauge\n",
        );
        text.push_str(&format!("sallyport_controller_leads {}\n", u8::from(*leads.borrow())));
        text
    }
}

/// Answers probes and questions for metrics.
pub(super) async fn serve(listener: TcpListener, health: Health) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let health = health.clone();
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let (status, text) = health.answer(request.method(), request.uri().path());
                let mut response = Response::new(Full::new(Bytes::from(text)));
                *response.status_mut() = status;
                async move { Ok::<_, std::convert::Infallible>(response) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(false);
            let _ended = server.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}
