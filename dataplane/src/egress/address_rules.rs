//! Which addresses a tenant's configuration may make us call.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use smallvec::{SmallVec, smallvec};

use crate::settings::Environment;

/// Where clouds answer their own machines outside the link-local range: Alibaba Cloud's metadata, Azure's.
const PLATFORM_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
/// The first 32 bits of where clouds do so in IPv6: AWS, Google Cloud, Oracle Cloud, Scaleway.
const PLATFORM_V6: [[u16; 2]; 4] = [[0xfd00, 0xec2], [0xfd20, 0xce], [0xfd00, 0xc1], [0xfd00, 0x42]];

/// Decides by the address, after the name has been resolved, in whatever spelling it came. Clones share what they know of the API server.
#[derive(Clone, Debug)]
pub struct AddressRules {
    environment: Environment,
    /// Where the process was told that it is.
    api_server: Option<IpAddr>,
    /// Where the controller says that it is.
    api_servers: Arc<ArcSwap<BTreeSet<IpAddr>>>,
}

impl AddressRules {
    /// The rules where the process runs.
    pub fn of(environment: Environment) -> Self {
        Self { environment, api_server: None, api_servers: Arc::default() }
    }

    /// The same, and the API server of the cluster is not called either.
    #[must_use]
    pub fn with_api_server(self, address: Option<IpAddr>) -> Self {
        Self { api_server: address.map(|address| address.to_canonical()), ..self }
    }

    /// From now on these are addresses of the API server too.
    pub fn learn_api_servers(&self, addresses: impl IntoIterator<Item = IpAddr>) {
        let addresses = addresses.into_iter().map(|address| address.to_canonical()).collect();
        self.api_servers.store(Arc::new(addresses));
    }

    /// Whether `address` may be called at all. Link-local addresses, the clouds' metadata among them, never.
    pub fn permit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if self.is_api_server(address) {
            return false;
        }
        match address {
            address if address.is_loopback() => self.environment == Environment::Standalone,
            IpAddr::V4(address) => permit_v4(address),
            IpAddr::V6(address) => permit_v6(address) && self.permit_embedded(address),
        }
    }

    fn is_api_server(&self, address: IpAddr) -> bool {
        Some(address) == self.api_server || self.api_servers.load().contains(&address)
    }

    /// Whether `address` may be called without TLS.
    pub fn permit_plaintext(&self, address: IpAddr) -> bool {
        self.environment == Environment::Standalone && address.to_canonical().is_loopback()
    }

    /// A translator leads to the IPv4 address in an IPv6 address, if the network has one. Its loopback is nobody's.
    fn permit_embedded(&self, address: Ipv6Addr) -> bool {
        embedded(address)
            .into_iter()
            .all(|inner| permit_v4(inner) && !inner.is_loopback() && !self.is_api_server(IpAddr::V4(inner)))
    }
}

fn permit_v4(address: Ipv4Addr) -> bool {
    let this_network = address.octets()[0] == 0;
    // RFC 6890: for protocols between neighbours, Oracle Cloud's metadata among them.
    let protocols = address.octets()[..3] == [192, 0, 0];
    !(address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || this_network
        || protocols
        || PLATFORM_V4.contains(&address))
}

fn permit_v6(address: Ipv6Addr) -> bool {
    let [first, second, rest @ ..] = address.segments();
    // `::a.b.c.d`, given up by RFC 4291, 2.5.5.1; the unspecified address is the first of them.
    let is_compatible = [first, second] == [0, 0] && rest[..4] == [0, 0, 0, 0];
    !(is_compatible
        || address.is_unicast_link_local()
        || address.is_multicast()
        || PLATFORM_V6.contains(&[first, second]))
}

