//! The Service in front of a Gateway's pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sallyport_api::infrastructure::{ExternalTrafficPolicy, ServiceType};

use super::metadata::Making;
use crate::graph::gateway::{ListenerNode, Standing};
use crate::graph::port::target;

pub(super) fn service(making: &Making<'_>) -> Service {
    let settings = &making.infrastructure.service;
    let kind = settings.r#type.unwrap_or_default();
    let policy = (kind != ServiceType::ClusterIP).then(|| settings.external_traffic_policy.unwrap_or_default());
    let class = settings.load_balancer_class.clone().filter(|_| kind == ServiceType::LoadBalancer);
    let spec = ServiceSpec {
        type_: Some(type_word(kind).to_owned()),
        external_traffic_policy: policy.map(|policy| policy_word(policy).to_owned()),
        load_balancer_class: class,
        selector: Some(making.identity()),
        ports: Some(ports(&making.gateway.listeners, policy)),
        ..ServiceSpec::default()
    };
    let metadata = making.metadata_with(settings.labels.as_ref(), settings.annotations.as_ref());
    Service { metadata, spec: Some(spec), ..Service::default() }
}

fn type_word(kind: ServiceType) -> &'static str {
    match kind {
        ServiceType::LoadBalancer => "LoadBalancer",
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
    }
}

fn policy_word(policy: ExternalTrafficPolicy) -> &'static str {
    match policy {
        ExternalTrafficPolicy::Local => "Local",
        ExternalTrafficPolicy::Cluster => "Cluster",
    }
}

/// One for each port of a listener that has its place. A Service without a port cannot be, and with it the address would be gone:
/// where no listener has a place, all ports are there, and nobody answers.
fn ports(listeners: &[ListenerNode], policy: Option<ExternalTrafficPolicy>) -> Vec<ServicePort> {
    let in_place = listeners.iter().filter(|listener| listener.standing != Standing::SetAside);
    let mut ports = by_target(in_place);
    if ports.is_empty() {
        ports = by_target(listeners.iter());
    }
    let mut ports: Vec<_> = ports.into_iter().map(|(target, listener)| of_listener(target, listener, policy)).collect();
    ports.sort_by_key(|port| port.port);
    ports
}

/// Of two ports that come to one of the pod, the lower one has it.
fn by_target<'a>(listeners: impl Iterator<Item = &'a ListenerNode>) -> BTreeMap<u16, &'a ListenerNode> {
    let mut found = BTreeMap::<u16, &ListenerNode>::new();
    for listener in listeners {
        let Some(port) = u16::try_from(listener.port).ok().filter(|port| *port != 0) else { continue };
        let there = found.entry(target(port)).or_insert(listener);
        if listener.port < there.port {
            *there = listener;
        }
    }
    found
}

fn of_listener(target: u16, listener: &ListenerNode, policy: Option<ExternalTrafficPolicy>) -> ServicePort {
    let protocol = if listener.tls.is_some() { "https" } else { "http" };
    // Azure's load balancer takes it as a demand to ask for `/` as a health check, which no route need answer; unless each node
    // tells by itself whether it has pods, as it does with Local.
    let is_safe = policy != Some(ExternalTrafficPolicy::Cluster);
    ServicePort {
        name: Some(format!("{protocol}-{}", listener.port)),
        port: i32::try_from(listener.port).unwrap_or_default(),
        target_port: Some(IntOrString::Int(target.into())),
        protocol: Some("TCP".to_owned()),
        app_protocol: is_safe.then(|| protocol.to_owned()),
        ..ServicePort::default()
    }
}
