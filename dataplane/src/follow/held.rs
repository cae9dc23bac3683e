//! What has been applied, by name and hash, as the next controller will be told.

use std::collections::BTreeMap;

use bytes::Bytes;
use sallyport_snapshot::{Hash, v1};

/// Resources of one Gateway. A million: ten times what it is built for, and some hundred MB of names.
const MAX_RESOURCES: usize = 1_000_000;

/// A name as it travels, so that one of a kind that is not known here is told back as well.
type WireName = (i32, String);

#[derive(Default)]
pub(super) struct Holding {
    held: BTreeMap<WireName, Bytes>,
    rejected: Vec<v1::Rejected>,
}

impl Holding {
    /// Whether there could be too much after `update`.
    pub(super) fn overflows_with(&self, update: &v1::Update) -> bool {
        let new = update.changed.iter().filter_map(|changed| changed.name.as_ref());
        let new = new.filter(|name| !self.held.contains_key(&(name.kind, name.name.clone()))).count();
        self.held.len().saturating_add(new) > MAX_RESOURCES
    }

    /// Whether `update` brings nothing to whoever has nothing.
    pub(super) fn stays_bare_with(&self, update: &v1::Update) -> bool {
        self.held.is_empty() && update.changed.is_empty()
    }

    /// Keeps in mind that `update` has been applied, and what of all is not in force.
    pub(super) fn applied(&mut self, update: v1::Update, rejected: &[v1::Rejected]) {
        for name in update.removed {
            self.held.remove(&(name.kind, name.name));
        }
        for changed in update.changed {
            let Some(name) = changed.name.filter(|name| !name.name.is_empty()) else { continue };
            // A controller could not read another hash; what is held under none is sent anew.
            if changed.hash.len() == Hash::BYTES {
                self.held.insert((name.kind, name.name), Bytes::copy_from_slice(&changed.hash));
            } else {
                self.held.remove(&(name.kind, name.name));
            }
        }
        self.rejected = rejected.to_vec();
    }

    pub(super) fn holds(&self, kind: v1::Kind, name: &str) -> bool {
        self.held.contains_key(&(kind.into(), name.to_owned()))
    }

    pub(super) fn hello(&self) -> v1::Hello {
        let held = self.held.iter().map(|((kind, name), hash)| v1::HeldResource {
            name: Some(v1::ResourceName { kind: *kind, name: name.clone() }),
            hash: hash.clone(),
        });
        v1::Hello { held: held.collect(), rejected: self.rejected.clone(), more: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(kind: i32, name: &str, hash: &[u8]) -> v1::VersionedResource {
        let name = Some(v1::ResourceName { kind, name: name.into() });
        v1::VersionedResource { name, hash: hash.to_vec().into(), resource: Bytes::new() }
    }

    fn update(changed: Vec<v1::VersionedResource>, removed: Vec<v1::ResourceName>) -> v1::Update {
        v1::Update { nonce: 1, changed, removed, more: false }
    }

    fn names(holding: &Holding) -> Vec<(i32, String)> {
        let named = holding.hello().held.into_iter().filter_map(|held| held.name);
        named.map(|name| (name.kind, name.name)).collect()
    }

    #[test]
    fn what_was_applied_is_told_also_of_kinds_that_are_not_known() {
        let mut holding = Holding::default();
        holding.applied(update(vec![changed(10, "a", &[1; 16]), changed(4711, "b", &[2; 16])], vec![]), &[]);
        assert_eq!(names(&holding), [(10, "a".into()), (4711, "b".into())]);
        let gone = v1::ResourceName { kind: 4711, name: "b".into() };
        holding.applied(update(vec![changed(10, "a", &[3; 16])], vec![gone]), &[]);
        let hello = holding.hello();
        assert_eq!((hello.held.len(), hello.held[0].hash.as_ref()), (1, &[3; 16][..]));
    }

    #[test]
    fn what_a_controller_could_not_read_is_not_told() {
        let mut holding = Holding::default();
        holding.applied(update(vec![changed(10, "a", &[1; 16])], vec![]), &[]);
        let unnamed = v1::VersionedResource { name: None, ..changed(10, "", &[1; 16]) };
        holding.applied(update(vec![changed(10, "a", &[1; 3]), changed(10, "", &[1; 16]), unnamed], vec![]), &[]);
        assert!(names(&holding).is_empty());
    }

    #[test]
    fn what_is_rejected_is_what_was_rejected_last() {
        let mut holding = Holding::default();
        let rejected = v1::Rejected { name: None, why: "no".into() };
        holding.applied(update(vec![], vec![]), std::slice::from_ref(&rejected));
        assert_eq!(holding.hello().rejected, [rejected]);
        holding.applied(update(vec![], vec![]), &[]);
        assert!(holding.hello().rejected.is_empty());
    }

    #[test]
    fn nothing_for_nobody_is_nothing() {
        let mut holding = Holding::default();
        assert!(holding.stays_bare_with(&update(vec![], vec![])));
        assert!(!holding.stays_bare_with(&update(vec![changed(10, "a", &[1; 16])], vec![])));
        holding.applied(update(vec![changed(10, "a", &[1; 16])], vec![]), &[]);
        assert!(!holding.stays_bare_with(&update(vec![], vec![])));
    }
}
