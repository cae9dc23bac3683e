//! The controller has the rights that it needs, as the chart gives them, and no others: everything that it does takes one of them, and
//! each is taken by something.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::{Api, Place, Right};
use crate::kit::controller::Controller;
use crate::kit::manifest::{BACKEND, CLASS, GATEWAY, LOGIN, NAMESPACE, POLICY, ROUTE};
use crate::kit::plane::Plane;
use crate::kit::{SITE, gateway, ours, written};

const RULES: &str = include_str!("../../../charts/sallyport/templates/_rules.tpl");

/// An object of each kind that is not there yet.
const OTHERS: [&str; 9] = [
    "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: sallyport}, spec: {controller: sallyport.dev/ingress-controller, parameters: {apiGroup: gateway.networking.k8s.io, kind: Gateway, scope: Namespace, namespace: shop, name: public}}}",
    "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, namespace: shop}, spec: {ingressClassName: sallyport, rules: [{host: a.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: orders, port: {number: 80}}}}]}}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: calls, namespace: shop}, spec: {parentRefs: [{name: public}], rules: [{backendRefs: [{name: orders, port: 80}]}]}}",
    "{apiVersion: sallyport.dev/v1alpha1, kind: GatewayParameters, metadata: {name: all, namespace: shop}, spec: {}}",
    "{apiVersion: sallyport.dev/v1alpha1, kind: Product, metadata: {name: orders, namespace: shop}, spec: {displayName: Orders, apis: [{kind: HTTPRoute, name: orders}]}}",
    "{apiVersion: sallyport.dev/v1alpha1, kind: Subscription, metadata: {name: acme, namespace: shop}, spec: {scope: {product: {name: orders}}, keys: {secretName: acme-keys}}}",
    "{apiVersion: sallyport.dev/v1alpha1, kind: SubscriptionApproval, metadata: {name: word, namespace: shop}, spec: {productRef: {name: orders}, subscriptionRef: {namespace: shop, name: acme, uid: none}, decision: Approved}}",
    "{apiVersion: sallyport.dev/v1alpha1, kind: Backend, metadata: {name: private, namespace: shop}, spec: {endpoints: [{host: {name: orders.example.com, port: 443}}], tls: {validation: {hostname: orders.example.com, caCertificateRefs: [{kind: ConfigMap, name: roots}]}}}}",
    "{apiVersion: v1, kind: Service, metadata: {name: orders, namespace: shop}, spec: {ports: [{port: 80}]}}",
];

/// One right that the chart gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Given {
    verb: String,
    group: String,
    resource: String,
    /// The only ones, if they are named.
    names: Vec<String>,
}

impl Given {
    fn allows(&self, right: &Right) -> bool {
        let is_named = self.names.is_empty() || self.names.contains(&right.name);
        (&*self.verb, &self.group, &self.resource) == (right.verb, &right.group, &right.resource) && is_named
    }
}

/// What a template of the chart gives, in a release called `sallyport`.
fn given(template: &str) -> BTreeSet<Given> {
    let start = format!("{{{{- define \"{template}\" -}}}}");
    let (_, rest) = RULES.split_once(&start).unwrap_or_else(|| panic!("there is no {template}"));
    let (text, _) = rest.split_once("{{- end -}}").unwrap();
    let text = text.replace("{{ .Release.Name }}", "sallyport");
    let text = text.replace("{{ include \"sallyport.name\" . }}", "sallyport-controller");
    let rules: Vec<Value> = serde_saphyr::from_str(&text).unwrap();
    let given: BTreeSet<_> = rules.iter().flat_map(rights).collect();
    assert!(!given.is_empty(), "{template} gives nothing");
    given
}

fn rights(rule: &Value) -> Vec<Given> {
    let texts = |name: &str| -> Vec<String> {
        let list = rule[name].as_array().into_iter().flatten();
        list.map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let mut all = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            for verb in texts("verbs") {
                let (group, resource) = (group.clone(), resource.clone());
                all.push(Given { verb, group, resource, names: texts("resourceNames") });
            }
        }
    }
    all
}

/// What was needed and is not given, and what is given in the first of `everywhere` and `own` that allows it and nobody needed.
fn differences(used: &BTreeSet<Right>, given: &[(&str, BTreeSet<Given>)]) -> Vec<String> {
    let holds = |place: &str, right: &Right| place.is_empty() || place == right.namespace;
    let mut unused: BTreeSet<_> =
        given.iter().flat_map(|(place, given)| given.iter().map(move |one| (*place, one))).collect();
    let mut told = Vec::new();
    for right in used {
        let mut places = given.iter().filter(|(place, _)| holds(place, right));
        match places.find_map(|(place, given)| Some((*place, given.iter().find(|one| one.allows(right))?))) {
            Some(found) => drop(unused.remove(&found)),
            None => told.push(format!("not given: {right:?}")),
        }
    }
    told.extend(unused.iter().map(|(place, one)| format!("never used {place}: {one:?}")));
    told
}

