//! Where a Gateway's data planes may call beyond what all may.

use std::net::IpAddr;

use sallyport_api::condition::Reason;
use sallyport_api::egress::Egress as Stated;
use sallyport_api::{GatewayParametersSpec, egress};
use sallyport_snapshot::v1;

use crate::graph::address::{AddressRange, complaint};
use crate::problem::Problem;

/// What networks may be opened as a whole: loopback and link-local. All else that is refused is a single address.
const WHOLES: [&str; 3] = ["127.0.0.0/8", "169.254.0.0/16", "fe80::/10"];

/// What a Gateway's data planes may call beyond what all may. Nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    allow: Vec<(String, AddressRange)>,
    plaintext: Vec<(String, Plain)>,
}

/// To whom plain HTTP may be spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Plain {
    /// In lower case.
    Host(String),
    /// What ends with this, e.g. ".example.com", and has more in front of it.
    Under(String),
    Addresses(AddressRange),
}

impl Egress {
    /// Whether `address`, which is refused otherwise, may be called.
    pub fn permits(&self, address: IpAddr) -> bool {
        let one = AddressRange::of(address);
        self.allow.iter().any(|(_, range)| range.holds(&one))
    }

    /// Whether plain HTTP may be spoken to `host`, as a Backend states it.
    pub fn permits_plain_host(&self, host: &str) -> bool {
        let one = Plain::Host(host.to_ascii_lowercase());
        self.plaintext.iter().any(|(_, plain)| plain.holds(&one))
    }

    /// Whether plain HTTP may be spoken to `address`.
    pub fn permits_plain_address(&self, address: IpAddr) -> bool {
        let one = Plain::Addresses(AddressRange::of(address));
        self.plaintext.iter().any(|(_, plain)| plain.holds(&one))
    }

    /// What a data plane is told; `None` where nothing is opened.
    pub fn message(&self) -> Option<v1::Egress> {
        let texts = |entry: &(String, _)| entry.0.clone();
        let plaintext = self.plaintext.iter().map(|(text, _)| text.to_ascii_lowercase()).collect();
        let message = v1::Egress { allow: self.allow.iter().map(texts).collect(), plaintext };
        (message != v1::Egress::default()).then_some(message)
    }
}

impl Plain {
    /// Whether `part` is one of these.
    fn holds(&self, part: &Self) -> bool {
        match (self, part) {
            (Self::Host(own), Self::Host(other)) => own == other,
            (Self::Under(suffix), Self::Host(host)) => host.len() > suffix.len() && host.ends_with(suffix),
            (Self::Under(own), Self::Under(other)) => other.ends_with(own),
            (Self::Addresses(whole), Self::Addresses(part)) => whole.holds(part),
            _ => false,
        }
    }
}

/// What of it cannot be read, and opens nothing.
pub fn judge(spec: &GatewayParametersSpec) -> Vec<Problem> {
    let stated = spec.egress.clone().unwrap_or_default();
    let allow = stated.allow.iter().flatten().enumerate().map(|(at, one)| ("allow", at, allowed(one).err()));
    let plaintext = stated.plaintext.iter().flatten().enumerate().map(|(at, one)| ("plaintext", at, plain(one).err()));
    let problem = |(list, at, why): (&str, usize, Option<String>)| {
        let message = format!("{}. Until then it opens nothing", why?);
        Some(Problem::new(format!("spec.egress.{list}[{at}]"), Reason::Invalid, message))
    };
    allow.chain(plaintext).filter_map(problem).collect()
}

/// The class's, or a part of it: a Gateway can open less, not more. What cannot be read is left out; what was looser is said.
pub fn settle(of_class: Option<&Stated>, own: Option<&Stated>) -> (Egress, Vec<String>) {
    let mut looser = Vec::new();
    let allow = lists(of_class, own, |one| one.allow.as_ref());
    let plaintext = lists(of_class, own, |one| one.plaintext.as_ref());
    let egress = Egress {
        allow: within(allow, allowed, AddressRange::holds, &mut looser),
        plaintext: within(plaintext, plain, Plain::holds, &mut looser),
    };
    (egress, looser)
}

type Lists<'a> = (&'a [String], Option<&'a Vec<String>>);

