//! Manifests that most tests begin with.

/// A service that answers with what it was sent.
pub const SERVICE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: echo
        image: localhost/echo:e2e
        imagePullPolicy: Never
        env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        ports: [{containerPort: 3000}]
        readinessProbe: {tcpSocket: {port: 3000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {selector: {app: echo}, ports: [{name: http, port: 80, targetPort: 3000}]}
";

pub const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public}
spec:
  gatewayClassName: sallyport
  listeners: [{name: http, port: 80, protocol: HTTP}]
";

/// The same Gateway, with so many replicas.
pub fn replicas(number: usize) -> String {
    format!(
        "
apiVersion: sallyport.dev/v1alpha1
kind: GatewayParameters
metadata: {{name: public}}
spec: {{deployment: {{replicas: {number}}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: public}}
spec:
  gatewayClassName: sallyport
  infrastructure: {{parametersRef: {{group: sallyport.dev, kind: GatewayParameters, name: public}}}}
  listeners: [{{name: http, port: 80, protocol: HTTP}}]
"
    )
}

/// An API of that name behind a Gateway, for those who have a key.
pub fn protected(name: &str, key: &str, gateway: &str) -> Vec<String> {
    let fixed = [SERVICE, gateway, LOGIN].map(str::to_owned);
    let made = [backend(name), policy(name, BY_KEY), subscription(name, key), route(name)];
    fixed.into_iter().chain(made).collect()
}

/// To the Backend of that name.
pub fn route(name: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: public}}]
  rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{group: sallyport.dev, kind: Backend, name: {name}}}]}}]
"
    )
}

/// To the echo service, with a login of its own.
pub fn backend(name: &str) -> String {
    format!(
        "
apiVersion: sallyport.dev/v1alpha1
kind: Backend
metadata: {{name: {name}}}
spec:
  endpoints: [{{service: {{name: echo, port: 80}}}}]
  credential: {{basic: {{secretRef: {{name: login}}}}}}
"
    )
}

pub const LOGIN: &str = "
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {username: gateway, password: only-here}
";
/// `Authorization` that the service sees then.
pub const SHOWN: &str = "Basic Z2F0ZXdheTpvbmx5LWhlcmU=";

/// On the route of that name.
pub fn policy(name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: sallyport.dev/v1alpha1
kind: ApiPolicy
metadata: {{name: {name}}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {name}}}]
  {spec}
"
    )
}

/// What `protected` asks for.
pub const BY_KEY: &str = "authentication: [{name: customers, subscriptionKey: {}}]";

/// The same, and one address more that nobody calls from.
pub fn changed(number: u8) -> String {
    policy("orders", &format!("{BY_KEY}\n  ipFilter: {{deny: [192.0.2.{number}]}}"))
}

/// A key of a test's own: of two subscriptions of a cluster with the same one, the younger is refused.
pub fn key(test: &str) -> String {
    format!("sp_of_{test}_0123456789abcdef0123456789abcdef")
}

/// To the route of that name.
pub fn subscription(name: &str, key: &str) -> String {
    format!(
        "
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {{name: {name}}}
spec:
  scope: {{apis: [{{kind: HTTPRoute, name: {name}}}]}}
  keys: {{secretName: {name}-key}}
---
apiVersion: v1
kind: Secret
metadata: {{name: {name}-key}}
stringData: {{primary: {key}}}
"
    )
}
