//! How the pods and the Service of a Gateway are made: what its class says and what it says itself, put together.

use std::collections::BTreeMap;

use sallyport_api::GatewayParametersSpec;
use sallyport_api::condition::Reason;
use sallyport_api::gateway_api::Gateway;
use sallyport_api::infrastructure::{Annotations, DeploymentSettings, Labels, PodSettings, ServiceSettings};

use crate::problem::Problem;

/// Labels by which pods are found and told apart: nobody else's value can stand there (GEP-1762, and Kubernetes' recommended labels).
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
pub const APP_NAME: &str = "app.kubernetes.io/name";
pub const APP_INSTANCE: &str = "app.kubernetes.io/instance";
pub const APP_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const OWN: [&str; 4] = [GATEWAY_NAME, APP_NAME, APP_INSTANCE, APP_MANAGED_BY];

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Infrastructure {
    /// The class, which is a part of names.
    pub class: String,
    /// What `spec.infrastructure` of the Gateway wants on everything.
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub deployment: DeploymentSettings,
    pub service: ServiceSettings,
}

/// Field by field the Gateway's own, else the class's. Labels and annotations add up.
pub fn settle(
    gateway: &Gateway,
    of_class: &GatewayParametersSpec,
    own: &GatewayParametersSpec,
    ignored: &mut Vec<Problem>,
) -> Infrastructure {
    let stated = gateway.spec.infrastructure.as_ref();
    let labels = stated.and_then(|stated| stated.labels.clone()).unwrap_or_default();
    ignored.extend(taken("spec.infrastructure.labels", labels.keys()));
    let (deployment, service) = (deployment(of_class, own), service(of_class, own));
    let of_pod = deployment.pod.as_ref().and_then(|pod| pod.labels.as_ref());
    for labels in [of_pod, service.labels.as_ref()].into_iter().flatten() {
        ignored.extend(taken("spec.infrastructure.parametersRef", labels.0.keys()));
    }
    Infrastructure {
        class: gateway.spec.gateway_class_name.clone(),
        labels,
        annotations: stated.and_then(|stated| stated.annotations.clone()).unwrap_or_default(),
        deployment,
        service,
    }
}

fn taken<'a>(field: &str, keys: impl Iterator<Item = &'a String>) -> Option<Problem> {
    let taken: Vec<_> = keys.map(String::as_str).filter(|key| OWN.contains(key)).collect();
    let message =
        format!("labels {} are ignored: by them the Gateway's pods are found; use other keys", taken.join(", "));
    (!taken.is_empty()).then(|| Problem::new(field, Reason::InvalidParameters, message))
}

fn deployment(of_class: &GatewayParametersSpec, own: &GatewayParametersSpec) -> DeploymentSettings {
    let of_class = of_class.deployment.clone().unwrap_or_default();
    let own = own.deployment.clone().unwrap_or_default();
    let pod = pod(of_class.pod.unwrap_or_default(), own.pod.unwrap_or_default());
    DeploymentSettings {
        replicas: own.replicas.or(of_class.replicas),
        resources: own.resources.or(of_class.resources),
        pod: Some(pod),
    }
}

fn pod(of_class: PodSettings, own: PodSettings) -> PodSettings {
    PodSettings {
        labels: all_labels(of_class.labels, own.labels),
        annotations: all_annotations(of_class.annotations, own.annotations),
        node_selector: own.node_selector.or(of_class.node_selector),
        tolerations: own.tolerations.or(of_class.tolerations),
        affinity: own.affinity.or(of_class.affinity),
        topology_spread_constraints: own.topology_spread_constraints.or(of_class.topology_spread_constraints),
        priority_class_name: own.priority_class_name.or(of_class.priority_class_name),
        image_pull_secrets: own.image_pull_secrets.or(of_class.image_pull_secrets),
    }
}

fn service(of_class: &GatewayParametersSpec, own: &GatewayParametersSpec) -> ServiceSettings {
    let of_class = of_class.service.clone().unwrap_or_default();
    let own = own.service.clone().unwrap_or_default();
    ServiceSettings {
        r#type: own.r#type.or(of_class.r#type),
        labels: all_labels(of_class.labels, own.labels),
        annotations: all_annotations(of_class.annotations, own.annotations),
        external_traffic_policy: own.external_traffic_policy.or(of_class.external_traffic_policy),
        load_balancer_class: own.load_balancer_class.or(of_class.load_balancer_class),
    }
}

fn all_labels(of_class: Option<Labels>, own: Option<Labels>) -> Option<Labels> {
    both(of_class.map(|labels| labels.0), own.map(|labels| labels.0)).map(Labels)
}

fn all_annotations(of_class: Option<Annotations>, own: Option<Annotations>) -> Option<Annotations> {
    both(of_class.map(|annotations| annotations.0), own.map(|annotations| annotations.0)).map(Annotations)
}

type Texts = BTreeMap<String, String>;

fn both(of_class: Option<Texts>, own: Option<Texts>) -> Option<Texts> {
    let both: Texts = of_class.into_iter().chain(own).flatten().collect();
    (!both.is_empty()).then_some(both)
}
