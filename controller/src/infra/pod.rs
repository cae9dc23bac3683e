//! A pod of a Gateway: one container without privileges, with the authority of the controller and a token for it.
//!
//! The ports of listeners are not named here: Kubernetes does not need that, and another listener would replace every pod.

mod container;

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, KeyToPath, LocalObjectReference, PodSecurityContext, PodSpec, ProjectedVolumeSource,
    SeccompProfile, ServiceAccountTokenProjection, TopologySpreadConstraint, Volume, VolumeProjection,
};
use sallyport_api::infrastructure::{PodSettings, TopologySpread, WhenUnsatisfiable};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::metadata::Making;
use super::{AUDIENCE, AUTHORITY};

/// How long a pod goes on as before when it is told to end, so that no more requests are on their way to it when it stops to take them.
const PRE_STOP_S: i64 = 5;
/// What requests have to finish where `bounds.drainTimeout` says nothing: the data plane's default.
const DRAIN_MS: u32 = 25_000;
/// What is left for the end itself.
const SPARE_S: i64 = 5;
/// How long a token is good; the kubelet renews it after four fifths of that.
const TOKEN_S: i64 = 3600;

/// The volume with the authority and the token.
const VOLUME: &str = "controller";
/// Where it is mounted.
const MOUNT: &str = "/var/run/secrets/sallyport.dev";
const TOKEN: &str = "token";

pub(super) fn spec(making: &Making<'_>) -> PodSpec {
    let settings = making.infrastructure.deployment.pod.clone().unwrap_or_default();
    let pull_secrets = settings.image_pull_secrets.iter().flatten();
    let pull_secrets: Vec<_> = pull_secrets.map(|one| LocalObjectReference { name: one.name.clone() }).collect();
    PodSpec {
        service_account_name: Some(making.name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        containers: vec![container::data_plane(making)],
        volumes: Some(vec![volume(making)]),
        security_context: Some(unprivileged()),
        termination_grace_period_seconds: Some(PRE_STOP_S + drain_s(making) + SPARE_S),
        topology_spread_constraints: Some(spread(making, &settings)),
        node_selector: settings.node_selector.map(|labels| labels.0),
        tolerations: settings.tolerations.as_ref().and_then(of_same_shape),
        affinity: settings.affinity.as_ref().and_then(of_same_shape),
        priority_class_name: settings.priority_class_name,
        image_pull_secrets: (!pull_secrets.is_empty()).then_some(pull_secrets),
        ..PodSpec::default()
    }
}

/// Whole seconds that requests have to finish.
fn drain_s(making: &Making<'_>) -> i64 {
    let stated_ms = making.gateway.message.bounds.as_ref().map(|bounds| bounds.drain_timeout_ms);
    i64::from(stated_ms.filter(|stated_ms| *stated_ms != 0).unwrap_or(DRAIN_MS).div_ceil(1000))
}

/// As Pod Security's profile `restricted` demands. The user is the image's, by number, so that clusters that give each namespace users of its
/// own can put in theirs.
fn unprivileged() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
        ..PodSecurityContext::default()
    }
}

fn volume(making: &Making<'_>) -> Volume {
    let token = ServiceAccountTokenProjection {
        audience: Some(AUDIENCE.to_owned()),
        expiration_seconds: Some(TOKEN_S),
        path: TOKEN.to_owned(),
        ..ServiceAccountTokenProjection::default()
    };
    let authority = ConfigMapProjection {
        name: making.name.clone(),
        items: Some(vec![KeyToPath { key: AUTHORITY.to_owned(), path: AUTHORITY.to_owned(), ..KeyToPath::default() }]),
        ..ConfigMapProjection::default()
    };
    let sources = vec![
        VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() },
        VolumeProjection { config_map: Some(authority), ..VolumeProjection::default() },
    ];
    let projected = ProjectedVolumeSource { sources: Some(sources), ..ProjectedVolumeSource::default() };
    Volume { name: VOLUME.to_owned(), projected: Some(projected), ..Volume::default() }
}

/// What is asked for; else over hosts and zones, and rather unevenly than not at all.
fn spread(making: &Making<'_>, settings: &PodSettings) -> Vec<TopologySpreadConstraint> {
    let default = || {
        let over = |key: &str| TopologySpread {
            max_skew: 1,
            topology_key: key.to_owned(),
            when_unsatisfiable: WhenUnsatisfiable::ScheduleAnyway,
            min_domains: None,
        };
        vec![over("kubernetes.io/hostname"), over("topology.kubernetes.io/zone")]
    };
    let asked = settings.topology_spread_constraints.clone().unwrap_or_else(default);
    let constraint = |one: TopologySpread| TopologySpreadConstraint {
        max_skew: one.max_skew,
        topology_key: one.topology_key,
        when_unsatisfiable: match one.when_unsatisfiable {
            WhenUnsatisfiable::DoNotSchedule => "DoNotSchedule".to_owned(),
            WhenUnsatisfiable::ScheduleAnyway => "ScheduleAnyway".to_owned(),
        },
        min_domains: one.min_domains,
        label_selector: Some(making.selector()),
        // Pods of a rollout are spread among themselves: those that go do not count.
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    };
    asked.into_iter().map(constraint).collect()
}

/// Our own type has the fields of Kubernetes' own, with bounds.
fn of_same_shape<T: DeserializeOwned>(own: &impl Serialize) -> Option<T> {
    serde_json::from_value(serde_json::to_value(own).ok()?).ok()
}
