//! All resources of one Gateway, or of one process, at one moment.

use std::collections::BTreeMap;
use std::collections::btree_map::Iter;

use crate::resource::{Hash, Name, Versioned, kind_of};
use crate::v1::{Kind, resource::Body};

/// Resources that somebody has, told by the hashes of their content.
pub type Held = BTreeMap<Name, Hash>;

/// Ordered and comparable: two snapshots with the same content are equal, and their difference is what travels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    resources: BTreeMap<Name, Versioned>,
}

impl Snapshot {
    /// Puts `body` under `name` within its kind, in place of what stood there. Returns the whole name.
    pub fn insert(&mut self, name: impl Into<std::sync::Arc<str>>, body: Body) -> Name {
        let name = Name::new(kind_of(&body), name);
        self.resources.insert(name.clone(), Versioned::new(body));
        name
    }

    /// Puts a resource that is already hashed.
    pub(crate) fn put(&mut self, name: Name, resource: Versioned) {
        self.resources.insert(name, resource);
    }

    /// Takes `name` out; whether it was there.
    pub(crate) fn take(&mut self, name: &Name) -> bool {
        self.resources.remove(name).is_some()
    }

    /// The resource called `name`.
    pub fn find(&self, name: &Name) -> Option<&Versioned> {
        self.resources.get(name)
    }

    /// All resources, by kind and name.
    pub fn iter(&self) -> Iter<'_, Name, Versioned> {
        self.resources.iter()
    }

    /// All resources of `kind`, by name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Name, &Versioned)> {
        self.resources.range(Name::new(kind, "")..).take_while(move |(name, _)| name.kind == kind)
    }

    /// What is held of it, told by hashes.
    pub fn held(&self) -> Held {
        self.resources.iter().map(|(name, resource)| (name.clone(), resource.hash())).collect()
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }
}
