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
use crate::problem::{Problem, denial, is_for_older};

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
    let message = spoken_to(message, asked.message.protocol());
    let resource = &asked.message.backend;
    let (message, problem) = room.backend(&name.namespace, &format!("ApiPolicy {name}"), message);
    if let Some(problem) = problem {
        compiled.withheld.entry(name.clone()).or_default().insert(problem);
    }
    compiled.put("ApiPolicy", name, resource.clone(), Body::Backend(message));
    if let BackendTarget::Backend(backend) = target {
        compiled.owe("Backend", backend, &Name::new(v1::Kind::Backend, resource.as_str()));
    }
}

/// gRPC is what the policy says, whatever the authoriser is to routes.
fn spoken_to(message: v1::Backend, protocol: Protocol) -> v1::Backend {
    match protocol {
        Protocol::Grpc => v1::Backend { protocol: backend::Protocol::Grpc.into(), ..message },
        Protocol::Http | Protocol::Unspecified => message,
    }
}

/// A rule of which a body would have to be shown that has no end to wait for: it denies, and the policies that want it are told.
pub(super) fn deny_without_end(
    (graph, cluster): (&Graph, &ClusterState),
    (id, backends): (&RouteId, &[BackendTarget]),
    effective: &Effective,
    rule: &mut v1::Rule,
    compiled: &mut Compiled,
) {
    let shown = effective.message.external_authorizations.iter().filter(|one| one.max_body_bytes.is_some());
    let objects: BTreeSet<_> = shown.map(|one| one.object.as_str()).collect();
    let is_grpc = || id.kind == "GRPCRoute" || backends.iter().any(|target| speaks_grpc(graph, cluster, target));
    if objects.is_empty() || !is_grpc() {
        return;
    }
    let message = format!(
        "{id} leads to a gRPC service, whose bodies have no end to wait for; take forwardBody out, or attach the policy to other routes. The rule answers 500"
    );
    let problem = Problem::new("spec.externalAuthorization.forwardBody", Reason::UnsupportedValue, message);
    if rule.deny.as_ref().is_none_or(is_for_older) {
        rule.deny = Some(denial(&id.to_string(), &problem));
    }
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
