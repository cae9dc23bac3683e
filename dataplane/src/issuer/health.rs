//! How fetching the keys of one issuer goes: for reports, for the log, and for the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use sallyport_snapshot::v1::{self, issuer_health::State};

use super::fetch::{FetchFault, Fresh};
use crate::clock::UnixMs;
use crate::egress::CallFault;
use crate::jwt::KeyRing;
use crate::sources::chain;

/// Of a message, in characters: an issuer's own words are in it, and it ends up in a status.
const MAX_MESSAGE_CHARS: usize = 1000;

macro_rules! outcomes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)*) => {
        /// What came of a look, as the metrics divide it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Outcome {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Outcome {
            /// Every one, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value of the label.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

outcomes! {
    /// Keys were had.
    Success = "success",
    /// No name, no connection, no handshake, no answer in time.
    Unreachable = "unreachable",
    /// The address must not be called.
    Forbidden = "forbidden",
    /// It answered, and not with a document.
    BadAnswer = "bad-answer",
    /// Its metadata is not what it has to be.
    BadMetadata = "bad-metadata",
    /// Its key set holds no key that can be used.
    BadKeys = "bad-keys",
}

impl Outcome {
    fn of(looked: &Result<Fresh, FetchFault>) -> Self {
        match looked {
            Ok(_) => Self::Success,
            Err(FetchFault::Metadata(fault) | FetchFault::Keys(fault)) => Self::of_call(fault),
            Err(FetchFault::MetadataForm | FetchFault::OtherIssuer { .. } | FetchFault::NoKeys) => Self::BadMetadata,
            Err(FetchFault::KeySet(_)) => Self::BadKeys,
        }
    }

    fn of_call(fault: &CallFault) -> Self {
        match fault {
            CallFault::Resolve { .. }
            | CallFault::Connect { .. }
            | CallFault::Tls { .. }
            | CallFault::Timeout { .. } => Self::Unreachable,
            CallFault::Address(_) | CallFault::Plaintext(_) | CallFault::Forbidden { .. } => Self::Forbidden,
            CallFault::Protocol { .. }
            | CallFault::Status { .. }
            | CallFault::Encoding { .. }
            | CallFault::Body { .. } => Self::BadAnswer,
        }
    }
}

/// Where one issuer stands, from its first look on.
#[derive(Default)]
pub(super) struct Health {
    standing: Mutex<Standing>,
    fetches: [AtomicU64; Outcome::ALL.len()],
}

#[derive(Default)]
struct Standing {
    /// `None` before the first look has ended.
    told: Option<(State, String)>,
    fetched: Option<UnixMs>,
}

/// What a look has changed.
pub(super) enum Change {
    Nothing,
    /// The state is the same, and what is to be said of it is not.
    Message(v1::IssuerHealth),
    State(v1::IssuerHealth),
}

/// What the metrics tell of one key set that is fetched.
pub struct Reading {
    pub key_set: Arc<str>,
    pub issuer: Arc<str>,
    pub state: State,
    /// When the keys in force were had; `None` if there are none.
    pub fetched: Option<UnixMs>,
    /// Looks since the key set came, in the order of [`Outcome::ALL`].
    pub fetches: Vec<u64>,
}

impl Health {
    /// Takes the end of a look in.
    pub(super) fn note(&self, key_set: &str, looked: &Result<Fresh, FetchFault>, now: UnixMs) -> Change {
        if let Some(counter) = self.fetches.get(Outcome::of(looked) as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let mut standing = self.standing.lock();
        if looked.is_ok() {
            standing.fetched = Some(now);
        }
        let told = (state(looked, standing.fetched), message(looked));
        let before = standing.told.replace(told.clone());
        let health = v1::IssuerHealth { key_set: key_set.to_owned(), state: told.0.into(), message: told.1.clone() };
        match before {
            Some(before) if before == told => Change::Nothing,
            Some((state, _)) if state == told.0 => Change::Message(health),
            _ => Change::State(health),
        }
    }

    /// No keys are held any more.
    pub(super) fn forget(&self) {
        self.standing.lock().fetched = None;
    }

    pub(super) fn read(&self, key_set: &Arc<str>, issuer: &Arc<str>) -> Reading {
        let standing = self.standing.lock();
        let state = standing.told.as_ref().map_or(State::Unreached, |(state, _)| *state);
        let fetches = self.fetches.iter().map(|counter| counter.load(Ordering::Relaxed)).collect();
        Reading { key_set: Arc::clone(key_set), issuer: Arc::clone(issuer), state, fetched: standing.fetched, fetches }
    }
}

fn state(looked: &Result<Fresh, FetchFault>, fetched: Option<UnixMs>) -> State {
    match (looked, fetched) {
        (Ok(_), _) => State::Healthy,
        (Err(_), Some(_)) => State::Stale,
        (Err(_), None) => State::Unreached,
    }
}

/// What is to be said of keys that were given rather than fetched: `None` if all of them are of use.
pub(super) fn of_given(key_set: &str, ring: &KeyRing) -> Option<v1::IssuerHealth> {
    let message = left_out(ring)?;
    Some(v1::IssuerHealth { key_set: key_set.to_owned(), state: State::Healthy.into(), message: shortened(message) })
}

/// Why the look failed, or which of the keys that it brought are of no use.
fn message(looked: &Result<Fresh, FetchFault>) -> String {
    shortened(match looked {
        Ok(fresh) => left_out(&fresh.ring).unwrap_or_default(),
        Err(fault) => chain(fault),
    })
}

fn left_out(ring: &KeyRing) -> Option<String> {
    let list = ring.left_out.join("; ");
    (!list.is_empty()).then(|| format!("keys that are of no use are left out: {list}"))
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "...",
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn fresh(keys: &str) -> Result<Fresh, FetchFault> {
        let ring = KeyRing::parse(format!(r#"{{"keys":[{keys}]}}"#).as_bytes()).unwrap();
        Ok(Fresh { ring: ring.into(), lifetime: Duration::ZERO })
    }

    fn other_issuer(found: &str) -> Result<Fresh, FetchFault> {
        Err(FetchFault::OtherIssuer { found: found.to_owned(), expected: "https://a".to_owned() })
    }

    /// "=" where nothing has changed, else what is told; upper case where the state is another than before.
    fn told(change: &Change) -> String {
        match change {
            Change::Nothing => "=".to_owned(),
            Change::Message(health) => health.state().as_str_name().to_lowercase(),
            Change::State(health) => health.state().as_str_name().to_owned(),
        }
    }

    #[test]
    fn a_change_is_told_once() {
        let health = Health::default();
        let looks = [
            (Err(FetchFault::NoKeys), "STATE_UNREACHED"),
            (Err(FetchFault::NoKeys), "="),
            (Err(FetchFault::MetadataForm), "state_unreached"),
            (fresh(KEY), "STATE_HEALTHY"),
            (fresh(KEY), "="),
            (fresh(&format!(r#"{KEY},{{"kty":"oct"}}"#)), "state_healthy"),
            (Err(FetchFault::NoKeys), "STATE_STALE"),
            (Err(FetchFault::NoKeys), "="),
            (fresh(KEY), "STATE_HEALTHY"),
        ];
        for (at, (looked, expected)) in looks.into_iter().enumerate() {
            assert_eq!(told(&health.note("set", &looked, UnixMs(1))), expected, "look {at}");
        }
        let reading = health.read(&"set".into(), &"https://a".into());
        assert_eq!(reading.fetches, [4, 0, 0, 0, 5, 0]);
    }

    #[test]
    fn the_age_is_that_of_the_keys_and_not_of_the_last_look() {
        let health = Health::default();
        health.note("set", &Err(FetchFault::NoKeys), UnixMs(1));
        assert_eq!(health.read(&"set".into(), &"https://a".into()).fetched, None);
        health.note("set", &fresh(KEY), UnixMs(2));
        health.note("set", &Err(FetchFault::NoKeys), UnixMs(3));
        let reading = health.read(&"set".into(), &"https://a".into());
        assert_eq!((reading.fetched, reading.state), (Some(UnixMs(2)), State::Stale));
    }

    #[test]
    fn an_issuers_own_words_are_bounded() {
        for found in ["x".repeat(1_000_000), "\u{e9}".repeat(1_000_000), "\u{1}".repeat(1_000_000)] {
            let Change::State(health) = Health::default().note("set", &other_issuer(&found), UnixMs(1)) else {
                panic!("the first look is news")
            };
            assert!(health.message.chars().count() <= MAX_MESSAGE_CHARS + 3, "{}", health.message.len());
        }
    }
}
