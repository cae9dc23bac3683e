//! What other controllers tell of the data planes that are connected to them.

mod connect;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use sallyport_snapshot::pieces::{self, Gathering};
use sallyport_snapshot::v1::{self, standing::Change};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Status, Streaming};

use super::elsewhere::{Relayed, Told};
use super::{Fleet, Pod};
use crate::cluster::ObjectName;
use crate::publish::Standing;

/// How long the standings of a controller stay whose stream has come to its regular end, while it is asked anew.
const LINGER: Duration = Duration::from_secs(5);
/// Pauses between attempts, each longer than the one before.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Data planes of one controller: as many as it has connections.
const MAX_PODS: usize = 10_000;

/// Another replica of this controller.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// In its certificate.
    pub server_name: ServerName<'static>,
}

/// What a controller shows and trusts where it calls another.
#[derive(Clone)]
pub struct Means {
    pub tls: watch::Receiver<Arc<ClientConfig>>,
    /// The token of its ServiceAccount, read anew for each stream.
    pub token: PathBuf,
}

/// Why a peer tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum PeerFault {
    #[error("the token {} cannot be read", path.display())]
    Token { path: PathBuf, source: std::io::Error },
    #[error("the token {} is none that a header can hold", path.display())]
    NoToken { path: PathBuf },
    #[error("no connection")]
    Connect(#[source] std::io::Error),
    #[error("no HTTP/2")]
    Protocol(#[from] hyper::Error),
    #[error("there was no answer in time")]
    Late,
    #[error("it says: {0}")]
    Status(#[from] Status),
    #[error("what it tells cannot be read: {0}")]
    Garbled(&'static str),
}

/// Follows `peer` until this is dropped: its standings are then gone as well, and so they are while it is away.
pub async fn follow(fleet: Fleet, peer: Peer, means: Means) {
    let relayed = Relayed::to(fleet);
    let mut pause = SHORTEST_PAUSE;
    let mut kept_until = None;
    loop {
        let all = listen(&peer, &means);
        let all = match kept_until.take() {
            Some(until) => timeout_at(until, all).await.unwrap_or(Err(PeerFault::Late)),
            None => all.await,
        };
        let ended = match all {
            Ok(mut hearing) => {
                relayed.replace(hearing.told.clone());
                pause = SHORTEST_PAUSE;
                hearing.pass_on(&relayed).await
            }
            Err(fault) => Err(fault),
        };
        match ended {
            Ok(()) => kept_until = Some(Instant::now() + LINGER),
            Err(fault) => {
                relayed.forget();
                tracing::warn!(address = %peer.address, fault = %chain(&fault), "another controller is not heard");
                sleep(pause.mul_f64(0.5 + 0.5 * rand::random::<f64>())).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Connects, and hears of all data planes once.
async fn listen(peer: &Peer, means: &Means) -> Result<Hearing, PeerFault> {
    let mut hearing =
        Hearing { messages: connect::watch(peer, means).await?, told: Told::new(), pieces: BTreeMap::new() };
    while let Some(message) = hearing.messages.message().await? {
        if let Heard::All = hearing.take(message)? {
            return Ok(hearing);
        }
    }
    Err(PeerFault::Garbled("it ended before it told of all"))
}

/// One stream, and what it has told so far.
struct Hearing {
    messages: Streaming<v1::Standing>,
    told: Told,
    pieces: BTreeMap<Pod, Gathering<v1::Acknowledged>>,
}

/// What came of a message.
enum Heard {
    Changed(Pod),
    Gone(Pod),
    All,
    /// More of it follows, or it is of a newer version.
    Nothing,
}

impl Hearing {
    /// Until the stream ends.
    async fn pass_on(&mut self, relayed: &Relayed) -> Result<(), PeerFault> {
        while let Some(message) = self.messages.message().await? {
            match self.take(message)? {
                Heard::Changed(pod) => {
                    if let Some(standing) = self.told.get(&pod) {
                        relayed.put(pod, Arc::clone(standing));
                    }
                }
                Heard::Gone(pod) => relayed.remove(&pod),
                Heard::All | Heard::Nothing => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, message: v1::Standing) -> Result<Heard, PeerFault> {
        if let Some(Change::Complete(_)) = message.change {
            return Ok(Heard::All);
        }
        let pod = pod(&message).ok_or(PeerFault::Garbled("it names no data plane"))?;
        if self.told.len() >= MAX_PODS && !self.told.contains_key(&pod) {
            return Err(PeerFault::Garbled("it tells of too many data planes"));
        }
        match message.change {
            Some(Change::Acknowledged(piece)) => {
                let gathering = self.pieces.entry(pod.clone());
                let gathering = gathering.or_insert_with(|| Gathering::within(pieces::MAX_WHOLE_BYTES));
                let whole = gathering.add(piece).map_err(|_| PeerFault::Garbled("pieces do not fit"))?;
                let Some(whole) = whole else { return Ok(Heard::Nothing) };
                self.pieces.remove(&pod);
                self.standing(&pod).merge(&whole).map_err(|_| PeerFault::Garbled("a hash is none"))?;
            }
            Some(Change::Report(report)) => self.standing(&pod).hear(report),
            Some(Change::Gone(_)) => {
                self.told.remove(&pod);
                self.pieces.remove(&pod);
                return Ok(Heard::Gone(pod));
            }
            Some(Change::Complete(_)) | None => return Ok(Heard::Nothing),
        }
        Ok(Heard::Changed(pod))
    }

    fn standing(&mut self, pod: &Pod) -> &mut Standing {
        Arc::make_mut(self.told.entry(pod.clone()).or_default())
    }
}

fn pod(message: &v1::Standing) -> Option<Pod> {
    let (namespace, name) = message.gateway.split_once('/')?;
    let is_named = !namespace.is_empty() && !name.is_empty() && !message.pod.is_empty();
    is_named.then(|| Pod { gateway: ObjectName::new(namespace, name), name: message.pod.clone() })
}

/// An error with what it comes of.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
