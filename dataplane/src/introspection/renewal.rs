//! What has been let in by a token for long: its issuer is asked again from time to time.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Introspected, Introspection, IntrospectionFault, Introspections, Verdict};
use crate::clock::UnixMs;

/// Nobody is asked about the same stream more often.
const LEAST: Duration = Duration::from_secs(10);
/// As long as nobody can be asked, what was said holds for so many times as long as it would have.
const TIMES: i64 = 3;

/// A token that was active when it let something in.
pub struct Renewal {
    asked: Arc<Introspection>,
    token: Box<str>,
    standing: Mutex<Standing>,
}

#[derive(Clone, Copy)]
struct Standing {
    /// What was said holds until then.
    until: UnixMs,
    /// And until then if nobody can be asked.
    last: UnixMs,
    is_asked: bool,
    is_over: bool,
}

impl Renewal {
    /// Of what was said at `now`.
    pub fn new(asked: &Arc<Introspection>, token: &str, introspected: &Introspected, now: UnixMs) -> Self {
        let standing = Mutex::new(Standing::from(asked, introspected, now));
        Self { asked: Arc::clone(asked), token: token.into(), standing }
    }

    /// What was said; it is remembered `until` then, if it is.
    fn heard(&self, verdict: &Verdict, until: Option<UnixMs>, now: UnixMs) {
        let mut standing = self.standing.lock();
        match verdict {
            Ok(introspected) => {
                *standing = Standing::from(&self.asked, introspected, now);
                standing.until = until.map_or(standing.until, |until| until.min(standing.until));
            }
            Err(IntrospectionFault::Unavailable(_) | IntrospectionFault::Busy | IntrospectionFault::NotAwaited) => {
                let pause = i64::try_from(LEAST.as_millis()).unwrap_or(i64::MAX);
                standing.until = UnixMs(now.0.saturating_add(pause)).min(standing.last);
                standing.is_asked = false;
            }
            Err(_) => standing.is_over = true,
        }
    }
}

impl Standing {
    fn from(asked: &Introspection, introspected: &Introspected, now: UnixMs) -> Self {
        let span = i64::try_from(asked.cache.max(LEAST).as_millis()).unwrap_or(i64::MAX);
        let after = |times: i64| {
            let end = UnixMs(now.0.saturating_add(span.saturating_mul(times)));
            introspected.term.admitted_until.map_or(end, |stated| stated.min(end))
        };
        Self { until: after(1), last: after(TIMES), is_asked: false, is_over: false }
    }
}

impl Introspections {
    /// Whether what `renewal` has let in may go on: where that has to be asked, it is asked, and goes on meanwhile.
    pub fn holds(&self, renewal: &Arc<Renewal>, now: UnixMs) -> bool {
        let mut standing = renewal.standing.lock();
        if standing.is_over || standing.last <= now {
            return false;
        }
        if standing.until <= now && !standing.is_asked {
            standing.is_asked = true;
            let (introspections, renewal) = (self.clone(), Arc::clone(renewal));
            drop(self.0.control.spawn(async move {
                let case = renewal.asked.case(&renewal.token);
                let verdict = introspections.ask(case, &renewal.token, &renewal.asked).await;
                let until = introspections.0.remembered.get(&case).map(|remembered| remembered.until);
                renewal.heard(&verdict, until, introspections.0.means.clock.now());
            }));
        }
        true
    }
}
