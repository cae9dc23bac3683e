//! A stream as it was recorded when the contract was frozen: it reads as it did then, and is written as it was.

use prost::Message;
use sallyport_snapshot::v1::{self, Kind, message, report, resource::Body};
use sallyport_snapshot::{Hash, Name, Versioned};

use super::frozen;

fn reads_and_writes<M: Message + Default + PartialEq>(name: &str, value: &M) {
    let recorded = frozen(&format!("v1/{name}.binpb"), &value.encode_to_vec());
    assert!(M::decode(recorded.as_slice()).unwrap() == *value, "{name} reads as something else");
    assert!(value.encode_to_vec() == recorded, "{name} is written in another way");
}

fn subscription() -> Versioned {
    let api = |kind: &str, name: &str| v1::ObjectRef { kind: kind.into(), namespace: "shop".into(), name: name.into() };
    let routes = vec![api("HTTPRoute", "orders"), api("GRPCRoute", "stock")];
    Versioned::new(Body::Subscription(v1::Subscription {
        owner: "shop/consumer".into(),
        scope: Some(v1::subscription::Scope::Apis(v1::Apis { routes })),
        state: v1::subscription::State::Active.into(),
        not_before_s: Some(1_700_000_000),
        expires_s: Some(1_900_000_000),
        primary_sha256: vec![1; 32].into(),
        secondary_sha256: vec![2; 32].into(),
    }))
}

fn certificate() -> Versioned {
    Versioned::new(Body::Certificate(v1::Certificate {
        chain: vec![vec![3; 40].into(), vec![4; 40].into()],
        private_key: Some(v1::Secret { value: vec![5; 40].into() }),
        encoding: v1::certificate::KeyEncoding::Pkcs1.into(),
        not_after_s: 1_900_000_000,
        unusable: String::new(),
    }))
}

fn name(kind: Kind, name: &str) -> Option<v1::ResourceName> {
    Some(Name::new(kind, name).to_wire())
}

fn held(kind: Kind, of: &str) -> v1::HeldResource {
    v1::HeldResource { name: name(kind, of), hash: Hash::of_bytes(of.as_bytes()).as_bytes().to_vec().into() }
}

fn rejected() -> v1::Rejected {
    v1::Rejected { name: name(Kind::Certificate, "shop/tls"), why: "the key does not match: \u{e9}".into() }
}

fn issuer() -> v1::Report {
    let health = v1::IssuerHealth {
        key_set: "https://issuer.example".into(),
        state: v1::issuer_health::State::Stale.into(),
        message: "it does not answer".into(),
    };
    v1::Report { report: Some(report::Report::Issuer(health)) }
}

fn from_data_plane(one: message::Message) -> v1::Message {
    v1::Message { message: Some(one) }
}

#[test]
fn a_hello_reads_as_it_did() {
    let hello = v1::Hello {
        held: vec![held(Kind::Gateway, "shop/public"), held(Kind::Certificate, "shop/tls")],
        rejected: vec![rejected()],
        more: true,
    };
    reads_and_writes("hello", &from_data_plane(message::Message::Hello(hello)));
}

#[test]
fn an_update_reads_as_it_did_and_its_resources_have_their_hashes() {
    let resource = |kind, of: &str, resource: &Versioned| v1::VersionedResource {
        name: name(kind, of),
        hash: resource.hash().as_bytes().to_vec().into(),
        resource: resource.to_wire().into(),
    };
    let update = v1::Update {
        nonce: 7,
        changed: vec![
            resource(Kind::Subscription, "shop/consumer", &subscription()),
            resource(Kind::Certificate, "shop/tls", &certificate()),
        ],
        removed: vec![Name::new(Kind::Route, "HTTPRoute/shop/old").to_wire()],
        more: false,
    };
    reads_and_writes("update", &update);
    let recorded = v1::Update::decode(frozen("v1/update.binpb", &update.encode_to_vec()).as_slice()).unwrap();
    let bodies = [subscription(), certificate()];
    for (one, body) in recorded.changed.iter().zip(bodies) {
        let read = Versioned::from_wire(&one.resource).unwrap();
        assert_eq!(read.hash().as_bytes(), one.hash.as_ref());
        assert_eq!(read.body(), body.body());
        // Or whoever comes back after an upgrade is sent all of it once more.
        assert_eq!(Versioned::new(read.body().as_ref().clone()).hash(), read.hash());
    }
}

#[test]
fn an_ack_reads_as_it_did() {
    let ack = v1::Ack { nonce: 7, rejected: vec![rejected()], more: false };
    reads_and_writes("ack", &from_data_plane(message::Message::Ack(ack)));
}

#[test]
fn a_report_reads_as_it_did() {
    reads_and_writes("report", &from_data_plane(message::Message::Report(issuer())));
}

#[test]
fn standings_read_as_they_did() {
    let of = |change| v1::Standing { gateway: "shop/public".into(), pod: "public-1".into(), change: Some(change) };
    let acknowledged = v1::Acknowledged {
        changed: vec![held(Kind::Gateway, "shop/public")],
        removed: vec![Name::new(Kind::Policy, "old").to_wire()],
        rejected: vec![rejected()],
        more: true,
    };
    reads_and_writes("acknowledged", &of(v1::standing::Change::Acknowledged(acknowledged)));
    reads_and_writes("reported", &of(v1::standing::Change::Report(issuer())));
    reads_and_writes("gone", &of(v1::standing::Change::Gone(v1::Gone {})));
    let complete = v1::standing::Change::Complete(v1::Complete {});
    reads_and_writes("complete", &v1::Standing { change: Some(complete), ..v1::Standing::default() });
}
