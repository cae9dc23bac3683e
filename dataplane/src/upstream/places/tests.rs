use super::*;
use crate::settings::Environment;

/// Two ready addresses under any name.
struct Two;

impl Parts for Two {
    fn endpoints(&self, name: &str) -> Option<&v1::Endpoints> {
        static READY: std::sync::OnceLock<v1::Endpoints> = std::sync::OnceLock::new();
        let ready = || vec![ip("10.0.0.1"), ip("10.0.0.2")];
        (name == "two").then(|| READY.get_or_init(|| v1::Endpoints { ready: ready() }))
    }

    fn certificate(&self, _name: &str) -> Option<&v1::Certificate> {
        None
    }
}

fn ip(ip: &str) -> v1::Address {
    v1::Address { ip: ip.into(), port: 80 }
}

fn endpoint(source: Source, priority: u32, weight: u32) -> v1::EndpointSource {
    v1::EndpointSource { source: Some(source), priority, weight }
}

fn one(address: &str, priority: u32, weight: u32) -> v1::EndpointSource {
    endpoint(Source::Address(ip(address)), priority, weight)
}

fn built(endpoints: Vec<v1::EndpointSource>) -> Places {
    Places::build(&v1::Backend { endpoints, ..v1::Backend::default() }, &Two).unwrap()
}

fn text(place: &Place) -> String {
    match place {
        Place::Address(address) | Place::PlainAddress(address) => address.ip().to_string(),
        Place::Host(name, _) | Place::PlainHost(name, _) => name.to_string(),
    }
}

fn order(places: &Places, turn: u64) -> Vec<String> {
    places.order(turn).map(text).collect()
}

/// How many of 1,000 turns each place is the `nth` of.
fn shares(places: &Places, nth: usize) -> BTreeMap<String, u64> {
    let mut shares = BTreeMap::new();
    for turn in 500..1500 {
        if let Some(place) = places.order(turn).nth(nth) {
            *shares.entry(text(place)).or_default() += 1;
        }
    }
    shares
}

fn assert_near(shares: &BTreeMap<String, u64>, expected: &[(&str, u64)]) {
    assert_eq!(shares.len(), expected.len(), "{shares:?}");
    for (name, share) in expected {
        assert!(shares[*name].abs_diff(*share) <= 10, "{name} of {shares:?}");
    }
}

#[test]
fn an_endpoint_has_the_share_that_its_weight_says() {
    let places = built(vec![one("10.0.0.8", 0, 1), one("10.0.0.9", 0, 3)]);
    assert_near(&shares(&places, 0), &[("10.0.0.8", 250), ("10.0.0.9", 750)]);
    let unstated = built(vec![one("10.0.0.8", 0, 0), one("10.0.0.9", 0, 1)]);
    assert_near(&shares(&unstated, 0), &[("10.0.0.8", 500), ("10.0.0.9", 500)]);
}

#[test]
fn the_addresses_of_an_endpoint_divide_its_share() {
    let places = built(vec![endpoint(Source::Endpoints("two".into()), 0, 1), one("10.0.0.9", 0, 1)]);
    assert_near(&shares(&places, 0), &[("10.0.0.1", 250), ("10.0.0.2", 250), ("10.0.0.9", 500)]);
}

#[test]
fn shares_come_without_bursts() {
    let places = built(vec![one("10.0.0.8", 0, 1000), one("10.0.0.9", 0, 1000)]);
    let turns: Vec<_> = (0..1000).map(|turn| order(&places, turn).remove(0)).collect();
    assert!(turns.windows(4).all(|four| four.iter().any(|one| *one != four[0])), "four times the same");
    // Turns that another Backend takes in between leave every second one.
    let half = turns.iter().step_by(2).filter(|one| *one == "10.0.0.8").count();
    assert!(half.abs_diff(250) <= 10, "{half} of 500");
}

#[test]
fn a_thousand_weights_of_a_thousand_take_no_more_room_than_weights_of_one() {
    let many = (0..1000).map(|number| one(&format!("10.0.{}.{}", number / 250, number % 250), 0, 1000));
    let places = built(many.collect());
    assert_eq!((places.0[0].places.len(), places.0[0].sums.len()), (1000, 1000));
}

#[test]
fn a_dead_endpoint_is_tried_once_whatever_its_weight() {
    let places = built(vec![one("10.0.0.8", 0, 1000), one("10.0.0.9", 0, 1)]);
    for turn in 0..1000 {
        let mut order = order(&places, turn);
        order.sort();
        assert_eq!(order, ["10.0.0.8", "10.0.0.9"]);
    }
    let twice = built(vec![one("10.0.0.8", 0, 1), one("10.0.0.8", 0, 1), one("10.0.0.9", 0, 2)]);
    assert_eq!(order(&twice, 7).len(), 2, "the same place is one place");
    assert_near(&shares(&twice, 0), &[("10.0.0.8", 500), ("10.0.0.9", 500)]);
}

