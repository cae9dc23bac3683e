//! Services and their ready endpoints.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use sallyport_api::condition::Reason;
use sallyport_snapshot::v1;
use serde_json::Value;

use crate::cluster::{ClusterState, ObjectName, Stored};
use crate::problem::Problem;

/// The label that ties an EndpointSlice to its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The port of a Service, if it is there and can be sent to.
pub fn judge<'a>(
    cluster: &'a ClusterState,
    name: &ObjectName,
    port: u32,
    field: &str,
) -> Result<&'a ServicePort, Problem> {
    let found = ports(cluster, name, field)?.iter().find(|one| u32::try_from(one.port) == Ok(port));
    found.ok_or_else(|| missing(field, format!("Service {name} has no port {port}; correct the port")))
}

/// The number of the port that the Service has this name for.
pub fn port_called(cluster: &ClusterState, name: &ObjectName, called: &str, field: &str) -> Result<u32, Problem> {
    let found = ports(cluster, name, field)?.iter().find(|one| one.name.as_deref() == Some(called));
    let number = found.and_then(|one| u32::try_from(one.port).ok());
    number.ok_or_else(|| missing(field, format!("Service {name} has no port called {called}; correct the name")))
}

/// The ports of a Service that can be sent to.
fn ports<'a>(cluster: &'a ClusterState, name: &ObjectName, field: &str) -> Result<&'a [ServicePort], Problem> {
    let service: &Service = match cluster.services.get(name) {
        Some(Stored::Decoded(service)) => service,
        Some(Stored::Undecodable(_)) => {
            return Err(missing(field, format!("Service {name} cannot be decoded; correct it")));
        }
        None => return Err(missing(field, format!("Service {name} does not exist; create it"))),
    };
    let spec = service.spec.as_ref();
    if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
        let message = format!("Service {name} is an ExternalName, which is refused; use a Backend with a host");
        return Err(Problem::new(field, Reason::InvalidKind, message));
    }
    Ok(spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default())
}

fn missing(field: &str, why: String) -> Problem {
    Problem::new(field, Reason::BackendNotFound, why)
}

/// EndpointSlices by the Service that they belong to.
pub struct Slices<'a> {
    cluster: &'a ClusterState,
    by_service: BTreeMap<ObjectName, Vec<&'a EndpointSlice>>,
    /// Addresses of slices that cannot be decoded, as far as they can be read.
    unserved: BTreeMap<ObjectName, Vec<&'a str>>,
}

impl<'a> Slices<'a> {
    /// Of those that can be decoded, requests are sent to what is ready.
    pub fn new(cluster: &'a ClusterState) -> Self {
        let (mut by_service, mut unserved) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
        for (name, slice) in &cluster.endpoint_slices {
            let labels = match slice {
                Stored::Decoded(slice) => slice.metadata.labels.as_ref(),
                Stored::Undecodable(slice) => Some(&slice.labels),
            };
            let Some(service) = labels.and_then(|labels| labels.get(SERVICE_LABEL)) else { continue };
            let service = ObjectName::new(&name.namespace, service);
            match slice {
                Stored::Decoded(slice) => by_service.entry(service).or_default().push(slice.as_ref()),
                Stored::Undecodable(slice) => unserved.entry(service).or_default().extend(stated(&slice.raw)),
            }
        }
        Self { cluster, by_service, unserved }
    }

    /// Whether there is such a Service, in whatever form.
    pub fn is_there(&self, name: &ObjectName) -> bool {
        self.cluster.services.contains_key(name)
    }

    /// The ready addresses behind a Service's port; none if the Service is not there.
    pub fn endpoints(&self, name: &ObjectName, port: u32) -> v1::Endpoints {
        let Ok(service_port) = judge(self.cluster, name, port, "") else { return v1::Endpoints::default() };
        let named = |port: &&EndpointPort| {
            port.name.as_deref().unwrap_or_default() == service_port.name.as_deref().unwrap_or_default()
        };
        let mut ready = Vec::new();
        for slice in self.of(name) {
            let port = slice.ports.iter().flatten().find(named).and_then(|port| port.port);
            let Some(port) = port.and_then(|port| u32::try_from(port).ok()) else { continue };
            let is_ready = |endpoint: &&Endpoint| {
                endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
            };
            let usable = slice.endpoints.iter().flatten().filter(is_ready).flat_map(|endpoint| &endpoint.addresses);
            ready.extend(usable.map(|ip| v1::Address { ip: ip.clone(), port }));
        }
        ready.sort_by(|one, other| (&one.ip, one.port).cmp(&(&other.ip, other.port)));
        ready.dedup();
        v1::Endpoints { ready }
    }

    /// Every address behind a Service, ready or not.
    pub fn addresses(&self, name: &ObjectName) -> impl Iterator<Item = &'a str> {
        let endpoints = self.of(name).iter().flat_map(|slice| slice.endpoints.iter().flatten());
        let served = endpoints.flat_map(|endpoint| &endpoint.addresses).map(String::as_str);
        served.chain(self.unserved.get(name).into_iter().flatten().copied())
    }

    fn of(&self, name: &ObjectName) -> &[&'a EndpointSlice] {
        self.by_service.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Addresses in a slice that cannot be decoded.
fn stated(slice: &Value) -> impl Iterator<Item = &str> {
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    endpoints.flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten()).filter_map(Value::as_str)
}

/// How a Service's port says that it is spoken to (KEP-3726).
pub fn protocol(cluster: &ClusterState, name: &ObjectName, port: u32) -> v1::backend::Protocol {
    let app = judge(cluster, name, port, "").ok().and_then(|port| port.app_protocol.as_deref());
    match app {
        Some("kubernetes.io/h2c" | "grpc") => v1::backend::Protocol::H2c,
        _ => v1::backend::Protocol::Http,
    }
}
