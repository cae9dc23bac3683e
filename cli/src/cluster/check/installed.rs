//! What has been installed: our kinds, the controller, its classes, and every object of it.

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use sallyport_api::CONTROLLER_NAME;
use sallyport_controller::cluster::ObjectKind;
use serde_json::Value;

use super::{Finding, prerequisites};
use crate::cluster::connect::Cluster;
use crate::cluster::object::{condition, holds, text};
use crate::cluster::status;

/// By which the chart labels its Deployment.
const CONTROLLER: &str = "app.kubernetes.io/name=sallyport-controller";
const INSTALL: &str = "helm install sallyport charts/sallyport --namespace sallyport-system --create-namespace";

pub(super) async fn all(cluster: &Cluster) -> anyhow::Result<Vec<Finding>> {
    let mut findings =
        prerequisites::served(cluster, "sallyport.dev/", "install the chart, or apply what `sallyport crds` prints")
            .await?;
    if findings.iter().any(|one| !one.fine) {
        return Ok(findings);
    }
    findings.extend(controllers(cluster).await?);
    findings.extend(classes(&cluster.list(ObjectKind::GatewayClass, None).await?));
    for row in status::rows(cluster, None).await? {
        let message = (!row.ready).then(|| format!("{}: {}", row.reason, row.message));
        findings.push(Finding::of(format!("{} {}/{}", row.kind, row.namespace, row.name), message));
    }
    Ok(findings)
}

async fn controllers(cluster: &Cluster) -> anyhow::Result<Vec<Finding>> {
    let api: Api<Deployment> = Api::all(cluster.client.clone());
    let found = api.list(&ListParams::default().labels(CONTROLLER)).await;
    let found = found.context("the API server does not tell of deployments")?;
    if found.items.is_empty() {
        return Ok(vec![Finding::wrong("the controller", format!("there is none; {INSTALL}"))]);
    }
    Ok(found.items.iter().map(controller).collect())
}

fn controller(deployment: &Deployment) -> Finding {
    let what = format!("Deployment {}/{}", deployment.namespace().unwrap_or_default(), deployment.name_any());
    let status = deployment.status.as_ref();
    let available = status.and_then(|status| status.available_replicas).unwrap_or_default();
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let message = (available < wanted)
        .then(|| format!("{available} of {wanted} replicas are available; see the logs of its pods"));
    Finding::of(what, message)
}

fn classes(classes: &[Value]) -> Vec<Finding> {
    let ours: Vec<_> = classes.iter().filter(|class| text(class, "/spec/controllerName") == CONTROLLER_NAME).collect();
    if ours.is_empty() {
        let cure = format!("there is none of controllerName {CONTROLLER_NAME}; make one");
        return vec![Finding::wrong("GatewayClass", cure)];
    }
    let finding = |class: &&Value| {
        let accepted = holds(&class["status"], "Accepted", None);
        let told =
            condition(&class["status"], "Accepted").map_or("no controller has judged it", |one| text(one, "/message"));
        Finding::of(format!("GatewayClass {}", text(class, "/metadata/name")), (!accepted).then(|| told.to_owned()))
    };
    ours.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(name: &str, controller: &str, status: &str) -> Value {
        let accepted = json!({ "type": "Accepted", "status": status, "message": "its parameters are invalid" });
        json!({ "metadata": { "name": name }, "spec": { "controllerName": controller }, "status": { "conditions": [accepted] } })
    }

    #[test]
    fn a_class_of_ours_has_to_be_there_and_accepted() {
        let theirs = class("theirs", "example.com/other", "True");
        assert!(!classes(std::slice::from_ref(&theirs))[0].fine);
        assert_eq!(classes(&[theirs, class("ours", CONTROLLER_NAME, "True")]), [Finding::fine("GatewayClass ours")]);
        let refused = Finding::wrong("GatewayClass ours", "its parameters are invalid");
        assert_eq!(classes(&[class("ours", CONTROLLER_NAME, "False")]), [refused]);
        let new = json!({ "metadata": { "name": "new" }, "spec": { "controllerName": CONTROLLER_NAME } });
        assert_eq!(classes(&[new]), [Finding::wrong("GatewayClass new", "no controller has judged it")]);
    }

    #[test]
    fn a_controller_of_which_a_replica_is_missing_is_told() {
        let deployment = |available: i32| -> Deployment {
            serde_json::from_value(json!({
                "metadata": { "namespace": "system", "name": "sallyport-controller" },
                "spec": { "replicas": 2, "selector": {}, "template": {} }, "status": { "availableReplicas": available },
            }))
            .unwrap()
        };
        assert!(controller(&deployment(2)).fine);
        assert!(controller(&deployment(1)).message.starts_with("1 of 2 replicas"));
    }
}
