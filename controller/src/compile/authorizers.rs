//! Whom policies have asked about requests: Backends of their own, since they are spoken to as the policy says and not as routes do.

use std::collections::BTreeSet;

use sallyport_api::condition::Reason;
use sallyport_snapshot::Name;
use sallyport_snapshot::v1::external_authorization::Protocol;
use sallyport_snapshot::v1::{self, backend, resource::Body};

use super::room::Room;
use super::{Compiled, service_backend};
use crate::cluster::{ClusterState, ObjectName};
use crate::graph::Graph;
use crate::graph::effective::Effective;
use crate::graph::external_authorization::Authorizer;
use crate::graph::route::RouteId;
use crate::graph::rule::BackendTarget;
use crate::graph::service::{self, Slices};
use crate::problem::Problem;

/// Puts whom the policy called `name` asks.
pub(super) fn of_policy(
    (graph, cluster): (&Graph, &ClusterState),
    (name, asked): (&ObjectName, &Authorizer),
    slices: &Slices<'_>,
    room: &mut Room,
    compiled: &mut Compiled,
) {
    let Some(target) = &asked.target else { return };
    let message = match target {
        BackendTarget::Nowhere => return,
        BackendTarget::Service { name: service, port } => {
            let endpoints = Body::Endpoints(slices.endpoints(service, *port));
            compiled.put("ApiPolicy", name, format!("{service}/{port}"), endpoints);
            service_backend(cluster, service, *port)
        }
        BackendTarget::Backend(backend) => {
            let Some(node) = graph.backends.get(backend) else { return };
            node.message.clone()
        }
    };
    let resource = Name::new(v1::Kind::Backend, asked.message.backend.as_str());
    if let BackendTarget::Backend(backend) = target {
        compiled.owe("Backend", backend, &resource);
    }
    let message = spoken_to(message, asked.message.protocol());
    let body = Body::Backend(message.clone());
    // There is room for it once: whoever has none takes it from nobody.
    if compiled.has(v1::Kind::Backend, &resource.name, &body) {
        compiled.owe("ApiPolicy", name, &resource);
        return;
    }
    let (message, problem) = room.backend(&name.namespace, &format!("ApiPolicy {name}"), message);
    if let Some(problem) = problem {
        compiled.withheld.entry(name.clone()).or_default().insert(problem);
    }
    compiled.put("ApiPolicy", name, asked.message.backend.clone(), Body::Backend(message));
}

/// gRPC is what the policy says, whatever the authoriser is to routes.
fn spoken_to(message: v1::Backend, protocol: Protocol) -> v1::Backend {
    match protocol {
        Protocol::Grpc => v1::Backend { protocol: backend::Protocol::Grpc.into(), ..message },
        Protocol::Http | Protocol::Unspecified => message,
    }
}

/// Of a rule that leads to a gRPC service no body can be shown, which has no end to wait for: data planes refuse, and the policies that
/// want it are told.
pub(super) fn tell_without_end(
    (graph, cluster): (&Graph, &ClusterState),
    (id, backends): (&RouteId, &[BackendTarget]),
    effective: &Effective,
    compiled: &mut Compiled,
) {
    let rehearsed = effective.message.rehearsals.iter().filter_map(|one| one.policy.as_ref());
    let all =
        rehearsed.flat_map(|policy| &policy.external_authorizations).chain(&effective.message.external_authorizations);
    let objects: BTreeSet<_> = all.filter(|one| one.max_body_bytes.is_some()).map(|one| one.object.as_str()).collect();
    let is_grpc = || id.kind == "GRPCRoute" || backends.iter().any(|target| speaks_grpc(graph, cluster, target));
    if objects.is_empty() || !is_grpc() {
        return;
    }
    let message = format!(
        "{id} leads to a gRPC service, whose bodies have no end to wait for; take forwardBody out, or attach the policy to other routes. The rule answers 500"
    );
    let problem = Problem::new("spec.externalAuthorization.forwardBody", Reason::UnsupportedValue, message);
    for policy in effective.participants.iter().filter(|name| objects.contains(&*format!("ApiPolicy {name}"))) {
        compiled.withheld.entry(policy.clone()).or_default().insert(problem.clone());
    }
}

/// By the word of its author, as data planes read it.
fn speaks_grpc(graph: &Graph, cluster: &ClusterState, target: &BackendTarget) -> bool {
    match target {
        BackendTarget::Service { name, port } => service::protocol(cluster, name, *port) == backend::Protocol::H2c,
        BackendTarget::Backend(name) => {
            graph.backends.get(name).is_some_and(|node| node.message.protocol() == backend::Protocol::Grpc)
        }
        BackendTarget::Nowhere => false,
    }
}
