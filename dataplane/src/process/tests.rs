//! What an update is answered.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;

use bytes::Bytes;
use sallyport_snapshot::v1::resource::Body;

use super::*;
use crate::server::socket::Binding;
use crate::settings::Environment;

async fn plane() -> (DataPlane, mpsc::UnboundedReceiver<v1::Report>) {
    let settings = Settings {
        workers: NonZeroUsize::MIN,
        binding: Binding { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port_offset: 0, keeps_high_ports: false },
        admin: None,
        environment: Environment::Standalone,
        api_server: None,
        explains: None,
    };
    let (reports, receiver) = mpsc::unbounded_channel();
    let (clock, access_log, traces) = (Clock::default(), AccessLog::off(), Traces::off());
    (DataPlane::start(settings, Surroundings { clock, access_log, traces, reports }).await.unwrap(), receiver)
}

fn resource(kind: i32, name: &str, body: Body) -> v1::VersionedResource {
    let versioned = Versioned::new(body);
    v1::VersionedResource {
        name: Some(v1::ResourceName { kind, name: name.into() }),
        hash: versioned.hash().as_bytes().to_vec().into(),
        resource: versioned.to_wire().into(),
    }
}

fn product() -> Body {
    Body::Product(v1::Product::default())
}

fn named(ack: &v1::Ack) -> Vec<(i32, String)> {
    let names = ack.rejected.iter().map(|one| one.name.clone().unwrap_or_default());
    names.map(|name| (name.kind, name.name)).collect()
}

const PRODUCT: i32 = Kind::Product as i32;
/// No kind that is known here.
const UNKNOWN: i32 = 4711;

#[tokio::test]
async fn an_answer_names_all_that_is_not_in_force_as_it_was_sent() {
    let (plane, _reports) = plane().await;
    let mut nonce = 0;
    let mut apply = |changed: Vec<v1::VersionedResource>, removed: Vec<v1::ResourceName>| {
        nonce += 1;
        let ack = plane.apply(&v1::Update { nonce, changed, removed, more: false });
        let count = format!("sallyport_configuration_rejected_resources {}\n", ack.rejected.len());
        assert!(plane.shared.metrics.text().contains(&count), "{count}");
        named(&ack)
    };
    let spoilt = v1::VersionedResource { hash: vec![0; 16].into(), ..resource(PRODUCT, "spoilt", product()) };
    let empty = v1::VersionedResource { resource: Bytes::new(), ..resource(PRODUCT, "empty", product()) };
    // A resource of one field, which is not known here.
    let hollow =
        v1::VersionedResource { resource: vec![0xc0, 0x3e, 1].into(), ..resource(PRODUCT, "hollow", product()) };
    let mistaken = resource(Kind::Policy.into(), "mistaken", product());
    let unknown = resource(UNKNOWN, "unknown", product());
    let unnamed = v1::VersionedResource { name: None, ..resource(PRODUCT, "", product()) };
    let good = resource(PRODUCT, "good", product());
    let sent = vec![spoilt, empty, hollow, mistaken, unknown, resource(PRODUCT, "", product()), unnamed, good.clone()];
    let all = [
        (Kind::Policy.into(), "mistaken"),
        (PRODUCT, "empty"),
        (PRODUCT, "hollow"),
        (PRODUCT, "spoilt"),
        (UNKNOWN, "unknown"),
        (PRODUCT, ""),
        (0, ""),
    ]
    .map(|(kind, name)| (kind, name.to_owned()));
    assert_eq!(apply(sent, vec![]), all);
    assert_eq!(apply(vec![good], vec![]), all, "another change is not their business");
    let gone = v1::ResourceName { kind: UNKNOWN, name: "unknown".into() };
    let left = apply(vec![resource(PRODUCT, "spoilt", product())], vec![gone]);
    assert_eq!(left.len(), 5, "{left:?}");
    assert!(!left.iter().any(|(_, name)| name == "spoilt" || name == "unknown"), "{left:?}");
}
