//! How many data planes share what the limits of a Gateway allow.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::gateway::GatewayNode;
use crate::cluster::{ClusterState, ObjectName, Stored};
use crate::infra;

/// Which Service a slice is of.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Tells each Gateway how many data planes it has, ready or not: one that begins or ends serves as well, and a smaller part is the safe one.
pub fn settle(cluster: &ClusterState, gateways: &mut BTreeMap<ObjectName, GatewayNode>) {
    for (name, gateway) in gateways {
        let Some(class) = &gateway.class else { continue };
        let service = infra::name_in_class(name, class);
        let pods = names(endpoints(cluster, &name.namespace, &service)).len();
        gateway.message.replicas = u32::try_from(pods).unwrap_or(u32::MAX);
    }
}

/// Pods that a Service sends requests to.
pub fn ready_pods<'a>(state: &'a ClusterState, namespace: &'a str, service: &'a str) -> BTreeSet<&'a str> {
    names(ready_endpoints(state, namespace, service))
}

/// Each once: a Service of both families has a pod in two slices.
fn names<'a>(endpoints: impl Iterator<Item = &'a Endpoint>) -> BTreeSet<&'a str> {
    endpoints.filter_map(|one| one.target_ref.as_ref()?.name.as_deref()).collect()
}

/// Endpoints of a Service that are ready.
pub fn ready_endpoints<'a>(
    state: &'a ClusterState,
    namespace: &'a str,
    service: &'a str,
) -> impl Iterator<Item = &'a Endpoint> {
    let is_ready = |one: &&Endpoint| one.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true);
    endpoints(state, namespace, service).filter(is_ready)
}

fn endpoints<'a>(state: &'a ClusterState, namespace: &'a str, service: &'a str) -> impl Iterator<Item = &'a Endpoint> {
    let slices = state.endpoint_slices.range(ObjectName::new(namespace, "")..);
    let slices = slices.take_while(move |(name, _)| name.namespace == namespace);
    let ours = slices.filter_map(move |(_, slice)| match slice {
        Stored::Decoded(slice) if is_of(slice, service) => Some(slice),
        _ => None,
    });
    ours.flat_map(|slice| slice.endpoints.iter().flatten())
}

fn is_of(slice: &EndpointSlice, service: &str) -> bool {
    let labels = slice.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(SERVICE_LABEL)).is_some_and(|name| name == service)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::{Object, ObjectKind};

    #[test]
    fn what_is_ready_is_counted_once_whatever_families_it_has() {
        let mut cluster = ClusterState::default();
        let endpoint = |pod: &str, address: &str, ready: bool| json!({"addresses": [address], "conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": pod}});
        for (name, service, kind, endpoints) in [
            (
                "v4",
                "public",
                "IPv4",
                json!([
                    endpoint("a", "192.0.2.1", true),
                    endpoint("b", "192.0.2.2", true),
                    endpoint("c", "192.0.2.3", false)
                ]),
            ),
            ("v6", "public", "IPv6", json!([endpoint("a", "2001:db8::1", true), endpoint("b", "2001:db8::2", true)])),
            ("other", "other", "IPv4", json!([endpoint("d", "192.0.2.4", true)])),
        ] {
            let labels = json!({SERVICE_LABEL: service});
            let slice =
                json!({"metadata": {"name": name, "labels": labels}, "addressType": kind, "endpoints": endpoints});
            cluster.apply(ObjectName::new("shop", name), Object::decode(ObjectKind::EndpointSlice, slice, vec![]));
        }
        assert_eq!(ready_pods(&cluster, "shop", "public"), BTreeSet::from(["a", "b"]));
        assert_eq!(names(endpoints(&cluster, "shop", "public")), BTreeSet::from(["a", "b", "c"]));
        assert!(ready_pods(&cluster, "elsewhere", "public").is_empty());
    }
}
