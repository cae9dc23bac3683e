//! Whose kind a document is that is none of those which are read: somebody else's, or one of ours with a misspelt name. Whatever
//! is taken for somebody else's is passed over, so that a policy which is taken for one would be gone without a sound.

use super::is_dns_name;
use crate::cluster::ObjectKind;

/// API groups whose kinds are all ours to read: an unknown one is a mistake.
const OUR_GROUPS: [&str; 2] = ["sallyport.dev", "gateway.networking.k8s.io"];
/// A group with kinds of ours beside those of others.
const GROUP_IN_PART: &str = sallyport_api::NETWORKING_GROUP;
/// The community's own groups: none of them but those that are read has kinds of these names.
const COMMUNITY: &str = "k8s.io";
/// Kinds whose names others use as well: of Istio and kgateway, Envoy Gateway and 3scale, OLM and Knative, OpenShift, and of the
/// operators of clouds. All other names are nobody's but ours.
const SHARED: [ObjectKind; 9] = [
    ObjectKind::Gateway,
    ObjectKind::GatewayParameters,
    ObjectKind::Backend,
    ObjectKind::Product,
    ObjectKind::Subscription,
    ObjectKind::Ingress,
    ObjectKind::Namespace,
    ObjectKind::Service,
    ObjectKind::Secret,
];

/// Who has a kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It is one of ours, but for a mistake in this field.
    Ours { field: &'static str },
    /// Ours may have the same name in another API group.
    SomebodyElse { namesake: Option<ObjectKind> },
}

impl Owner {
    /// Of a kind that is not read.
    pub(super) fn of(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or((api_version, ""));
        // Whatever is in it would be gone with it.
        if kind.eq_ignore_ascii_case("List") {
            return Self::Ours { field: "apiVersion" };
        }
        let Some(named) = kind_called(kind) else {
            return if is_misspelt(group, 1) {
                Self::Ours { field: "kind" }
            } else {
                Self::SomebodyElse { namesake: None }
            };
        };
        let is_plausible = group.contains('.') && is_dns_name(group, 253) && is_version(version);
        if is_plausible && SHARED.contains(&named) && !is_alike(group) {
            Self::SomebodyElse { namesake: Some(named) }
        } else {
            Self::Ours { field: "apiVersion" }
        }
    }
}

/// The kind that has this name, or lists of which have it; letters of either case count as the same.
pub(super) fn kind_called(name: &str) -> Option<ObjectKind> {
    let called = |name: &str| ObjectKind::ALL.iter().copied().find(|kind| kind.as_str().eq_ignore_ascii_case(name));
    called(name).or_else(|| called(name.strip_suffix("List")?))
}

/// Whether a group is one of ours, but for `most` mistakes.
fn is_misspelt(group: &str, most: usize) -> bool {
    OUR_GROUPS.iter().any(|ours| strsim::osa_distance(&group.to_lowercase(), ours) <= most)
}

/// Whether a kind with a name of ours is meant to be ours, going by its group.
fn is_alike(group: &str) -> bool {
    let is_near = |ours: &str, most: usize| strsim::osa_distance(group, ours) <= most;
    // Others have groups that are not far from this one: `networking.istio.io`, `networking.gke.io`.
    let of_ours = OUR_GROUPS.iter().any(|ours| is_near(ours, ours.len() / 3)) || is_near(GROUP_IN_PART, 2);
    of_ours || group.contains("sallyport") || group.ends_with(COMMUNITY)
}

