//! A whole life: connect, learn, acknowledge, and then differences only.

use sallyport_controller::publish::Enforced;
use sallyport_snapshot::v1;

use crate::kit::controller::Controller;
use crate::kit::plane::{Follower, Seen};
use crate::kit::{enforced, name, nobody, pod, publish, snapshot, standing, standings, within};

const PRODUCT: i32 = v1::Kind::Product as i32;

fn named(names: &[&str]) -> Vec<(i32, String)> {
    names.iter().map(|name| (PRODUCT, (*name).to_owned())).collect()
}

#[tokio::test]
async fn what_is_published_is_in_force_and_then_only_differences_travel() {
    let controller = Controller::start().await;
    let a = pod("public", "a");
    let first = snapshot(&[("one", "1"), ("two", "2")]);
    publish(&controller.fleet, &[("public", &first)]);
    let follower = Follower::of(&controller, &a);
    enforced(&controller.fleet, &a, &first).await;
    assert_eq!(*follower.plane.has.lock(), first);
    let before = controller.fleet.counters();
    assert_eq!((before.updates, before.resources, before.acknowledgements, before.connected), (1, 2, 1, 1));

    let second = snapshot(&[("one", "1"), ("two", "changed"), ("three", "3")]);
    publish(&controller.fleet, &[("public", &second)]);
    enforced(&controller.fleet, &a, &second).await;
    let seen = follower.update(1).await;
    assert_eq!(seen, Seen { changed: named(&["three", "two"]), removed: vec![] });

    let third = snapshot(&[("three", "3")]);
    publish(&controller.fleet, &[("public", &third)]);
    let seen = follower.update(2).await;
    assert_eq!(seen, Seen { changed: vec![], removed: named(&["one", "two"]) });
    standings(&controller.fleet, "the third answer", |_| controller.fleet.counters().acknowledgements == 3).await;
    let after = controller.fleet.counters();
    assert_eq!((after.updates, after.resources), (3, 6));
    assert_eq!(*follower.plane.has.lock(), third);
    drop(follower);
    nobody(&controller.fleet).await;
}

#[tokio::test]
async fn what_is_published_again_travels_once() {
    let controller = Controller::start().await;
    let (a, b) = (pod("public", "a"), pod("other", "b"));
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted), ("other", &wanted)]);
    let (first, second) = (Follower::of(&controller, &a), Follower::of(&controller, &b));
    enforced(&controller.fleet, &a, &wanted).await;
    enforced(&controller.fleet, &b, &wanted).await;
    for content in ["2", "3", "4"] {
        // Only one Gateway changes; the other is published as it was.
        let changed = snapshot(&[("one", content)]);
        publish(&controller.fleet, &[("public", &changed), ("other", &wanted)]);
        enforced(&controller.fleet, &a, &changed).await;
    }
    assert_eq!((first.plane.updates(), second.plane.updates()), (4, 1));
}

#[tokio::test]
async fn each_gateway_is_told_its_own() {
    let controller = Controller::start().await;
    let (public, private) = (snapshot(&[("one", "1")]), snapshot(&[("secret", "2")]));
    publish(&controller.fleet, &[("public", &public), ("private", &private)]);
    let (a, b) = (pod("public", "a"), pod("private", "b"));
    let (first, second) = (Follower::of(&controller, &a), Follower::of(&controller, &b));
    enforced(&controller.fleet, &a, &public).await;
    enforced(&controller.fleet, &b, &private).await;
    assert_eq!(*first.plane.has.lock(), public);
    assert_eq!(*second.plane.has.lock(), private);
}

#[tokio::test]
async fn what_is_rejected_is_told_with_its_reason() {
    let controller = Controller::start().await;
    let a = pod("public", "a");
    let wanted = snapshot(&[("good", "1"), ("bad", "2")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let follower = Follower::of(&controller, &a);
    follower.plane.rejects.lock().insert(name("bad"), "it is bad".into());
    // It may have been taken before it was made to reject.
    let wanted = snapshot(&[("good", "1"), ("bad", "3")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let found = standings(&controller.fleet, "a rejection", |standings| {
        standing(standings, &a)
            .is_some_and(|one| one.enforces(&wanted, &name("bad")) == Enforced::Rejected("it is bad"))
    })
    .await;
    assert_eq!(standing(&found, &a).unwrap().enforces(&wanted, &name("good")), Enforced::Yes);
    follower.plane.rejects.lock().clear();
    let more = snapshot(&[("good", "1"), ("bad", "3"), ("what it waited for", "4")]);
    publish(&controller.fleet, &[("public", &more)]);
    enforced(&controller.fleet, &a, &more).await;
}

#[tokio::test]
async fn reports_arrive_and_are_told_again_to_the_next_controller() {
    let mut controller = Controller::start().await;
    let a = pod("public", "a");
    let mut wanted = snapshot(&[]);
    wanted.insert("keys", v1::resource::Body::KeySet(v1::KeySet::default()));
    publish(&controller.fleet, &[("public", &wanted)]);
    let follower = Follower::of(&controller, &a);
    enforced(&controller.fleet, &a, &wanted).await;
    let report = |state| {
        let health = v1::IssuerHealth { key_set: "keys".into(), state, message: "as it is".into() };
        v1::Report { report: Some(v1::report::Report::Issuer(health)) }
    };
    let told = |fleet: sallyport_controller::fleet::Fleet, state: i32| {
        let a = a.clone();
        async move {
            standings(&fleet, "a report", |standings| {
                let health = standing(standings, &a).and_then(|one| one.issuer("keys"));
                health.is_some_and(|health| health.state == state)
            })
            .await;
        }
    };
    follower.reports.send(report(1)).unwrap();
    told(controller.fleet.clone(), 1).await;
    controller.stop().await;
    follower.connected(false).await;
    follower.reports.send(report(3)).unwrap();
    follower.reports.send(report(2)).unwrap();
    controller.restart().await;
    told(controller.fleet.clone(), 2).await;
    assert_eq!(controller.fleet.counters().foreign_reports, 0);
}

#[tokio::test]
async fn a_data_plane_that_leaves_is_not_counted() {
    let controller = Controller::start().await;
    let followers: Vec<_> =
        ["a", "b", "c"].iter().map(|name| Follower::of(&controller, &pod("public", name))).collect();
    standings(&controller.fleet, "three", |_| controller.fleet.counters().connected == 3).await;
    drop(followers);
    nobody(&controller.fleet).await;
    within("zero", async { assert_eq!(controller.fleet.counters().connected, 0) }).await;
}
