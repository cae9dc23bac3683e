//! One side is a version ahead of the other.

use sallyport_snapshot::{Hash, v1};
use v1::message::Message;

use crate::kit::controller::Controller;
use crate::kit::raw::Raw;
use crate::kit::{enforced, pod, publish, snapshot, standings};

/// A kind that nobody here knows.
const NEWER: i32 = 4711;

fn foreign(name: &str) -> v1::HeldResource {
    let name = Some(v1::ResourceName { kind: NEWER, name: name.into() });
    v1::HeldResource { name, hash: Hash::of_bytes(b"x").as_bytes().to_vec().into() }
}

#[tokio::test]
async fn what_a_newer_controller_has_sent_an_older_one_takes_away() {
    let controller = Controller::start().await;
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    controller.tokens.admit("a", &pod("public", "a"));
    let held = wanted.held();
    let held = held
        .iter()
        .map(|(name, hash)| v1::HeldResource { name: Some(name.to_wire()), hash: hash.as_bytes().to_vec().into() });
    let hello = v1::Hello { held: held.chain([foreign("new")]).collect(), ..v1::Hello::default() };
    let mut raw = Raw::greeted(&controller, "a", hello).await;
    let update = raw.update().await;
    assert!(update.changed.is_empty());
    assert_eq!(update.removed, [v1::ResourceName { kind: NEWER, name: "new".into() }]);
    raw.ack(update.nonce).await;
    enforced(&controller.fleet, &pod("public", "a"), &wanted).await;
}

#[tokio::test]
async fn what_a_newer_data_plane_says_is_passed_over_where_it_is_not_known() {
    let controller = Controller::start().await;
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    controller.tokens.admit("a", &pod("public", "a"));
    let mut raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    raw.update().await;
    // A message of another kind reads as one of none.
    raw.outgoing.send(v1::Message { message: None }).await.unwrap();
    raw.say(Message::Report(v1::Report { report: None })).await;
    let rejected = vec![v1::Rejected {
        name: Some(v1::ResourceName { kind: NEWER, name: "new".into() }),
        why: "of a newer version".into(),
    }];
    raw.say(Message::Ack(v1::Ack { nonce: 1, rejected, more: false })).await;
    enforced(&controller.fleet, &pod("public", "a"), &wanted).await;
    standings(&controller.fleet, "it", |_| controller.fleet.counters().cut_streams == 0).await;
}
