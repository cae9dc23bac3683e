//! Tokens whose issuer is asked about them.

use std::sync::Arc;

use super::{Caller, Failure, Progress, token};
use crate::introspection::{Introspected, Introspection, IntrospectionFault, Renewal};
use crate::rejection::Reason;
use crate::runtime::policy::Alternative;
use crate::runtime::policy::token_place::TokenPlace;

/// A token that is active, and is what was asked for.
#[derive(Clone)]
pub struct HeldIntrospection {
    pub introspected: Arc<Introspected>,
    /// By which its issuer is asked again, while what it lets in lasts.
    pub renewal: Arc<Renewal>,
}

pub(super) async fn hold(
    alternative: &Alternative,
    asked: &Arc<Introspection>,
    caller: &Caller<'_>,
) -> Result<(HeldIntrospection, Arc<TokenPlace>), Failure> {
    let (sent, place) = token::sent(alternative, caller)?;
    let judged = if caller.asks_nobody {
        asked.judge_form(&sent).and(Err(IntrospectionFault::NotAsked))
    } else {
        caller.introspections.judge(&sent, asked, caller.patience, caller.now).await
    };
    match judged {
        Ok(introspected) => {
            let renewal = Arc::new(Renewal::new(asked, &sent, &introspected));
            Ok((HeldIntrospection { introspected, renewal }, Arc::clone(place)))
        }
        Err(fault) => {
            let (progress, reason) = meaning(&fault);
            let mut failure = Failure::new(alternative, progress, reason, fault.to_string());
            if reason == Reason::ScopeInsufficient {
                failure.rejection.challenges = [asked.insufficient_scope.clone()].into();
            }
            Err(failure)
        }
    }
}

/// What a fault means for the caller, and how far the token came.
fn meaning(fault: &IntrospectionFault) -> (Progress, Reason) {
    use IntrospectionFault as F;
    match fault {
        F::Foreign(_) => (Progress::Foreign, Reason::TokenInvalid),
        F::Malformed | F::Inactive | F::Type => (Progress::Invalid, Reason::TokenInvalid),
        F::Claims(fault) => token::meaning(fault),
        F::Nobody => (Progress::NotEnough, Reason::ClaimInsufficient),
        F::Unavailable(_) | F::Busy | F::NotAwaited | F::NotAsked => {
            (Progress::Unknown, Reason::IntrospectionUnavailable)
        }
    }
}
