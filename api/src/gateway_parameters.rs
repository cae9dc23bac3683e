//! `GatewayParameters`: settings of a class, or of one Gateway.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::egress::Egress;
use crate::infrastructure::{DeploymentSettings, ServiceSettings};
use crate::limit_store::LimitSettings;
use crate::observing::{AccessLogSettings, TelemetrySettings};
use crate::origin_lock::{NAME_IS_FREE, OriginLock};
use crate::status::Status;

/// Settings for all Gateways of a class (`GatewayClass.spec.parametersRef`), or for one (`Gateway.spec.infrastructure.parametersRef`).
#[derive(Clone, Debug, Default, CustomResource, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "sallyport.dev",
    version = "v1alpha1",
    kind = "GatewayParameters",
    plural = "gatewayparameters",
    namespaced,
    shortname = "gwparams",
    category = "sallyport",
    status = "Status",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Unprotected", type_ = "string", json_path = ".spec.unprotectedRoutes"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct GatewayParametersSpec {
    /// The pods that serve a Gateway, in a cluster; without one it says nothing. A Gateway's beats the class's, field by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentSettings>,
    /// The Service in front of them, in a cluster; without one it says nothing. A Gateway's beats the class's, field by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSettings>,
    /// What becomes of a route about which no policy speaks. Default: Deny, which answers 500 `unprotected`. Only a class can say
    /// Allow: a Gateway's own Allow is ignored and reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unprotected_routes: Option<UnprotectedRoutes>,
    /// Whose word about the client address is believed. A Gateway's replaces the class's only with a part of it: networks that lie
    /// within the class's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_proxies: Option<TrustedProxies>,
    /// What every request has to bring that comes through the firewall in front. A Gateway's holds beside the class's. Parameters that cannot be read
    /// may have held one: until they can, every request is answered 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_lock: Option<OriginLock>,
    /// Where Backends may lead beyond what all may; keys of issuers and collectors of spans never do. Only a class can open something:
    /// what a Gateway's opens beyond that is ignored and reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// Where the requests are counted that `limits` of policies allow. Where the class's say it, a Gateway's own is ignored and reported. Default: in each replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitSettings>,
    /// Bounds of a data plane. A Gateway's beat the class's, field by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
    /// Which requests have a line in the access log. A Gateway's beats the class's, field by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLogSettings>,
    /// Where the spans of requests go. A Gateway's beats the class's, field by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<TelemetrySettings>,
}

/// What becomes of a route about which no policy speaks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum UnprotectedRoutes {
    /// Refused with 500, reason `unprotected`.
    #[default]
    Deny,
    /// Served to anybody.
    Allow,
}

/// Proxies in front of the gateway.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.clientCertificateHeader) || (has(self.cidrs) && self.cidrs.size() > 0)")
    .message("name those in cidrs who write clientCertificateHeader; anybody else's is not read"))]
pub struct TrustedProxies {
    /// Addresses, networks (CIDR, RFC 4632) or ranges (`first-last`) of the proxies. At most 256. Empty: the peer address is the
    /// client address. While one cannot be read, no client address is known, and no address filter lets anybody pass.
    #[serde(default)]
    #[schemars(length(max = 256), inner(length(min = 2, max = 96)))]
    pub cidrs: Vec<String>,
    /// The header in which they tell the client address.
    #[serde(default)]
    pub header: ForwardedHeader,
    /// Whether they begin each connection with a header of the PROXY protocol, version 1 or 2, as layer 4 load balancers do. Default:
    /// "Off" (in quotes: YAML 1.1 reads the bare word as false). Only a class can say Required: a Gateway's own Required is ignored
    /// and reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// The header in which they tell of the certificate that the caller has shown them; their own is nobody's then. Of anybody else it is not read,
    /// and of everybody taken out. Default: the certificate of the connection counts. Only a class can say it: a Gateway's own is ignored and
    /// reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_header: Option<ClientCertificateHeader>,
}