async fn everything_happens(api: &Api, start: impl Fn() -> Controller) {
    let all = [NAMESPACE, CLASS, GATEWAY, BACKEND, LOGIN, ROUTE, POLICY];
    all.iter().chain(&OTHERS).for_each(|manifest| api.put(manifest));
    let controller = start();
    controller.ready().await;
    written(api, 20).await;
    api.edit(&Place::new("api/v1/services", "shop/public-sallyport"), |service| {
        service["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "203.0.113.1" }] } });
    });
    written(api, 1).await;
    let mut plane = Plane::connect(api, &controller, "shop/public", "pod-1").await;
    let update = plane.update().await;
    plane.acknowledge(&update);
    written(api, 1).await;
    api.edit(&ours("subscriptions", "shop/acme"), |one| {
        one["metadata"]["annotations"] = json!({ "sallyport.dev/rotate": "primary 2026-01-01T00:00:00Z" });
    });
    written(api, 1).await;
    // The same again: an Event is counted up.
    for port in [1, 80, 1, 80] {
        api.edit(&ours("backends", "shop/private"), |backend| {
            backend["spec"]["endpoints"][0]["host"]["port"] = port.into();
        });
        api.delete(&Place::new("api/v1/secrets", "shop/login"));
        written(api, 1).await;
        api.put(LOGIN);
        written(api, 1).await;
    }
    controller.stop().await;
    // It is not what it was: it is made anew.
    api.edit(&Place::new("api/v1/secrets", &format!("{SITE}/sallyport-authority")), |secret| {
        secret["data"] = json!({})
    });
    let controller = start();
    controller.ready().await;
    api.edit(&gateway("shop/public"), |gateway| gateway["spec"]["gatewayClassName"] = "other".into());
    written(api, 5).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_right_is_needed_and_no_other_is() {
    let api = Api::start().await;
    everything_happens(&api, || Controller::start(&api, "controller-1")).await;
    let everywhere = given("sallyport.rules").into_iter().chain(given("sallyport.clusterRules")).collect();
    let told = differences(&api.used(), &[(SITE, given("sallyport.ownRules")), ("", everywhere)]);
    assert!(told.is_empty(), "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_namespace_no_right_is_needed_in_others() {
    let api = Api::start().await;
    everything_happens(&api, || Controller::within(&api, "shop")).await;
    let cluster = given("sallyport.clusterRules");
    let own = given("sallyport.ownRules").into_iter().chain(given("sallyport.homeRules")).collect();
    let places = [(SITE, own), ("default", given("sallyport.defaultRules")), ("shop", given("sallyport.rules"))];
    let used = api.used();
    let (of_cluster, of_namespaces): (BTreeSet<_>, BTreeSet<_>) =
        used.into_iter().partition(|right| right.namespace.is_empty());
    let not_given = |told: Vec<String>| told.into_iter().filter(|one| one.starts_with("not given")).collect::<Vec<_>>();
    let told = not_given(differences(&of_cluster, &[("", cluster)]));
    assert!(told.is_empty(), "{told:#?}");
    let told = not_given(differences(&of_namespaces, &places));
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn what_is_missing_and_what_is_too_much_is_told() {
    let right = |verb, name: &str| Right {
        verb,
        group: "apps".into(),
        resource: "deployments".into(),
        namespace: "shop".into(),
        name: name.into(),
    };
    let given = |verb: &str, names: &[&str]| Given {
        verb: verb.into(),
        group: "apps".into(),
        resource: "deployments".into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let of = |used: &[Right], place: &'static str, given: Given| {
        differences(&used.iter().cloned().collect(), &[(place, BTreeSet::from([given]))]).len()
    };
    assert_eq!(of(&[right("get", "a")], "", given("get", &[])), 0);
    assert_eq!(of(&[right("get", "a")], "shop", given("get", &["a"])), 0);
    assert_eq!(of(&[], "", given("get", &[])), 1, "never used");
    assert_eq!(of(&[right("get", "a")], "", given("list", &[])), 2);
    assert_eq!(of(&[right("get", "a")], "", given("get", &["b"])), 2);
    assert_eq!(of(&[right("get", "a")], "other", given("get", &[])), 2);
}
