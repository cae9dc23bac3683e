//! What has to travel so that one snapshot becomes another.

use crate::resource::{Name, Versioned};
use crate::snapshot::{Held, Snapshot};

/// Resources that are new or changed, and names that are gone, both in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// In the newer snapshot, and not with the same content in the older.
    pub changed: Vec<(Name, Versioned)>,
    /// In the older snapshot only.
    pub removed: Vec<Name>,
}

impl Difference {
    /// What turns `old` into `new`.
    pub fn between(old: &Snapshot, new: &Snapshot) -> Self {
        let changed = new.iter().filter(|(name, resource)| old.find(name) != Some(*resource));
        let removed = old.iter().map(|(name, _)| name).filter(|name| new.find(name).is_none());
        Self {
            changed: changed.map(|(name, resource)| (name.clone(), resource.clone())).collect(),
            removed: removed.cloned().collect(),
        }
    }

    /// What turns what somebody has into `new`.
    pub fn from_held(held: &Held, new: &Snapshot) -> Self {
        let changed = new.iter().filter(|(name, resource)| held.get(*name) != Some(&resource.hash()));
        let removed = held.keys().filter(|name| new.find(name).is_none());
        Self {
            changed: changed.map(|(name, resource)| (name.clone(), resource.clone())).collect(),
            removed: removed.cloned().collect(),
        }
    }

    /// Whether nothing has to travel.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    /// Makes `snapshot` what the newer one was.
    pub fn apply_to(&self, snapshot: &mut Snapshot) {
        for (name, resource) in &self.changed {
            snapshot.put(name.clone(), resource.clone());
        }
        for name in &self.removed {
            snapshot.take(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::v1::{ObjectRef, Product, resource::Body};

    fn snapshot(products: &[(u8, u8)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (name, content) in products {
            let api = ObjectRef { name: content.to_string(), ..ObjectRef::default() };
            snapshot.insert(name.to_string(), Body::Product(Product { apis: vec![api], ..Product::default() }));
        }
        snapshot
    }

    #[test]
    fn equal_snapshots_do_not_differ() {
        assert!(Difference::between(&snapshot(&[(1, 1)]), &snapshot(&[(1, 1)])).is_empty());
    }

    #[test]
    fn a_changed_resource_travels_alone() {
        let difference = Difference::between(&snapshot(&[(1, 1), (2, 2)]), &snapshot(&[(1, 1), (2, 3)]));
        assert_eq!(difference.changed.iter().map(|(name, _)| &*name.name).collect::<Vec<_>>(), ["2"]);
        assert!(difference.removed.is_empty());
    }

    proptest! {
        #[test]
        fn a_difference_leads_from_the_old_to_the_new(
            old in prop::collection::vec((0u8..8, 0u8..3), 0..12),
            new in prop::collection::vec((0u8..8, 0u8..3), 0..12),
        ) {
            let (mut old, new) = (snapshot(&old), snapshot(&new));
            prop_assert_eq!(Difference::from_held(&old.held(), &new), Difference::between(&old, &new));
            Difference::between(&old, &new).apply_to(&mut old);
            prop_assert_eq!(old, new);
        }
    }
}
