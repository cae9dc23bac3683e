//! Where a Gateway and its replicas are reached.

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};

/// A data plane opens a listener's port moved by this much.
const PORT_OFFSET: u16 = 10_000;
/// Of the listener in every test.
const PORT: u16 = 80;

pub struct Places {
    pods: Api<Pod>,
    services: Api<Service>,
    of_gateway: ListParams,
}

/// A data plane's pod, while it has an address.
pub struct Replica {
    pub pod: String,
    pub address: String,
    pub ready: bool,
}

impl Places {
    pub fn new(client: &Client, namespace: &str, gateway: &str) -> Self {
        Self {
            pods: Api::namespaced(client.clone(), namespace),
            services: Api::namespaced(client.clone(), namespace),
            of_gateway: ListParams::default().labels(&format!("gateway.networking.k8s.io/gateway-name={gateway}")),
        }
    }

    /// Each replica's address and the Gateway's; nothing where the API server does not say.
    pub async fn look(&self) -> Option<Vec<String>> {
        let mut places: Vec<_> = self.replicas().await?.into_iter().map(|replica| replica.address).collect();
        for service in self.services.list(&self.of_gateway).await.ok()?.items {
            let balancer = service.status.and_then(|status| status.load_balancer);
            places.extend(balancer.and_then(|one| one.ingress).into_iter().flatten().filter_map(|ingress| ingress.ip));
        }
        Some(places)
    }

    pub async fn replicas(&self) -> Option<Vec<Replica>> {
        let pods = self.pods.list(&self.of_gateway).await.ok()?;
        Some(pods.items.iter().filter_map(replica).collect())
    }
}

fn replica(pod: &Pod) -> Option<Replica> {
    let status = pod.status.as_ref()?;
    let address = format!("{}:{}", status.pod_ip.as_ref()?, PORT + PORT_OFFSET);
    let is =
        |condition: &str| status.conditions.iter().flatten().any(|one| one.type_ == condition && one.status == "True");
    Some(Replica { pod: pod.name_any(), address, ready: is("Ready") && pod.metadata.deletion_timestamp.is_none() })
}
