//! Tokens against the keys of their issuers, with verdicts remembered.

use std::sync::Arc;

use crate::clock::UnixMs;
use crate::issuer::IssuerKeys;
use crate::jwt::{self, Claims, KeyRing, TokenCache, TokenFault};
use crate::runtime::Named;
use crate::runtime::policy::Jwt;

/// What verifies tokens in this process.
#[derive(Default)]
pub struct Tokens {
    cache: TokenCache,
}

impl Tokens {
    /// The claims of `token`, if it is what `jwt` asks for. Waits only for a look at keys that the token makes worth while.
    pub async fn verify(
        &self,
        token: &str,
        jwt: &Jwt,
        key_sets: &Named<IssuerKeys>,
        now: UnixMs,
    ) -> Result<Arc<Claims>, TokenFault> {
        let keys = key_sets.get(&jwt.key_set).ok_or(TokenFault::KeyUnavailable)?;
        let verdict = self.judge(token, jwt, keys.ring().as_deref(), now);
        match verdict {
            Err(TokenFault::UnknownKey) => keys.look_again().await,
            Err(TokenFault::KeyUnavailable) => keys.first_look().await,
            verdict => return verdict,
        }
        // Also where no look was due: one may have ended since the keys were read.
        self.judge(token, jwt, keys.ring().as_deref(), now)
    }

    fn judge(&self, token: &str, jwt: &Jwt, keys: Option<&KeyRing>, now: UnixMs) -> Result<Arc<Claims>, TokenFault> {
        let case = keys.map(|keys| TokenCache::case(token, &jwt.rules, keys));
        if let Some(claims) = case.as_ref().and_then(|case| self.cache.find(case, now)) {
            return Ok(claims);
        }
        let claims = Arc::new(jwt::verify(token, &jwt.rules, keys, now)?);
        if let Some(case) = case {
            self.cache.keep(case, &claims, now);
        }
        Ok(claims)
    }
}
