//! SubscriptionApproval: in force where the Subscription is that it is about.

use sallyport_api::condition::{ConditionType, Reason};

use super::condition::{condition, of_problems, programmed, summed_up};
use super::{ObjectStatus, View, named};
use crate::cluster::ObjectName;
use crate::graph::approval::ApprovalNode;

const KIND: &str = "SubscriptionApproval";

pub(super) fn plan(view: View<'_>, name: &ObjectName, approval: &ApprovalNode) -> ObjectStatus {
    let [accepted, resolved] = of_problems(&approval.problems);
    let conflicted = match &approval.overruled {
        Some(why) => {
            condition(ConditionType::Conflicted, true, Reason::Overruled, &format!("another word holds: {why}"))
        }
        None => condition(ConditionType::Conflicted, false, Reason::NoConflicts, ""),
    };
    let node = approval.about.as_ref().and_then(|about| view.graph.subscriptions.get(about));
    let programmed = match node {
        // Nobody has a key that it could open or close anything for.
        Some(node) if node.is_surplus => {
            let why = "the Product takes only so many Subscriptions of that namespace, and others come first";
            condition(ConditionType::Programmed, false, Reason::NotInForce, why)
        }
        Some(node) if node.message.is_none() => {
            condition(ConditionType::Programmed, true, Reason::Programmed, "the Subscription has no keys yet")
        }
        _ => programmed(view, None, KIND, name),
    };
    let conditions = summed_up(vec![accepted, resolved, conflicted, programmed]);
    ObjectStatus { conditions, ..named(KIND, name, approval.generation) }
}
