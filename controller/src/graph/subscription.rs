//! Subscriptions: who has keys, and to what.

pub mod keys;
mod phase;
mod surplus;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sallyport_api::condition::Reason;
use sallyport_api::{NamespacesFrom, ProductName, State, Subscription};
use sallyport_snapshot::v1::{self, subscription::Scope};

use super::approval::{Approvals, Standing, Subject, Word};
use super::gateway::GatewayNode;
use super::product::{ProductNode, apis};
use super::reach;
use super::route::{RouteId, RouteNode};
use super::selector::selects;
use crate::cluster::{ClusterState, ObjectKind, ObjectName, Stored, created_ms};
use crate::problem::Problem;
use keys::{KeyHolder, KeySource, KeysNode};

/// A Subscription. Without a message it opens nothing.
pub struct SubscriptionNode {
    pub generation: Option<i64>,
    pub created_ms: i64,
    pub uid: Option<String>,
    /// Whether it is about to be deleted.
    pub is_going: bool,
    /// The consumer's own switch.
    pub state: State,
    /// The Product that it names, where that takes it.
    pub product: Option<ObjectName>,
    /// What the owner of the Product says of it; absent where it is not taken at all.
    pub word: Option<Word>,
    /// The Product takes only so many of its namespace, and others come first.
    pub is_surplus: bool,
    /// Seconds since 1970 UTC: its own end, or an earlier one that the Product's owner states.
    pub expires_s: Option<i64>,
    pub message: Option<v1::Subscription>,
    pub keys: KeysNode,
    /// Digests of its keys, as far as they can be told: it holds them, whether it opens anything or not.
    pub(crate) held: Vec<Bytes>,
    pub problems: Vec<Problem>,
}

/// All Subscriptions. Of two with the same key the older has it, also while it is broken.
pub fn subscriptions(
    cluster: &ClusterState,
    approvals: &Approvals<'_>,
    products: &BTreeMap<ObjectName, ProductNode>,
    gateways: &BTreeMap<ObjectName, GatewayNode>,
    routes: &BTreeMap<RouteId, RouteNode>,
) -> BTreeMap<ObjectName, SubscriptionNode> {
    let world = World { cluster, approvals, products, gateways, routes };
    let mut nodes: BTreeMap<_, _> = cluster
        .subscriptions
        .iter()
        .map(|(name, subscription)| (name.clone(), world.node(name, subscription)))
        .collect();
    refuse_duplicates(&mut nodes);
    surplus::refuse(cluster, &mut nodes);
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

struct World<'a> {
    cluster: &'a ClusterState,
    approvals: &'a Approvals<'a>,
    products: &'a BTreeMap<ObjectName, ProductNode>,
    gateways: &'a BTreeMap<ObjectName, GatewayNode>,
    routes: &'a BTreeMap<RouteId, RouteNode>,
}

