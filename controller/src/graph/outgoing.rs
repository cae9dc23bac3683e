//! Which addresses a tenant's object may have called. A data plane refuses the same when it calls; here it is said before.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Environment;
use super::service::Slices;
use crate::cluster::{ClusterState, ObjectName, Stored};

/// Where clouds tell a machine's secrets, beside link-local addresses: Alibaba, Azure, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
/// Of Google.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);

/// What the place where the configuration is enforced, and the cluster itself, forbid.
pub struct AddressRules {
    pub environment: Environment,
    /// Where the API server of the cluster is.
    pub api_servers: BTreeSet<IpAddr>,
}

impl AddressRules {
    pub fn of(cluster: &ClusterState, environment: Environment) -> Self {
        Self { environment, api_servers: api_servers(cluster, environment) }
    }

    /// Why `address` is not called, in whatever spelling it comes; `None` if it may be.
    pub fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        match address.to_canonical() {
            address if self.api_servers.contains(&address) => Some("this is the API server"),
            address if address.is_loopback() => {
                (self.environment == Environment::Cluster).then_some("loopback is refused in a cluster")
            }
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => match embedded(address) {
                Embedded::Plain => of_v6(address),
                Embedded::Nat64(inner) => self.refusal(inner.into()),
                Embedded::Other => Some("addresses that stand for others are refused"),
            },
        }
    }
}

/// `default/kubernetes` leads there.
fn api_servers(cluster: &ClusterState, environment: Environment) -> BTreeSet<IpAddr> {
    if environment == Environment::Standalone {
        return BTreeSet::new();
    }
    let name = ObjectName::new("default", "kubernetes");
    let service = match cluster.services.get(&name) {
        Some(Stored::Decoded(service)) => service.spec.as_ref(),
        _ => None,
    };
    let own = service.iter().flat_map(|spec| spec.cluster_ip.iter().chain(spec.cluster_ips.iter().flatten()));
    let slices = Slices::new(cluster);
    let texts = own.map(String::as_str).chain(slices.addresses(&name));
    texts.filter_map(|text| text.parse::<IpAddr>().ok()).map(|address| address.to_canonical()).collect()
}

fn of_v4(address: Ipv4Addr) -> Option<&'static str> {
    match () {
        () if address.is_link_local() || METADATA_V4.contains(&address) => Some(METADATA),
        () if address.octets()[0] == 0 || address.is_multicast() || address.is_broadcast() => Some(NO_SERVICE),
        () => None,
    }
}

fn of_v6(address: Ipv6Addr) -> Option<&'static str> {
    let is_metadata = address.segments().starts_with(&[0xfd00, 0x0ec2]) || address == METADATA_V6;
    match () {
        () if address.is_unicast_link_local() || is_metadata => Some(METADATA),
        () if address.is_unspecified() || address.is_multicast() => Some(NO_SERVICE),
        () => None,
    }
}

const METADATA: &str = "link-local and metadata addresses are refused";
const NO_SERVICE: &str = "this address names no single service";

/// Whether an IPv6 address is one of IPv4 in disguise.
enum Embedded {
    Plain,
    /// RFC 6052, the well-known prefix.
    Nat64(Ipv4Addr),
    /// IPv4-compatible, SIIT (RFC 2765), NAT64 of a local prefix (RFC 8215), 6to4.
    Other,
}

fn embedded(address: Ipv6Addr) -> Embedded {
    let Ok(last) = u32::try_from(address.to_bits() & u128::from(u32::MAX)) else { return Embedded::Other };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Embedded::Nat64(Ipv4Addr::from_bits(last)),
        [0, 0, 0, 0, 0, 0, ..] if !address.is_unspecified() => Embedded::Other,
        [0, 0, 0, 0, 0xffff, 0, _, _] | [0x64, 0xff9b, 1, ..] | [0x2002, ..] => Embedded::Other,
        _ => Embedded::Plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::{Object, ObjectKind};

    fn refused(environment: Environment, address: &str) -> bool {
        AddressRules::of(&ClusterState::default(), environment).refusal(address.parse().unwrap()).is_some()
    }

    #[test]
    fn metadata_and_its_kin_are_refused_everywhere() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fe80::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:169.254.169.254",
            "::ffff:100.100.100.200",
            "::ffff:0:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b::168.63.129.16",
            "64:ff9b:1::169.254.169.254",
            "2002:a9fe:a9fe::",
        ] {
            for environment in [Environment::Cluster, Environment::Standalone] {
                assert!(refused(environment, address), "{address} {environment:?}");
            }
        }
    }

    #[test]
    fn loopback_is_for_standalone() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"] {
            assert!(refused(Environment::Cluster, address), "{address}");
            assert!(!refused(Environment::Standalone, address), "{address}");
        }
    }

    #[test]
    fn others_may_be_called() {
        for address in ["10.0.0.1", "192.168.1.1", "93.184.216.34", "2001:db8::1", "fd12::1", "64:ff9b::10.0.0.1"] {
            assert!(!refused(Environment::Cluster, address), "{address}");
        }
    }

    #[test]
    fn the_api_server_is_refused_in_its_cluster() {
        let mut cluster = ClusterState::default();
        let service = json!({"metadata": {"name": "kubernetes"}, "spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd12::1"]}});
        let slice = json!({
            "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["192.0.2.10"]}],
        });
        for (kind, value) in [(ObjectKind::Service, service), (ObjectKind::EndpointSlice, slice)] {
            cluster.apply(ObjectName::new("default", "kubernetes"), Object::decode(kind, value, vec![]));
        }
        let rules = |environment| AddressRules::of(&cluster, environment);
        for address in ["10.96.0.1", "::ffff:10.96.0.1", "64:ff9b::10.96.0.1", "fd12::1", "192.0.2.10"] {
            let address = address.parse().unwrap();
            assert!(rules(Environment::Cluster).refusal(address).is_some(), "{address}");
            assert!(rules(Environment::Standalone).refusal(address).is_none(), "{address}");
        }
        assert!(rules(Environment::Cluster).refusal("10.96.0.2".parse().unwrap()).is_none());
    }
}
