//! SubscriptionApprovals: what the owner of a Product says of Subscriptions.
//!
//! A word counts only in the namespace of the Product that it names, for the Product that the Subscription names now, and for that very
//! object: one that is made anew under the same name has another uid. Of several words the most restrictive holds, and what cannot be
//! read may be a restriction.

use std::collections::BTreeMap;

use sallyport_api::condition::Reason;
use sallyport_api::{Approval, Decision, SubscriptionApproval};
use serde_json::Value;

use super::subscription::SubscriptionNode;
use super::{Environment, reach};
use crate::cluster::{ClusterState, ObjectKind, ObjectName, Stored};
use crate::problem::Problem;

/// A SubscriptionApproval.
pub struct ApprovalNode {
    pub generation: Option<i64>,
    /// The Subscription that it is about, once that is there.
    pub about: Option<ObjectName>,
    /// Why another one about the same Subscription holds instead.
    pub overruled: Option<String>,
    pub problems: Vec<Problem>,
}

/// What is said of one Subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub standing: Standing,
    pub reason: Reason,
    /// Who says it, and why.
    pub message: String,
    /// SubscriptionApprovals that are about the Subscription.
    pub approvals: Vec<ObjectName>,
    /// Seconds since 1970 UTC: the earliest end that any of them states.
    pub expires_s: Option<i64>,
}

/// What a word amounts to; the later, the more restrictive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    Taken,
    Awaited,
    Suspended,
    Rejected,
}

/// One Subscription, as approvals name it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub name: &'a ObjectName,
    pub uid: Option<&'a str>,
    /// The Product that it names.
    pub product: &'a ObjectName,
    pub mode: Approval,
}

/// All approvals, by what they are about.
pub struct Approvals<'a> {
    environment: Environment,
    /// By namespace and name of the Subscription.
    decoded: BTreeMap<(&'a str, &'a str), Vec<(&'a ObjectName, &'a SubscriptionApproval)>>,
    /// By their namespace.
    unreadable: BTreeMap<&'a str, Vec<(&'a ObjectName, &'a Value)>>,
}

impl<'a> Approvals<'a> {
    pub fn new(cluster: &'a ClusterState, environment: Environment) -> Self {
        let (mut decoded, mut unreadable) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
        for (name, approval) in &cluster.subscription_approvals {
            match approval {
                Stored::Decoded(approval) => {
                    let about = &approval.spec.subscription_ref;
                    let key = (about.namespace.as_str(), about.name.as_str());
                    decoded.entry(key).or_default().push((name, approval.as_ref()));
                }
                Stored::Undecodable(approval) => {
                    unreadable.entry(name.namespace.as_str()).or_default().push((name, &approval.raw));
                }
            }
        }
        Self { environment, decoded, unreadable }
    }

    /// Where what is judged is enforced.
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// What is said of a Subscription to a Product.
    pub fn word(&self, subject: Subject<'_>) -> Word {
        let said = self.about(subject);
        let mut approvals: Vec<_> = said.iter().map(|(name, _)| (*name).clone()).collect();
        approvals.extend(self.unreadable_about(subject));
        let unreadable = approvals.get(said.len());
        let expires = said.iter().filter_map(|(_, approval)| approval.spec.expires.as_ref());
        let expires_s = expires.map(|time| time.0.as_second()).min();
        // Of two that say the same, the first by name.
        let holds = said.iter().rev().max_by_key(|(_, approval)| approval.spec.decision);
        let (standing, reason, message) = match (holds, unreadable) {
            (Some((name, approval)), _) if approval.spec.decision == Decision::Rejected => {
                (Standing::Rejected, Reason::ApprovalRejected, sentence("rejected", name, approval))
            }
            (_, Some(name)) => (Standing::Suspended, Reason::Undecodable, unreadable_sentence(name)),
            (Some((name, approval)), None) if approval.spec.decision == Decision::Suspended => {
                (Standing::Suspended, Reason::ApprovalSuspended, sentence("suspended", name, approval))
            }
            (Some((name, approval)), None) => (Standing::Taken, Reason::Approved, sentence("approved", name, approval)),
            (None, None) if subject.mode == Approval::Manual => {
                (Standing::Awaited, Reason::AwaitingApproval, awaiting(subject))
            }
            (None, None) => (Standing::Taken, Reason::ApprovalNotRequired, String::new()),
        };
        Word { standing, reason, message, approvals, expires_s }
    }

    fn about(&self, subject: Subject<'_>) -> Vec<(&'a ObjectName, &'a SubscriptionApproval)> {
        let Subject { name, product, .. } = subject;
        let named = self.decoded.get(&(name.namespace.as_str(), name.name.as_str()));
        let environment = self.environment;
        let of_product = named.into_iter().flatten().copied().filter(|(at, approval)| {
            at.namespace == product.namespace
                && approval.spec.product_ref.name == product.name
                && (is_refused(approval) || is_that_one(environment, &approval.spec.subscription_ref.uid, subject.uid))
        });
        of_product.collect()
    }

