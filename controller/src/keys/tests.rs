use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use proptest::prelude::*;
use sallyport_api::rotation::KeyName;
use serde_json::{Value, json};

use super::form::Key;
use super::secret::{made, renewed};
use super::*;
use crate::graph::approval::Word;
use crate::graph::subscription::keys::KeysNode;

const NOW_S: i64 = 1_800_000_000;
const HOUR_S: i64 = 3_600;
const SCHEDULE: Schedule = Schedule { every_s: 24 * HOUR_S, overlap_s: HOUR_S };

fn name() -> ObjectName {
    ObjectName::new("acme", "orders")
}

fn secret_made() -> Made {
    Made {
        version: "7".into(),
        created_s: NOW_S - 48 * HOUR_S,
        primary_made_s: NOW_S - HOUR_S,
        secondary_made_s: NOW_S - HOUR_S,
        secondary_ends_s: None,
        rotated: None,
    }
}

/// A Subscription that its Product takes, made a minute ago.
fn node(source: KeySource) -> SubscriptionNode {
    SubscriptionNode {
        generation: Some(1),
        created_ms: (NOW_S - 60) * 1_000,
        uid: Some("u1".into()),
        is_going: false,
        state: State::Active,
        product: None,
        word: Some(Word::not_needed()),
        is_surplus: false,
        expires_s: None,
        message: match source {
            KeySource::Missing => None,
            _ => Some(sallyport_snapshot::v1::Subscription::default()),
        },
        keys: KeysNode { secret: Some(ObjectName::new("acme", "keys")), source, ..KeysNode::default() },
        held: vec![],
        problems: vec![],
    }
}

fn works(node: SubscriptionNode, now_s: i64) -> Vec<Work> {
    plan(&[(name(), node)].into(), now_s).into_iter().map(|order| order.work).collect()
}

fn word(standing: Standing) -> Option<Word> {
    Some(Word { standing, ..Word::not_needed() })
}

fn request(text: &str) -> Option<RotationRequest> {
    Some(text.parse().unwrap())
}

/// With this schedule and request, what is made anew of a Secret.
fn renewed_of(made: Made, schedule: Option<Schedule>, asked: Option<&str>) -> Option<Renewal> {
    let mut node = node(KeySource::Made(made));
    (node.keys.schedule, node.keys.request) = (schedule, asked.and_then(request));
    match works(node, NOW_S).pop()? {
        Work::Renew { version, renewal } => {
            assert_eq!(version, "7");
            Some(renewal)
        }
        Work::Make { .. } => panic!("it is there"),
    }
}

#[test]
fn keys_are_made_once_the_owner_of_the_product_takes_the_subscription() {
    let orders = plan(&[(name(), node(KeySource::Missing))].into(), NOW_S);
    let [order] = &orders[..] else { panic!("{orders:?}") };
    assert_eq!((&order.owner, order.uid.as_str(), &order.work), (&name(), "u1", &Work::Make { request: None }));
    assert_eq!(order.secret, ObjectName::new("acme", "keys"));
}

#[test]
fn nothing_is_made_for_one_that_is_not_to_have_keys() {
    type Spoil = fn(&mut SubscriptionNode);
    let spoil: [(&str, Spoil); 10] = [
        ("waits for the owner", |node| node.word = word(Standing::Awaited)),
        ("is rejected", |node| node.word = word(Standing::Rejected)),
        ("is suspended by the owner", |node| node.word = word(Standing::Suspended)),
        ("nobody was asked", |node| node.word = None),
        ("is suspended", |node| node.state = State::Suspended),
        ("is cancelled", |node| node.state = State::Cancelled),
        ("is over", |node| node.expires_s = Some(NOW_S)),
        ("is being deleted", |node| node.is_going = true),
        ("has no uid that could own it", |node| node.uid = None),
        ("has only just been made", |node| node.created_ms = NOW_S * 1_000),
    ];
    for (what, spoil) in spoil {
        let mut node = node(KeySource::Missing);
        spoil(&mut node);
        assert_eq!(works(node, NOW_S), [], "{what}");
    }
}

#[test]
fn what_somebody_else_has_stored_is_never_written() {
    for source in [KeySource::Given, KeySource::Nowhere] {
        let mut node = node(source.clone());
        (node.keys.schedule, node.keys.request) = (Some(SCHEDULE), request("primary now"));
        assert_eq!(works(node, NOW_S), [], "{source:?}");
    }
}

#[test]
fn the_request_that_stood_before_the_secret_is_not_carried_out_on_it() {
    let mut node = node(KeySource::Missing);
    node.keys.request = request("primary 1");
    assert_eq!(works(node, NOW_S), [Work::Make { request: Some("primary 1".into()) }]);
    let done = Made { rotated: Some("primary 1".into()), ..secret_made() };
    assert_eq!(renewed_of(done, None, Some("primary 1")), None);
}

