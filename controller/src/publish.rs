//! What each data plane already has, what it still has to be told, and what it has acknowledged. Knows no transport.

use std::collections::BTreeMap;

use sallyport_snapshot::v1::{self, Kind, report::Report};
use sallyport_snapshot::{Difference, Held, Name, Snapshot};

/// One data plane, as the controller sees it that it is connected to.
#[derive(Default)]
pub struct Replica {
    nonce: u64,
    sent: Held,
    in_flight: bool,
    standing: Standing,
}

/// What a data plane has in force, as it has told, to whichever controller.
#[derive(Clone, Default)]
pub struct Standing {
    acknowledged: Held,
    rejected: BTreeMap<Name, String>,
    /// What it tells of issuers, by the name of the KeySet; of those only that it was told about.
    issuers: BTreeMap<String, v1::IssuerHealth>,
}

impl Replica {
    /// A data plane that has this already, and rejects some of it: what it was told by another controller, or before it was away.
    pub fn resumed(held: Held, rejected: &[v1::Rejected]) -> Self {
        let standing =
            Standing { acknowledged: held.clone(), rejected: named(rejected).collect(), issuers: BTreeMap::new() };
        Self { nonce: 0, sent: held, in_flight: false, standing }
    }

    /// What turns what was sent into `snapshot`; `None` if nothing differs, or an answer is still awaited.
    pub fn update(&mut self, snapshot: &Snapshot) -> Option<v1::Update> {
        let difference = Difference::from_held(&self.sent, snapshot);
        if self.in_flight || (difference.is_empty() && self.nonce > 0) {
            return None;
        }
        self.nonce += 1;
        self.in_flight = true;
        self.sent = snapshot.held();
        let sent = &self.sent;
        self.standing.issuers.retain(|key_set, _| holds_key_set(sent, key_set));
        Some(message(self.nonce, &difference))
    }

    /// Takes an answer in; whether it was one to the last update. One to another is of no use.
    pub fn acknowledge(&mut self, ack: &v1::Ack) -> bool {
        let is_awaited = self.in_flight && ack.nonce == self.nonce;
        if is_awaited {
            self.in_flight = false;
            self.standing.acknowledge(self.sent.clone(), &ack.rejected);
        }
        is_awaited
    }

    /// Takes in what it tells by itself; whether it may tell that.
    pub fn hear(&mut self, report: v1::Report) -> bool {
        match report.report {
            Some(Report::Issuer(health)) if holds_key_set(&self.sent, &health.key_set) => {
                self.standing.issuers.insert(health.key_set.clone(), health);
                true
            }
            Some(Report::Issuer(_)) | None => false,
        }
    }

    /// What it has in force.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }
}

impl Standing {
    fn acknowledge(&mut self, sent: Held, rejected: &[v1::Rejected]) {
        let before = std::mem::replace(&mut self.acknowledged, sent);
        let after = &self.acknowledged;
        self.rejected.retain(|name, _| after.get(name).is_some() && after.get(name) == before.get(name));
        self.rejected.extend(named(rejected));
    }

    /// What it has last told of this KeySet.
    pub fn issuer(&self, key_set: &str) -> Option<&v1::IssuerHealth> {
        self.issuers.get(key_set)
    }

    /// Whether this data plane has `name` of `snapshot` in force; why not, if it has rejected it.
    pub fn enforces(&self, snapshot: &Snapshot, name: &Name) -> Enforced<'_> {
        let wanted = snapshot.find(name).map(sallyport_snapshot::Versioned::hash);
        match self.rejected.get(name) {
            _ if wanted.as_ref() != self.acknowledged.get(name) => Enforced::NotYet,
            Some(why) => Enforced::Rejected(why),
            None => Enforced::Yes,
        }
    }
}

fn named(rejected: &[v1::Rejected]) -> impl Iterator<Item = (Name, String)> {
    rejected.iter().filter_map(|one| Some((Name::from_wire(one.name.as_ref()?)?, one.why.clone())))
}

/// Where a resource stands at a data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforced<'a> {
    Yes,
    NotYet,
    Rejected(&'a str),
}

fn holds_key_set(held: &Held, name: &str) -> bool {
    held.contains_key(&Name::new(Kind::KeySet, name))
}

