use serde_json::json;

use super::*;

fn subscription(scope: Value) -> Value {
    json!({ "metadata": { "namespace": "apps", "name": "mobile", "uid": "u1" }, "spec": { "scope": scope } })
}

fn to_product() -> Subject {
    approval::subject(&subscription(json!({ "product": { "name": "standard", "namespace": "shop" } })), None).unwrap()
}

#[test]
fn the_word_is_about_one_subscription_and_one_product() {
    let subject = to_product();
    let asked = Asked { decision: Decision::Approved, reason: Some("paid"), expires: None };
    let object = approval::object(&subject, &asked, None);
    assert_eq!(
        object["spec"],
        json!({
            "productRef": { "name": "standard" },
            "subscriptionRef": { "namespace": "apps", "name": "mobile", "uid": "u1" },
            "decision": "Approved",
            "reason": "paid",
        })
    );
    assert_eq!(object["metadata"]["namespace"], "shop");
    let own = approval::subject(&subscription(json!({ "product": { "name": "standard" } })), None).unwrap();
    assert_eq!(own.product, ObjectName::new("apps", "standard"));
}

#[test]
fn subscriptions_that_are_to_no_product_or_to_another_are_told_so() {
    let of = |scope: Value, meant: Option<&str>| {
        let meant = meant.map(|text| qualified(text, "default"));
        approval::subject(&subscription(scope), meant).err().map(|error| error.to_string())
    };
    let product = || json!({ "product": { "name": "standard", "namespace": "shop" } });
    assert_eq!(of(product(), Some("shop/standard")), None);
    for (scope, meant) in [
        (product(), Some("standard")),
        (product(), Some("shop/gold")),
        (json!({ "apis": [{ "kind": "HTTPRoute", "name": "orders" }] }), None),
        (json!({ "allApis": { "gateway": { "name": "public" } } }), None),
        (json!({}), None),
    ] {
        assert!(of(scope.clone(), meant).is_some(), "{scope} {meant:?}");
    }
}

#[test]
fn each_subscription_has_an_approval_of_its_own_and_each_word_is_said_in_it() {
    let with = |name: &str, uid: &str, product: &str| {
        let (name, product) = (qualified(name, "apps"), qualified(product, "shop"));
        Subject { name, uid: uid.to_owned(), product }.approval().name
    };
    let one = with("mobile", "u1", "standard");
    assert_eq!(one, with("mobile", "u1", "standard"));
    for other in [with("mobile", "u2", "standard"), with("mobile", "u1", "gold"), with("web/mobile", "u1", "standard")]
    {
        assert!(one != other && other.starts_with("mobile-"), "{other}");
    }
    let long = with(&format!("{}.{}", "x".repeat(199), "y".repeat(53)), "u1", "standard");
    assert!(long.len() <= 253 && long.starts_with(&format!("{}-", "x".repeat(199))), "{long}");
}

#[test]
fn what_ends_an_approval_stays_until_the_word_says_otherwise() {
    let subject = to_product();
    let before = json!({ "spec": { "expires": "2027-01-01T00:00:00Z", "reason": "before" } });
    let spec = |expires| {
        let asked = Asked { decision: Decision::Suspended, reason: None, expires };
        approval::object(&subject, &asked, Some(&before))["spec"].clone()
    };
    assert_eq!(spec(None)["expires"], "2027-01-01T00:00:00Z");
    assert_eq!(spec(None)["reason"], Value::Null);
    assert_eq!(spec(Some(Expires::Never))["expires"], Value::Null);
    let moment = expires("2027-02-01T01:00:00+01:00").unwrap();
    assert_eq!(spec(Some(moment))["expires"], "2027-02-01T00:00:00Z");
    for text in ["", "tomorrow", "2027-02-01", "Never", "1h"] {
        assert!(expires(text).is_err(), "{text}");
    }
}

#[test]
fn only_stricter_words_about_the_same_subscription_overrule() {
    let subject = to_product();
    let word = |name: &str, decision: &str, uid: &str, product: &str| {
        json!({ "metadata": { "namespace": "shop", "name": name }, "spec": {
            "productRef": { "name": product }, "decision": decision,
            "subscriptionRef": { "namespace": "apps", "name": "mobile", "uid": uid },
        }})
    };
    let all = [
        word("a", "Approved", "u1", "standard"),
        word("b", "Suspended", "u1", "standard"),
        word("c", "Rejected", "u1", "standard"),
        word("d", "Rejected", "u2", "standard"),
        word("e", "Rejected", "u1", "gold"),
        word(&subject.approval().name, "Rejected", "u1", "standard"),
    ];
    let names = |decision| {
        let found = approval::stricter(&all, &subject, decision);
        found.iter().map(|one| full_name(one)).collect::<Vec<_>>()
    };
    assert_eq!(names(Decision::Approved), ["shop/b", "shop/c"]);
    assert_eq!(names(Decision::Suspended), ["shop/c"]);
    assert!(names(Decision::Rejected).is_empty());
}
