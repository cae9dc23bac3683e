//! Manifests and what is said of them.

use proptest::prelude::*;

use super::*;
use crate::cluster::Stored;

fn load_text(text: &str) -> Loaded {
    load(&[SourceFile { path: "a.yaml".into(), text: text.into() }])
}

fn said(text: &str) -> Vec<String> {
    load_text(text).diagnostics.iter().map(ToString::to_string).collect()
}

const ROUTE: &str =
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: orders, namespace: shop}\n";
const POLICY: &str = "apiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicy\nmetadata: {name: orders, namespace: shop}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}]\n";

#[test]
fn every_rule_of_every_schema_can_be_evaluated() {
    for kind in ObjectKind::ALL {
        if let Some(schema) = schema::of(*kind) {
            assert_eq!(schema.unusable_rules(), Vec::<String>::new(), "{kind:?}");
        }
    }
    assert!(ObjectKind::ALL.iter().filter(|kind| schema::of(**kind).is_some()).count() == 10);
}

#[test]
fn forms_that_kubectl_takes() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n";
    let loaded = load_text(&format!(
        "---\n{list}---\n# nothing\n---\n{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {{\"name\": \"c\"}}}}\n"
    ));
    assert_eq!(loaded.diagnostics, vec![]);
    let names: Vec<_> = loaded.objects.iter().map(|object| object.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "default/c"]);
}

#[test]
fn string_data_and_defaults_are_filled_in() {
    let loaded = load_text(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{key: value}}\n---\n{ROUTE}spec: {{rules: [{{}}]}}\n"
    ));
    assert_eq!(loaded.diagnostics, vec![]);
    let Object::Secret(Stored::Decoded(secret)) = &loaded.objects[0].object else { panic!() };
    assert_eq!(secret.data.as_ref().unwrap()["key"].0, b"value");
    let Object::HTTPRoute(Stored::Decoded(route)) = &loaded.objects[1].object else { panic!() };
    let path = route.spec.rules.as_ref().unwrap()[0].matches.as_ref().unwrap()[0].path.as_ref().unwrap();
    assert_eq!(path.value.as_deref(), Some("/"));
}

#[test]
fn what_an_api_server_would_refuse_is_said_with_its_place() {
    let jwt = |inner: &str| {
        format!("{POLICY}  authentication:\n  - name: a\n    jwt: {{issuer: \"https://i.example\", {inner}}}\n")
    };
    for (text, place, word) in [
        (format!("{POLICY}  ipFiltr: {{}}\n"), "a.yaml:6:3", "no such field"),
        (format!("{POLICY}  authentication:\n  - name: a\n    jwt: {{audiences: [x]}}\n"), "a.yaml:8:", "issuer"),
        (jwt("audiences: []"), "a.yaml:8:", "audiences"),
        (jwt("audiences: [x], audienceCheck: None"), "a.yaml:8:", "audience"),
        (jwt("audiences: [x], algorithms: [HS256]"), "a.yaml:8:", "HS256"),
        (jwt("audiences: [x], clockSkew: 301s"), "a.yaml:8:", "300s"),
        (jwt("audiences: [x], keys: {}"), "a.yaml:8:", "exactly one of"),
        (format!("{POLICY}  authentication:\n  - name: a\n    public: {{}}\n  - name: b\n    subscriptionKey: {{}}\n"), "a.yaml:6:3", "alone"),
        (format!("{POLICY}  authentication:\n  - name: a\n    subscriptionKey: {{}}\n  - name: a\n    subscriptionKey: {{}}\n"), "a.yaml:9:", "same key"),
        (format!("{POLICY}  enforcement: Floor\n  credential: {{none: {{}}}}\n"), "a.yaml:4:1", "Floor"),
        (format!("{POLICY}  enforcement: Floor\n  authentication: [{{name: a, public: {{}}}}]\n"), "a.yaml:4:1", "Floor"),
        (format!("{POLICY}  requestHeaders: {{set: [{{name: Host, value: x}}]}}\n"), "a.yaml:6:", "Host"),
        (format!("{POLICY}  credential: {{none: {{}}, passThrough: {{}}}}\n"), "a.yaml:6:3", "exactly one of"),
        (format!("{ROUTE}spec: {{rules: [{{matches: [{{path: {{type: Exact, value: nope}}}}]}}]}}\n"), "a.yaml:4:", "absolute path"),
        (format!("{ROUTE}spec: {{rules: [{{filters: [{{type: URLRewrite}}]}}]}}\n"), "a.yaml:4:", "urlRewrite"),
        (format!("{ROUTE}spec: {{rules: [{{matches: [{{path: {{type: Prefix}}}}]}}]}}\n"), "a.yaml:4:", "Prefix"),
("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  gatewayClassName: c\n  listeners:\n  - {name: a, port: 80, protocol: HTTP}\n  - {name: a, port: 81, protocol: HTTP}\n".into(), "a.yaml:", "same key"),
        ("apiVersion: sallyport.dev/v1alpha1\nkind: Subscription\nmetadata: {name: s}\nspec: {scope: {}, keys: {secretName: x}}\n".into(), "a.yaml:4:", "exactly one of"),
        ("apiVersion: sallyport.dev/v1alpha1\nkind: Backend\nmetadata: {name: b}\nspec: {endpoints: [{host: {name: a, port: 70000}}]}\n".into(), "a.yaml:4:", "70000"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {key: \"***\"}\n".into(), "a.yaml:4:", "base64"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {portz: []}\nx: 1\n".into(), "a.yaml:5:1", "no such field"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: UPPER}\n".into(), "a.yaml:3:", "no name"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, label: {}}\n".into(), "a.yaml:3:", "no such field"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n".into(), "a.yaml:7:", "already"),
        ("apiVersion: sallyport.dev/v2\nkind: ApiPolicy\nmetadata: {name: a}\n".into(), "a.yaml:2:1", "not read here"),
        ("kind: ApiPolicy\n".into(), "a.yaml:1:1", "apiVersion"),
        ("a: [\n".into(), "a.yaml:", "no YAML"),
        ("a: 1\na: 2\n".into(), "a.yaml:2:1", "duplicated key"),
    ] {
        let said = said(&text);
        assert!(said.iter().any(|line| line.starts_with(place) && line.contains(word)), "{text}\nexpected {place} {word}, said: {said:#?}");
    }
}

#[test]
fn an_object_that_is_refused_is_kept_as_undecodable() {
    let loaded = load_text(&format!("{POLICY}  ipFiltr: {{}}\n"));
    assert!(
        matches!(&loaded.objects[0].object, Object::ApiPolicy(Stored::Undecodable(object)) if object.raw["spec"]["targetRefs"].is_array())
    );
}

#[test]
fn a_kind_of_somebody_else_is_only_noted() {
    let loaded = load_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n");
    assert_eq!(loaded.diagnostics[0].severity, Severity::Note);
    assert!(loaded.objects.is_empty());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z:{}\\[\\]&*!|>'\"#\\-\n ,0-9\u{0}\u{ff}]{0,80}") {
        load_text(&text);
    }

    #[test]
    fn no_spec_makes_it_panic(spec in "[a-zA-Z:{}\\[\\], 0-9]{0,60}") {
        load_text(&format!("{POLICY}  {spec}\n"));
        load_text(&format!("{ROUTE}spec: {spec}\n"));
    }
}
