//! The Deployment of a Gateway's pods.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::Making;
use super::pod;

pub(super) fn deployment(making: &Making<'_>) -> Deployment {
    let settings = &making.infrastructure.deployment;
    let of_pod = settings.pod.as_ref();
    let carried =
        making.carried(of_pod.and_then(|pod| pod.labels.as_ref()), of_pod.and_then(|pod| pod.annotations.as_ref()));
    let spec = DeploymentSpec {
        // What nobody states is not applied: it is an autoscaler's.
        replicas: settings.replicas,
        selector: making.selector(),
        strategy: Some(one_more_before_one_less()),
        template: PodTemplateSpec { metadata: Some(carried), spec: Some(pod::spec(making)) },
        ..DeploymentSpec::default()
    };
    Deployment { metadata: making.metadata(), spec, ..Deployment::default() }
}

/// A pod goes only after another has become ready in its place.
fn one_more_before_one_less() -> DeploymentStrategy {
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(1)),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    }
}
