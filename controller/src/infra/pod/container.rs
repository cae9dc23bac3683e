//! The container of a data plane.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, Lifecycle, LifecycleHandler,
    ObjectFieldSelector, Probe, ResourceRequirements, SecurityContext, SleepAction, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sallyport_api::infrastructure::{Amounts, Resources};

use super::{MOUNT, PRE_STOP_S, TOKEN, VOLUME};
use crate::graph::port::PORT_OFFSET;
use crate::infra::metadata::Making;
use crate::infra::{ADMIN_PORT, AUTHORITY};

/// Its name.
const ADMIN: &str = "admin";

/// What is asked for where nobody says otherwise: one core in ten, and room for some thousand connections.
const DEFAULT_REQUESTS: [(&str, &str); 2] = [("cpu", "100m"), ("memory", "128Mi")];

pub(super) fn data_plane(making: &Making<'_>) -> Container {
    Container {
        name: "dataplane".to_owned(),
        image: Some(making.site.image.clone()),
        image_pull_policy: Some(making.site.pull_policy.as_str().to_owned()),
        env: Some(environment(making)),
        ports: Some(vec![ContainerPort {
            name: Some(ADMIN.to_owned()),
            container_port: ADMIN_PORT.into(),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        resources: Some(resources(making.infrastructure.deployment.resources.as_ref())),
        // Whoever is slow is not dead; whoever cannot answer for a minute is.
        liveness_probe: Some(Probe { period_seconds: Some(10), failure_threshold: Some(6), ..probe("/livez") }),
        readiness_probe: Some(Probe { period_seconds: Some(2), failure_threshold: Some(3), ..probe("/readyz") }),
        lifecycle: Some(Lifecycle { pre_stop: Some(a_while()), ..Lifecycle::default() }),
        security_context: Some(unprivileged()),
        volume_mounts: Some(vec![VolumeMount {
            name: VOLUME.to_owned(),
            mount_path: MOUNT.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }]),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn environment(making: &Making<'_>) -> Vec<EnvVar> {
    let controller = &making.site.controller;
    let address = format!("https://{}.{}.svc:{}", controller.name, controller.namespace, making.site.stream_port);
    let fixed = [
        ("SALLYPORT_CONTROLLER", address),
        ("SALLYPORT_CONTROLLER_CA", format!("{MOUNT}/{AUTHORITY}")),
        ("SALLYPORT_TOKEN", format!("{MOUNT}/{TOKEN}")),
        ("SALLYPORT_GATEWAY", making.owner.name.to_string()),
        // Said rather than agreed upon: controllers and data planes are of different versions while one is upgraded.
        ("SALLYPORT_PORT_OFFSET", PORT_OFFSET.to_string()),
        // What the grace of this pod leaves: a longer drainTimeout that comes later is for the pods that take its place.
        ("SALLYPORT_LONGEST_DRAIN_S", super::drain_s(making).to_string()),
    ];
    let fixed = fixed.map(|(name, value)| EnvVar { value: Some(value), ..named(name) });
    let of_pod = [("POD_NAME", "metadata.name"), ("POD_NAMESPACE", "metadata.namespace")];
    let of_pod = of_pod.map(|(name, path)| {
        let field = ObjectFieldSelector { field_path: path.to_owned(), ..ObjectFieldSelector::default() };
        EnvVar { value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }), ..named(name) }
    });
    fixed.into_iter().chain(of_pod).collect()
}

fn named(name: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), ..EnvVar::default() }
}

fn probe(path: &str) -> Probe {
    let get = HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::String(ADMIN.to_owned()),
        ..HTTPGetAction::default()
    };
    Probe { http_get: Some(get), timeout_seconds: Some(2), ..Probe::default() }
}

/// Who sends requests learns of a pod's end no sooner than the pod: it serves on until they have.
fn a_while() -> LifecycleHandler {
    LifecycleHandler { sleep: Some(SleepAction { seconds: PRE_STOP_S }), ..LifecycleHandler::default() }
}

fn unprivileged() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

/// What is stated. A limit alone is a request as well, as Kubernetes has it: then there is no default, which might be above it.
fn resources(stated: Option<&Resources>) -> ResourceRequirements {
    let requests = amounts(stated.and_then(|stated| stated.requests.as_ref()));
    let limits = amounts(stated.and_then(|stated| stated.limits.as_ref()));
    let is_stated = |name: &str| requests.iter().chain(&limits).any(|(stated, _)| *stated == name);
    let default = DEFAULT_REQUESTS.into_iter().filter(|(name, _)| !is_stated(name));
    let default: Vec<_> = default.map(|(name, amount)| (name, amount.to_owned())).collect();
    ResourceRequirements {
        requests: quantities(requests.into_iter().chain(default)),
        limits: quantities(limits.into_iter()),
        ..ResourceRequirements::default()
    }
}

fn amounts(stated: Option<&Amounts>) -> Vec<(&'static str, String)> {
    let Some(Amounts { cpu, memory }) = stated else { return vec![] };
    let amounts = [("cpu", cpu), ("memory", memory)].into_iter();
    amounts.filter_map(|(name, amount)| Some((name, amount.as_ref()?.0.clone()))).collect()
}

fn quantities(amounts: impl Iterator<Item = (&'static str, String)>) -> Option<BTreeMap<String, Quantity>> {
    let all: BTreeMap<_, _> = amounts.map(|(name, amount)| (name.to_owned(), Quantity(amount))).collect();
    (!all.is_empty()).then_some(all)
}
