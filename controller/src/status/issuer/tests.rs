//! Reports of several data planes on several issuers, and what becomes of them in a status.

use sallyport_snapshot::v1::report::Report;

use super::*;
use crate::cluster::ClusterState;
use crate::compile::{Compiled, compile};
use crate::graph::{Environment, Graph};
use crate::manifest::{self, SourceFile};
use crate::publish::Replica;
use crate::status::{ObjectStatus, Plane, plan};

const POLICIES: &str = r#"
apiVersion: sallyport.dev/v1alpha1
kind: ApiPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}]
  authentication:
  - {name: staff, jwt: {issuer: "https://staff.example.com", audiences: [orders]}}
  - {name: partners, jwt: {issuer: "https://partners.example.com", audiences: [orders]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec: {parentRefs: [{name: public}], rules: [{}]}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: sallyport}, spec: {controllerName: sallyport.dev/gateway-controller}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: public, namespace: shop}, spec: {gatewayClassName: sallyport, listeners: [{name: http, port: 80, protocol: HTTP}]}}
"#;

struct World {
    graph: Graph,
    compiled: Compiled,
    replicas: [Replica; 2],
}

impl World {
    fn new() -> Self {
        let loaded = manifest::load(&[SourceFile { path: "test".into(), text: POLICIES.into() }]);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let mut cluster = ClusterState::default();
        for object in loaded.objects {
            cluster.apply(object.name, object.object);
        }
        let graph = Graph::build(&cluster, Environment::Cluster);
        let compiled = compile(&graph, &cluster);
        let replicas = [Replica::default(), Replica::default()].map(|mut replica| {
            let update = replica.update(&compiled.snapshot).unwrap();
            replica.acknowledge(&sallyport_snapshot::v1::Ack { nonce: update.nonce, rejected: vec![], more: false });
            replica
        });
        Self { graph, compiled, replicas }
    }

    fn tell(&mut self, replica: usize, issuer: &str, state: State, message: &str) {
        let sets = self.graph.policies.values().flat_map(|policy| policy.brought.key_sets.keys());
        let key_set = sets.into_iter().find(|name| name.contains(issuer)).unwrap().clone();
        let health = IssuerHealth { key_set, state: state.into(), message: message.to_owned() };
        self.replicas[replica].hear(sallyport_snapshot::v1::Report { report: Some(Report::Issuer(health)) });
    }

    fn status(&self) -> ObjectStatus {
        let replicas = self.replicas.iter().map(Replica::standing).collect();
        let plane = Plane { gateway: None, snapshot: &self.compiled.snapshot, replicas };
        let view = View {
            graph: &self.graph,
            compiled: &self.compiled,
            planes: &[plane],
            addresses: None,
            unwritten: &std::collections::BTreeMap::new(),
            now_s: 0,
        };
        plan(view).into_iter().find(|status| status.kind == "ApiPolicy").unwrap()
    }

    /// The condition as "status reason message", and whether the policy is ready.
    fn told(&self) -> (String, bool) {
        let status = self.status();
        let condition = status.conditions.iter().find(|one| one.r#type == "IssuerHealthy");
        let text = condition.map(|one| format!("{} {} {}", one.status, one.reason, one.message).trim_end().to_owned());
        (text.unwrap_or_default(), status.is_ready())
    }
}

/// Replica, issuer, state, message.
type Told = (usize, &'static str, State, &'static str);

#[test]
fn the_worst_that_any_data_plane_tells_of_any_issuer_holds() {
    use State::{Healthy, Stale, Unreached};
    let cases: [(&[Told], &str, bool); 6] = [
        (&[], "", true),
        (&[(0, "staff", Healthy, "")], "true IssuerHealthy", true),
        (
            &[(0, "staff", Healthy, "keys[1] is left out"), (1, "staff", Healthy, "keys[1] is left out")],
            "true IssuerHealthy https://staff.example.com: keys[1] is left out",
            true,
        ),
        (
            &[(0, "staff", Healthy, ""), (1, "partners", Stale, "gone")],
            "false IssuerStale https://partners.example.com: gone",
            true,
        ),
        (
            &[(0, "staff", Stale, "gone"), (1, "partners", Unreached, "no name")],
            "false IssuerUnreached https://partners.example.com: no name",
            false,
        ),
        (
            &[(0, "staff", Unreached, "no name"), (1, "staff", Unreached, "no route")],
            "false IssuerUnreached https://staff.example.com: no name; https://staff.example.com: no route",
            false,
        ),
    ];
    for (reports, expected, ready) in cases {
        let mut world = World::new();
        for (replica, issuer, state, message) in reports {
            world.tell(*replica, issuer, *state, message);
        }
        assert_eq!(world.told(), (expected.to_owned(), ready), "{reports:?}");
    }
}

#[test]
fn a_later_report_takes_the_place_of_an_earlier_one() {
    let mut world = World::new();
    world.tell(0, "staff", State::Unreached, "no name");
    world.tell(0, "staff", State::Healthy, "");
    assert_eq!(world.told(), ("true IssuerHealthy".to_owned(), true));
}

#[test]
fn reports_on_what_was_never_sent_or_is_gone_are_not_kept() {
    let mut world = World::new();
    world.tell(0, "staff", State::Unreached, "no name");
    let known =
        world.graph.policies.values().flat_map(|policy| policy.brought.key_sets.keys()).next_back().unwrap().clone();
    let strange = IssuerHealth { key_set: "strange".into(), state: State::Unreached.into(), message: "x".into() };
    let replica = &mut world.replicas[0];
    replica.hear(sallyport_snapshot::v1::Report { report: Some(Report::Issuer(strange)) });
    assert!(replica.standing().issuer("strange").is_none() && replica.standing().issuer(&known).is_some());
    replica.update(&sallyport_snapshot::Snapshot::default()).unwrap();
    assert!(replica.standing().issuer(&known).is_none());
}
