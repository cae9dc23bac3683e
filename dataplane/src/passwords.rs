//! Passwords of callers (RFC 7617) against hashes. A hash takes long by design: it is computed on threads beside the workers, once for all who
//! wait for the same, and what came of it is remembered for a while.

pub mod file;
mod turns;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use quick_cache::sync::Cache;
use sallyport_password::PasswordHash;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::clock::UnixMs;
use crate::pipeline::tokens::Patience;
use file::PasswordFile;
use turns::{Turn, Turns};

const MAX_RIGHT: usize = 10_000;
const RIGHT_FOR_MS: i64 = 5 * 60_000;
const MAX_WRONG: usize = 1_000;
const WRONG_FOR_MS: i64 = 10_000;
/// Between two computations for policies that are only reported.
const REHEARSED_EVERY_MS: i64 = 1_000;

/// Who logs in, and where that is looked up.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// Name of the file.
    pub file: &'a Arc<str>,
    pub users: &'a PasswordFile,
    pub user: &'a str,
    pub password: &'a [u8],
}

/// Whether a login is somebody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Right,
    Wrong,
}

/// Why there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unjudged {
    /// Too many hashes are being computed.
    Busy,
    /// Nobody waits for what is only reported.
    NotAwaited,
}

/// How many hashes were computed, by what came of it, and how many could not be.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub right: Counter,
    pub wrong: Counter,
    pub busy: Counter,
}

/// All passwords of a process.
pub struct Passwords {
    /// Of this process alone: what is remembered says nothing to anybody else.
    key: hmac::Key,
    remembered: Arc<Remembered>,
    under_way: UnderWay,
    turns: Turns,
    rehearsed: AtomicI64,
}

/// A login by its digest: the file, what stands there, the user and the password.
type Case = [u8; 32];

struct Remembered {
    right: Cache<Case, UnixMs>,
    wrong: Cache<Case, UnixMs>,
    counters: Counters,
}

impl Passwords {
    /// Nothing is known yet. It fails where there is no randomness.
    pub fn new(counters: Counters) -> io::Result<Self> {
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new());
        let key = key.map_err(|_| io::Error::other("there is no randomness for a key"))?;
        let remembered = Remembered { right: Cache::new(MAX_RIGHT), wrong: Cache::new(MAX_WRONG), counters };
        Ok(Self {
            key,
            remembered: Arc::new(remembered),
            under_way: UnderWay::default(),
            turns: Turns::default(),
            rehearsed: AtomicI64::new(i64::MIN),
        })
    }

    /// Whether `login` is somebody's. It takes as long for users who are not there.
    pub async fn judge(&self, login: Login<'_>, patience: Patience, now: UnixMs) -> Result<Verdict, Unjudged> {
        let (hash, is_there) = match login.users.hash_of(login.user) {
            Some(hash) => (hash, true),
            None => (login.users.dearest(), false),
        };
        let case = self.case(login, hash, is_there);
        if let Some(verdict) = self.remembered.find(&case, now) {
            return Ok(verdict);
        }
        let password = Zeroizing::new(login.password.to_vec());
        let work =
            Work { case, hash: Arc::clone(hash), is_there, password, now, remembered: Arc::clone(&self.remembered) };
        if patience == Patience::AsksOnly {
            self.ask(login.file, work);
            return Err(Unjudged::NotAwaited);
        }
        let joined = self.under_way.join(case);
        let verdict = joined.verdict.get_or_try_init(|| self.compute(login.file, work)).await;
        verdict.copied().inspect_err(|_| {
            self.remembered.counters.busy.inc();
        })
    }

    async fn compute(&self, file: &Arc<str>, work: Work) -> Result<Verdict, Unjudged> {
        let turn = self.turns.take(file, work.hash.memory_kib()).await.ok_or(Unjudged::Busy)?;
        tokio::task::spawn_blocking(move || work.done(turn)).await.map_err(|_| Unjudged::Busy)
    }

    /// Computes for others to gain from, now and then.
    fn ask(&self, file: &Arc<str>, work: Work) {
        let last = self.rehearsed.load(Ordering::Relaxed);
        if work.now.0 < last.saturating_add(REHEARSED_EVERY_MS) {
            return;
        }
        if let Some(turn) = self.turns.try_take(file, work.hash.memory_kib()) {
            self.rehearsed.store(work.now.0, Ordering::Relaxed);
            drop(tokio::task::spawn_blocking(move || work.done(turn)));
        }
    }

    /// Each part with its length before it: no two logins give one text.
    fn case(&self, login: Login<'_>, hash: &PasswordHash, is_there: bool) -> Case {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [login.file.as_bytes(), hash.text().as_bytes(), login.user.as_bytes(), login.password] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        context.update(&[u8::from(is_there)]);
        let mut case = Case::default();
        case.copy_from_slice(context.sign().as_ref());
        case
    }
}

/// What is to be computed.
struct Work {
    case: Case,
    hash: Arc<PasswordHash>,
    is_there: bool,
    password: Zeroizing<Vec<u8>>,
    now: UnixMs,
    remembered: Arc<Remembered>,
}

impl Work {
    /// Computes it, and remembers what came of it, also if nobody waits any more.
    fn done(self, turn: Turn) -> Verdict {
        let fits = self.hash.fits(&self.password);
        drop(turn);
        let verdict = if fits && self.is_there { Verdict::Right } else { Verdict::Wrong };
        self.remembered.keep(self.case, verdict, self.now);
        verdict
    }
}

impl Remembered {
    fn find(&self, case: &Case, now: UnixMs) -> Option<Verdict> {
        let holds = |cache: &Cache<Case, UnixMs>| cache.get(case).is_some_and(|until| now < until);
        if holds(&self.right) {
            return Some(Verdict::Right);
        }
        holds(&self.wrong).then_some(Verdict::Wrong)
    }

    fn keep(&self, case: Case, verdict: Verdict, now: UnixMs) {
        let until = |ms| UnixMs(now.0.saturating_add(ms));
        let counter = match verdict {
            Verdict::Right => {
                self.right.insert(case, until(RIGHT_FOR_MS));
                &self.counters.right
            }
            Verdict::Wrong => {
                self.wrong.insert(case, until(WRONG_FOR_MS));
                &self.counters.wrong
            }
        };
        counter.inc();
    }
}

/// Computations that somebody waits for.
#[derive(Default)]
struct UnderWay(Mutex<HashMap<Case, Arc<OnceCell<Verdict>>>>);

/// Somebody who waits for one.
struct Joined<'a> {
    under_way: &'a UnderWay,
    case: Case,
    verdict: Arc<OnceCell<Verdict>>,
}

impl UnderWay {
    fn join(&self, case: Case) -> Joined<'_> {
        let verdict = Arc::clone(self.0.lock().entry(case).or_default());
        Joined { under_way: self, case, verdict }
    }
}

/// The last who waits takes it away.
impl Drop for Joined<'_> {
    fn drop(&mut self) {
        let mut under_way = self.under_way.0.lock();
        // The map's, and this one.
        if Arc::strong_count(&self.verdict) == 2 {
            under_way.remove(&self.case);
        }
    }
}

#[cfg(test)]
mod tests;
