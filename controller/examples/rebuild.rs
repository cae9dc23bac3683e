//! How long it takes to build everything anew, and to plan what is said of it: of 1,000 routes with a policy and a subscription each, and of 1,000
//! policies, 10,000 routes and 100,000 subscriptions.

#![expect(clippy::print_stdout, clippy::disallowed_types, reason = "a measurement prints, and reads the clock")]

use std::collections::BTreeMap;
use std::time::Instant;

use sallyport_controller::cluster::{ClusterState, ObjectName};
use sallyport_controller::compile::{Compiled, compile};
use sallyport_controller::graph::{Environment, Graph};
use sallyport_controller::manifest::{self, SourceFile};
use sallyport_controller::publish::Replica;
use sallyport_controller::status::{self, ObjectStatus, Plane, View};
use sallyport_snapshot::{Snapshot, of_gateway, v1};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Clone, Copy)]
struct Size {
    routes: usize,
    policies: usize,
    subscriptions: usize,
    rounds: usize,
}

const SIZES: [Size; 2] = [
    Size { routes: 1_000, policies: 1_000, subscriptions: 1_000, rounds: 25 },
    Size { routes: 10_000, policies: 1_000, subscriptions: 100_000, rounds: 5 },
];

fn main() {
    for size in SIZES {
        println!("{} routes, {} policies, {} subscriptions", size.routes, size.policies, size.subscriptions);
        measure(size);
    }
}

fn measure(size: Size) {
    // No file may be as large as all of it.
    let text = manifests(size);
    let documents: Vec<_> = text.split("---\n").collect();
    let files = documents.chunks(10_000).enumerate();
    let files: Vec<_> =
        files.map(|(at, part)| SourceFile { path: format!("{at}"), text: part.join("---\n") }).collect();
    let loaded = manifest::load(&files);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics.first());
    let mut cluster = ClusterState::default();
    for object in loaded.objects {
        cluster.apply(object.name, object.object);
    }
    let mut replica = Replica::default();
    for round in 0..size.rounds {
        let began = Instant::now();
        let graph = Graph::build(&cluster, Environment::Cluster);
        let judged = began.elapsed();
        let compiled = compile(&graph, &cluster);
        let compiled_after = began.elapsed();
        let part = of_gateway(&compiled.snapshot, "shop/public");
        let divided = began.elapsed();
        let update = replica.update(&part);
        let differs = began.elapsed();
        if let Some(update) = &update {
            replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![], more: false });
        }
        let acknowledged = Instant::now();
        let statuses = planned(&graph, &compiled, &part, &replica);
        let planned = acknowledged.elapsed();
        let bytes: usize = statuses.iter().map(|status| serde_json::to_vec(status).map_or(0, |text| text.len())).sum();
        println!(
            "round {round}: graph {} ms, compile {} ms, part of a Gateway {} ms, difference {} ms, statuses {} ms, as text {} ms; {} resources, {bytes} bytes of statuses",
            judged.as_millis(),
            (compiled_after - judged).as_millis(),
            (divided - compiled_after).as_millis(),
            (differs - divided).as_millis(),
            planned.as_millis(),
            (acknowledged.elapsed() - planned).as_millis(),
            update.map_or(0, |update| update.changed.len())
        );
    }
}

fn planned(graph: &Graph, compiled: &Compiled, part: &Snapshot, replica: &Replica) -> Vec<ObjectStatus> {
    let gateway = ObjectName::new("shop", "public");
    let replicas = vec![replica.standing(), replica.standing()];
    let planes = [Plane { gateway: Some(&gateway), snapshot: part, replicas }];
    status::plan(View { graph, compiled, planes: &planes, addresses: None, unwritten: &BTreeMap::new(), now_s: 0 })
}

fn manifests(size: Size) -> String {
    let Size { routes, policies, subscriptions, .. } = size;
    let share = routes / policies;
    let mut text = String::from(
        "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: sallyport}, spec: {controllerName: sallyport.dev/gateway-controller}}\n---\n{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: public, namespace: shop}, spec: {gatewayClassName: sallyport, listeners: [{name: http, port: 80, protocol: HTTP}]}}\n---\n{apiVersion: sallyport.dev/v1alpha1, kind: Backend, metadata: {name: b, namespace: shop}, spec: {endpoints: [{host: {name: b.example.com, port: 443}}], tls: {validation: {hostname: b.example.com, wellKnownCACertificates: System}}}}\n",
    );
    for number in 0..routes {
        text += &format!(
            "---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: r{number}, namespace: shop}}, spec: {{parentRefs: [{{name: public}}], hostnames: [h{}.example.com], rules: [{{matches: [{{path: {{value: /r{number}}}}}], backendRefs: [{{group: sallyport.dev, kind: Backend, name: b}}]}}]}}}}\n",
            number / 10
        );
    }
    for number in 0..policies {
        let targets: Vec<_> = (0..share)
            .map(|at| format!("{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r{}}}", number * share + at))
            .collect();
        text += &format!(
            "---\n{{apiVersion: sallyport.dev/v1alpha1, kind: ApiPolicy, metadata: {{name: p{number}, namespace: shop}}, spec: {{targetRefs: [{}], authentication: [{{name: a, subscriptionKey: {{}}}}]}}}}\n",
            targets.join(", ")
        );
    }
    for number in 0..subscriptions {
        text += &format!(
            "---\n{{apiVersion: sallyport.dev/v1alpha1, kind: Subscription, metadata: {{name: s{number}, namespace: shop}}, spec: {{scope: {{apis: [{{kind: HTTPRoute, name: r{}}}]}}, keys: {{secretName: s{number}}}}}}}\n---\n{{apiVersion: v1, kind: Secret, metadata: {{name: s{number}, namespace: shop}}, stringData: {{primary: sp_of_measurement_{number:064x}}}}}\n",
            number % routes
        );
    }
    text
}
