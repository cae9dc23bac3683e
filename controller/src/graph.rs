//! Every object parsed, linked, and carrying its problems. Building never fails: it explains.
//!
//! Configuration and status both come from these nodes; nothing else decides what is valid. What cannot be resolved is a node
//! that denies, never one that is left out.

pub mod address;
pub mod alternatives;
pub mod approval;
pub mod authorization;
pub mod backend;
mod basic;
pub mod callers;
pub mod certificate;
pub mod class;
mod client_certificate;
mod cors;
pub mod credential;
mod decryption_key;
pub mod effective;
mod entra_id;
pub mod expression;
pub mod external_authorization;
pub mod form;
pub mod gateway;
pub mod grant;
pub mod guarded;
pub mod headers;
pub mod infrastructure;
pub mod ingress;
mod introspection;
pub mod key_source;
pub mod limits;
pub mod outgoing;
pub mod parameters;
pub mod policy;
pub mod port;
pub mod product;
pub mod reach;
pub mod replicas;
pub mod route;
pub mod rule;
pub mod selector;
pub mod sender_constraint;
pub mod service;
pub mod subscription;
pub mod token;
pub mod whereabouts;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cluster::{ClusterState, ObjectName};
use crate::problem::Problem;
use approval::{ApprovalNode, Approvals};
use backend::BackendNode;
use class::ClassNode;
use gateway::GatewayNode;
use ingress::class::IngressClassNode;
use outgoing::AddressRules;
use policy::PolicyNode;
use product::ProductNode;
use route::{RouteId, RouteNode};
use subscription::SubscriptionNode;

/// Where the configuration is going to be enforced: decides what addresses may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    Cluster,
    /// On somebody's own machine: loopback, also in plain http, is allowed.
    Standalone,
}

/// The judged state of everything.
pub struct Graph {
    /// Classes of ours.
    pub classes: BTreeMap<ObjectName, ClassNode>,
    pub parameters: BTreeMap<ObjectName, ClassNode>,
    pub gateways: BTreeMap<ObjectName, GatewayNode>,
    /// What is to be said of Gateways of no class of ours.
    pub unclaimed: BTreeMap<ObjectName, Problem>,
    /// Ingress classes of ours, by their names.
    pub ingress_classes: BTreeMap<String, IngressClassNode>,
    /// What is to be said of Ingresses of no class of ours.
    pub unclaimed_ingresses: BTreeMap<ObjectName, Problem>,
    /// HTTPRoutes, GRPCRoutes and Ingresses.
    pub routes: BTreeMap<RouteId, RouteNode>,
    pub policies: BTreeMap<ObjectName, PolicyNode>,
    pub backends: BTreeMap<ObjectName, BackendNode>,
    pub products: BTreeMap<ObjectName, ProductNode>,
    pub subscriptions: BTreeMap<ObjectName, SubscriptionNode>,
    pub approvals: BTreeMap<ObjectName, ApprovalNode>,
    /// Addresses of the cluster's API server.
    pub api_servers: BTreeSet<IpAddr>,
}

impl Graph {
    /// Judges `cluster`.
    pub fn build(cluster: &ClusterState, environment: Environment) -> Self {
        cluster.shared.forget_unused();
        let mut gateways = gateway::all(cluster);
        gateway::settle_conflicts(&mut gateways, environment);
        if environment == Environment::Cluster {
            gateways.values_mut().for_each(port::settle);
        }
        let ingress_classes = ingress::class::all(cluster, &gateways, environment);
        let claimed = ingress::claimed(cluster, &ingress_classes);
        let of_names = ingress::server_name::settle(cluster, &mut gateways, &claimed);
        let mut routes = route::all(cluster, &gateways);
        route::settle_kinds(&mut routes);
        routes.extend(ingress::all(cluster, &gateways, &claimed, of_names));
        let mut policies = policy::all(cluster, environment);
        policy::link(cluster, &mut policies, &gateways, &routes);
        if policies.values().any(|policy| policy.sections.limits.is_some()) {
            replicas::settle(cluster, &mut gateways);
        }
        let products = product::products(cluster, &routes);
        let said = Approvals::new(cluster, environment);
        let subscriptions = subscription::subscriptions(cluster, &said, &products, &gateways, &routes);
        let approvals = approval::all(cluster, &subscriptions);
        let rules = AddressRules::of(cluster, environment);
        let backends = backend::all(cluster, &rules, &gateways, &routes);
        let (classes, parameters) = (class::classes(cluster), class::parameters(cluster));
        Self {
            classes,
            parameters,
            unclaimed: gateway::unclaimed(cluster, environment),
            unclaimed_ingresses: ingress::unclaimed(cluster, &ingress_classes, environment),
            ingress_classes: ingress_classes.into_nodes(),
            gateways,
            routes,
            policies,
            backends,
            products,
            subscriptions,
            approvals,
            api_servers: rules.api_servers,
        }
    }
}
