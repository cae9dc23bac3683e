//! Tokens whose issuer is asked about them (RFC 7662). A question takes a call: it is asked once for all who wait for the same, and what came of it is
//! remembered for a while.

mod answer;
mod asked;
mod asker;
mod places;
mod renewal;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sallyport_snapshot::v1;

use crate::clock::UnixMs;
use crate::egress::CallFault;
use crate::issuer::Means;
use crate::jwt::TokenFault;
use crate::pipeline::tokens::Patience;
use crate::sources::chain;
use crate::together::Together;
pub use answer::Introspected;
pub use asked::Introspection;
use asker::Asker;
use places::{Place, Places};
pub use renewal::Renewal;

/// Memory for all that is remembered, and how many that most often are.
const REMEMBERED: (usize, u64) = (10_000, 32 * 1024 * 1024);
/// Of one besides what was said.
const VERDICT_BYTES: usize = 512;
/// Of what was said, the most memory with which it is remembered.
const MAX_REMEMBERED_BYTES: usize = 64 * 1024;
/// That an endpoint cannot be asked is told no more often, however often that changes.
const BETWEEN_WORDS_MS: i64 = 10_000;
/// Endpoints of which it is known what was told last.
const MAX_TOLD: usize = 10_000;
/// Questions in a second for what is only reported.
const MAX_REHEARSED: u32 = 10;

/// Why a token does not admit, in the operator's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntrospectionFault {
    #[error("the token is not for this issuer to judge: {0}")]
    Foreign(&'static str),
    #[error("the token is longer than one may be, or holds what none may")]
    Malformed,
    #[error("the issuer says that the token is not active")]
    Inactive,
    #[error("the issuer says that the token is of another type than Bearer")]
    Type,
    #[error("the issuer says neither whose the token is (sub) nor which client's (client_id)")]
    Nobody,
    #[error("by what the issuer says, {0}")]
    Claims(TokenFault),
    #[error("the issuer cannot be asked: {0}")]
    Unavailable(Arc<str>),
    #[error("too many tokens of the namespace, or at the endpoint, are being asked about")]
    Busy,
    #[error("nobody waits for the issuer where it is only reported: only where it is enforced that is known")]
    NotAwaited,
    #[error("the issuer would be asked about the token; whoever explains asks nobody")]
    NotAsked,
}

impl IntrospectionFault {
    /// Whether nothing is known of the token: what comes of it is remembered by nobody.
    pub fn is_no_answer(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy | Self::NotAwaited | Self::NotAsked)
    }
}

/// What came of a question.
type Verdict = Result<Arc<Introspected>, IntrospectionFault>;

/// A token and all that it is judged by, by their digest.
type Case = [u8; 32];

/// How many questions were asked, by what came of them, and how many could not be.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub active: Counter,
    pub inactive: Counter,
    pub refused: Counter,
    pub unavailable: Counter,
    pub busy: Counter,
}

/// All questions of a process.
#[derive(Clone)]
pub struct Introspections(Arc<Inner>);

struct Inner {
    remembered: Cache<Case, Remembered, Size>,
    under_way: Together<Case, Verdict>,
    places: Places,
    /// For what lasts: whoever floods the gateway with tokens ends no streams by it.
    renewal_places: Places,
    rehearsed: Mutex<(i64, u32)>,
    told: Mutex<HashMap<Arc<str>, Told>>,
    means: Means,
    asker: Asker,
    counters: Counters,
}

/// What was told last of an endpoint.
struct Told {
    is_answered: bool,
    at: UnixMs,
}

#[derive(Clone)]
struct Remembered {
    verdict: Verdict,
    until: UnixMs,
}

#[derive(Clone)]
struct Size;

impl Weighter<Case, Remembered> for Size {
    fn weight(&self, _: &Case, remembered: &Remembered) -> u64 {
        (VERDICT_BYTES + remembered.verdict.as_ref().map_or(0, |introspected| introspected.bytes())) as u64
    }
}

impl Introspections {
    /// Asks by `means`.
    pub fn new(means: Means, counters: Counters) -> Self {
        Self(Arc::new(Inner {
            remembered: Cache::with_weighter(REMEMBERED.0, REMEMBERED.1, Size),
            under_way: Together::default(),
            places: Places::default(),
            renewal_places: Places::default(),
            rehearsed: Mutex::default(),
            told: Mutex::default(),
            means,
            asker: Asker::default(),
            counters,
        }))
    }

    /// What the issuer says of `token`, if that is what is asked for.
    pub async fn judge(&self, token: &str, asked: &Arc<Introspection>, patience: Patience, now: UnixMs) -> Verdict {
        asked.judge_form(token)?;
        let case = asked.case(token);
        if let Some(verdict) = self.find(&case, now) {
            return verdict;
        }
        if patience == Patience::AsksOnly {
            self.ask_for_others(case, token, asked, now);
            return Err(IntrospectionFault::NotAwaited);
        }
        self.ask(case, token, asked, &self.0.places).await
    }

    fn find(&self, case: &Case, now: UnixMs) -> Option<Verdict> {
        self.0.remembered.get(case).filter(|remembered| now < remembered.until).map(|remembered| remembered.verdict)
    }

    async fn ask(&self, case: Case, token: &str, asked: &Arc<Introspection>, places: &Places) -> Verdict {
        self.0.under_way.done(case, || self.answered(case, token, asked, places)).await
    }

