//! What a request asks for, in its one canonical form.

use std::net::IpAddr;
use std::rc::Rc;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Request, Version, header};
use hyper::body::Incoming;

use crate::gate::REFUSED_METHOD;
use crate::ip_set::client_address;
use crate::path::canonical;
use crate::rejection::{Reason, Rejection};
use crate::runtime::listener::Listener;
use crate::server::connection::Connection;
use crate::server::destination::Destination;

pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Host, path and query of a request: what is matched, judged and forwarded.
pub(crate) struct Arrival {
    pub(crate) destination: Rc<Destination>,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
}

impl Arrival {
    /// Refuses what the gate in front has refused, and what cannot be read in one way only.
    pub(crate) fn read(connection: &Connection, request: &Request<Incoming>) -> Result<Self, Rejection> {
        if request.method().as_str() == REFUSED_METHOD {
            return Err(connection.refusal());
        }
        if request.version() == Version::HTTP_2 {
            connection.judge_http2(request)?;
            judge_http2(request.headers())?;
        }
        let raw = raw_authority(request)?;
        let destination = connection.last_destination.of(raw).map_err(|fault| malformed(fault.to_string()))?;
        let asterisk = request.uri().path() == "*";
        let path = if asterisk {
            "/".into()
        } else {
            canonical(request.uri().path()).map_err(|fault| malformed(fault.to_string()))?
        };
        Ok(Self { destination, path: path.into_owned(), query: request.uri().query().map(str::to_owned) })
    }

    /// The client behind trusted proxies; `None` if one of them says something unreadable, or nobody knows which they are.
    pub(crate) fn client_address(
        &self,
        connection: &Connection,
        listener: &Listener,
        headers: &HeaderMap,
    ) -> Option<IpAddr> {
        if listener.gateway.addresses_unknown {
            return None;
        }
        let trusted = &listener.gateway.trusted_proxies;
        let origin = connection.origin(&listener.gateway).address?;
        if trusted.is_empty() {
            return Some(origin);
        }
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).into_iter().map(HeaderValue::as_bytes).collect();
        client_address(origin, trusted, lines.into_iter())
    }
}

/// What the gate finds in the lines of a head over HTTP/1: over HTTP/2 there are none.
fn judge_http2(headers: &HeaderMap) -> Result<(), Rejection> {
    // RFC 9113, 8.2.1. A service that is spoken to in HTTP/1 would read the value without them, and another one than was judged.
    if headers.values().any(|value| is_padded(value.as_bytes())) {
        return Err(malformed("a field value begins or ends with a space".to_owned()));
    }
    if headers.get_all(header::AUTHORIZATION).into_iter().count() > 1 {
        return Err(Rejection::of_two_authorizations("there are two Authorization fields"));
    }
    if headers.get_all(header::HOST).into_iter().count() > 1 {
        return Err(malformed("there are two Host fields".to_owned()));
    }
    Ok(())
}

fn is_padded(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_space(value.first()) || is_space(value.last())
}

/// `:authority`, the authority of an absolute target, or `Host`. Where there are two, they agree.
fn raw_authority(request: &Request<Incoming>) -> Result<&str, Rejection> {
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    let host = request
        .headers()
        .get(header::HOST)
        .map(|host| host.to_str().map_err(|_| malformed("Host is not ASCII".to_owned())))
        .transpose()?;
    match (target, host) {
        (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => {
            Err(malformed("the request target and Host name different hosts".to_owned()))
        }
        (Some(one), _) | (None, Some(one)) => Ok(one),
        (None, None) => Err(malformed("the request names no host".to_owned())),
    }
}

fn malformed(message: String) -> Rejection {
    Rejection::because(Reason::Malformed, message)
}