/// A header with the certificate of a caller whose TLS ends in front of the gateway.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.name) || self.format in ['RFC9440','XFCC']").message("name the header; only RFC9440 and XFCC have a usual one"))]
pub struct ClientCertificateHeader {
    /// Name of the header, 1 to 256 characters. Default: `Client-Cert` of `RFC9440`, `X-Forwarded-Client-Cert` of `XFCC`. It stands in one line; in
    /// several nobody can tell whose certificate is meant, and what cannot be read is refused like one that nobody trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^|~]+$"))]
    #[x_kube(validation = Rule::new(NAME_IS_FREE)
        .message("this header is read for something else; name the one that the proxy sets"))]
    pub name: Option<String>,
    /// How the certificate stands in it.
    pub format: ClientCertificateFormat,
}

/// How a proxy writes a certificate into a header. At most 5 certificates, the caller's first, and 16 KiB.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ClientCertificateFormat {
    /// A byte sequence of DER; those between it and an authority in the header of the same name with `-Chain` (RFC 9440).
    #[serde(rename = "RFC9440")]
    Rfc9440,
    /// `Cert` or `Chain` of exactly one element, as Envoy writes `x-forwarded-client-cert`. `Hash`, `Subject` and `URI` prove nothing.
    #[serde(rename = "XFCC")]
    Xfcc,
    /// PEM, percent-encoded (RFC 3986, 2.1), as nginx writes `$ssl_client_escaped_cert`; others may follow.
    #[serde(rename = "EscapedPEM")]
    EscapedPem,
    /// DER in Base64 (RFC 4648, 4) with padding.
    #[serde(rename = "Base64DER")]
    Base64Der,
}

/// What precedes the first byte of a connection (HAProxy, "The PROXY protocol, versions 1 & 2").
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Nothing; a connection that begins with a PROXY header is refused, whoever makes it.
    #[default]
    Off,
    /// A PROXY header on every connection of a trusted proxy, of which one without is closed; on anybody else's none, of which one with
    /// it is refused. The address that it tells stands for the peer's.
    Required,
}

/// A header that tells the client address.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, walked from the right through trusted proxies only.
    #[default]
    XForwardedFor,
}

/// Bounds of a data plane; each has a default that a well-behaved client never meets.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Bounds {
    /// Connections of one worker, WebSockets and other upgraded ones included; more are answered 503 and closed, over TLS closed at once. Default
    /// 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: Option<u32>,
    /// Bytes of a request head; more is answered 431. Default 32,768.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub max_header_bytes: Option<u32>,
    /// Fields of a request head; more is answered 431. Default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 1000))]
    pub max_headers: Option<u32>,
    /// Time for a request head, and for a TLS handshake; over HTTP/2 also from the beginning of a connection to its first request.
    /// Default 10s, at most 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s') && duration(self) <= duration('5m')").message("more than 0s, at most 5m"))]
    pub header_timeout: Option<Duration>,
    /// Time between requests of a kept-alive connection. Default 75s, at most 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s') && duration(self) <= duration('1h')").message("more than 0s, at most 1h"))]
    pub idle_timeout: Option<Duration>,
    /// Longest time in which 1 KiB of a request body, or its end, has to come while no response is under way (of gRPC calls, by
    /// the word of a route or of a service's author, anything), answered 408; and longest time in which a caller takes nothing of a
    /// response. Default 60s, at most 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s') && duration(self) <= duration('1h')").message("more than 0s, at most 1h"))]
    pub body_timeout: Option<Duration>,
    /// Time without a byte either way after which a WebSocket or another upgraded connection is closed. Default 1h, at most 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s') && duration(self) <= duration('24h')").message("more than 0s, at most 24h"))]
    pub tunnel_idle_timeout: Option<Duration>,
    /// HTTP/2 streams of one connection. Default 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent_streams: Option<u32>,
    /// Time that requests, and WebSockets and other upgraded connections, have to finish when the data plane is told to stop. Default 25s, at most
    /// 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s') && duration(self) <= duration('10m')").message("more than 0s, at most 10m"))]
    pub drain_timeout: Option<Duration>,
    /// Requests of one worker at a time; more is answered 503. Default 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_requests_in_flight: Option<u32>,
}
