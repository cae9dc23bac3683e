//! The connection to a store: made anew whenever it is lost, at the first of its places that takes writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, Value};
use rustls_pki_types::ServerName;
use sallyport_snapshot::v1::issuer_health::State;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::bounded::{Allowed, Bounded};
use super::{Away, Means, Settings, answer};
use crate::sources::chain;

/// Name resolution, handshake, login and a first question.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two attempts; and a connection that has lasted shorter was none.
const PAUSE: Duration = Duration::from_secs(1);
/// Answers that come late one after the other, and that much of their time without any, until it is away.
const MAX_LATE: u32 = 3;
/// Of what a server says, in characters: it ends up in logs and in a status.
const MAX_WHY_CHARS: usize = 300;

const TAKE: &str = include_str!("take.lua");
const SEE: &str = include_str!("see.lua");

/// Cheap to ask whether there is a connection.
pub(super) struct Link {
    ready: ArcSwapOption<Ready>,
    /// Why there is none.
    why: Mutex<Arc<str>>,
    /// Whether the first attempt has ended: who asks before that waits for it.
    attempted: watch::Sender<bool>,
    /// Another one tells in its name.
    is_replaced: AtomicBool,
}

/// A connection that has the scripts, to a server that takes writes.
pub(super) struct Ready {
    pub(super) connection: MultiplexedConnection,
    pub(super) scripts: Scripts,
    allowed: Allowed,
    late: AtomicU32,
    /// When the first question was asked of those that have had no answer in time since the last one that has.
    silent_since: Mutex<Option<Instant>>,
    /// Told when it is of no use any more.
    broken: Notify,
}

/// What the server calls them.
pub(super) struct Scripts {
    pub(super) take: Box<str>,
    pub(super) see: Box<str>,
}

/// Connects for as long as it is kept.
pub(super) type Keeper = AbortOnDropHandle<()>;

impl Ready {
    /// One more answer may come.
    pub(super) fn expects_answer(&self) {
        self.allowed.answer();
    }

    pub(super) fn has_answered(&self) {
        if self.late.swap(0, Ordering::Relaxed) > 0 {
            *self.silent_since.lock() = None;
        }
    }
}

impl Link {
    /// Begins to connect, on the runtime of `means`.
    pub(super) fn keep(settings: Settings, means: &Means, name: String) -> (Arc<Self>, Keeper) {
        let link = Arc::new(Self::new("it was not reached yet", false));
        let (kept, means) = (Arc::clone(&link), means.clone());
        let runtime = means.runtime.clone();
        let keeper = runtime.spawn(async move {
            let login = login(&settings);
            // Told once for each change: a place that is tried each second says the same.
            let mut told = None;
            let mut tell = |state, why: &str| {
                let news = Some((state, why.to_owned()));
                if told != news && !kept.is_replaced.load(Ordering::Relaxed) {
                    means.tell(&name, state, why);
                }
                told = news;
            };
            loop {
                let mut pauses = true;
                // From the first on, each time: data planes that count together have to meet at one.
                for place in &settings.places {
                    let attempt = timeout(CONNECT_TIMEOUT, connect((&settings, &login), place, &means)).await;
                    match attempt.unwrap_or_else(|_| Err(format!("{}:{} does not answer in time", place.0, place.1))) {
                        Ok((ready, driver)) => {
                            let began = Instant::now();
                            let ready = Arc::new(ready);
                            kept.ready.store(Some(Arc::clone(&ready)));
                            kept.attempted.send_replace(true);
                            tell(State::Healthy, "");
                            tokio::select! {
                                () = driver => kept.lose("the connection is lost"),
                                () = ready.broken.notified() => {}
                            }
                            kept.ready.store(None);
                            pauses = began.elapsed() < PAUSE;
                            break;
                        }
                        Err(why) => kept.lose(&why),
                    }
                }
                kept.attempted.send_replace(true);
                if pauses {
                    let why = Arc::clone(&kept.why.lock());
                    tell(State::Unreached, &why);
                    sleep(PAUSE).await;
                }
            }
        });
        (link, AbortOnDropHandle::new(keeper))
    }

    /// None is ever made.
    pub(super) fn nowhere(why: &str) -> Arc<Self> {
        Arc::new(Self::new(why, true))
    }

