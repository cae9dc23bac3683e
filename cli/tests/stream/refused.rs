//! Whoever may not follow is told nothing.

use std::time::Duration;

use rstest::rstest;
use sallyport_controller::stream::Bounds;
use sallyport_controller::stream::gatekeeper::Refusal;
use sallyport_snapshot::v1;
use tonic::Code;

use crate::kit::controller::Controller;
use crate::kit::plane::Follower;
use crate::kit::raw::{FOLLOW, Raw, WATCH, refusal};
use crate::kit::tokens::HANGS;
use crate::kit::{enforced, pod, publish, snapshot, standings};

#[rstest]
#[case::none(FOLLOW, None, Code::Unauthenticated)]
#[case::empty(FOLLOW, Some(""), Code::Unauthenticated)]
#[case::no_token(FOLLOW, Some("Bearer "), Code::Unauthenticated)]
#[case::basic(FOLLOW, Some("Basic a"), Code::Unauthenticated)]
#[case::two(FOLLOW, Some("Bearer a, Bearer a"), Code::Unauthenticated)]
#[case::unknown(FOLLOW, Some("Bearer unknown"), Code::Unauthenticated)]
#[case::almost(FOLLOW, Some("Bearer A"), Code::Unauthenticated)]
#[case::expired(FOLLOW, Some("Bearer expired"), Code::Unauthenticated)]
#[case::unverified(FOLLOW, Some("Bearer unverified"), Code::Unavailable)]
#[case::hangs(FOLLOW, Some("Bearer hangs"), Code::Unavailable)]
#[case::a_controller_is_no_data_plane(FOLLOW, Some("Bearer controller"), Code::PermissionDenied)]
#[case::a_data_plane_is_no_controller(WATCH, Some("Bearer a"), Code::PermissionDenied)]
#[case::watching_without_token(WATCH, None, Code::Unauthenticated)]
#[case::watching_with_another(WATCH, Some("Bearer unknown"), Code::Unauthenticated)]
#[case::no_method("/sallyport.snapshot.v1.Updates/Steal", Some("Bearer a"), Code::Unimplemented)]
#[case::no_service("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Some("Bearer a"), Code::Unimplemented)]
#[case::root("/", Some("Bearer a"), Code::Unimplemented)]
#[case::unknown_method_without_token("/", None, Code::Unauthenticated)]
#[tokio::test]
async fn it_is_refused(#[case] path: &str, #[case] authorization: Option<&str>, #[case] code: Code) {
    assert_eq!(HANGS, "hangs");
    let controller = Controller::within(Bounds { verification: Duration::from_millis(300), ..Bounds::default() }).await;
    publish(&controller.fleet, &[("public", &snapshot(&[("one", "1")]))]);
    controller.tokens.admit("a", &pod("public", "a"));
    controller.tokens.admit_controller("controller");
    controller.tokens.answer("expired", Err(Refusal::Refused("it has ended".into())));
    controller.tokens.answer("unverified", Err(Refusal::Unavailable("the API server is away".into())));
    assert_eq!(refusal(&controller, path, authorization).await, code);
    let counters = controller.fleet.counters();
    assert_eq!((counters.refused.iter().sum::<u64>(), counters.updates, counters.connected), (1, 0, 0));
}

#[tokio::test]
async fn nobody_is_asked_about_what_is_no_token() {
    let controller = Controller::start().await;
    let asked = controller.tokens.asked();
    for authorization in [None, Some("Basic a"), Some("Bearer"), Some("Bearer a b")] {
        refusal(&controller, FOLLOW, authorization).await;
    }
    assert_eq!(*asked.borrow(), 0);
    refusal(&controller, FOLLOW, Some("Bearer a")).await;
    assert_eq!(*asked.borrow(), 1);
}

#[tokio::test]
async fn why_a_token_is_refused_is_not_told_to_who_shows_it() {
    let controller = Controller::start().await;
    controller.tokens.answer("expired", Err(Refusal::Refused("canary".into())));
    let (_outgoing, messages) = tokio::sync::mpsc::channel::<v1::Message>(1);
    let response = crate::kit::raw::ask(&controller, FOLLOW, &["Bearer expired"], messages).await;
    assert!(!format!("{:?}", response.headers()).contains("canary"));
}

