use serde_json::{Value, json};

use super::facts::Told;
use super::judge::{KINDS, RIGHTS};
use super::*;
use crate::cluster::status::{Unread, World};

fn gateway_class(status: &str) -> Value {
    json!({
        "kind": "GatewayClass", "metadata": { "name": "sallyport", "generation": 1 },
        "spec": { "controllerName": "sallyport.dev/gateway-controller" },
        "status": { "conditions": [{ "type": "Accepted", "status": status, "reason": "Accepted", "observedGeneration": 1 }] },
    })
}

fn deployment(available: i64) -> Value {
    json!({
        "metadata": { "namespace": "sallyport-system", "name": "sallyport-controller", "generation": 2 },
        "spec": { "replicas": 2 },
        "status": { "observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": available },
    })
}

fn crds() -> Vec<(String, Told<Option<Value>>)> {
    let all = sallyport_api::schema::custom_resource_definitions().into_iter();
    all.map(|crd| (crd.metadata.name.clone().unwrap(), Ok(Some(serde_json::to_value(crd).unwrap())))).collect()
}

/// Numbers as an API server writes them: whole ones without a point.
fn rewritten(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e15) {
            Some(whole) => serde_json::from_str(&format!("{whole:.0}")).unwrap(),
            None => Value::Number(number),
        },
        Value::Array(entries) => entries.into_iter().map(rewritten).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, rewritten(value))).collect(),
        value => value,
    }
}

#[test]
fn crds_are_compared_by_what_they_mean() {
    let mut facts = fine();
    for (_, found) in &mut facts.crds {
        *found = found.clone().map(|crd| crd.map(rewritten));
    }
    assert_eq!(wrong(&judge::after(&facts)), Vec::<String>::new());
    let Ok(Some(crd)) = &mut facts.crds[0].1 else { panic!("it is there") };
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["maxProperties"] = 3.into();
    assert_eq!(wrong(&judge::after(&facts)), ["Fail crd/apipolicies.sallyport.dev"]);
}

/// A cluster with nothing wrong in it.
fn fine() -> Facts {
    let served =
        KINDS.iter().map(|(version, kinds)| (*version, Ok(kinds.iter().map(|kind| (*kind).to_owned()).collect())));
    Facts {
        version: Some(Ok(("1.37".to_owned(), "v1.37.0".to_owned()))),
        served: served.collect(),
        crds: crds(),
        rights: RIGHTS.iter().map(|right| (*right, Ok(true))).collect(),
        controllers: Some(Ok(vec![deployment(2)])),
        world: World { objects: vec![gateway_class("True")], unread: vec![] },
    }
}

/// Names of the checks that do not pass.
fn wrong(checks: &[Check]) -> Vec<String> {
    let wrong = checks.iter().filter(|check| check.verdict != Verdict::Pass);
    wrong.map(|check| format!("{:?} {}", check.verdict, check.name)).collect()
}

#[test]
fn a_cluster_with_nothing_wrong_passes_every_check() {
    let facts = fine();
    assert_eq!(wrong(&judge::before(&facts)), Vec::<String>::new());
    assert_eq!(wrong(&judge::after(&facts)), Vec::<String>::new());
    assert_eq!(outcome(&judge::after(&facts)), Outcome::Fine);
    let checks = judge::before(&facts).len() + judge::after(&facts).len();
    assert!(checks >= 40, "{checks} checks");
}