#[test]
fn what_falls_to_a_dead_endpoint_is_spread_over_the_others() {
    let places = built((1..=4).map(|number| one(&format!("10.0.0.{number}"), 0, 1)).collect());
    let second = shares(&places, 1);
    assert!(second.len() == 4 && second.values().all(|share| *share > 150), "{second:?}");
}

#[test]
fn the_next_priority_follows_however_many_the_first_has() {
    let first = (1..=9).map(|number| one(&format!("10.0.0.{number}"), 0, 1));
    let places = built(first.chain([one("10.1.0.1", 1, 1), one("10.8.0.1", 8, 1)]).collect());
    for turn in 0..100 {
        let order = order(&places, turn);
        assert_eq!(order.len(), 5, "{order:?}");
        assert!(order[..3].iter().all(|one| one.starts_with("10.0.")), "{order:?}");
        assert_eq!(order[3..], ["10.1.0.1", "10.8.0.1"]);
    }
}

#[test]
fn attempts_are_bounded() {
    let of = |priority: u32| (1..=9).map(move |number| one(&format!("10.{priority}.0.{number}"), priority, 1));
    let places = built((0..=8).flat_map(of).collect());
    assert_eq!(order(&places, 3).len(), MAX_ATTEMPTS);
}

#[test]
fn without_an_endpoint_there_is_no_place() {
    assert!(order(&built(vec![]), 1).is_empty());
    let broken =
        |source| Places::build(&v1::Backend { endpoints: vec![source], ..v1::Backend::default() }, &Two).is_err();
    assert!(broken(endpoint(Source::Endpoints("none".into()), 0, 1)));
    assert!(broken(one("nonsense", 0, 1)));
    assert!(broken(endpoint(Source::Address(v1::Address { ip: "10.0.0.1".into(), port: 0 }), 0, 1)));
    assert!(broken(v1::EndpointSource { source: None, priority: 0, weight: 1 }));
}

fn leave(allow: &[&str], plaintext: &[&str]) -> Option<Leave> {
    let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
    Leave::of_gateway(&v1::Egress { allow: owned(allow), plaintext: owned(plaintext) }).unwrap()
}

#[test]
fn plain_http_takes_leave_and_so_does_an_address_that_is_refused() {
    let address = |ip: &str| Place::PlainAddress(SocketAddr::new(ip.parse().unwrap(), 80));
    let host = |name: &str| Place::PlainHost(name.into(), 80);
    let rules = AddressRules::of(Environment::Cluster);
    for (place, allow, plaintext, refused) in [
        (address("10.0.0.1"), &[][..], &["10.0.0.0/8"][..], false),
        (address("10.0.0.1"), &["10.0.0.1"], &[], true),
        (address("127.0.0.1"), &[], &["127.0.0.1"], true),
        (address("127.0.0.1"), &["127.0.0.1"], &[], true),
        (address("127.0.0.1"), &["127.0.0.1"], &["127.0.0.1"], false),
        (address("::ffff:169.254.169.254"), &["127.0.0.1"], &["::/0", "0.0.0.0/0"], true),
        (Place::Address(SocketAddr::from(([127, 0, 0, 1], 80))), &[], &["127.0.0.1"], true),
        (host("a.example"), &[], &[], true),
        (host("a.example"), &[], &["*.a.example", "b.example"], true),
        (host("a.example"), &[], &["a.example"], false),
    ] {
        let leave = leave(allow, plaintext);
        let found = place.address(Allowed { rules: &rules, leave: leave.as_ref() });
        let is_refused = matches!(&found, Some(Err(failure)) if failure.is_refusal());
        assert_eq!(is_refused, refused, "{place:?} {allow:?} {plaintext:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_name_that_may_be_spoken_to_opens_no_address() {
    let leave = leave(&["127.0.0.9"], &["localhost"]);
    let allowed = Allowed { rules: &AddressRules::of(Environment::Cluster), leave: leave.as_ref() };
    let place = Place::PlainHost("localhost".into(), 80);
    assert!(place.address(allowed).is_none(), "it has to be looked up");
    let found = place.resolve(&Names::of_system(), allowed).await;
    assert!(matches!(found, Err(UpstreamFailure::Forbidden { .. })), "{found:?}");
}
