//! What of a `GatewayParameters` says where Backends may lead beyond what all may.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where Backends may lead beyond what all may: only a class can open something, and a Gateway of it can close it again.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// Addresses that are refused otherwise: loopback in a cluster, link-local and metadata addresses, the API server. Single addresses
    /// of any kind, or networks (CIDR) and ranges within `127.0.0.0/8`, `169.254.0.0/16` or `fe80::/10`. At most 64. A Gateway's
    /// replaces the class's only with a part of it; an empty list takes all back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 2, max = 96)))]
    pub allow: Option<Vec<String>>,
    /// Where Backends without `tls` may be called beyond Services: host names as Backends state them, `*.NAME` for one or more labels in
    /// front of it, addresses, networks (CIDR) and ranges for Backends that state an address. Addresses that are refused stay so. Pods and
    /// Services of other namespaces are opened with a network that holds them, past their ReferenceGrants: keep those out. At
    /// most 64. A Gateway's replaces the class's only with a part of it; an empty list takes all back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    pub plaintext: Option<Vec<String>>,
}
