//! What is asked of a request before anything is told of what there is behind the Gateway.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, Request};
use hyper::body::Incoming;

use super::body::Record;
use super::hygiene::same_variable;
use super::incoming::Arrival;
use super::permit;
use crate::rejection::{Reason, Rejection};
use crate::runtime::listener::{Gateway, Listener, Port};
use crate::runtime::origin_lock::Brought;
use crate::server::connection::Connection;
use crate::server::worker::Worker;

/// The listener that it is for, and whom it comes from, if a request may come in at all.
pub(super) fn enter<'a>(
    (worker, connection): (&Worker, &Connection),
    port: Option<&'a Arc<Port>>,
    arrival: &Arrival,
    request: &mut Request<Incoming>,
    record: &mut Record,
) -> Result<(&'a Arc<Listener>, Option<IpAddr>), Rejection> {
    let port = port.ok_or_else(no_route)?;
    let listener = port.listener(&arrival.destination.host);
    let address = listener.and_then(|listener| arrival.client_address(connection, listener, request.headers()));
    if let Some(listener) = listener {
        record.is_for(&listener.gateway, request.method(), request.headers());
        record.came_from(address);
        connection.may_carry(listener)?;
    }
    admit((worker, connection), (port, listener), request.headers(), record)?;
    take_out(port, request.headers_mut());
    let listener = listener.ok_or_else(no_route)?;
    worker.shared().mark.refuse_own(request.headers())?;
    permit::admit_to_gateway(&listener.gateway, address)?;
    Ok((listener, address))
}

pub(super) fn no_route() -> Rejection {
    Rejection::because(Reason::NoRoute, "no listener or rule matches host and path")
}

/// Whether a request may pass the origin locks. Where no listener knows the host, nobody is told that who could call none of the port's Gateways.
fn admit(
    (worker, connection): (&Worker, &Connection),
    (port, listener): (&Port, Option<&Arc<Listener>>),
    headers: &HeaderMap,
    record: &mut Record,
) -> Result<(), Rejection> {
    let Some(listener) = listener else {
        let mut refusals = Vec::new();
        for gateway in port.gateways() {
            match opens((worker, connection), (gateway, port.is_tls), headers, None) {
                Ok(()) => return Ok(()),
                Err(rejection) => refusals.push(rejection),
            }
        }
        return refusals.into_iter().next().map_or(Ok(()), Err);
    };
    let outcome = opens((worker, connection), (&listener.gateway, listener.tls.is_some()), headers, Some(record));
    outcome.inspect_err(|rejection| {
        if rejection.reason == Reason::Misdirected {
            connection.retire();
        }
    })
}

fn opens(
    (worker, connection): (&Worker, &Connection),
    (gateway, is_tls): (&Gateway, bool),
    headers: &HeaderMap,
    mut record: Option<&mut Record>,
) -> Result<(), Rejection> {
    if gateway.origin_locks.is_empty() {
        return Ok(());
    }
    let (peer, certificate) = (connection.origin(gateway).address, &connection.certificate);
    let now = worker.shared().clock.now();
    let brought = Brought { peer, certificate, is_cleartext: !is_tls, headers, now };
    for lock in gateway.origin_locks.iter() {
        match (lock.admits(brought), &mut record) {
            (Ok(()), _) => {}
            (Err(rejection), _) if !lock.is_report => return Err(rejection),
            (Err(rejection), Some(record)) => record.would_refuse(&lock.object, &rejection),
            (Err(_), None) => {}
        }
    }
    Ok(())
}

/// Takes out what opens locks, in every spelling that anybody may read.
fn take_out(port: &Port, headers: &mut HeaderMap) {
    let locks = port.lock_headers();
    if locks.is_empty() {
        return;
    }
    let opens = |name: &HeaderName| locks.iter().any(|lock| same_variable(name.as_str(), lock.as_str()));
    let found: Vec<HeaderName> = headers.keys().filter(|name| opens(name)).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}
