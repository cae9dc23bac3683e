//! Backends.

use std::collections::{BTreeMap, BTreeSet};

use sallyport_api::Backend;
use sallyport_api::condition::Reason;
use sallyport_api::{BackendEndpoint, BackendTls, Protocol};
use sallyport_snapshot::v1::{self, endpoint_source::Source};

use super::callers::{Callers, Places};
use super::gateway::GatewayNode;
use super::grant::End;
use super::outgoing::AddressRules;
use super::parameters::egress::Egress;
use super::route::{RouteId, RouteNode};
use super::whereabouts::{self, Whereabouts};
use super::{certificate, credential, service};
use crate::cluster::{ClusterState, ObjectName, Stored};
use crate::problem::{Problem, denial};

/// A Backend with the resources that it brings along.
pub struct BackendNode {
    pub generation: Option<i64>,
    /// Without what routes add to it.
    pub message: v1::Backend,
    pub credential: Option<v1::Credential>,
    /// The client certificate, by name.
    pub certificate: Option<(String, v1::Certificate)>,
    /// Services whose endpoints it uses.
    pub services: Vec<(ObjectName, u32)>,
    /// Where it leads by what it states.
    pub whereabouts: BTreeSet<Whereabouts>,
    pub problems: Vec<Problem>,
    /// What only some Gateways may not call: their data planes refuse it.
    partial: Vec<Problem>,
}

/// All Backends. What cannot be resolved of one denies every request to it.
pub fn all(
    cluster: &ClusterState,
    rules: &AddressRules,
    gateways: &BTreeMap<ObjectName, GatewayNode>,
    routes: &BTreeMap<RouteId, RouteNode>,
) -> BTreeMap<ObjectName, BackendNode> {
    let callers = Callers::new(gateways, routes);
    let node = |name, backend| node(cluster, &callers.places(name, rules), name, backend);
    cluster.backends.iter().map(|(name, backend)| (name.clone(), node(name, backend))).collect()
}

fn node(cluster: &ClusterState, rules: &Places<'_>, name: &ObjectName, backend: &Stored<Backend>) -> BackendNode {
    let label = format!("Backend {name}");
    let object =
        Some(v1::ObjectRef { kind: "Backend".into(), namespace: name.namespace.clone(), name: name.name.clone() });
    let empty = v1::Backend { object, ..v1::Backend::default() };
    match backend {
        Stored::Decoded(backend) => {
            let node = BackendNode {
                generation: backend.metadata.generation,
                message: empty,
                credential: None,
                certificate: None,
                services: vec![],
                whereabouts: whereabouts::all(name, &serde_json::to_value(&backend.spec.endpoints).unwrap_or_default()),
                problems: vec![],
                partial: vec![],
            };
            node.filled(cluster, rules, name, &label, &backend.spec)
        }
        Stored::Undecodable(backend) => {
            let problem =
                Problem::new("spec", Reason::Undecodable, "the Backend cannot be decoded; nothing is sent to it");
            let message = v1::Backend { deny: Some(denial(&label, &problem)), ..empty };
            BackendNode {
                generation: backend.generation,
                message,
                credential: None,
                certificate: None,
                services: vec![],
                whereabouts: whereabouts::all(name, &backend.raw["spec"]["endpoints"]),
                problems: vec![problem],
                partial: vec![],
            }
        }
    }
}

