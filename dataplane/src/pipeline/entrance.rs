//! What is asked of a request before anything is told of what there is behind the Gateway.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, Request};
use hyper::body::Incoming;

use super::body::Record;
use super::forward;
use super::hygiene::{self, Peer};
use super::incoming::Arrival;
use super::permit;
use crate::client_certificate::forwarded::ForwardedCertificate;
use crate::client_certificate::shown::CallersCertificate;
use crate::clock::UnixMs;
use crate::explain::Explanation;
use crate::rejection::{Reason, Rejection};
use crate::runtime::listener::{Gateway, Listener, Port};
use crate::runtime::origin_lock::{self, Passage};
use crate::server::connection::Connection;
use crate::server::worker::Worker;

/// What has come in.
pub(super) struct Entered<'a> {
    pub(super) listener: &'a Arc<Listener>,
    /// What nobody but what stands in front of its port may say.
    pub(super) edge_headers: &'a Arc<[HeaderName]>,
    /// Whom it comes from, where that is known.
    pub(super) address: Option<IpAddr>,
    /// What it has brought to what guards the listener; absent where nothing does.
    pub(super) passage: Option<Arc<Passage>>,
    /// What a trusted proxy tells of; absent where that of the connection counts.
    pub(super) certificate: Option<CallersCertificate>,
}

/// Whether a request may come in at all.
pub(super) fn enter<'a>(
    (worker, connection): (&Worker, &Connection),
    (port, explained): (Option<&'a Arc<Port>>, Option<&Explanation>),
    arrival: &Arrival,
    request: &mut Request<Incoming>,
    record: &mut Record,
) -> Result<Entered<'a>, Rejection> {
    let port = port.ok_or_else(no_route)?;
    let now = worker.shared().clock.now();
    let Some(listener) = port.listener(&arrival.destination.host) else {
        admit_elsewhere(connection, port, request.headers(), now)?;
        return Err(no_route());
    };
    let address = arrival.client_address(connection, listener, request.headers());
    record.is_for(&listener.gateway, request.method(), request.headers());
    record.came_from(address);
    explained.iter().for_each(|one| one.came(&listener.gateway.name, &listener.name, address));
    let passage = admit(connection, listener, request.headers(), (record, now))?;
    explained.iter().for_each(|one| one.passed(listener));
    connection.may_carry(listener)?;
    let certificate = forwarded_certificate(worker, connection, listener, request.headers());
    hygiene::take_out(request.headers_mut(), port.edge_headers());
    worker.shared().mark.refuse_own(request.headers())?;
    permit::admit_to_gateway(&listener.gateway, address)?;
    explained.iter().for_each(|one| one.passed_floors(&listener.gateway));
    Ok(Entered { listener, edge_headers: port.edge_headers(), address, passage, certificate })
}

/// What the connection's maker tells of whom it speaks for. Where nobody knows who is a proxy, nobody's certificate is known.
fn forwarded_certificate(
    worker: &Worker,
    connection: &Connection,
    listener: &Listener,
    headers: &HeaderMap,
) -> Option<CallersCertificate> {
    let forwarded = listener.gateway.forwarded.as_ref()?;
    // Also where the header is stated and nobody is trusted to write it: whose connections are those of proxies nobody knows then.
    if listener.gateway.addresses_unknown || listener.gateway.trusted_proxies.is_empty() {
        return Some(ForwardedCertificate::of_nobody_knows_whom());
    }
    if forward::peer(connection, listener) == Peer::TrustedProxy {
        return Some(forwarded.told(headers, &worker.shared().forwarded_certificates));
    }
    // A proxy that tells in front of the connection whom it speaks for has shown its own certificate, and is not who would have written the header.
    connection.is_told().then(ForwardedCertificate::of_nobody_knows_whom)
}

pub(super) fn no_route() -> Rejection {
    Rejection::because(Reason::NoRoute, "no listener or rule matches host and path")
}

/// Whether whoever asks for a host that no listener knows could call any Gateway of the port: nobody else is told that.
fn admit_elsewhere(connection: &Connection, port: &Port, headers: &HeaderMap, now: UnixMs) -> Result<(), Rejection> {
    let mut first = Ok(());
    for gateway in port.gateways() {
        let passage = passage(connection, (gateway, port.is_tls), headers);
        match origin_lock::admit(&gateway.origin_locks, &passage, now) {
            Ok(_) => return Ok(()),
            Err(rejection) => first = first.and(Err(rejection)),
        }
    }
    first.inspect_err(|rejection| retire_if_misdirected(connection, rejection))
}

/// Whether the locks of the listener's Gateway let the request pass, and the authorities that it has vouch for callers.
fn admit(
    connection: &Connection,
    listener: &Listener,
    headers: &HeaderMap,
    (record, now): (&mut Record, UnixMs),
) -> Result<Option<Arc<Passage>>, Rejection> {
    if !listener.is_guarded() {
        return Ok(None);
    }
    let mut passage = passage(connection, (&listener.gateway, listener.tls.is_some()), headers);
    passage.until =
        listener.admit(&passage, now).inspect_err(|rejection| retire_if_misdirected(connection, rejection))?;
    for lock in listener.gateway.origin_locks.iter().filter(|lock| lock.is_report) {
        if let Err(rejection) = lock.admits(&passage, now) {
            record.would_refuse(&lock.object, &rejection);
        }
    }
    Ok(Some(Arc::new(passage)))
}

/// Whoever has to ask on another connection is not kept on this one.
pub(super) fn retire_if_misdirected(connection: &Connection, rejection: &Rejection) {
    if rejection.reason == Reason::Misdirected {
        connection.retire();
    }
}

fn passage(connection: &Connection, (gateway, is_tls): (&Gateway, bool), headers: &HeaderMap) -> Passage {
    let peer = connection.origin(gateway).address;
    Passage::new((peer, &connection.certificate, !is_tls), &gateway.origin_locks, headers)
}
