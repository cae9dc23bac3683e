//! Headers that must not travel: those of the connection, and those that only the gateway may speak.

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::gate;
use crate::jwt::proof;

/// Fields that belong to one connection (RFC 9110, 7.6.1), besides those that `Connection` names.
fn is_hop_by_hop(name: &str) -> bool {
    // Asked for each field of each message: most are told by their first letter.
    match name.as_bytes().first() {
        Some(b'c') => name == "connection",
        Some(b'k') => name == "keep-alive",
        Some(b'p') => matches!(name, "proxy-connection" | "proxy-authenticate" | "proxy-authorization"),
        Some(b't') => matches!(name, "te" | "transfer-encoding"),
        Some(b'u') => name == "upgrade",
        Some(b'h') => name == "http2-settings",
        _ => false,
    }
}

/// What `Connection` says as a rule: nothing about fields that would not be removed without it.
fn is_option(member: &[u8]) -> bool {
    [&b"close"[..], b"keep-alive"].iter().any(|option| member.eq_ignore_ascii_case(option))
}

/// Fields that reach no service.
static NEVER_FORWARDED: [&str; 18] = [
    // Where a caller sends its key if no policy says otherwise: whoever sends it to a route that asks for none must not give it away.
    "sallyport-key",
    // Which path or method the service is to take instead of those that were judged.
    "x-original-url",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    // In which a proxy in front tells of a client's certificate (RFC 9440; Envoy's form; nginx's, Apache's and IIS's habits): where one is
    // believed, it has been read by now.
    "client-cert",
    "client-cert-chain",
    "ssl-client-cert",
    "ssl-client-s-dn",
    "ssl-client-verify",
    "x-arr-clientcert",
    "x-client-cert",
    "x-client-certificate",
    "x-forwarded-client-cert",
    "x-ssl-cert",
    "x-ssl-client-cert",
    "x-tls-client-cert",
];

/// What begins so tells of a client's certificate as well.
/// (Traefik's and AWS's among them).
static NEVER_FORWARDED_FAMILIES: [&str; 7] = [
    "ssl-client-",
    "x-amzn-mtls-clientcert",
    "x-client-cert-",
    "x-forwarded-ssl-client-",
    "x-forwarded-tls-client-",
    "x-ssl-client-",
    "x-tls-client-",
];

/// Whether the field called `name` reaches no service, in any spelling that a service may read.
pub(super) fn is_never_forwarded(name: &str) -> bool {
    // Asked for each field of each request: most are told by their first letter.
    matches!(name.as_bytes().first(), Some(b'c' | b's' | b'x'))
        && (NEVER_FORWARDED.iter().any(|field| same_variable(name, field))
            || NEVER_FORWARDED_FAMILIES.iter().any(|family| begins_with(name, family)))
}

/// Fields in which proxies tell where a request came from (RFC 7239, and what came before it), besides `X-Forwarded-*`.
static ORIGIN: [&str; 9] = [
    "cf-connecting-ip",
    "fastly-client-ip",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-real-ip",
];

/// Whether the field called `name` tells where a request came from, in any spelling that a service may read.
pub(super) fn tells_origin(name: &str) -> bool {
    matches!(name.as_bytes().first(), Some(b'c' | b'f' | b't' | b'x'))
        && (begins_with(name, "x-forwarded-") || ORIGIN.iter().any(|field| same_variable(name, field)))
}

/// Whether the peer's word about where a request came from counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Stranger,
    TrustedProxy,
}

/// Removes the connection's fields. Done before anything judges the request, so that what is judged is what travels.
///
/// `TE: trailers` stays: it promises that the caller takes trailers, and is the only member that is not of the connection.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let own: SmallVec<[HeaderName; 4]> = headers.keys().filter(|name| is_hop_by_hop(name.as_str())).cloned().collect();
    if own.is_empty() {
        return;
    }
    // Most name a field of the connection, which goes anyway, or none.
    let others = members(headers, &header::CONNECTION).filter(|name| !is_option(name));
    // Where a request came from is told to more than the next hop, and was judged: nobody takes it away by naming it.
    let named = others.filter_map(|name| HeaderName::from_bytes(name).ok());
    let named = named.filter(|name| !tells_origin(name.as_str()));
    let named: SmallVec<[HeaderName; 4]> = named.collect();
    let trailers = members(headers, &header::TE).any(|member| member.eq_ignore_ascii_case(b"trailers"));
    for name in named.iter().chain(&own) {
        headers.remove(name);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether a line of `name` speaks a scheme that authenticates the connection, not the request (RFC 4559, 5): whoever uses the connection
/// next would be taken for the same.
pub fn binds_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    let is_one = |line: &HeaderValue| {
        let scheme = line.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
    };
    headers.get_all(name).into_iter().any(is_one)
}

