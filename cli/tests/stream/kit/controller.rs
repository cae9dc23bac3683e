//! A controller, as far as the stream knows one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use sallyport_controller::authority::Stored;
use sallyport_controller::fleet::Fleet;
use sallyport_controller::stream::{Bounds, Server};
use sallyport_dataplane::clock::Clock;
use sallyport_dataplane::follow::Whereabouts;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::tokens::Tokens;
use super::within;

pub const SERVER_NAME: &str = "sallyport-controller.sallyport-system.svc";

pub struct Controller {
    pub fleet: Fleet,
    pub tokens: Tokens,
    pub address: SocketAddr,
    pub stored: Stored,
    pub tls: watch::Sender<Arc<ServerConfig>>,
    folder: TempDir,
    closing: CancellationToken,
    serving: Option<JoinHandle<()>>,
    bounds: Bounds,
}

/// Certificates as they are made now.
pub fn stored() -> Stored {
    let now = jiff::Timestamp::from_second(Clock::default().now().seconds()).unwrap();
    Stored::renewed(None, now, &[SERVER_NAME.to_owned()]).unwrap().0
}

impl Controller {
    pub async fn start() -> Self {
        Self::within(Bounds::default()).await
    }

    pub async fn within(bounds: Bounds) -> Self {
        let stored = stored();
        let tls = watch::Sender::new(Arc::new(stored.server_config().unwrap()));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), stored.bundle_pem()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let (closing, fleet, tokens) = (CancellationToken::new(), Fleet::default(), Tokens::new());
        let mut controller = Self { fleet, tokens, address, stored, tls, folder, closing, serving: None, bounds };
        controller.serve().await;
        controller
    }

    async fn serve(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let server = Server {
            fleet: self.fleet.clone(),
            gatekeeper: Arc::new(self.tokens.clone()),
            tls: self.tls.subscribe(),
            bounds: self.bounds.clone(),
        };
        self.serving = Some(tokio::spawn(server.serve(listener, self.closing.clone())));
    }

    /// Ends: streams come to their regular end.
    pub async fn stop(&mut self) {
        self.closing.cancel();
        if let Some(serving) = self.serving.take() {
            within("the end of the controller", serving).await.unwrap();
        }
    }

    /// Ends, and another process takes its place, which knows nothing.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.closing = CancellationToken::new();
        self.fleet = Fleet::default();
        self.serve().await;
    }

    /// Where data planes are told to go, with `token`.
    pub fn whereabouts(&self, token: &str) -> Whereabouts {
        Whereabouts {
            host: self.address.ip().to_string(),
            port: self.address.port(),
            server_name: SERVER_NAME.to_owned(),
            authorities: self.authorities(),
            token: self.token(token),
        }
    }

    /// A file of the bundle that clients trust.
    pub fn authorities(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// A file that holds `token`.
    pub fn token(&self, token: &str) -> PathBuf {
        let path = self.folder.path().join(token);
        std::fs::write(&path, format!("{token}\n")).unwrap();
        path
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}