fn lists<'a>(
    of_class: Option<&'a Stated>,
    own: Option<&'a Stated>,
    list: impl Fn(&'a egress::Egress) -> Option<&'a Vec<String>>,
) -> Lists<'a> {
    (of_class.and_then(&list).map(Vec::as_slice).unwrap_or_default(), own.and_then(&list))
}

fn within<T>(
    (of_class, own): Lists<'_>,
    read: impl Fn(&str) -> Result<T, String>,
    holds: impl Fn(&T, &T) -> bool,
    looser: &mut Vec<String>,
) -> Vec<(String, T)> {
    let readable = |list: &[String]| -> Vec<(String, T)> {
        list.iter().filter_map(|one| Some((one.clone(), read(one).ok()?))).collect()
    };
    let all = readable(of_class);
    let Some(own) = own else { return all };
    let is_within = |(_, part): &(String, T)| all.iter().any(|(_, whole)| holds(whole, part));
    let (kept, more): (Vec<_>, Vec<_>) = readable(own).into_iter().partition(is_within);
    looser.extend(more.into_iter().map(|(text, _)| text));
    kept
}

/// An entry of `allow`. One that is wider than what is refused would open more than its author can have meant.
fn allowed(entry: &str) -> Result<AddressRange, String> {
    let range = AddressRange::parse(entry).ok_or_else(|| complaint(entry))?;
    match range.single() {
        Some(address) if names_no_host(address) => {
            Err(format!("{entry} names no single host, or stands for another address; name the address that is called"))
        }
        Some(_) => Ok(range),
        None if WHOLES.iter().filter_map(|whole| AddressRange::parse(whole)).any(|whole| whole.holds(&range)) => {
            Ok(range)
        }
        None => Err(format!(
            "{entry} is wider than what is refused; name single addresses, or networks within {}",
            WHOLES.join(", ")
        )),
    }
}

/// Of no host, of many, or of another family in disguise.
fn names_no_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[0] == 0 || address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => {
            let translated = matches!(
                address.segments(),
                [0x64, 0xff9b, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x2002, ..] | [0x2001, 0, ..]
            );
            let is_compatible = address.segments().starts_with(&[0; 6]) && !address.is_loopback();
            translated || is_compatible || address.is_multicast()
        }
    }
}