    /// Those that cannot be decoded, and do not say that they are about another one.
    fn unreadable_about(&self, subject: Subject<'_>) -> Vec<ObjectName> {
        let Subject { name, uid, product, .. } = subject;
        let of_namespace = self.unreadable.get(product.namespace.as_str()).into_iter().flatten();
        let may_be = |stated: &Value, wanted: &str| stated.as_str().is_none_or(|stated| stated == wanted);
        let environment = self.environment;
        let meant = of_namespace.filter_map(|(at, raw)| {
            let (spec, about) = (&raw["spec"], &raw["spec"]["subscriptionRef"]);
            let is_meant = may_be(&spec["productRef"]["name"], &product.name)
                && may_be(&about["namespace"], &name.namespace)
                && may_be(&about["name"], &name.name)
                && (spec["decision"] != "Approved"
                    || about["uid"].as_str().is_none_or(|stated| is_that_one(environment, stated, uid)));
            is_meant.then(|| (*at).clone())
        });
        meant.collect()
    }
}

impl Word {
    /// Of what needs nobody's approval: routes of the Subscription's own namespace.
    pub fn not_needed() -> Self {
        let (approvals, message) = (Vec::new(), String::new());
        Self { standing: Standing::Taken, reason: Reason::ApprovalNotRequired, message, approvals, expires_s: None }
    }
}

/// What is refused stays so under its name: who makes a Subscription anew has another uid, and is the same consumer.
fn is_refused(approval: &SubscriptionApproval) -> bool {
    approval.spec.decision != Decision::Approved
}

/// Whether the uid is that of the object. Files, where objects have none as a rule, are all of one author.
fn is_that_one(environment: Environment, stated: &str, uid: Option<&str>) -> bool {
    match uid {
        Some(uid) => uid == stated,
        None => environment == Environment::Standalone,
    }
}

fn sentence(verb: &str, name: &ObjectName, approval: &SubscriptionApproval) -> String {
    match approval.spec.reason.as_deref().filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("{verb} by SubscriptionApproval {name}: {reason}"),
        None => format!("{verb} by SubscriptionApproval {name}"),
    }
}

fn unreadable_sentence(name: &ObjectName) -> String {
    format!("SubscriptionApproval {name} cannot be decoded, and may be about it; its owner corrects it")
}

fn awaiting(subject: Subject<'_>) -> String {
    let Subject { product, .. } = subject;
    format!(
        "the owner of Product {product} has to approve it, by a SubscriptionApproval in namespace {}",
        product.namespace
    )
}

/// All approvals, judged by what became of them.
pub fn all(
    cluster: &ClusterState,
    subscriptions: &BTreeMap<ObjectName, SubscriptionNode>,
) -> BTreeMap<ObjectName, ApprovalNode> {
    let node = |(name, approval): (&ObjectName, &Stored<SubscriptionApproval>)| {
        let node = match approval {
            Stored::Decoded(approval) => judged(cluster, subscriptions, name, approval),
            Stored::Undecodable(approval) => {
                let message = "the SubscriptionApproval cannot be decoded; what it may be about counts as suspended";
                let problems = vec![Problem::new("spec", Reason::Undecodable, message)];
                ApprovalNode { generation: approval.generation, about: None, overruled: None, problems }
            }
        };
        (name.clone(), node)
    };
    cluster.subscription_approvals.iter().map(node).collect()
}

fn judged(
    cluster: &ClusterState,
    subscriptions: &BTreeMap<ObjectName, SubscriptionNode>,
    name: &ObjectName,
    approval: &SubscriptionApproval,
) -> ApprovalNode {
    let mut problems = Vec::new();
    let product = ObjectName::new(&name.namespace, &approval.spec.product_ref.name);
    if !cluster.products.contains_key(&product) {
        let message = format!("Product {product} does not exist; correct the name, or create it");
        problems.push(Problem::new("spec.productRef", Reason::TargetNotFound, message));
    }
    let reference = &approval.spec.subscription_ref;
    let named = ObjectName::new(&reference.namespace, &reference.name);
    let word = subscriptions.get(&named).and_then(|node| node.word.as_ref());
    let word = word.filter(|word| word.approvals.contains(name));
    if let Err(problem) = reach::judge(cluster, ObjectKind::Subscription, &named.namespace, "spec.subscriptionRef") {
        problems.push(problem);
    }
    if word.is_none() && problems.is_empty() {
        // The same for all causes: whoever may write approvals need not learn what there is in other namespaces.
        let message = format!(
            "no Subscription {named} of uid {} subscribes to Product {product}; compare namespace, name and uid, which is another one once a Subscription is made anew",
            reference.uid
        );
        problems.push(Problem::new("spec.subscriptionRef", Reason::TargetNotFound, message));
    }
    let is_overruled = word.filter(|word| word.standing > standing(approval.spec.decision));
    ApprovalNode {
        generation: approval.metadata.generation,
        about: word.map(|_| named),
        overruled: is_overruled.map(|word| word.message.clone()),
        problems,
    }
}

fn standing(decision: Decision) -> Standing {
    match decision {
        Decision::Approved => Standing::Taken,
        Decision::Suspended => Standing::Suspended,
        Decision::Rejected => Standing::Rejected,
    }
}
