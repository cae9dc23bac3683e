//! Gateway API's own types (v1, standard channel), generated from its CRDs by `cargo xtask gateway-api`.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_imports,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code; the fields are documented by Gateway API"
)]

pub mod gatewayclasses;
pub mod gateways;
pub mod grpcroutes;
pub mod httproutes;
pub mod referencegrants;

pub use gatewayclasses::GatewayClass;
pub use gateways::Gateway;
pub use grpcroutes::GrpcRoute;
pub use httproutes::HttpRoute;
pub use referencegrants::ReferenceGrant;

/// The API group of these kinds.
pub const GROUP: &str = "gateway.networking.k8s.io";
/// The release of Gateway API that the types and schemas are generated from.
pub const RELEASE: &str = "v1.6.3";
