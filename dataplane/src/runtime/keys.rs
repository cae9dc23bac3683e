//! Subscription keys by digest: constant time to look up, and cheap to change one among many.

use std::sync::Arc;

use sallyport_snapshot::v1::{self, subscription};

use crate::clock::UnixMs;
use crate::digest::Digest;
use crate::limit::registry::Registry;
use crate::map::Map;
use crate::rejection::Reason;
use crate::runtime::policy::limit::Limit;

/// Shards of the index: a changed subscription copies one of them, not the whole.
const SHARDS: usize = 256;

/// Every key that is in the configuration.
#[derive(Clone)]
pub struct Keys {
    shards: Vec<Arc<Map<Digest, Arc<Subscription>>>>,
}

/// A subscription as far as a request has to know it.
pub struct Subscription {
    /// "namespace/name".
    pub id: Arc<str>,
    scope: Scope,
    state: subscription::State,
    not_before: Option<UnixMs>,
    expires: Option<UnixMs>,
    digests: Vec<Digest>,
}

enum Scope {
    Product(Arc<str>),
    Apis(Vec<Api>),
    AllApisOf(Arc<str>),
}

/// A route as subscriptions name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Api {
    pub kind: Arc<str>,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// What is subscribed to together.
#[derive(Default)]
pub struct Product {
    pub apis: Vec<Api>,
    /// What each Subscription to it may use.
    pub limits: Vec<Limit>,
}

impl Product {
    /// One whose limits cannot be read opens nothing: it is told why.
    pub(in crate::runtime) fn build(product: &v1::Product, registry: &mut Registry) -> (Self, Option<String>) {
        let apis = product.apis.iter().chain(&product.limited_apis).map(Api::new).collect();
        match Limit::all(&product.limits, registry) {
            Ok(limits) => (Self { apis, limits }, None),
            Err(why) => (Self::default(), Some(why)),
        }
    }
}

/// What a key is asked to open.
#[derive(Clone, Copy)]
pub struct Door<'a> {
    /// The route that was matched.
    pub api: &'a Api,
    /// "namespace/name" of the Gateway it came through.
    pub gateway: &'a str,
    /// By name.
    pub products: &'a Map<Arc<str>, Arc<Product>>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Arc::default()).collect() }
    }
}

impl Keys {
    /// The subscription whose key has this digest.
    pub fn find(&self, digest: &Digest) -> Option<&Arc<Subscription>> {
        self.shards.get(usize::from(digest[0])).and_then(|shard| shard.get(digest))
    }

    /// Adds the keys of `subscription`. A digest that another one holds stays with that one.
    pub fn insert(&mut self, subscription: &Arc<Subscription>) {
        for digest in &subscription.digests {
            if let Some(shard) = self.shards.get_mut(usize::from(digest[0])) {
                Arc::make_mut(shard).entry(*digest).or_insert_with(|| Arc::clone(subscription));
            }
        }
    }

    /// Takes the keys of `subscription` out.
    pub fn remove(&mut self, subscription: &Subscription) {
        for digest in &subscription.digests {
            if let Some(shard) = self.shards.get_mut(usize::from(digest[0]))
                && shard.get(digest).is_some_and(|held| held.id == subscription.id)
            {
                Arc::make_mut(shard).remove(digest);
            }
        }
    }
}

impl Subscription {
    /// Parses the resource called `id`.
    pub fn build(id: &Arc<str>, subscription: &v1::Subscription) -> Result<Self, String> {
        let scope = match subscription.scope.as_ref() {
            Some(subscription::Scope::Product(name)) => Scope::Product(name.as_str().into()),
            Some(subscription::Scope::Apis(apis)) => Scope::Apis(apis.routes.iter().map(Api::new).collect()),
            Some(subscription::Scope::AllApisOf(gateway)) => Scope::AllApisOf(gateway.as_str().into()),
            None => return Err("scope is not set".to_owned()),
        };
        let keys = [&subscription.primary_sha256, &subscription.secondary_sha256];
        let digest =
            |key: &&bytes::Bytes| Digest::try_from(key.as_ref()).map_err(|_| "a digest is not 32 bytes".to_owned());
        Ok(Self {
            id: Arc::clone(id),
            scope,
            state: subscription.state(),
            not_before: subscription.not_before_s.map(UnixMs::from_seconds),
            expires: subscription.expires_s.map(UnixMs::from_seconds),
            digests: keys.iter().filter(|key| !key.is_empty()).map(digest).collect::<Result<_, _>>()?,
        })
    }

    /// Whether the key opens this door now.
    pub fn opens(&self, door: &Door<'_>, now: UnixMs) -> Result<(), Reason> {
        if !self.is_active(now) {
            return Err(Reason::SubscriptionInactive);
        }
        let included = match &self.scope {
            Scope::Product(name) => door.products.get(name).is_some_and(|product| product.apis.contains(door.api)),
            Scope::Apis(apis) => apis.contains(door.api),
            Scope::AllApisOf(gateway) => **gateway == *door.gateway,
        };
        if included { Ok(()) } else { Err(Reason::KeyOutOfScope) }
    }

