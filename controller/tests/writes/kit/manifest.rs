//! What tests begin with: all that one Gateway needs.

pub const NAMESPACE: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}";
pub const CLASS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: sallyport}
spec: {controllerName: sallyport.dev/gateway-controller}
";
pub const OTHER_CLASS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: other}
spec: {controllerName: example.com/other}
";
pub const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: shop}
spec: {gatewayClassName: sallyport, listeners: [{name: http, port: 80, protocol: HTTP}]}
";
pub const BACKEND: &str = "
apiVersion: sallyport.dev/v1alpha1
kind: Backend
metadata: {name: orders, namespace: shop}
spec:
  endpoints: [{host: {name: orders.example.com, port: 443}}]
  tls: {validation: {hostname: orders.example.com, wellKnownCACertificates: System}}
  credential: {basic: {secretRef: {name: login}}}
";
pub const LOGIN: &str = "
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: shop}
data: {username: Z2F0ZXdheQ==, password: b25seS1oZXJl}
";
pub const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{name: public}]
  rules: [{matches: [{path: {type: PathPrefix, value: /orders}}], backendRefs: [{group: sallyport.dev, kind: Backend, name: orders}]}]
";
pub const POLICY: &str = "
apiVersion: sallyport.dev/v1alpha1
kind: ApiPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}]
  authentication: [{name: customers, subscriptionKey: {}}]
";
pub const SUBSCRIPTION: &str = "
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {name: acme, namespace: shop}
spec:
  scope: {apis: [{kind: HTTPRoute, name: orders}]}
  keys: {sha256: {primary: '0000000000000000000000000000000000000000000000000000000000000001'}}
";
pub const ENDPOINTS: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: public-sallyport-1, namespace: shop, labels: {kubernetes.io/service-name: public-sallyport}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: pod-1, namespace: shop}}]
";
