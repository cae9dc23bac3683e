//! What a token is bound to: whether its caller holds that.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use prometheus_client::metrics::counter::Counter;
use sallyport_snapshot::v1::proofs::Memory;

use super::{Caller, Failure, Progress, certificate};
use crate::jwt::proof::{self, Proof, ProofFault, Verified};
use crate::jwt::{Claims, Thumbprint};
use crate::nonces::OfGateway;
use crate::pipeline::forward::FORWARDED_PROTO;
use crate::pipeline::hygiene::Peer;
use crate::rejection::Reason;
use crate::replays::{Counters, Owner, REMEMBERED, Seen, Whose};
use crate::runtime::policy::token::{Jwt, Proofs};
use crate::runtime::policy::token_place::TokenPlace;
use crate::runtime::policy::{Alternative, Denial};

/// When a caller may ask again where it could not be told whether its proof is new.
const RETRY_AFTER_S: u16 = 1;

/// What is known of the proof that a request has shown: each memory is asked once, whoever judges it.
#[derive(Default)]
pub struct ShownProof {
    verified: Verified,
    own: OnceCell<Seen>,
    shared: OnceCell<Result<bool, Arc<str>>>,
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

/// Whether the caller holds all that the token is bound to; the proof that has still to be new, if one was asked for.
pub(super) fn hold(
    alternative: &Alternative,
    jwt: &Jwt,
    came: Came<'_>,
    caller: &Caller<'_>,
) -> Result<Option<Proof>, Failure> {
    let bonds = came.claims.bonds().copied().unwrap_or_default();
    if let Some(bound) = &bonds.certificate {
        certificate::hold_bound(alternative, bound, caller)?;
    }
    let invalid = |message: &str| Failure::new(alternative, Progress::Invalid, Reason::TokenInvalid, message);
    match (&jwt.proofs, &bonds.key, came.place.is_proven()) {
        (None, None, _) | (Some(_), None, false) => Ok(None),
        (Some(_), None, true) => Err(invalid("the token came after the scheme DPoP, and is bound to no key")),
        (Some(proofs), Some(key), true) => shown(alternative, proofs, (came.token, key), caller).map(Some),
        (_, Some(_), _) => Err(invalid(
            "the token is bound to a key, and did not come in Authorization after the scheme DPoP, with a proof beside it",
        )),
    }
}

/// The proof by this key, if it is one of this request.
fn shown(
    alternative: &Alternative,
    proofs: &Proofs,
    (token, key): (&str, &Thumbprint),
    caller: &Caller<'_>,
) -> Result<Proof, Failure> {
    let sent = sole_proof(caller.headers).map_err(|why| {
        count(caller, |counters| &counters.invalid);
        invalid(alternative, proofs, why)
    })?;
    let nonces =
        OfGateway { nonces: caller.nonces.unwrap_or(&caller.replays.own_nonces), gateway: caller.door.gateway };
    let origin = origin(caller);
    let asked =
        proof::Asked { method: caller.method, origin: origin.as_deref(), path: caller.path, token, key, nonces };
    let judged = proofs.rules.judge(sent, asked, &caller.course.proof.verified, caller.now);
    let is_due = matches!(judged, Err(ProofFault::Nonce | ProofFault::NoNonce) | Ok(Proof { wants_nonce: true, .. }));
    if is_due && is_real(caller) {
        caller.course.proof.next_nonce.set(nonces.hand_out(caller.now));
    }
    judged.map_err(|fault| refused(alternative, proofs, &fault, caller))
}

/// What is only reported, or explained, uses nothing up and counts nowhere.
fn is_real(caller: &Caller<'_>) -> bool {
    caller.beside.is_none() && !caller.asks_nobody
}

fn count(caller: &Caller<'_>, of: impl Fn(&Counters) -> &Counter) {
    if is_real(caller) {
        of(&caller.replays.counters).inc();
    }
}

fn invalid(alternative: &Alternative, proofs: &Proofs, why: impl Into<String>) -> Failure {
    let mut failure = Failure::new(alternative, Progress::Partial, Reason::ProofInvalid, why);
    failure.rejection.challenges = [proofs.invalid_proof.clone()].into();
    failure
}

fn refused(alternative: &Alternative, proofs: &Proofs, fault: &ProofFault, caller: &Caller<'_>) -> Failure {
    let why = format!("the proof in the header DPoP does not hold: {fault}");
    match fault {
        // Only whoever is enforced hands numbers out; and only the data planes of a Gateway know its own.
        ProofFault::Nonce | ProofFault::NoNonce if caller.beside.is_some() => {
            let why = "numbers for proofs are handed out only where they are demanded in earnest";
            Failure::new(alternative, Progress::Unknown, Reason::RehearsalIncomplete, why)
        }
        ProofFault::Nonce if caller.asks_nobody => {
            let why = "whether the number (nonce) in the proof is one of the Gateway's only its data planes can tell";
            Failure::new(alternative, Progress::Unknown, Reason::ProofNonce, why)
        }
        ProofFault::Nonce | ProofFault::NoNonce => {
            count(caller, |counters| &counters.nonce);
            let mut failure = Failure::new(alternative, Progress::Partial, Reason::ProofNonce, why);
            failure.rejection.challenges = [proofs.use_nonce.clone()].into();
            failure
        }
        _ => {
            count(caller, |counters| &counters.invalid);
            invalid(alternative, proofs, why)
        }
    }
}

/// Whether nobody has seen the proof before. Asked last, when all else that the alternative lists holds.
pub(super) async fn is_new(
    alternative: &Alternative,
    proofs: &Proofs,
    (shown, identity): (&Proof, &str),
    caller: &Caller<'_>,
) -> Result<(), Failure> {
    let asks_store = asks_store(alternative, proofs, caller)?;
    let replayed = || {
        let why =
            "the proof has been seen before: somebody has copied it, or the client makes no new one for each request";
        count(caller, |counters| &counters.replayed);
        Err(invalid(alternative, proofs, why))
    };
    let course = &caller.course.proof;
    if !is_real(caller) {
        // What the policy in force has just seen is not seen before.
        let is_known = course.own.get().map_or_else(|| caller.replays.knows(shown), |seen| *seen == Seen::Before);
        return if is_known { replayed() } else { Ok(()) };
    }
    if caller.replays.is_late(shown) {
        return Err(refused(alternative, proofs, &ProofFault::Old, caller));
    }
    let owner = Owner { namespace: &proofs.namespace, identity };
    let seen = course.own.get_or_init(|| caller.replays.see(shown, owner));
    match seen {
        Seen::Never => {}
        Seen::Before => return replayed(),
        Seen::Forgotten => return Err(refused(alternative, proofs, &ProofFault::Old, caller)),
        Seen::Full(whose) => return Err(unknown(alternative, caller, Reason::Overloaded, full(*whose))),
    }
    if asks_store {
        match ask_store(shown, caller).await {
            Ok(true) => {}
            Ok(false) => return replayed(),
            Err(why) => {
                let why = format!("whether the proof was seen before only the store can tell, and that is away: {why}");
                return Err(unknown(alternative, caller, Reason::StoreUnavailable, why));
            }
        }
    }
    count(caller, |counters| &counters.accepted);
    Ok(())
}

/// Whether the store has to be asked besides; the failure where there has to be one, and there is none.
fn asks_store(alternative: &Alternative, proofs: &Proofs, caller: &Caller<'_>) -> Result<bool, Failure> {
    match proofs.rules.memory {
        Memory::Own => Ok(false),
        Memory::SharedIfAny => Ok(caller.counts_in_store),
        Memory::Shared if caller.counts_in_store => Ok(true),
        Memory::Shared | Memory::Unspecified => {
            let message = "proofs are to be remembered in a store, and the Gateway has none; set limits.store: Redis in its GatewayParameters, or replay: Replica";
            Err(Failure::denied(&Denial::configuration(&alternative.origin.object, message)))
        }
    }
}

/// Whether nobody has seen it where all replicas remember; what was answered first holds for the whole request.
async fn ask_store<'a>(shown: &Proof, caller: &Caller<'a>) -> &'a Result<bool, Arc<str>> {
    let shared = &caller.course.proof.shared;
    if let Some(answer) = shared.get() {
        return answer;
    }
    let for_ms = u64::try_from(REMEMBERED.as_millis()).unwrap_or(u64::MAX);
    let answer = match caller.limit_store {
        Some(store) => store.is_first(shown.id, for_ms).await.map_err(|away| away.0),
        None => Err("it is not there".into()),
    };
    shared.get_or_init(|| answer)
}