    /// Active by state and by date.
    pub fn is_active(&self, now: UnixMs) -> bool {
        self.state == subscription::State::Active
            && self.not_before.is_none_or(|begin| begin <= now)
            && self.expires.is_none_or(|end| now < end)
    }

    /// Whether `digest` is one of its keys.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.digests.contains(digest)
    }

    /// The Product that it is for, if it is for one.
    pub fn product(&self) -> Option<&str> {
        match &self.scope {
            Scope::Product(name) => Some(name),
            Scope::Apis(_) | Scope::AllApisOf(_) => None,
        }
    }

    /// The moment from which it is no longer active by date.
    pub fn expires(&self) -> Option<UnixMs> {
        self.expires
    }
}

impl Api {
    /// Reads a reference of the snapshot.
    pub fn new(object: &v1::ObjectRef) -> Self {
        Self {
            kind: object.kind.as_str().into(),
            namespace: object.namespace.as_str().into(),
            name: object.name.as_str().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(name: &str) -> Api {
        Api { kind: "HTTPRoute".into(), namespace: "shop".into(), name: name.into() }
    }

    fn subscription(id: &str, change: impl FnOnce(&mut v1::Subscription)) -> Arc<Subscription> {
        let mut resource = v1::Subscription {
            scope: Some(subscription::Scope::Product("shop/gold".into())),
            state: subscription::State::Active.into(),
            primary_sha256: bytes::Bytes::from_static(&[7; 32]),
            ..v1::Subscription::default()
        };
        change(&mut resource);
        Arc::new(Subscription::build(&id.into(), &resource).unwrap())
    }

    fn opens(subscription: &Subscription, name: &str, now_s: i64) -> Result<(), Reason> {
        let gold = Product { apis: vec![api("orders")], limits: vec![] };
        let products = Map::from_iter([("shop/gold".into(), Arc::new(gold))]);
        let door = Door { api: &api(name), gateway: "infra/public", products: &products };
        subscription.opens(&door, UnixMs::from_seconds(now_s))
    }

    #[test]
    fn a_product_opens_its_apis_only() {
        let gold = subscription("acme/gold", |_| {});
        assert_eq!(opens(&gold, "orders", 0), Ok(()));
        assert_eq!(opens(&gold, "billing", 0), Err(Reason::KeyOutOfScope));
    }

    #[test]
    fn a_product_that_is_not_there_opens_nothing() {
        let lost = subscription("acme/lost", |s| s.scope = Some(subscription::Scope::Product("shop/lost".into())));
        assert_eq!(opens(&lost, "orders", 0), Err(Reason::KeyOutOfScope));
    }

    #[test]
    fn dates_hold_to_the_second() {
        let dated = subscription("acme/dated", |s| (s.not_before_s, s.expires_s) = (Some(100), Some(200)));
        assert_eq!(opens(&dated, "orders", 99), Err(Reason::SubscriptionInactive));
        assert_eq!(opens(&dated, "orders", 100), Ok(()));
        assert_eq!(opens(&dated, "orders", 199), Ok(()));
        assert_eq!(opens(&dated, "orders", 200), Err(Reason::SubscriptionInactive));
    }

    #[test]
    fn only_an_active_subscription_opens() {
        for state in [subscription::State::Suspended, subscription::State::Cancelled, subscription::State::Unspecified]
        {
            let other = subscription("acme/other", |s| s.state = state.into());
            assert_eq!(opens(&other, "orders", 0), Err(Reason::SubscriptionInactive), "{state:?}");
        }
    }

    #[test]
    fn all_apis_of_one_gateway_are_not_those_of_another() {
        let all = |of: &str| subscription("infra/all", |s| s.scope = Some(subscription::Scope::AllApisOf(of.into())));
        assert_eq!(opens(&all("infra/public"), "anything", 0), Ok(()));
        assert_eq!(opens(&all("infra/other"), "anything", 0), Err(Reason::KeyOutOfScope));
    }

    #[test]
    fn the_first_holder_keeps_a_digest() {
        let (first, second) = (subscription("acme/first", |_| {}), subscription("acme/second", |_| {}));
        let mut keys = Keys::default();
        keys.insert(&first);
        keys.insert(&second);
        keys.remove(&second);
        assert_eq!(keys.find(&[7; 32]).map(|held| &*held.id), Some("acme/first"));
        keys.remove(&first);
        assert!(keys.find(&[7; 32]).is_none());
    }

    #[test]
    fn a_digest_of_another_length_is_refused() {
        let resource = v1::Subscription {
            scope: Some(subscription::Scope::Product("shop/gold".into())),
            primary_sha256: bytes::Bytes::from_static(&[7; 31]),
            ..v1::Subscription::default()
        };
        assert!(Subscription::build(&"acme/short".into(), &resource).is_err());
    }
}
