//! One JSON line for each exchange, written by a thread of its own. No worker ever waits for it.

pub mod choice;
pub mod fields;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::traces::Trace;
use crate::clock::{Clock, UnixMs};
use crate::rejection::Rejection;
use crate::route::Rule;
use crate::runtime::policy::Policy;
use choice::Choice;

/// Lines that wait to be written: about a second's worth at full load.
const MAX_WAITING: usize = 16_384;

/// For all lines that wait when the process ends: whoever reads the log may have stopped.
const FINISH_WITHIN: Duration = Duration::from_secs(2);
/// Between two tries to be heard by a writer that has much to do.
const FINISH_PAUSE: Duration = Duration::from_millis(5);

/// Of what was found, no more is told.
const MAX_MESSAGE_BYTES: usize = 2048;

/// Where lines go.
pub struct AccessLog {
    lines: Option<SyncSender<Entry>>,
    /// Whether Gateways that do not speak of it have lines.
    is_on: bool,
}

/// What the writer is handed.
enum Entry {
    Line(String),
    /// All before it has been written.
    Mark(SyncSender<()>),
}

/// What is told of one exchange. Nothing of it is secret: no header, no query, no credential.
pub(crate) struct Line {
    pub(crate) method: Method,
    /// For metrics: a label of theirs.
    pub(crate) scheme: &'static str,
    pub(crate) path: String,
    pub(crate) status: StatusCode,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) client: Option<IpAddr>,
    pub(crate) rule: Option<Arc<Rule>>,
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) alternative: Option<Arc<str>>,
    pub(crate) subscription: Option<Arc<str>>,
    pub(crate) upstream: Option<SocketAddr>,
    pub(crate) upstream_time: Option<Duration>,
    pub(crate) rejection: Option<Rejection>,
    pub(crate) rehearsed: Vec<(Arc<str>, Rejection)>,
    pub(crate) trace: Option<Trace>,
    pub(crate) bytes_sent: u64,
    pub(crate) duration: Duration,
    /// When it ended, if it is told of later.
    pub(crate) ended: Option<UnixMs>,
}

/// Of an exchange that begins.
impl Default for Line {
    fn default() -> Self {
        Self {
            method: Method::GET,
            scheme: "http",
            path: String::new(),
            status: StatusCode::OK,
            peer: None,
            client: None,
            rule: None,
            policy: None,
            alternative: None,
            subscription: None,
            upstream: None,
            upstream_time: None,
            rejection: None,
            rehearsed: Vec::new(),
            trace: None,
            bytes_sent: 0,
            duration: Duration::ZERO,
            ended: None,
        }
    }
}

impl AccessLog {
    /// No line is written, whatever Gateways say.
    pub fn off() -> Self {
        Self { lines: None, is_on: false }
    }

    /// Writes to `out` from a thread of its own, which ends with the log.
    pub fn to(mut out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        std::thread::Builder::new().name("access-log".into()).spawn(move || {
            while let Ok(entry) = receiver.recv() {
                // Whoever reads the log, or waits for it, may have gone; requests go on.
                let _gone = match entry {
                    Entry::Line(line) => out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_ok(),
                    Entry::Mark(written) => written.try_send(()).is_ok(),
                };
            }
        })?;
        Ok(Self { lines: Some(sender), is_on: true })
    }

    /// Of Gateways that do not speak of it lines are written only if `is_on`.
    #[must_use]
    pub fn by_default(self, is_on: bool) -> Self {
        Self { is_on, ..self }
    }

    /// Whether lines are written where this is chosen.
    pub(crate) fn is_on(&self, choice: Choice) -> bool {
        self.lines.is_some() && choice.is_on.unwrap_or(self.is_on)
    }

    /// Hands a line that is chosen to the writer; false if it has too much to do and the line is lost.
    pub(crate) fn write(&self, line: &Line, choice: Choice, instance: u128, clock: &Clock) -> bool {
        let Some(lines) = self.lines.as_ref().filter(|_| self.is_on(choice) && choice.takes(line, instance)) else {
            return true;
        };
        lines
            .try_send(Entry::Line(format!("{}\n", line.json(instance, line.ended.unwrap_or_else(|| clock.now())))))
            .is_ok()
    }

    /// Waits until all lines are written, but not for ever; whether they are. For the end of the process: blocks.
    pub fn finish(&self) -> bool {
        let Some(lines) = &self.lines else { return true };
        let (written, mark) = sync_channel(1);
        let mut entry = Entry::Mark(written);
        let deadline = Instant::now() + FINISH_WITHIN;
        while let Err(TrySendError::Full(unsent)) = lines.try_send(entry) {
            if Instant::now() >= deadline {
                return false;
            }
            entry = unsent;
            std::thread::sleep(FINISH_PAUSE);
        }
        mark.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
    }
}

