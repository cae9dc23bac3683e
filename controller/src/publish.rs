//! What each data plane already has, what it still has to be told, and what it has acknowledged. Knows no transport.

mod relay;

use std::collections::BTreeMap;
use std::sync::Arc;

use sallyport_snapshot::v1::{self, Kind, report::Report};
use sallyport_snapshot::{Difference, Hash, Held, Name, Snapshot};
use sallyport_snapshot::{LIMIT_STORES, QUESTIONS};

/// Bytes of a sentence for the operator that are kept: a condition shows no more, and a data plane could send any number.
const MAX_SENTENCE_BYTES: usize = 2048;

/// One data plane, as the controller sees it that it is connected to.
#[derive(Default)]
pub struct Replica {
    nonce: u64,
    sent: Held,
    /// What the last update changes, until it is acknowledged.
    in_flight: Option<Sent>,
    /// What it has of kinds that are not known here. A newer controller has sent that; this one does not want it.
    foreign: Vec<v1::ResourceName>,
    standing: Arc<Standing>,
}

/// What an update changes, told by hashes.
struct Sent {
    changed: Vec<(Name, Hash)>,
    removed: Vec<Name>,
}

/// What a data plane has in force, as it has told, to whichever controller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    acknowledged: Held,
    rejected: BTreeMap<Name, String>,
    /// What it tells of issuers, by the name of the KeySet, of those only that it was told about; or of the question.
    issuers: BTreeMap<String, v1::IssuerHealth>,
}

/// What a data plane says that it has is no name or no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbled;

impl Replica {
    /// A data plane that has this already, and rejects some of it: what it was told by another controller, or before it was away.
    pub fn resumed(held: Held, rejected: &[v1::Rejected]) -> Self {
        let mut standing = Standing { acknowledged: held.clone(), ..Standing::default() };
        standing.reject(rejected);
        Self { sent: held, standing: Arc::new(standing), ..Self::default() }
    }

    /// The same, as it says itself.
    pub fn returned(hello: &v1::Hello) -> Result<Self, Garbled> {
        let (mut held, mut foreign) = (Held::new(), Vec::new());
        for one in &hello.held {
            let wire = one.name.as_ref().filter(|name| !name.name.is_empty()).ok_or(Garbled)?;
            let hash = Hash::from_wire(&one.hash).ok_or(Garbled)?;
            match Name::from_wire(wire) {
                Some(name) => drop(held.insert(name, hash)),
                None => foreign.push(wire.clone()),
            }
        }
        Ok(Self { foreign, ..Self::resumed(held, &hello.rejected) })
    }

    /// What turns what was sent into `snapshot`; `None` if nothing differs, or an answer is still awaited.
    pub fn update(&mut self, snapshot: &Snapshot) -> Option<v1::Update> {
        if self.in_flight.is_some() {
            return None;
        }
        let difference = Difference::from_held(&self.sent, snapshot);
        if difference.is_empty() && self.nonce > 0 {
            return None;
        }
        self.nonce += 1;
        let sent = Sent::of(&difference);
        sent.apply_to(&mut self.sent);
        self.in_flight = Some(sent);
        let is_stale = |key_set: &String| !may_tell_of(&self.sent, key_set);
        if self.standing.issuers.keys().any(is_stale) {
            let sent = &self.sent;
            Arc::make_mut(&mut self.standing).issuers.retain(|key_set, _| may_tell_of(sent, key_set));
        }
        let mut update = message(self.nonce, &difference);
        update.removed.append(&mut self.foreign);
        Some(update)
    }

    /// Takes an answer in; whether it was one to the last update. One to another is of no use.
    pub fn acknowledge(&mut self, ack: &v1::Ack) -> bool {
        if ack.nonce != self.nonce {
            return false;
        }
        let Some(sent) = self.in_flight.take() else { return false };
        let standing = Arc::make_mut(&mut self.standing);
        sent.apply_to(&mut standing.acknowledged);
        standing.reject(&ack.rejected);
        true
    }

