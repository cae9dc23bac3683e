//! Gateways with their listeners, and what their classes say.

pub mod frontend;
mod listener;
mod undecodable;
mod unsupported;

use std::collections::BTreeMap;

use sallyport_api::condition::Reason;
use sallyport_api::gateway_api;
use sallyport_api::{CONTROLLER_NAME, UnprotectedRoutes};
use sallyport_snapshot::v1;
use serde_json::Value;

use super::Environment;
use super::infrastructure::Infrastructure;
use super::parameters::egress::Egress;
use super::parameters::{self, Settings};
use super::selector::{is_known, selects};
use crate::cluster::{ClusterState, ObjectName, Stored, created_ms};
use crate::problem::{MAX_SHOWN, Problem, cut};
use frontend::{Demand, Frontend};
use undecodable::Untold;

/// A Gateway of a class of ours.
pub struct GatewayNode {
    pub created_ms: i64,
    pub generation: Option<i64>,
    pub unprotected: UnprotectedRoutes,
    pub message: v1::Gateway,
    /// What its requests may be sent to beyond what all may.
    pub egress: Egress,
    pub listeners: Vec<ListenerNode>,
    /// What is to run it in a cluster. `None` while that cannot be told: what there is stays as it is.
    pub infrastructure: Option<Infrastructure>,
    /// The class that it names, as far as that can be read.
    pub class: Option<String>,
    untold: Untold,
    /// What it says and is not done, while it serves without.
    pub ignored: Vec<Problem>,
    /// Fields that let callers in whom nobody vouches for.
    pub insecure_frontends: Vec<String>,
    pub problems: Vec<Problem>,
}

/// One listener.
pub struct ListenerNode {
    pub name: String,
    pub port: u32,
    /// Lower case; empty for every host.
    pub hostname: String,
    /// Certificates by name, for HTTPS. What is missing is a problem and leaves the list shorter.
    pub tls: Option<BTreeMap<String, v1::Certificate>>,
    /// Whether names may have certificates of their own there.
    pub takes_server_names: bool,
    /// What callers are asked for in the handshake.
    pub demand: Option<Demand>,
    /// By name, or by "*." and what follows exactly one label: what Ingresses bring.
    pub server_names: BTreeMap<String, ServerNameNode>,
    /// Whether Ingresses may attach, as far as kinds are concerned.
    pub takes_ingresses: bool,
    /// Kinds of routes that may attach.
    pub kinds: Vec<&'static str>,
    pub namespaces: Namespaces,
    pub standing: Standing,
    pub problems: Vec<Problem>,
}

/// A name with a certificate of its own.
pub struct ServerNameNode {
    /// The Ingress that brings it.
    pub ingress: ObjectName,
    /// The Secret. It stays the name's own if it cannot be used: then handshakes for the name are refused.
    pub secret: ObjectName,
    /// Absent where the Secret is not there.
    pub certificate: Option<v1::Certificate>,
}

/// What a listener is to its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Serves,
    /// It serves nothing, and keeps its hostname: a broader listener of the port does not take its requests over.
    Holds {
        is_tls: bool,
    },
    /// Another listener has its place, or nobody else is on its port.
    SetAside,
}

/// Whose routes may attach.
pub enum Namespaces {
    Same,
    All,
    Selected(Value),
}

/// All Gateways of our classes, and those that may be of one. One that cannot be decoded, or whose class cannot, serves nothing.
pub fn all(cluster: &ClusterState) -> BTreeMap<ObjectName, GatewayNode> {
    let node = |(name, gateway): (&ObjectName, &Stored<gateway_api::Gateway>)| {
        let node = match gateway {
            Stored::Decoded(gateway) => match class(cluster, Some(&gateway.spec.gateway_class_name)) {
                Class::Ours(class) => node(cluster, name, gateway, class),
                Class::Untold => of_untold_class(gateway),
                Class::NotOurs => return None,
            },
            Stored::Undecodable(gateway) => match class(cluster, gateway.raw["spec"]["gatewayClassName"].as_str()) {
                Class::Ours(_) | Class::Untold => undecodable::node(gateway),
                Class::NotOurs => return None,
            },
        };
        Some((name.clone(), node))
    };
    cluster.gateways.iter().filter_map(node).collect()
}