impl Line {
    fn json(&self, instance: u128, now: UnixMs) -> Value {
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                line.insert(name.to_owned(), value);
            }
        };
        let time = jiff::Timestamp::from_millisecond(now.0).map(|time| time.to_string()).unwrap_or_default();
        put("time", time.into());
        put("instance", format!("{instance:032x}").into());
        put("trace_id", self.trace.as_ref().map(|trace| trace.id().to_string()).into());
        put("method", self.method.as_str().into());
        put("path", self.path.as_str().into());
        put("status", self.status.as_u16().into());
        put("duration_ms", milliseconds(self.duration));
        put("client", self.client.map(|client| client.to_string()).into());
        put("peer", self.peer.map(|peer| peer.to_string()).into());
        if let Some(rule) = &self.rule {
            put("route", format!("{}/{}/{}", rule.api.kind, rule.api.namespace, rule.api.name).into());
            put("rule", (*rule.name).into());
        }
        put("policy", self.policy.as_ref().map(|policy| policy.objects.to_string()).into());
        put("alternative", self.alternative.as_deref().into());
        put("subscription", self.subscription.as_deref().into());
        put("upstream", self.upstream.map(|upstream| upstream.to_string()).into());
        put("upstream_ms", self.upstream_time.map_or(Value::Null, milliseconds));
        put("bytes_sent", self.bytes_sent.into());
        put("refusal", self.rejection.as_ref().map_or(Value::Null, refusal));
        let would_refuse: Vec<_> = self
            .rehearsed
            .iter()
            .map(|(policy, rejection)| json!({ "policy": &**policy, "refusal": refusal(rejection) }))
            .collect();
        put("would_refuse", if would_refuse.is_empty() { Value::Null } else { would_refuse.into() });
        Value::Object(line)
    }
}

fn refusal(rejection: &Rejection) -> Value {
    let origin = &rejection.origin;
    json!({ "reason": rejection.reason.code(), "object": &*origin.object, "section": origin.section, "rule": &*origin.rule, "message": shortened(&origin.message) })
}

/// Lines wait in memory, and callers have a part in what some messages say.
fn shortened(message: &str) -> &str {
    message.get(..message.floor_char_boundary(MAX_MESSAGE_BYTES)).unwrap_or_default()
}

fn milliseconds(duration: Duration) -> Value {
    json!((duration.as_secs_f64() * 1_000_000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// Keeps what it is told, and takes its time.
    struct Slow(Arc<Mutex<Vec<u8>>>, Duration);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            std::thread::sleep(self.1);
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_end_waits_for_every_line() {
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let log = AccessLog::to(Slow(Arc::clone(&written), Duration::from_millis(2))).unwrap();
        for instance in 0..100 {
            assert!(log.write(&Line::default(), Choice::default(), instance, &Clock::default()));
        }
        assert!(log.finish());
        let text = String::from_utf8(written.lock().clone()).unwrap();
        assert_eq!((text.lines().count(), text.ends_with('\n')), (100, true));
    }

    #[test]
    fn a_writer_that_is_stuck_is_not_waited_for_for_ever() {
        let log = AccessLog::to(Slow(Arc::default(), Duration::from_secs(60))).unwrap();
        assert!(log.write(&Line::default(), Choice::default(), 0, &Clock::default()));
        let began = Instant::now();
        assert!(!log.finish());
        assert!(began.elapsed() < FINISH_WITHIN * 5);
    }

    #[test]
    fn a_gateway_has_the_last_word_on_whether_it_has_lines() {
        for (by_default, stated, lines) in
            [(true, None, 1), (true, Some(false), 0), (false, None, 0), (false, Some(true), 1), (false, Some(false), 0)]
        {
            let written = Arc::<Mutex<Vec<u8>>>::default();
            let log = AccessLog::to(Slow(Arc::clone(&written), Duration::ZERO)).unwrap().by_default(by_default);
            let choice = Choice { is_on: stated, ..Choice::default() };
            assert!(log.write(&Line::default(), choice, 0, &Clock::default()) && log.finish());
            let text = String::from_utf8(written.lock().clone()).unwrap();
            assert_eq!(text.lines().count(), lines, "{by_default} {stated:?}");
        }
    }

    #[test]
    fn a_log_that_is_off_has_nothing_to_finish() {
        let (log, on) = (AccessLog::off(), Choice { is_on: Some(true), ..Choice::default() });
        assert!(!log.is_on(on) && log.finish());
    }
}