/// An entry of `plaintext`.
fn plain(entry: &str) -> Result<Plain, String> {
    if let Some(range) = AddressRange::parse(entry) {
        return Ok(Plain::Addresses(range));
    }
    let (host, is_wildcard) = entry.strip_prefix("*.").map_or((entry, false), |host| (host, true));
    let host = host.to_ascii_lowercase();
    let is_label = |label: &str| {
        let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = label.as_bytes();
        ends(bytes.first())
            && ends(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    // What ends in a number is a misspelt address, and no name (RFC 3696, 2).
    let is_name = host.split('.').all(is_label)
        && host.rsplit('.').next().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()));
    match (is_name, is_wildcard) {
        (true, false) => Ok(Plain::Host(host)),
        (true, true) => Ok(Plain::Under(format!(".{host}"))),
        (false, _) => {
            Err(format!("{entry:?} is no host, *.NAME, address, network (CIDR) or range (first-last); correct it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn stated(allow: Option<&[&str]>, plaintext: Option<&[&str]>) -> Stated {
        let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        Stated { allow: allow.map(owned), plaintext: plaintext.map(owned) }
    }

    fn of_class(allow: &[&str], plaintext: &[&str]) -> Egress {
        settle(Some(&stated(Some(allow), Some(plaintext))), None).0
    }

    #[rstest]
    #[case("127.0.0.1")]
    #[case("127.0.0.0/8")]
    #[case("127.0.0.1-127.0.0.9")]
    #[case("::1")]
    #[case("169.254.20.10")]
    #[case("169.254.169.254")]
    #[case("fe80::/64")]
    #[case("10.96.0.1")]
    #[case("fd00:ec2::254")]
    #[case("::ffff:127.0.0.1")]
    fn what_is_refused_can_be_opened(#[case] entry: &str) {
        assert!(allowed(entry).is_ok(), "{entry}");
    }

    #[rstest]
    #[case::everything("0.0.0.0/0")]
    #[case::everything_of_ipv6("::/0")]
    #[case::private("10.0.0.0/8")]
    #[case::around_loopback("126.0.0.0/7")]
    #[case::around_link_local("169.0.0.0/8")]
    #[case::around_link_local_of_ipv6("fe00::/8")]
    #[case::a_range_around("126.255.255.255-127.0.0.1")]
    #[case::platforms("100.64.0.0/10")]
    #[case::unspecified("0.0.0.0")]
    #[case::unspecified_of_ipv6("::")]
    #[case::multicast("224.0.0.1")]
    #[case::multicast_of_ipv6("ff02::1")]
    #[case::broadcast("255.255.255.255")]
    #[case::translated("64:ff9b::169.254.169.254")]
    #[case::six_to_four("2002:a9fe:a9fe::")]
    #[case::compatible("::169.254.169.254")]
    #[case::a_name("localhost")]
    #[case::nothing("")]
    fn what_is_wider_or_no_host_opens_nothing(#[case] entry: &str) {
        assert!(allowed(entry).unwrap_err().contains("; "), "{entry}");
        assert_eq!(of_class(&[entry], &[]), Egress::default());
    }

    #[rstest]
    #[case("*")]
    #[case("*.")]
    #[case("*.*.example.com")]
    #[case("a.*.example.com")]
    #[case("http://a.example.com")]
    #[case("a.example.com:80")]
    #[case("a..example.com")]
    #[case("-a.example.com")]
    #[case("a_b.example.com")]
    #[case("127.0.0.1.")]
    #[case("127.1")]
    #[case("2130706433")]
    #[case("10.0.0.0/33")]
    #[case("")]
    fn what_is_no_place_is_spoken_to_by_nobody(#[case] entry: &str) {
        assert!(plain(entry).unwrap_err().contains("; "), "{entry}");
    }

    #[test]
    fn plain_http_is_for_whom_it_is_stated() {
        let egress = of_class(&[], &["Legacy.example.com", "*.corp.example", "10.1.0.0/16"]);
        for (host, permitted) in [
            ("legacy.example.com", true),
            ("LEGACY.example.com", true),
            ("a.legacy.example.com", false),
            ("notlegacy.example.com", false),
            ("a.corp.example", true),
            ("a.b.corp.example", true),
            ("corp.example", false),
            (".corp.example", false),
            ("acorp.example", false),
            ("a.corp.example.evil", false),
            ("10.1.2.3", false),
        ] {
            assert_eq!(egress.permits_plain_host(host), permitted, "{host}");
        }
        for (address, permitted) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("10.2.0.0", false), ("::1", false)]
        {
            assert_eq!(egress.permits_plain_address(address.parse().unwrap()), permitted, "{address}");
        }
        assert!(!egress.permits("10.1.2.3".parse().unwrap()) && !egress.permits("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_gateway_opens_a_part_and_no_more() {
        let class = stated(Some(&["127.0.0.0/8"]), Some(&["*.corp.example", "10.0.0.0/8"]));
        let settled = |own: &Stated| settle(Some(&class), Some(own));
        let own = stated(
            Some(&["127.0.0.1", "169.254.20.10"]),
            Some(&["a.corp.example", "*.b.corp.example", "*.example", "10.0.0.0/7"]),
        );
        let (egress, looser) = settled(&own);
        assert_eq!(looser, ["169.254.20.10", "*.example", "10.0.0.0/7"]);
        assert!(egress.permits("127.0.0.1".parse().unwrap()) && !egress.permits("127.0.0.2".parse().unwrap()));
        assert!(egress.permits_plain_host("x.b.corp.example") && !egress.permits_plain_host("b.corp.example"));
        let (nothing, looser) = settled(&stated(Some(&[]), Some(&[])));
        assert_eq!((nothing, looser.len()), (Egress::default(), 0));
        let (unsaid, _) = settled(&stated(None, Some(&[])));
        assert!(unsaid.permits("127.0.0.9".parse().unwrap()) && !unsaid.permits_plain_host("a.corp.example"));
        let (alone, looser) = settle(None, Some(&own));
        assert_eq!((alone, looser.len()), (Egress::default(), 6));
    }
}
