//! The controller's certificate and its authority change while data planes are connected.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sallyport_controller::authority::{ANNOUNCED_S, AUTHORITY_S, Stored};
use sallyport_dataplane::clock::Clock;

use crate::kit::controller::{Controller, SERVER_NAME, stored};
use crate::kit::plane::Follower;
use crate::kit::raw::{connect, trusting};
use crate::kit::{enforced, pod, publish, snapshot};

fn names() -> Vec<String> {
    vec![SERVER_NAME.to_owned()]
}

fn now() -> Timestamp {
    Timestamp::from_second(Clock::default().now().seconds()).unwrap()
}

fn before(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// The certificate that a new connection is shown.
async fn shown(controller: &Controller, trusted: &Stored) -> std::io::Result<Vec<u8>> {
    let stream = connect(controller.address, trusting(trusted, &["h2"])).await?;
    Ok(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_a_live_stream_goes_on() {
    let controller = Controller::start().await;
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let follower = Follower::of(&controller, &a);
    enforced(&controller.fleet, &a, &wanted).await;
    let old = shown(&controller, &controller.stored).await.unwrap();
    // Issued for another name and back again: another certificate of the same authority.
    let other = Stored::renewed(Some(&controller.stored), now(), &["other".into()]).unwrap().0;
    let again = Stored::renewed(Some(&other), now(), &names()).unwrap().0;
    controller.tls.send_replace(Arc::new(again.server_config().unwrap()));
    let new = shown(&controller, &controller.stored).await.unwrap();
    assert_ne!(old, new);
    let more = snapshot(&[("one", "2")]);
    publish(&controller.fleet, &[("public", &more)]);
    enforced(&controller.fleet, &a, &more).await;
    assert_eq!(controller.tokens.asked().borrow().to_owned(), 1, "it is still the same stream");
    assert_eq!(follower.plane.updates(), 2);
}

#[tokio::test]
async fn the_authority_changes_and_nobody_is_lost() {
    let mut controller = Controller::start().await;
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let ripe_s = AUTHORITY_S / 3 * 2;
    // As it was made when its successor was due as long ago as successors are announced.
    let made = Stored::renewed(None, before(ripe_s + ANNOUNCED_S + 60), &names()).unwrap().0;
    let announced = Stored::renewed(Some(&made), before(ANNOUNCED_S), &names()).unwrap().0;
    let signed = Stored::renewed(Some(&announced), now(), &names()).unwrap().0;
    assert_eq!(announced.bundle_pem().matches("BEGIN").count(), 2);
    assert_ne!(announced.server_certificate, signed.server_certificate);

    std::fs::write(controller.authorities(), announced.bundle_pem()).unwrap();
    controller.tls.send_replace(Arc::new(announced.server_config().unwrap()));
    let follower = Follower::of(&controller, &a);
    enforced(&controller.fleet, &a, &wanted).await;
    // The successor signs; the data plane has read the bundle before.
    controller.tls.send_replace(Arc::new(signed.server_config().unwrap()));
    controller.restart().await;
    publish(&controller.fleet, &[("public", &wanted)]);
    enforced(&controller.fleet, &a, &wanted).await;
    // The older one leaves the bundle.
    let alone = Stored::renewed(Some(&signed), now() + SignedDuration::from_hours(31 * 24), &names()).unwrap().0;
    assert_eq!(alone.bundle_pem().matches("BEGIN").count(), 1);
    std::fs::write(controller.authorities(), alone.bundle_pem()).unwrap();
    controller.restart().await;
    let more = snapshot(&[("one", "2")]);
    publish(&controller.fleet, &[("public", &more)]);
    enforced(&controller.fleet, &a, &more).await;
    assert!(shown(&controller, &made).await.is_err(), "who has only ever heard of the older one is lost");
    drop(follower);
}

#[tokio::test]
async fn a_controller_that_another_authority_vouches_for_is_told_nothing() {
    let controller = Controller::start().await;
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    std::fs::write(controller.authorities(), stored().bundle_pem()).unwrap();
    let follower = Follower::of(&controller, &a);
    let mut changes = controller.fleet.changes();
    crate::kit::within("three attempts", async {
        // Nothing else changes the fleet: it is looked at whenever the port has refused somebody.
        while controller.fleet.counters().failed_handshakes < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!changes.has_changed().unwrap() && *controller.tokens.asked().borrow() == 0, "no token was shown");
    assert_eq!(follower.plane.updates(), 0);
    // The right bundle comes later, as a volume that is projected late.
    std::fs::write(controller.authorities(), controller.stored.bundle_pem()).unwrap();
    enforced(&controller.fleet, &a, &wanted).await;
    changes.mark_unchanged();
}

#[tokio::test]
async fn a_controller_of_another_name_is_told_nothing() {
    let controller = Controller::start().await;
    controller.tokens.admit("a", &pod("public", "a"));
    let mut whereabouts = controller.whereabouts("a");
    whereabouts.server_name = "another.sallyport-system.svc".into();
    let _follower = Follower::at(whereabouts);
    crate::kit::within("three attempts", async {
        while controller.fleet.counters().failed_handshakes < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(*controller.tokens.asked().borrow(), 0, "no token was shown");
}
