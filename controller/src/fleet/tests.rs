//! Who is told what, and what is known of them.

use sallyport_snapshot::v1::{self, Kind, resource::Body};

use super::elsewhere::Relayed;
use super::*;

fn gateway(name: &str) -> ObjectName {
    ObjectName::new("shop", name)
}

fn pod(name: &str) -> Pod {
    Pod { gateway: gateway("public"), name: name.into() }
}

fn snapshot(names: &[&str]) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    for name in names {
        snapshot.insert(*name, Body::Product(v1::Product::default()));
    }
    Arc::new(snapshot)
}

fn wanted(fleet: &Fleet, name: &str) -> Option<Arc<Snapshot>> {
    fleet.published().borrow().wanted(&gateway(name)).cloned()
}

#[test]
fn nothing_is_wanted_before_the_first_time() {
    assert_eq!(wanted(&Fleet::default(), "public"), None);
}

#[test]
fn who_was_never_there_keeps_what_it_has_and_who_is_gone_loses_it() {
    let fleet = Fleet::default();
    fleet.publish([(gateway("public"), snapshot(&["a"]))].into());
    assert_eq!(wanted(&fleet, "public"), Some(snapshot(&["a"])));
    assert_eq!(wanted(&fleet, "other"), None);
    fleet.publish(BTreeMap::new());
    assert_eq!(wanted(&fleet, "public"), Some(snapshot(&[])));
    assert_eq!(wanted(&fleet, "other"), None);
    fleet.publish(BTreeMap::new());
    assert_eq!(wanted(&fleet, "public"), Some(snapshot(&[])), "it stays gone");
    fleet.publish([(gateway("public"), snapshot(&["b"]))].into());
    assert_eq!(wanted(&fleet, "public"), Some(snapshot(&["b"])), "it is back");
}

#[test]
fn who_has_nothing_is_not_told_of_nothing() {
    let fleet = Fleet::default();
    let bare = fleet.join(pod("bare"), Replica::default());
    assert!(bare.update(&snapshot(&[])).is_none());
    let held = fleet.join(pod("held"), Replica::resumed(snapshot(&["a"]).held(), &[]));
    assert_eq!(held.update(&snapshot(&[])).unwrap().removed.len(), 1);
}

#[test]
fn a_pod_is_connected_once() {
    let fleet = Fleet::default();
    let older = fleet.join(pod("a"), Replica::default());
    let newer = fleet.join(pod("a"), Replica::resumed(snapshot(&["a"]).held(), &[]));
    drop(older);
    let standings = fleet.standings();
    let of_pod = &standings[&gateway("public")]["a"];
    assert_eq!(of_pod.len(), 1);
    assert_eq!(
        of_pod[0].enforces(&snapshot(&["a"]), &sallyport_snapshot::Name::new(Kind::Product, "a")),
        crate::publish::Enforced::Yes
    );
    drop(newer);
    assert!(fleet.standings().is_empty());
}

#[tokio::test]
async fn an_older_connection_learns_that_it_is_over() {
    let fleet = Fleet::default();
    let older = fleet.join(pod("a"), Replica::default());
    let _newer = fleet.join(pod("a"), Replica::default());
    older.superseded().await;
}

#[test]
fn changes_are_told_and_only_changes() {
    let fleet = Fleet::default();
    let mut changes = fleet.changes();
    let mut has_changed = || {
        changes.has_changed().unwrap() && {
            changes.mark_unchanged();
            true
        }
    };
    assert!(!has_changed());
    let member = fleet.join(pod("a"), Replica::default());
    assert!(has_changed() && !has_changed());
    fleet.publish([(gateway("public"), snapshot(&["a"]))].into());
    assert!(!has_changed(), "what is wanted is not what is in force");
    let update = member.update(&snapshot(&["a"])).unwrap();
    assert!(!member.acknowledge(&v1::Ack { nonce: 7, ..v1::Ack::default() }) && !has_changed());
    assert!(!member.hear(v1::Report::default()) && !has_changed());
    assert!(member.acknowledge(&v1::Ack { nonce: update.nonce, ..v1::Ack::default() }) && has_changed());
    drop(member);
    assert!(has_changed());
}

#[test]
fn what_another_controller_tells_is_beside_what_is_known_here() {
    let fleet = Fleet::default();
    let _here = fleet.join(pod("a"), Replica::default());
    let relayed = Relayed::to(fleet.clone());
    assert_eq!(fleet.awaited_peers(), 1);
    relayed.replace([(pod("a"), Arc::default()), (pod("b"), Arc::default())].into());
    assert_eq!(fleet.awaited_peers(), 0);
    let count = || {
        let standings = fleet.standings();
        let pods = standings.get(&gateway("public"));
        ["a", "b"].map(|pod| pods.and_then(|pods| pods.get(pod)).map_or(0, Vec::len))
    };
    assert_eq!(count(), [2, 1]);
    relayed.remove(&pod("a"));
    assert_eq!(count(), [1, 1]);
    relayed.put(pod("a"), Arc::default());
    relayed.forget();
    assert_eq!((count(), fleet.awaited_peers()), ([1, 0], 1));
    relayed.put(pod("b"), Arc::default());
    drop(relayed);
    assert_eq!((count(), fleet.awaited_peers()), ([1, 0], 0));
    assert_eq!(fleet.here().len(), 1, "what others tell is not told on");
}
