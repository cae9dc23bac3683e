//! Data planes that take their time, or do not answer at all.

use std::time::Duration;

use sallyport_controller::stream::Bounds;
use sallyport_snapshot::v1;
use tonic::Code;

use crate::kit::controller::Controller;
use crate::kit::plane::Follower;
use crate::kit::raw::Raw;
use crate::kit::{enforced, name, pod, publish, snapshot, standing, standings};

#[tokio::test]
async fn one_that_never_answers_holds_up_no_other_and_learns_the_newest_only() {
    let controller = Controller::start().await;
    let (slow, quick) = (pod("public", "slow"), pod("public", "quick"));
    publish(&controller.fleet, &[("public", &snapshot(&[("one", "1")]))]);
    controller.tokens.admit("slow", &slow);
    let mut raw = Raw::greeted(&controller, "slow", v1::Hello::default()).await;
    let first = raw.update().await;
    let _follower = Follower::of(&controller, &quick);
    let mut wanted = snapshot(&[]);
    for content in ["2", "3", "4", "5"] {
        wanted = snapshot(&[("one", content), (content, content)]);
        publish(&controller.fleet, &[("public", &wanted)]);
        enforced(&controller.fleet, &quick, &wanted).await;
    }
    let found = controller.fleet.standings();
    let at_slow = standing(&found, &slow).unwrap().enforces(&wanted, &name("one"));
    assert_eq!(at_slow, sallyport_controller::publish::Enforced::NotYet);
    raw.ack(first.nonce).await;
    let second = raw.update().await;
    assert_eq!(second.nonce, first.nonce + 1, "what was published in between was never sent");
    assert_eq!((second.changed.len(), second.removed.len()), (2, 0));
    raw.ack(second.nonce).await;
    enforced(&controller.fleet, &slow, &wanted).await;
}

#[tokio::test]
async fn one_that_does_not_answer_in_time_is_cut_off() {
    let bounds = Bounds { answer: Duration::from_millis(200), ..Bounds::default() };
    let controller = Controller::within(bounds).await;
    publish(&controller.fleet, &[("public", &snapshot(&[("one", "1")]))]);
    controller.tokens.admit("a", &pod("public", "a"));
    let mut raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    raw.update().await;
    assert_eq!(raw.end().await, Code::DeadlineExceeded);
    assert_eq!(controller.fleet.counters().cut_streams, 1);
    standings(&controller.fleet, "its end", sallyport_controller::fleet::Standings::is_empty).await;
}

#[tokio::test]
async fn one_that_says_nothing_at_all_is_cut_off() {
    let bounds = Bounds { hello: Duration::from_millis(200), ..Bounds::default() };
    let controller = Controller::within(bounds).await;
    publish(&controller.fleet, &[("public", &snapshot(&[("one", "1")]))]);
    controller.tokens.admit("a", &pod("public", "a"));
    let raw = Raw::open(&controller, "a").await;
    assert_eq!(raw.end().await, Code::DeadlineExceeded);
    let counters = controller.fleet.counters();
    assert_eq!((counters.updates, counters.connected), (0, 0));
}

#[tokio::test]
async fn one_that_never_finishes_its_hello_is_cut_off() {
    let bounds = Bounds { hello: Duration::from_millis(200), ..Bounds::default() };
    let controller = Controller::within(bounds).await;
    controller.tokens.admit("a", &pod("public", "a"));
    let raw = Raw::greeted(&controller, "a", v1::Hello { more: true, ..v1::Hello::default() }).await;
    assert_eq!(raw.end().await, Code::DeadlineExceeded);
}

#[tokio::test]
async fn one_that_takes_no_piece_is_cut_off_and_its_connection_ends() {
    let bounds = Bounds { answer: Duration::from_millis(300), ..Bounds::default() };
    let controller = Controller::within(bounds).await;
    controller.tokens.admit("a", &pod("public", "a"));
    // More than the windows of a connection hold.
    let large = "x".repeat(1024 * 1024);
    let products: Vec<_> = (0..24).map(|index| (index.to_string(), large.clone())).collect();
    let products: Vec<_> = products.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
    publish(&controller.fleet, &[("public", &snapshot(&products))]);
    let raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    standings(&controller.fleet, "it", |_| controller.fleet.counters().connected == 1).await;
    standings(&controller.fleet, "its end", |_| controller.fleet.counters().cut_streams == 1).await;
    // Nobody has read until now: the stream ends before all of it has come.
    assert_ne!(raw.end().await, Code::Ok);
}
