//! The manifests that most tests begin with; what a test is about stands in the test.

use std::net::SocketAddr;

/// A class, and a Gateway with one HTTP listener that routes of all namespaces may attach to.
pub const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: sallyport}
spec: {controllerName: sallyport.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: shop}
spec:
  gatewayClassName: sallyport
  listeners:
  - {name: http, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
";

/// The same, with GatewayParameters of the class; `spec` as a flow mapping.
pub fn gateway_with(spec: &str) -> String {
    let class = "controllerName: sallyport.dev/gateway-controller";
    let reference = "parametersRef: {group: sallyport.dev, kind: GatewayParameters, name: ours, namespace: shop}";
    let gateway = GATEWAY.replace(class, &format!("{class}, {reference}"));
    format!(
        "{gateway}
---
apiVersion: sallyport.dev/v1alpha1
kind: GatewayParameters
metadata: {{name: ours, namespace: shop}}
spec: {spec}
"
    )
}

/// A route in `shop` from the path prefix `/NAME` to the Backend `backend`.
pub fn route(name: &str, backend: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: shop}}
spec:
  parentRefs: [{{name: public}}]
  rules:
  - matches: [{{path: {{type: PathPrefix, value: /{name}}}}}]
    backendRefs: [{{group: sallyport.dev, kind: Backend, name: {backend}}}]
"
    )
}

/// A Backend in `shop` at `address`; `more` is the rest of its spec, one field a line.
pub fn backend(name: &str, address: SocketAddr, more: &str) -> String {
    format!(
        "
---
apiVersion: sallyport.dev/v1alpha1
kind: Backend
metadata: {{name: {name}, namespace: shop}}
spec:
  endpoints: [{{address: {{ip: {}, port: {}}}}}]
{}",
        address.ip(),
        address.port(),
        indented(more)
    )
}

/// An ApiPolicy in `shop` on the HTTPRoute `route`, of the same name.
pub fn policy(route: &str, spec: &str) -> String {
    policy_on(route, &format!("{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {route}}}"), spec)
}

/// An ApiPolicy in `shop` on any target.
pub fn policy_on(name: &str, target: &str, spec: &str) -> String {
    format!(
        "
---
apiVersion: sallyport.dev/v1alpha1
kind: ApiPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  targetRefs: [{target}]
{}",
        indented(spec)
    )
}

/// Anybody may call.
pub const OPEN: &str = "authentication: [{name: open, public: {}}]";

/// A Secret in `shop`; `data` as a flow mapping of texts.
pub fn secret(name: &str, data: &str) -> String {
    format!("\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: shop}}\nstringData: {data}\n")
}

/// A Secret or ConfigMap in `shop` with one entry for each PEM text.
pub fn pem(kind: &str, name: &str, entries: &[(&str, &str)]) -> String {
    let field = if kind == "Secret" { "stringData" } else { "data" };
    let mut text =
        format!("\n---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\n{field}:\n");
    for (key, pem) in entries {
        text += &format!("  {key}: |\n{}", indented(&indented(pem)));
    }
    text
}

/// A Subscription in `shop` to `scope` (a flow mapping) with the keys in the Secret `NAME-keys`, made here as well.
pub fn subscription(name: &str, scope: &str, keys: &str) -> String {
    subscription_with(name, scope, keys, "state: Active")
}

/// The same with one more field of its spec.
pub fn subscription_with(name: &str, scope: &str, keys: &str, field: &str) -> String {
    format!(
        "
---
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {{name: {name}, namespace: shop}}
spec:
  owner: {{name: {name}}}
  scope: {scope}
  keys: {{secretName: {name}-keys}}
  {field}
{}",
        secret(&format!("{name}-keys"), keys)
    )
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// Another Gateway of the same process and port, for a host of its own, with these parameters.
pub fn other_gateway(parameters: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: other, namespace: shop}}
spec:
  gatewayClassName: sallyport
  infrastructure: {{parametersRef: {{group: sallyport.dev, kind: GatewayParameters, name: others}}}}
  listeners: [{{name: http, port: 8080, protocol: HTTP, hostname: other.example.com}}]
---
apiVersion: sallyport.dev/v1alpha1
kind: GatewayParameters
metadata: {{name: others, namespace: shop}}
spec: {{{parameters}}}
"
    )
}
