//! What a token is bound to: whether its caller holds that.

use std::cell::Cell;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use sallyport_snapshot::v1::proofs::Memory;

use super::{Caller, Failure, Progress, certificate};
use crate::jwt::proof::{self, Proof, ProofFault};
use crate::jwt::{Claims, Thumbprint};
use crate::nonces::OfGateway;
use crate::pipeline::forward::{FORWARDED_HOST, FORWARDED_PROTO};
use crate::pipeline::hygiene::Peer;
use crate::rejection::Reason;
use crate::replays::Seen;
use crate::runtime::policy::token::{Jwt, Proofs};
use crate::runtime::policy::token_place::TokenPlace;
use crate::runtime::policy::{Alternative, Denial};

/// When a caller may ask again where it could not be told whether its proof is new.
const RETRY_AFTER_S: u16 = 1;

/// What is known of the proof that a request has shown.
#[derive(Default)]
pub struct ShownProof {
    /// Once it is remembered: one serves all levels.
    seen: Cell<Option<[u8; 16]>>,
    next_nonce: Cell<Option<HeaderValue>>,
}

impl ShownProof {
    /// The number that the caller has to be told; it is there once.
    pub fn next_nonce(&self) -> Option<HeaderValue> {
        self.next_nonce.take()
    }
}

/// A token that holds, as it came.
#[derive(Clone, Copy)]
pub(super) struct Came<'a> {
    pub(super) token: &'a str,
    pub(super) place: &'a TokenPlace,
    pub(super) claims: &'a Claims,
}

/// Whether the caller holds all that the token is bound to.
pub(super) async fn hold(
    alternative: &Alternative,
    jwt: &Jwt,
    came: Came<'_>,
    caller: &Caller<'_>,
) -> Result<(), Failure> {
    let bonds = came.claims.bonds().copied().unwrap_or_default();
    if let Some(bound) = &bonds.certificate {
        certificate::hold_bound(alternative, bound, caller)?;
    }
    let invalid = |message: &str| Failure::new(alternative, Progress::Invalid, Reason::TokenInvalid, message);
    match (&jwt.proofs, &bonds.key, came.place.is_proven()) {
        (None, None, _) | (Some(_), None, false) => Ok(()),
        (Some(_), None, true) => Err(invalid("the token came after the scheme DPoP, and is bound to no key")),
        (Some(proofs), Some(key), true) => hold_proof(alternative, proofs, (came.token, key), caller).await,
        (_, Some(_), _) => Err(invalid(
            "the token is bound to a key, and did not come in Authorization after the scheme DPoP, with a proof beside it",
        )),
    }
}

/// Whether a proof by this key has come, for the first time.
async fn hold_proof(
    alternative: &Alternative,
    proofs: &Proofs,
    (token, key): (&str, &Thumbprint),
    caller: &Caller<'_>,
) -> Result<(), Failure> {
    let is_real = caller.beside.is_none() && !caller.asks_nobody;
    let counters = &caller.replays.counters;
    let refused = |fault: Option<&ProofFault>, message: String| {
        let (reason, challenge) = match fault {
            Some(ProofFault::Nonce) => (Reason::ProofNonce, &proofs.use_nonce),
            _ => (Reason::ProofInvalid, &proofs.invalid_proof),
        };
        let mut failure = Failure::new(alternative, Progress::Partial, reason, message);
        failure.rejection.challenges = [challenge.clone()].into();
        failure
    };
    let nonces =
        OfGateway { nonces: caller.nonces.unwrap_or(&caller.replays.own_nonces), gateway: caller.door.gateway };
    let tell_nonce = || {
        if is_real {
            caller.course.proof.next_nonce.set(nonces.hand_out(caller.now));
        }
    };
    let sent = sole_proof(caller.headers);
    let origin = origin(caller);
    let asked =
        proof::Asked { method: caller.method, origin: origin.as_deref(), path: caller.path, token, key, nonces };
    let judged = sent.map_err(|why| (None, why)).and_then(|sent| {
        let judged = proofs.rules.judge(sent, asked, caller.now);
        judged.map_err(|fault| {
            let why = format!("the proof in the header DPoP does not hold: {fault}");
            (Some(fault), why)
        })
    });
    let shown = match judged {
        Ok(shown) => shown,
        Err((fault, why)) => {
            let is_for_nonce = fault == Some(ProofFault::Nonce);
            if is_for_nonce {
                tell_nonce();
            }
            let counter = if is_for_nonce { &counters.nonce } else { &counters.invalid };
            counter.inc_by(u64::from(is_real));
            return Err(refused(fault.as_ref(), why));
        }
    };
    // What is only reported, or explained, uses nothing up.
    if !is_real || caller.course.proof.seen.get() == Some(shown.id) {
        return Ok(());
    }
    if shown.wants_nonce {
        tell_nonce();
    }
    match see(alternative, proofs, &shown, caller).await {
        Ok(true) => {
            counters.accepted.inc();
            caller.course.proof.seen.set(Some(shown.id));
            Ok(())
        }
        Ok(false) => {
            counters.replayed.inc();
            Err(refused(None, "the proof has been seen before: somebody has copied it, or the client makes no new one for each request".to_owned()))
        }
        Err(failure) => {
            counters.unknown.inc();
            Err(failure)
        }
    }
}

