//! How much the objects of one namespace may make of a snapshot: what does not fit denies, so that nobody's objects are lost for those
//! of another.

use std::collections::BTreeMap;

use prost::Message as _;
use sallyport_api::condition::Reason;
use sallyport_snapshot::{Name, Snapshot, v1};

use crate::graph::effective::Effective;
use crate::graph::route::RouteId;
use crate::problem::{Problem, denial};

/// Effective policies of all routes of one namespace: some thousand plain ones for each of a hundred routes, or sixteen routes of sixteen
/// rules with full address filters.
const MAX_NAMESPACE_BYTES: usize = 64 * 1024 * 1024;
/// One Backend with what is guarded at it, and the address filters of one Gateway's Floors.
pub(super) const MAX_MESSAGE_BYTES: usize = 512 * 1024;

/// What is taken so far.
#[derive(Default)]
pub(super) struct Room {
    by_namespace: BTreeMap<String, usize>,
}

impl Room {
    /// The policy of a place of route `id`, or what denies there because there is no room for it.
    pub(super) fn hold(&mut self, id: &RouteId, effective: Effective, snapshot: &Snapshot) -> Effective {
        if snapshot.find(&Name::new(v1::Kind::Policy, effective.name.as_str())).is_some() {
            return effective;
        }
        let taken = self.by_namespace.entry(id.name.namespace.clone()).or_default();
        let bytes = effective.message.encoded_len();
        if *taken + bytes > MAX_NAMESPACE_BYTES {
            let message = format!(
                "the policies of all routes of namespace {} take more than {MAX_NAMESPACE_BYTES} bytes, with a copy for each combination; say less in them. {id} answers 500",
                id.name.namespace
            );
            let problem = Problem::new("spec.targetRefs", Reason::UnsupportedValue, message);
            return Effective::refused(id, effective.participants, problem);
        }
        *taken += bytes;
        effective
    }
}

/// `backend`, or what denies in its place, and why.
pub(super) fn bounded(backend: v1::Backend, label: &str) -> (v1::Backend, Option<Problem>) {
    let guarded = backend.identity_headers.iter().chain(&backend.key_headers).chain(&backend.key_query_parameters);
    if guarded.map(String::len).sum::<usize>() <= MAX_MESSAGE_BYTES {
        return (backend, None);
    }
    let message = "policies of routes to it set or read more header names and parameters than can be guarded; say fewer of them. It answers 500";
    let problem = Problem::new("spec", Reason::UnsupportedValue, message);
    let denied = v1::Backend { object: backend.object, deny: Some(denial(label, &problem)), ..v1::Backend::default() };
    (denied, Some(problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ObjectName;

    fn id(namespace: &str) -> RouteId {
        RouteId { kind: "HTTPRoute", name: ObjectName::new(namespace, "a") }
    }

    /// Of about a megabyte.
    fn large(name: &str) -> Effective {
        let filter = v1::IpFilter { allow: vec!["x".repeat(1 << 20)], ..v1::IpFilter::default() };
        Effective {
            name: name.to_owned(),
            message: v1::Policy { ip_filters: vec![filter], ..v1::Policy::default() },
            is_unprotected: false,
            credential: None,
            participants: vec![ObjectName::new("shop", "p"), ObjectName::new("infra", "q")],
            excess: None,
        }
    }

    #[test]
    fn a_namespace_has_room_for_itself_and_takes_none_of_others() {
        let (mut room, snapshot) = (Room::default(), Snapshot::default());
        let refused = (0..80).filter(|at| room.hold(&id("shop"), large(&at.to_string()), &snapshot).excess.is_some());
        assert_eq!(refused.count(), 17, "63 of a megabyte and a few bytes fit");
        assert!(room.hold(&id("other"), large("x"), &snapshot).excess.is_none());
    }

    #[test]
    fn what_is_there_already_takes_nothing_more() {
        let (mut room, mut snapshot) = (Room::default(), Snapshot::default());
        snapshot.insert("x", v1::resource::Body::Policy(v1::Policy::default()));
        assert!((0..80).all(|_| room.hold(&id("shop"), large("x"), &snapshot).excess.is_none()));
    }

    #[test]
    fn only_policies_of_the_routes_namespace_are_told() {
        let mut room = Room::default();
        room.by_namespace.insert("shop".to_owned(), MAX_NAMESPACE_BYTES);
        let refused = room.hold(&id("shop"), large("x"), &Snapshot::default());
        assert_eq!(refused.participants, [ObjectName::new("shop", "p")]);
        assert!(refused.message.deny.is_some() && refused.message.encoded_len() < 1024);
    }

    #[test]
    fn a_backend_with_too_many_guarded_names_denies() {
        let names = |count: usize| v1::Backend {
            identity_headers: (0..count).map(|at| format!("x-{at:060}")).collect(),
            ..v1::Backend::default()
        };
        assert!(bounded(names(1_000), "Backend shop/b").1.is_none());
        let (denied, problem) = bounded(names(10_000), "Backend shop/b");
        assert!(denied.deny.is_some() && denied.identity_headers.is_empty() && problem.is_some());
    }
}
