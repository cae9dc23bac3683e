//! Tokens against the keys of their issuers, with verdicts remembered.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::clock::UnixMs;
use crate::issuer::{IssuerKeys, Look};
use crate::jwt::{self, Claims, Decryptions, KeyRing, Seal, Signatures, TokenCache, TokenFault};
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

/// The keys of an issuer, and what looking at them may take.
#[derive(Clone, Copy)]
pub struct KeysInReach<'a> {
    pub keys: &'a IssuerKeys,
    pub patience: Patience,
    pub decryptions: &'a Decryptions,
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
        let KeysInReach { keys, patience, decryptions } = reach;
        let sent = Sent { token, opened: OnceCell::new(), decryptions };
        let judge = || self.judge(&sent, jwt, keys.ring().as_deref(), now);
        let verdict = judge();
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
        match (judge(), look) {
            (Err(TokenFault::UnknownKey), Look::UnderWay) => Err(TokenFault::KeyAwaited),
            (verdict, _) => verdict,
        }
    }

    fn judge(
        &self,
        sent: &Sent<'_>,
        jwt: &Jwt,
        keys: Option<&KeyRing>,
        now: UnixMs,
    ) -> Result<Arc<Claims>, TokenFault> {
        let case = keys.map(|keys| TokenCache::case(sent.token, &jwt.rules, keys));
        if let Some(claims) = case.as_ref().and_then(|case| self.cache.find(case, now)) {
            return Ok(claims);
        }
        let opened = sent.opened(jwt)?;
        let signed = opened.unwrap_or(sent.token);
        let verify = |seal: &Seal<'_>, keys: &KeyRing| self.signatures.of(seal, keys);
        let claims = jwt::verify_sealed(signed, &jwt.rules, keys, now, verify)?;
        let claims = Arc::new(match opened {
            Some(token) => claims.of_opened(token),
            None => claims,
        });
        if let Some(case) = case {
            self.cache.keep(case, &claims, now);
        }
        Ok(claims)
    }
}

/// A token as it was sent, and what was found in it if it is an encrypted one.
struct Sent<'a> {
    token: &'a str,
    opened: OnceCell<Result<Option<String>, TokenFault>>,
    decryptions: &'a Decryptions,
}

impl Sent<'_> {
    /// The signed token in it, looked for once however often the token is judged.
    fn opened(&self, jwt: &Jwt) -> Result<Option<&str>, TokenFault> {
        let opened = self.opened.get_or_init(|| jwt::open(self.token, &jwt.rules, self.decryptions));
        opened.as_ref().map(Option::as_deref).map_err(Clone::clone)
    }
}