/// Joins the lines of `Cookie` into which HTTP/2 may split it (RFC 9113, 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let lines: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(mut joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        joined.set_sensitive(true);
        headers.insert(header::COOKIE, joined);
    }
}

/// Removes what a caller could use to pass for somebody else at the service, in every spelling that a service may read.
///
/// CGI and its descendants turn a dash into an underscore, so that `X_User` and `X-User` meet in one variable.
pub fn remove_claims<'a>(headers: &mut HeaderMap, identity: impl Iterator<Item = &'a HeaderName> + Clone) {
    let is_guarded = |name: &str| identity.clone().any(|guarded| same_variable(name, guarded.as_str()));
    let is_claim = |name: &HeaderName| is_never_forwarded(name.as_str()) || is_guarded(name.as_str());
    if headers.keys().any(is_claim) {
        let found: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name)).cloned().collect();
        for name in found {
            headers.remove(name);
        }
    }
}

/// Takes headers out in every spelling.
pub fn take_out(headers: &mut HeaderMap, names: &[HeaderName]) {
    let is_named = |name: &HeaderName| names.iter().any(|one| same_variable(name.as_str(), one.as_str()));
    if !names.is_empty() && headers.keys().any(is_named) {
        let found: Vec<HeaderName> = headers.keys().filter(|name| is_named(name)).cloned().collect();
        for name in found {
            headers.remove(name);
        }
    }
}

/// Removes what a stranger says of where the request came from; of a trusted proxy only odd spellings, which it would not use.
pub fn remove_origin(headers: &mut HeaderMap, peer: Peer) {
    let is_origin =
        |name: &HeaderName| tells_origin(name.as_str()) && (peer == Peer::Stranger || name.as_str().contains('_'));
    if headers.keys().any(is_origin) {
        let found: Vec<HeaderName> = headers.keys().filter(|name| is_origin(name)).cloned().collect();
        for name in found {
            headers.remove(name);
        }
    }
}

/// Fields that say who asks, where from, or how a message is read, have no place in a trailer section (RFC 9110, 6.5.1), which
/// nobody judges: the request is at the service by then.
pub fn clean_trailers<'a>(trailers: &mut HeaderMap, guarded: impl Iterator<Item = &'a HeaderName> + Clone) {
    remove_claims(trailers, guarded.chain(&NEVER_TRAILERS));
    remove_origin(trailers, Peer::Stranger);
}

static NEVER_TRAILERS: [HeaderName; 15] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::COOKIE,
    proof::HEADER,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::RANGE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The comma-separated members of every line of `name`. As bytes, which is how the gate reads them: a byte that is no text hides
/// no other member of its line.
pub(super) fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    lines.flat_map(gate::members)
}

/// Equal once dash and underscore are the same; header names are lower case already.
pub(super) fn same_variable(one: &str, other: &str) -> bool {
    // Most names differ in length.
    one.len() == other.len() && begins_with(one, other)
}