/// `v1`, `v1beta1`, and what others make of it.
fn is_version(version: &str) -> bool {
    let rest = version.strip_prefix('v').unwrap_or_default();
    rest.starts_with(|first: char| first.is_ascii_digit())
        && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_but_for_a_mistake() {
        for (version, kind, field) in [
            ("salyport.dev/v1alpha1", "ApiPolicy", "apiVersion"),
            ("Sallyport.dev/v1alpha1", "ApiPolicy", "apiVersion"),
            ("sallyport.dev", "ApiPolicy", "apiVersion"),
            ("sallyport.dev/v2", "ApiPolicy", "apiVersion"),
            ("example.com/v1", "ApiPolicy", "apiVersion"),
            ("v1", "ApiPolicy", "apiVersion"),
            ("example.com/v1", "apipolicy", "apiVersion"),
            ("example.com/v1", "ApiPolicyList", "apiVersion"),
            ("v2", "List", "apiVersion"),
            ("core/v1", "List", "apiVersion"),
            ("v1", "list", "apiVersion"),
            ("gateway.networking.k8s.io", "HTTPRoute", "apiVersion"),
            ("example.com/v1", "HTTPRoute", "apiVersion"),
            ("example.com/v1", "GRPCRoute", "apiVersion"),
            ("example.com/v1", "ReferenceGrant", "apiVersion"),
            ("example.com/v1", "GatewayClass", "apiVersion"),
            ("example.com/v1", "ConfigMap", "apiVersion"),
            ("networking.k8s.io/v1", "Gateway", "apiVersion"),
            ("gateway.k8s.io/v1", "Gateway", "apiVersion"),
            ("gatewey.networking.k8s.io/v1", "Gateway", "apiVersion"),
            ("gateway.networking.k8s.oi/v1", "Gateway", "apiVersion"),
            ("extensions/v1beta1", "Ingress", "apiVersion"),
            ("networking.k8s.io/v1beta1", "Ingress", "apiVersion"),
            ("networking.k8s.oi/v1", "Ingress", "apiVersion"),
            ("networking.k8s.io/v2", "IngressClass", "apiVersion"),
            ("example.com/v1", "IngressClass", "apiVersion"),
            ("networking.istio.io", "Gateway", "apiVersion"),
            ("networking.istio.io/1", "Gateway", "apiVersion"),
            ("Networking.istio.io/v1", "Gateway", "apiVersion"),
            ("networking_istio.io/v1", "Gateway", "apiVersion"),
            ("apps/v1", "Service", "apiVersion"),
            ("v2", "Secret", "apiVersion"),
            ("core/v1", "Secret", "apiVersion"),
            ("sallyport.de/v1alpha1", "Subscription", "apiVersion"),
            ("gateway.sallyport.dev/v1alpha1", "Backend", "apiVersion"),
            ("sallyport.dev/v1alpha1", "ApiPolcy", "kind"),
            ("salyport.dev/v1alpha1", "ApiPolcy", "kind"),
            ("sallyport.dev", "ApiPolcy", "kind"),
            ("Gateway.networking.k8s.io/v1", "HTPRoute", "kind"),
        ] {
            assert_eq!(Owner::of(version, kind), Owner::Ours { field }, "{version} {kind}");
        }
    }

    #[test]
    fn what_is_somebody_elses() {
        for (version, kind, namesake) in [
            ("apps/v1", "Deployment", None),
            ("v1", "Pod", None),
            ("v1", "PodList", None),
            ("example.com/v1", "AllowList", None),
            ("networking.istio.io/v1", "GatewayList", Some(ObjectKind::Gateway)),
            ("networking.k8s.io/v1", "NetworkPolicy", None),
            ("config.openshift.io/v1", "Ingress", Some(ObjectKind::Ingress)),
            ("networking.internal.knative.dev/v1alpha1", "Ingress", Some(ObjectKind::Ingress)),
            ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", None),
            ("gateway.networking.x-k8s.io/v1alpha1", "XListenerSet", None),
            ("networking.istio.io/v1", "Gateway", Some(ObjectKind::Gateway)),
            ("networking.istio.io/v1alpha3", "Gateway", Some(ObjectKind::Gateway)),
            ("gateway.envoyproxy.io/v1alpha1", "Backend", Some(ObjectKind::Backend)),
            ("gateway.kgateway.dev/v1alpha1", "GatewayParameters", Some(ObjectKind::GatewayParameters)),
            ("capabilities.3scale.net/v1beta1", "Product", Some(ObjectKind::Product)),
            ("operators.coreos.com/v1alpha1", "Subscription", Some(ObjectKind::Subscription)),
            ("serving.knative.dev/v1", "Service", Some(ObjectKind::Service)),
            ("servicebus.azure.com/v1api20211101", "Namespace", Some(ObjectKind::Namespace)),
            ("secretsmanager.services.k8s.aws/v1alpha1", "Secret", Some(ObjectKind::Secret)),
        ] {
            assert_eq!(Owner::of(version, kind), Owner::SomebodyElse { namesake }, "{version} {kind}");
        }
    }
}
