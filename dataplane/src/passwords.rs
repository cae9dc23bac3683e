//! Passwords of callers (RFC 7617) against hashes. A hash takes long by design: it is computed on threads beside the workers, once for all who
//! wait for the same, and what came of it is remembered for a while.

pub mod file;
mod remembered;
mod turns;

use std::io;
use std::sync::Arc;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;
use prometheus_client::metrics::counter::Counter;
use sallyport_password::PasswordHash;
use zeroize::Zeroizing;

use crate::clock::UnixMs;
use crate::pipeline::tokens::Patience;
use crate::together::Together;
use file::PasswordFile;
use remembered::Remembered;
use turns::{Turn, Turns};

/// Who logs in, and where that is looked up.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// Name of the file, which begins with its namespace.
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
    /// Hashing has panicked.
    Broken,
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
    /// Computations that somebody waits for.
    under_way: Together<Case, Result<Verdict, Unjudged>>,
    turns: Turns,
    counters: Counters,
}

/// A login by its digest: the file, what stands there, the user and the password.
type Case = [u8; 32];

impl Passwords {
    /// Nothing is known yet. It fails where there is no randomness.
    pub fn new(counters: Counters) -> io::Result<Self> {
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new());
        let key = key.map_err(|_| io::Error::other("there is no randomness for a key"))?;
        Ok(Self { key, under_way: Together::default(), turns: Turns::default(), counters })
    }

    /// Whether `login` is somebody's.
    pub async fn judge(&self, login: Login<'_>, patience: Patience, now: UnixMs) -> Result<Verdict, Unjudged> {
        let (hash, is_there) = match login.users.hash_of(login.user) {
            Some(hash) => (hash, true),
            None => (login.users.stand_in(login.user).ok_or(Unjudged::Broken)?, false),
        };
        let (case, remembered) = (self.case(login, hash, is_there), &login.users.remembered);
        if let Some(verdict) = remembered.find(&case, now) {
            return Ok(verdict);
        }
        let password = Zeroizing::new(login.password.to_vec());
        let (hash, remembered, counters) = (Arc::clone(hash), Arc::clone(remembered), self.counters.clone());
        let work = Work { case, hash, is_there, password, now, remembered, counters };
        let namespace = namespace_of(login.file);
        if patience == Patience::AsksOnly {
            self.ask(namespace, work);
            return Err(Unjudged::NotAwaited);
        }
        self.under_way.done(case, || self.compute(namespace, work)).await
    }

    async fn compute(&self, namespace: &str, work: Work) -> Result<Verdict, Unjudged> {
        let turn = self.turns.take(namespace, work.hash.memory_kib()).await;
        // Somebody who is gone may have had it computed meanwhile.
        if let Some(verdict) = work.remembered.find(&work.case, work.now) {
            return Ok(verdict);
        }
        let Some(turn) = turn else {
            self.counters.busy.inc();
            return Err(Unjudged::Busy);
        };
        tokio::task::spawn_blocking(move || work.done(turn)).await.map_err(|_| Unjudged::Broken)
    }

    /// Computes for others to gain from, now and then.
    fn ask(&self, namespace: &str, work: Work) {
        if !work.remembered.may_rehearse(work.now) {
            return;
        }
        if let Some(turn) = self.turns.try_take(namespace, work.hash.memory_kib()) {
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

/// The namespace that the Secret of a file is in.
pub fn namespace_of(file: &str) -> &str {
    file.split('/').next().unwrap_or_default()
}

/// What is to be computed.
struct Work {
    case: Case,
    hash: Arc<PasswordHash>,
    is_there: bool,
    password: Zeroizing<Vec<u8>>,
    now: UnixMs,
    remembered: Arc<Remembered>,
    counters: Counters,
}

impl Work {
    /// Computes it, and remembers what came of it, also if nobody waits any more.
    fn done(self, turn: Turn) -> Verdict {
        let fits = self.hash.fits(&self.password);
        drop(turn);
        let verdict = if fits && self.is_there { Verdict::Right } else { Verdict::Wrong };
        self.remembered.keep(self.case, verdict, self.now);
        match verdict {
            Verdict::Right => self.counters.right.inc(),
            Verdict::Wrong => self.counters.wrong.inc(),
        };
        verdict
    }
}

#[cfg(test)]
mod tests;
