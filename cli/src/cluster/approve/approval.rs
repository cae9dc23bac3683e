//! The SubscriptionApproval that says a word. Pure.

use anyhow::{Context as _, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use sallyport_api::Decision;
use sallyport_controller::cluster::{ObjectKind, ObjectName};
use serde_json::{Map, Value, json};

use super::Expires;
use crate::cluster::object::{name, namespace, text};

/// Of the Subscription's name, so much stands in that of the approval: a name has 253 characters.
const MAX_STEM_BYTES: usize = 200;
/// Bytes of the digest that tells approvals of Subscriptions with one name apart.
const TAIL_BYTES: usize = 5;

/// The one Subscription that is spoken of, and the Product whose owner speaks.
pub(super) struct Subject {
    pub(super) name: ObjectName,
    pub(super) uid: String,
    pub(super) product: ObjectName,
}

/// The word.
pub(super) struct Asked<'a> {
    pub(super) decision: Decision,
    pub(super) reason: Option<&'a str>,
    pub(super) expires: Option<Expires>,
}

/// Of a Subscription that was read, and the Product that is meant, if one was named.
pub(super) fn subject(subscription: &Value, meant: Option<ObjectName>) -> anyhow::Result<Subject> {
    let subject = ObjectName::new(namespace(subscription), name(subscription));
    let product = &subscription["spec"]["scope"]["product"];
    let called = product["name"].as_str().with_context(|| {
        format!(
            "Subscription {subject} is to no Product: what it opens is of its own namespace, and needs nobody's word"
        )
    })?;
    let product = ObjectName::new(product["namespace"].as_str().unwrap_or(&subject.namespace), called);
    if let Some(meant) = meant {
        ensure!(meant == product, "Subscription {subject} is to Product {product}, not to {meant}");
    }
    let uid = text(subscription, "/metadata/uid").to_owned();
    Ok(Subject { name: subject, uid, product })
}

impl Subject {
    /// Where its approval is: the same object for each word about the same Subscription and Product.
    pub(super) fn approval(&self) -> ObjectName {
        let Self { name, uid, product } = self;
        let digest = digest(&SHA256, format!("{name} {uid} {product}").as_bytes());
        let tail: String = digest.as_ref().iter().take(TAIL_BYTES).map(|byte| format!("{byte:02x}")).collect();
        let stem = &name.name.get(..MAX_STEM_BYTES).unwrap_or(&name.name);
        let stem = stem.trim_end_matches(['-', '.']);
        ObjectName::new(&product.namespace, format!("{stem}-{tail}"))
    }
}

/// The approval as it is applied. What ended the one before goes on doing so, unless the word says otherwise.
pub(super) fn object(subject: &Subject, asked: &Asked<'_>, before: Option<&Value>) -> Value {
    let Subject { name, uid, product } = subject;
    let approval = subject.approval();
    let expires = match asked.expires {
        Some(Expires::Never) => None,
        Some(Expires::At(moment)) => Some(moment.to_string()),
        None => before.and_then(|before| before["spec"]["expires"].as_str()).map(str::to_owned),
    };
    let mut spec = Map::new();
    spec.insert("productRef".into(), json!({ "name": product.name }));
    spec.insert("subscriptionRef".into(), json!({ "namespace": name.namespace, "name": name.name, "uid": uid }));
    spec.insert("decision".into(), asked.decision.as_str().into());
    spec.extend(expires.map(|expires| ("expires".to_owned(), expires.into())));
    spec.extend(asked.reason.map(|reason| ("reason".to_owned(), reason.into())));
    let kind = ObjectKind::SubscriptionApproval;
    let metadata = json!({ "namespace": approval.namespace, "name": approval.name });
    json!({ "apiVersion": kind.api_version(), "kind": kind.as_str(), "metadata": metadata, "spec": spec })
}

/// Other approvals about the same Subscription, that hold instead.
pub(super) fn stricter<'a>(all: &'a [Value], subject: &Subject, decision: Decision) -> Vec<&'a Value> {
    let words = [Decision::Approved, Decision::Suspended, Decision::Rejected];
    let is_stricter = |one: &Value| {
        let said = words.into_iter().find(|word| one["spec"]["decision"] == word.as_str());
        said.is_some_and(|said| said > decision)
    };
    let about = |one: &Value| {
        let (spec, reference) = (&one["spec"], &one["spec"]["subscriptionRef"]);
        spec["productRef"]["name"] == *subject.product.name
            && reference["namespace"] == *subject.name.namespace
            && reference["name"] == *subject.name.name
            && reference["uid"] == *subject.uid
    };
    let own = subject.approval().name;
    all.iter().filter(|one| name(one) != own && about(one) && is_stricter(one)).collect()
}
