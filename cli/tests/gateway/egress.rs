//! `egress` of GatewayParameters, as it is enforced in a cluster: what a class opens is called, and everything else is refused, by the
//! address that would be dialled.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;

use rstest::rstest;
use sallyport_controller::cluster::ClusterState;
use sallyport_controller::compile::compile;
use sallyport_controller::graph::{Environment, Graph};
use sallyport_controller::manifest::{self, SourceFile};
use sallyport_controller::publish::Replica;
use sallyport_dataplane::clock::Clock;
use sallyport_dataplane::observe::access_log::AccessLog;
use sallyport_dataplane::observe::traces::Traces;
use sallyport_dataplane::process::{DataPlane, Surroundings};
use sallyport_dataplane::server::socket::Binding;
use sallyport_dataplane::settings::{self, Settings};
use tokio::sync::mpsc;

use crate::kit::caller::{get, send};
use crate::kit::gateway::{HTTP, own_address};
use crate::kit::manifest::{OPEN, backend, gateway_with, pem, policy, route};
use crate::kit::pki::Authority;
use crate::kit::service::Service;

/// A data plane as it runs in a cluster.
struct InCluster {
    plane: DataPlane,
    replica: Replica,
    ip: IpAddr,
    /// Problems of Backends, from the same graph.
    problems: Vec<String>,
}

impl InCluster {
    async fn start(manifests: &str) -> Self {
        let ip = own_address();
        let settings = Settings {
            workers: NonZeroUsize::MIN,
            binding: Binding { ip, port_offset: 0, keeps_high_ports: false },
            admin: None,
            environment: settings::Environment::Cluster,
            api_server: None,
            explains: None,
        };
        let (reports, _) = mpsc::unbounded_channel();
        let (clock, access_log, traces) = (Clock::default(), AccessLog::off(), Traces::off());
        let plane = DataPlane::start(settings, Surroundings { clock, access_log, traces, reports }).await.unwrap();
        let mut world = Self { plane, replica: Replica::default(), ip, problems: vec![] };
        world.write(manifests);
        world
    }

    fn write(&mut self, manifests: &str) {
        let loaded = manifest::load(&[SourceFile { path: "manifests".into(), text: manifests.to_owned() }]);
        let mut cluster = ClusterState::default();
        for object in loaded.objects {
            cluster.apply(object.name, object.object);
        }
        let graph = Graph::build(&cluster, Environment::Cluster);
        let problems = graph.backends.values().flat_map(|backend| &backend.problems);
        self.problems = problems.map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
        if let Some(update) = self.replica.update(&compile(&graph, &cluster).snapshot) {
            let ack = self.plane.apply(&update);
            assert!(ack.rejected.is_empty(), "{:?}", ack.rejected);
            self.replica.acknowledge(&ack);
        }
    }

    async fn verdict(&self, port: u16) -> String {
        send(SocketAddr::from((self.ip, port)), get("/open", &[])).await.verdict()
    }
}

/// A Backend in plain HTTP that states `endpoints`.
fn plain(endpoints: &str) -> String {
    format!(
        "
---
apiVersion: sallyport.dev/v1alpha1
kind: Backend
metadata: {{name: shop, namespace: shop}}
spec: {{endpoints: [{endpoints}]}}
"
    )
}

fn world(egress: &str, endpoints: &str) -> String {
    let parts =
        [gateway_with(&format!("{{egress: {egress}}}")), route("open", "shop"), policy("open", OPEN), plain(endpoints)];
    parts.concat()
}

fn at(service: &Service) -> String {
    format!("{{address: {{ip: 127.0.0.1, port: {}}}}}", service.address.port())
}

fn named(service: &Service, host: &str) -> String {
    format!("{{host: {{name: {host}, port: {}}}}}", service.address.port())
}

#[tokio::test]
async fn what_a_class_opens_is_called() {
    let service = Service::start().await;
    let world_at = world("{allow: [127.0.0.1], plaintext: [127.0.0.0/8]}", &at(&service));
    let mut gateway = InCluster::start(&world_at).await;
    assert_eq!((gateway.verdict(HTTP).await.as_str(), gateway.problems.len()), ("200", 0), "{:?}", gateway.problems);
    gateway.write(&world("{allow: [127.0.0.1, \"::1\"], plaintext: [localhost]}", &named(&service, "LocalHost")));
    assert_eq!((gateway.verdict(HTTP).await.as_str(), gateway.problems.len()), ("200", 0), "{:?}", gateway.problems);
}

