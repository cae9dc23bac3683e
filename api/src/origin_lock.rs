//! The lock of an origin: who may speak to a Gateway at all.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::policy::{ClientCertificate, Mode};
use crate::reference::SecretReference;

/// What every request has to bring that comes through the firewall, or CDN, in front: whoever goes around it is refused (403), whatever he asks for,
/// before anything else is told. All that is listed has to hold.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.header) || has(self.cidrs) || has(self.clientCertificate)")
    .message("state at least one of header, cidrs, clientCertificate"))]
pub struct OriginLock {
    /// A secret that the firewall puts into each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<OriginHeader>,
    /// Addresses, networks (CIDR, RFC 4632) or ranges (`first-last`) that connections come from, 1 to 256: of the peer, or of whom a trusted proxy
    /// tells in a PROXY header; `X-Forwarded-For` is not asked. Those of a CDN are those of all its customers: state a header or a certificate as
    /// well. While one cannot be read, nobody passes. Default: not asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 2, max = 96)))]
    pub cidrs: Vec<String>,
    /// A certificate that the firewall shows in the TLS handshake; every listener of the Gateway asks for one then. Nobody passes a listener without
    /// TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!has(self.revocation) || !has(self.revocation.onUnknown) || self.revocation.onUnknown != 'Allow'")
        .message("a lock lets nobody pass of whom it is not known whether the certificate has been revoked; take onUnknown: Allow out"))]
    pub client_certificate: Option<ClientCertificate>,
    /// `Report`: nobody is refused; who would have been is told in the access log. The header is taken out all the same, and no certificate is asked
    /// for. Default: `Enforce`.
    #[serde(default)]
    pub mode: Mode,
}

/// What gateways and services read themselves would be taken out of every request. `client-cert*` and `x-forwarded-*client-cert` are told of certificates in.
pub(crate) const NAME_IS_FREE: &str = "!(self.lowerAscii() in ['authorization','cookie','host','connection','transfer-encoding','content-length','content-type',\
    'content-encoding','content-range','content-language','te','trailer','upgrade','keep-alive','expect','origin','range','forwarded','via','date',\
    'cache-control','pragma','cdn-loop','traceparent','tracestate','baggage','user-agent','referer','from','sallyport-key','dpop','x-real-ip',\
    'last-event-id','idempotency-key','signature','signature-input','digest','priority','early-data']) \
    && ['proxy-','sec-','accept','if-','grpc-','access-control-','x-original-','x-rewrite-','x-http-method']\
    .all(p, !self.lowerAscii().startsWith(p)) \
    && (!self.lowerAscii().startsWith('x-forwarded-') || self.lowerAscii().endsWith('client-cert'))";

/// A secret in a header.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OriginHeader {
    /// Name of the header. It stands in one line, and is taken out of every request to the port, in every spelling: no expression, service or log
    /// sees it.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^|~]+$"))]
    #[x_kube(validation = Rule::new("!self.lowerAscii().startsWith('client-cert') && !self.lowerAscii().startsWith('x-forwarded-')")
        .message("this header is read for something else; name one of its own, e.g. X-Origin"))]
    #[x_kube(validation = Rule::new(NAME_IS_FREE).message("this header is read for something else; name one of its own, e.g. X-Origin"))]
    pub name: String,
    /// A Secret beside the GatewayParameters with the entries `primary`, `secondary`, or both, each of 32 to 256 characters of visible ASCII: either
    /// is taken, so that one can be changed after the other. Where one of them is shorter, or holds anything else (a line end), nobody passes.
    pub secret_ref: SecretReference,
}
