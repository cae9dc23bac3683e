//! From what a cluster is to what is right with it and what is not. Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};
use sallyport_api::GROUP;
use serde_json::Value;

use super::facts::{Facts, Told, gateway_api_kinds};
use super::{Check, Verdict};
use crate::cluster::object::{entries, full_name, generation};
use crate::cluster::status::judge::judge as judge_objects;
use crate::cluster::status::report::{Row, State};

/// The oldest Kubernetes whose API servers know the rules in our CRDs, as the chart says.
const MIN_VERSION: (u32, u32) = (1, 30);
const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";
const GATEWAY_API_CURE: &str = "Gateway API has it from release 1.5 on: kubectl apply --server-side -f https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.3/standard-install.yaml";
const RIGHT_CURE: &str = "Let somebody install it who may, such as a cluster administrator.";
const CRD_CURE: &str = "Install the chart, or pipe `sallyport crds` into `kubectl apply --server-side -f -`; see that both are of one release.";
const CONTROLLER_CURE: &str =
    "Install the chart: helm install sallyport charts/sallyport --namespace sallyport-system --create-namespace";
const PODS_CURE: &str = "See why its pods are not ready: `kubectl describe pods` and `kubectl logs` in that namespace.";
const CLASS_CURE: &str = "Install the chart with `gatewayClass.name`, or create a GatewayClass with controllerName sallyport.dev/gateway-controller.";

/// Kinds that the controller works with, by the version of their group.
pub(super) const KINDS: [(&str, &[&str]); 8] = [
    (GATEWAY_API, &["GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute", "ReferenceGrant"]),
    ("apps/v1", &["Deployment"]),
    ("authentication.k8s.io/v1", &["TokenReview"]),
    ("coordination.k8s.io/v1", &["Lease"]),
    ("discovery.k8s.io/v1", &["EndpointSlice"]),
    ("events.k8s.io/v1", &["Event"]),
    ("networking.k8s.io/v1", &["Ingress", "IngressClass"]),
    ("policy/v1", &["PodDisruptionBudget"]),
];

/// Something that whoever installs creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Right {
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) is_namespaced: bool,
}

const fn cluster(group: &'static str, resource: &'static str) -> Right {
    Right { group, resource, is_namespaced: false }
}

const fn namespaced(group: &'static str, resource: &'static str) -> Right {
    Right { group, resource, is_namespaced: true }
}

/// What the chart is made of.
pub(super) const RIGHTS: &[Right] = &[
    cluster("", "namespaces"),
    cluster("apiextensions.k8s.io", "customresourcedefinitions"),
    cluster("gateway.networking.k8s.io", "gatewayclasses"),
    cluster("rbac.authorization.k8s.io", "clusterroles"),
    cluster("rbac.authorization.k8s.io", "clusterrolebindings"),
    namespaced("", "secrets"),
    namespaced("", "serviceaccounts"),
    namespaced("", "services"),
    namespaced("apps", "deployments"),
    namespaced("networking.k8s.io", "networkpolicies"),
    namespaced("policy", "poddisruptionbudgets"),
    namespaced("rbac.authorization.k8s.io", "roles"),
    namespaced("rbac.authorization.k8s.io", "rolebindings"),
];

/// Before anything is installed.
pub(super) fn before(facts: &Facts) -> Vec<Check> {
    let crds = facts.crds.iter().map(|(name, found)| match found {
        Ok(None) => passed(format!("crd/{name}"), "not there yet; the chart brings it".to_owned()),
        Ok(Some(crd)) if version(crd).is_none() => {
            let message = "it is there, and not in a version of ours".to_owned();
            failed(format!("crd/{name}"), message, "Another program owns this name: remove its CRD first.")
        }
        Ok(Some(_)) => passed(format!("crd/{name}"), "there already; the chart keeps it current".to_owned()),
        Err(why) => unknown(format!("crd/{name}"), why),
    });
    let rights = facts.rights.iter().map(|(right, allowed)| allowed_to(*right, allowed));
    of_api_server(facts).into_iter().chain(crds).chain(rights).collect()
}

/// Once it is installed.
pub(super) fn after(facts: &Facts) -> Vec<Check> {
    let mut checks = of_api_server(facts);
    checks.extend(facts.crds.iter().map(|(name, found)| current(name, found)));
    if let Some(controllers) = &facts.controllers {
        checks.extend(of_controllers(controllers));
        let report = judge_objects(&facts.world);
        let unread = report.unread.iter().map(|unread| unknown(format!("objects/{}", unread.kind), &unread.why));
        let is_read = facts.world.unread.iter().all(|unread| unread.kind != "GatewayClass");
        if is_read && report.objects.iter().all(|row| row.kind != "GatewayClass") {
            checks.push(failed(
                "class".to_owned(),
                "there is no GatewayClass of this controller".to_owned(),
                CLASS_CURE,
            ));
        }
        checks.extend(report.objects.iter().map(of_object));
        checks.extend(unread);
    }
    checks
}

fn of_api_server(facts: &Facts) -> Vec<Check> {
    let version = match &facts.version {
        None => vec![],
        Some(Err(why)) => vec![unknown("api-server".to_owned(), why)],
        Some(Ok((version, whole))) => vec![is_new_enough(version, whole)],
    };
    let kinds = KINDS.iter().filter_map(|(version, kinds)| Some((version, kinds, facts.served.get(version)?)));
    let each =
        kinds.flat_map(|(version, kinds, served)| kinds.iter().map(move |kind| is_served(version, kind, served)));
    version.into_iter().chain(each).collect()
}

