//! What an installation needs: a Kubernetes that is new enough, Gateway API, and rights.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use sallyport_controller::cluster::ObjectKind;

use super::Finding;
use crate::cluster::connect::Cluster;

/// The oldest minor version of Kubernetes 1 that the chart takes.
const OLDEST_MINOR: u32 = 30;
const GATEWAY_API: &str = "gateway.networking.k8s.io/";

/// Kubernetes itself, and the kinds of others.
pub(super) async fn of_cluster(cluster: &Cluster) -> anyhow::Result<Vec<Finding>> {
    let version = cluster.client.apiserver_version().await.context("the API server does not answer")?;
    let kubernetes = Finding::of(
        format!("Kubernetes {}.{}", version.major, version.minor),
        (!is_new_enough(&version.major, &version.minor))
            .then(|| format!("1.{OLDEST_MINOR} or newer is needed; upgrade it")),
    );
    let cure = "install its CRDs: kubectl apply --server-side -f standard-install.yaml of a release of Gateway API from v1.5 on";
    let served = served(cluster, GATEWAY_API, cure).await?;
    Ok([kubernetes].into_iter().chain(served).collect())
}

/// `30+` is what some providers say.
fn is_new_enough(major: &str, minor: &str) -> bool {
    let number = |text: &str| text.trim_end_matches('+').parse::<u32>().ok();
    match (number(major), number(minor)) {
        (Some(1), Some(minor)) => minor >= OLDEST_MINOR,
        (Some(major), Some(_)) => major > 1,
        _ => false,
    }
}

/// A finding for each group and version of kinds whose group begins like this.
pub(super) async fn served(cluster: &Cluster, group: &str, cure: &str) -> anyhow::Result<Vec<Finding>> {
    let mut wanted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for kind in ObjectKind::ALL.iter().filter(|kind| kind.api_version().starts_with(group)) {
        wanted.entry(kind.api_version()).or_default().insert(kind.plural());
    }
    let mut findings = Vec::new();
    for (version, plurals) in wanted {
        let there: BTreeSet<_> = match cluster.client.list_api_group_resources(version).await {
            Ok(found) => found.resources.into_iter().map(|resource| resource.name).collect(),
            Err(kube::Error::Api(status)) if status.code == 404 => BTreeSet::new(),
            Err(error) => return Err(error).with_context(|| format!("the API server does not tell of {version}")),
        };
        let missing: Vec<_> = plurals.difference(&there).cloned().collect();
        let message = (!missing.is_empty()).then(|| format!("{} are not served; {cure}", missing.join(", ")));
        findings.push(Finding::of(version, message));
    }
    Ok(findings)
}

/// What whoever installs the chart creates: group and plural.
const CREATED: [(&str, &str); 6] = [
    ("", "namespaces"),
    ("apps", "deployments"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("gateway.networking.k8s.io", "gatewayclasses"),
];

/// Whether whoever asks may install the chart.
pub(super) async fn rights(cluster: &Cluster) -> anyhow::Result<Vec<Finding>> {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let mut findings = Vec::new();
    for (group, plural) in CREATED {
        let resource_attributes = Some(ResourceAttributes {
            group: Some(group.to_owned()),
            resource: Some(plural.to_owned()),
            verb: Some("create".to_owned()),
            ..ResourceAttributes::default()
        });
        let spec = SelfSubjectAccessReviewSpec { resource_attributes, ..SelfSubjectAccessReviewSpec::default() };
        let asked = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = api.create(&PostParams::default(), &asked).await.context("rights cannot be asked for")?;
        let is_allowed = answer.status.is_some_and(|status| status.allowed);
        let message = (!is_allowed).then(|| "you may not; ask an administrator of the cluster".to_owned());
        findings.push(Finding::of(format!("to create {plural}"), message));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (major, minor, expected) in [
            ("1", "30", true),
            ("1", "29", false),
            ("1", "9", false),
            ("1", "31+", true),
            ("2", "0", true),
            ("", "", false),
        ] {
            assert_eq!(is_new_enough(major, minor), expected, "{major}.{minor}");
        }
    }
}
