use serde_json::json;

use super::*;
use crate::cluster::wait::Look;

fn subscription(spec: Value, status: Value, annotation: Option<&str>) -> Value {
    let annotations = annotation.map(|text| json!({ "sallyport.dev/rotate": text }));
    json!({
        "kind": "Subscription",
        "metadata": { "namespace": "shop", "name": "mobile", "annotations": annotations },
        "spec": { "keys": spec },
        "status": status,
    })
}

fn of_controller(phase: &str, rotated: Option<&str>) -> Value {
    json!({
        "phase": phase,
        "secretRef": { "name": "mobile-keys" },
        "keys": { "primaryMade": "2026-11-01T00:00:00Z", "secondaryMade": "2026-11-02T00:00:00Z", "rotated": rotated },
    })
}

fn in_secret() -> Value {
    json!({ "secretName": "mobile-keys" })
}

#[test]
fn a_request_names_key_and_moment_and_is_made_only_where_somebody_carries_it_out() {
    let request = |subscription: &Value| rotate::request(subscription, KeyName::Secondary, 1_764_000_000_123);
    let fine = subscription(in_secret(), of_controller("Active", None), None);
    assert_eq!(request(&fine).unwrap().text, "secondary 2025-11-24T16:00:00.123Z");
    let again = subscription(in_secret(), of_controller("Suspended", Some("primary 1")), Some("primary 1"));
    assert!(request(&again).is_ok());
    for (refused, why) in [
        (subscription(json!({ "sha256": {} }), json!({ "phase": "Active" }), None), "digests"),
        (subscription(in_secret(), json!({ "secretRef": { "name": "mobile-keys" } }), None), "never written"),
        (subscription(in_secret(), json!({ "phase": "Submitted" }), None), "not made yet"),
        (subscription(in_secret(), Value::Null, None), "not made yet"),
        (subscription(in_secret(), of_controller("Cancelled", None), None), "Cancelled"),
        (subscription(in_secret(), of_controller("Expired", None), None), "Expired"),
        (subscription(in_secret(), of_controller("Rejected", None), None), "Rejected"),
        (subscription(in_secret(), of_controller("Active", Some("primary 1")), Some("primary 2")), "primary 2"),
        (subscription(in_secret(), of_controller("Active", None), Some("nonsense")), "nonsense"),
    ] {
        let error = request(&refused).unwrap_err().to_string();
        assert!(error.contains("shop/mobile") && error.contains(why), "{error}");
    }
}

#[test]
fn a_new_key_is_there_once_it_is_made_and_data_planes_know_it() {
    let request = rotate::request(&subscription(in_secret(), of_controller("Active", None), None), KeyName::Primary, 0);
    let request = request.unwrap();
    let with = |rotated: &str, reason: &str| {
        let mut status = of_controller("Active", Some(rotated));
        let is_true = if reason == "Programmed" { "True" } else { "False" };
        status["conditions"] =
            json!([{ "type": "Programmed", "status": is_true, "reason": reason, "message": "by 1 of 2" }]);
        match rotate::look(&subscription(in_secret(), status, None), &request) {
            Look::Done(Ok(made)) => made,
            Look::Done(Err(why)) => format!("not in force: {why}"),
            Look::Awaits(what) => format!("awaits {what}"),
        }
    };
    assert_eq!(
        with("primary before", "Programmed"),
        "awaits the controller makes primary of Subscription shop/mobile anew"
    );
    assert_eq!(with(&request.text, "Pending"), "awaits data planes take up the new key: by 1 of 2");
    assert_eq!(with(&request.text, "Programmed"), "2026-11-01T00:00:00Z");
    // Waiting brings neither into force.
    assert_eq!(with(&request.text, "NotInForce"), "not in force: by 1 of 2");
    assert_eq!(with(&request.text, "Rejected"), "not in force: by 1 of 2");
    let unsaid = subscription(in_secret(), of_controller("Active", Some(&request.text)), None);
    assert!(matches!(rotate::look(&unsaid, &request), Look::Awaits(_)));
}

#[test]
fn only_what_can_be_a_key_is_printed() {
    let secret = |data: Value| entry(&json!({ "data": data }), KeyName::Primary);
    assert_eq!(secret(json!({ "primary": "c3BrX2FiYw==" })).unwrap(), "spk_abc");
    for data in
        [json!({}), json!({ "secondary": "c3BrX2FiYw==" }), json!({ "primary": "" }), json!({ "primary": "Gw==" })]
    {
        assert!(secret(data.clone()).is_err(), "{data}");
    }
    for data in [json!({ "primary": "not base64" }), json!({ "primary": "/w==" }), json!({ "primary": "YQo=" })] {
        assert!(secret(data.clone()).unwrap_err().to_string().contains("is no key"), "{data}");
    }
}

#[test]
fn keys_are_told_by_where_they_are_and_how_old_they_are() {
    let rows = [
        Row::of(&subscription(in_secret(), of_controller("Active", Some("primary 1")), Some("secondary 2"))),
        Row::of(&subscription(in_secret(), json!({ "phase": "Active", "secretRef": { "name": "mobile-keys" } }), None)),
        Row::of(&subscription(json!({ "sha256": {} }), json!({ "phase": "Active" }), None)),
        Row::of(&subscription(in_secret(), json!({}), None)),
    ];
    let lines = |output| {
        row::table(&rows, output)
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        lines(Output::Table)[1..],
        [
            "shop mobile Active Controller mobile-keys 2026-11-01T00:00:00Z 2026-11-02T00:00:00Z",
            "shop mobile Active Secret mobile-keys - -",
            "shop mobile Active Digests - - -",
            "shop mobile - Awaited mobile-keys - -",
        ]
    );
    assert!(lines(Output::Wide)[1].ends_with("2026-11-02T00:00:00Z - primary 1 secondary 2"));
    assert_eq!(
        serde_json::to_value(&rows[2]).unwrap(),
        json!({
            "namespace": "shop", "name": "mobile", "phase": "Active", "origin": "Digests"
        })
    );
}
