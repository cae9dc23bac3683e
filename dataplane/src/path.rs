//! The canonical form of a request target, made once and used by match, policy and forward alike.
//!
//! RFC 3986, 6.2.2: escapes of unreserved characters are decoded, others written in upper case. Repeated slashes become
//! one, since services differ in how they read them and the merged form is the one that is forwarded. Whatever a service could
//! read in another way than we do is refused: dot segments in any encoding, encoded slashes, backslashes, controls, escapes
//! of escapes, and escapes that are not UTF-8.

mod authority;
mod query;

use std::borrow::Cow;

use crate::byte_set::{ByteSet, byte_set};
pub use authority::{Authority, AuthorityFault};
pub use query::Query;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// A character that no request target may hold.
    #[error("the path holds a character that is not allowed")]
    Character,
    /// A percent sign without two hexadecimal digits.
    #[error("the path holds a broken percent-encoding")]
    Escape,
    /// A slash, backslash, control character or percent-encoding that is itself encoded.
    #[error("the path holds an encoded separator, control character or escape")]
    Hidden,
    /// A segment `.` or `..`, plain, encoded, or followed by a parameter.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// Escapes that are not UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
}

/// The canonical form of `raw`, the path of a request target. Borrowed when `raw` is canonical already.
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, PathFault> {
    let bytes = raw.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(PathFault::NotAbsolute);
    }
    if is_canonical(bytes) {
        return Ok(Cow::Borrowed(raw));
    }
    let path = normalise(bytes)?;
    // Digits may have been escapes themselves.
    if memchr::memchr_iter(b'%', path.as_bytes()).any(|at| is_escape_of_escape(path.as_bytes().get(at..))) {
        return Err(PathFault::Hidden);
    }
    if path.split('/').any(is_dot_segment) {
        return Err(PathFault::DotSegment);
    }
    let is_utf8 = percent_encoding::percent_decode_str(&path).decode_utf8().is_ok();
    if is_utf8 { Ok(Cow::Owned(path)) } else { Err(PathFault::NotUtf8) }
}

/// The canonical `path` as a service reads it that cuts parameters off its segments (RFC 3986, 3.3); `None` if it has none.
pub fn without_parameters(path: &str) -> Option<String> {
    // Few paths hold either.
    memchr::memchr2(b';', b'%', path.as_bytes())?;
    if !path.contains(';') && !path.contains("%3B") {
        return None;
    }
    let kept: Vec<_> = path.split('/').map(without_parameter).filter(|segment| !segment.is_empty()).collect();
    Some(format!("/{}", kept.join("/")))
}

/// A canonical path as it is meant: without escapes, among which no slash, control or escape is hidden.
pub fn as_meant(path: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy()
}

/// Characters that stand for themselves: unreserved, sub-delims, `:`, `@` and `/` (RFC 3986, 3.3).
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'/' | b'-'
                | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

const PLAIN: ByteSet = byte_set!(is_plain);

/// No escapes, no empty segments, and no segment that begins with a dot: nothing to do, and nothing to refuse.
fn is_canonical(bytes: &[u8]) -> bool {
    let mut previous = 0;
    bytes.iter().all(|byte| {
        let follows_slash = previous == b'/' && matches!(byte, b'/' | b'.');
        previous = *byte;
        PLAIN.has(*byte) && !follows_slash
    })
}

fn normalise(bytes: &[u8]) -> Result<String, PathFault> {
    let mut path = String::with_capacity(bytes.len() + 8);
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'/' if path.ends_with('/') => {}
            b'%' => {
                let digits = (rest.next().copied(), rest.next().copied());
                push_escape(&mut path, decoded(digits)?, rest.as_slice())?;
            }
            _ if PLAIN.has(byte) => path.push(char::from(byte)),
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => push_encoded(&mut path, byte),
            _ => return Err(PathFault::Character),
        }
    }
    Ok(path)
}

fn decoded(digits: (Option<u8>, Option<u8>)) -> Result<u8, PathFault> {
    let digit = |byte: Option<u8>| {
        byte.and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
    };
    match (digit(digits.0), digit(digits.1)) {
        (Some(high), Some(low)) => Ok(high * 16 + low),
        _ => Err(PathFault::Escape),
    }
}

/// Writes the character that an escape stands for; `rest` is what follows the escape.
fn push_escape(path: &mut String, byte: u8, rest: &[u8]) -> Result<(), PathFault> {
    let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    match byte {
        b'/' | b'\\' | 0..=0x1f | 0x7f => return Err(PathFault::Hidden),
        b'%' if hides_escape(rest) => return Err(PathFault::Hidden),
        _ if unreserved => path.push(char::from(byte)),
        _ => push_encoded(path, byte),
    }
    Ok(())
}

