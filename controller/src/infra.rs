//! What runs a Gateway in a cluster: ConfigMap, ServiceAccount, Service, PodDisruptionBudget and Deployment, each owned by it.
//!
//! Pure: from a judged Gateway to the objects as they are applied (server-side apply), with the fields that are ours and no others.
//! All of a Gateway have one name, so that a selector, a person and a garbage collector find them by it.

mod deployment;
mod metadata;
mod name;
mod pod;
mod service;

use std::str::FromStr;

use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::ObjectName;
use crate::graph::Graph;
use crate::graph::gateway::GatewayNode;
use crate::status::Address;
use metadata::Making;

/// The audience of the tokens by which data planes prove who they are.
pub const AUDIENCE: &str = "sallyport.dev";
/// Where a data plane serves probes and metrics.
pub const ADMIN_PORT: u16 = 9090;
/// Who manages what runs Gateways, as its labels say.
pub const MANAGER: &str = "sallyport-controller";
/// The entry of the ConfigMap, and the file in the pods, that holds the controller's authority.
pub const AUTHORITY: &str = "ca.crt";

/// Where the controller is, and what it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The Service of the controller that serves the update stream.
    pub controller: ObjectName,
    /// Its port.
    pub stream_port: u16,
    /// Certificates, in PEM, by which data planes know the controller.
    pub authority: String,
    /// Image of the data plane.
    pub image: String,
    pub pull_policy: PullPolicy,
}

/// When the image is pulled, in Kubernetes' words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    Always,
    #[default]
    IfNotPresent,
    Never,
}

/// The Gateway that owns what is made.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    pub name: &'a ObjectName,
    /// `metadata.uid`.
    pub uid: &'a str,
}

/// All objects of a Gateway, in the order in which they are applied. `None` while it cannot be told what its class and its
/// parameters ask for: then what there is stays as it is.
pub fn objects(site: &Site, owner: Owner<'_>, gateway: &GatewayNode) -> Option<Vec<Value>> {
    let infrastructure = gateway.infrastructure.as_ref()?;
    let making =
        Making { site, owner, gateway, infrastructure, name: name::of_objects(owner.name, &infrastructure.class) };
    Some(vec![
        value(&authority(&making)),
        value(&service_account(&making)),
        value(&service::service(&making)),
        value(&disruption_budget(&making)),
        value(&deployment::deployment(&making)),
    ])
}

/// What all objects of a Gateway are called; `None` if the class that it names cannot be read.
pub fn name_of(graph: &Graph, gateway: &ObjectName) -> Option<String> {
    let class = graph.gateways.get(gateway)?.class.as_ref()?;
    Some(name_in_class(gateway, class))
}

/// The same of a Gateway of that class.
pub fn name_in_class(gateway: &ObjectName, class: &str) -> String {
    name::of_objects(gateway, class)
}

/// How a Gateway is named in labels of what runs it.
pub fn label_of(gateway: &ObjectName) -> String {
    name::as_label(&gateway.name)
}

/// Where a Service is reached: from outside where it has a load balancer, else from within the cluster.
pub fn addresses(service: &Service) -> Vec<Address> {
    let is_outside = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    let within = service.spec.iter().flat_map(|spec| spec.cluster_ips.iter().flatten());
    let within = within.filter(|ip| *ip != "None").cloned().map(Address::IPAddress);
    let balancers = service.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    let outside = balancers.into_iter().flatten().filter_map(|entry| match (&entry.ip, &entry.hostname) {
        (Some(ip), _) => Some(Address::IPAddress(ip.clone())),
        (None, Some(hostname)) => Some(Address::Hostname(hostname.clone())),
        (None, None) => None,
    });
    let mut addresses: Vec<_> = if is_outside { outside.collect() } else { within.collect() };
    addresses.sort();
    // Gateway API takes no more.
    addresses.truncate(16);
    addresses
}

/// The controller's authority, beside the pods that need it: a volume cannot be of another namespace.
fn authority(making: &Making<'_>) -> ConfigMap {
    let data = [(AUTHORITY.to_owned(), making.site.authority.clone())];
    ConfigMap { metadata: making.metadata(), data: Some(data.into()), ..ConfigMap::default() }
}

/// An identity and no rights: the pods have one token, of our own audience, and none for the API server.
fn service_account(making: &Making<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: making.metadata(),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// One pod at a time. What keeps one available instead would never let the node of an only pod be drained.
fn disruption_budget(making: &Making<'_>) -> PodDisruptionBudget {
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(making.selector()),
        // A pod that is not ready serves nobody: it must not hold a node up.
        unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        ..PodDisruptionBudgetSpec::default()
    };
    PodDisruptionBudget { metadata: making.metadata(), spec: Some(spec), ..PodDisruptionBudget::default() }
}

fn value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("keys of Kubernetes objects are texts, and their numbers whole")
}

impl FromStr for PullPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::Always, Self::IfNotPresent, Self::Never].into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is no pull policy; use Always, IfNotPresent or Never"))
    }
}

impl PullPolicy {
    /// The policy as Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}