/// Gateways of no class of ours, and what there is to be said of them. In a cluster another controller has the class, or is about to
/// bring it where it is not there; standalone nobody else serves them.
pub fn unclaimed(cluster: &ClusterState, environment: Environment) -> BTreeMap<ObjectName, Problem> {
    let decoded = cluster.gateways.iter().filter_map(|(name, gateway)| match gateway {
        Stored::Decoded(gateway) => Some((name, &gateway.spec.gateway_class_name)),
        Stored::Undecodable(_) => None,
    });
    let unclaimed = decoded.filter_map(|(name, class)| {
        let why = match cluster.gateway_classes.get(&ObjectName::new("", class)) {
            None => "does not exist; create it, or correct the name".to_owned(),
            _ if environment == Environment::Cluster => return None,
            Some(Stored::Decoded(class)) if class.spec.controller_name == CONTROLLER_NAME => return None,
            Some(Stored::Decoded(class)) => {
                let controller = cut(&class.spec.controller_name, MAX_SHOWN).into_owned();
                format!("is of controller {controller}; correct the name, or write controllerName: {CONTROLLER_NAME}")
            }
            Some(Stored::Undecodable(_)) => "cannot be decoded; correct it".to_owned(),
        };
        let message = format!("GatewayClass {class} {why}. Nothing is served");
        Some((name.clone(), Problem::new("spec.gatewayClassName", Reason::TargetNotFound, message)))
    });
    unclaimed.collect()
}

/// Hostnames of a port, and whether it speaks TLS.
type Taken = BTreeMap<u32, (bool, Vec<String>)>;

/// Of listeners with one port, those with another protocol than an earlier one, or its hostname, are set aside. In a cluster each Gateway
/// has its own address and so its own ports.
pub fn settle_conflicts(gateways: &mut BTreeMap<ObjectName, GatewayNode>, environment: Environment) {
    match environment {
        Environment::Standalone => settle_among(gateways),
        Environment::Cluster => {
            for (name, gateway) in std::mem::take(gateways) {
                let mut alone = BTreeMap::from([(name, gateway)]);
                settle_among(&mut alone);
                gateways.append(&mut alone);
            }
        }
    }
}

/// Age, then name decides between Gateways. Those of Gateways that cannot be decoded have their places among them.
fn settle_among(gateways: &mut BTreeMap<ObjectName, GatewayNode>) {
    let mut order: Vec<_> = gateways.iter().map(|(name, gateway)| (gateway.created_ms, name.clone())).collect();
    order.sort();
    let mut taken = Taken::new();
    for (_, name) in &order {
        let Some(gateway) = gateways.get_mut(name) else { continue };
        let in_place = gateway.listeners.iter_mut().enumerate().filter(|(_, one)| one.standing != Standing::SetAside);
        in_place.for_each(|(at, listener)| settle(at, listener, &mut taken));
    }
    for (_, name) in &order {
        let Some(gateway) = gateways.get_mut(name) else { continue };
        let set_aside = gateway.listeners.iter_mut().filter(|one| one.standing == Standing::SetAside);
        set_aside.for_each(|one| keep_host(one, &mut taken));
    }
    undecodable::close_untold(gateways);
}

fn settle(at: usize, listener: &mut ListenerNode, taken: &mut Taken) {
    let (is_tls, hostnames) = taken.entry(listener.port).or_insert((listener.tls.is_some(), vec![]));
    let (field, port) = (format!("spec.listeners[{at}]"), listener.port);
    let conflict = if *is_tls != listener.tls.is_some() {
        let message = format!("port {port} is taken by a listener with another protocol; choose another port");
        Problem::new(format!("{field}.protocol"), Reason::ProtocolConflict, message)
    } else if hostnames.contains(&listener.hostname) {
        let message = format!("port {port} has a listener with this hostname already; choose another");
        Problem::new(format!("{field}.hostname"), Reason::HostnameConflict, message)
    } else {
        hostnames.push(listener.hostname.clone());
        return;
    };
    listener.standing = Standing::SetAside;
    listener.problems.push(conflict);
}

