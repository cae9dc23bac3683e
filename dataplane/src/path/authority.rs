//! Host and port of a request: one form, whichever field they came in.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// The longest DNS name (RFC 1035, 2.3.4).
const MAX_HOST_BYTES: usize = 253;

/// A host in lower case, without a trailing dot, and the port if one is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// A DNS name, or an address; IPv6 in brackets.
    pub host: Cow<'a, str>,
    /// As the request gives it.
    pub port: Option<u16>,
}

/// Why an authority is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host is not a name or address with an optional port")]
pub struct AuthorityFault;

impl<'a> Authority<'a> {
    /// Reads `Host` or `:authority`.
    pub fn parse(raw: &'a str) -> Result<Self, AuthorityFault> {
        let (host, port) = split(raw)?;
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_name = !host.is_empty() && host.len() <= MAX_HOST_BYTES && host.split('.').all(is_label);
        if !is_name && !is_ipv6(host) {
            return Err(AuthorityFault);
        }
        let lower = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(host)
        };
        Ok(Self { host: lower, port })
    }
}

fn split(raw: &str) -> Result<(&str, Option<u16>), AuthorityFault> {
    let end = if raw.starts_with('[') { raw.find(']').map(|at| at + 1) } else { raw.find(':') };
    let (host, rest) = raw.split_at_checked(end.unwrap_or(raw.len())).ok_or(AuthorityFault)?;
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok((host, None)),
        Some(port) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok((host, Some(port.parse().map_err(|_| AuthorityFault)?)))
        }
        _ => Err(AuthorityFault),
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_ipv6(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_every_spelling() {
        for (raw, host, port) in [
            ("api.example.com", "api.example.com", None),
            ("API.Example.com.:8080", "api.example.com", Some(8080)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]:80", "[::1]", Some(80)),
            ("my_service", "my_service", None),
        ] {
            let authority = Authority::parse(raw).unwrap();
            assert_eq!((&*authority.host, authority.port), (host, port), "{raw}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long = format!("{}.com", "a.".repeat(130));
        for raw in [
            "", ":80", "a:b", "a:", "a:99999", "a b", "user@a", "a/b", "a..b", ".a", "a..", "[::1", "[x]", "::1",
            "a:80:80", "a\0", "é.com", "*.a", &long,
        ] {
            assert_eq!(Authority::parse(raw), Err(AuthorityFault), "{raw}");
        }
    }
}
