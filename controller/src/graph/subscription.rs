//! Products and Subscriptions: who has keys, and to what.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sallyport_api::condition::Reason;
use sallyport_api::reference::RouteReference;
use sallyport_api::{NamespacesFrom, State, Subscription, SubscriptionKeys};
use sallyport_snapshot::v1::{self, subscription::Scope};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::certificate::secret;
use super::gateway::GatewayNode;
use super::route::{RouteId, RouteNode};
use super::selector::{complaint, selects};
use crate::cluster::{ClusterState, ObjectName, Stored, created_ms};
use crate::problem::Problem;

/// The shortest key that is taken from a Secret.
const MIN_KEY_CHARACTERS: usize = 32;
/// SHA-256.
const DIGEST_BYTES: usize = 32;

/// A Product.
pub struct ProductNode {
    pub generation: Option<i64>,
    pub message: v1::Product,
    pub problems: Vec<Problem>,
}

/// A Subscription. Without a message it opens nothing.
pub struct SubscriptionNode {
    pub generation: Option<i64>,
    pub created_ms: i64,
    pub message: Option<v1::Subscription>,
    /// The Secret that it names for its keys.
    pub secret: Option<String>,
    /// Digests of its keys, as far as they can be told: it holds them, whether it opens anything or not.
    held: Vec<Bytes>,
    pub problems: Vec<Problem>,
}

/// All Products; one that cannot be decoded holds no API.
pub fn products(cluster: &ClusterState, routes: &BTreeMap<RouteId, RouteNode>) -> BTreeMap<ObjectName, ProductNode> {
    let node = |(name, product): (&ObjectName, &Stored<sallyport_api::Product>)| {
        let mut problems = Vec::new();
        let (generation, message) = match product {
            Stored::Decoded(product) => {
                let selector = serde_json::to_value(&product.spec.subscribers.namespaces.selector).unwrap_or_default();
                let field = "spec.subscribers.namespaces.selector";
                problems.extend(complaint(&selector).map(|why| Problem::new(field, Reason::Invalid, why)));
                let apis = apis(name, &product.spec.apis, "spec.apis", routes, &mut problems);
                (product.metadata.generation, v1::Product { apis })
            }
            Stored::Undecodable(product) => {
                problems.push(Problem::new(
                    "spec",
                    Reason::Undecodable,
                    "the Product cannot be decoded; subscriptions to it open nothing",
                ));
                (product.generation, v1::Product::default())
            }
        };
        (name.clone(), ProductNode { generation, message, problems })
    };
    cluster.products.iter().map(node).collect()
}

/// All Subscriptions. Of two with the same key the older has it, also while it is broken.
pub fn subscriptions(
    cluster: &ClusterState,
    products: &BTreeMap<ObjectName, ProductNode>,
    gateways: &BTreeMap<ObjectName, GatewayNode>,
    routes: &BTreeMap<RouteId, RouteNode>,
) -> BTreeMap<ObjectName, SubscriptionNode> {
    let world = World { cluster, products, gateways, routes };
    let mut nodes: BTreeMap<_, _> = cluster
        .subscriptions
        .iter()
        .map(|(name, subscription)| (name.clone(), world.node(name, subscription)))
        .collect();
    refuse_duplicates(&mut nodes);
    nodes
}

fn refuse_duplicates(nodes: &mut BTreeMap<ObjectName, SubscriptionNode>) {
    let mut order: Vec<_> = nodes.iter().map(|(name, node)| (node.created_ms, name.clone())).collect();
    order.sort();
    let mut held = BTreeSet::<Bytes>::new();
    for (_, name) in order {
        let Some(node) = nodes.get_mut(&name) else { continue };
        let digests = node.message.iter_mut().flat_map(|message| {
            [("primary", &mut message.primary_sha256), ("secondary", &mut message.secondary_sha256)]
        });
        for (field, digest) in digests.filter(|(_, digest)| held.contains(&**digest)) {
            node.problems.push(Problem::new(
                "spec.keys",
                Reason::DuplicateKey,
                format!("another Subscription, which is older, has the {field} key; make a new one"),
            ));
            *digest = Bytes::new();
        }
        held.extend(node.held.iter().cloned());
    }
}

