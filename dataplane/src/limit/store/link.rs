//! The connection to a store: made anew whenever it is lost, by turns to each of its places.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{RedisConnectionInfo, Value};
use rustls_pki_types::ServerName;
use sallyport_snapshot::v1::issuer_health::State;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{Away, Means, Settings};
use crate::sources::chain;

/// Name resolution, handshake and login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// Answers that come late one after the other, until it is away.
const MAX_LATE: u32 = 3;

const SCRIPT: &str = include_str!("take.lua");

/// Cheap to ask whether there is a connection.
pub(super) struct Link {
    ready: ArcSwapOption<Ready>,
    late: AtomicU32,
    /// Told when what is there is of no use any more.
    broken: Notify,
    /// Why there is none.
    why: Mutex<Arc<str>>,
    _keeper: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// A connection that has the script.
pub(super) struct Ready {
    pub(super) connection: MultiplexedConnection,
    pub(super) script: Box<str>,
}

impl Link {
    /// Begins to connect, on the runtime of `means`, and ends with what is returned.
    pub(super) fn keep(settings: Settings, means: &Means, name: String) -> Arc<Self> {
        let link = Arc::new(Self::new("it was not reached yet"));
        let (weak, of_task) = (Arc::downgrade(&link), means.clone());
        let keeper = means.runtime.spawn(async move {
            let (login, mut places) = (login(&settings), settings.places.iter().cycle());
            while let (Some(place), Some(link)) = (places.next(), weak.upgrade()) {
                let attempt = timeout(CONNECT_TIMEOUT, connect((&settings, &login), place, &of_task)).await;
                match attempt.unwrap_or_else(|_| Err(format!("{}:{} does not answer in time", place.0, place.1))) {
                    Ok((ready, driver)) => {
                        link.late.store(0, Ordering::Relaxed);
                        link.ready.store(Some(Arc::new(ready)));
                        of_task.tell(&name, State::Healthy, "");
                        tokio::select! {
                            () = driver => link.lose("the connection is lost"),
                            () = link.broken.notified() => {}
                        }
                        link.ready.store(None);
                    }
                    Err(why) => link.lose(&why),
                }
                of_task.tell(&name, State::Unreached, &link.why.lock());
                drop(link);
                sleep(PAUSE).await;
            }
        });
        *link._keeper.lock() = Some(AbortOnDropHandle::new(keeper));
        link
    }

    /// None is ever made.
    pub(super) fn nowhere(why: &str) -> Arc<Self> {
        Arc::new(Self::new(why))
    }

    fn new(why: &str) -> Self {
        Self {
            ready: ArcSwapOption::empty(),
            late: AtomicU32::new(0),
            broken: Notify::new(),
            why: Mutex::new(why.into()),
            _keeper: Mutex::default(),
        }
    }

    /// The connection, if there is one.
    pub(super) fn ready(&self) -> Result<Arc<Ready>, Away> {
        self.ready.load_full().ok_or_else(|| Away(Arc::clone(&self.why.lock())))
    }

    pub(super) fn has_answered(&self) {
        if self.late.load(Ordering::Relaxed) > 0 {
            self.late.store(0, Ordering::Relaxed);
        }
    }

    /// Now and then one comes late; where several do, nobody waits any more until it is there again.
    pub(super) fn is_late(&self, ready: &Arc<Ready>, within: Duration) -> Away {
        let why = format!("it does not answer within {} ms", within.as_millis());
        if self.late.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_LATE {
            return self.has_failed(ready, &why);
        }
        Away(why.into())
    }

    /// What it says cannot be used.
    pub(super) fn has_failed(&self, ready: &Arc<Ready>, why: &str) -> Away {
        let current = self.ready.load();
        // Not the one that has come since.
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, ready)) {
            self.lose(why);
            self.broken.notify_one();
        }
        Away(why.into())
    }

    fn lose(&self, why: &str) {
        *self.why.lock() = why.into();
        self.ready.store(None);
    }
}

fn login(settings: &Settings) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
    if !settings.username.is_empty() {
        login = login.set_username(&settings.username);
    }
    if !settings.password.is_empty() {
        login = login.set_password(&settings.password);
    }
    login
}

async fn connect(
    (settings, login): (&Settings, &RedisConnectionInfo),
    (host, port): &(String, u16),
    means: &Means,
) -> Result<(Ready, impl Future<Output = ()> + Send), String> {
    let tls = match &settings.tls {
        Some(tls) => {
            let name =
                ServerName::try_from(tls.hostname.clone()).map_err(|_| format!("{:?} is no name", tls.hostname))?;
            Some((means.egress.trusting(&tls.ca_certificates), name))
        }
        None => None,
    };
    let stream = means.egress.open(host, *port, tls).await.map_err(|fault| chain(&fault))?;
    let made = MultiplexedConnection::new(login, stream).await;
    let (mut connection, driver) = made.map_err(|error| format!("{host}:{port}: {error}"))?;
    let mut driver = Box::pin(driver);
    let load = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).clone();
    let loaded = tokio::select! {
        loaded = connection.send_packed_command(&load) => loaded,
        () = &mut driver => return Err(format!("{host}:{port} has closed the connection")),
    };
    match loaded.map_err(|error| format!("{host}:{port}: {error}"))? {
        Value::BulkString(script) if script.len() == 40 => {
            Ok((Ready { connection, script: String::from_utf8_lossy(&script).into() }, driver))
        }
        _ => Err(format!("{host}:{port} does not take the script")),
    }
}
