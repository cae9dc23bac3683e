//! `sallyport approve`, `reject` and `suspend`: the word of a Product's owner, written down as a SubscriptionApproval.

use std::time::Duration;

use anyhow::{bail, ensure};
use sallyport_api::Decision;
use sallyport_controller::cluster::ObjectKind;
use serde_json::{Value, json};

use super::connect::{Cluster, Place, within};
use super::object::{full_name, generation, holds, text};
use super::report::object_name;
use crate::exit::Outcome;
use crate::print;

/// How long the controller may take to hear of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest name of an object.
const MAX_NAME: usize = 253;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Name of the Subscription
    subscription: String,
    /// Why, for its consumer to read
    #[arg(long)]
    reason: Option<String>,
    /// When its keys end to open anything (RFC 3339)
    #[arg(long)]
    expires: Option<String>,
    /// Waits until the controller has taken it in
    #[arg(long)]
    wait: bool,
}

/// Writes the word of the owner about one Subscription, as it is now: one that is made anew needs a new word.
pub(crate) async fn decide(decision: Decision, arguments: Arguments) -> anyhow::Result<Outcome> {
    let cluster = Cluster::of(&arguments.place).await?;
    let subscription = cluster.get(ObjectKind::Subscription, &cluster.namespace, &arguments.subscription).await?;
    let approval = approval(&subscription, decision, &arguments)?;
    for other in others(&cluster, &approval).await? {
        let said = text(&other, "/spec/decision");
        print::line(&format!(
            "note: {} says {said} as well; of several the most restrictive holds",
            object_name(ObjectKind::SubscriptionApproval, &other)
        ));
    }
    cluster.apply(ObjectKind::SubscriptionApproval, &approval).await?;
    print::line(&format!("SubscriptionApproval {}: {}", full_name(&approval), decision.as_str()));
    if arguments.wait && !is_taken_in(&cluster, &approval).await? {
        bail!("no controller has taken it in within {} s; see whether one runs", PATIENCE.as_secs());
    }
    Ok(Outcome::Fine)
}

fn approval(subscription: &Value, decision: Decision, arguments: &Arguments) -> anyhow::Result<Value> {
    let [namespace, name] = ["/metadata/namespace", "/metadata/name"].map(|part| text(subscription, part));
    let (product, uid) = (text(subscription, "/spec/scope/product/name"), text(subscription, "/metadata/uid"));
    ensure!(
        !product.is_empty(),
        "Subscription {namespace}/{name} names APIs of its own namespace, and no Product whose owner is asked"
    );
    ensure!(!uid.is_empty(), "the API server does not say which Subscription {namespace}/{name} is");
    let owner = text(subscription, "/spec/scope/product/namespace");
    let owner = if owner.is_empty() { namespace } else { owner };
    let mut spec = json!({
        "productRef": { "name": product },
        "subscriptionRef": { "namespace": namespace, "name": name, "uid": uid },
        "decision": decision.as_str(),
    });
    for (field, value) in [("reason", &arguments.reason), ("expires", &arguments.expires)] {
        if let Some(value) = value {
            spec[field] = value.as_str().into();
        }
    }
    Ok(json!({
        "apiVersion": ObjectKind::SubscriptionApproval.api_version(), "kind": ObjectKind::SubscriptionApproval.as_str(),
        "metadata": { "namespace": owner, "name": approval_name(namespace, name, uid) }, "spec": spec,
    }))
}

/// The same for the same Subscription, so that a later word takes the place of an earlier one.
fn approval_name(namespace: &str, name: &str, uid: &str) -> String {
    let full = format!("{namespace}.{name}");
    if full.len() > MAX_NAME { format!("subscription-{uid}") } else { full }
}

/// Approvals by other names about the same Subscription.
async fn others(cluster: &Cluster, approval: &Value) -> anyhow::Result<Vec<Value>> {
    let namespace = text(approval, "/metadata/namespace");
    let mut all = cluster.list(ObjectKind::SubscriptionApproval, Some(namespace)).await?;
    let subject = |one: &Value| text(one, "/spec/subscriptionRef/uid").to_owned();
    all.retain(|one| subject(one) == subject(approval) && full_name(one) != full_name(approval));
    Ok(all)
}

async fn is_taken_in(cluster: &Cluster, approval: &Value) -> anyhow::Result<bool> {
    let [namespace, name] = ["/metadata/namespace", "/metadata/name"].map(|part| text(approval, part));
    let taken = within(PATIENCE, async || {
        let now = cluster.get(ObjectKind::SubscriptionApproval, namespace, name).await?;
        Ok(holds(&now["status"], "Ready", generation(&now)).then_some(()))
    });
    Ok(taken.await?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> Arguments {
        let place = Place::default();
        Arguments { place, subscription: "acme".into(), reason: Some("welcome".into()), expires: None, wait: false }
    }

    fn subscription(scope: &Value) -> Value {
        json!({ "metadata": { "namespace": "acme", "name": "acme", "uid": "1-2" }, "spec": { "scope": scope } })
    }

    #[test]
    fn a_word_is_written_in_the_products_namespace_about_that_very_subscription() {
        let scope = json!({ "product": { "name": "orders", "namespace": "shop" } });
        let approval = approval(&subscription(&scope), Decision::Approved, &arguments()).unwrap();
        let expected = json!({
            "apiVersion": "sallyport.dev/v1alpha1", "kind": "SubscriptionApproval",
            "metadata": { "namespace": "shop", "name": "acme.acme" },
            "spec": {
                "productRef": { "name": "orders" }, "decision": "Approved", "reason": "welcome",
                "subscriptionRef": { "namespace": "acme", "name": "acme", "uid": "1-2" },
            },
        });
        assert_eq!(approval, expected);
    }

    #[test]
    fn a_product_without_a_namespace_is_of_the_subscriptions() {
        let own = subscription(&json!({ "product": { "name": "orders" } }));
        assert_eq!(approval(&own, Decision::Rejected, &arguments()).unwrap()["metadata"]["namespace"], "acme");
    }

    #[test]
    fn who_names_no_product_asks_nobody() {
        let error = approval(&subscription(&json!({ "apis": [] })), Decision::Approved, &arguments()).unwrap_err();
        assert!(error.to_string().contains("no Product whose owner is asked"), "{error}");
        let mut unknown = subscription(&json!({ "product": { "name": "orders" } }));
        unknown["metadata"]["uid"] = Value::Null;
        assert!(approval(&unknown, Decision::Approved, &arguments()).is_err());
    }

    #[test]
    fn a_name_is_never_too_long() {
        assert_eq!(approval_name("acme", "acme", "1-2"), "acme.acme");
        assert_eq!(approval_name("acme", &"x".repeat(250), "1-2"), "subscription-1-2");
    }
}
