//! Products and Subscriptions: who has keys, and to what.

use std::collections::BTreeMap;

use bytes::Bytes;
use sallyport_api::condition::Reason;
use sallyport_api::reference::RouteReference;
use sallyport_api::{NamespacesFrom, State, Subscription};
use sallyport_snapshot::v1::{self, subscription::Scope};
use sha2::{Digest as _, Sha256};

use super::certificate::secret;
use super::gateway::{GatewayNode, selects};
use super::route::{RouteId, RouteNode};
use crate::cluster::{ClusterState, ObjectName, Stored, created_ms};
use crate::problem::Problem;

/// The shortest key that is taken from a Secret.
const MIN_KEY_CHARACTERS: usize = 32;

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
    pub problems: Vec<Problem>,
}

/// All Products; one that cannot be decoded holds no API.
pub fn products(cluster: &ClusterState, routes: &BTreeMap<RouteId, RouteNode>) -> BTreeMap<ObjectName, ProductNode> {
    let node = |(name, product): (&ObjectName, &Stored<sallyport_api::Product>)| {
        let mut problems = Vec::new();
        let (generation, message) = match product {
            Stored::Decoded(product) => (
                product.metadata.generation,
                v1::Product { apis: apis(name, &product.spec.apis, "spec.apis", routes, &mut problems) },
            ),
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

/// All Subscriptions. Of two with the same key the older has it.
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
    let mut held = BTreeMap::<Bytes, ObjectName>::new();
    for (_, name) in order {
        let Some(SubscriptionNode { message: Some(message), problems, .. }) = nodes.get_mut(&name) else { continue };
        for (field, digest) in [("primary", &mut message.primary_sha256), ("secondary", &mut message.secondary_sha256)]
        {
            match held.get(digest) {
                _ if digest.is_empty() => {}
                Some(holder) if *holder != name => {
                    problems.push(Problem::new(
                        "spec.keys",
                        Reason::DuplicateKey,
                        format!("another Subscription, which is older, has the {field} key; make a new one"),
                    ));
                    *digest = Bytes::new();
                }
                _ => drop(held.insert(digest.clone(), name.clone())),
            }
        }
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
                let message = self.message(name, subscription, &mut problems);
                let message = message.map_err(|problem| problems.push(problem)).ok();
                SubscriptionNode {
                    generation: subscription.metadata.generation,
                    created_ms: created_ms(subscription.as_ref()),
                    message,
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
                    problems: vec![problem],
                }
            }
        }
    }

    fn message(
        &self,
        name: &ObjectName,
        subscription: &Subscription,
        problems: &mut Vec<Problem>,
    ) -> Result<v1::Subscription, Problem> {
        let spec = &subscription.spec;
        let (primary_sha256, secondary_sha256) = self.digests(name, subscription, problems)?;
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
                selector.is_object() && selects(self.cluster, &selector, &name.namespace)
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
        subscription: &Subscription,
        problems: &mut Vec<Problem>,
    ) -> Result<(Bytes, Bytes), Problem> {
        let keys = &subscription.spec.keys;
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
