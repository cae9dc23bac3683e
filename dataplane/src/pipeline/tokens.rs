//! Tokens against the keys of their issuers, with verdicts remembered.

use std::sync::Arc;

use crate::clock::UnixMs;
use crate::issuer::{IssuerKeys, Look};
use crate::jwt::{self, Claims, KeyRing, Signatures, TokenCache, TokenFault};
use crate::runtime::policy::Jwt;

/// What verifies tokens in this process.
#[derive(Default)]
pub struct Tokens {
    cache: TokenCache,
    signatures: Signatures,
}

/// Whether somebody waits for keys that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as a look may take, where the token makes one worth while.
    Waits,
    /// Not at all: a look may be asked for, and is for others to gain from.
    AsksOnly,
}

/// The keys of an issuer, and how long they may take.
#[derive(Clone, Copy)]
pub struct KeysInReach<'a> {
    pub keys: &'a IssuerKeys,
    pub patience: Patience,
}

impl Tokens {
    /// The claims of `token`, if it is what `jwt` asks for.
    pub async fn verify(
        &self,
        token: &str,
        jwt: &Jwt,
        reach: KeysInReach<'_>,
        now: UnixMs,
    ) -> Result<Arc<Claims>, TokenFault> {
        let KeysInReach { keys, patience } = reach;
        let verdict = self.judge(token, jwt, keys.ring().as_deref(), now);
        let look = match (&verdict, patience) {
            (Err(TokenFault::UnknownKey), Patience::Waits) => keys.look_again().await,
            (Err(TokenFault::KeyUnavailable), Patience::Waits) => {
                keys.first_look().await;
                Look::Ended
            }
            (Err(TokenFault::UnknownKey), Patience::AsksOnly) => {
                keys.ask_to_look_again();
                return verdict;
            }
            _ => return verdict,
        };
        // Also where no look was due: one may have ended since the keys were read.
        match (self.judge(token, jwt, keys.ring().as_deref(), now), look) {
            (Err(TokenFault::UnknownKey), Look::UnderWay) => Err(TokenFault::KeyAwaited),
            (verdict, _) => verdict,
        }
    }

    fn judge(&self, token: &str, jwt: &Jwt, keys: Option<&KeyRing>, now: UnixMs) -> Result<Arc<Claims>, TokenFault> {
        let Some(keys) = keys else { return jwt::verify(token, &jwt.rules, None, now).map(Arc::new) };
        let case = TokenCache::case(token, &jwt.rules, keys);
        if let Some(claims) = self.cache.find(&case, now) {
            return Ok(claims);
        }
        let claims = jwt::verify_sealed(token, &jwt.rules, now, |seal| self.signatures.of(&case, || seal.verify(keys)));
        let claims = Arc::new(claims?);
        self.cache.keep(case, &claims, now);
        Ok(claims)
    }
}
