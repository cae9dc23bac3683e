//! `Backend`: where a service is, and what it is shown.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::credential::Credential;
use crate::duration::Duration;
use crate::reference::{CaCertificateReference, CertificateReference};
use crate::status::Status;

/// A service behind the gateway: its endpoints, how they are reached, and how the gateway authenticates itself to them. A
/// route refers to it as a `backendRef` of group `sallyport.dev`.
#[derive(Clone, Debug, CustomResource, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "sallyport.dev",
    version = "v1alpha1",
    kind = "Backend",
    namespaced,
    shortname = "bknd",
    category = "sallyport",
    status = "Status",
    derive = "PartialEq",
    printcolumn(
        name = "Target",
        type_ = "string",
        json_path = ".spec.endpoints[0]['service','host','address']['name','ip']"
    ),
    printcolumn(name = "Protocol", type_ = "string", json_path = ".spec.protocol"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("self.protocol != 'H2C' || !has(self.tls)").message("H2C is HTTP/2 without TLS; state HTTP2, or leave tls out"))]
#[x_kube(validation = Rule::new("self.protocol != 'HTTP2' || has(self.tls)").message("HTTP2 is HTTP/2 over TLS; state tls, or use H2C"))]
pub struct BackendSpec {
    /// Where requests are sent: 1 to 64.
    #[schemars(length(min = 1, max = 64))]
    pub endpoints: Vec<BackendEndpoint>,
    /// The protocol spoken to all endpoints.
    #[serde(default)]
    pub protocol: Protocol,
    /// TLS to the endpoints. Absent: cleartext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<BackendTls>,
    /// What the service is shown. A route's policy may state another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// How long the gateway waits. A route's timeouts beat these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<BackendTimeouts>,
}

/// Exactly one place that requests are sent to.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.service), has(self.address), has(self.host)].filter(x, x).size() == 1")
    .message("state exactly one of service, address, host"))]
pub struct BackendEndpoint {
    /// A Service of the same namespace; its ready endpoints are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceEndpoint>,
    /// An IP address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressEndpoint>,
    /// A DNS name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostEndpoint>,
    /// 0 is used first. For each request a higher number is tried when none of the endpoints that were tried of the lower ones, up to
    /// three of each, could be connected to; six endpoints are tried in all. Default 0, at most 8.
    #[serde(default)]
    #[schemars(range(min = 0, max = 8))]
    pub priority: u32,
    /// Share of the requests within its priority, divided among the endpoint's addresses. Default 1, at most 1,000.
    #[serde(default = "BackendEndpoint::default_weight")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u32,
}

impl BackendEndpoint {
    fn default_weight() -> u32 {
        1
    }
}

/// A port of a Service of the same namespace.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEndpoint {
    /// Name of the Service. ExternalName is refused.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// A port of the Service.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u32,
}

/// An IP address with a port.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AddressEndpoint {
    /// IPv4 or IPv6. Link-local and metadata addresses, in a cluster also loopback and the API server, are refused unless `egress` of
    /// the class's GatewayParameters opens them; addresses of no single host (multicast, for instance) always.
    #[schemars(length(min = 2, max = 45))]
    pub ip: String,
    /// TCP port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u32,
}

/// A DNS name with a port.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HostEndpoint {
    /// Resolved by the data plane; addresses that `address` refuses are refused here too. A name with a dot is asked for as it stands, and under
    /// no search domain; one that ends in `.svc` is of the cluster.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$"))]
    pub name: String,
    /// TCP port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u32,
}

/// The protocol spoken to a service.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1; over TLS, HTTP/2 where the service offers it (ALPN).
    #[default]
    HTTP,
    /// HTTP/1.1 only.
    HTTP11,
    /// HTTP/2 over TLS.
    HTTP2,
    /// HTTP/2 in cleartext, with prior knowledge.
    H2C,
    /// HTTP/2: over TLS where `tls` is stated, in cleartext otherwise.
    GRPC,
}

/// TLS to a service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BackendTls {
    /// How the service proves who it is.
    pub validation: Validation,
    /// Shown to the service: mutual TLS. A Secret of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<CertificateReference>,
}

/// How a service proves who it is; as in Gateway API's BackendTLSPolicy (GEP-1897).
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.caCertificateRefs) && self.caCertificateRefs.size() > 0) != has(self.wellKnownCACertificates)")
    .message("state either caCertificateRefs or wellKnownCACertificates: System"))]
pub struct Validation {
    /// The name that the certificate has to be for; sent as server name indication.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub hostname: String,
    /// Certificate authorities that may have issued it. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub ca_certificate_refs: Vec<CaCertificateReference>,
    /// The certificate authorities of the system.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "wellKnownCACertificates")]
    pub well_known_ca_certificates: Option<SystemCertificates>,
}

/// Certificate authorities that need no reference.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum SystemCertificates {
    /// Those of the system.
    System,
}

/// How long the gateway waits for a service.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BackendTimeouts {
    /// For a connection, name look-up and TLS included; over HTTP/2 also for room on one. Where a host has several addresses, for all of them together. Default 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s')").message("more than 0s; leave it out for the default of 5s"))]
    pub connect: Option<Duration>,
    /// For the head of the response. 0s: none. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Duration>,
}
