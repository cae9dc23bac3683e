//! What is compared.

use crate::contender::{Checks, Kind};

/// One line of the table: contenders that do the same work.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) checks: Checks,
    /// Tokens that are cycled through; 0 for none.
    pub(crate) tokens: usize,
    pub(crate) run: Run,
    pub(crate) contenders: &'static [Kind],
}

/// How long each contender is measured, and in which state.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// As long as was asked for, after a second in which connections, caches and branch predictors settle.
    Settled,
    /// One second from the start: the gateway has seen none of the tokens, and sees none twice.
    Afresh,
}

/// Enough for what one second takes.
const UNSEEN: usize = 50_000;

const EVERYBODY: &[Kind] = &[Kind::Sallyport, Kind::Nginx, Kind::HaProxy, Kind::Envoy];
const OURS: &[Kind] = &[Kind::Sallyport, Kind::SallyportPlain];
const KEYS: &[Kind] = &[Kind::Sallyport, Kind::SallyportOneKey, Kind::SallyportPlain];
const SEEN: &[Kind] = &[Kind::Sallyport, Kind::SallyportPlain, Kind::HaProxy, Kind::Envoy];
const NEVER_SEEN: &[Kind] = &[Kind::Sallyport, Kind::SallyportPlain, Kind::HaProxy, Kind::Envoy, Kind::EnvoyUncached];

impl Case {
    pub(crate) const ALL: [Self; 7] = [
        Self::without_tokens("plain", Checks::None, EVERYBODY),
        Self::without_tokens("routes-10000", Checks::Routes { among: 10_000 }, OURS),
        Self::without_tokens("key-among-100000", Checks::Key { among: 100_000 }, KEYS),
        Self { name: "token-seen", checks: Checks::Token("RS256"), tokens: 1, run: Run::Settled, contenders: SEEN },
        Self {
            name: "token-seen-among-2000",
            checks: Checks::Token("RS256"),
            tokens: 2000,
            run: Run::Settled,
            contenders: SEEN,
        },
        Self::never_seen("token-unseen-RS256", "RS256"),
        Self::never_seen("token-unseen-ES256", "ES256"),
    ];

    const fn without_tokens(name: &'static str, checks: Checks, contenders: &'static [Kind]) -> Self {
        Self { name, checks, tokens: 0, run: Run::Settled, contenders }
    }

    const fn never_seen(name: &'static str, algorithm: &'static str) -> Self {
        Self { name, checks: Checks::Token(algorithm), tokens: UNSEEN, run: Run::Afresh, contenders: NEVER_SEEN }
    }
}
