//! A hundred thousand subscriptions: in pieces at first, and then one by one.

use sallyport_snapshot::pieces::PIECE_BYTES;
use sallyport_snapshot::v1::{self, resource::Body};
use sallyport_snapshot::{Hash, Snapshot};

use crate::kit::controller::Controller;
use crate::kit::plane::Follower;
use crate::kit::raw::Raw;
use crate::kit::{enforced, pod, publish};

const SUBSCRIPTIONS: usize = 100_000;

fn subscription(index: usize, expires_s: i64) -> Body {
    Body::Subscription(v1::Subscription {
        owner: format!("shop/consumer-{index}"),
        scope: Some(v1::subscription::Scope::Product("shop/orders".into())),
        state: v1::subscription::State::Active.into(),
        expires_s: Some(expires_s),
        primary_sha256: Hash::of_bytes(&index.to_be_bytes()).as_bytes().repeat(2).into(),
        ..v1::Subscription::default()
    })
}

fn subscriptions() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for index in 0..SUBSCRIPTIONS {
        snapshot.insert(format!("shop/subscription-{index}"), subscription(index, 1));
    }
    snapshot
}

#[tokio::test]
async fn all_of_them_come_in_pieces_and_a_change_of_one_is_one() {
    let mut controller = Controller::start().await;
    let a = pod("public", "a");
    let mut wanted = subscriptions();
    publish(&controller.fleet, &[("public", &wanted)]);
    let follower = Follower::of(&controller, &a);
    enforced(&controller.fleet, &a, &wanted).await;
    assert_eq!(*follower.plane.has.lock(), wanted);
    let before = controller.fleet.counters();
    assert!(usize::try_from(before.update_bytes).unwrap() > 10 * PIECE_BYTES, "{}", before.update_bytes);

    wanted.insert("shop/subscription-4711", subscription(4711, 2));
    publish(&controller.fleet, &[("public", &wanted)]);
    enforced(&controller.fleet, &a, &wanted).await;
    let after = controller.fleet.counters();
    assert_eq!((after.updates, after.resources - before.resources), (2, 1));
    assert!(after.update_bytes - before.update_bytes < 300);

    // The names of all of them go the other way, and nothing comes back.
    controller.restart().await;
    publish(&controller.fleet, &[("public", &wanted)]);
    enforced(&controller.fleet, &a, &wanted).await;
    let seen = follower.update(2).await;
    assert_eq!((seen.changed.len(), seen.removed.len()), (0, 0));
}

#[tokio::test]
async fn no_piece_is_much_larger_than_a_piece() {
    let controller = Controller::start().await;
    let wanted = subscriptions();
    publish(&controller.fleet, &[("public", &wanted)]);
    controller.tokens.admit("a", &pod("public", "a"));
    let mut raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    let (mut resources, mut pieces) = (0, 0);
    loop {
        let piece = raw.update().await;
        assert!(prost::Message::encoded_len(&piece) < PIECE_BYTES + PIECE_BYTES / 4);
        assert_eq!(piece.nonce, 1);
        resources += piece.changed.len();
        pieces += 1;
        if !piece.more {
            break;
        }
    }
    assert_eq!(resources, SUBSCRIPTIONS);
    assert!(pieces > 10, "{pieces}");
}
