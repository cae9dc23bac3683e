//! The client of the update stream: tells the controller what it has, puts in force what differs, and says what came of it.
//!
//! What is in force does not depend on a connection: without one it stays as it is. Each stream begins with the names and hashes of
//! all that was applied, so that a controller sends only what differs, whichever controller it is. The authorities and the token are
//! read anew each time, for both rotate; what Reports have told last is told again.

mod connect;
mod held;
mod pause;
mod reports;
mod session;

use std::path::PathBuf;
use std::sync::Arc;

use sallyport_snapshot::v1;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::names::Names;
use crate::process::DataPlane;
use held::Holding;
use pause::Pause;
use reports::Reports;
use session::Session;

/// Where the controller is, and how both sides know each other.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    /// A name, which is looked up for each connection, or an address.
    pub host: String,
    pub port: u16,
    /// In the controller's certificate.
    pub server_name: String,
    /// PEM, of the authorities that may have signed that.
    pub authorities: PathBuf,
    /// Of this pod's ServiceAccount, for the controller's audience.
    pub token: PathBuf,
}

/// What updates are applied to.
pub trait Plane: Send + Sync + 'static {
    /// Puts an update in force as a whole. May take as long as it needs.
    fn apply(&self, update: &v1::Update) -> v1::Ack;
    /// Hears whether there is a controller.
    fn is_connected(&self, connected: bool);
}

impl Plane for DataPlane {
    fn apply(&self, update: &v1::Update) -> v1::Ack {
        Self::apply(self, update)
    }

    fn is_connected(&self, connected: bool) {
        self.note_connected(connected);
    }
}

/// Why a stream ended that nobody wanted to end.
#[derive(Debug, thiserror::Error)]
pub enum FollowFault {
    #[error("{} cannot be read", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} holds no certificate of an authority", path.display())]
    Authorities { path: PathBuf },
    #[error("{} holds no token", path.display())]
    Token { path: PathBuf },
    #[error("{0:?} is no name for a server")]
    ServerName(String),
    #[error("the name {host} cannot be resolved")]
    Resolve { host: String, source: std::io::Error },
    #[error("{host} cannot be connected to")]
    Connect { host: String, source: std::io::Error },
    #[error("the TLS handshake failed")]
    Tls(#[source] std::io::Error),
    #[error("it does not speak HTTP/2")]
    Protocol(#[from] hyper::Error),
    #[error("it does not answer in time")]
    Late,
    #[error("the stream is ended: {} ({})", .0.message(), .0.code())]
    Ended(tonic::Status),
    #[error("it sends what cannot be applied: {0}")]
    Update(&'static str),
}

/// Follows the controller at `whereabouts` until this is dropped. Ends by itself only if applying panics: then nobody knows what is in
/// force, and the panic goes on.
pub async fn follow<P: Plane>(whereabouts: Whereabouts, plane: Arc<P>, reports: mpsc::UnboundedReceiver<v1::Report>) {
    let mut following = Following {
        whereabouts,
        names: Names::of_system(),
        plane,
        holding: Holding::default(),
        reports: Reports::new(reports),
        is_missed: false,
    };
    let mut pause = Pause::default();
    loop {
        let began = Instant::now();
        let ended = following.once().await;
        following.note(ended);
        // Reports that come meanwhile are kept, the last of each.
        following.reports.gather_for(pause.after(began.elapsed())).await;
    }
}

/// What outlasts a connection.
struct Following<P> {
    whereabouts: Whereabouts,
    names: Names,
    plane: Arc<P>,
    holding: Holding,
    reports: Reports,
    /// It was said that there is no connection.
    is_missed: bool,
}

impl<P: Plane> Following<P> {
    /// One connection, until it ends.
    async fn once(&mut self) -> Result<(), FollowFault> {
        let stream = connect::open(&self.whereabouts, &self.names).await?;
        self.plane.is_connected(true);
        if std::mem::take(&mut self.is_missed) {
            tracing::info!(host = self.whereabouts.host, "there is a connection to the controller again");
        }
        let (plane, holding, reports) = (&self.plane, &mut self.holding, &mut self.reports);
        Session { stream, plane, holding, reports }.run().await
    }

    /// Says once that the connection is lost; one whose stream has come to its regular end is not, and is followed by another.
    fn note(&mut self, ended: Result<(), FollowFault>) {
        let Err(fault) = ended else { return };
        self.plane.is_connected(false);
        let fault = chain(&fault);
        if std::mem::replace(&mut self.is_missed, true) {
            tracing::debug!(fault, "there is still no connection to the controller");
        } else {
            let host = &self.whereabouts.host;
            tracing::warn!(host, fault, "there is no connection to the controller; what is in force stays in force");
        }
    }
}

/// An error with what it comes of.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
