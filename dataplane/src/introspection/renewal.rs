//! What has been let in by a token for long: its issuer is asked again from time to time.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Introspected, Introspection, Introspections, Verdict};
use crate::clock::UnixMs;

/// Nobody is asked about the same stream more often.
const LEAST: Duration = Duration::from_secs(10);
/// As long as nobody can be asked, what was said holds for so many times as long as it would have.
const TIMES: u32 = 3;
/// Where nobody could be asked, somebody is again after that.
const AGAIN: Duration = Duration::from_secs(1);

/// A token that was active when it let something in.
pub struct Renewal {
    asked: Arc<Introspection>,
    token: Box<str>,
    /// What was said when it let something in, by its digest.
    first: [u8; 32],
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
    /// Of what was said.
    pub fn new(asked: &Arc<Introspection>, token: &str, introspected: &Introspected) -> Self {
        let standing = Mutex::new(Standing::from(asked, introspected));
        Self { asked: Arc::clone(asked), token: token.into(), first: introspected.meaning(), standing }
    }

    fn heard(&self, verdict: &Verdict, now: UnixMs) {
        let mut standing = self.standing.lock();
        match verdict {
            // Another answer would have let in another caller, or the same one to less.
            Ok(introspected) if introspected.meaning() == self.first => {
                *standing = Standing::from(&self.asked, introspected)
            }
            Ok(_) => standing.is_over = true,
            Err(fault) if fault.is_no_answer() => {
                // Not all at once.
                let spread = Duration::from_millis(u64::from(self.token.bytes().fold(0, u8::wrapping_add)) * 8);
                standing.until = now.plus(AGAIN + spread).min(standing.last);
                standing.is_asked = false;
            }
            Err(_) => standing.is_over = true,
        }
    }
}

impl Standing {
    fn from(asked: &Introspection, introspected: &Introspected) -> Self {
        let span = asked.cache.max(LEAST);
        let after = |times: u32| {
            let end = introspected.said.plus(span.saturating_mul(times));
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
            drop(self.0.asker.spawn(async move {
                let case = renewal.asked.case(&renewal.token);
                let places = &introspections.0.renewal_places;
                let verdict = introspections.ask(case, &renewal.token, &renewal.asked, places).await;
                renewal.heard(&verdict, introspections.0.means.clock.now());
            }));
        }
        true
    }
}
