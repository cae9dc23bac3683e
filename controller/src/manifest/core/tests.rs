//! What an API server says of kinds of Kubernetes itself.

use k8s_openapi::ByteString;
use serde_json::json;

use super::*;
use crate::cluster::{Object, Stored};

fn said(kind: ObjectKind, mut value: Value) -> Vec<String> {
    value["kind"] = kind.as_str().into();
    value["metadata"] = json!({ "name": "x" });
    complete(kind, &mut value).iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
}

/// With one path of one host.
fn ingress(host: &Value, path: &Value, kind: &str, backend: &Value) -> Value {
    json!({ "spec": { "rules": [{ "host": host, "http": { "paths": [{ "path": path, "pathType": kind, "backend": backend }] } }] } })
}

fn service(number: &Value) -> Value {
    json!({ "service": { "name": "orders", "port": { "number": number } } })
}

#[test]
fn what_an_api_server_refuses_of_an_ingress() {
    let good = service(&json!(80));
    let at = |path: &str, kind: &str| ingress(&json!("a.example.com"), &json!(path), kind, &good);
    let of = |host: &str| ingress(&json!(host), &json!("/"), "Prefix", &good);
    let to = |backend: Value| ingress(&json!("a.example.com"), &json!("/"), "Prefix", &backend);
    for (value, expected) in [
        (json!({}), "spec: it is missing"),
        (json!({ "spec": {} }), "spec: it states neither rules nor defaultBackend"),
        (json!({ "spec": { "rules": {} } }), "spec.rules: it is no list"),
        (json!({ "spec": { "rules": [7] } }), "spec.rules[0]: it is no object"),
        (
            json!({ "spec": { "rules": [{ "http": { "paths": [] } }] } }),
            "spec.rules[0].http.paths: it is missing or empty",
        ),
        (at("/a", "prefix"), "pathType: it is missing or not known"),
        (at("a", "Prefix"), "path: it does not begin with a slash"),
        (at("a", "ImplementationSpecific"), "path: it does not begin with a slash"),
        (at("", "Exact"), "path: it does not begin with a slash"),
        (at("/a//b", "Exact"), "path: it contains //"),
        (at("/a/../b", "Prefix"), "path: it contains /../"),
        (at("/a%2Fb", "Prefix"), "path: it contains %2F"),
        (at("/a/..", "Prefix"), "path: it ends in a dot segment"),
        (of("10.0.0.1"), "host: an address is no host"),
        (of("A.example.com"), "host: this is no name of hosts"),
        (of("a.*.com"), "host: this is no name of hosts"),
        (of("*"), "host: this is no name of hosts"),
        (to(json!({})), "backend: state exactly one"),
        (to(json!({ "service": {}, "resource": {} })), "backend: state exactly one"),
        (to(json!({ "resource": { "kind": "Backend" } })), "backend.resource.name: it is missing"),
        (to(service(&json!(0))), "backend.service.port: 0 is no port"),
        (to(service(&json!("80"))), "backend.service.port: \"80\" is no port"),
        (to(json!({ "service": { "name": "a", "port": { "number": 1, "name": "b" } } })), "port: state exactly one"),
        (to(json!({ "service": { "port": { "number": 1 } } })), "backend.service.name: it is missing"),
        (json!({ "spec": { "defaultBackend": {}, "rules": [] } }), "spec.defaultBackend: state exactly one"),
        (
            json!({ "spec": { "defaultBackend": good, "tls": [{ "hosts": ["A"], "secretName": "_" }] } }),
            "spec.tls[0].hosts[0]",
        ),
        (json!({ "spec": { "defaultBackend": good, "tls": [{ "secretName": "_" }] } }), "spec.tls[0].secretName"),
        (json!({ "spec": { "defaultBackend": good, "nonsense": 1 } }), "spec.nonsense: there is no such field"),
    ] {
        let said = said(ObjectKind::Ingress, value.clone());
        assert!(said.iter().any(|line| line.contains(expected)), "{expected}: {said:?}");
    }
    let class = |parameters: Value| json!({ "spec": { "controller": "example.com/a", "parameters": parameters } });
    for (value, expected) in [
        (json!({}), "spec.controller: it is missing"),
        (json!({ "spec": { "controller": "ingress" } }), "spec.controller"),
        (class(json!(7)), "spec.parameters: it is no object"),
        (class(json!({ "kind": "Gateway" })), "spec.parameters.name"),
        (
            class(json!({ "kind": "Gateway", "name": "g", "namespace": "n" })),
            "spec.parameters.namespace: scope Cluster",
        ),
        (
            class(json!({ "kind": "Gateway", "name": "g", "scope": "Namespace" })),
            "spec.parameters.namespace: scope Namespace",
        ),
        (class(json!({ "kind": "Gateway", "name": "g", "scope": "x" })), "spec.parameters.scope: it is not known"),
    ] {
        let said = said(ObjectKind::IngressClass, value.clone());
        assert!(said.iter().any(|line| line.contains(expected)), "{expected}: {said:?}");
    }
}

