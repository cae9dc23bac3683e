//! Subscription: a phase beside the conditions.

use sallyport_api::Phase;
use sallyport_api::reference::SecretReference;
use sallyport_snapshot::v1::{self, subscription::State};

use super::{ObjectStatus, View, own};
use crate::cluster::ObjectName;
use crate::graph::subscription::SubscriptionNode;

pub(super) fn plan(view: View<'_>, name: &ObjectName, subscription: &SubscriptionNode) -> ObjectStatus {
    let phase = subscription.message.as_ref().map_or(Phase::Rejected, |message| phase(message, view.now_s));
    ObjectStatus {
        phase: Some(phase.as_str()),
        secret_ref: subscription.secret.clone().map(|name| SecretReference { name }),
        ..own(view, "Subscription", name, subscription.generation, &subscription.problems)
    }
}

fn phase(subscription: &v1::Subscription, now_s: i64) -> Phase {
    match subscription.state() {
        State::Suspended => Phase::Suspended,
        State::Cancelled => Phase::Cancelled,
        _ if subscription.expires_s.is_some_and(|end| end <= now_s) => Phase::Expired,
        _ => Phase::Active,
    }
}
