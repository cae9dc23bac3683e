//! What is more than there is room for, and denies: told to those who can say less.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::ObjectName;
use crate::problem::Problem;

/// By kind and name of the object that is told.
#[derive(Default)]
pub struct Excess(BTreeMap<(String, ObjectName), BTreeSet<Told>>);

/// A problem, with the Gateway where it denies; without one it does everywhere.
type Told = (Option<ObjectName>, Problem);

impl Excess {
    pub(super) fn add(&mut self, kind: &str, object: &ObjectName, gateway: Option<&ObjectName>, problem: Problem) {
        self.0.entry((kind.to_owned(), object.clone())).or_default().insert((gateway.cloned(), problem));
    }

    /// What is told to an object.
    pub fn of(&self, kind: &str, object: &ObjectName) -> impl Iterator<Item = &Problem> {
        self.all(kind, object).map(|(_, problem)| problem)
    }

    /// What is told to it at a Gateway.
    pub fn at(&self, gateway: &ObjectName, kind: &str, object: &ObjectName) -> impl Iterator<Item = &Problem> {
        let is_there = move |one: &Option<ObjectName>| one.as_ref().is_none_or(|one| one == gateway);
        self.all(kind, object).filter(move |(at, _)| is_there(at)).map(|(_, problem)| problem)
    }

    fn all(&self, kind: &str, object: &ObjectName) -> impl Iterator<Item = &Told> {
        self.0.get(&(kind.to_owned(), object.clone())).into_iter().flatten()
    }
}