#[test]
fn what_an_api_server_takes() {
    for (kind, value) in [
        (
            ObjectKind::Secret,
            json!({ "type": "kubernetes.io/tls", "data": { "tls.crt": "" }, "stringData": { "tls.key": "k" } }),
        ),
        (ObjectKind::Secret, json!({ "immutable": true, "data": { "a_B-1.c": "YQ==" } })),
        (ObjectKind::Secret, json!({ "data": null, "stringData": null })),
        (ObjectKind::ConfigMap, json!({ "immutable": false, "data": { "a": "text" }, "binaryData": { "b": "YQ==" } })),
        (ObjectKind::Service, json!({ "spec": { "type": "ExternalName", "externalName": "a.example" } })),
        (ObjectKind::Service, json!({ "spec": { "ports": [{ "port": 80, "targetPort": "http" }] } })),
        (
            ObjectKind::Service,
            json!({ "spec": { "ports": [{ "name": "a", "port": 80 }, { "name": "b", "port": 81 }] } }),
        ),
        (ObjectKind::EndpointSlice, json!({ "addressType": "IPv4", "endpoints": [] })),
        (
            ObjectKind::EndpointSlice,
            json!({ "addressType": "IPv6", "endpoints": [{ "addresses": ["fd00::1"] }], "ports": [{ "port": 1 }] }),
        ),
        (ObjectKind::Namespace, json!({})),
        (ObjectKind::Ingress, ingress(&json!("a.example.com"), &json!("/a"), "Exact", &service(&json!(80)))),
        (
            ObjectKind::Ingress,
            ingress(&json!("*.example.com"), &Value::Null, "ImplementationSpecific", &service(&json!(80))),
        ),
        (
            ObjectKind::Ingress,
            json!({ "spec": { "defaultBackend": { "resource": { "kind": "Bucket", "name": "b" } } } }),
        ),
        (ObjectKind::IngressClass, json!({ "spec": { "controller": "example.com/ingress" } })),
        (
            ObjectKind::IngressClass,
            json!({ "spec": { "controller": "example.com/ingress", "parameters": { "kind": "Gateway", "name": "g", "scope": "Namespace", "namespace": "n" } } }),
        ),
    ] {
        assert_eq!(said(kind, value.clone()), Vec::<String>::new(), "{value}");
    }
}