    /// Takes in what it tells by itself; whether it may tell that.
    pub fn hear(&mut self, report: v1::Report) -> bool {
        match &report.report {
            Some(Report::Issuer(health)) if may_tell_of(&self.sent, &health.key_set) => {
                Arc::make_mut(&mut self.standing).hear(report);
                true
            }
            Some(Report::Issuer(_)) | None => false,
        }
    }

    /// Whether it has anything, or is about to have.
    pub fn has_any(&self) -> bool {
        !self.sent.is_empty() || !self.foreign.is_empty()
    }

    /// What it has in force.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The same, to keep: it stays what it is now.
    pub fn shared_standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }
}

impl Sent {
    fn of(difference: &Difference) -> Self {
        let changed = difference.changed.iter().map(|(name, resource)| (name.clone(), resource.hash()));
        Self { changed: changed.collect(), removed: difference.removed.clone() }
    }

    fn apply_to(&self, held: &mut Held) {
        held.extend(self.changed.iter().cloned());
        for name in &self.removed {
            held.remove(name);
        }
    }
}

impl Standing {
    /// Takes in all that is not in force as it was sent; of what was never sent nothing is kept.
    fn reject(&mut self, rejected: &[v1::Rejected]) {
        let named = rejected.iter().filter_map(|one| Some((Name::from_wire(one.name.as_ref()?)?, shortened(&one.why))));
        self.rejected = named.filter(|(name, _)| self.acknowledged.contains_key(name)).collect();
    }

    /// Takes in what a data plane has told of itself.
    pub fn hear(&mut self, report: v1::Report) {
        if let Some(Report::Issuer(mut health)) = report.report {
            health.message = shortened(&health.message);
            let is_new = health.key_set.starts_with(QUESTIONS) && !self.issuers.contains_key(&health.key_set);
            // Most are of settings that are gone: what is told of again is what there is.
            if is_new && self.issuers.keys().filter(|name| name.starts_with(QUESTIONS)).count() >= MAX_QUESTIONS {
                self.issuers.retain(|name, _| !name.starts_with(QUESTIONS));
            }
            self.issuers.insert(health.key_set.clone(), health);
        }
    }