impl BackendNode {
    fn filled(
        mut self,
        cluster: &ClusterState,
        rules: &Places<'_>,
        name: &ObjectName,
        label: &str,
        spec: &sallyport_api::BackendSpec,
    ) -> Self {
        for (at, endpoint) in spec.endpoints.iter().enumerate() {
            let is_plain = spec.tls.is_none();
            match self.endpoint(cluster, rules, name, (endpoint, is_plain), &format!("spec.endpoints[{at}]")) {
                Ok(source) => {
                    let source = v1::EndpointSource {
                        source: Some(source),
                        priority: endpoint.priority,
                        weight: endpoint.weight,
                    };
                    self.message.endpoints.push(source);
                }
                Err(problem) => self.problems.push(problem),
            }
        }
        if let Some(tls) = &spec.tls {
            match self.tls(cluster, name, tls) {
                Ok(tls) => self.message.tls = Some(tls),
                Err(problem) => self.problems.push(problem),
            }
        }
        let time = |time: &Option<sallyport_api::duration::Duration>| {
            let length = time.as_ref().and_then(|time| time.parse().ok());
            length.and_then(|length| u64::try_from(length.as_millis()).ok()).unwrap_or_default()
        };
        let timeouts = spec.timeouts.clone().unwrap_or_default();
        (self.message.connect_timeout_ms, self.message.request_timeout_ms) =
            (time(&timeouts.connect), time(&timeouts.request));
        self.message.protocol = protocol(spec.protocol).into();
        // A credential that cannot be had denies by itself, so that a route's own may stand in for it.
        self.message.deny = self.problems.first().map(|problem| denial(label, problem));
        self.problems.append(&mut self.partial);
        self.credential = spec
            .credential
            .as_ref()
            .map(|stated| credential::message(cluster, label, &name.namespace, stated, &mut self.problems));
        self
    }

    fn endpoint(
        &mut self,
        cluster: &ClusterState,
        rules: &Places<'_>,
        name: &ObjectName,
        (endpoint, is_plain): (&BackendEndpoint, bool),
        field: &str,
    ) -> Result<Source, Problem> {
        if let Some(one) = &endpoint.service {
            let service = ObjectName::new(&name.namespace, &one.name);
            service::judge(cluster, &service, one.port, &format!("{field}.service"))?;
            let resource = format!("{service}/{}", one.port);
            self.services.push((service, one.port));
            return Ok(Source::Endpoints(resource));
        }
        if let Some(one) = &endpoint.address {
            let field = format!("{field}.address.ip");
            self.partial.extend(rules.judge_address(&one.ip, &field)?);
            let address = v1::Address { ip: one.ip.clone(), port: one.port };
            let is_free = !is_plain || rules.is_free_address(&one.ip);
            if !is_free {
                let permits = |egress: &Egress| one.ip.parse().is_ok_and(|ip| egress.permits_plain_address(ip));
                self.partial.extend(rules.judge_plaintext(&one.ip, &field, permits)?);
            }
            return Ok(if is_free { Source::Address(address) } else { Source::PlainAddress(address) });
        }
        let Some(one) = &endpoint.host else {
            let message = "the endpoint names no place; state service, address or host";
            return Err(Problem::new(field, Reason::Invalid, message));
        };
        let host = v1::Host { name: one.name.to_ascii_lowercase(), port: one.port };
        if !is_plain || rules.is_free_host(&one.name) {
            return Ok(Source::Host(host));
        }
        let permits = |egress: &Egress| egress.permits_plain_host(&one.name);
        self.partial.extend(rules.judge_plaintext(&one.name, &format!("{field}.host"), permits)?);
        Ok(Source::PlainHost(host))
    }

    fn tls(&mut self, cluster: &ClusterState, name: &ObjectName, tls: &BackendTls) -> Result<v1::BackendTls, Problem> {
        let referrer = End { group: sallyport_api::GROUP, kind: "Backend", namespace: &name.namespace };
        let (references, field) = (&tls.validation.ca_certificate_refs, "spec.tls.validation.caCertificateRefs");
        let ca_certificates = certificate::all_authorities(cluster, referrer, references, field)?;
        let mut client_certificate = String::new();
        if let Some(reference) = &tls.client_certificate_ref {
            let secret = ObjectName::new(&name.namespace, &reference.name);
            let found = certificate::certificate(cluster, &secret, "spec.tls.clientCertificateRef")?;
            client_certificate = secret.to_string();
            self.certificate = Some((client_certificate.clone(), found));
        }
        Ok(v1::BackendTls { hostname: tls.validation.hostname.clone(), ca_certificates, client_certificate })
    }
}

fn protocol(protocol: Protocol) -> v1::backend::Protocol {
    match protocol {
        Protocol::HTTP => v1::backend::Protocol::Http,
        Protocol::HTTP11 => v1::backend::Protocol::Http11,
        Protocol::HTTP2 => v1::backend::Protocol::Http2,
        Protocol::H2C => v1::backend::Protocol::H2c,
        Protocol::GRPC => v1::backend::Protocol::Grpc,
    }
}
