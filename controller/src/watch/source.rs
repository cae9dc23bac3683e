//! What watches are about.

use std::collections::BTreeSet;

use kube::api::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client};

use super::resource;
use crate::cluster::reach::Reach;
use crate::cluster::{ObjectKind, ObjectName};

/// What says of a Secret that it is for gateways: it is watched without being named.
pub const USE_LABEL: &str = "sallyport.dev/use";
/// The API server as its Service, and the addresses behind it: no Backend may lead there, wherever a controller looks.
const API_SERVER: [ObjectKind; 2] = [ObjectKind::Service, ObjectKind::EndpointSlice];

/// What one watch is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// All objects of a kind.
    Kind(ObjectKind, Place),
    /// Those that carry [`USE_LABEL`].
    Labelled(ObjectKind, Place),
    /// The one of that name, whether it is there or not.
    Named(ObjectKind, ObjectName),
}

/// Where a watch looks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Everywhere,
    Namespace(String),
}

impl Source {
    /// The watches that are there from the start.
    pub fn standing(reach: &Reach) -> Vec<Self> {
        let of_kinds = ObjectKind::ALL.iter().flat_map(|kind| Self::of_kind(*kind, reach));
        let unseen = API_SERVER.into_iter().filter(|kind| !reach.sees(*kind, "default"));
        let api_server = unseen.map(|kind| Self::Named(kind, ObjectName::new("default", "kubernetes")));
        of_kinds.chain(api_server).collect()
    }

    fn of_kind(kind: ObjectKind, reach: &Reach) -> Vec<Self> {
        let places = Place::all(reach.namespaces(kind)).into_iter();
        match kind {
            ObjectKind::Secret => places.map(|place| Self::Labelled(kind, place)).collect(),
            ObjectKind::ConfigMap => vec![],
            kind => places.map(|place| Self::Kind(kind, place)).collect(),
        }
    }

    /// The one object that it is about, if somebody names it and nobody else has to know of it.
    pub fn asked_for(&self) -> Option<(ObjectKind, ObjectName)> {
        match self {
            Self::Named(kind @ (ObjectKind::Secret | ObjectKind::ConfigMap), name) => Some((*kind, name.clone())),
            Self::Named(..) | Self::Kind(..) | Self::Labelled(..) => None,
        }
    }

    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Kind(kind, _) | Self::Labelled(kind, _) | Self::Named(kind, _) => *kind,
        }
    }

    /// The one namespace that it tells of; `None` for all, and for what belongs to none.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Kind(_, Place::Namespace(namespace)) | Self::Labelled(_, Place::Namespace(namespace)) => {
                Some(namespace)
            }
            Self::Kind(_, Place::Everywhere) | Self::Labelled(_, Place::Everywhere) => None,
            Self::Named(_, name) => Some(&name.namespace),
        }
    }

    pub(super) fn api(&self, client: Client) -> Api<DynamicObject> {
        let resource = resource(self.kind());
        match self.namespace() {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        }
    }

    pub(super) fn config(&self) -> watcher::Config {
        let config = watcher::Config::default();
        match self {
            Self::Kind(..) => config,
            Self::Labelled(..) => config.labels(USE_LABEL),
            Self::Named(_, name) => config.fields(&format!("metadata.name={}", name.name)),
        }
    }
}

impl Place {
    /// Each of these namespaces; all at once for `None`.
    pub fn all(namespaces: Option<BTreeSet<&str>>) -> Vec<Self> {
        let Some(namespaces) = namespaces else { return vec![Self::Everywhere] };
        namespaces.into_iter().map(|namespace| Self::Namespace(namespace.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of what no watch of a whole kind is there.
    const UNWATCHED: usize = 1;
    const CLUSTER_SCOPED: [ObjectKind; 3] = [ObjectKind::Namespace, ObjectKind::GatewayClass, ObjectKind::IngressClass];

    fn standing(namespaces: &[&str]) -> Vec<Source> {
        let namespaces = namespaces.iter().map(|name| (*name).to_owned());
        Source::standing(&Reach::within(namespaces, "sallyport-system").unwrap())
    }

    #[test]
    fn a_controller_of_some_namespaces_asks_for_nothing_of_others() {
        let sources = standing(&["shop", "acme"]);
        let everywhere: Vec<_> = sources.iter().filter(|one| one.namespace().is_none()).map(Source::kind).collect();
        assert_eq!(everywhere, CLUSTER_SCOPED);
        let of = |namespace| sources.iter().filter(move |one| one.namespace() == Some(namespace)).map(Source::kind);
        assert_eq!(
            of("sallyport-system").collect::<Vec<_>>(),
            [ObjectKind::EndpointSlice, ObjectKind::GatewayParameters]
        );
        let each = ObjectKind::ALL.len() - CLUSTER_SCOPED.len() - UNWATCHED;
        assert!(of("shop").eq(of("acme")) && of("shop").count() == each);
        assert_eq!(sources.len(), CLUSTER_SCOPED.len() + 2 * each + 2 + API_SERVER.len());
    }

    #[test]
    fn the_api_server_is_known_by_its_name_alone() {
        let sources = standing(&["shop"]);
        let of_default: Vec<_> = sources.into_iter().filter(|one| one.namespace() == Some("default")).collect();
        let named = |kind| Source::Named(kind, ObjectName::new("default", "kubernetes"));
        assert_eq!(of_default, [named(ObjectKind::Service), named(ObjectKind::EndpointSlice)]);
        assert!(!standing(&["default"]).iter().any(|one| matches!(one, Source::Named(..))), "it is seen anyway");
    }

    #[test]
    fn a_controller_of_all_namespaces_has_one_watch_a_kind() {
        let sources = standing(&[]);
        assert_eq!(sources.len(), ObjectKind::ALL.len() - UNWATCHED);
        assert!(sources.iter().all(|one| one.namespace().is_none()));
    }

    #[test]
    fn of_secrets_those_alone_are_listed_that_carry_the_label() {
        let is_of_secrets = |one: &&Source| one.kind() == ObjectKind::Secret;
        for sources in [standing(&[]), standing(&["shop"])] {
            assert!(sources.iter().filter(is_of_secrets).all(|one| matches!(one, Source::Labelled(..))));
        }
    }
}
