//! `sallyport approve`, `reject` and `suspend`: the word of a Product's owner about one Subscription, as a SubscriptionApproval in the
//! Product's namespace.

mod approval;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use sallyport_api::Decision;
use sallyport_controller::cluster::{ObjectKind, ObjectName};
use serde_json::Value;

use crate::cluster::connect::{Access, Cluster, MANAGER};
use crate::cluster::object::{full_name, qualified};
use crate::exit::Outcome;
use crate::print;
use approval::{Asked, Subject};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The Subscription: NAMESPACE/NAME, or NAME in the namespace that is meant
    subscription: String,
    #[command(flatten)]
    access: Access,
    /// Why, for people: shown to the consumer; default: nothing, whatever the word before said
    #[arg(long)]
    reason: Option<String>,
    /// The keys open nothing from then on (RFC 3339), or `never`; default: as the approval before said
    #[arg(long, value_parser = expires)]
    expires: Option<Expires>,
    /// The Product, NAMESPACE/NAME; default: the one that the Subscription names
    #[arg(long)]
    product: Option<String>,
    /// The Subscription's metadata.uid, only with --product; then it need not be read
    #[arg(long, requires = "product")]
    uid: Option<String>,
}

/// Until when an approval holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expires {
    Never,
    At(Timestamp),
}

fn expires(text: &str) -> Result<Expires, String> {
    if text == "never" {
        return Ok(Expires::Never);
    }
    let cure = "write a moment such as 2027-01-31T00:00:00Z, or never";
    text.parse().map(Expires::At).map_err(|_| cure.to_owned())
}

pub(crate) async fn decide(arguments: Arguments, decision: Decision) -> anyhow::Result<Outcome> {
    let cluster = arguments.access.connect().await?;
    let subject = subject(&cluster, &arguments).await?;
    let name = subject.approval();
    let before = cluster.get(ObjectKind::SubscriptionApproval, &name.namespace, &name.name).await?;
    let asked = Asked { decision, reason: arguments.reason.as_deref(), expires: arguments.expires };
    let object = approval::object(&subject, &asked, before.as_ref());
    apply(&cluster, &name, object).await?;
    let Subject { name: of, uid, product } = &subject;
    print::line(&format!(
        "Subscription {of} (uid {uid}) of Product {product}: {}, by SubscriptionApproval {name}",
        decision.as_str()
    ));
    overruled(&cluster, &subject, decision).await
}

/// The Subscription that is meant, and the Product.
async fn subject(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<Subject> {
    let name = qualified(&arguments.subscription, &cluster.namespace);
    let product = arguments.product.as_ref().map(|product| qualified(product, &cluster.namespace));
    if let (Some(uid), Some(product)) = (&arguments.uid, &product) {
        return Ok(Subject { name, uid: uid.clone(), product: product.clone() });
    }
    let found = cluster.get(ObjectKind::Subscription, &name.namespace, &name.name).await.context(
        "without the right to read the Subscription, state --product and --uid, which its consumer can tell",
    )?;
    let Some(found) = found else {
        bail!("there is no Subscription {name}; `sallyport status -A` shows those that there are")
    };
    approval::subject(&found, product)
}

/// Fields that somebody else has applied to the same object are not taken from them.
async fn apply(cluster: &Cluster, name: &ObjectName, object: Value) -> anyhow::Result<()> {
    let api = cluster.api(ObjectKind::SubscriptionApproval, Some(&name.namespace));
    let object: DynamicObject = serde_json::from_value(object)?;
    let applied = api.patch(&name.name, &PatchParams::apply(MANAGER), &Patch::Apply(&object)).await;
    applied.map_err(|error| cluster.explained(&error, &format!("SubscriptionApproval {name}")))?;
    Ok(())
}

/// Of several words about one Subscription the most restrictive holds: whoever has said another one learns of it.
async fn overruled(cluster: &Cluster, subject: &Subject, decision: Decision) -> anyhow::Result<Outcome> {
    let all = cluster.list(ObjectKind::SubscriptionApproval, Some(&subject.product.namespace)).await;
    let all = match all {
        Ok(all) => all,
        Err(error) => {
            print::aside(&format!(
                "whether another SubscriptionApproval overrules it cannot be told: {}",
                cluster.why(&error)
            ));
            return Ok(Outcome::CannotTell);
        }
    };
    let stricter = approval::stricter(&all, subject, decision);
    for other in &stricter {
        print::aside(&format!(
            "SubscriptionApproval {} says {} of the same Subscription, and that holds; change it, or delete it",
            full_name(other),
            other["spec"]["decision"].as_str().unwrap_or_default()
        ));
    }
    Ok(if stricter.is_empty() { Outcome::Fine } else { Outcome::Findings })
}
