//! What is said at once, and what waits.

use serde_json::json;

use super::*;
use crate::cluster::ObjectName;
use crate::status::Condition;
use crate::status::ListenerStatus;

const NOW: &str = "2026-11-28T00:00:00Z";

fn condition(kind: &'static str, status: bool, reason: &'static str) -> Condition {
    Condition { r#type: kind, status, reason, message: String::new() }
}

fn gateway(routes: usize, programmed: bool) -> ObjectStatus {
    because(routes, programmed, if programmed { "Programmed" } else { "Rejected" })
}

fn because(routes: usize, programmed: bool, reason: &'static str) -> ObjectStatus {
    let listener = ListenerStatus {
        name: "http".into(),
        attached_routes: routes,
        supported_kinds: vec!["HTTPRoute"],
        conditions: vec![condition("Accepted", true, "Accepted")],
    };
    ObjectStatus {
        kind: "Gateway".into(),
        name: "shop/public".into(),
        conditions: vec![condition("Programmed", programmed, reason)],
        listeners: vec![listener],
        ..ObjectStatus::default()
    }
}

fn place() -> Place {
    (ObjectKind::Gateway, ObjectName::new("shop", "public"))
}

fn standing(status: &ObjectStatus) -> Value {
    wire::write(status, &Value::Null, NOW).and_then(|write| write.status().cloned()).expect("there is something to say")
}

#[test]
fn good_news_are_told_at_once() {
    let before = standing(&gateway(1, false));
    assert_eq!(Patience::default().until(&place(), &gateway(1, true), &before, Instant::now()), None);
}

#[test]
fn bad_news_wait_once_and_no_longer_for_being_told_anew() {
    let (mut patience, now, before) = (Patience::default(), Instant::now(), standing(&gateway(1, true)));
    let due = Some(now + BAD_NEWS);
    assert_eq!(patience.until(&place(), &gateway(1, false), &before, now), due);
    assert_eq!(patience.until(&place(), &gateway(1, false), &before, now + BAD_NEWS / 2), due);
    assert_eq!(patience.until(&place(), &gateway(1, false), &before, now + BAD_NEWS), None);
}

#[test]
fn what_only_waits_for_data_planes_waits_for_longer_unless_more_is_wrong() {
    let (now, before) = (Instant::now(), standing(&gateway(1, true)));
    let until = |status: &ObjectStatus| Patience::default().until(&place(), status, &before, now);
    let mut pending = because(1, false, "Pending");
    assert_eq!(until(&pending), Some(now + ON_ITS_WAY));
    pending.listeners[0].conditions[0].status = false;
    assert_eq!(until(&pending), Some(now + BAD_NEWS));
}

#[test]
fn what_has_come_right_meanwhile_waits_anew_when_it_breaks_again() {
    let (mut patience, now, before) = (Patience::default(), Instant::now(), standing(&gateway(1, true)));
    patience.until(&place(), &gateway(1, false), &before, now);
    patience.stands(&place());
    let later = now + BAD_NEWS;
    assert_eq!(patience.until(&place(), &gateway(1, false), &before, later), Some(later + BAD_NEWS));
}

#[test]
fn numbers_of_routes_are_told_at_once_and_then_now_and_then() {
    let (mut patience, now) = (Patience::default(), Instant::now());
    assert_eq!(patience.until(&place(), &gateway(2, true), &standing(&gateway(1, true)), now), None);
    patience.is_written(&place(), now);
    let before = standing(&gateway(2, true));
    assert_eq!(patience.until(&place(), &gateway(3, true), &before, now), Some(now + BETWEEN_COUNTS));
    assert_eq!(patience.until(&place(), &gateway(9, true), &before, now + BETWEEN_COUNTS), None);
    let broken = gateway(3, false);
    assert_eq!(patience.until(&place(), &broken, &before, now), Some(now + BAD_NEWS), "more than a number has changed");
}

#[test]
fn a_listener_that_is_new_is_no_number() {
    let (mut patience, now) = (Patience::default(), Instant::now());
    patience.is_written(&place(), now);
    let mut before = standing(&gateway(1, true));
    before["listeners"] = json!([]);
    assert_eq!(patience.until(&place(), &gateway(1, true), &before, now), None);
}

#[test]
fn what_is_gone_is_forgotten() {
    let (mut patience, now) = (Patience::default(), Instant::now());
    patience.is_written(&place(), now);
    patience.until(&place(), &gateway(1, false), &Value::Null, now);
    patience.retain(|_| false);
    assert!(patience.since.is_empty() && patience.counted.is_empty());
}