#[rstest]
#[case::nothing_is_stated("{}")]
#[case::empty_lists("{allow: [], plaintext: []}")]
#[case::an_address_without_plain_http("{allow: [127.0.0.1]}")]
#[case::plain_http_without_the_address("{plaintext: [127.0.0.1]}")]
#[case::another_address("{allow: [127.0.0.2], plaintext: [127.0.0.1]}")]
#[case::plain_http_to_another("{allow: [127.0.0.1], plaintext: [127.0.0.2, localhost, \"*.localhost\"]}")]
#[case::everything_is_no_word("{allow: [0.0.0.0/0], plaintext: [0.0.0.0/0]}")]
#[tokio::test]
async fn what_is_not_opened_is_refused_and_told_of(#[case] egress: &str) {
    let service = Service::start().await;
    let gateway = InCluster::start(&world(egress, &at(&service))).await;
    assert_eq!(gateway.verdict(HTTP).await, "500 configuration");
    assert!(gateway.problems.concat().contains("spec.endpoints[0].address.ip: 127.0.0.1"), "{:?}", gateway.problems);
    assert!(gateway.problems.concat().contains("GatewayParameters"), "{:?}", gateway.problems);
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_name_leads_to_no_address_that_is_refused() {
    let service = Service::start().await;
    let endpoints = named(&service, "localhost");
    let mut gateway = InCluster::start(&world("{plaintext: [localhost]}", &endpoints)).await;
    assert!(gateway.problems.is_empty(), "nobody knows yet where it leads: {:?}", gateway.problems);
    assert_eq!(gateway.verdict(HTTP).await, "500 configuration");
    gateway.write(&world("{allow: [127.0.0.2, \"fe80::/10\"], plaintext: [localhost]}", &endpoints));
    assert_eq!(gateway.verdict(HTTP).await, "500 configuration");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn over_tls_an_address_has_to_be_opened_as_well() {
    let authority = Authority::new("services");
    let service = Service::with_tls(authority.issue(&["shop.example"]).server(&["http/1.1"])).await;
    let tls = "tls: {validation: {hostname: shop.example, caCertificateRefs: [{kind: ConfigMap, name: ca}]}}";
    let with = |egress: &str| {
        let parts = [
            gateway_with(&format!("{{egress: {egress}}}")),
            route("open", "shop"),
            policy("open", OPEN),
            backend("shop", service.address, tls),
            pem("ConfigMap", "ca", &[("ca.crt", &authority.pem())]),
        ];
        parts.concat()
    };
    let mut gateway = InCluster::start(&with("{plaintext: [127.0.0.1]}")).await;
    assert_eq!(gateway.verdict(HTTP).await, "500 configuration");
    assert!(gateway.problems.concat().contains("loopback is refused"), "{:?}", gateway.problems);
    assert_eq!(service.count(), 0);
    gateway.write(&with("{allow: [127.0.0.1]}"));
    assert_eq!(gateway.verdict(HTTP).await, "200", "{:?}", gateway.problems);
}

#[tokio::test]
async fn what_is_taken_back_is_not_called_on_a_connection_that_is_kept() {
    let service = Service::start().await;
    let mut gateway = InCluster::start(&world("{allow: [127.0.0.1], plaintext: [127.0.0.1]}", &at(&service))).await;
    assert_eq!(gateway.verdict(HTTP).await, "200");
    service.take();
    gateway.write(&world("{allow: [], plaintext: [127.0.0.1]}", &at(&service)));
    assert_eq!(gateway.verdict(HTTP).await, "500 configuration");
    assert_eq!(service.count(), 0);
}

/// A second Gateway of the same class, at another port, which takes part of what the class opens.
fn second(egress: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: second, namespace: shop}}
spec:
  gatewayClassName: sallyport
  infrastructure: {{parametersRef: {{group: sallyport.dev, kind: GatewayParameters, name: own}}}}
  listeners: [{{name: http, port: 8081, protocol: HTTP}}]
---
apiVersion: sallyport.dev/v1alpha1
kind: GatewayParameters
metadata: {{name: own, namespace: shop}}
spec: {{egress: {egress}}}
"
    )
}

#[rstest]
#[case::the_address("{allow: []}")]
#[case::plain_http("{plaintext: []}")]
#[case::both("{allow: [], plaintext: []}")]
#[case::another_address("{allow: [127.0.0.9]}")]
#[case::wider_is_no_part("{allow: [127.0.0.0/8], plaintext: [127.0.0.0/7]}")]
#[tokio::test]
async fn what_a_gateway_takes_back_is_refused_there_and_nowhere_else(#[case] egress: &str) {
    let service = Service::start().await;
    let class = "{allow: [127.0.0.1-127.0.0.9], plaintext: [127.0.0.1]}";
    let both = world(class, &at(&service))
        .replace("parentRefs: [{name: public}]", "parentRefs: [{name: public}, {name: second}]");
    let gateway = InCluster::start(&format!("{both}{}", second(egress))).await;
    for _ in 0..3 {
        assert_eq!(gateway.verdict(HTTP).await, "200", "{:?}", gateway.problems);
        assert_eq!(gateway.verdict(8081).await, "500 configuration", "not on a connection that is kept either");
    }
    assert_eq!(service.count(), 3);
    let told = gateway.problems.concat();
    assert!(told.contains("by Gateway shop/second, which refuses it"), "{told}");
}

#[tokio::test]
async fn a_refusal_does_not_fall_to_another_endpoint() {
    let service = Service::start().await;
    let endpoints = format!("{}, {{host: {{name: localhost, port: 1}}, priority: 1}}", at(&service));
    let class = "{allow: [127.0.0.1, \"::1\"], plaintext: [127.0.0.1, localhost]}";
    let both = world(class, &endpoints)
        .replace("parentRefs: [{name: public}]", "parentRefs: [{name: public}, {name: second}]");
    let gateway = InCluster::start(&format!("{both}{}", second("{plaintext: [localhost]}"))).await;
    assert_eq!(gateway.verdict(HTTP).await, "200", "{:?}", gateway.problems);
    assert_eq!(gateway.verdict(8081).await, "500 configuration", "and not that nothing can be connected to");
}
