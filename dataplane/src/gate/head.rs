//! One request head, judged as a whole (RFC 9112, 2 to 6).

use memchr::memchr_iter;

use crate::byte_set::{ByteSet, byte_set};
use crate::rejection::Reason;

/// A method of more bytes is no method in use.
const MAX_METHOD_BYTES: usize = 32;
/// A field name of more bytes is no name in use; hyper answers those of 64 kB by itself.
const MAX_NAME_BYTES: usize = 1024;
/// Digits of a Content-Length: all that surely fit 64 bits.
const MAX_LENGTH_DIGITS: usize = 18;

/// Bounds of one head.
#[derive(Clone, Copy, Debug)]
pub struct HeadBounds {
    /// Bytes of the whole head.
    pub bytes: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
    /// Number of fields.
    pub fields: usize,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the caller is told.
    pub reason: Reason,
    /// For the operator.
    pub detail: &'static str,
}

impl Refusal {
    pub(crate) const fn new(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail }
    }
}

/// How the message goes on behind its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Empty,
    Length(u64),
    Chunked,
    Upgrade,
}

/// The length of the head at the front of `bytes`, `None` while its end is not there. The first `searched` bytes were searched before.
pub(super) fn find_end(bytes: &[u8], searched: usize, bounds: &HeadBounds) -> Result<Option<usize>, Refusal> {
    // The end may have begun up to three bytes before what is new.
    let from = searched.saturating_sub(3);
    for at in memchr_iter(b'\n', bytes.get(from..).unwrap_or_default()) {
        let upto = bytes.get(..=from + at).unwrap_or_default();
        if upto.ends_with(b"\r\n\r\n") {
            return if upto.len() > bounds.bytes { Err(too_large()) } else { Ok(Some(upto.len())) };
        }
        if !upto.ends_with(b"\r\n") {
            return Err(malformed("a line does not end in CR LF"));
        }
    }
    if bytes.len() > bounds.bytes { Err(too_large()) } else { Ok(None) }
}

/// Judges a whole head, its final empty line included.
pub(super) fn judge(head: &[u8], bounds: &HeadBounds) -> Result<Framing, Refusal> {
    let mut lines = Lines { rest: head };
    let line = lines.next().ok_or(malformed("there is no request line"))?;
    let version = judge_request_line(line, bounds)?;
    let mut seen = Seen::default();
    let mut count = 0;
    for line in lines.take_while(|line| !line.is_empty()) {
        count += 1;
        if count > bounds.fields {
            return Err(Refusal::new(Reason::HeadTooLarge, "there are too many fields"));
        }
        let (name, value) = field(line)?;
        seen.note(name, value)?;
    }
    seen.framing(version)
}

/// A character of a token (RFC 9110, 5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// A character of a field line (RFC 9110, 5.5).
pub(super) const fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

/// A character of a path, as hyper's reader (`http::Uri`) takes it: it answers everything else itself, where nobody counts it.
const fn is_path_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'#' | b'<' | b'>' | b'`')
}

/// A character of a query, likewise.
const fn is_query_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'#' | b'<' | b'>' | b'"')
}

const TOKEN: ByteSet = byte_set!(is_token_byte);
const FIELD: ByteSet = byte_set!(is_field_byte);
const PATH: ByteSet = byte_set!(is_path_byte);
const QUERY: ByteSet = byte_set!(is_query_byte);

#[derive(Clone, Copy, PartialEq)]
enum Version {
    Http10,
    Http11,
}

/// Lines without their CR LF. Every line feed has been seen to follow a carriage return.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at_checked(end + 1)?;
        self.rest = rest;
        line.strip_suffix(b"\r\n")
    }
}

fn judge_request_line(line: &[u8], bounds: &HeadBounds) -> Result<Version, Refusal> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("the request line is not three words with one space between them"));
    };
    judge_method(method)?;
    judge_target(method, target, bounds)?;
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        _ => Err(malformed("the version is neither HTTP/1.1 nor HTTP/1.0")),
    }
}

/// A method that is served, in the letters that everybody reads alike.
pub(crate) fn judge_method(method: &[u8]) -> Result<(), Refusal> {
    let is_token = method.iter().all(|byte| TOKEN.has(*byte));
    if method.is_empty() || method.len() > MAX_METHOD_BYTES || !is_token {
        return Err(malformed("the method is not a token"));
    }
    // CONNECT asks for a tunnel to anywhere.
    if method == b"CONNECT" || method == super::REFUSED_METHOD.as_bytes() {
        return Err(Refusal::new(Reason::MethodUnsupported, "the method is not served"));
    }
    // Methods are case-sensitive (RFC 9110, 9.1), and rules match them so; services exist that take `post` for POST.
    let in_capitals = |known: &&[u8]| known.eq_ignore_ascii_case(method);
    if ECHOING_METHODS.iter().any(in_capitals) {
        return Err(Refusal::new(Reason::MethodNotAllowed, "the answer would show what only the service may see"));
    }
    if method.iter().any(u8::is_ascii_lowercase) && KNOWN_METHODS.iter().any(in_capitals) {
        return Err(malformed("the method is a known one in small letters"));
    }
    Ok(())
}

