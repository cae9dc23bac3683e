//! What a Gateway lets its requests be sent to beyond what all may.

use std::net::IpAddr;

use sallyport_snapshot::v1;

use crate::ip_set::IpSet;

/// Leave to call what is refused otherwise. The address that would be dialled decides, whatever name led there.
#[derive(Debug, Default)]
pub struct Leave {
    allow: IpSet,
    plain_addresses: IpSet,
    /// In lower case; what begins with a dot has something in front of it.
    plain_hosts: Box<[Box<str>]>,
}

impl Leave {
    /// Reads what a Gateway opens; `None` if that is nothing. An entry that cannot be read is a fault of the whole: nothing is opened.
    pub fn of_gateway(egress: &v1::Egress) -> Result<Option<Self>, String> {
        let is_address =
            |entry: &&String| entry.parse::<IpAddr>().is_ok() || entry.contains(['/', ':']) || is_range(entry);
        let (addresses, hosts): (Vec<_>, Vec<_>) = egress.plaintext.iter().partition(is_address);
        let set =
            |list: &str, entries: &[&String]| IpSet::parse(entries).map_err(|error| format!("egress.{list}: {error}"));
        let leave = Self {
            allow: set("allow", &egress.allow.iter().collect::<Vec<_>>())?,
            plain_addresses: set("plaintext", &addresses)?,
            plain_hosts: hosts.iter().map(|host| host.trim_start_matches('*').into()).collect(),
        };
        let opens = !(egress.allow.is_empty() && egress.plaintext.is_empty());
        Ok(opens.then_some(leave))
    }

    /// Whether `address` may be called although it is refused.
    pub fn permits(&self, address: IpAddr) -> bool {
        self.allow.contains(address.to_canonical())
    }

    /// Whether plain HTTP may be spoken to `address`, which a Backend states.
    pub fn permits_plain_address(&self, address: IpAddr) -> bool {
        self.plain_addresses.contains(address.to_canonical())
    }

    /// Whether plain HTTP may be spoken to `host` (lower case), which a Backend states.
    pub fn permits_plain_host(&self, host: &str) -> bool {
        self.plain_hosts.iter().any(|stated| match stated.strip_prefix('.') {
            Some(_) => host.len() > stated.len() && host.ends_with(&**stated),
            None => host == &**stated,
        })
    }
}

/// `first-last`, both addresses; names may have dashes as well.
fn is_range(entry: &str) -> bool {
    entry
        .split_once('-')
        .is_some_and(|(first, last)| [first, last].iter().all(|end| end.trim().parse::<IpAddr>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(allow: &[&str], plaintext: &[&str]) -> Result<Option<Leave>, String> {
        let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        Leave::of_gateway(&v1::Egress { allow: owned(allow), plaintext: owned(plaintext) })
    }

    #[test]
    fn what_is_not_stated_is_not_permitted() {
        let leave = leave(&["127.0.0.1", "169.254.20.0/24"], &["a-b.example", "*.corp.example", "10.0.0.0/8"])
            .unwrap()
            .unwrap();
        for (address, permitted) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("127.0.0.2", false),
            ("169.254.20.10", true),
            ("169.254.169.254", false),
            ("64:ff9b::127.0.0.1", false),
            ("::1", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(leave.permits(address.parse().unwrap()), permitted, "{address}");
        }
        for (host, permitted) in [
            ("a-b.example", true),
            ("x.a-b.example", false),
            ("x.corp.example", true),
            ("corp.example", false),
            (".corp.example", false),
            ("xcorp.example", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(leave.permits_plain_host(host), permitted, "{host}");
        }
        assert!(leave.permits_plain_address("10.9.9.9".parse().unwrap()));
        assert!(!leave.permits_plain_address("127.0.0.1".parse().unwrap()), "allow is no word for plain HTTP");
    }

    #[test]
    fn what_cannot_be_read_opens_nothing() {
        for (allow, plaintext) in
            [(&["127.0.0.1", "x"][..], &[][..]), (&["::1/129"], &[]), (&[], &["a.example", "10.0.0.0/33"])]
        {
            assert!(leave(allow, plaintext).unwrap_err().contains("egress."), "{allow:?} {plaintext:?}");
        }
        assert!(leave(&[], &[]).unwrap().is_none());
    }
}