/// Whether nobody has seen the proof before, where its policy has it remembered.
async fn see(alternative: &Alternative, proofs: &Proofs, shown: &Proof, caller: &Caller<'_>) -> Result<bool, Failure> {
    let unknown = |reason: Reason, message: String| {
        let mut failure = Failure::new(alternative, Progress::Unknown, reason, message);
        failure.rejection.retry_after_s = Some(RETRY_AFTER_S);
        failure
    };
    let is_own = match proofs.rules.memory {
        Memory::Own => true,
        Memory::SharedIfAny => !caller.counts_in_store,
        Memory::Shared if caller.counts_in_store => false,
        Memory::Shared | Memory::Unspecified => {
            let message = "proofs are to be remembered in a store, and the Gateway has none; set limits.store: Redis in its GatewayParameters, or replay: Replica";
            return Err(Failure::denied(&Denial::configuration(&alternative.origin.object, message)));
        }
    };
    if is_own {
        return match caller.replays.see(shown, caller.now) {
            Seen::Never => Ok(true),
            Seen::Before => Ok(false),
            Seen::Full => {
                Err(unknown(Reason::Overloaded, "too many proofs are remembered, of this key or of all".into()))
            }
        };
    }
    let away = |why: &str| {
        let message = format!("whether the proof was seen before only the store can tell, and that is away: {why}");
        unknown(Reason::StoreUnavailable, message)
    };
    let store = caller.limit_store.ok_or_else(|| away("it is not there"))?;
    let for_ms = caller.now.until(shown.until).as_millis().saturating_add(proof::MAX_AHEAD_MS.into());
    let for_ms = u64::try_from(for_ms).unwrap_or(u64::MAX);
    store.is_first(shown.id, for_ms).await.map_err(|why| away(&why.0))
}

/// The one proof that was sent.
fn sole_proof(headers: &HeaderMap) -> Result<&str, String> {
    let mut lines = headers.get_all(proof::HEADER).into_iter();
    let Some(line) = lines.next() else {
        return Err("the token is bound to a key, and no proof of it came in the header DPoP".to_owned());
    };
    if lines.next().is_some() {
        return Err("more than one proof was sent".to_owned());
    }
    line.to_str().map_err(|_| "the proof in the header DPoP is no text".to_owned())
}

/// What was asked, as the caller calls it: behind trusted proxies as they say. `None` where that cannot be told.
fn origin(caller: &Caller<'_>) -> Option<String> {
    let hop = &caller.hop;
    let own_scheme = if hop.is_cleartext { "http" } else { "https" };
    let own_authority = hop.authority.and_then(|authority| authority.to_str().ok());
    if hop.peer == Peer::Stranger {
        return proof::origin(own_scheme, own_authority?);
    }
    let scheme = told(caller.headers, &FORWARDED_PROTO)?.unwrap_or(own_scheme);
    let authority = told(caller.headers, &FORWARDED_HOST)?.or(own_authority)?;
    proof::origin(scheme, authority)
}

/// The one word of a trusted proxy; `Some(None)` where it says nothing, `None` where it says several things.
fn told<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a str>> {
    let mut lines = headers.get_all(name).into_iter().map(HeaderValue::to_str);
    match (lines.next(), lines.next()) {
        (None, _) => Some(None),
        (Some(Ok(line)), None) if !line.contains(',') => Some(Some(line.trim())),
        _ => None,
    }
}