    fn new(why: &str, attempted: bool) -> Self {
        let ready = ArcSwapOption::empty();
        let (attempted, is_replaced) = (watch::Sender::new(attempted), AtomicBool::new(false));
        Self { ready, why: Mutex::new(why.into()), attempted, is_replaced }
    }

    /// From now on it tells nothing, for as long as somebody asks here still.
    pub(super) fn is_replaced(&self) {
        self.is_replaced.store(true, Ordering::Relaxed);
    }

    /// The connection, if there is one. The first attempt is waited for so long.
    pub(super) async fn ready_within(&self, within: Duration) -> Result<Arc<Ready>, Away> {
        if let Some(ready) = self.ready.load_full() {
            return Ok(ready);
        }
        if !*self.attempted.borrow() {
            let mut attempted = self.attempted.subscribe();
            let _in_time = timeout(within, attempted.wait_for(|is_over| *is_over)).await;
        }
        self.ready.load_full().ok_or_else(|| Away(Arc::clone(&self.why.lock())))
    }

    /// Now and then some come late; where none comes for a while, nobody waits any more until it is there again.
    pub(super) fn is_late(&self, ready: &Arc<Ready>, within: Duration) -> Away {
        let why = format!("it does not answer within {} ms", within.as_millis());
        let late = ready.late.fetch_add(1, Ordering::Relaxed) + 1;
        let since = *ready.silent_since.lock().get_or_insert_with(|| Instant::now() - within);
        if late >= MAX_LATE && since.elapsed() >= within * MAX_LATE {
            return self.has_failed(ready, &why);
        }
        Away(why.into())
    }

    /// What it says cannot be used.
    pub(super) fn has_failed(&self, ready: &Arc<Ready>, why: &str) -> Away {
        // Not the one that has come since: only the one that failed goes.
        let before = self.ready.compare_and_swap(ready, None);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, ready)) {
            *self.why.lock() = told(why);
        }
        ready.broken.notify_one();
        Away(told(why))
    }

    fn lose(&self, why: &str) {
        *self.why.lock() = told(why);
        self.ready.store(None);
    }
}

/// The words of a server are anybody's.
fn told(why: &str) -> Arc<str> {
    let words = why.chars().map(|one| if one.is_control() { ' ' } else { one });
    words.take(MAX_WHY_CHARS).collect::<String>().into()
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
    let failed = |why: &dyn std::fmt::Display| format!("{host}:{port}: {why}");
    let (stream, allowed) = Bounded::new(stream);
    // Whoever asks waits as long as is said, and no longer.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let made = MultiplexedConnection::new_with_config(login, stream, config).await;
    let (connection, driver) = made.map_err(|error| failed(&error))?;
    let mut driver = Box::pin(driver);
    let scripts = tokio::select! {
        scripts = prepare(connection.clone(), settings) => scripts.map_err(|why| failed(&why))?,
        () = &mut driver => return Err(failed(&"the connection is closed")),
    };
    let (late, silent_since) = (AtomicU32::new(0), Mutex::default());
    Ok((Ready { connection, scripts, allowed, late, silent_since, broken: Notify::new() }, driver))
}

/// Hands the scripts over, and writes by the first: a server that only reads, or lacks the right or the room, is none.
async fn prepare(mut connection: MultiplexedConnection, settings: &Settings) -> Result<Scripts, String> {
    let scripts = Scripts { take: load(&mut connection, TAKE).await?, see: load(&mut connection, SEE).await? };
    let mut probe = redis::cmd("EVALSHA");
    probe.arg(&*scripts.take).arg(1).arg(format!("{}:probe", settings.prefix));
    probe.arg("d").arg(u32::MAX).arg(0).arg(0).arg(0).arg(0).arg(0).arg("a");
    // One that is too slow for every question is away, and does not come and go.
    let answer = timeout(settings.timeout, connection.send_packed_command(&probe)).await;
    let answer = answer.map_err(|_| format!("it does not answer within {} ms", settings.timeout.as_millis()))?;
    answer::read(&answer.map_err(|error| error.to_string())?, 1).map(|_| scripts)
}

async fn load(connection: &mut MultiplexedConnection, script: &str) -> Result<Box<str>, String> {
    let load = redis::cmd("SCRIPT").arg("LOAD").arg(script).clone();
    match connection.send_packed_command(&load).await.map_err(|error| error.to_string())? {
        Value::BulkString(name) if name.len() == 40 => Ok(String::from_utf8_lossy(&name).into()),
        _ => Err("it does not take the script".to_owned()),
    }
}