impl World<'_> {
    fn node(&self, name: &ObjectName, subscription: &Stored<Subscription>) -> SubscriptionNode {
        match subscription {
            Stored::Decoded(subscription) => self.decoded(name, subscription),
            Stored::Undecodable(subscription) => SubscriptionNode {
                generation: subscription.generation,
                created_ms: subscription.created_ms.unwrap_or_default(),
                uid: None,
                is_going: false,
                state: State::Active,
                product: None,
                word: None,
                is_surplus: false,
                expires_s: None,
                message: None,
                keys: KeysNode::default(),
                held: keys::held_by_undecodable(self.cluster, &name.namespace, &subscription.raw),
                problems: vec![undecodable()],
            },
        }
    }

    fn decoded(&self, name: &ObjectName, subscription: &Subscription) -> SubscriptionNode {
        let (spec, metadata) = (&subscription.spec, &subscription.metadata);
        let mut problems = Vec::new();
        let holder = KeyHolder { name, metadata, environment: self.approvals.environment() };
        let keys = keys::of(self.cluster, holder, &spec.keys, &mut problems);
        let scope = self.scope(name, subscription, &mut problems);
        let (scope, word) = scope.map_err(|problem| problems.push(problem)).ok().unzip();
        let product = spec.scope.product.as_ref().map(|product| named(product, name));
        let own_end_s = spec.expires.as_ref().map(|time| time.0.as_second());
        let expires_s = own_end_s.into_iter().chain(word.as_ref().and_then(|word| word.expires_s)).min();
        let is_there = !keys.primary.is_empty() || !keys.secondary.is_empty();
        let message = scope.zip(word.as_ref()).filter(|_| is_there).map(|(scope, word)| v1::Subscription {
            owner: spec.owner.as_ref().map(|owner| owner.name.clone()).unwrap_or_default(),
            scope: Some(scope),
            state: told(spec.state, word.standing).into(),
            not_before_s: spec.not_before.as_ref().map(|time| time.0.as_second()),
            expires_s,
            primary_sha256: keys.primary.clone(),
            secondary_sha256: keys.secondary.clone(),
        });
        let held = [keys.primary.clone(), keys.secondary.clone()].into_iter().filter(|digest| !digest.is_empty());
        SubscriptionNode {
            generation: metadata.generation,
            created_ms: created_ms(subscription),
            uid: metadata.uid.clone(),
            is_going: metadata.deletion_timestamp.is_some(),
            state: spec.state,
            product: product.filter(|_| word.is_some()),
            word,
            is_surplus: false,
            expires_s,
            message,
            held: held.collect(),
            keys,
            problems,
        }
    }

    /// What the keys open, and what its owner says of that.
    fn scope(
        &self,
        name: &ObjectName,
        subscription: &Subscription,
        problems: &mut Vec<Problem>,
    ) -> Result<(Scope, Word), Problem> {
        let scope = &subscription.spec.scope;
        if let Some(product) = &scope.product {
            let product = named(product, name);
            let mode = self.judge_subscriber(name, &product)?.spec.approval();
            let uid = subscription.metadata.uid.as_deref();
            let word = self.approvals.word(Subject { name, uid, product: &product, mode });
            return Ok((Scope::Product(product.to_string()), word));
        }
        if let Some(references) = &scope.apis {
            let routes = apis(name, references, "spec.scope.apis", self.routes, problems);
            return Ok((Scope::Apis(v1::Apis { routes }), Word::not_needed()));
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
            true => Ok((Scope::AllApisOf(gateway.to_string()), Word::not_needed())),
            false => Err(Problem::new(
                field,
                Reason::TargetNotFound,
                format!("Gateway {gateway} does not exist, or is of another class; correct the name"),
            )),
        }
    }

    /// A Product of another namespace says itself whom it takes.
    fn judge_subscriber(&self, name: &ObjectName, product: &ObjectName) -> Result<&sallyport_api::Product, Problem> {
        let field = "spec.scope.product";
        reach::judge(self.cluster, ObjectKind::Product, &product.namespace, field)?;
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
        if taken { Ok(found) } else { Err(Problem::new(field, Reason::NotAllowedByProduct, message())) }
    }
}

/// The Product that the Subscription `by` means.
fn named(product: &ProductName, by: &ObjectName) -> ObjectName {
    ObjectName::new(product.namespace.as_ref().unwrap_or(&by.namespace), &product.name)
}

/// A data plane need not know why: a key that is somebody's opens nothing in any other state.
fn told(state: State, standing: Standing) -> v1::subscription::State {
    match (state, standing) {
        (State::Cancelled, _) => v1::subscription::State::Cancelled,
        (State::Active, Standing::Taken) => v1::subscription::State::Active,
        _ => v1::subscription::State::Suspended,
    }
}

fn undecodable() -> Problem {
    Problem::new("spec", Reason::Undecodable, "the Subscription cannot be decoded; its keys open nothing")
}
