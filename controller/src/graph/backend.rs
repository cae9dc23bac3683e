//! Backends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sallyport_api::Backend;
use sallyport_api::condition::Reason;
use sallyport_api::{BackendEndpoint, BackendTls, Protocol};
use sallyport_snapshot::v1::{self, endpoint_source::Source};

use super::grant::End;
use super::outgoing::AddressRules;
use super::whereabouts::{self, Whereabouts};
use super::{Environment, certificate, credential, service};
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
}

/// All Backends. What cannot be resolved of one denies every request to it.
pub fn all(cluster: &ClusterState, environment: Environment) -> BTreeMap<ObjectName, BackendNode> {
    let rules = AddressRules::of(cluster, environment);
    cluster.backends.iter().map(|(name, backend)| (name.clone(), node(cluster, &rules, name, backend))).collect()
}

fn node(cluster: &ClusterState, rules: &AddressRules, name: &ObjectName, backend: &Stored<Backend>) -> BackendNode {
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
            }
        }
    }
}

impl BackendNode {
    fn filled(
        mut self,
        cluster: &ClusterState,
        rules: &AddressRules,
        name: &ObjectName,
        label: &str,
        spec: &sallyport_api::BackendSpec,
    ) -> Self {
        for (at, endpoint) in spec.endpoints.iter().enumerate() {
            match self.endpoint(cluster, rules, name, endpoint, &format!("spec.endpoints[{at}]")) {
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
        let plain = spec.endpoints.iter().enumerate().filter(|_| spec.tls.is_none());
        self.problems.extend(plain.filter_map(|(at, endpoint)| judge_plaintext(rules.environment, endpoint, at)));
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
        self.credential = spec
            .credential
            .as_ref()
            .map(|stated| credential::message(cluster, label, &name.namespace, stated, &mut self.problems));
        self
    }

    fn endpoint(
        &mut self,
        cluster: &ClusterState,
        rules: &AddressRules,
        name: &ObjectName,
        endpoint: &BackendEndpoint,
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
            judge_address(rules, &one.ip, &format!("{field}.address.ip"))?;
            return Ok(Source::Address(v1::Address { ip: one.ip.clone(), port: one.port }));
        }
        match &endpoint.host {
            Some(one) => Ok(Source::Host(v1::Host { name: one.name.to_ascii_lowercase(), port: one.port })),
            None => {
                Err(Problem::new(field, Reason::Invalid, "the endpoint names no place; state service, address or host"))
            }
        }
    }

    fn tls(&mut self, cluster: &ClusterState, name: &ObjectName, tls: &BackendTls) -> Result<v1::BackendTls, Problem> {
        let mut ca_certificates = Vec::new();
        for (at, reference) in tls.validation.ca_certificate_refs.iter().enumerate() {
            let referrer = End { group: sallyport_api::GROUP, kind: "Backend", namespace: &name.namespace };
            ca_certificates.extend(certificate::authorities(
                cluster,
                referrer,
                reference,
                &format!("spec.tls.validation.caCertificateRefs[{at}]"),
            )?);
        }
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

/// Without TLS only a Service is called; outside a cluster also this machine itself.
fn judge_plaintext(environment: Environment, endpoint: &BackendEndpoint, at: usize) -> Option<Problem> {
    let (field, place, is_loopback) = match (&endpoint.address, &endpoint.host) {
        (Some(one), _) => {
            ("address", &one.ip, one.ip.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback()))
        }
        (_, Some(one)) => ("host", &one.name, one.name == "localhost"),
        _ => return None,
    };
    let message = format!("{place} would be called without TLS; state spec.tls, or name a Service");
    let allowed = is_loopback && environment == Environment::Standalone;
    (!allowed).then(|| Problem::new(format!("spec.endpoints[{at}].{field}"), Reason::Invalid, message))
}

/// What a data plane would refuse to call is said here already.
fn judge_address(rules: &AddressRules, ip: &str, field: &str) -> Result<(), Problem> {
    let why = match ip.parse::<IpAddr>() {
        Ok(address) => rules.refusal(address),
        Err(_) => Some("this is no IP address"),
    };
    let problem = |why| Problem::new(field, Reason::Invalid, format!("{ip}: {why}; name another address"));
    why.map_or(Ok(()), |why| Err(problem(why)))
}