/// To these a service answers with the head that it was sent, and the credential that the gateway put into it.
const ECHOING_METHODS: [&[u8]; 2] = [b"TRACE", b"TRACK"];
/// Methods of RFC 9110, 9, and RFC 5789, that rules may name and services are sent.
const KNOWN_METHODS: [&[u8]; 7] = [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"];

/// A path or an absolute address, of characters that a target may hold.
pub(crate) fn judge_target(method: &[u8], target: &[u8], bounds: &HeadBounds) -> Result<(), Refusal> {
    if target.len() > bounds.target_bytes {
        return Err(Refusal::new(Reason::TargetTooLong, "the request target is too long"));
    }
    let (path, query) = target.split_at(memchr::memchr(b'?', target).unwrap_or(target.len()));
    let is_in = |set: &ByteSet, bytes: &[u8]| bytes.iter().all(|byte| set.has(*byte));
    if !is_in(&PATH, path) || !is_in(&QUERY, query) {
        return Err(malformed("the request target holds what no target may: it has to be percent-encoded"));
    }
    match target.first() {
        Some(b'/') => Ok(()),
        Some(b'*') if target.len() == 1 && method == b"OPTIONS" => Ok(()),
        Some(_) if is_absolute(target) => Ok(()),
        _ => Err(malformed("the request target is neither a path nor an absolute http address")),
    }
}

/// An `http` address that hyper's reader takes as well: few senders use this form, and its authority is hard to judge by bytes.
fn is_absolute(target: &[u8]) -> bool {
    let starts_with =
        |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    (starts_with(b"http://") || starts_with(b"https://")) && http::Uri::try_from(target).is_ok()
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let colon = memchr::memchr(b':', line).ok_or(malformed("a field has no colon"))?;
    let (name, value) = line.split_at_checked(colon).ok_or(malformed("a field has no colon"))?;
    if name.is_empty() || !name.iter().all(|byte| TOKEN.has(*byte)) {
        return Err(malformed("a field name is not a token"));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(Refusal::new(Reason::HeadTooLarge, "a field name is too long"));
    }
    if !value.iter().all(|byte| FIELD.has(*byte)) {
        return Err(malformed("a field value holds a control character"));
    }
    Ok((name, value.get(1..).unwrap_or_default().trim_ascii()))
}

/// The fields that decide how the message is read, and those that must stand alone.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    chunked: bool,
    hosts: u32,
    authorizations: u32,
    upgrade_named: bool,
    upgrade_to: bool,
}

impl Seen {
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        // The length sorts out nearly all fields before a comparison.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.note_host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => judge_expectation(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade_to |= !members(value).any(carries_requests);
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.upgrade_named |= members(value).any(|member| member.eq_ignore_ascii_case(b"upgrade"));
                Ok(())
            }
            13 if name.eq_ignore_ascii_case(b"authorization") => {
                self.authorizations += 1;
                if self.authorizations > 1 { Err(TWO_AUTHORIZATIONS) } else { Ok(()) }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.note_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.note_coding(value),
            _ => Ok(()),
        }
    }

    fn note_host(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.hosts += 1;
        match (self.hosts, value.is_empty()) {
            (1, false) => Ok(()),
            (1, true) => Err(malformed("Host is empty")),
            _ => Err(malformed("there are two Host fields")),
        }
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let digits = !value.is_empty() && value.len() <= MAX_LENGTH_DIGITS && value.iter().all(u8::is_ascii_digit);
        if !digits || self.length.is_some() {
            return Err(malformed("Content-Length is not one plain number"));
        }
        self.length = Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')));
        Ok(())
    }

    fn note_coding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(malformed("Transfer-Encoding is not exactly chunked"));
        }
        self.chunked = true;
        Ok(())
    }

    fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        if self.hosts == 0 && version == Version::Http11 {
            return Err(malformed("there is no Host field"));
        }
        let upgrades = self.upgrade_named && self.upgrade_to && version == Version::Http11;
        match (self.length, self.chunked) {
            (Some(_), true) => Err(malformed("there are both Content-Length and Transfer-Encoding")),
            (None, true) if version == Version::Http10 => Err(malformed("HTTP/1.0 knows no Transfer-Encoding")),
            (None | Some(0), false) if upgrades => Ok(Framing::Upgrade),
            _ if upgrades => Err(malformed("a request to upgrade has a body")),
            (None | Some(0), false) => Ok(Framing::Empty),
            (Some(length), false) => Ok(Framing::Length(length)),
            (None, true) => Ok(Framing::Chunked),
        }
    }
}

/// The one expectation there is (RFC 9110, 10.1.1).
pub(crate) fn judge_expectation(value: &[u8]) -> Result<(), Refusal> {
    if value.eq_ignore_ascii_case(b"100-continue") {
        return Ok(());
    }
    Err(Refusal::new(Reason::ExpectationUnknown, "Expect is not 100-continue"))
}

/// Whether a protocol that is asked for by `Upgrade` carries requests again, which nobody would judge: HTTP itself (`h2c` as well), and
/// TLS in which it goes on (RFC 2817).
pub(crate) fn carries_requests(protocol: &[u8]) -> bool {
    let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
    [&b"h2c"[..], b"h2", b"h3", b"http", b"https", b"tls"].iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// The comma-separated members of a line.
pub(crate) fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

const TWO_AUTHORIZATIONS: Refusal = Refusal::new(Reason::CredentialAmbiguous, "there are two Authorization fields");

const fn malformed(detail: &'static str) -> Refusal {
    Refusal::new(Reason::Malformed, detail)
}

const fn too_large() -> Refusal {
    Refusal::new(Reason::HeadTooLarge, "the head is too large")
}
