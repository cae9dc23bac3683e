//! What is known of a cluster, put together from all watches.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sallyport_snapshot::Hash;
use serde_json::Value;

use super::{Change, Place, Refusal, Seen, Source, status_text};
use crate::cluster::reach::Reach;
use crate::cluster::{ClusterState, ObjectKind, ObjectName, Withheld};
use crate::write::FIELD_MANAGER;

/// What a writer has to know of an object besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub uid: String,
    pub resource_version: String,
    /// Whether something in its status is there by our hand (server-side apply).
    pub has_our_status: bool,
    /// The status as JSON; empty where there is none.
    status: Box<str>,
    /// A digest of what is read of it; none where whatever changes may matter.
    pub substance: Option<Hash>,
}

/// The state of the cluster, and where it comes from.
#[derive(Default)]
pub struct World {
    pub state: ClusterState,
    heads: BTreeMap<(ObjectKind, ObjectName), Head>,
    /// What each watch has told of.
    sources: BTreeMap<Source, BTreeSet<ObjectName>>,
    /// Watches whose first list is still to come.
    awaited: BTreeSet<Source>,
    /// What is not told, until it is.
    refused: BTreeMap<Source, Refusal>,
}

impl Head {
    /// Versions of an object are numbers that grow (KEP-5504); of others nothing is known.
    fn is_newer_than(&self, other: &Self) -> bool {
        let number = |head: &Self| head.resource_version.parse::<u128>().ok();
        number(self).zip(number(other)).is_some_and(|(own, other)| own > other)
    }

    pub fn new(metadata: &ObjectMeta, status: &Value) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            has_our_status: metadata.managed_fields.iter().flatten().any(|entry| {
                entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.subresource.as_deref() == Some("status")
            }),
            status: status_text(status),
            substance: None,
        }
    }

    /// The status as it stands.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.status).unwrap_or_default()
    }
}

impl World {
    /// A world that is looked at from `reach`, and of which nothing is known yet.
    pub fn within(reach: Reach) -> Self {
        let mut world = Self::awaiting(Source::standing(&reach));
        world.state.reach = reach;
        world
    }

    /// A world of which nothing is known before each of these watches has listed what there is.
    pub fn awaiting(sources: impl IntoIterator<Item = Source>) -> Self {
        Self { awaited: sources.into_iter().collect(), ..Self::default() }
    }

    /// Whether every watch has listed what there is: before that nothing may be concluded from what is missing.
    pub fn is_complete(&self) -> bool {
        self.awaited.is_empty()
    }

    /// What is still waited for.
    pub fn awaited(&self) -> &BTreeSet<Source> {
        &self.awaited
    }

    /// Rights that are missing.
    pub fn refused(&self) -> impl Iterator<Item = &Refusal> {
        self.refused.values()
    }

    pub fn head(&self, kind: ObjectKind, name: &ObjectName) -> Option<&Head> {
        self.heads.get(&(kind, name.clone()))
    }

    /// All objects of a kind, by name.
    pub fn heads(&self, kind: ObjectKind) -> impl Iterator<Item = (&ObjectName, &Head)> {
        let all = self.heads.range((kind, ObjectName::default())..);
        all.take_while(move |((one, _), _)| *one == kind).map(|((_, name), head)| (name, head))
    }

    /// Takes in what somebody has written himself, before it is told: the next comparison knows it. What a watch has told since then is
    /// newer.
    pub fn written(&mut self, kind: ObjectKind, name: &ObjectName, head: Head) {
        let known = self.heads.get_mut(&(kind, name.clone()));
        if let Some(known) = known.filter(|known| known.uid == head.uid && !known.is_newer_than(&head)) {
            *known = Head { substance: known.substance, ..head };
        }
    }

    /// Waits for the first list of another watch as well.
    pub fn await_also(&mut self, source: Source) {
        self.awaited.insert(source);
    }

    /// Takes a change in; whether anything that is built from it may be another now. A status of ours that comes back changes nothing.
    pub fn take(&mut self, change: Change) -> bool {
        match change {
            Change::Listed(source, listed) => {
                self.awaited.remove(&source);
                self.is_told(&source);
                let now: BTreeSet<_> = listed.iter().map(|seen| seen.name.clone()).collect();
                let before = self.sources.insert(source.clone(), now.clone()).unwrap_or_default();
                before.difference(&now).for_each(|name| self.forget(source.kind(), name));
                for seen in listed {
                    self.put(source.kind(), seen);
                }
                true
            }
            Change::Applied(source, seen) => {
                let Some(told) = self.sources.get_mut(&source) else { return false };
                let is_news = told.insert(seen.name.clone());
                self.put(source.kind(), *seen) || is_news
            }
            Change::Deleted(source, name) => {
                let Some(told) = self.sources.get_mut(&source) else { return false };
                told.remove(&name);
                self.forget(source.kind(), &name);
                true
            }
            Change::Refused(source, refusal) => {
                self.refuse(source, refusal);
                true
            }
        }
    }

    /// A right is missing. What is known stays, and a list that has not come stays to be waited for; but nobody waits for a single object
    /// that somebody names, which is another's word.
    fn refuse(&mut self, source: Source, refusal: Refusal) {
        if let Some(object) = source.asked_for()
            && self.awaited.remove(&source)
        {
            self.state.withheld.insert(object, Withheld::Forbidden);
        }
        self.refused.insert(source, refusal);
    }

    /// Nothing is told of single objects that somebody names, and nobody waits for them any longer. Once they are told, they are there.
    pub fn give_up(&mut self) {
        let silent: Vec<_> = self.awaited.iter().filter(|source| source.asked_for().is_some()).cloned().collect();
        for source in silent {
            self.awaited.remove(&source);
            let object = source.asked_for();
            self.state.withheld.extend(object.map(|object| (object, Withheld::Silent)));
        }
    }

    fn is_told(&mut self, source: &Source) {
        self.refused.remove(source);
        if let Some(object) = source.asked_for() {
            self.state.withheld.remove(&object);
        }
    }

    /// Lets a watch go, with what only it has told of.
    pub fn drop_source(&mut self, source: &Source) {
        self.awaited.remove(source);
        self.is_told(source);
        for name in self.sources.remove(source).unwrap_or_default() {
            self.forget(source.kind(), &name);
        }
    }

    /// Whether a watch other than by name tells of the object.
    pub fn is_labelled(&self, kind: ObjectKind, name: &ObjectName) -> bool {
        let first = Source::Labelled(kind, Place::Everywhere);
        let labelled =
            self.sources.range(first..).take_while(|(one, _)| matches!(one, Source::Labelled(of, _) if *of == kind));
        labelled.into_iter().any(|(_, told)| told.contains(name))
    }

    /// Whether it is read as something else than before.
    fn put(&mut self, kind: ObjectKind, seen: Seen) -> bool {
        let substance = seen.head.substance;
        let before = self.heads.insert((kind, seen.name.clone()), seen.head);
        self.state.apply(seen.name, seen.object);
        substance.is_none() || before.is_none_or(|before| before.substance != substance)
    }

    /// Takes an object out, unless another watch tells of it too.
    fn forget(&mut self, kind: ObjectKind, name: &ObjectName) {
        let is_told = self.sources.iter().any(|(source, told)| source.kind() == kind && told.contains(name));
        if !is_told {
            self.heads.remove(&(kind, name.clone()));
            self.state.delete(kind, name);
        }
    }
}

#[cfg(test)]
mod tests;