/// Whether `name` begins with `family` once dash and underscore are the same.
fn begins_with(name: &str, family: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte };
    name.len() >= family.len() && name.bytes().zip(family.bytes()).all(|(one, other)| fold(one) == fold(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
            .collect()
    }

    #[test]
    fn what_connection_names_does_not_travel() {
        let mut found = headers(&[("connection", "close, X-One"), ("x-one", "1"), ("x-two", "2"), ("keep-alive", "5")]);
        remove_hop_by_hop(&mut found);
        assert_eq!(found, headers(&[("x-two", "2")]));
    }

    #[test]
    fn what_is_no_text_hides_nothing_that_connection_names() {
        for line in [&b"x-one, \xff"[..], b"\xff, X-One", b"\x80\x81,x-one,", b"close, \xffx-one, x-one"] {
            let mut found = headers(&[("x-one", "1"), ("x-two", "2"), ("te", "trailers")]);
            found.insert("connection", HeaderValue::from_bytes(line).unwrap());
            found.append("te", HeaderValue::from_bytes(b"\xff, trailers").unwrap());
            remove_hop_by_hop(&mut found);
            assert_eq!(found, headers(&[("x-two", "2"), ("te", "trailers")]), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn connection_takes_nothing_away_that_tells_where_a_request_came_from() {
        let told = headers(&[("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")]);
        let mut found = told.clone();
        found.insert("connection", HeaderValue::from_static("X-Forwarded-For, Forwarded, X-One"));
        found.insert("x-one", HeaderValue::from_static("1"));
        remove_hop_by_hop(&mut found);
        assert_eq!(found, told);
    }

    #[test]
    fn a_cookie_in_pieces_is_joined() {
        let mut found = headers(&[("cookie", "a=1"), ("cookie", "b=2; c=3"), ("cookie", "d=4")]);
        join_cookies(&mut found);
        assert_eq!(found, headers(&[("cookie", "a=1; b=2; c=3; d=4")]));
    }

    #[test]
    fn te_keeps_trailers_only() {
        let mut found = headers(&[("te", "gzip, trailers")]);
        remove_hop_by_hop(&mut found);
        assert_eq!(found, headers(&[("te", "trailers")]));
        let mut found = headers(&[("te", "gzip")]);
        remove_hop_by_hop(&mut found);
        assert!(found.is_empty());
    }

    #[test]
    fn identity_is_removed_in_every_spelling() {
        let guarded = [HeaderName::from_static("x-user-id")];
        for spelling in ["X-User-Id", "x_user_id", "X-User_Id", "x_user-id"] {
            let mut found = headers(&[(spelling, "root"), ("x-user", "kept")]);
            remove_claims(&mut found, guarded.iter());
            assert_eq!(found, headers(&[("x-user", "kept")]), "{spelling}");
        }
    }

    #[test]
    fn where_a_request_came_from_is_believed_from_trusted_proxies_in_one_spelling() {
        let sent =
            || headers(&[("forwarded", "for=x"), ("x_forwarded_for", "x"), ("x-real-ip", "x"), ("x-forward", "kept")]);
        let mut found = sent();
        remove_origin(&mut found, Peer::Stranger);
        assert_eq!(found, headers(&[("x-forward", "kept")]));
        let mut found = sent();
        remove_origin(&mut found, Peer::TrustedProxy);
        assert_eq!(found, headers(&[("forwarded", "for=x"), ("x-real-ip", "x"), ("x-forward", "kept")]));
        for name in ["X-Forwarded-Prefix", "x-forwarded_ssl", "True-Client-IP", "CF-Connecting-IP", "x_original_host"] {
            let mut found = headers(&[(name, "x")]);
            remove_origin(&mut found, Peer::Stranger);
            assert!(found.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_trailer_section_holds_neither_identity_nor_framing() {
        let guarded = [HeaderName::from_static("x-user-id")];
        for name in ["X-User-Id", "x_user_id", "authorization", "content_length", "cookie", "client-cert", "forwarded"]
        {
            let mut found = headers(&[(name, "root"), ("x-sum", "kept")]);
            clean_trailers(&mut found, guarded.iter());
            assert_eq!(found, headers(&[("x-sum", "kept")]), "{name}");
        }
    }

    #[test]
    fn keys_forwarded_certificates_and_overrides_reach_no_service() {
        for name in [
            "Sallyport-Key",
            "sallyport_key",
            "Client-Cert",
            "client_cert",
            "Client-Cert-Chain",
            "X-Forwarded-Client-Cert",
            "x_forwarded_client_cert",
            "X-ARR-ClientCert",
            "X-SSL-Client-S-DN",
            "ssl_client_verify",
            "X-Client-Cert-Fingerprint",
            "X-Original-URL",
            "X-Rewrite-Url",
            "X-HTTP-Method-Override",
            "x_http_method_override",
            "X-Method-Override",
        ] {
            let mut found = headers(&[(name, "x")]);
            remove_claims(&mut found, [].iter());
            assert!(found.is_empty(), "{name}");
        }
        let mut found = headers(&[("x-client", "1"), ("x-method", "1"), ("client", "1"), ("ssl-client", "1")]);
        remove_claims(&mut found, [].iter());
        assert_eq!(found.len(), 4, "{found:?}");
    }
}