#[test]
fn a_request_by_hand_is_carried_out_once_and_before_the_clocks() {
    let old = Made { primary_made_s: NOW_S - 25 * HOUR_S, rotated: Some("primary 1".into()), ..secret_made() };
    let asked = Renewal::ByHand("secondary 2".parse().unwrap());
    assert_eq!(renewed_of(old.clone(), Some(SCHEDULE), Some("secondary 2")), Some(asked));
    let by_clock = Renewal::Primary { ends_s: NOW_S + HOUR_S };
    assert_eq!(renewed_of(old, Some(SCHEDULE), Some("primary 1")), Some(by_clock));
}

#[test]
fn keys_are_made_anew_to_the_second() {
    for (made, schedule, expected) in [
        (Made { primary_made_s: NOW_S - 24 * HOUR_S + 1, ..secret_made() }, Some(SCHEDULE), None),
        (
            Made { primary_made_s: NOW_S - 24 * HOUR_S, ..secret_made() },
            Some(SCHEDULE),
            Some(Renewal::Primary { ends_s: NOW_S + HOUR_S }),
        ),
        (Made { primary_made_s: 0, ..secret_made() }, None, None),
        (Made { secondary_ends_s: Some(NOW_S + 1), primary_made_s: NOW_S, ..secret_made() }, Some(SCHEDULE), None),
        (Made { secondary_ends_s: Some(NOW_S), ..secret_made() }, Some(SCHEDULE), Some(Renewal::Secondary)),
        // Its end was promised under a schedule that is no more.
        (Made { secondary_ends_s: Some(NOW_S), ..secret_made() }, None, Some(Renewal::Secondary)),
    ] {
        assert_eq!(renewed_of(made.clone(), schedule, None), expected, "{made:?} {schedule:?}");
    }
}

#[test]
fn a_key_that_is_dated_in_the_future_is_as_old_as_its_secret() {
    let far = NOW_S + 1_000_000_000;
    let dated = Made { primary_made_s: far, ..secret_made() };
    assert_eq!(renewed_of(dated, Some(SCHEDULE), None), Some(Renewal::Primary { ends_s: NOW_S + HOUR_S }));
    let dated = Made { secondary_ends_s: Some(far), ..secret_made() };
    assert_eq!(renewed_of(dated, Some(SCHEDULE), None), Some(Renewal::Secondary), "not beyond the overlap");
    let slightly = Made { primary_made_s: NOW_S + CLOCKS_DIFFER_S, ..secret_made() };
    assert_eq!(renewed_of(slightly, Some(SCHEDULE), None), None);
}

#[test]
fn the_next_moment_is_the_nearest_that_is_to_come() {
    let next = |source: KeySource, schedule| {
        let mut node = node(source);
        node.keys.schedule = schedule;
        next_moment(&node, NOW_S)
    };
    assert_eq!(next(KeySource::Missing, None), Some(NOW_S - 60 + SETTLED_AFTER_S));
    assert_eq!(next(KeySource::Made(secret_made()), None), None);
    assert_eq!(next(KeySource::Made(secret_made()), Some(SCHEDULE)), Some(NOW_S + 23 * HOUR_S));
    let beside = Made { secondary_ends_s: Some(NOW_S + 5), primary_made_s: NOW_S, ..secret_made() };
    assert_eq!(next(KeySource::Made(beside), Some(SCHEDULE)), Some(NOW_S + 5));
    assert_eq!(next(KeySource::Given, Some(SCHEDULE)), None);
    let mut over = node(KeySource::Made(secret_made()));
    (over.state, over.keys.schedule) = (State::Cancelled, Some(SCHEDULE));
    assert_eq!(next_moment(&over, NOW_S), None);
}

fn order() -> Order {
    plan(&[(name(), node(KeySource::Missing))].into(), NOW_S).remove(0)
}

fn key(byte: u8) -> Key {
    Key::of([byte; 32])
}

fn stored() -> Secret {
    let mut secret = made(&order(), [key(1), key(2)], None, NOW_S - 100);
    secret.metadata.uid = Some("s1".into());
    secret
}

