//! How much the objects of one namespace, and of all, may make of a snapshot: what does not fit denies, so that nobody's objects are lost
//! for those of another.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use sallyport_api::condition::Reason;
use sallyport_snapshot::{pieces, v1};

use crate::graph::effective::Effective;
use crate::graph::route::RouteId;
use crate::problem::{Problem, denial};

/// Effective policies, routes, Backends and key sets of one namespace: some thousand plain policies for each of a hundred routes, or sixteen
/// routes of sixteen rules with full address filters.
const MAX_NAMESPACE_BYTES: usize = 64 * 1024 * 1024;
/// The same of all namespaces together: half of what a data plane takes at once. The rest is for what the cluster's size bounds.
const MAX_BYTES: usize = pieces::MAX_WHOLE_BYTES / 2;
/// One Backend with what is guarded at it; and one Gateway with the address filters of its Floors and its origin locks.
pub(super) const MAX_MESSAGE_BYTES: usize = 512 * 1024;

/// What is taken so far.
pub(super) struct Room {
    /// Of each namespace.
    share: usize,
    taken: BTreeMap<String, usize>,
    taken_by_all: usize,
    /// What would be taken if there was room for everything.
    wanted: BTreeMap<String, usize>,
    policies: BTreeSet<String>,
}

impl Default for Room {
    fn default() -> Self {
        Self::of_share(MAX_NAMESPACE_BYTES)
    }
}

impl Room {
    /// With so many bytes for each namespace.
    pub(super) fn of_share(share: usize) -> Self {
        Self { share, taken: BTreeMap::new(), taken_by_all: 0, wanted: BTreeMap::new(), policies: BTreeSet::new() }
    }

    /// The policy of a place of route `id`, or what denies there because there is no room for it. `is_held` tells whether a name is in the
    /// snapshot.
    pub(super) fn hold(&mut self, id: &RouteId, effective: Effective, is_held: impl Fn(&str) -> bool) -> Effective {
        let namespace = &id.name.namespace;
        let is_new = self.policies.insert(effective.name.clone());
        let fits = if is_new {
            self.takes(namespace, effective.message.encoded_len())
        } else {
            effective.excess.is_some() || is_held(&effective.name)
        };
        if fits {
            return effective;
        }
        let problem = self.none_left(namespace, "spec.targetRefs", &id.to_string());
        Effective::refused(id, effective.participants, problem)
    }

    /// Takes so much for a namespace, if it is there.
    pub(super) fn takes(&mut self, namespace: &str, bytes: usize) -> bool {
        *self.wanted.entry(namespace.to_owned()).or_default() += bytes;
        let taken = self.taken.entry(namespace.to_owned()).or_default();
        let fits = *taken + bytes <= self.share && self.taken_by_all + bytes <= MAX_BYTES;
        if fits {
            *taken += bytes;
            self.taken_by_all += bytes;
        }
        fits
    }

    /// A Backend for requests that objects of `namespace` lead to, or what denies in its place, and why. `label` names it.
    pub(super) fn backend(
        &mut self,
        namespace: &str,
        label: &str,
        backend: v1::Backend,
    ) -> (v1::Backend, Option<Problem>) {
        let (backend, problem) = bounded(backend, label);
        if self.takes(namespace, backend.encoded_len()) {
            return (backend, problem);
        }
        let problem = self.none_left(namespace, "spec", label);
        (denied(backend, label, &problem), Some(problem))
    }

    /// Why `what` denies.
    pub(super) fn none_left(&self, namespace: &str, field: &str, what: &str) -> Problem {
        let message = format!(
            "policies, routes, Backends, keys and password files of namespace {namespace} take more than {} bytes, with a copy of the policies for each combination; say less in them. {what} answers 500",
            self.share
        );
        Problem::new(field, Reason::UnsupportedValue, message)
    }

