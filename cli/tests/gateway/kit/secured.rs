//! A gateway with TLS.

use super::caller::{get_http2, http2, read, tls};
use super::gateway::Gateway;
use super::manifest::{OPEN, backend, pem, policy, route};
use super::pki::{Authority, Identity};
use super::service::Service;

/// Three HTTPS listeners on one port, each with a certificate and settings of its own.
const HTTPS_GATEWAY: &str = "
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
  - {name: one, port: 8443, protocol: HTTPS, hostname: one.example.com, tls: {certificateRefs: [{name: one}]}}
  - {name: two, port: 8443, protocol: HTTPS, hostname: two.example.com, tls: {certificateRefs: [{name: two}]}}
  - {name: wild, port: 8443, protocol: HTTPS, hostname: '*.example.com', tls: {certificateRefs: [{name: wild}]}}
";

/// The Secret `name` with a certificate and its key.
pub fn certificate(name: &str, identity: &Identity) -> String {
    pem("Secret", name, &[("tls.crt", &identity.certificate), ("tls.key", &identity.key)])
        .replace("stringData", "type: kubernetes.io/tls\nstringData")
}

/// A gateway that takes HTTPS for `one.example.com`, `two.example.com` and `*.example.com`.
pub struct Secured {
    pub gateway: Gateway,
    pub authority: Authority,
    pub service: Service,
}

impl Secured {
    pub async fn start() -> Self {
        let (authority, service) = (Authority::new("public"), Service::start().await);
        let manifests = [
            HTTPS_GATEWAY,
            &route("orders", "shop"),
            &backend("shop", service.address, ""),
            &policy("orders", OPEN),
            &certificate("two", &authority.issue(&["two.example.com"])),
            &certificate("wild", &authority.issue(&["*.example.com"])),
        ];
        let mut gateway = Gateway::start(&manifests.concat()).await;
        gateway.write("one.yaml", &certificate("one", &authority.issue(&["one.example.com"])));
        Self { gateway, authority, service }
    }

    /// What a request for `host` is answered on a connection that was made for `name`.
    pub async fn get(&self, name: &str, host: &str) -> Result<String, String> {
        let stream =
            tls(self.gateway.https(), name, self.authority.client(&["h2"])).await.map_err(|error| error.to_string())?;
        let mut sender = http2(stream).await;
        let response =
            sender.send_request(get_http2("https", host, "/orders", &[])).await.map_err(|error| error.to_string())?;
        Ok(read(response).await.verdict())
    }

    /// The certificate that is shown for `name`; `None` if the handshake fails.
    pub async fn certificate_of(&self, name: &str) -> Option<Vec<u8>> {
        let stream = tls(self.gateway.https(), name, self.authority.client(&["http/1.1"])).await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
    }
}