/// What was asked for at the hostname of a listener that cannot serve is not what a broader listener gives.
fn keep_host(listener: &mut ListenerNode, taken: &mut Taken) {
    let Some((is_tls, hostnames)) = taken.get_mut(&listener.port) else { return };
    if !listener.hostname.is_empty() && !hostnames.contains(&listener.hostname) {
        hostnames.push(listener.hostname.clone());
        listener.standing = Standing::Holds { is_tls: *is_tls };
    }
}

/// Whose Gateways those of a class are.
enum Class<'a> {
    Ours(&'a gateway_api::GatewayClass),
    /// They may be ours.
    Untold,
    NotOurs,
}

/// The class called `name`, where that can be read.
fn class<'a>(cluster: &'a ClusterState, name: Option<&str>) -> Class<'a> {
    let Some(name) = name else { return Class::Untold };
    match cluster.gateway_classes.get(&ObjectName::new("", name)) {
        Some(Stored::Decoded(class)) if class.spec.controller_name == CONTROLLER_NAME => Class::Ours(class),
        Some(Stored::Undecodable(class)) => match class.raw["spec"]["controllerName"].as_str() {
            Some(controller) if controller != CONTROLLER_NAME => Class::NotOurs,
            _ => Class::Untold,
        },
        _ => Class::NotOurs,
    }
}

/// What its class says of it, in its parameters as well, cannot be told.
fn of_untold_class(gateway: &gateway_api::Gateway) -> GatewayNode {
    let class = &gateway.spec.gateway_class_name;
    let message = format!(
        "GatewayClass {class} cannot be decoded; correct it. Until then the Gateway serves nothing, and keeps its hostnames"
    );
    let problem = Problem::new("spec.gatewayClassName", Reason::Undecodable, message);
    let form = serde_json::json!({ "spec": &gateway.spec });
    undecodable::closed(created_ms(gateway), gateway.metadata.generation, &form, &[], &problem)
}

fn node(
    cluster: &ClusterState,
    name: &ObjectName,
    gateway: &gateway_api::Gateway,
    class: &gateway_api::GatewayClass,
) -> GatewayNode {
    let frontend = Frontend::read(cluster, name, &gateway.spec);
    let mut problems = unsupported::of_gateway(&gateway.spec);
    let Settings { unprotected, message, egress, infrastructure, mut ignored } =
        parameters::settle(cluster, name, gateway, class, &mut problems);
    let listeners = gateway.spec.listeners.iter().enumerate();
    let listeners: Vec<_> = listeners.map(|(at, one)| listener::node(cluster, name, &frontend, at, one)).collect();
    ignored.extend(frontend.idle(&listeners));
    GatewayNode {
        created_ms: created_ms(gateway),
        generation: gateway.metadata.generation,
        unprotected,
        message,
        egress,
        listeners,
        infrastructure,
        class: Some(gateway.spec.gateway_class_name.clone()),
        untold: Untold::default(),
        ignored,
        insecure_frontends: frontend.insecure(),
        problems,
    }
}

impl GatewayNode {
    /// Whether some listener can answer.
    pub fn serves(&self) -> bool {
        self.listeners.iter().any(ListenerNode::answers)
    }
}

impl ListenerNode {
    /// Whether it is there for its routes.
    pub fn serves(&self) -> bool {
        self.standing == Standing::Serves
    }

    /// Whether somebody who asks there can be answered: without a certificate no handshake ends.
    pub fn answers(&self) -> bool {
        let shows_of_names = || self.server_names.values().any(|name| name.certificate.is_some());
        self.serves() && self.tls.as_ref().is_none_or(|certificates| !certificates.is_empty() || shows_of_names())
    }

    /// Whether routes of `namespace` may attach.
    pub fn takes(&self, cluster: &ClusterState, gateway: &ObjectName, namespace: &str) -> bool {
        match &self.namespaces {
            Namespaces::Same => gateway.namespace == namespace,
            Namespaces::All => true,
            Namespaces::Selected(selector) => selects(cluster, selector, namespace),
        }
    }

    /// Whether routes of `namespace` may have been taken: its labels would say, and cannot be told.
    pub fn may_take(&self, cluster: &ClusterState, gateway: &ObjectName, namespace: &str) -> bool {
        let untold = matches!(&self.namespaces, Namespaces::Selected(_)) && !is_known(cluster, namespace);
        untold || self.takes(cluster, gateway, namespace)
    }
}
