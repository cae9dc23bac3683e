use serde_json::json;

use super::*;

fn condition_of(kind: &str, status: &str, reason: &str, generation: i64) -> Value {
    json!({ "type": kind, "status": status, "reason": reason, "message": "told", "observedGeneration": generation })
}

fn object(status: &Value) -> Value {
    json!({ "metadata": { "namespace": "shop", "name": "orders", "generation": 2 }, "spec": { "gatewayClassName": "ours" }, "status": status })
}

fn judged(kind: ObjectKind, status: &Value) -> Row {
    row(kind, &object(status), &BTreeSet::from(["ours".to_owned()])).unwrap()
}

#[test]
fn an_object_is_ready_only_by_what_is_said_of_its_present_form() {
    for (status, ready, reason) in [
        (json!({}), false, NOT_JUDGED),
        (json!({ "conditions": [condition_of("Ready", "True", "Ready", 1)] }), false, NOT_JUDGED),
        (json!({ "conditions": [condition_of("Ready", "False", "SecretNotFound", 2)] }), false, "SecretNotFound"),
        (json!({ "conditions": [condition_of("Ready", "Unknown", "Pending", 2)] }), false, "Pending"),
        (json!({ "conditions": [condition_of("Ready", "True", "Ready", 2)] }), true, ""),
    ] {
        let row = judged(ObjectKind::Backend, &status);
        assert_eq!((row.ready, row.reason.as_str()), (ready, reason), "{status}");
    }
}

#[test]
fn a_reason_of_ours_comes_with_its_cure() {
    let status = json!({ "conditions": [condition_of("Ready", "False", "SecretNotFound", 2)] });
    assert!(!judged(ObjectKind::Backend, &status).cure.is_empty());
    let status = json!({ "conditions": [condition_of("Ready", "False", "SomethingNewer", 2)] });
    assert_eq!(judged(ObjectKind::Backend, &status).cure, "");
}

#[test]
fn a_route_is_judged_at_each_of_its_parents_that_are_ours() {
    let parent = |controller: &str, name: &str, status: &str| {
        let conditions = [
            condition_of("Accepted", "True", "Accepted", 2),
            condition_of("sallyport.dev/Programmed", status, "Pending", 2),
        ];
        json!({ "controllerName": controller, "parentRef": { "name": name, "sectionName": "http" }, "conditions": conditions })
    };
    let parents = json!({ "parents": [
        parent("example.com/other", "theirs", "False"), parent(CONTROLLER_NAME, "one", "True"), parent(CONTROLLER_NAME, "two", "False"),
    ] });
    let row = judged(ObjectKind::HTTPRoute, &parents);
    let places: Vec<_> = row.places.iter().map(|at| (at.place.as_str(), at.programmed)).collect();
    assert_eq!(places, [("shop/one listener http", true), ("shop/two listener http", false)]);
    assert_eq!((row.ready, row.reason.as_str()), (false, "Pending"));
    let theirs = json!({ "parents": [parent("example.com/other", "theirs", "True")] });
    assert!(row_of(ObjectKind::HTTPRoute, &theirs).is_none());
}

fn row_of(kind: ObjectKind, status: &Value) -> Option<Row> {
    row(kind, &object(status), &BTreeSet::new())
}

#[test]
fn a_route_of_which_a_part_is_not_served_is_not_ready() {
    for unwanted in UNWANTED {
        let conditions =
            [condition_of("Accepted", "True", "Accepted", 2), condition_of(unwanted, "True", "UnsupportedValue", 2)];
        let parents = json!({ "parents": [{ "controllerName": CONTROLLER_NAME, "conditions": conditions }] });
        assert!(!judged(ObjectKind::HTTPRoute, &parents).ready, "{unwanted}");
    }
}

#[test]
fn a_gateway_of_another_class_is_left_out_and_one_of_ours_shows_its_listeners() {
    let conditions =
        [condition_of("Accepted", "True", "Accepted", 2), condition_of("Programmed", "False", "AddressNotAssigned", 2)];
    let listener = json!({ "name": "http", "conditions": [condition_of("Accepted", "True", "Accepted", 2)] });
    let status = json!({ "conditions": conditions, "listeners": [listener] });
    assert!(row_of(ObjectKind::Gateway, &status).is_none());
    let row = judged(ObjectKind::Gateway, &status);
    assert_eq!((row.ready, row.reason.as_str()), (false, "AddressNotAssigned"));
    assert_eq!((row.places[0].place.as_str(), row.places[0].programmed), ("listener http", true));
}

#[test]
fn a_policy_shows_every_gateway_at_which_it_stands() {
    let ancestor = |name: &str, status: &str| {
        let conditions =
            [condition_of("Accepted", "True", "Accepted", 2), condition_of("Programmed", status, "Pending", 2)];
        json!({ "controllerName": CONTROLLER_NAME, "ancestorRef": { "namespace": "edge", "name": name }, "conditions": conditions })
    };
    let ready = condition_of("Ready", "False", "Pending", 2);
    let row = judged(
        ObjectKind::ApiPolicy,
        &json!({ "conditions": [ready], "ancestors": [ancestor("one", "True"), ancestor("two", "False")] }),
    );
    let places: Vec<_> = row.places.iter().map(|at| (at.place.as_str(), at.programmed)).collect();
    assert_eq!(places, [("edge/one", true), ("edge/two", false)]);
}
