//! Plans beside what stands there already.

use sallyport_api::condition::Reason;

use super::*;
use crate::graph::form::ParentForm;
use crate::status::condition::condition;

const BEFORE: &str = "2026-11-01T00:00:00Z";
const NOW: &str = "2026-11-26T00:00:00Z";

fn programmed(status: bool) -> Condition {
    condition(ConditionType::Programmed, status, if status { Reason::Programmed } else { Reason::Pending }, "")
}

fn planned(kind: &str, conditions: Vec<Condition>) -> ObjectStatus {
    ObjectStatus {
        kind: kind.into(),
        name: "shop/a".into(),
        observed_generation: 2,
        conditions,
        ..ObjectStatus::default()
    }
}

/// The status after the plan has been written over `current`.
fn after(plan: &ObjectStatus, current: &Value, now: &str) -> Value {
    write(plan, current, now).map_or_else(|| current.clone(), |write| write.status().unwrap().clone())
}

fn route(names: &[&str]) -> ObjectStatus {
    let parents = names.iter().map(|name| ParentStatus {
        parent: format!("shop/{name}"),
        reference: ParentForm { name: (*name).into(), section_name: Some("http".into()), ..ParentForm::default() },
        conditions: vec![programmed(true)],
    });
    ObjectStatus { parents: parents.collect(), ..planned("HTTPRoute", vec![]) }
}

fn of_others(name: &str) -> Value {
    json!({ "controllerName": "example.com/other", "parentRef": { "name": name }, "conditions": [] })
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let plans = [
        planned("Backend", vec![programmed(true)]),
        planned("GatewayClass", vec![programmed(true)]),
        planned("ApiPolicy", vec![programmed(false)]),
        route(&["public", "inner"]),
    ];
    for plan in plans {
        let first = after(&plan, &Value::Null, BEFORE);
        assert!(write(&plan, &first, NOW).is_none(), "{}", plan.kind);
    }
}

#[test]
fn nothing_at_all_is_written_of_a_route_that_is_nobodys() {
    let nobodys = route(&[]);
    assert!(write(&nobodys, &Value::Null, NOW).is_none());
    assert!(write(&nobodys, &json!({ "parents": [of_others("x")] }), NOW).is_none());
}

#[test]
fn a_condition_keeps_its_time_as_long_as_its_status_stays() {
    let first = after(&planned("Backend", vec![programmed(false)]), &Value::Null, BEFORE);
    let newer = ObjectStatus { observed_generation: 3, ..planned("Backend", vec![programmed(false)]) };
    let second = after(&newer, &first, NOW);
    assert_eq!(second["conditions"][0]["lastTransitionTime"], BEFORE);
    assert_eq!(second["conditions"][0]["observedGeneration"], 3);
    let third = after(&planned("Backend", vec![programmed(true)]), &second, NOW);
    assert_eq!(third["conditions"][0]["lastTransitionTime"], NOW);
}

#[test]
fn entries_of_other_controllers_stay_and_those_of_ours_that_are_gone_go() {
    let current = after(&route(&["public", "inner"]), &json!({ "parents": [of_others("x")] }), BEFORE);
    let now = after(&route(&["inner"]), &current, NOW);
    let names: Vec<_> = entries(&now["parents"]).map(|entry| entry["parentRef"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["x", "inner"]);
    assert_eq!(now["parents"][0], of_others("x"));
    assert_eq!(now["parents"][1]["conditions"][0]["lastTransitionTime"], BEFORE);
    let none = after(&route(&[]), &now, NOW);
    assert_eq!(none, json!({ "parents": [of_others("x")] }));
}

#[test]
fn a_route_is_replaced_and_all_else_applied() {
    assert!(matches!(write(&route(&["a"]), &Value::Null, NOW), Some(Write::Replace(_))));
    assert!(matches!(
        write(&planned("Gateway", vec![]), &json!({"listeners": [{"name": "x"}]}), NOW),
        Some(Write::Apply(_))
    ));
}

#[test]
fn conditions_of_others_are_theirs_and_do_not_make_us_write() {
    let plan = planned("Gateway", vec![programmed(true)]);
    let mut current = after(&plan, &Value::Null, BEFORE);
    let theirs = json!({ "type": "example.com/Audited", "status": "True", "reason": "x", "message": "" });
    current["conditions"].as_array_mut().unwrap().push(theirs);
    assert!(write(&plan, &current, NOW).is_none());
    let ours = json!({ "type": "Accepted", "status": "True", "reason": "Accepted", "message": "" });
    current["conditions"].as_array_mut().unwrap().push(ours);
    assert!(write(&plan, &current, NOW).is_some(), "what we do not say any more goes");
}

#[test]
fn a_reference_is_told_as_the_route_states_it() {
    let status = after(&route(&["public"]), &Value::Null, NOW);
    let reference =
        json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "sectionName": "http" });
    assert_eq!(status["parents"][0]["parentRef"], reference);
    assert_eq!(status["parents"][0]["controllerName"], CONTROLLER_NAME);
}

#[test]
fn an_ingress_is_told_where_it_is_reached_and_nothing_where_that_is_said() {
    let planned =
        |addresses: Vec<Address>| ObjectStatus { kind: "Ingress".into(), addresses, ..ObjectStatus::default() };
    let both = planned(vec![Address::IPAddress("10.0.0.1".into()), Address::Hostname("lb.example.com".into())]);
    let told = json!({ "loadBalancer": { "ingress": [{ "ip": "10.0.0.1" }, { "hostname": "lb.example.com" }] } });
    let now = "2026-11-26T10:00:00Z";
    assert_eq!(write(&both, &Value::Null, now), Some(Write::Apply(told.clone())));
    assert_eq!(write(&both, &told, now), None);
    let none = json!({ "loadBalancer": { "ingress": [] } });
    assert_eq!(write(&planned(vec![]), &told, now), Some(Write::Apply(none)), "what is not served is reached nowhere");
    for before in [Value::Null, json!({}), json!({ "loadBalancer": {} })] {
        assert_eq!(write(&planned(vec![]), &before, now), None, "{before}");
    }
}
