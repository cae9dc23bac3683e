//! Tokens that say themselves what they are for.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::HeaderValue;

use super::bonds::{self, Came};
use super::{Caller, Failure, Progress};
use crate::jwt::proof::Proof;
use crate::jwt::{self, Claims, TokenFault};
use crate::pipeline::tokens::KeysInReach;
use crate::pipeline::{other_site, token_places};
use crate::rejection::Reason;
use crate::runtime::policy::token_place::TokenPlace;
use crate::runtime::policy::{Alternative, Jwt};

/// The token of the alternative, if it holds: its claims, where it stands, and the proof beside it that has still to be new.
pub(super) async fn hold(
    alternative: &Alternative,
    jwt: &Jwt,
    caller: &Caller<'_>,
) -> Result<(Arc<Claims>, Arc<TokenPlace>, Option<Proof>), Failure> {
    let Some(keys) = caller.key_sets.get(&jwt.key_set) else {
        let why = caller.unusable_key_sets.get(&jwt.key_set).map_or("it is not there", String::as_str);
        let message = format!("key set {} cannot be used: {why}", jwt.key_set);
        return Err(Failure::new(alternative, Progress::Unjudged, Reason::Configuration, message));
    };
    let (token, place) = sent(alternative, caller)?;
    let reach = KeysInReach { keys, patience: caller.patience, decryptions: &caller.course.decryptions };
    match caller.tokens.verify(&token, jwt, reach, caller.now).await {
        Ok(claims) => {
            let came = Came { token: &token, place, claims: &claims };
            let proof = bonds::hold(alternative, jwt, came, caller).map_err(|failure| failure.of_token(jwt, place))?;
            Ok((claims, Arc::clone(place), proof))
        }
        Err(fault) => {
            let (progress, reason) = meaning(&fault);
            let hint = jwt::hint(&token, &jwt.rules, &fault).map(|hint| format!(": {hint}")).unwrap_or_default();
            Err(Failure::new(alternative, progress, reason, format!("{fault}{hint}")).of_token(jwt, place))
        }
    }
}

/// The one token in all places that the alternative names (RFC 6750, 2: never two).
pub(super) fn sent<'a>(
    alternative: &'a Alternative,
    caller: &'a Caller<'_>,
) -> Result<(Cow<'a, str>, &'a Arc<TokenPlace>), Failure> {
    let places = alternative.token_places.iter();
    let read = |place: &'a Arc<TokenPlace>| token_places::read(place, caller.headers, caller.query);
    let mut sent = places.flat_map(|place| read(place).into_iter().map(move |token| (token, place)));
    let Some(first) = sent.next() else {
        return Err(Failure::new(alternative, Progress::Absent, Reason::CredentialMissing, "no token was sent"));
    };
    if sent.next().is_some() {
        let message = "a token stands in more than one place";
        let mut failure = Failure::new(alternative, Progress::Unjudged, Reason::CredentialAmbiguous, message);
        let of_proofs = alternative.demand.jwt().filter(|jwt| !jwt.takes_bare_ones).and_then(|jwt| jwt.proofs.as_ref());
        let bearer = || HeaderValue::from_static(r#"Bearer realm="sallyport", error="invalid_request""#);
        failure.rejection.challenges = [of_proofs.map_or_else(bearer, |proofs| proofs.invalid_request.clone())].into();
        return Err(failure);
    }
    if first.1.is_forgeable() && other_site::has_sent(caller) {
        let message = "another site has made a browser send the request with the cookie that the token stands in";
        return Err(Failure::new(alternative, Progress::Unjudged, Reason::CrossSite, message));
    }
    Ok(first)
}

/// What a fault of a token means for the caller, and how far the token came.
pub(super) fn meaning(fault: &TokenFault) -> (Progress, Reason) {
    use TokenFault as F;
    match fault {
        F::InsufficientScope { .. } => (Progress::NotEnough, Reason::ScopeInsufficient),
        F::ClaimMismatch { .. } | F::ClientApplication | F::LeftOut => (Progress::NotEnough, Reason::ClaimInsufficient),
        F::KeyUnavailable | F::KeyAwaited => (Progress::Unknown, Reason::IssuerUnreached),
        F::Issuer | F::Version | F::Tenant => (Progress::Foreign, Reason::TokenInvalid),
        _ => (Progress::Invalid, Reason::TokenInvalid),
    }
}
