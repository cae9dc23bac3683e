//! What is compared.

use crate::contender::{Checks, Kind};

/// One line of the table: contenders that do the same work.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) checks: Checks,
    /// Tokens that are cycled through; 0 for none.
    pub(crate) tokens: usize,
    /// Each run begins with a gateway that has seen none of the tokens.
    pub(crate) afresh: bool,
    pub(crate) contenders: &'static [Kind],
    pub(crate) seconds: Option<u64>,
}

const EVERYBODY: &[Kind] = &[Kind::Sallyport, Kind::Nginx, Kind::HaProxy, Kind::Envoy];
const OURS: &[Kind] = &[Kind::Sallyport];
const WITH_TOKENS: &[Kind] = &[Kind::Sallyport, Kind::HaProxy, Kind::Envoy];
/// Enough for what a second and a half takes: none is sent twice.
const UNSEEN: usize = 50_000;

impl Case {
    pub(crate) const ALL: [Self; 8] = [
        Self { name: "plain", checks: Checks::None, tokens: 0, afresh: false, contenders: EVERYBODY, seconds: None },
        Self {
            name: "key-among-1",
            checks: Checks::Key { among: 1 },
            tokens: 0,
            afresh: false,
            contenders: OURS,
            seconds: None,
        },
        Self {
            name: "key-among-100000",
            checks: Checks::Key { among: 100_000 },
            tokens: 0,
            afresh: false,
            contenders: OURS,
            seconds: None,
        },
        Self {
            name: "token-seen",
            checks: Checks::Token("RS256"),
            tokens: 1,
            afresh: false,
            contenders: WITH_TOKENS,
            seconds: None,
        },
        Self {
            name: "token-seen-among-2000",
            checks: Checks::Token("RS256"),
            tokens: 2000,
            afresh: false,
            contenders: WITH_TOKENS,
            seconds: None,
        },
        Self {
            name: "token-unseen-RS256",
            checks: Checks::Token("RS256"),
            tokens: UNSEEN,
            afresh: true,
            contenders: WITH_TOKENS,
            seconds: Some(1),
        },
        Self {
            name: "token-unseen-ES256",
            checks: Checks::Token("ES256"),
            tokens: UNSEEN,
            afresh: true,
            contenders: WITH_TOKENS,
            seconds: Some(1),
        },
        Self { name: "plain-again", checks: Checks::None, tokens: 0, afresh: false, contenders: OURS, seconds: None },
    ];
}
