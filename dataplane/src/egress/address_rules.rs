//! Which addresses a tenant's configuration may make us call.

use std::net::IpAddr;

use crate::settings::Environment;

/// Decides by the address, after the name has been resolved, in whatever spelling it came.
#[derive(Clone, Copy, Debug)]
pub struct AddressRules {
    environment: Environment,
}

impl AddressRules {
    /// The rules where the process runs.
    pub fn of(environment: Environment) -> Self {
        Self { environment }
    }

    /// Whether `address` may be called at all. Link-local addresses, the clouds' metadata among them, never.
    pub fn permit(self, address: IpAddr) -> bool {
        match address.to_canonical() {
            address if address.is_loopback() => self.environment == Environment::Standalone,
            IpAddr::V4(address) => {
                let this_network = address.octets()[0] == 0;
                !(address.is_link_local() || address.is_multicast() || address.is_broadcast() || this_network)
            }
            IpAddr::V6(address) => {
                let metadata = address.segments()[..2] == [0xfd00, 0x0ec2];
                let embeds_v4 = matches!(address.segments()[..6], [0x64, 0xff9b, 0, 0, 0, 0] | [0, 0, 0, 0, 0, 0])
                    || address.segments()[0] == 0x2002;
                !(address.is_unspecified()
                    || address.is_unicast_link_local()
                    || address.is_multicast()
                    || metadata
                    || embeds_v4)
            }
        }
    }

    /// Whether `address` may be called without TLS.
    pub fn permit_plaintext(self, address: IpAddr) -> bool {
        self.environment == Environment::Standalone && address.to_canonical().is_loopback()
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
        ] {
            for environment in [Environment::Cluster, Environment::Standalone] {
                assert!(!AddressRules::of(environment).permit(address.parse().unwrap()), "{address}");
            }
        }
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
        for address in ["10.0.0.1", "192.168.1.1", "93.184.216.34", "2001:db8::1", "fd12::1"] {
            let address = address.parse().unwrap();
            let rules = AddressRules::of(Environment::Standalone);
            assert!(rules.permit(address) && !rules.permit_plaintext(address));
        }
    }
}
