//! The Secret that holds the keys of a Subscription, as it is written. Pure: what is random comes in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sallyport_api::GROUP;
use sallyport_api::rotation::KeyName;
use serde_json::{Map, Value, json};

use super::form::Key;
use super::{Order, Renewal};
use crate::graph::infrastructure::APP_MANAGED_BY;
use crate::graph::subscription::keys::{OWNER_KIND, PRIMARY_MADE, ROTATED, SECONDARY_ENDS, SECONDARY_MADE};
use crate::infra::MANAGER;
use crate::watch::USE_LABEL;

/// What such a Secret is for, as its label says.
pub const USE: &str = "subscription-keys";

/// A Secret with both keys, owned by the Subscription: it goes with it.
pub fn made(order: &Order, keys: [Key; 2], request: Option<&str>, now_s: i64) -> Secret {
    let now = rfc3339(now_s);
    let mut annotations: BTreeMap<_, _> =
        [PRIMARY_MADE, SECONDARY_MADE].map(|name| (name.to_owned(), now.clone())).into();
    annotations.extend(request.map(|request| (ROTATED.to_owned(), request.to_owned())));
    let labels = [(USE_LABEL, USE), (APP_MANAGED_BY, MANAGER)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let entries = KeyName::ALL.into_iter().zip(keys);
    let data = entries.map(|(name, key)| (name.as_str().to_owned(), ByteString(key.as_str().as_bytes().to_vec())));
    Secret {
        metadata: ObjectMeta {
            name: Some(order.secret.name.clone()),
            namespace: Some(order.secret.namespace.clone()),
            labels: Some(labels.into()),
            annotations: Some(annotations),
            owner_references: Some(vec![owner(order)]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(data.collect()),
        ..Secret::default()
    }
}

/// It controls the Secret, so that nobody else can, and does not wait for it when it is deleted.
fn owner(order: &Order) -> OwnerReference {
    OwnerReference {
        api_version: format!("{GROUP}/v1alpha1"),
        kind: OWNER_KIND.to_owned(),
        name: order.owner.name.clone(),
        uid: order.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// The change (RFC 7386) that puts `key` in place of the one that is made anew, in `secret` as it stands and in no other version of it.
pub fn renewed(secret: &Secret, version: &str, renewal: &Renewal, key: &Key, now_s: i64) -> Value {
    let made = |name: KeyName| match name {
        KeyName::Primary => PRIMARY_MADE,
        KeyName::Secondary => SECONDARY_MADE,
    };
    let (mut data, mut annotations) = (Map::new(), Map::new());
    let mut replace = |name: KeyName| {
        data.insert(name.as_str().to_owned(), json!(ByteString(key.as_str().as_bytes().to_vec())));
        annotations.insert(made(name).to_owned(), rfc3339(now_s).into());
        if name == KeyName::Secondary {
            annotations.insert(SECONDARY_ENDS.to_owned(), Value::Null);
        }
    };
    match renewal {
        Renewal::ByHand(request) => {
            replace(request.key);
            annotations.insert(ROTATED.to_owned(), request.text.clone().into());
        }
        Renewal::Secondary => replace(KeyName::Secondary),
        Renewal::Primary { ends_s } => {
            replace(KeyName::Primary);
            let before = secret.data.as_ref().and_then(|data| data.get(KeyName::Primary.as_str()));
            if let Some(before) = before {
                data.insert(KeyName::Secondary.as_str().to_owned(), json!(before));
                let known = secret.metadata.annotations.as_ref().and_then(|all| all.get(PRIMARY_MADE));
                annotations.insert(SECONDARY_MADE.to_owned(), json!(known));
                annotations.insert(SECONDARY_ENDS.to_owned(), rfc3339(*ends_s).into());
            }
        }
    }
    let metadata = json!({ "resourceVersion": version, "uid": secret.metadata.uid, "annotations": annotations });
    json!({ "metadata": metadata, "data": data })
}

fn rfc3339(second: i64) -> String {
    Timestamp::from_second(second).unwrap_or_default().to_string()
}
