//! Sets of addresses, and the address of the client behind proxies.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

/// Addresses as merged, sorted ranges: looked up by bisection, whatever the number of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpSet {
    v4: Vec<RangeInclusive<u128>>,
    v6: Vec<RangeInclusive<u128>>,
}

/// An entry that is no address, network or range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} is no address, network (CIDR) or range (first-last)")]
pub struct InvalidEntry {
    entry: String,
}

impl IpSet {
    /// Reads addresses, networks and ranges; host bits of a network are ignored.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, InvalidEntry> {
        let mut set = Self::default();
        for entry in entries {
            let entry = entry.as_ref();
            let (first, last) = ends(entry).ok_or_else(|| InvalidEntry { entry: entry.to_owned() })?;
            match (first, last) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    set.v4.push(u128::from(first.to_bits())..=u128::from(last.to_bits()))
                }
                (IpAddr::V6(first), IpAddr::V6(last)) => set.v6.push(first.to_bits()..=last.to_bits()),
                _ => return Err(InvalidEntry { entry: entry.to_owned() }),
            }
        }
        set.v4 = merged(set.v4);
        set.v6 = merged(set.v6);
        Ok(set)
    }

    /// Whether `address` is in the set; an IPv4 address mapped into IPv6 counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => holds(&self.v4, u128::from(address.to_bits())),
            IpAddr::V6(address) => holds(&self.v6, address.to_bits()),
        }
    }

    /// Whether no address is in the set.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

/// The address of the client: the peer, or what trusted proxies say of it. `None` if one of them says something unreadable.
///
/// `lines` are the lines of `X-Forwarded-For`. They are walked from the right, and only through trusted addresses: what an
/// untrusted client wrote on the left is never reached.
pub fn client_address<'a>(
    peer: IpAddr,
    trusted: &IpSet,
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> Option<IpAddr> {
    let mut address = peer.to_canonical();
    let hops = lines.rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
    for hop in hops {
        if !trusted.contains(address) {
            break;
        }
        let hop = std::str::from_utf8(hop).ok()?.trim();
        address = hop.parse::<IpAddr>().ok()?.to_canonical();
    }
    Some(address)
}

fn ends(entry: &str) -> Option<(IpAddr, IpAddr)> {
    if let Some((first, last)) = entry.split_once('-') {
        let (first, last): (IpAddr, IpAddr) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        let (first, last) = (first.to_canonical(), last.to_canonical());
        return (first <= last).then_some((first, last));
    }
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Some((address.to_canonical(), address.to_canonical()));
    }
    let network: IpNet = entry.parse().ok()?;
    Some(unmapped(network))
}

/// A network of mapped addresses is a network of IPv4 addresses.
fn unmapped(network: IpNet) -> (IpAddr, IpAddr) {
    let (first, last) = (network.network(), network.broadcast());
    match (first.to_canonical(), last.to_canonical()) {
        (first @ IpAddr::V4(_), last @ IpAddr::V4(_)) => (first, last),
        _ => (first, last),
    }
}

fn merged(mut ranges: Vec<RangeInclusive<u128>>) -> Vec<RangeInclusive<u128>> {
    ranges.sort_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<u128>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}

fn holds(ranges: &[RangeInclusive<u128>], address: u128) -> bool {
    let after = ranges.partition_point(|range| *range.start() <= address);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| range.contains(&address))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_form_of_entry_holds_what_it_names() {
        let set = IpSet::parse(&[
            "203.0.113.0/24",
            "2001:db8::/32",
            "198.51.100.10-198.51.100.20",
            "192.0.2.7",
            "::ffff:10.0.0.0/104",
        ])
        .unwrap();
        for inside in [
            "203.0.113.0",
            "203.0.113.255",
            "2001:db8::1",
            "198.51.100.10",
            "198.51.100.20",
            "192.0.2.7",
            "::ffff:203.0.113.9",
            "10.200.0.1",
        ] {
            assert!(set.contains(ip(inside)), "{inside}");
        }
        for outside in [
            "203.0.112.255",
            "203.0.114.0",
            "2001:db9::",
            "198.51.100.9",
            "198.51.100.21",
            "192.0.2.8",
            "::1",
            "11.0.0.0",
        ] {
            assert!(!set.contains(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn what_is_no_entry_is_named() {
        for entry in
            ["", "a", "1.2.3", "1.2.3.4/33", "1.2.3.4-1.2.3.3", "1.2.3.4-::1", "1.2.3.4/", "01.2.3.4", "::/129"]
        {
            let refused = IpSet::parse(&[entry]).unwrap_err().to_string();
            assert!(refused.contains(entry), "{entry}");
        }
    }

    #[test]
    fn forwarded_addresses_are_walked_from_the_right() {
        let trusted = IpSet::parse(&["10.0.0.0/8"]).unwrap();
        let address =
            |peer: &str, lines: &[&str]| client_address(ip(peer), &trusted, lines.iter().map(|line| line.as_bytes()));
        assert_eq!(address("10.0.0.1", &["1.1.1.1, 2.2.2.2"]), Some(ip("2.2.2.2")));
        assert_eq!(address("10.0.0.1", &["1.1.1.1, 2.2.2.2, 10.0.0.2"]), Some(ip("2.2.2.2")));
        assert_eq!(address("10.0.0.1", &["1.1.1.1", "2.2.2.2"]), Some(ip("2.2.2.2")));
        assert_eq!(address("10.0.0.1", &[]), Some(ip("10.0.0.1")));
        assert_eq!(address("9.9.9.9", &["1.1.1.1"]), Some(ip("9.9.9.9")), "a stranger is not believed");
        assert_eq!(address("::ffff:10.0.0.1", &["1.1.1.1"]), Some(ip("1.1.1.1")));
        assert_eq!(address("10.0.0.1", &["unknown"]), None);
        assert_eq!(address("10.0.0.1", &["1.1.1.1, "]), None);
        assert_eq!(address("10.0.0.1", &["1.1.1.1:80"]), None);
    }

    proptest! {
        #[test]
        fn bisection_finds_what_a_scan_finds(ranges in prop::collection::vec((0u32..64, 0u32..64), 0..12), probe in 0u32..70) {
            let ranges: Vec<_> = ranges.into_iter().map(|(one, other)| (one.min(other), one.max(other))).collect();
            let entries: Vec<_> = ranges.iter().map(|(first, last)| format!("{}-{}", Ipv4Addr::from_bits(*first), Ipv4Addr::from_bits(*last))).collect();
            let set = IpSet::parse(&entries).unwrap();
            let scanned = ranges.iter().any(|(first, last)| (first..=last).contains(&&probe));
            prop_assert_eq!(set.contains(Ipv4Addr::from_bits(probe).into()), scanned);
        }
    }
}
