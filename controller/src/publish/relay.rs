//! What one controller tells another of a data plane: what has changed since it last did.

use std::collections::BTreeMap;

use sallyport_snapshot::v1::{self, report::Report};
use sallyport_snapshot::{Hash, Held, Name};

use super::{Garbled, Standing, may_tell_of};

impl Standing {
    /// What turns `before` into this: first what is in force, if that has changed, then what it tells of itself.
    pub fn since(&self, before: &Self) -> (Option<v1::Acknowledged>, Vec<v1::Report>) {
        let is_changed = self.acknowledged != before.acknowledged || self.rejected != before.rejected;
        let acknowledged = is_changed.then(|| v1::Acknowledged {
            changed: changed(&before.acknowledged, &self.acknowledged),
            removed: removed(&before.acknowledged, &self.acknowledged),
            rejected: rejected(&self.rejected),
            more: false,
        });
        let told = self.issuers.iter().filter(|(key_set, health)| before.issuers.get(*key_set) != Some(health));
        let reports = told.map(|(_, health)| v1::Report { report: Some(Report::Issuer(health.clone())) });
        (acknowledged, reports.collect())
    }

    /// Takes in what has changed, as another controller tells it; whole.
    pub fn merge(&mut self, change: &v1::Acknowledged) -> Result<(), Garbled> {
        for name in change.removed.iter().filter_map(Name::from_wire) {
            self.acknowledged.remove(&name);
        }
        for one in &change.changed {
            let hash = Hash::from_wire(&one.hash).ok_or(Garbled)?;
            // A kind that is not known here is of no use here.
            if let Some(name) = one.name.as_ref().and_then(Name::from_wire) {
                self.acknowledged.insert(name, hash);
            }
        }
        let acknowledged = &self.acknowledged;
        self.issuers.retain(|key_set, _| may_tell_of(acknowledged, key_set));
        self.reject(&change.rejected);
        Ok(())
    }
}

fn changed(before: &Held, now: &Held) -> Vec<v1::HeldResource> {
    let changed = now.iter().filter(|(name, hash)| before.get(*name) != Some(*hash));
    changed
        .map(|(name, hash)| v1::HeldResource { name: Some(name.to_wire()), hash: hash.as_bytes().to_vec().into() })
        .collect()
}

fn removed(before: &Held, now: &Held) -> Vec<v1::ResourceName> {
    before.keys().filter(|name| !now.contains_key(*name)).map(Name::to_wire).collect()
}

fn rejected(rejected: &BTreeMap<Name, String>) -> Vec<v1::Rejected> {
    rejected.iter().map(|(name, why)| v1::Rejected { name: Some(name.to_wire()), why: why.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sallyport_snapshot::v1::Kind;

    use super::*;

    fn standing(held: &[(u8, u8)], rejected: &[u8], issuers: &[(u8, i32)]) -> Standing {
        let name = |one: &u8| Name::new(Kind::KeySet, format!("k{one}"));
        let acknowledged: Held = held.iter().map(|(one, content)| (name(one), Hash::of_bytes(&[*content]))).collect();
        let rejected = rejected.iter().map(|one| (name(one), "no".to_owned()));
        let health =
            |state: i32, key_set: &str| v1::IssuerHealth { key_set: key_set.into(), state, message: String::new() };
        let issuers = issuers.iter().map(|(one, state)| (format!("k{one}"), health(*state, &format!("k{one}"))));
        Standing {
            rejected: rejected.filter(|(name, _)| acknowledged.contains_key(name)).collect(),
            issuers: issuers.filter(|(key_set, _)| may_tell_of(&acknowledged, key_set)).collect(),
            acknowledged,
        }
    }

    #[test]
    fn what_has_not_changed_is_not_told() {
        let one = standing(&[(1, 1)], &[1], &[(1, 1)]);
        assert_eq!(one.since(&one), (None, vec![]));
    }

    #[test]
    fn garbage_of_another_controller_is_not_merged() {
        let held = v1::HeldResource { name: None, hash: vec![1; 3].into() };
        let change = v1::Acknowledged { changed: vec![held], ..v1::Acknowledged::default() };
        assert_eq!(Standing::default().merge(&change), Err(Garbled));
    }

    #[test]
    fn a_kind_that_is_not_known_is_left_out() {
        let name = v1::ResourceName { kind: 4711, name: "x".into() };
        let held = v1::HeldResource { name: Some(name), hash: vec![1; 16].into() };
        let change = v1::Acknowledged { changed: vec![held], ..v1::Acknowledged::default() };
        let mut standing = Standing::default();
        standing.merge(&change).unwrap();
        assert_eq!(standing, Standing::default());
    }

    proptest! {
        #[test]
        fn what_is_told_leads_from_one_standing_to_the_next(
            before in prop::collection::vec((0u8..6, 0u8..3), 0..8),
            now in prop::collection::vec((0u8..6, 0u8..3), 0..8),
            rejected in prop::collection::vec(0u8..6, 0..4),
            issuers in prop::collection::vec((0u8..6, 0i32..3), 0..4),
        ) {
            // What an issuer is told of does not vanish while its KeySet stays.
            let mut told = standing(&before, &[], &[]);
            let now = standing(&now, &rejected, &issuers);
            let (acknowledged, reports) = now.since(&told);
            if let Some(acknowledged) = acknowledged {
                told.merge(&acknowledged).unwrap();
            }
            reports.into_iter().for_each(|report| told.hear(report));
            prop_assert_eq!(told, now);
        }
    }
}