    /// Whether this data plane has acknowledged all of `snapshot`, and nothing else.
    pub fn has(&self, snapshot: &Snapshot) -> bool {
        self.acknowledged == snapshot.held()
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

/// A sentence, cut where it is longer than anybody reads.
fn shortened(sentence: &str) -> String {
    sentence.get(..sentence.floor_char_boundary(MAX_SENTENCE_BYTES)).unwrap_or_default().to_owned()
}

/// Where a resource stands at a data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforced<'a> {
    Yes,
    NotYet,
    Rejected(&'a str),
}

/// Of questions to issuers, how many a data plane may tell of.
const MAX_QUESTIONS: usize = 1000;

/// Whether a data plane that was told all this may tell of `name`.
fn may_tell_of(held: &Held, name: &str) -> bool {
    match name.strip_prefix(LIMIT_STORES) {
        Some(gateway) => held.contains_key(&Name::new(Kind::Gateway, gateway)),
        None => name.starts_with(QUESTIONS) || held.contains_key(&Name::new(Kind::KeySet, name)),
    }
}

fn message(nonce: u64, difference: &Difference) -> v1::Update {
    let changed = difference.changed.iter().map(|(name, resource)| v1::VersionedResource {
        name: Some(name.to_wire()),
        hash: resource.hash().as_bytes().to_vec().into(),
        resource: resource.to_wire().into(),
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
        assert!(!replica.acknowledge(&v1::Ack { nonce: update.nonce + 1, rejected: vec![], more: false }));
        assert_eq!(replica.standing().enforces(&wanted, &name), Enforced::NotYet);
        replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![], more: false });
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
        replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![], more: false });
        assert_eq!(replica.standing().enforces(&now, &names[2]), Enforced::Yes);
    }

    #[test]
    fn who_has_all_of_it_is_told_once_that_nothing_differs() {
        let now = snapshot(&["a"]);
        let mut replica = Replica::resumed(now.held(), &[]);
        let update = replica.update(&now).unwrap();
        assert!(update.changed.is_empty() && update.removed.is_empty());
        assert!(replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![], more: false }));
        assert!(
            !replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![], more: false }),
            "it is not awaited any more"
        );
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
        with.insert("shop/public", Body::Gateway(v1::Gateway::default()));
        let update = replica.update(&with);
        assert!(update.is_none(), "an answer is awaited");
        replica.acknowledge(&v1::Ack { nonce: 1, ..v1::Ack::default() });
        replica.update(&with).unwrap();
        let of_store = |gateway: &str| {
            let health =
                v1::IssuerHealth { key_set: format!("{LIMIT_STORES}{gateway}"), ..v1::IssuerHealth::default() };
            v1::Report { report: Some(Report::Issuer(health)) }
        };
        assert!(replica.hear(of_store("shop/public")) && !replica.hear(of_store("acme/public")));
    }

    #[test]
    fn what_is_rejected_is_not_in_force_until_it_is_rejected_no_more() {
        let (mut replica, wanted) = (Replica::default(), snapshot(&["a"]));
        let name = Name::new(Kind::Product, "a");
        let update = replica.update(&wanted).unwrap();
        let rejected = vec![v1::Rejected { name: Some(name.to_wire()), why: "no".into() }];
        replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected, more: false });
        assert_eq!(replica.standing().enforces(&wanted, &name), Enforced::Rejected("no"));
        let more = snapshot(&["a", "b"]);
        let update = replica.update(&more).unwrap();
        assert_eq!(replica.standing().enforces(&more, &name), Enforced::Rejected("no"));
        replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![], more: false });
        assert_eq!(replica.standing().enforces(&more, &name), Enforced::Yes, "what it waited for has come");
    }

    #[test]
    fn what_was_never_sent_is_not_rejected_and_no_sentence_is_endless() {
        let (mut replica, wanted) = (Replica::default(), snapshot(&["a"]));
        let update = replica.update(&wanted).unwrap();
        let reject = |name: &str| v1::Rejected {
            name: Some(Name::new(Kind::Product, name).to_wire()),
            why: "\u{e9}".repeat(MAX_SENTENCE_BYTES),
        };
        let rejected = vec![reject("b"), reject("a"), v1::Rejected::default()];
        replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected, more: false });
        let kept = &replica.standing().rejected;
        assert_eq!(kept.keys().map(|name| &*name.name).collect::<Vec<_>>(), ["a"]);
        assert_eq!(kept.values().next().unwrap().len(), MAX_SENTENCE_BYTES);
    }

    #[test]
    fn what_is_no_name_or_no_hash_is_not_resumed() {
        let held = |name: Option<v1::ResourceName>, hash: &[u8]| {
            Replica::returned(&v1::Hello {
                held: vec![v1::HeldResource { name, hash: hash.to_vec().into() }],
                ..v1::Hello::default()
            })
        };
        let name = |kind, name: &str| Some(v1::ResourceName { kind, name: name.into() });
        assert!(held(name(Kind::Product.into(), "a"), &[0; 16]).is_ok());
        for (name, hash) in [
            (None, &[0; 16][..]),
            (name(Kind::Product.into(), ""), &[0; 16]),
            (name(4711, ""), &[0; 16]),
            (name(Kind::Product.into(), "a"), &[0; 15]),
            (name(Kind::Product.into(), "a"), &[]),
        ] {
            assert!(held(name, hash).is_err());
        }
    }

    #[test]
    fn what_a_newer_controller_has_sent_is_taken_away_once() {
        let foreign = v1::ResourceName { kind: 4711, name: "f".into() };
        let held = vec![v1::HeldResource { name: Some(foreign.clone()), hash: vec![0; 16].into() }];
        let mut replica = Replica::returned(&v1::Hello { held, ..v1::Hello::default() }).unwrap();
        assert!(replica.has_any());
        let update = replica.update(&snapshot(&["a"])).unwrap();
        assert_eq!(update.removed, [foreign]);
        replica.acknowledge(&v1::Ack { nonce: update.nonce, ..v1::Ack::default() });
        assert!(replica.update(&snapshot(&[])).unwrap().removed.iter().all(|name| name.kind != 4711));
    }
}
