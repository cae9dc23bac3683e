//! What each data plane already has, what it still has to be told, and what it has acknowledged. Knows no transport.

use sallyport_snapshot::v1::{self, Kind, report::Report};
use sallyport_snapshot::{Difference, Name, Snapshot};
use std::collections::BTreeMap;

/// One data plane, as the controller sees it.
#[derive(Default)]
pub struct Replica {
    nonce: u64,
    sent: Snapshot,
    in_flight: bool,
    acknowledged: Snapshot,
    rejected: BTreeMap<Name, String>,
    /// What it tells of issuers, by the name of the KeySet; of those only that it was told about.
    issuers: BTreeMap<String, v1::IssuerHealth>,
}

impl Replica {
    /// What turns what was sent into `snapshot`; `None` if nothing differs, or an answer is still awaited.
    pub fn update(&mut self, snapshot: &Snapshot) -> Option<v1::Update> {
        let difference = Difference::between(&self.sent, snapshot);
        if self.in_flight || (difference.is_empty() && self.nonce > 0) {
            return None;
        }
        self.nonce += 1;
        self.in_flight = true;
        self.sent = snapshot.clone();
        let sent = &self.sent;
        self.issuers.retain(|key_set, _| holds_key_set(sent, key_set));
        Some(message(self.nonce, &difference))
    }

    /// Takes an answer in. One to another update than the last is of no use.
    pub fn acknowledge(&mut self, ack: &v1::Ack) {
        if ack.nonce != self.nonce {
            return;
        }
        self.in_flight = false;
        self.rejected
            .retain(|name, _| self.sent.find(name).is_some() && self.sent.find(name) == self.acknowledged.find(name));
        let rejected =
            ack.rejected.iter().filter_map(|one| Some((Name::from_wire(one.name.as_ref()?)?, one.why.clone())));
        self.rejected.extend(rejected);
        self.acknowledged = self.sent.clone();
    }

    /// Takes in what it tells by itself.
    pub fn hear(&mut self, report: v1::Report) {
        match report.report {
            Some(Report::Issuer(health)) if holds_key_set(&self.sent, &health.key_set) => {
                self.issuers.insert(health.key_set.clone(), health);
            }
            Some(Report::Issuer(_)) | None => {}
        }
    }

    /// What it has last told of this KeySet.
    pub fn issuer(&self, key_set: &str) -> Option<&v1::IssuerHealth> {
        self.issuers.get(key_set)
    }

    /// Whether this data plane has `name` of `snapshot` in force; why not, if it has rejected it.
    pub fn enforces(&self, snapshot: &Snapshot, name: &Name) -> Enforced<'_> {
        match self.rejected.get(name) {
            _ if snapshot.find(name) != self.acknowledged.find(name) => Enforced::NotYet,
            Some(why) => Enforced::Rejected(why),
            None => Enforced::Yes,
        }
    }
}

/// Where a resource stands at a data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforced<'a> {
    Yes,
    NotYet,
    Rejected(&'a str),
}

fn holds_key_set(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.find(&Name::new(Kind::KeySet, name)).is_some()
}

fn message(nonce: u64, difference: &Difference) -> v1::Update {
    let changed = difference.changed.iter().map(|(name, resource)| v1::VersionedResource {
        name: Some(name.to_wire()),
        hash: resource.hash().as_bytes().to_vec().into(),
        resource: Some(v1::Resource { body: Some(resource.body().as_ref().clone()) }),
    });
    v1::Update { nonce, changed: changed.collect(), removed: difference.removed.iter().map(Name::to_wire).collect() }
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
        assert_eq!(replica.enforces(&wanted, &name), Enforced::NotYet);
        let update = replica.update(&wanted).unwrap();
        assert!(replica.update(&snapshot(&["b"])).is_none(), "an answer is awaited");
        assert_eq!(replica.enforces(&wanted, &name), Enforced::NotYet);
        replica.acknowledge(&v1::Ack { nonce: update.nonce + 1, rejected: vec![] });
        assert_eq!(replica.enforces(&wanted, &name), Enforced::NotYet);
        replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![] });
        assert_eq!(replica.enforces(&wanted, &name), Enforced::Yes);
        assert!(replica.update(&wanted).is_none(), "nothing differs");
    }

    #[test]
    fn what_is_rejected_is_not_in_force_until_it_changes() {
        let (mut replica, wanted) = (Replica::default(), snapshot(&["a"]));
        let name = Name::new(Kind::Product, "a");
        let update = replica.update(&wanted).unwrap();
        let rejected = vec![v1::Rejected { name: Some(name.to_wire()), why: "no".into() }];
        replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected });
        assert_eq!(replica.enforces(&wanted, &name), Enforced::Rejected("no"));
        let more = snapshot(&["a", "b"]);
        let update = replica.update(&more).unwrap();
        replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![] });
        assert_eq!(replica.enforces(&more, &name), Enforced::Rejected("no"), "it was not sent again");
    }
}