fn is_new_enough(version: &str, whole: &str) -> Check {
    let name = "api-server".to_owned();
    // Some providers say `30+`.
    let number = |text: &str| text.trim_end_matches('+').parse::<u32>().ok();
    let parsed = version.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    let (major, minor) = MIN_VERSION;
    match parsed {
        Some(found) if found >= MIN_VERSION => passed(name, format!("Kubernetes {whole}")),
        Some(_) => {
            let cure = format!("Upgrade the cluster to {major}.{minor} or later.");
            failed(name, format!("Kubernetes {whole} is older than {major}.{minor}"), &cure)
        }
        None => unknown(name, &format!("its version cannot be read: {whole}")),
    }
}

fn is_served(version: &str, kind: &str, served: &Told<Vec<String>>) -> Check {
    let name = format!("kind/{kind}");
    match served {
        Ok(kinds) if kinds.iter().any(|one| one == kind) => passed(name, format!("served in {version}")),
        Ok(_) => {
            let is_of_gateway_api = gateway_api_kinds().any(|one| one.as_str() == kind);
            let cure = if is_of_gateway_api {
                GATEWAY_API_CURE
            } else {
                "Switch this part of Kubernetes on in the API server."
            };
            failed(name, format!("not served in {version}"), cure)
        }
        Err(why) => unknown(name, why),
    }
}

fn allowed_to(right: Right, allowed: &Told<bool>) -> Check {
    let group = if right.group.is_empty() { String::new() } else { format!(".{}", right.group) };
    let name = format!("right/create {}{group}", right.resource);
    match allowed {
        Ok(true) => passed(name, "allowed".to_owned()),
        Ok(false) => failed(name, "you are not allowed to do this".to_owned(), RIGHT_CURE),
        Err(why) => unknown(name, why),
    }
}

/// The version of a CRD that is ours.
fn version(crd: &Value) -> Option<&Value> {
    let ours = |version: &&Value| version["name"] == "v1alpha1" && version["served"] == true;
    entries(crd, "/spec/versions").find(ours).filter(|_| crd["spec"]["group"] == GROUP)
}

/// Whether the cluster's CRD is the one of this program.
fn current(name: &str, found: &Told<Option<Value>>) -> Check {
    let check = format!("crd/{name}");
    let crd = match found {
        Err(why) => return unknown(check, why),
        Ok(None) => return failed(check, "it is not there".to_owned(), CRD_CURE),
        Ok(Some(crd)) => crd,
    };
    let own = sallyport_api::schema::custom_resource_definitions();
    let own = own.into_iter().find(|crd| crd.metadata.name.as_deref() == Some(name));
    // An API server writes some numbers in another form: what they mean is compared.
    let here = serde_json::from_value(crd.clone()).ok().and_then(schema);
    match version(crd) {
        None => failed(check, "v1alpha1 is not served".to_owned(), CRD_CURE),
        Some(_) if here.is_some() && here == own.and_then(schema) => {
            passed(check, "of the release of this program".to_owned())
        }
        Some(_) => failed(check, "its schema is of another release than this program".to_owned(), CRD_CURE),
    }
}

fn schema(crd: CustomResourceDefinition) -> Option<JSONSchemaProps> {
    let version = crd.spec.versions.into_iter().find(|version| version.name == "v1alpha1")?;
    version.schema?.open_api_v3_schema
}

fn of_controllers(controllers: &Told<Vec<Value>>) -> Vec<Check> {
    match controllers {
        Err(why) => vec![unknown("controller".to_owned(), why)],
        Ok(found) if found.is_empty() => {
            vec![failed(
                "controller".to_owned(),
                "no Deployment of the controller was found".to_owned(),
                CONTROLLER_CURE,
            )]
        }
        Ok(found) => found.iter().map(is_available).collect(),
    }
}

fn is_available(deployment: &Value) -> Check {
    let name = format!("controller/{}", full_name(deployment));
    let status = &deployment["status"];
    let wanted = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
    let number = |field: &str| status[field].as_i64().unwrap_or_default();
    let is_seen = status["observedGeneration"].as_i64() >= generation(deployment);
    let (updated, available) = (number("updatedReplicas"), number("availableReplicas"));
    let message = format!("{available} of {wanted} replicas are available, {updated} as they should be now");
    let is_fine = is_seen && wanted > 0 && updated == wanted && available == wanted;
    if is_fine { passed(name, message) } else { failed(name, message, PODS_CURE) }
}

fn of_object(row: &Row) -> Check {
    let namespace = if row.namespace.is_empty() { String::new() } else { format!("{}/", row.namespace) };
    let kind = if row.kind == "GatewayClass" { "class".to_owned() } else { format!("object/{}", row.kind) };
    let name = format!("{kind}/{namespace}{}", row.name);
    let Some(finding) = row.findings.first().filter(|_| row.ready != State::True) else {
        return passed(name, "ready".to_owned());
    };
    let at = if finding.at.is_empty() { String::new() } else { format!("{}: ", finding.at) };
    failed(name, format!("{at}{}: {}", finding.reason, finding.message), &finding.cure)
}

fn passed(name: String, message: String) -> Check {
    Check { name, verdict: Verdict::Pass, message, cure: String::new() }
}

fn failed(name: String, message: String, cure: &str) -> Check {
    Check { name, verdict: Verdict::Fail, message, cure: cure.to_owned() }
}

fn unknown(name: String, why: &str) -> Check {
    let (message, cure) = why.rsplit_once("; ").unwrap_or((why, "Try again."));
    Check { name, verdict: Verdict::Unknown, message: message.to_owned(), cure: cure.to_owned() }
}