    /// The share with which all namespaces fit, where they do not with this one: the largest make room, and who wants less has it whole.
    pub(super) fn fairer(&self) -> Option<usize> {
        let mut wanted: Vec<_> = self.wanted.values().map(|bytes| (*bytes).min(self.share)).collect();
        if wanted.iter().sum::<usize>() <= MAX_BYTES {
            return None;
        }
        wanted.sort_unstable();
        let (mut left, mut sharing) = (MAX_BYTES, wanted.len());
        for bytes in wanted {
            if bytes > left / sharing {
                break;
            }
            (left, sharing) = (left - bytes, sharing - 1);
        }
        Some(left / sharing.max(1))
    }
}

/// `backend`, or what denies in its place, and why. `label` names it.
fn bounded(backend: v1::Backend, label: &str) -> (v1::Backend, Option<Problem>) {
    let guarded = backend.identity_headers.iter().chain(&backend.key_headers).chain(&backend.key_query_parameters);
    if guarded.map(String::len).sum::<usize>() <= MAX_MESSAGE_BYTES {
        return (backend, None);
    }
    let message = format!(
        "policies of routes to {label} set or read more header names and parameters than can be guarded; say fewer of them. It answers 500"
    );
    let problem = Problem::new("spec", Reason::UnsupportedValue, message);
    (denied(backend, label, &problem), Some(problem))
}

/// What denies in place of `backend`.
fn denied(backend: v1::Backend, label: &str, problem: &Problem) -> v1::Backend {
    v1::Backend { object: backend.object, deny: Some(denial(label, problem)), ..v1::Backend::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ObjectName;

    const MEGABYTE: usize = 1 << 20;

    fn id(namespace: &str) -> RouteId {
        RouteId { kind: "HTTPRoute", name: ObjectName::new(namespace, "a") }
    }

    /// Of about a megabyte.
    fn large(name: &str) -> Effective {
        let filter = v1::IpFilter { allow: vec!["x".repeat(MEGABYTE)], ..v1::IpFilter::default() };
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
        let mut room = Room::default();
        let refused = (0..80).filter(|at| room.hold(&id("shop"), large(&at.to_string()), |_| false).excess.is_some());
        assert_eq!(refused.count(), 17, "63 of a megabyte and a few bytes fit");
        assert!(room.hold(&id("other"), large("x"), |_| false).excess.is_none());
    }

    #[test]
    fn what_is_there_already_takes_nothing_more() {
        let mut room = Room::default();
        assert!((0..80).all(|_| room.hold(&id("shop"), large("x"), |_| true).excess.is_none()));
    }

    #[test]
    fn what_did_not_fit_once_does_not_fit_later_and_is_wanted_once() {
        let mut room = Room::of_share(MEGABYTE / 2);
        assert!((0..80).all(|_| room.hold(&id("shop"), large("x"), |_| false).excess.is_some()));
        assert!(room.wanted["shop"] < 2 * MEGABYTE);
    }

    #[test]
    fn only_policies_of_the_routes_namespace_are_told() {
        let mut room = Room::of_share(0);
        let refused = room.hold(&id("shop"), large("x"), |_| false);
        assert_eq!(refused.participants, [ObjectName::new("shop", "p")]);
        assert!(refused.message.deny.is_some() && refused.message.encoded_len() < 1024);
    }

    #[test]
    fn the_largest_make_room_for_the_others() {
        let mut room = Room::default();
        for at in 0..9 {
            for _ in 0..100 {
                room.takes(&format!("large-{at}"), MEGABYTE);
            }
        }
        assert!(!room.takes("small", MEGABYTE), "there is room for four large ones");
        let share = room.fairer().unwrap();
        assert_eq!(share, (MAX_BYTES - MEGABYTE) / 9);
        let mut fair = Room::of_share(share);
        assert!((0..9).all(|at| fair.takes(&format!("large-{at}"), share)));
        assert!(fair.takes("small", MEGABYTE) && fair.fairer().is_none());
        assert!(!fair.takes("large-0", 1));
    }

    #[test]
    fn where_all_fit_nobody_has_less() {
        let mut room = Room::default();
        assert!(room.takes("shop", MAX_NAMESPACE_BYTES) && !room.takes("shop", MAX_NAMESPACE_BYTES));
        assert!(room.takes("other", MEGABYTE));
        assert_eq!(room.fairer(), None, "what one namespace wants beyond its share takes none of others");
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