#[tokio::test]
async fn the_token_of_another_gateway_gets_that_gateways_part_only() {
    let controller = Controller::start().await;
    publish(&controller.fleet, &[("public", &snapshot(&[("secret", "1")])), ("other", &snapshot(&[("own", "2")]))]);
    controller.tokens.admit("a", &pod("other", "a"));
    let mut raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    let update = raw.update().await;
    let names: Vec<_> = update.changed.iter().filter_map(|one| one.name.clone()).map(|name| name.name).collect();
    assert_eq!(names, ["own"]);
}

#[tokio::test]
async fn many_that_cannot_be_verified_hold_up_only_themselves() {
    let bounds = Bounds { verifications: 2, verification: Duration::from_millis(300), ..Bounds::default() };
    let controller = Controller::within(bounds).await;
    let hanging = (0..6).map(|_| refusal(&controller, FOLLOW, Some("Bearer hangs")));
    let codes = futures_util::future::join_all(hanging).await;
    assert_eq!(codes, [Code::Unavailable; 6]);
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let _follower = Follower::of(&controller, &a);
    enforced(&controller.fleet, &a, &wanted).await;
}

#[tokio::test]
async fn whoever_waits_for_a_verification_is_not_evicted() {
    let bounds = Bounds { strangers: 2, strangers_per_address: 2, ..Bounds::default() };
    let bounds = Bounds { verification: Duration::from_secs(1), ..bounds };
    let controller = Controller::within(bounds).await;
    let mut asked = controller.tokens.asked();
    let verified = refusal(&controller, FOLLOW, Some("Bearer hangs"));
    let flood = async {
        crate::kit::within("a verification", asked.wait_for(|asked| *asked == 1)).await.unwrap();
        let mut idle = Vec::new();
        for _ in 0..20 {
            idle.push(tokio::net::TcpStream::connect(controller.address).await.unwrap());
        }
        idle
    };
    let (code, _idle) = tokio::join!(verified, flood);
    assert_eq!(code, Code::Unavailable, "it is answered");
}

#[tokio::test]
async fn two_tokens_are_none() {
    let controller = Controller::start().await;
    controller.tokens.admit("a", &pod("public", "a"));
    let asked = controller.tokens.asked();
    let code = crate::kit::raw::refusal_of(&controller, FOLLOW, &["Bearer a", "Bearer a"]).await;
    assert_eq!((code, *asked.borrow()), (Code::Unauthenticated, 0));
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_who_lost_the_right_stays_out() {
    let controller = Controller::start().await;
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    controller.tokens.admit_for("a", &a, Duration::from_millis(300));
    let mut raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    let update = raw.update().await;
    raw.ack(update.nonce).await;
    assert_eq!(raw.end().await, Code::Ok, "it comes to its regular end");
    controller.tokens.forget("a");
    assert_eq!(refusal(&controller, FOLLOW, Some("Bearer a")).await, Code::Unauthenticated);
}

#[tokio::test]
async fn a_fresh_token_is_read_when_a_stream_ends_and_the_data_plane_counts_all_the_time() {
    let controller = Controller::start().await;
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    controller.tokens.admit_for("first", &a, Duration::from_millis(500));
    let whereabouts = controller.whereabouts("first");
    let token = whereabouts.token.clone();
    let follower = Follower::at(whereabouts);
    enforced(&controller.fleet, &a, &wanted).await;
    controller.tokens.admit("second", &a);
    std::fs::write(token, "second").unwrap();
    // The first goes the way of all tokens: only the second opens a stream from now on.
    controller.tokens.forget("first");
    let mut asked = controller.tokens.asked();
    let mut changes = controller.fleet.changes();
    crate::kit::within("another stream", async {
        while controller.fleet.counters().acknowledgements < 2 {
            changes.changed().await.unwrap();
            assert_eq!(controller.fleet.standings().len(), 1, "it is never missing in between");
        }
    })
    .await;
    assert_eq!(*asked.borrow_and_update(), 2);
    assert_eq!(controller.fleet.counters().resources, 1, "nothing travels twice");
    assert_eq!(follower.plane.updates(), 2);
}

#[tokio::test]
async fn a_data_plane_with_a_wrong_token_keeps_trying_and_gets_in_once_it_is_right() {
    let controller = Controller::start().await;
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let follower = Follower::at(controller.whereabouts("a"));
    let mut asked = controller.tokens.asked();
    crate::kit::within("three attempts", asked.wait_for(|asked| *asked >= 3)).await.unwrap();
    assert_eq!(follower.plane.updates(), 0);
    controller.tokens.admit("a", &a);
    enforced(&controller.fleet, &a, &wanted).await;
    standings(&controller.fleet, "it", |_| controller.fleet.counters().connected == 1).await;
}
