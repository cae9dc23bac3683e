//! In which query parameters callers of a Gateway show subscription keys, by whatever rule of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::map::Map;
use crate::route::PreparedRoute;
use crate::runtime::Named;
use crate::runtime::listener::Listener;
use crate::runtime::policy::Policy;

/// By name of the Gateway, which is not there if nobody shows a key in the query.
pub type KeyParameters = Arc<Map<Arc<str>, Arc<[Arc<str>]>>>;

/// What the policies of all these routes read on these listeners. A route that serves nothing at the moment counts: its callers
/// show their keys all the same.
pub(super) fn gathered<'a>(
    routes: impl Iterator<Item = &'a PreparedRoute>,
    listeners: &BTreeMap<Arc<str>, Arc<Listener>>,
    policies: &Named<Policy>,
) -> KeyParameters {
    let mut gathered: BTreeMap<&Arc<str>, BTreeSet<&Arc<str>>> = BTreeMap::new();
    for (listener, policy) in routes.flat_map(PreparedRoute::policies) {
        let (Some(listener), Some(policy)) = (listeners.get(listener), policies.get(policy)) else { continue };
        for parameter in policy.shown_key_parameters() {
            gathered.entry(&listener.gateway.name).or_default().insert(parameter);
        }
    }
    let of_gateway = |(gateway, parameters): (&Arc<str>, BTreeSet<&Arc<str>>)| {
        (Arc::clone(gateway), parameters.into_iter().map(Arc::clone).collect())
    };
    Arc::new(gathered.into_iter().map(of_gateway).collect())
}
