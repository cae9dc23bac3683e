//! What data planes reject of a route.

use sallyport_snapshot::v1;
use sallyport_snapshot::{Name, v1::Kind};

use crate::cluster::ClusterState;
use crate::compile::compile;
use crate::graph::{Environment, Graph};
use crate::manifest::{self, SourceFile};
use crate::publish::Replica;
use crate::status::{ObjectStatus, Plane, View, plan};

const WORLD: &str = "
{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: sallyport}, spec: {controllerName: sallyport.dev/gateway-controller}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: public, namespace: shop}, spec: {gatewayClassName: sallyport, listeners: [{name: http, port: 80, protocol: HTTP}]}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: orders, namespace: shop}, spec: {parentRefs: [{name: public}], rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}]}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: nowhere, namespace: shop}, spec: {parentRefs: [{name: public, sectionName: nowhere}], rules: [{}]}}
";

/// What the route called `name` is told of being in force, and whether it is ready, where a data plane answers with `rejected`.
fn told(name: &str, rejected: &[&str], answers: bool) -> (String, bool) {
    let loaded = manifest::load(&[SourceFile { path: "test".into(), text: WORLD.into() }]);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let mut cluster = ClusterState::default();
    loaded.objects.into_iter().for_each(|object| cluster.apply(object.name, object.object));
    let graph = Graph::build(&cluster, Environment::Cluster);
    let compiled = compile(&graph, &cluster);
    let mut replica = Replica::default();
    let update = replica.update(&compiled.snapshot).unwrap();
    let reject = |name: &&str| v1::Rejected { name: Some(Name::new(Kind::Route, *name).to_wire()), why: "no".into() };
    if answers {
        replica.acknowledge(&v1::Ack {
            nonce: update.nonce,
            rejected: rejected.iter().map(reject).collect(),
            more: false,
        });
    }
    let plane = Plane { gateway: None, snapshot: &compiled.snapshot, replicas: vec![replica.standing()] };
    let view = View {
        graph: &graph,
        compiled: &compiled,
        planes: &[plane],
        addresses: None,
        unwritten: &std::collections::BTreeMap::new(),
        now_s: 0,
    };
    let status = plan(view).into_iter().find(|status| status.name == name).unwrap();
    let mut conditions = status.parents.iter().flat_map(|parent| &parent.conditions);
    let condition = conditions.find(|one| one.r#type == "sallyport.dev/Programmed").unwrap();
    (format!("{} {} {}", condition.status, condition.reason, condition.message), status.is_ready())
}

#[test]
fn a_route_is_in_force_where_every_data_plane_has_taken_it() {
    let orders = "shop/orders";
    for (rejected, answers, expected, ready) in [
        (&[][..], true, "true Programmed acknowledged by 1 of 1 replicas", true),
        (&["HTTPRoute/shop/others"], true, "true Programmed acknowledged by 1 of 1 replicas", true),
        (&["HTTPRoute/shop/orders"], true, "false Rejected Route HTTPRoute/shop/orders: no", false),
        (&[], false, "false Pending acknowledged by 0 of 1 replicas", false),
    ] {
        assert_eq!(told(orders, rejected, answers), (expected.to_owned(), ready), "{rejected:?}");
    }
}

#[test]
fn a_route_that_is_served_nowhere_is_in_force_nowhere() {
    let nowhere = "false NotInForce it is in force nowhere: nothing that is served has a share of it";
    assert_eq!(told("shop/nowhere", &[], true), (nowhere.to_owned(), false));
}

#[test]
fn a_route_without_a_parent_of_ours_is_not_ready() {
    let status = ObjectStatus { kind: "HTTPRoute".into(), ..ObjectStatus::default() };
    assert!(!status.is_ready());
    assert!(ObjectStatus { kind: "Product".into(), ..status }.is_ready());
}