fn message(nonce: u64, difference: &Difference) -> v1::Update {
    let changed = difference.changed.iter().map(|(name, resource)| v1::VersionedResource {
        name: Some(name.to_wire()),
        hash: resource.hash().as_bytes().to_vec().into(),
        resource: Some(v1::Resource { body: Some(resource.body().as_ref().clone()) }),
    });
    let removed = difference.removed.iter().map(Name::to_wire).collect();
    v1::Update { nonce, changed: changed.collect(), removed, more: false }
}

#[cfg(test)]
mod tests {
    use sallyport_snapshot::v1::resource::Body;

    use super::*;

    fn snapshot(names: &[&str]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for name in names {
            snapshot.insert(*name, Body::Product(v1::Product::default()));
        }
        snapshot
    }

    #[test]
    fn nothing_is_in_force_before_it_is_acknowledged() {
        let (mut replica, wanted) = (Replica::default(), snapshot(&["a"]));
        let name = Name::new(Kind::Product, "a");
        assert_eq!(replica.standing().enforces(&wanted, &name), Enforced::NotYet);
        let update = replica.update(&wanted).unwrap();
        assert!(replica.update(&snapshot(&["b"])).is_none(), "an answer is awaited");
        assert_eq!(replica.standing().enforces(&wanted, &name), Enforced::NotYet);
        assert!(!replica.acknowledge(&v1::Ack { nonce: update.nonce + 1, rejected: vec![] }));
        assert_eq!(replica.standing().enforces(&wanted, &name), Enforced::NotYet);
        replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![] });
        assert_eq!(replica.standing().enforces(&wanted, &name), Enforced::Yes);
        assert!(replica.update(&wanted).is_none(), "nothing differs");
    }

    #[test]
    fn who_comes_back_is_told_only_what_differs() {
        let (before, now) = (snapshot(&["a", "b"]), snapshot(&["b", "c"]));
        let names = ["a", "b", "c"].map(|name| Name::new(Kind::Product, name));
        let rejected = v1::Rejected { name: Some(names[1].to_wire()), why: "no".into() };
        let mut replica = Replica::resumed(before.held(), &[rejected]);
        assert_eq!(replica.standing().enforces(&before, &names[0]), Enforced::Yes);
        assert_eq!(replica.standing().enforces(&now, &names[1]), Enforced::Rejected("no"));
        let update = replica.update(&now).unwrap();
        let changed: Vec<_> = update.changed.iter().map(|one| one.name.clone().unwrap()).collect();
        assert_eq!((changed, update.removed), (vec![names[2].to_wire()], vec![names[0].to_wire()]));
        replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![] });
        assert_eq!(replica.standing().enforces(&now, &names[2]), Enforced::Yes);
    }

    #[test]
    fn who_has_all_of_it_is_told_once_that_nothing_differs() {
        let now = snapshot(&["a"]);
        let mut replica = Replica::resumed(now.held(), &[]);
        let update = replica.update(&now).unwrap();
        assert!(update.changed.is_empty() && update.removed.is_empty());
        assert!(replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![] }));
        assert!(!replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![] }), "it is not awaited any more");
        assert!(replica.update(&now).is_none());
    }

    #[test]
    fn nobody_tells_of_an_issuer_that_is_not_theirs() {
        let mut replica = Replica::default();
        let health = v1::IssuerHealth { key_set: "k".into(), ..v1::IssuerHealth::default() };
        let report = || v1::Report { report: Some(Report::Issuer(health.clone())) };
        assert!(!replica.hear(report()) && replica.standing().issuer("k").is_none());
        let mut with = Snapshot::default();
        with.insert("k", Body::KeySet(v1::KeySet::default()));
        replica.update(&with).unwrap();
        assert!(replica.hear(report()) && replica.standing().issuer("k").is_some());
    }

    #[test]
    fn what_is_rejected_is_not_in_force_until_it_changes() {
        let (mut replica, wanted) = (Replica::default(), snapshot(&["a"]));
        let name = Name::new(Kind::Product, "a");
        let update = replica.update(&wanted).unwrap();
        let rejected = vec![v1::Rejected { name: Some(name.to_wire()), why: "no".into() }];
        replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected });
        assert_eq!(replica.standing().enforces(&wanted, &name), Enforced::Rejected("no"));
        let more = snapshot(&["a", "b"]);
        let update = replica.update(&more).unwrap();
        replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![] });
        assert_eq!(replica.standing().enforces(&more, &name), Enforced::Rejected("no"), "it was not sent again");
    }
}
