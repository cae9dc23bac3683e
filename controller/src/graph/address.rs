//! Addresses as people write them: single ones, networks (CIDR, RFC 4632) and ranges, judged as the data plane reads them.

use std::net::IpAddr;

use ipnet::IpNet;

/// What one entry names. Both ends are of one family; an IPv4 address mapped into IPv6 is the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// Reads an entry; `None` if it is no address, network or range.
    pub fn parse(entry: &str) -> Option<Self> {
        let (first, last) = ends(entry)?;
        (first.is_ipv4() == last.is_ipv4()).then_some(Self { first, last })
    }

    /// The one address.
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { first: address, last: address }
    }

    /// The address, if it is one alone.
    pub fn single(&self) -> Option<IpAddr> {
        (self.first == self.last).then_some(self.first)
    }

    /// Whether every address of `part` is one of these.
    pub fn holds(&self, part: &Self) -> bool {
        self.first.is_ipv4() == part.first.is_ipv4() && self.first <= part.first && part.last <= self.last
    }
}

/// What is wrong with an entry that does not parse.
pub fn complaint(entry: &str) -> String {
    format!("{entry:?} is no address, network (CIDR) or range (first-last); correct it")
}

fn ends(entry: &str) -> Option<(IpAddr, IpAddr)> {
    let single = |text: &str| text.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    if let Some((first, last)) = entry.split_once('-') {
        let (first, last) = (single(first.trim())?, single(last.trim())?);
        return (first <= last).then_some((first, last));
    }
    if let Some(address) = single(entry) {
        return Some((address, address));
    }
    let network: IpNet = entry.parse().ok()?;
    let (first, last) = (network.network(), network.broadcast());
    // A network of mapped addresses is one of IPv4 addresses; a wider one holds addresses of IPv6 only.
    Some(match (first.to_canonical(), last.to_canonical()) {
        (first @ IpAddr::V4(_), last @ IpAddr::V4(_)) => (first, last),
        _ => (first, last),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_data_plane_reads_is_an_entry_and_nothing_else_is() {
        for entry in [
            "203.0.113.0/24",
            "2001:db8::/32",
            "198.51.100.10-198.51.100.20",
            "198.51.100.10 - 198.51.100.20",
            "192.0.2.7",
            "::ffff:10.0.0.0/104",
            "::ffff:10.0.0.1-10.0.0.9",
            "::/0",
        ] {
            assert!(AddressRange::parse(entry).is_some(), "{entry}");
        }
        for entry in [
            "",
            "a",
            "1.2.3",
            "1.2.3.4/33",
            "1.2.3.4-1.2.3.3",
            "1.2.3.4-::1",
            "1.2.3.4/",
            "01.2.3.4",
            "::/129",
            // The first end is an IPv4 address, the last is none.
            "::ffff:10.0.0.1-::1:0:0:0",
            "::1-::ffff:10.0.0.1",
        ] {
            assert_eq!(AddressRange::parse(entry), None, "{entry}");
        }
    }

    #[test]
    fn a_part_lies_within_the_whole_and_its_family() {
        let holds =
            |whole: &str, part: &str| AddressRange::parse(whole).unwrap().holds(&AddressRange::parse(part).unwrap());
        for (whole, part) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.0/8", "10.1.0.0/16"),
            ("10.0.0.0/8", "10.9.9.9"),
            ("10.0.0.0/8", "10.0.0.1-10.0.0.9"),
            ("10.0.0.0/8", "::ffff:10.1.0.0/112"),
            ("2001:db8::/32", "2001:db8:1::/48"),
        ] {
            assert!(holds(whole, part), "{whole} {part}");
        }
        for (whole, part) in [
            ("10.1.0.0/16", "10.0.0.0/8"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.0.0.0/8", "10.255.255.255-11.0.0.0"),
            ("::/0", "10.0.0.1"),
            ("::/0", "::ffff:10.0.0.1"),
        ] {
            assert!(!holds(whole, part), "{whole} {part}");
        }
    }
}