#[test]
fn what_an_api_server_refuses() {
    let slice = |rest: Value| {
        let mut value =
            json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["10.0.0.1"] }], "ports": [{ "port": 80 }] });
        value.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        (ObjectKind::EndpointSlice, value)
    };
    let ports = |ports: Value| (ObjectKind::Service, json!({ "spec": { "ports": ports } }));
    let secret = |value: Value| (ObjectKind::Secret, value);
    let map = |value: Value| (ObjectKind::ConfigMap, value);
    let long = "x".repeat(254);
    for ((kind, value), expected) in [
        (secret(json!({ "data": { "a": "***" } })), "data.a: this is not base64"),
        (secret(json!({ "data": { "a": "YQ" } })), "data.a: this is not base64"),
        (secret(json!({ "data": { "a": 7 } })), "data.a: this is not base64"),
        (secret(json!({ "data": [], "stringData": { "a": "b" } })), "data: it is no object"),
        (secret(json!({ "data": "", "stringData": { "a": "b" } })), "data: it is no object"),
        (secret(json!({ "stringData": "b" })), "stringData: it is no object"),
        (secret(json!({ "stringData": { "a": 7 } })), "stringData.a: this is no text; put it in quotes"),
        (secret(json!({ "stringData": { "a b": "c" } })), "stringData.a b: this is no key"),
        (secret(json!({ "data": { long.as_str(): "" } })), "this is no key"),
        (secret(json!({ "data": { "..": "" } })), "data...: this is no key"),
        (
            secret(json!({ "type": "kubernetes.io/tls", "data": { "tls.crt": "" } })),
            "data.tls.key: the type of this Secret",
        ),
        (secret(json!({ "stringData": { "a": "x".repeat(1 << 21) } })), "data: it holds more than"),
        (secret(json!({ "strngData": { "a": "b" } })), "strngData: there is no such field"),
        (map(json!({ "data": { "a": 7 } })), "data.a: this is no text; put it in quotes"),
        (map(json!({ "data": ["a"] })), "data: it is no object"),
        (map(json!({ "binaryData": { "a": "***" } })), "binaryData.a: this is not base64"),
        (map(json!({ "data": { "a": "" }, "binaryData": { "a": "" } })), "binaryData.a: data has this key"),
        (map(json!({ "data": { "": "" } })), "data.: this is no key"),
        (ports(json!({})), "spec.ports: it is no list"),
        (ports(json!([7])), "spec.ports[0]: it is no object"),
        (ports(json!([{}])), "spec.ports[0].port: it is missing"),
        (ports(json!([{ "port": 0 }])), "spec.ports[0].port: 0 is no port"),
        (ports(json!([{ "port": 65_536 }])), "spec.ports[0].port: 65536 is no port"),
        (ports(json!([{ "port": "80" }])), "spec.ports[0].port: \"80\" is no port"),
        (ports(json!([{ "port": 80, "targetPort": "8080" }])), "spec.ports[0].targetPort: this is no name"),
        (ports(json!([{ "port": 80, "targetPort": 0 }])), "spec.ports[0].targetPort: 0 is no port"),
        (ports(json!([{ "port": 80, "protocol": "tcp" }])), "spec.ports[0].protocol: \"tcp\" is not known"),
        (ports(json!([{ "port": 80 }, { "port": 81 }])), "spec.ports[1].name: ports need names"),
        (
            ports(json!([{ "name": "a", "port": 80 }, { "name": "a", "port": 81 }])),
            "spec.ports[1].name: an earlier port",
        ),
        (slice(json!({ "addressType": null })), "addressType: it is missing"),
        (slice(json!({ "addressType": "ipv4" })), "addressType: it is missing or not known"),
        (slice(json!({ "endpoints": {} })), "endpoints: it is no list"),
        (slice(json!({ "endpoints": [{}] })), "endpoints[0].addresses: list 1 to 100"),
        (slice(json!({ "endpoints": [7] })), "endpoints[0].addresses: list 1 to 100"),
        (
            slice(json!({ "endpoints": [{ "addresses": ["a.example"] }] })),
            "endpoints[0].addresses[0]: \"a.example\" is no IPv4",
        ),
        (slice(json!({ "addressType": "IPv6" })), "endpoints[0].addresses[0]: \"10.0.0.1\" is no IPv6"),
        (slice(json!({ "ports": 7 })), "ports: it is no list"),
        (slice(json!({ "ports": [7] })), "ports[0]: it is no object"),
        (slice(json!({ "ports": [{ "port": 70_000 }] })), "ports[0].port: 70000 is no port"),
        (slice(json!({ "endpoint": 7 })), "endpoint: there is no such field"),
    ] {
        let said = said(kind, value.clone());
        assert!(said.iter().any(|line| line.contains(expected)), "{expected}: {said:?}");
    }
}

#[test]
fn base64_may_have_line_breaks_and_stray_bits_as_for_gos_decoder() {
    let mut value = json!({ "metadata": { "name": "x" }, "data": { "a": "aGVs\nbG8=\r\n", "b": "YR==" }, "stringData": { "a": "plain" } });
    assert_eq!(complete(ObjectKind::Secret, &mut value), vec![]);
    let Object::Secret(Stored::Decoded(secret)) = Object::decode(ObjectKind::Secret, value, vec![]) else { panic!() };
    let data = secret.data.as_ref().unwrap();
    assert_eq!((&data["a"], &data["b"]), (&ByteString(b"plain".to_vec()), &ByteString(b"a".to_vec())));
}

#[test]
fn ports_have_their_defaults() {
    let mut service = json!({ "spec": { "ports": [{ "port": 80 }] } });
    complete(ObjectKind::Service, &mut service);
    assert_eq!(service["spec"]["ports"][0], json!({ "port": 80, "protocol": "TCP", "targetPort": 80 }));
    let mut slice = json!({ "addressType": "IPv4", "endpoints": [], "ports": [{}] });
    complete(ObjectKind::EndpointSlice, &mut slice);
    assert_eq!(slice["ports"][0], json!({ "name": "", "protocol": "TCP" }));
}