fn apis(
    owner: &ObjectName,
    references: &[RouteReference],
    field: &str,
    routes: &BTreeMap<RouteId, RouteNode>,
    problems: &mut Vec<Problem>,
) -> Vec<v1::ObjectRef> {
    let mut found = Vec::new();
    for (at, reference) in references.iter().enumerate() {
        let id = RouteId { kind: reference.kind.as_str(), name: ObjectName::new(&owner.namespace, &reference.name) };
        if !routes.contains_key(&id) {
            problems.push(Problem::new(
                format!("{field}[{at}]"),
                Reason::TargetNotFound,
                format!("{id} does not exist; create it, or take it out"),
            ));
        }
        found.push(v1::ObjectRef { kind: id.kind.into(), namespace: id.name.namespace, name: id.name.name });
    }
    found
}

struct World<'a> {
    cluster: &'a ClusterState,
    products: &'a BTreeMap<ObjectName, ProductNode>,
    gateways: &'a BTreeMap<ObjectName, GatewayNode>,
    routes: &'a BTreeMap<RouteId, RouteNode>,
}

impl World<'_> {
    fn node(&self, name: &ObjectName, subscription: &Stored<Subscription>) -> SubscriptionNode {
        match subscription {
            Stored::Decoded(subscription) => {
                let mut problems = Vec::new();
                let digests = self.digests(name, &subscription.spec.keys, &mut problems);
                let held = digests.iter().flat_map(|(primary, secondary)| [primary.clone(), secondary.clone()]);
                let held = held.filter(|digest| !digest.is_empty()).collect();
                let message = digests.and_then(|digests| self.message(name, subscription, digests, &mut problems));
                let message = message.map_err(|problem| problems.push(problem)).ok();
                SubscriptionNode {
                    generation: subscription.metadata.generation,
                    created_ms: created_ms(subscription.as_ref()),
                    message,
                    secret: subscription.spec.keys.secret_name.clone(),
                    held,
                    problems,
                }
            }
            Stored::Undecodable(subscription) => {
                let problem = Problem::new(
                    "spec",
                    Reason::Undecodable,
                    "the Subscription cannot be decoded; its keys open nothing",
                );
                SubscriptionNode {
                    generation: subscription.generation,
                    created_ms: subscription.created_ms.unwrap_or_default(),
                    message: None,
                    secret: None,
                    held: self.held_by_undecodable(name, &subscription.raw["spec"]["keys"]),
                    problems: vec![problem],
                }
            }
        }
    }

    /// Keys of a Subscription that cannot be decoded, as far as they can be read. Where neither a digest nor the name of a Secret
    /// that is there can be, nobody knows what it held: a younger one with the same key has it then.
    fn held_by_undecodable(&self, name: &ObjectName, keys: &Value) -> Vec<Bytes> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let digest = |entry: &str| text(&keys["sha256"][entry]).filter(|text| text.len() == 2 * DIGEST_BYTES);
        let stated = ["primary", "secondary"].into_iter().filter_map(digest).filter_map(|text| from_hex(&text));
        let of_secret =
            text(&keys["secretName"]).map(|name| SubscriptionKeys { secret_name: Some(name), ..Default::default() });
        let of_secret = of_secret.and_then(|keys| self.digests(name, &keys, &mut vec![]).ok());
        let of_secret = of_secret.into_iter().flat_map(|(primary, secondary)| [primary, secondary]);
        stated.chain(of_secret).filter(|digest| !digest.is_empty()).collect()
    }

    fn message(
        &self,
        name: &ObjectName,
        subscription: &Subscription,
        (primary_sha256, secondary_sha256): (Bytes, Bytes),
        problems: &mut Vec<Problem>,
    ) -> Result<v1::Subscription, Problem> {
        let spec = &subscription.spec;
        let state = match spec.state {
            State::Active => v1::subscription::State::Active,
            State::Suspended => v1::subscription::State::Suspended,
            State::Cancelled => v1::subscription::State::Cancelled,
        };
        Ok(v1::Subscription {
            owner: spec.owner.as_ref().map(|owner| owner.name.clone()).unwrap_or_default(),
            scope: Some(self.scope(name, &spec.scope, problems)?),
            state: state.into(),
            not_before_s: spec.not_before.as_ref().map(|time| time.0.as_second()),
            expires_s: spec.expires.as_ref().map(|time| time.0.as_second()),
            primary_sha256,
            secondary_sha256,
        })
    }

    fn scope(
        &self,
        name: &ObjectName,
        scope: &sallyport_api::Scope,
        problems: &mut Vec<Problem>,
    ) -> Result<Scope, Problem> {
        if let Some(product) = &scope.product {
            let product = ObjectName::new(product.namespace.as_ref().unwrap_or(&name.namespace), &product.name);
            self.judge_subscriber(name, &product)?;
            return Ok(Scope::Product(product.to_string()));
        }
        if let Some(references) = &scope.apis {
            return Ok(Scope::Apis(v1::Apis {
                routes: apis(name, references, "spec.scope.apis", self.routes, problems),
            }));
        }
        let Some(all) = &scope.all_apis else {
            return Err(Problem::new(
                "spec.scope",
                Reason::Invalid,
                "no scope is stated; state product, apis or allApis",
            ));
        };
        let gateway = ObjectName::new(all.gateway.namespace.as_ref().unwrap_or(&name.namespace), &all.gateway.name);
        let field = "spec.scope.allApis.gateway";
        match self.gateways.contains_key(&gateway) {
            _ if gateway.namespace != name.namespace => Err(Problem::new(
                field,
                Reason::RefNotPermitted,
                format!("all APIs of Gateway {gateway} can be subscribed to only from its own namespace"),
            )),
            true => Ok(Scope::AllApisOf(gateway.to_string())),
            false => Err(Problem::new(
                field,
                Reason::TargetNotFound,
                format!("Gateway {gateway} does not exist, or is of another class; correct the name"),
            )),
        }
    }

    /// A Product of another namespace says itself whom it takes.
    fn judge_subscriber(&self, name: &ObjectName, product: &ObjectName) -> Result<(), Problem> {
        let field = "spec.scope.product";
        let missing = || {
            Problem::new(
                field,
                Reason::TargetNotFound,
                format!("Product {product} does not exist, or cannot be decoded; correct the name or the Product"),
            )
        };
        self.products.get(product).ok_or_else(missing)?;
        let Some(Stored::Decoded(found)) = self.cluster.products.get(product) else { return Err(missing()) };
        let namespaces = &found.spec.subscribers.namespaces;
        let taken = match namespaces.from {
            _ if product.namespace == name.namespace => true,
            NamespacesFrom::Same => false,
            NamespacesFrom::All => true,
            NamespacesFrom::Selector => {
                let selector = serde_json::to_value(&namespaces.selector).unwrap_or_default();
                selects(self.cluster, &selector, &name.namespace)
            }
        };
        let message = || {
            format!(
                "Product {product} takes no subscribers from namespace {}; its owner changes that under subscribers",
                name.namespace
            )
        };
        if taken { Ok(()) } else { Err(Problem::new(field, Reason::NotAllowedByProduct, message())) }
    }

    fn digests(
        &self,
        name: &ObjectName,
        keys: &SubscriptionKeys,
        problems: &mut Vec<Problem>,
    ) -> Result<(Bytes, Bytes), Problem> {
        if let Some(digests) = &keys.sha256 {
            let read = |text: &Option<String>| text.as_deref().and_then(from_hex).unwrap_or_default();
            return Ok((read(&digests.primary), read(&digests.secondary)));
        }
        let field = "spec.keys.secretName";
        let place = ObjectName::new(&name.namespace, keys.secret_name.as_deref().unwrap_or_default());
        let data = secret(self.cluster, &place, field)?.data.as_ref();
        let mut digest = |entry: &str| match data.and_then(|data| data.get(entry)) {
            None => Bytes::new(),
            Some(key) if key.0.len() < MIN_KEY_CHARACTERS || !key.0.iter().all(u8::is_ascii_graphic) => {
                let message = format!(
                    "Secret {place}: {entry} has fewer than {MIN_KEY_CHARACTERS} characters, or others than visible ASCII; store a longer key, without a line end"
                );
                problems.push(Problem::new(field, Reason::SecretInvalid, message));
                Bytes::new()
            }
            Some(key) => Bytes::copy_from_slice(Sha256::digest(&key.0).as_slice()),
        };
        let found = (digest("primary"), digest("secondary"));
        if found.0.is_empty() && found.1.is_empty() {
            return Err(Problem::new(
                field,
                Reason::SecretNotFound,
                format!("Secret {place} has no usable entry primary or secondary; add one"),
            ));
        }
        Ok(found)
    }
}

fn from_hex(text: &str) -> Option<Bytes> {
    let pairs = text
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
    pairs.collect::<Option<Vec<u8>>>().map(Bytes::from)
}
