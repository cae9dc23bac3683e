//! What is told of what has changed, and what is not.

use serde_json::json;

use super::*;
use crate::status::condition::condition;

fn status(conditions: Vec<Condition>) -> ObjectStatus {
    ObjectStatus { kind: "ApiPolicy".into(), name: "shop/a".into(), conditions, ..ObjectStatus::default() }
}

fn bad(message: &str) -> Condition {
    condition(ConditionType::Accepted, false, Reason::Invalid, message)
}

fn good(kind: ConditionType, reason: Reason) -> Condition {
    condition(kind, true, reason, "")
}

/// As the status stands once it is written.
fn after(planned: &ObjectStatus) -> Value {
    let write = wire::write(planned, &Value::Null, "2026-11-26T00:00:00Z").unwrap();
    write.status().unwrap().clone()
}

fn told(planned: &ObjectStatus, before: &Value) -> Vec<(bool, &'static str, String)> {
    news(planned, before).into_iter().map(|one| (one.is_good, one.reason, one.note)).collect()
}

#[test]
fn what_was_said_before_is_no_news() {
    for conditions in [
        vec![bad("spec.a: correct it")],
        vec![good(ConditionType::Accepted, Reason::Accepted), good(ConditionType::Ready, Reason::Ready)],
        vec![condition(ConditionType::Programmed, false, Reason::Pending, "")],
    ] {
        let planned = status(conditions);
        assert!(news(&planned, &after(&planned)).is_empty());
    }
}

#[test]
fn what_is_wrong_is_told_with_its_cure_each_time_that_it_is_another_thing() {
    let (first, second) = (status(vec![bad("spec.a: correct it")]), status(vec![bad("spec.b: correct it")]));
    assert_eq!(told(&first, &Value::Null), [(false, "Invalid", "spec.a: correct it".to_owned())]);
    assert_eq!(told(&second, &after(&first)), [(false, "Invalid", "spec.b: correct it".to_owned())]);
    let fine = status(vec![good(ConditionType::Accepted, Reason::Accepted)]);
    assert_eq!(told(&fine, &after(&first)), [(true, "Accepted", "The object is valid.".to_owned())]);
    assert_eq!(told(&first, &after(&fine)).len(), 1);
}

#[test]
fn what_only_waits_or_repeats_is_no_news() {
    let repeated = |kind| Condition { r#type: kind, ..bad("spec.a") };
    for one in [
        condition(ConditionType::Programmed, false, Reason::Pending, "acknowledged by 0 of 1 replicas"),
        repeated(ConditionType::Ready.as_str()),
        repeated(ConditionType::CredentialReady.as_str()),
        Condition { status: true, ..repeated(ConditionType::Stalled.as_str()) },
        condition(ConditionType::ApiPolicyAffected, true, Reason::Affected, "shop/a"),
        good(ConditionType::ResolvedRefs, Reason::ResolvedRefs),
    ] {
        assert!(news(&status(vec![one.clone()]), &Value::Null).is_empty(), "{one:?}");
    }
}

#[test]
fn that_references_lead_somewhere_is_news_after_they_did_not() {
    let broken = status(vec![condition(ConditionType::ResolvedRefs, false, Reason::SecretNotFound, "create it")]);
    let fine = status(vec![good(ConditionType::ResolvedRefs, Reason::ResolvedRefs)]);
    assert_eq!(told(&fine, &after(&broken)).len(), 1);
}

#[test]
fn entries_of_other_controllers_are_not_what_we_said_before() {
    let mut route = ObjectStatus { kind: "HTTPRoute".into(), ..status(vec![]) };
    route.parents = vec![crate::status::ParentStatus {
        parent: "shop/public".into(),
        reference: crate::graph::form::ParentForm { name: "public".into(), ..Default::default() },
        conditions: vec![bad("spec.a: correct it")],
    }];
    let mut before = after(&route);
    assert!(news(&route, &before).is_empty());
    before["parents"][0]["controllerName"] = json!("example.com/other");
    let expected = "at Gateway shop/public: spec.a: correct it".to_owned();
    assert_eq!(told(&route, &before), [(false, "Invalid", expected)]);
}
