//! What one controller knows of its data planes, another comes to know.

use std::sync::Arc;
use std::time::Duration;

use sallyport_controller::fleet::peers::{Means, Peer, follow};
use sallyport_controller::fleet::{Fleet, Standings};
use sallyport_controller::publish::Enforced;
use sallyport_controller::stream::Bounds;
use sallyport_snapshot::v1;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::kit::controller::{Controller, SERVER_NAME};
use crate::kit::plane::Follower;
use crate::kit::{enforced, name, nobody, pod, publish, snapshot, standing, standings, within};

/// Follows `controller`, until it is dropped.
struct Leader {
    fleet: Fleet,
    task: JoinHandle<()>,
}

impl Leader {
    fn of(controller: &Controller, token: &str) -> Self {
        let fleet = Fleet::default();
        let (_, tls) = watch::channel(Arc::new(controller.stored.client_config().unwrap()));
        let peer = Peer { address: controller.address, server_name: SERVER_NAME.try_into().unwrap() };
        let means = Means { tls, token: controller.token(token) };
        let task = tokio::spawn(follow(fleet.clone(), peer, means));
        Self { fleet, task }
    }

    fn admitted(controller: &Controller) -> Self {
        controller.tokens.admit_controller("controller");
        Self::of(controller, "controller")
    }

    /// Waits until it has heard of all.
    async fn complete(&self) {
        standings(&self.fleet, "all of them", |_| self.fleet.awaited_peers() == 0).await;
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn standings_are_told_with_all_that_becomes_of_them() {
    let controller = Controller::start().await;
    let (a, b) = (pod("public", "a"), pod("public", "b"));
    let mut wanted = snapshot(&[("one", "1"), ("bad", "2")]);
    wanted.insert("keys", v1::resource::Body::KeySet(v1::KeySet::default()));
    publish(&controller.fleet, &[("public", &wanted)]);
    let first = Follower::of(&controller, &a);
    first.update(0).await;
    let leader = Leader::admitted(&controller);
    enforced(&leader.fleet, &a, &wanted).await;
    let second = Follower::of(&controller, &b);
    enforced(&leader.fleet, &b, &wanted).await;

    first.plane.rejects.lock().insert(name("bad"), "it is bad".into());
    let wanted = {
        let mut changed = wanted.clone();
        changed.insert("bad", crate::kit::product("3"));
        changed
    };
    publish(&controller.fleet, &[("public", &wanted)]);
    standings(&leader.fleet, "a rejection", |standings| {
        let one = standing(standings, &a);
        one.is_some_and(|one| one.enforces(&wanted, &name("bad")) == Enforced::Rejected("it is bad"))
    })
    .await;
    enforced(&leader.fleet, &b, &wanted).await;

    let health = v1::IssuerHealth { key_set: "keys".into(), state: 2, message: "late".into() };
    first.reports.send(v1::Report { report: Some(v1::report::Report::Issuer(health.clone())) }).unwrap();
    standings(&leader.fleet, "a report", |standings| {
        standing(standings, &a).is_some_and(|one| one.issuer("keys") == Some(&health))
    })
    .await;

    drop(first);
    let left = standings(&leader.fleet, "one that is gone", |standings| standing(standings, &a).is_none()).await;
    assert!(standing(&left, &b).is_some());
    drop(second);
    nobody(&leader.fleet).await;
}

#[tokio::test]
async fn one_that_has_nothing_yet_is_told_of() {
    let controller = Controller::start().await;
    let a = pod("public", "a");
    let _bare = Follower::of(&controller, &a);
    let leader = Leader::admitted(&controller);
    let wanted = snapshot(&[("one", "1")]);
    let found = standings(&leader.fleet, "it", |standings| standing(standings, &a).is_some()).await;
    assert_eq!(standing(&found, &a).unwrap().enforces(&wanted, &name("one")), Enforced::NotYet);
}

#[tokio::test]
async fn a_controller_without_data_planes_has_told_all() {
    let controller = Controller::start().await;
    let leader = Leader::admitted(&controller);
    leader.complete().await;
    assert!(leader.fleet.standings().is_empty());
}

#[tokio::test]
async fn what_was_heard_is_not_told_on() {
    let (first, second) = (Controller::start().await, Controller::start().await);
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&first.fleet, &[("public", &wanted)]);
    let _follower = Follower::of(&first, &a);
    first.tokens.admit_controller("controller");
    let (_, tls) = watch::channel(Arc::new(first.stored.client_config().unwrap()));
    let peer = Peer { address: first.address, server_name: SERVER_NAME.try_into().unwrap() };
    let relaying = tokio::spawn(follow(second.fleet.clone(), peer, Means { tls, token: first.token("controller") }));
    enforced(&second.fleet, &a, &wanted).await;
    let leader = Leader::admitted(&second);
    leader.complete().await;
    assert!(leader.fleet.standings().is_empty(), "or two controllers would keep alive what is gone");
    relaying.abort();
}

#[tokio::test]
async fn a_peer_that_is_gone_takes_its_standings_with_it() {
    let mut controller = Controller::start().await;
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let _follower = Follower::of(&controller, &a);
    let leader = Leader::admitted(&controller);
    enforced(&leader.fleet, &a, &wanted).await;
    controller.stop().await;
    nobody(&leader.fleet).await;
    assert_eq!(leader.fleet.awaited_peers(), 1);
    controller.restart().await;
    publish(&controller.fleet, &[("public", &wanted)]);
    enforced(&leader.fleet, &a, &wanted).await;
}

#[tokio::test]
async fn one_that_is_followed_no_more_is_forgotten() {
    let controller = Controller::start().await;
    let a = pod("public", "a");
    let _follower = Follower::of(&controller, &a);
    let leader = Leader::admitted(&controller);
    standings(&leader.fleet, "it", |standings| standing(standings, &a).is_some()).await;
    leader.task.abort();
    nobody(&leader.fleet).await;
    assert_eq!(leader.fleet.awaited_peers(), 0);
}

#[tokio::test]
async fn nobody_is_missing_while_a_stream_is_renewed() {
    let bounds = Bounds { lifetime: Duration::from_millis(300), ..Bounds::default() };
    let controller = Controller::within(bounds).await;
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let _follower = Follower::of(&controller, &a);
    let leader = Leader::admitted(&controller);
    enforced(&leader.fleet, &a, &wanted).await;
    let mut asked = controller.tokens.asked();
    let mut changes = leader.fleet.changes();
    within("some streams", async {
        loop {
            tokio::select! {
                asked = asked.wait_for(|asked| *asked >= 10) => return drop(asked),
                changed = changes.changed() => changed.unwrap(),
            }
            assert!(leader.fleet.standings().values().any(|pods| pods.contains_key("a")));
        }
    })
    .await;
    assert_eq!(controller.fleet.counters().resources, 1, "nothing travels twice");
}

#[tokio::test]
async fn whoever_is_no_controller_hears_nothing() {
    let controller = Controller::start().await;
    let a = pod("public", "a");
    let _follower = Follower::of(&controller, &a);
    standings(&controller.fleet, "it", |standings| standing(standings, &a).is_some()).await;
    let mut asked = controller.tokens.asked();
    let seen = *asked.borrow();
    // The token of the data plane, and none that is known.
    let leaders = [Leader::of(&controller, "a"), Leader::of(&controller, "unknown")];
    within("some attempts", asked.wait_for(|asked| *asked >= seen + 6)).await.unwrap();
    assert!(leaders.iter().all(|leader| leader.fleet.standings() == Standings::new()));
}