#[test]
fn a_secret_is_owned_by_that_very_subscription_and_holds_both_keys() {
    let secret = serde_json::to_value(made(&order(), [key(1), key(2)], Some("primary 1"), 0)).unwrap();
    let base64 = |key: &Key| json!(ByteString(key.as_str().as_bytes().to_vec()));
    assert_eq!(secret["data"], json!({ "primary": base64(&key(1)), "secondary": base64(&key(2)) }));
    let owner = json!({ "apiVersion": "sallyport.dev/v1alpha1", "kind": "Subscription", "name": "orders", "uid": "u1", "controller": true });
    assert_eq!(secret["metadata"]["ownerReferences"], json!([owner]));
    let annotations = &secret["metadata"]["annotations"];
    assert_eq!(annotations["sallyport.dev/primary-made"], "1970-01-01T00:00:00Z");
    assert_eq!(annotations["sallyport.dev/rotated"], "primary 1");
}

/// What the Secret holds after the change (RFC 7386).
fn after(renewal: &Renewal, secret: &Secret) -> Value {
    let mut stored = serde_json::to_value(secret).unwrap();
    let change = renewed(secret, "7", renewal, &key(3), NOW_S);
    assert_eq!((&change["metadata"]["resourceVersion"], &change["metadata"]["uid"]), (&json!("7"), &json!("s1")));
    for part in [&["data"][..], &["metadata", "annotations"]] {
        let pointer = format!("/{}", part.join("/"));
        let members = change.pointer(&pointer).unwrap().as_object().unwrap().clone();
        let whole = stored.pointer_mut(&pointer).unwrap().as_object_mut().unwrap();
        for (name, value) in members {
            if value.is_null() { drop(whole.remove(&name)) } else { drop(whole.insert(name, value)) }
        }
    }
    stored
}

fn held(secret: &Value, name: KeyName) -> String {
    let bytes: ByteString = serde_json::from_value(secret["data"][name.as_str()].clone()).unwrap();
    String::from_utf8(bytes.0).unwrap()
}

#[test]
fn by_hand_one_key_is_replaced_and_the_other_goes_on() {
    for (text, [primary, secondary]) in [("primary x", [3, 2]), ("secondary x", [1, 3])] {
        let secret = after(&Renewal::ByHand(text.parse().unwrap()), &stored());
        assert_eq!(held(&secret, KeyName::Primary), key(primary).as_str(), "{text}");
        assert_eq!(held(&secret, KeyName::Secondary), key(secondary).as_str(), "{text}");
        assert_eq!(secret["metadata"]["annotations"]["sallyport.dev/rotated"], text);
    }
}

#[test]
fn by_the_clock_the_key_before_goes_on_as_secondary_until_its_end() {
    let secret = after(&Renewal::Primary { ends_s: NOW_S + HOUR_S }, &stored());
    assert_eq!(
        [KeyName::Primary, KeyName::Secondary].map(|name| held(&secret, name)),
        [key(3), key(1)].map(|key| key.as_str().to_owned())
    );
    let annotations = secret["metadata"]["annotations"].clone();
    let before = stored().metadata.annotations.unwrap()["sallyport.dev/primary-made"].clone();
    assert_eq!(annotations["sallyport.dev/secondary-made"], before);
    assert!(annotations["sallyport.dev/secondary-ends"].is_string());
    let secret = after(&Renewal::Secondary, &serde_json::from_value(secret).unwrap());
    assert_eq!(held(&secret, KeyName::Secondary), key(3).as_str());
    assert_eq!(
        secret["metadata"]["annotations"].get("sallyport.dev/secondary-ends"),
        None,
        "it ends no more by itself"
    );
}

#[test]
fn without_a_primary_nothing_takes_its_place_as_secondary() {
    let mut secret = stored();
    drop(secret.data.as_mut().unwrap().remove("primary"));
    let secret = after(&Renewal::Primary { ends_s: NOW_S }, &secret);
    assert_eq!(
        [KeyName::Primary, KeyName::Secondary].map(|name| held(&secret, name)),
        [key(3), key(2)].map(|key| key.as_str().to_owned())
    );
}

proptest! {
    /// Whatever its annotations say, a Secret comes to rest: what is made anew is not due again at once.
    #[test]
    fn rotation_comes_to_rest(primary_made_s: i64, ends_s: Option<i64>, created_s in 0..NOW_S) {
        let mut made = Made { primary_made_s, secondary_ends_s: ends_s, created_s, ..secret_made() };
        for _ in 0..3 {
            match renewed_of(made.clone(), Some(SCHEDULE), None) {
                None => return Ok(()),
                Some(Renewal::Primary { ends_s }) => {
                    (made.primary_made_s, made.secondary_ends_s) = (NOW_S, Some(ends_s));
                }
                Some(Renewal::Secondary) => made.secondary_ends_s = None,
                Some(Renewal::ByHand(_)) => prop_assert!(false, "nobody has asked"),
            }
        }
        prop_assert_eq!(renewed_of(made, Some(SCHEDULE), None), None);
    }
}
