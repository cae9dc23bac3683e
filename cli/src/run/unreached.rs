//! Says which policies nobody can come in by because an issuer is away: once when it begins, once when it ends.

use std::collections::BTreeMap;

use sallyport_api::condition::{ConditionType, Reason};
use sallyport_controller::status::{Condition, ObjectStatus};

/// What has been said last: why, by the name of the policy.
#[derive(Default)]
pub(super) struct Unreached(BTreeMap<String, String>);

impl Unreached {
    /// Says what differs from the last time.
    pub(super) fn tell(&mut self, statuses: &[ObjectStatus]) {
        let now: BTreeMap<_, _> = statuses.iter().filter_map(barred).collect();
        for (policy, why) in now.iter().filter(|(policy, _)| !self.0.contains_key(*policy)) {
            tracing::warn!(
                policy,
                why,
                "tokens that this policy asks for are answered with 503 until its issuer is reached"
            );
        }
        for policy in self.0.keys().filter(|policy| !now.contains_key(*policy)) {
            tracing::info!(policy, "no issuer of this policy is missing any more");
        }
        self.0 = now;
    }
}

fn barred(status: &ObjectStatus) -> Option<(String, String)> {
    let is_barred = |condition: &&Condition| {
        condition.r#type == ConditionType::IssuerHealthy.as_str()
            && condition.reason == Reason::IssuerUnreached.as_str()
    };
    status.conditions.iter().find(is_barred).map(|condition| (status.name.clone(), condition.message.clone()))
}
