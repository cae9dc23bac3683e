//! One JSON line for each exchange, written by a thread of its own. No worker ever waits for it.

pub mod fields;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::traces::Trace;
use crate::clock::{Clock, UnixMs};
use crate::rejection::Rejection;
use crate::route::Rule;
use crate::runtime::policy::Policy;

/// Lines that wait to be written: about a second's worth at full load.
const MAX_WAITING: usize = 16_384;

/// Where lines go.
pub struct AccessLog {
    lines: Option<SyncSender<String>>,
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
}

impl AccessLog {
    /// No line is written.
    pub fn off() -> Self {
        Self { lines: None }
    }

    /// Writes to `out` from a thread of its own, which ends with the log.
    pub fn to(mut out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<String>(MAX_WAITING);
        std::thread::Builder::new().name("access-log".into()).spawn(move || {
            while let Ok(line) = receiver.recv() {
                // Whoever reads the log may have gone; requests go on.
                let _gone = out.write_all(line.as_bytes()).and_then(|()| out.flush());
            }
        })?;
        Ok(Self { lines: Some(sender) })
    }

    /// Whether lines are written at all.
    pub fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Hands a line to the writer; false if it has too much to do and the line is lost.
    pub(crate) fn write(&self, line: &Line, instance: u128, clock: &Clock) -> bool {
        let Some(lines) = &self.lines else { return true };
        lines.try_send(format!("{}\n", line.json(instance, clock.now()))).is_ok()
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
    json!({ "reason": rejection.reason.code(), "object": &*origin.object, "section": origin.section, "rule": &*origin.rule, "message": origin.message })
}

fn milliseconds(duration: Duration) -> Value {
    json!((duration.as_secs_f64() * 1_000_000.0).round() / 1000.0)
}