/// The IPv4 addresses that `address` may stand for where a translator is in the way.
fn embedded(address: Ipv6Addr) -> SmallVec<[Ipv4Addr; 4]> {
    let [_, _, o2, o3, o4, o5, o6, o7, _, o9, o10, o11, o12, o13, o14, o15] = address.octets();
    let last = Ipv4Addr::new(o12, o13, o14, o15);
    match address.segments() {
        // NAT64 (RFC 6052, 2.1), and SIIT (RFC 2765, 2.1).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => smallvec![last],
        // NAT64 of the network's own (RFC 8215): it may put the address in any of these places (RFC 6052, 2.2), and zeros elsewhere.
        [0x64, 0xff9b, 1, ..] => {
            let places = [last, [o6, o7, o9, o10].into(), [o7, o9, o10, o11].into(), [o9, o10, o11, o12].into()];
            let filled: SmallVec<_> = places.into_iter().filter(|inner| inner.octets()[0] != 0).collect();
            if filled.is_empty() { smallvec![last] } else { filled }
        }
        // 6to4 (RFC 3056, 2).
        [0x2002, ..] => smallvec![Ipv4Addr::new(o2, o3, o4, o5)],
        // Teredo (RFC 4380, 4): the client's is written inverted.
        [0x2001, 0, ..] => smallvec![Ipv4Addr::from_bits(!last.to_bits())],
        _ => SmallVec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_its_kin_are_refused_everywhere() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "::169.254.169.254",
            "2002:a9fe:a9fe::",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "192.0.0.170",
            "239.255.255.255",
            "fd00:ec2::253",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "febf::1",
            "::2",
            "::10.0.0.1",
            "::ffff:100.100.100.200",
            "::ffff:0.0.0.0",
            "::ffff:255.255.255.255",
            "::ffff:0:169.254.169.254",
            "::ffff:0:168.63.129.16",
            "64:ff9b::169.254.169.254",
            "64:ff9b::100.100.100.200",
            "64:ff9b::0.0.0.0",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1::168.63.129.16",
            "64:ff9b:1::127.0.0.1",
            "64:ff9b:1::",
            "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1:a9:fe:a9fe::",
            "64:ff9b:1:0:a9:fea9:fe00:0",
            "64:ff9b:1:7:a9:fea9:fe00:0",
            "2002:6464:64c8::1",
            "2002:a83f:8110:1::1",
            "2002:7f00:1::",
            "2002::",
            "2001:0:c000:201:0:0:5601:5601",
        ] {
            for environment in [Environment::Cluster, Environment::Standalone] {
                assert!(!AddressRules::of(environment).permit(address.parse().unwrap()), "{address}");
            }
        }
    }

    #[test]
    fn the_api_server_is_called_in_no_spelling() {
        let server = "10.96.0.1".parse().unwrap();
        let rules = AddressRules::of(Environment::Cluster);
        for address in [
            "10.96.0.1",
            "::ffff:10.96.0.1",
            "::ffff:0:10.96.0.1",
            "64:ff9b::10.96.0.1",
            "64:ff9b:1::10.96.0.1",
            "2002:a60:1::",
        ] {
            let address = address.parse().unwrap();
            assert!(rules.permit(address), "{address} is like any other where nobody says what it is");
            assert!(!rules.clone().with_api_server(Some(server)).permit(address), "{address}");
            let learns = AddressRules::of(Environment::Cluster);
            let earlier = learns.clone();
            learns.learn_api_servers([server, "192.0.2.10".parse().unwrap()]);
            assert!(!earlier.permit(address) && !earlier.permit("192.0.2.10".parse().unwrap()), "{address}");
            learns.learn_api_servers([]);
            assert!(earlier.permit(address), "{address}");
        }
        let mapped = rules.clone().with_api_server(Some("::ffff:10.96.0.1".parse().unwrap()));
        assert!(!mapped.permit(server) && mapped.permit("10.96.0.2".parse().unwrap()));
        let v6: IpAddr = "fd12::1".parse().unwrap();
        assert!(!rules.with_api_server(Some(v6)).permit(v6));
    }

    #[test]
    fn loopback_is_for_standalone() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let address = address.parse().unwrap();
            assert!(
                AddressRules::of(Environment::Standalone).permit(address)
                    && AddressRules::of(Environment::Standalone).permit_plaintext(address)
            );
            assert!(
                !AddressRules::of(Environment::Cluster).permit(address)
                    && !AddressRules::of(Environment::Cluster).permit_plaintext(address)
            );
        }
    }

    #[test]
    fn others_are_called_with_tls_only() {
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "93.184.216.34",
            "2001:db8::1",
            "fd12::1",
            "fd00::1",
            "100.100.100.201",
            "100.64.0.1",
            "168.63.129.17",
            "192.0.1.1",
            "169.253.255.255",
            "169.255.0.0",
            "::ffff:10.0.0.1",
            "64:ff9b::8.8.8.8",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b:1:808:8:800::",
            "2002:808:808::1",
            "2001:4860:4860::8888",
        ] {
            let address = address.parse().unwrap();
            let rules = AddressRules::of(Environment::Standalone);
            assert!(rules.permit(address) && !rules.permit_plaintext(address));
        }
    }
}
