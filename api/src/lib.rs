//! The resources that people write, and nothing else: ApiPolicy, Backend, Subscription, Product, SubscriptionApproval and
//! GatewayParameters, with the rules that an API server enforces on them; beside them the Gateway API types they refer to.
//!
//! A field that is accepted here works. What the gateway cannot do yet is not in the schema.

#![warn(missing_docs)]
#![allow(
    clippy::duplicated_attributes,
    reason = "kube's derive takes one `printcolumn(...)` a column; the lint compares their parts"
)]

pub mod condition;
pub mod credential;
pub mod duration;
pub mod egress;
pub mod gateway_api;
pub mod infrastructure;
pub mod limit_store;
pub mod observing;
pub mod origin_lock;
pub mod policy;
pub mod reference;
pub mod rotation;
pub mod schema;
pub mod status;

mod backend;
mod gateway_parameters;
mod product;
mod subscription;
mod subscription_approval;

pub use backend::{
    AddressEndpoint, Backend, BackendEndpoint, BackendSpec, BackendTimeouts, BackendTls, HostEndpoint, Protocol,
    ServiceEndpoint, SystemCertificates, Validation,
};
pub use gateway_parameters::{
    Bounds, ClientCertificateFormat, ClientCertificateHeader, ForwardedHeader, GatewayParameters,
    GatewayParametersSpec, ProxyProtocol, TrustedProxies, UnprotectedRoutes,
};
pub use policy::{ApiPolicy, ApiPolicySpec};
pub use product::{Approval, NamespacesFrom, Product, ProductLimit, ProductSpec, SubscriberNamespaces, Subscribers};
pub use subscription::{
    AllApis, Digests, GatewayName, KeysStatus, Owner, Phase, ProductName, Scope, State, Subscription, SubscriptionKeys,
    SubscriptionSpec, SubscriptionStatus,
};
pub use subscription_approval::{
    Decision, ProductReference, SubscriptionApproval, SubscriptionApprovalSpec, SubscriptionReference,
};

/// Of a Secret whose entries leave the data plane by the word of a policy: hosts that they may be sent to, with commas between them.
pub const HOSTS_ANNOTATION: &str = "sallyport.dev/hosts";

/// The API group of all our kinds.
pub const GROUP: &str = "sallyport.dev";
/// `controllerName` of a GatewayClass that is ours.
pub const CONTROLLER_NAME: &str = "sallyport.dev/gateway-controller";
/// `controller` of an IngressClass that is ours.
pub const INGRESS_CONTROLLER_NAME: &str = "sallyport.dev/ingress-controller";
/// The API group of Ingress and IngressClass.
pub const NETWORKING_GROUP: &str = "networking.k8s.io";