#[test]
fn what_is_wrong_before_installing_is_said_with_its_cure() {
    type Spoil = fn(&mut Facts);
    let cases: [(Spoil, &str); 8] = [
        (|facts| facts.version = Some(Ok(("1.29+".into(), "v1.29.9".into()))), "Fail api-server"),
        (|facts| facts.version = Some(Ok(("one".into(), "one".into()))), "Unknown api-server"),
        (|facts| drop(facts.served.insert("policy/v1", Ok(vec![]))), "Fail kind/PodDisruptionBudget"),
        (|facts| drop(facts.served.insert("apps/v1", Err("forbidden".into()))), "Unknown kind/Deployment"),
        (|facts| facts.rights[0].1 = Ok(false), "Fail right/create namespaces"),
        (
            |facts| facts.rights[1].1 = Err("no; later".into()),
            "Unknown right/create customresourcedefinitions.apiextensions.k8s.io",
        ),
        (
            |facts| facts.crds[0].1 = Ok(Some(json!({ "spec": { "group": "else" } }))),
            "Fail crd/apipolicies.sallyport.dev",
        ),
        (|facts| facts.crds[0].1 = Err("forbidden".into()), "Unknown crd/apipolicies.sallyport.dev"),
    ];
    for (spoil, expected) in cases {
        let mut facts = fine();
        spoil(&mut facts);
        let checks = judge::before(&facts);
        assert_eq!(wrong(&checks), [expected]);
        assert!(checks.iter().all(|check| (check.verdict == Verdict::Pass) == check.cure.is_empty()), "{expected}");
    }
    // What the chart brings need not be there.
    let mut facts = fine();
    facts.crds.iter_mut().for_each(|(_, found)| *found = Ok(None));
    assert_eq!(wrong(&judge::before(&facts)), Vec::<String>::new());
    assert_eq!(wrong(&judge::after(&facts)).len(), facts.crds.len());
}

#[test]
fn an_older_gateway_api_is_told_what_it_lacks() {
    let mut facts = fine();
    let without = ["GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute"].map(str::to_owned).to_vec();
    facts.served.insert("gateway.networking.k8s.io/v1", Ok(without));
    let checks = judge::before(&facts);
    assert_eq!(wrong(&checks), ["Fail kind/ReferenceGrant"]);
    let said = table(&checks, false);
    assert!(
        said.contains("FAIL  kind/ReferenceGrant: not served in gateway.networking.k8s.io/v1\n      cure: Gateway API"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}') && table(&checks, true).contains("\u{1b}[31mFAIL"));
}

#[test]
fn what_is_wrong_afterwards_is_said_with_its_cure() {
    type Spoil = fn(&mut Facts);
    let cases: [(Spoil, &str, Outcome); 8] = [
        (|facts| facts.controllers = Some(Ok(vec![])), "Fail controller", Outcome::Findings),
        (|facts| facts.controllers = Some(Err("no".into())), "Unknown controller", Outcome::CannotTell),
        (
            |facts| facts.controllers = Some(Ok(vec![deployment(1)])),
            "Fail controller/sallyport-system/sallyport-controller",
            Outcome::Findings,
        ),
        (|facts| facts.world.objects.clear(), "Fail class", Outcome::Findings),
        (|facts| facts.world.objects = vec![gateway_class("False")], "Fail class/sallyport", Outcome::Findings),
        (
            |facts| facts.world.unread.push(Unread { kind: "Backend", why: "no".into() }),
            "Unknown objects/Backend",
            Outcome::CannotTell,
        ),
        (
            |facts| {
                facts.crds[0].1 = Ok(Some(
                    json!({ "spec": { "group": "sallyport.dev", "versions": [{ "name": "v1alpha1", "served": true }] } }),
                ))
            },
            "Fail crd/apipolicies.sallyport.dev",
            Outcome::Findings,
        ),
        (
            |facts| {
                facts
                    .world
                    .objects
                    .push(json!({ "kind": "Product", "metadata": { "namespace": "a", "name": "b", "generation": 1 } }))
            },
            "Fail object/Product/a/b",
            Outcome::Findings,
        ),
    ];
    for (spoil, expected, end) in cases {
        let mut facts = fine();
        spoil(&mut facts);
        let checks = judge::after(&facts);
        assert_eq!((wrong(&checks), outcome(&checks)), (vec![expected.to_owned()], end));
        assert!(matches!(awaited(checks), Look::Awaits(_)), "{expected}");
    }
}

#[test]
fn a_controller_that_is_not_rolled_out_yet_is_not_available() {
    for (field, value) in [("observedGeneration", 1), ("updatedReplicas", 1), ("availableReplicas", 0)] {
        let mut facts = fine();
        let mut controller = deployment(2);
        controller["status"][field] = value.into();
        facts.controllers = Some(Ok(vec![controller]));
        assert_eq!(outcome(&judge::after(&facts)), Outcome::Findings, "{field}");
    }
    let mut scaled_down = deployment(0);
    (scaled_down["spec"]["replicas"], scaled_down["status"]["updatedReplicas"]) = (0.into(), 0.into());
    let facts = Facts { controllers: Some(Ok(vec![scaled_down])), ..fine() };
    assert_eq!(outcome(&judge::after(&facts)), Outcome::Findings);
}
