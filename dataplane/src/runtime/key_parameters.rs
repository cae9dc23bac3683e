//! In which query parameters callers of a Gateway show subscription keys and tokens: by the namespace whose routes read them there, so that what
//! the author of one names changes nothing for routes of others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::map::Map;
use crate::route::PreparedRoute;
use crate::runtime::Named;
use crate::runtime::listener::Listener;
use crate::runtime::policy::Policy;

/// By name of the Gateway and by namespace, which are not there if nobody reads a key from the query.
pub type KeyParameters = Arc<Map<Arc<str>, Map<Arc<str>, Shown>>>;

/// What the callers of one namespace's routes on one Gateway show in the query, and where.
pub struct Shown {
    /// In order, without duplicates.
    names: Box<[Arc<str>]>,
    /// What the routes have among their hostnames, wildcards left out.
    hosts: BTreeSet<Box<str>>,
}

#[derive(Default)]
struct Gathered<'a> {
    names: BTreeSet<&'a str>,
    hosts: BTreeSet<Box<str>>,
}

/// What the policies of all these routes read on these listeners. A route that serves nothing at the moment counts: its callers
/// show their keys all the same.
pub(super) fn gathered<'a>(
    routes: impl Iterator<Item = &'a PreparedRoute>,
    listeners: &'a BTreeMap<Arc<str>, Arc<Listener>>,
    policies: &'a Named<Policy>,
) -> KeyParameters {
    let mut gathered: BTreeMap<(&Arc<str>, &str), Gathered<'_>> = BTreeMap::new();
    for route in routes {
        for attachment in route.attachments() {
            let Some(listener) = listeners.get(attachment.listener.as_str()) else { continue };
            let shown = gathered.entry((&listener.gateway.name, route.namespace())).or_default();
            let policies = attachment.policies.iter().filter_map(|policy| policies.get(policy.as_str()));
            shown.names.extend(policies.flat_map(|policy| policy.shown_key_parameters()));
            // Whose host it is below a wildcard, nobody has said.
            let exact = attachment.hostnames.iter().filter(|host| !host.starts_with('*'));
            shown.hosts.extend(exact.map(|host| host.as_str().into()));
        }
    }
    let mut parameters = Map::<Arc<str>, Map<Arc<str>, Shown>>::default();
    for ((gateway, namespace), Gathered { names, hosts }) in gathered {
        if !names.is_empty() {
            let shown = Shown { names: names.into_iter().map(Into::into).collect(), hosts };
            parameters.entry(Arc::clone(gateway)).or_default().insert(namespace.into(), shown);
        }
    }
    Arc::new(parameters)
}

impl Shown {
    /// Whether a key is shown in the parameter called `name`.
    pub fn is_in(&self, name: &[u8]) -> bool {
        self.names.binary_search_by(|one| one.as_bytes().cmp(name)).is_ok()
    }

    /// Whether `host` is one of those at which it is shown.
    pub fn is_for(&self, host: &str) -> bool {
        self.hosts.contains(&*host.to_ascii_lowercase())
    }

    /// In which parameters keys are shown.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }
}
