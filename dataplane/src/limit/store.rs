//! Where limits are counted for all data planes together: a server that speaks the protocol of Redis.
//!
//! One question for all limits of a step: all of them are taken, or none. While it is away, data planes go on with their shares of what it
//! has told last, or refuse; what they admit meanwhile is owed to it.

mod answer;
mod bounded;
mod link;
mod stores;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use redis::{Cmd, Value};
use sallyport_snapshot::v1;
use tokio::time::{Instant, timeout};

use super::quota::Period;
use super::{Amount, Counters};
pub use answer::Answer;
use link::{Keeper, Link, Ready};
pub use stores::Stores;
pub(crate) use stores::{Means, Metrics};

/// Where a Gateway's limits are counted.
pub struct Store {
    /// "GatewayParameters namespace/name".
    object: Arc<str>,
    pub denies_when_away: bool,
    prefix: Box<str>,
    /// Tells debts of this process from those of others.
    process: Arc<str>,
    timeout: Duration,
    link: Arc<Link>,
    /// Absent where there is nothing to connect to.
    _keeper: Option<Keeper>,
    metrics: Metrics,
}

/// One limit, as it is asked for.
pub struct Asked<'a> {
    pub counters: &'a Counters,
    /// `None` stands for all who have none.
    pub key: Option<&'a [u8]>,
    pub most: u32,
}

/// The store has not answered: why, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away(pub Arc<str>);

impl Store {
    /// Who says where it is.
    pub fn object(&self) -> &Arc<str> {
        &self.object
    }

    /// Takes one of each, or none of any; what it says of each, in their order.
    pub async fn take(&self, asked: &[Asked<'_>]) -> Result<Vec<Answer>, Away> {
        let began = Instant::now();
        let owed: Vec<_> = asked.iter().map(|one| one.counters.owed(one.key)).collect();
        // Whoever gives up meanwhile leaves it owed: what is told twice counts once.
        let answered = self.answered(asked, &owed).await;
        self.metrics.asked(answered.is_ok(), began.elapsed());
        let answers = answered?;
        let is_taken = answers.iter().all(|answer| answer.is_taken);
        for ((one, owed), answer) in asked.iter().zip(owed).zip(&answers) {
            one.counters.hear(one.key, answer, (is_taken, owed));
        }
        Ok(answers)
    }

    async fn answered(&self, asked: &[Asked<'_>], owed: &[super::Owed]) -> Result<Vec<Answer>, Away> {
        let ready = self.link.ready_within(self.timeout).await?;
        let mut command = redis::cmd("EVALSHA");
        command.arg(&*ready.scripts.take).arg(asked.len());
        for one in asked {
            command.arg(self.name(one));
        }
        for (one, owed) in asked.iter().zip(owed) {
            self.write(&mut command, one, *owed);
        }
        self.ask(&ready, &command, |value| answer::read(value, asked.len())).await
    }

    /// Remembers `id` for so long; whether nobody has seen it before.
    pub async fn is_first(&self, id: [u8; 16], for_ms: u64) -> Result<bool, Away> {
        let began = Instant::now();
        let answered = self.seen(id, for_ms).await;
        self.metrics.asked(answered.is_ok(), began.elapsed());
        answered
    }

    async fn seen(&self, id: [u8; 16], for_ms: u64) -> Result<bool, Away> {
        let ready = self.link.ready_within(self.timeout).await?;
        let mut command = redis::cmd("EVALSHA");
        let name = format!("{}:proof:{:032x}", self.prefix, u128::from_be_bytes(id));
        command.arg(&*ready.scripts.see).arg(1).arg(name).arg(for_ms);
        self.ask(&ready, &command, answer::is_first).await
    }

    /// What comes of a question within the time that there is.
    async fn ask<T>(
        &self,
        ready: &Arc<Ready>,
        command: &Cmd,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Result<T, Away> {
        ready.expects_answer();
        let mut connection = ready.connection.clone();
        let answer = timeout(self.timeout, connection.send_packed_command(command)).await;
        let Ok(answer) = answer else { return Err(self.link.is_late(ready, self.timeout)) };
        let read = answer.map_err(|error| error.to_string()).and_then(|value| read(&value));
        match read {
            Ok(read) => {
                ready.has_answered();
                Ok(read)
            }
            Err(why) => Err(self.link.has_failed(ready, &why)),
        }
    }

    fn write(&self, command: &mut Cmd, one: &Asked<'_>, owed: super::Owed) {
        let (kind, ms) = match one.counters.amount() {
            Amount::Window(length) => ("w", u64::try_from(length.as_millis()).unwrap_or(u64::MAX)),
            Amount::Quota(Period::Day) => ("d", 0),
            Amount::Quota(Period::Month) | Amount::AtOnce => ("m", 0),
        };
        command.arg(kind).arg(one.most).arg(ms).arg(owed.beside).arg(owed.total);
        // What is known beyond what is allowed says no more than that it is used up.
        command.arg(owed.number).arg(owed.used.min(one.most)).arg(format!("a{}.{}", self.process, owed.account));
    }

    /// What it is called in the store: nothing there names anybody.
    fn name(&self, one: &Asked<'_>) -> String {
        let mut named = one.counters.digest().to_vec();
        named.push(u8::from(one.key.is_some()));
        named.extend_from_slice(one.key.unwrap_or_default());
        let digest = digest(&SHA256, &named);
        // 128 bits tell two apart.
        let half = digest.as_ref().first_chunk().copied().unwrap_or_default();
        format!("{}:{:032x}", self.prefix, u128::from_be_bytes(half))
    }
}

/// How it is reached.
struct Settings {
    places: Vec<(String, u16)>,
    tls: Option<v1::BackendTls>,
    username: String,
    password: String,
    prefix: String,
    timeout: Duration,
}

#[cfg(test)]
mod tests;
