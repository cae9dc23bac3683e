//! The port at which data planes and other controllers are served: gRPC over TLS, and nobody is told anything before the token of the
//! stream is verified.
//!
//! A connection is a stranger's until the token of one of its streams has come to be verified. Strangers have little time and few
//! places, and the one that has waited longest makes room for the next: who has a token needs a moment, who has none holds a place for
//! nothing. Each
//! stream has a task of its own, and ends after some minutes, or with its token: whoever lost the right to it comes to know at the
//! next one, and whoever has it is told only what differs.

mod call;
mod connection;
pub mod gatekeeper;
mod service;
mod standings;
pub(crate) mod strangers;
mod term;
mod updates;

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::fleet::Fleet;
use gatekeeper::Gatekeeper;
use service::Service;
pub(crate) use service::WATCH;
use strangers::Strangers;

/// A pause after accepting has failed: what is missing, descriptors as a rule, is not there a moment later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Every bound of the port, by name, with its default and the reason for it.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Connections. 4,096: some thousand data planes, and a few descriptors are left for the rest of the process.
    pub connections: usize,
    /// Connections of which no token has come to be verified. 1,024: as many data planes may come back at once.
    pub strangers: usize,
    /// Of those from one address. 128: data planes that share the address of their node start together.
    pub strangers_per_address: usize,
    /// Tokens that are verified at a time. 64: each is a call to the API server.
    pub verifications: usize,
    /// Time for a TLS handshake. 5 s.
    pub handshake: Duration,
    /// Time that a connection may have no stream that is admitted. 15 s: longer than a verification.
    pub idle: Duration,
    /// Time to verify a token. 10 s.
    pub verification: Duration,
    /// Time for the first message, all pieces of it. 10 s.
    pub hello: Duration,
    /// Time for each piece to be taken, and then for the answer. 30 s: a data plane builds the largest configuration in a few.
    pub answer: Duration,
    /// The longest that a stream lasts, give or take a tenth. 10 min: as long as the shortest token that Kubernetes makes.
    pub lifetime: Duration,
    /// How long a data plane is still counted whose stream has come to its regular end: it is connecting anew. 5 s.
    pub linger: Duration,
    /// A connection without traffic is asked for a sign of life after this, and has as much again to give it. 10 s.
    pub keepalive: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 4096,
            strangers: 1024,
            strangers_per_address: 128,
            verifications: 64,
            handshake: Duration::from_secs(5),
            idle: Duration::from_secs(15),
            verification: Duration::from_secs(10),
            hello: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            lifetime: Duration::from_secs(10 * 60),
            linger: Duration::from_secs(5),
            keepalive: Duration::from_secs(10),
        }
    }
}

/// What is served, and by what rules.
pub struct Server {
    pub fleet: Fleet,
    pub gatekeeper: Arc<dyn Gatekeeper>,
    /// What a new connection gets is what this holds at that moment: a certificate is renewed without a restart.
    pub tls: watch::Receiver<Arc<ServerConfig>>,
    pub bounds: Bounds,
}

impl Server {
    /// Serves at `listener` until `closing`; then all streams come to their regular end, and it returns.
    pub async fn serve(self, listener: TcpListener, closing: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.bounds.connections));
        let all = u32::try_from(self.bounds.connections).unwrap_or(u32::MAX);
        let strangers = Strangers::within(self.bounds.strangers, self.bounds.strangers_per_address);
        let service = Arc::new(Service::new(self.fleet, self.gatekeeper, self.bounds, closing.clone()));
        while let Some((stream, place)) = next(&listener, &places, &closing).await {
            let (strangers, service) = (strangers.clone(), Arc::clone(&service));
            let tls = Arc::clone(&self.tls.borrow());
            tokio::spawn(async move {
                connection::serve(stream, tls, &strangers, service).await;
                drop(place);
            });
        }
        drop(listener);
        // Connections hold their places until they have ended, and have their bounds for that.
        let _ended = places.acquire_many(all).await;
    }
}

/// The next connection and its place; none once it is closing.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    closing: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let accepted = async {
        // Who finds no place waits in the kernel's queue.
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) => {
                    tracing::warn!(%error, "a connection to the update stream's port could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    closing.run_until_cancelled(accepted).await.flatten()
}