fn unknown(alternative: &Alternative, caller: &Caller<'_>, reason: Reason, why: impl Into<String>) -> Failure {
    count(caller, |counters| &counters.unknown);
    let mut failure = Failure::new(alternative, Progress::Unknown, reason, why);
    failure.rejection.retry_after_s = Some(RETRY_AFTER_S);
    failure
}

fn full(whose: Whose) -> &'static str {
    match whose {
        Whose::Caller => "too many proofs of this caller are remembered; have it ask less often, or add replicas",
        Whose::Namespace => "too many proofs for policies of this namespace are remembered; add replicas",
        Whose::All => "too many proofs are remembered; add replicas",
    }
}

/// The one proof that was sent.
fn sole_proof(headers: &HeaderMap) -> Result<&str, &'static str> {
    let mut lines = headers.get_all(proof::HEADER).into_iter();
    let Some(line) = lines.next() else {
        return Err("the token is bound to a key, and no proof of it came in the header DPoP");
    };
    if lines.next().is_some() {
        return Err("more than one proof was sent");
    }
    line.to_str().map_err(|_| "the proof in the header DPoP is no text")
}

/// What was asked, as the caller calls it: the host that the route was chosen by, and the scheme, behind trusted proxies as they say. `None` where that
/// cannot be told.
fn origin(caller: &Caller<'_>) -> Option<String> {
    let hop = &caller.hop;
    let own = if hop.is_cleartext { "http" } else { "https" };
    let scheme = if hop.peer == Peer::Stranger { own } else { told(caller.headers, &FORWARDED_PROTO)?.unwrap_or(own) };
    proof::origin(scheme, hop.authority?.to_str().ok()?)
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