/// Whether it begins with `%25` and what that hides.
fn is_escape_of_escape(bytes: Option<&[u8]>) -> bool {
    bytes.and_then(|bytes| bytes.strip_prefix(b"%25")).is_some_and(hides_escape)
}

/// Whether a decoded percent sign would make an escape with what follows it: an escape of an escape.
fn hides_escape(rest: &[u8]) -> bool {
    matches!(rest, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

fn push_encoded(path: &mut String, byte: u8) {
    path.push_str(percent_encoding::percent_encode_byte(byte));
}

/// A service that cuts parameters off sees `..;x` as `..`.
fn is_dot_segment(segment: &str) -> bool {
    segment.starts_with('.') && matches!(without_parameter(segment), "." | "..")
}

/// What stands in front of the first semicolon of a canonical segment, plain or encoded.
fn without_parameter(segment: &str) -> &str {
    let ends = [segment.find(';'), segment.find("%3B")];
    ends.into_iter().flatten().min().and_then(|end| segment.get(..end)).unwrap_or(segment)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_cut_off_every_segment() {
        for (path, expected) in [
            ("/admin;x", Some("/admin")),
            ("/a;v=1/b%3Bc/d", Some("/a/b/d")),
            ("/;/admin", Some("/admin")),
            ("/admin", None),
            ("/", None),
        ] {
            assert_eq!(without_parameters(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn canonical_paths_are_borrowed() {
        for path in ["/", "/a/b", "/a.b/c;d=1", "/v1/orders/17", "/a-b_c~d/!$&'()*+,;=:@"] {
            assert!(matches!(canonical(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
        }
    }

    #[test]
    fn equivalent_spellings_become_one() {
        for (raw, expected) in [
            ("/%61dmin", "/admin"),
            ("/%7euser", "/~user"),
            ("/a%2db", "/a-b"),
            ("/a%c3%a9", "/a%C3%A9"),
            ("//a///b/", "/a/b/"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a%20b", "/a%20b"),
            ("/a|b", "/a%7Cb"),
            ("/..a/...", "/..a/..."),
            ("/100%25", "/100%25"),
            ("/%3b", "/%3B"),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        use PathFault as F;
        for (raw, fault) in [
            ("", F::NotAbsolute),
            ("a", F::NotAbsolute),
            ("*", F::NotAbsolute),
            ("/a/../b", F::DotSegment),
            ("/a/./b", F::DotSegment),
            ("/..", F::DotSegment),
            ("/.", F::DotSegment),
            ("/%2e%2e/b", F::DotSegment),
            ("/.%2E/b", F::DotSegment),
            ("/%2e/b", F::DotSegment),
            ("/a/..;/b", F::DotSegment),
            ("/a/%2e%2e;x=1/b", F::DotSegment),
            ("/a/..%3Bx/b", F::DotSegment),
            ("/a/.%2e%3b/b", F::DotSegment),
            ("//..//b", F::DotSegment),
            ("/a%2fb", F::Hidden),
            ("/a%2Fb", F::Hidden),
            ("/a%5cb", F::Hidden),
            ("/a%00", F::Hidden),
            ("/a%0d%0ab", F::Hidden),
            ("/a%7f", F::Hidden),
            ("/%252e%252e/b", F::Hidden),
            ("/a%252fb", F::Hidden),
            ("/%2561", F::Hidden),
            ("/%25%32%65", F::Hidden),
            ("/%25%25%32%65", F::Hidden),
            ("/a\\b", F::Character),
            ("/a b", F::Character),
            ("/a\u{e9}", F::Character),
            ("/a\tb", F::Character),
            ("/a#b", F::Character),
            ("/a\0", F::Character),
            ("/a?b", F::Character),
            ("/%", F::Escape),
            ("/%z1", F::Escape),
            ("/%1", F::Escape),
            ("/%+1", F::Escape),
            ("/%c0%ae", F::NotUtf8),
            ("/%ff", F::NotUtf8),
            ("/%c0%af", F::NotUtf8),
        ] {
            assert_eq!(canonical(raw), Err(fault), "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn canonical_is_idempotent_and_never_climbs(raw in "/[a-z./%25eEfF0-9;\\\\ |]{0,24}") {
            if let Ok(path) = canonical(&raw) {
                prop_assert_eq!(canonical(&path), Ok(Cow::Borrowed(&*path)).map(|_: Cow<'_, str>| Cow::Owned(path.to_string())));
                prop_assert!(!path.contains("//") && path.split('/').all(|segment| segment != ".." && segment != "."));
            }
        }
    }
}
