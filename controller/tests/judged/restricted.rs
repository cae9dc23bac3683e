//! Every pod that is made passes Pod Security's profile `restricted`, whatever parameters say.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::judged::judge;

/// What the documentation of the profile calls it, and whether a pod meets it.
type Demand = (&'static str, fn(&Value) -> bool);

/// What the profile demands of a pod.
const DEMANDS: [Demand; 9] = [
    ("Host Namespaces", |pod| ["hostNetwork", "hostPID", "hostIPC"].iter().all(|field| pod[*field].is_null())),
    ("Privileged Containers", |pod| all(pod, |one| one["securityContext"]["privileged"].is_null())),
    ("Capabilities", |pod| {
        all(pod, |one| {
            let capabilities = &one["securityContext"]["capabilities"];
            capabilities["drop"][0] == "ALL" && capabilities["add"].is_null()
        })
    }),
    ("Volume Types", |pod| {
        let volumes = pod["volumes"].as_array().into_iter().flatten();
        volumes
            .into_iter()
            .all(|volume| volume.as_object().unwrap().keys().all(|key| key == "name" || key == "projected"))
    }),
    ("Host Ports", |pod| {
        let ports = containers(pod).flat_map(|one| one["ports"].as_array().into_iter().flatten());
        ports.into_iter().all(|port| port["hostPort"].is_null())
    }),
    ("Privilege Escalation", |pod| all(pod, |one| one["securityContext"]["allowPrivilegeEscalation"] == false)),
    ("Running as Non-root", |pod| pod["securityContext"]["runAsNonRoot"] == true),
    ("Running as Non-root user", |pod| {
        pod["securityContext"]["runAsUser"] != 0 && all(pod, |one| one["securityContext"]["runAsUser"] != 0)
    }),
    ("Seccomp", |pod| pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"),
];

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"].into_iter().flat_map(|list| pod[list].as_array().into_iter().flatten())
}

fn all(pod: &Value, holds: impl Fn(&Value) -> bool) -> bool {
    containers(pod).all(holds)
}

/// Pods of every case in the folder of infrastructure.
fn pods() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/infra");
    let base = fs::read_to_string(folder.join("base.yaml")).unwrap();
    let cases = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let cases = cases.filter(|text| text.contains("kind: Gateway\n"));
    let objects = cases.flat_map(|case| judge(&format!("{base}\n---\n{case}")).infrastructure);
    let objects = objects.flat_map(|(_, objects)| objects.into_iter().flatten());
    objects.filter(|one| one["kind"] == "Deployment").map(|one| one["spec"]["template"]["spec"].clone()).collect()
}

#[test]
fn every_pod_passes() {
    let pods = pods();
    assert!(pods.len() >= 7, "{} pods", pods.len());
    for pod in &pods {
        assert!(containers(pod).count() > 0, "{pod}");
        for (name, holds) in DEMANDS {
            assert!(holds(pod), "{name}: {pod}");
        }
    }
}

/// A table that everything passes shows nothing.
#[test]
fn a_pod_that_says_nothing_does_not_pass() {
    let pod = serde_json::json!({"containers": [{"name": "a"}]});
    let broken: Vec<_> = DEMANDS.iter().filter(|(_, holds)| !holds(&pod)).map(|(name, _)| *name).collect();
    assert_eq!(broken, ["Capabilities", "Privilege Escalation", "Running as Non-root", "Seccomp"]);
}