    async fn answered(&self, case: Case, token: &str, asked: &Arc<Introspection>, places: &Places) -> Verdict {
        // Somebody who is gone may have had it asked meanwhile.
        if let Some(verdict) = self.find(&case, self.0.means.clock.now()) {
            return verdict;
        }
        let Some(place) = places.enter(&asked.namespace, &asked.place) else {
            self.0.counters.busy.inc();
            return Err(IntrospectionFault::Busy);
        };
        let broken = || IntrospectionFault::Unavailable("asking has failed".into());
        let question = Arc::clone(&self.0).question(case, token.into(), Arc::clone(asked), place);
        let answered = self.0.asker.spawn(question).ok_or_else(broken)?;
        answered.await.unwrap_or_else(|_| Err(broken()))
    }

    /// Asks for others to gain from, now and then.
    fn ask_for_others(&self, case: Case, token: &str, asked: &Arc<Introspection>, now: UnixMs) {
        {
            let mut rehearsed = self.0.rehearsed.lock();
            let second = now.seconds();
            *rehearsed = if rehearsed.0 == second { (second, rehearsed.1 + 1) } else { (second, 1) };
            if rehearsed.1 > MAX_REHEARSED {
                return;
            }
        }
        let Some(place) = self.0.places.enter(&asked.namespace, &asked.place) else { return };
        drop(self.0.asker.spawn(Arc::clone(&self.0).question(case, token.into(), Arc::clone(asked), place)));
    }
}

impl Inner {
    /// Asks, and remembers what came of it, also if nobody waits any more.
    async fn question(
        self: Arc<Self>,
        case: Case,
        token: Box<str>,
        asked: Arc<Introspection>,
        place: Place,
    ) -> Verdict {
        let egress = self.asker.egress(&self.means);
        let called = egress.call(&asked.endpoint, asked.trust(egress), asked.call(&token)).await;
        drop(place);
        let now = self.means.clock.now();
        let verdict =
            called.map_err(|fault| unavailable(&fault)).and_then(|answer| answer::judge(&answer, &asked, now));
        self.count(&verdict);
        self.tell(&asked, &verdict, now);
        self.keep(case, &asked, &verdict, now);
        verdict
    }

    fn keep(&self, case: Case, asked: &Introspection, verdict: &Verdict, now: UnixMs) {
        let until = match verdict {
            Ok(introspected) if introspected.bytes() > MAX_REMEMBERED_BYTES => return,
            Ok(introspected) => {
                let until = now.plus(asked.cache);
                introspected.term.expires.map_or(until, |end| end.min(until))
            }
            Err(fault) if fault.is_no_answer() => return,
            Err(_) => now.plus(asked.negative_cache),
        };
        if now < until {
            self.remembered.insert(case, Remembered { verdict: verdict.clone(), until });
        }
    }

    fn count(&self, verdict: &Verdict) {
        match verdict {
            Ok(_) => self.counters.active.inc(),
            Err(IntrospectionFault::Inactive) => self.counters.inactive.inc(),
            Err(IntrospectionFault::Unavailable(_)) => self.counters.unavailable.inc(),
            Err(_) => self.counters.refused.inc(),
        };
    }

    /// Says how the endpoint fares, when that has changed.
    fn tell(&self, asked: &Introspection, verdict: &Verdict, now: UnixMs) {
        use v1::issuer_health::State;
        let fault = match verdict {
            Err(IntrospectionFault::Unavailable(why)) => Some(why),
            _ => None,
        };
        if !self.is_news(&asked.name, fault.is_none(), now) {
            return;
        }
        let name = &*asked.name;
        let state = if let Some(why) = fault {
            tracing::warn!(endpoint = name, %why, "tokens cannot be asked about, and are answered with 503: check the endpoint, the way to it and the client's login");
            State::Unanswered
        } else {
            tracing::info!(endpoint = name, "tokens can be asked about");
            State::Healthy
        };
        let message = fault.map(|why| why.to_string()).unwrap_or_default();
        let health = v1::IssuerHealth { key_set: name.to_owned(), state: state.into(), message };
        // Nobody listens while the process ends.
        let _sent = self.means.reports.send(v1::Report { report: Some(v1::report::Report::Issuer(health)) });
    }

    /// Whether it is another word than the last one. Whoever can make an endpoint fail for one token now and then makes nobody write more than that.
    fn is_news(&self, name: &Arc<str>, is_answered: bool, now: UnixMs) -> bool {
        let mut told = self.told.lock();
        if told.len() >= MAX_TOLD && !told.contains_key(name) {
            told.clear();
        }
        let is_news = told.get(name).is_none_or(|last| {
            last.is_answered != is_answered && (is_answered || now.0.saturating_sub(last.at.0) >= BETWEEN_WORDS_MS)
        });
        if is_news {
            told.insert(Arc::clone(name), Told { is_answered, at: now });
        }
        is_news
    }
}

/// An endpoint that refuses speaks of our own login, not of the token.
fn unavailable(fault: &CallFault) -> IntrospectionFault {
    let why = match fault {
        CallFault::Status { host, status } if matches!(status.as_u16(), 401 | 403) => {
            format!("{host} answered {status}: most often it does not take the login of clientAuthentication")
        }
        fault => chain(fault),
    };
    IntrospectionFault::Unavailable(why.into())
}

/// Where nobody is asked.
#[cfg(test)]
impl Introspections {
    pub(crate) fn of_tests() -> Self {
        use crate::egress::{AddressRules, Egress};
        use crate::settings::Environment;
        let (reports, _) = tokio::sync::mpsc::unbounded_channel();
        let egress = Egress::new(AddressRules::of(Environment::Standalone));
        let means = Means { egress, clock: crate::clock::Clock::default(), reports };
        Self::new(means, Counters::default())
    }
}

#[cfg(test)]
mod tests;
