//! The real data plane at the end of the stream: what it serves, and what it says of itself.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use sallyport_controller::publish::Enforced;
use sallyport_dataplane::clock::Clock;
use sallyport_dataplane::follow::follow;
use sallyport_dataplane::observe::access_log::AccessLog;
use sallyport_dataplane::observe::traces::Traces;
use sallyport_dataplane::process::{DataPlane, Surroundings};
use sallyport_dataplane::server::socket::Binding;
use sallyport_dataplane::settings::{Environment, Settings};
use sallyport_snapshot::v1::{self, Kind, resource::Body};
use sallyport_snapshot::{Hash, Name, Snapshot, Versioned};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::kit::controller::Controller;
use crate::kit::raw::Raw;
use crate::kit::{enforced, pod, publish, standing, standings, within};

const PORT: u16 = 8080;

struct Real {
    plane: Arc<DataPlane>,
    ip: std::net::IpAddr,
    task: JoinHandle<()>,
}

impl Real {
    async fn of(controller: &Controller, name: &str) -> Self {
        controller.tokens.admit(name, &pod("public", name));
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let ip = std::net::Ipv4Addr::new(127, high, low, 200).into();
        let settings = Settings {
            workers: NonZeroUsize::MIN,
            binding: Binding { ip, port_offset: 0, keeps_high_ports: false },
            admin: Some(SocketAddr::from((ip, 0))),
            environment: Environment::Standalone,
            api_server: None,
            explains: None,
        };
        let (reports, receiver) = mpsc::unbounded_channel();
        let (clock, access_log, traces) = (Clock::default(), AccessLog::off(), Traces::off());
        let plane = DataPlane::start(settings, Surroundings { clock, access_log, traces, reports }).await.unwrap();
        let plane = Arc::new(plane);
        let task = tokio::spawn(follow(controller.whereabouts(name), Arc::clone(&plane), receiver));
        Self { plane, ip, task }
    }

    /// The status and the text that the admin port answers.
    async fn admin(&self, path: &str) -> (u16, String) {
        get(self.plane.admin().unwrap(), path).await
    }

    /// Waits until the admin port answers with `text`.
    async fn says(&self, path: &str, text: &str) {
        within(text, async {
            while !self.admin(path).await.1.contains(text) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// A Gateway with one listener, and what else it is given.
fn gateway(more: impl IntoIterator<Item = (&'static str, Body)>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.insert("shop/public", Body::Gateway(v1::Gateway::default()));
    let listener = v1::Listener { gateway: "shop/public".into(), port: PORT.into(), ..v1::Listener::default() };
    snapshot.insert("shop/public/http", Body::Listener(listener));
    for (name, body) in more {
        snapshot.insert(name, body);
    }
    snapshot
}

#[tokio::test]
async fn it_is_ready_when_all_of_the_first_update_is_in_force_and_not_before() {
    let mut controller = Controller::start().await;
    let a = pod("public", "a");
    let real = Real::of(&controller, "a").await;
    real.says("/metrics", "sallyport_controller_connected 1\n").await;
    assert_eq!(real.admin("/readyz").await.0, 503, "a controller that has nothing to say makes nobody ready");
    let wanted = gateway([]);
    publish(&controller.fleet, &[("public", &wanted)]);
    enforced(&controller.fleet, &a, &wanted).await;
    assert_eq!(real.admin("/readyz").await.0, 200);
    let address = SocketAddr::new(real.ip, PORT);
    assert_eq!(get(address, "/").await.0, 404);

    controller.stop().await;
    real.says("/metrics", "sallyport_controller_connected 0\n").await;
    assert_eq!(real.admin("/readyz").await.0, 200, "it goes on serving");
    assert_eq!(get(address, "/").await.0, 404);

    controller.restart().await;
    publish(&controller.fleet, &[("public", &wanted)]);
    enforced(&controller.fleet, &a, &wanted).await;
    assert_eq!(controller.fleet.counters().resources, 0, "it says itself what it has");
    assert_eq!(get(address, "/").await.0, 404);
}

#[tokio::test]
async fn what_it_rejects_is_told_and_told_again_to_the_next_controller() {
    let mut controller = Controller::start().await;
    let a = pod("public", "a");
    let broken = v1::Certificate { chain: vec![Bytes::from_static(b"no certificate")], ..v1::Certificate::default() };
    let wanted = gateway([("shop/broken", Body::Certificate(broken))]);
    let name = Name::new(Kind::Certificate, "shop/broken");
    publish(&controller.fleet, &[("public", &wanted)]);
    let real = Real::of(&controller, "a").await;
    let is_rejected = |standings: &sallyport_controller::fleet::Standings| {
        standing(standings, &a).is_some_and(|one| matches!(one.enforces(&wanted, &name), Enforced::Rejected(_)))
    };
    standings(&controller.fleet, "a rejection", is_rejected).await;
    controller.restart().await;
    standings(&controller.fleet, "the same from itself", is_rejected).await;
    let mended = gateway([]);
    publish(&controller.fleet, &[("public", &mended)]);
    enforced(&controller.fleet, &a, &mended).await;
    real.says("/metrics", "sallyport_configuration_rejected_resources 0\n").await;
}

/// An update as a newer controller would send it.
#[tokio::test]
async fn kinds_of_a_newer_version_are_rejected_by_name_and_fields_are_passed_over() {
    let controller = Controller::start().await;
    let mut real = Real::of(&controller, "a").await;
    real.says("/metrics", "sallyport_controller_connected 1\n").await;
    real.task.abort();
    // Applied as the stream would: what a controller of this version cannot send.
    let resource = |kind: i32, name: &str, encoded: Vec<u8>| v1::VersionedResource {
        name: Some(v1::ResourceName { kind, name: name.into() }),
        hash: Hash::of_bytes(&encoded).as_bytes().to_vec().into(),
        resource: encoded.into(),
    };
    let mut extended = Versioned::new(Body::Product(v1::Product::default())).to_wire();
    // Field 1000, a varint: 1000 << 3 is 8000.
    extended.extend([0xc0, 0x3e, 1]);
    let update = v1::Update {
        nonce: 1,
        changed: vec![
            resource(Kind::Product.into(), "extended", extended),
            resource(4711, "unknown", vec![0xc2, 0x3e, 0]),
        ],
        ..v1::Update::default()
    };
    let ack = real.plane.apply(&update);
    let rejected: Vec<_> = ack.rejected.iter().filter_map(|one| one.name.clone()).collect();
    assert_eq!(rejected, [v1::ResourceName { kind: 4711, name: "unknown".into() }]);
    assert!(ack.rejected[0].why.contains("use a controller and a data plane that fit"));
    real.task = tokio::spawn(async {});
}

#[tokio::test]
async fn two_that_show_the_same_token_are_one_and_the_older_leaves() {
    let controller = Controller::start().await;
    let a = pod("public", "a");
    let wanted = gateway([]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let _real = Real::of(&controller, "a").await;
    enforced(&controller.fleet, &a, &wanted).await;
    let mut raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    assert_eq!(raw.update().await.changed.len(), 2);
    // The real one comes back, and what it has counts.
    enforced(&controller.fleet, &a, &wanted).await;
}
