//! Connections come and go; what is in force does not go with them, and nothing travels twice.

use std::collections::BTreeMap;

use sallyport_snapshot::v1;

use crate::kit::controller::Controller;
use crate::kit::plane::{Follower, Seen};
use crate::kit::raw::Raw;
use crate::kit::{enforced, name, nobody, pod, publish, snapshot, standing, standings};

#[tokio::test]
async fn a_controller_that_comes_back_sends_nothing_that_is_the_same() {
    let mut controller = Controller::start().await;
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1"), ("two", "2")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let follower = Follower::of(&controller, &a);
    follower.plane.rejects.lock().insert(name("two"), "it is bad".into());
    let first = follower.update(0).await;
    assert_eq!(first.changed.len(), 2);
    for round in 1..4 {
        controller.restart().await;
        publish(&controller.fleet, &[("public", &wanted)]);
        standings(&controller.fleet, "an answer", |_| controller.fleet.counters().acknowledgements == 1).await;
        assert_eq!(follower.update(round).await, Seen::default());
        let counters = controller.fleet.counters();
        assert_eq!((counters.updates, counters.resources), (1, 0), "only that nothing differs");
        assert!(counters.update_bytes < 16, "{}", counters.update_bytes);
    }
    let found = controller.fleet.standings();
    let two = standing(&found, &a).unwrap().enforces(&wanted, &name("two"));
    assert_eq!(two, sallyport_controller::publish::Enforced::Rejected("it is bad"), "what was rejected still is");
}

#[tokio::test]
async fn a_controller_that_comes_back_with_another_configuration_sends_the_difference() {
    let mut controller = Controller::start().await;
    let a = pod("public", "a");
    let before = snapshot(&[("one", "1"), ("two", "2"), ("three", "3")]);
    publish(&controller.fleet, &[("public", &before)]);
    let follower = Follower::of(&controller, &a);
    enforced(&controller.fleet, &a, &before).await;
    controller.restart().await;
    let after = snapshot(&[("one", "1"), ("two", "changed")]);
    publish(&controller.fleet, &[("public", &after)]);
    enforced(&controller.fleet, &a, &after).await;
    let seen = follower.update(1).await;
    assert_eq!((seen.changed.len(), seen.removed.len()), (1, 1));
    assert_eq!(*follower.plane.has.lock(), after);
}

#[tokio::test]
async fn what_is_in_force_stays_while_the_controller_is_away() {
    let mut controller = Controller::start().await;
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let follower = Follower::of(&controller, &a);
    enforced(&controller.fleet, &a, &wanted).await;
    controller.stop().await;
    follower.connected(false).await;
    assert_eq!((follower.plane.updates(), &*follower.plane.has.lock()), (1, &wanted));
}

#[tokio::test]
async fn a_controller_that_has_not_read_its_lists_says_nothing() {
    let mut controller = Controller::start().await;
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let follower = Follower::of(&controller, &a);
    enforced(&controller.fleet, &a, &wanted).await;
    controller.restart().await;
    // It is connected, and has told what it has.
    let found = enforced(&controller.fleet, &a, &wanted).await;
    assert!(standing(&found, &a).is_some());
    let bare = Follower::of(&controller, &pod("public", "bare"));
    bare.connected(true).await;
    standings(&controller.fleet, "two", |_| controller.fleet.counters().connected == 2).await;
    assert_eq!(controller.fleet.counters().updates, 0);
    assert_eq!((follower.plane.updates(), bare.plane.updates()), (1, 0));
    publish(&controller.fleet, &[("public", &wanted)]);
    enforced(&controller.fleet, &pod("public", "bare"), &wanted).await;
}

#[tokio::test]
async fn a_gateway_that_is_not_known_here_keeps_what_it_has_and_one_that_is_gone_does_not() {
    let mut controller = Controller::start().await;
    let (a, b) = (pod("public", "a"), pod("other", "b"));
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted), ("other", &wanted)]);
    let (first, second) = (Follower::of(&controller, &a), Follower::of(&controller, &b));
    enforced(&controller.fleet, &a, &wanted).await;
    enforced(&controller.fleet, &b, &wanted).await;
    controller.restart().await;
    publish(&controller.fleet, &[("public", &wanted)]);
    enforced(&controller.fleet, &a, &wanted).await;
    enforced(&controller.fleet, &b, &wanted).await;
    controller.fleet.publish(BTreeMap::new());
    let seen = first.update(2).await;
    assert_eq!((seen.changed.len(), seen.removed.len()), (0, 1), "a Gateway that is gone serves nothing");
    assert_eq!(second.plane.updates(), 1, "nobody here has ever heard of the other");
}

#[tokio::test]
async fn a_data_plane_that_has_nothing_is_not_told_of_nothing() {
    let controller = Controller::start().await;
    publish(&controller.fleet, &[("public", &snapshot(&[("one", "1")]))]);
    controller.fleet.publish(BTreeMap::new());
    controller.tokens.admit("a", &pod("public", "a"));
    let mut raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    standings(&controller.fleet, "a", |_| controller.fleet.counters().connected == 1).await;
    let again = snapshot(&[("two", "2")]);
    publish(&controller.fleet, &[("public", &again)]);
    let update = raw.update().await;
    assert_eq!((update.nonce, update.changed.len()), (1, 1), "it is the first that it hears");
}

#[tokio::test]
async fn one_pod_has_one_stream_and_the_newer_counts() {
    let controller = Controller::start().await;
    let a = pod("public", "a");
    controller.tokens.admit("a", &a);
    let older = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    standings(&controller.fleet, "the older", |standings| standing(standings, &a).is_some()).await;
    let newer = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    older.end().await;
    assert_eq!(controller.fleet.counters().connected, 1);
    drop(newer);
    nobody(&controller.fleet).await;
}
