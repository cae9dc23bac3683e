//! One request, from its head to the end of its response.
//!
//! Each step takes what the one before it has proved; any may end in a [`Rejection`], which `respond` alone turns into a response.

pub mod authenticate;
pub mod authorize;
pub(crate) mod authorizers;
pub mod body;
mod entrance;
pub(crate) mod forward;
pub mod hygiene;
mod incoming;
mod isolation;
mod limits;
pub(crate) mod looks;
mod other_site;
pub mod permit;
mod reflection;
mod respond;
mod stream;
pub mod token_places;
pub mod tokens;
pub mod turns;
mod watch;

use std::borrow::Cow;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming as IncomingBody;
use hyper::upgrade::OnUpgrade;
use sallyport_expression::Steps;
use tokio::time::Instant;

use crate::client_certificate::shown::CallersCertificate;
use crate::cors::{InForce, Preflight};
use crate::explain::{Explanation, FoundOut};
use crate::gate::carries_requests;
use crate::limit::at_once::Place;
use crate::path::{self, Query};
use crate::rejection::{Reason, Rejection};
use crate::route::{Asked, Found, filter};
use crate::runtime::Runtime;
use crate::runtime::key_parameters::Shown;
use crate::runtime::listener::Listener;
use crate::runtime::listener::Port;
use crate::runtime::policy::Policy;
use crate::server::connection::Connection;
use crate::server::worker::Worker;
use authenticate::{Caller, Course, Held, Hop};
use authorizers::{Asking, Means};
use body::shown::CallersBody;
use body::{Body, Record};
use entrance::Entered;
use incoming::Arrival;
use permit::Permit;

/// Serves one request. Never fails: whatever goes wrong is an answer, a panic included.
pub async fn serve(worker: Rc<Worker>, connection: Rc<Connection>, request: Request<IncomingBody>) -> Response<Body> {
    let runtime = worker.runtime();
    let explanation = worker.shared().explains.is_some().then(Box::<Explanation>::default);
    let explained = explanation.as_deref();
    let here = Here { runtime: &runtime, port: runtime.ports.get(&connection.port), explained };
    let mut record = Record::begin(&worker, &connection, &request, here.port);
    let number = record.number();
    let outcome = match worker.admit_request(&connection) {
        Ok(()) => {
            // Pinned where it is, as all large futures on this way: each hand that they pass through would copy them.
            let handled = pin!(handle(&worker, &connection, here, request, &mut record));
            isolation::answered(&worker, number, handled).await
        }
        Err(rejection) => Err(rejection),
    };
    if let Some(explanation) = explained {
        let closed = here.port.is_some_and(|port| port.bars(connection.peer.ip()));
        tell(&worker, explanation, &outcome, &record, closed);
    }
    let mut response = outcome.unwrap_or_else(|rejection| {
        let response = respond::refusal(&rejection, record.speech(), &record.instance());
        record.refused(rejection);
        response
    });
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        record.say(response.headers_mut());
        connection.resume();
    }
    record.attach(response)
}

/// Tells whoever wants to know what has decided.
fn tell(
    worker: &Worker,
    explanation: &Explanation,
    outcome: &Result<Response<Body>, Rejection>,
    record: &Record,
    closed: bool,
) {
    let status = |rejection| respond::refusal(rejection, record.speech(), &record.instance()).status().as_u16();
    let outcome = outcome.as_ref().map_err(|rejection| (rejection, status(rejection)));
    let account = explanation.account(outcome, record.rehearsed(), closed);
    if let Some(as_if) = &worker.shared().explains {
        // Whoever wanted to know may have gone.
        let _gone = as_if.told.send(FoundOut::Judged(Box::new(account)));
    }
}

/// What is in force when a request comes, and of it the port that it came to.
#[derive(Clone, Copy)]
struct Here<'a> {
    runtime: &'a Arc<Runtime>,
    port: Option<&'a Arc<Port>>,
    explained: Option<&'a Explanation>,
}

async fn handle(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    Here { runtime, port, explained }: Here<'_>,
    mut request: Request<IncomingBody>,
    record: &mut Record,
) -> Result<Response<Body>, Rejection> {
    let arrival = Arrival::read(connection, &request)?;
    record.path(&arrival.path);
    let Entered { listener, edge_headers, address, passage, certificate } =
        entrance::enter((worker, connection), (port, explained), &arrival, &mut request, record)?;
    let upgrade = takes_upgrade(&mut request);
    hygiene::remove_hop_by_hop(request.headers_mut());
    let (head, body) = request.into_parts();
    let mut body = CallersBody::Coming(body);
    let query = Query(arrival.query.as_deref());
    let asked = Asked {
        host: &arrival.destination.host,
        path: &arrival.path,
        method: &head.method,
        headers: &head.headers,
        query,
    };
    let preflight = Preflight::read(&head.method, &head.headers);
    let matched = matched(listener, runtime, &asked, preflight.as_ref()).ok_or_else(entrance::no_route)?;
    let Matched { asked, found, policy, preflight } = matched;
    record.matched(&found, &policy, &head.headers);
    explained.iter().for_each(|one| one.found(&found.rule, &policy));
    if preflight.is_none() {
        record.says(InForce::of(&policy, &found.rule).map(|cors| cors.of_answer(&head.headers)));
    }
    judge_parameters(listener, &asked, &found)?;
    if let Some(deny) = &found.rule.deny {
        return Err(deny.rejection());
    }
    let gateway = &listener.gateway.name;
    let certificate = certificate.as_ref().unwrap_or(&connection.certificate);
    let hop = hop((connection, certificate), listener, &arrival, (upgrade.as_ref(), head.version));
    let (means, course) = ((&**runtime, worker.shared()), Course::default());
    let body_bytes = body.exact_bytes();
    let (replicas, counts_in_store) = (listener.gateway.replicas, listener.gateway.counts_in_store);
    let limit_store = listener.gateway.limit_store.as_deref();
    let caller = Caller::new(&asked, address, (&found.rule, gateway), means, &course);
    let nonces = listener.gateway.nonces.as_deref();
    let caller = Caller { hop, body_bytes, replicas, explained, limit_store, counts_in_store, nonces, ..caller };
    if preflight.is_some() || found.rule.redirect().is_some() {
        // Nothing is forwarded, and browsers ask without a credential: addresses are judged, and none is asked for.
        permit::admit_to_redirect(&policy, &caller).await?;
        let shown = runtime.key_parameters(gateway, &found.rule.api.namespace);
        return answered_here(preflight, &found, query, (connection, &arrival), shown);
    }
    let until = record.deadline(found.rule.request_timeout);
    let means = Means { worker, runtime, leave: listener.gateway.leave.as_ref() };
    let (id, window) = (record.number(), connection.bounds.body_timeout);
    let mut asking = Asking { means, policy: &policy, rule: &found.rule, id, body: &mut body, window };
    let permit = in_time(until, pin!(judge(&policy, &caller, &mut asking, record))).await;
    record.tells(course.proof.next_nonce());
    let mut permit = permit.inspect_err(|rejection| entrance::retire_if_misdirected(connection, rejection))?;
    record.admitted(&mut permit);
    if let Some(explanation) = explained {
        explanation.admitted(&found, &policy, runtime, permit.take_computed())?;
        return Ok(Response::new(Body::empty()));
    }
    let request = forward::Admitted {
        head,
        body,
        arrival,
        upgrade,
        found,
        passage,
        edge_headers: Arc::clone(edge_headers),
        listener: listener.clone(),
        runtime: Arc::clone(runtime),
    };
    pin!(forward::forward(worker, connection, request, permit, record)).await
}

/// What a browser is told that asks beforehand, or where somebody is sent.
fn answered_here(
    preflight: Option<HeaderMap>,
    found: &Found,
    query: Query<'_>,
    (connection, arrival): (&Connection, &Arrival),
    shown: Option<&Shown>,
) -> Result<Response<Body>, Rejection> {
    match (preflight, found.rule.redirect()) {
        (None, Some(redirect)) => {
            let query = taken_along(redirect, query, arrival, connection, shown);
            answer_redirect(redirect, query.as_deref(), arrival, connection, found.matched)
        }
        (answer, _) => Ok(answer_preflight(answer.unwrap_or_default())),
    }
}

fn hop<'a>(
    (connection, certificate): (&'a Connection, &'a CallersCertificate),
    listener: &Listener,
    arrival: &'a Arrival,
    (upgrade, version): (Option<&'a Upgrade>, Version),
) -> Hop<'a> {
    Hop {
        upgrade: upgrade.map(|upgrade| &upgrade.to),
        authority: Some(&arrival.destination.authority),
        peer: forward::peer(connection, listener),
        certificate,
        is_cleartext: listener.tls.is_none(),
        version,
    }
}

/// What is served, and to whom.
struct Matched<'a> {
    /// A browser that asks beforehand is matched as what it wants to ask.
    asked: Asked<'a>,
    found: Found,
    policy: Arc<Policy>,
    /// What such a browser is told; absent where nobody says anything of that, and it is a request as all others.
    preflight: Option<HeaderMap>,
}

fn matched<'a>(
    listener: &Listener,
    runtime: &Runtime,
    asked: &Asked<'a>,
    preflight: Option<&'a Preflight<'_>>,
) -> Option<Matched<'a>> {
    let find = |asked: Asked<'a>| {
        let found = listener.routes.find(&asked)?;
        let policy = runtime.policy(&found.policy);
        Some(Matched { asked, found, policy, preflight: None })
    };
    let beforehand = preflight.and_then(|preflight| {
        let matched = find(Asked { method: &preflight.method, ..*asked })?;
        let answer = InForce::of(&matched.policy, &matched.found.rule)?.of_preflight(preflight);
        Some(Matched { preflight: Some(answer), ..matched })
    });
    beforehand.or_else(|| {
        let matched = find(*asked)?;
        // For what it asks nobody has a word, and somebody for the question itself: no service is asked that.
        let spoken_of = preflight.filter(|_| InForce::of(&matched.policy, &matched.found.rule).is_some());
        Some(Matched { preflight: spoken_of.map(|asked| InForce::nobody().of_preflight(asked)), ..matched })
    })
}

/// Services differ in whether `/admin;x` is `/admin`: where that is another rule's, nobody can say what was asked for.
fn judge_parameters(listener: &Listener, asked: &Asked<'_>, found: &Found) -> Result<(), Rejection> {
    let Some(plain) = path::without_parameters(asked.path) else { return Ok(()) };
    let otherwise = listener.routes.find(&Asked { path: &plain, ..*asked });
    if otherwise.is_none_or(|other| other.is_same(found)) {
        return Ok(());
    }
    Err(Rejection::because(Reason::Malformed, "without its parameters the path would lead to another rule"))
}

/// Whether the caller may ask, and what policies in Report mode would have said.
async fn judge(
    policy: &Arc<Policy>,
    caller: &Caller<'_>,
    asking: &mut Asking<'_>,
    record: &mut Record,
) -> Result<Permit, Rejection> {
    let mut permit = permit::authorise(policy, caller, asking).await?;
    let places = rehearse(policy, caller, permit.held(), (asking, record)).await;
    permit.keep(places);
    Ok(permit)
}

/// What comes of `work` if it ends in the time that the route gives a request: keys of an issuer may have to be waited for.
async fn in_time<T>(
    until: Option<Instant>,
    work: Pin<&mut impl Future<Output = Result<T, Rejection>>>,
) -> Result<T, Rejection> {
    let Some(until) = until else { return work.await };
    let late = || Rejection::because(Reason::UpstreamTimeout, "the time that the route gives a request is over");
    tokio::time::timeout_at(until, work).await.unwrap_or_else(|_| Err(late()))
}

/// Evaluates what is only reported, and reports it; gives the places that it counts for as long as the request lasts.
async fn rehearse(
    policy: &Policy,
    caller: &Caller<'_>,
    live: &Held,
    (asking, record): (&Asking<'_>, &mut Record),
) -> Vec<Place> {
    let mut steps = Steps::default();
    caller.course.decryptions.renew();
    let mut places = Vec::new();
    for rehearsal in &policy.rehearsals {
        match permit::rehearse(rehearsal, caller, (policy, live), &mut steps).await {
            Ok(rehearsed) => {
                places.extend(rehearsed.places);
                for (one, question) in rehearsed.questions {
                    if caller.asks_nobody {
                        let unasked = "it would be asked; whoever explains asks nobody";
                        record.would_refuse(&rehearsal.name, &one.rejection(Reason::RehearsalIncomplete, unasked));
                        continue;
                    }
                    let (policy, question) = asking.later(&rehearsal.name, one, question, caller);
                    record.rehearse_later(policy, question);
                }
            }
            Err(rejection) => record.would_refuse(&rehearsal.name, &rejection),
        }
    }
    places
}

/// The query of a caller that is sent elsewhere, who gives away there no key that is meant for this gateway. But a host of routes whose
/// callers show keys needs it, at the port that was asked.
fn taken_along<'a>(
    redirect: &filter::Redirect,
    query: Query<'a>,
    arrival: &Arrival,
    connection: &Connection,
    shown: Option<&Shown>,
) -> Option<Cow<'a, str>> {
    let is_same_way = redirect.is_by_the_same_way(connection.scheme(), connection.public_port());
    let elsewhere = redirect.elsewhere(&arrival.destination.host);
    match shown {
        Some(shown) if !is_same_way || elsewhere.is_some_and(|host| !shown.is_for(host)) => {
            query.without(|name| shown.is_in(name))
        }
        _ => query.0.map(Cow::Borrowed),
    }
}

fn answer_redirect(
    redirect: &filter::Redirect,
    query: Option<&str>,
    arrival: &Arrival,
    connection: &Connection,
    matched: usize,
) -> Result<Response<Body>, Rejection> {
    let origin = filter::Origin {
        scheme: connection.scheme(),
        host: &arrival.destination.host,
        port: connection.public_port(),
        path: &arrival.path,
        query,
        matched,
    };
    let location = redirect
        .location(&origin)
        .ok_or_else(|| Rejection::because(Reason::Configuration, "the redirect gives no valid Location"))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = redirect.status;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

fn answer_preflight(headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.headers_mut() = headers;
    response
}

/// What a caller wants to turn an HTTP/1.1 connection into.
pub(crate) struct Upgrade {
    pub(crate) to: http::HeaderValue,
    pub(crate) connection: OnUpgrade,
}

/// The upgrade that was asked for, taken out of the request. What carries requests is not one: it is answered in HTTP/1.1.
fn takes_upgrade(request: &mut Request<IncomingBody>) -> Option<Upgrade> {
    let to = request.headers().get(header::UPGRADE)?.clone();
    let is_one = request.version() == Version::HTTP_11 && asks_for_upgrade(request.headers());
    is_one.then(|| Upgrade { to, connection: hyper::upgrade::on(request) })
}

/// Read as the gate reads it, which lets bytes of a tunnel pass: by bytes, and every line.
fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let named = hygiene::members(headers, &header::CONNECTION).any(|member| member.eq_ignore_ascii_case(b"upgrade"));
    named && !hygiene::members(headers, &header::UPGRADE).any(carries_requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2c_is_no_upgrade_whatever_stands_beside_it() {
        for (connection, to, asks) in [
            (&b"upgrade"[..], &b"websocket"[..], true),
            (b"keep-alive, Upgrade", b"websocket", true),
            (b"\xff, upgrade", b"websocket", true),
            (b"keep-alive", b"websocket", false),
            (b"upgrade\xff", b"websocket", false),
            (b"upgrade", b"h2c", false),
            (b"upgrade", b"TLS/1.2", false),
            (b"upgrade", b"websocket, HTTP/2.0", false),
            (b"upgrade", b"http", false),
            (b"upgrade", b"tlsx", true),
            (b"upgrade", b"websocket, H2C", false),
            (b"upgrade", b"h2c,\x80", false),
            (b"upgrade", b"\x80, h2c", false),
        ] {
            let value = |bytes: &[u8]| http::HeaderValue::from_bytes(bytes).unwrap();
            let headers = HeaderMap::from_iter([(header::CONNECTION, value(connection)), (header::UPGRADE, value(to))]);
            assert_eq!(asks_for_upgrade(&headers), asks, "{} {}", connection.escape_ascii(), to.escape_ascii());
        }
    }

    #[test]
    fn h2c_in_a_line_of_its_own_is_none_either() {
        for order in [["websocket", "h2c"], ["h2c", "websocket"]] {
            let mut headers = HeaderMap::from_iter([(header::CONNECTION, http::HeaderValue::from_static("upgrade"))]);
            for to in order {
                headers.append(header::UPGRADE, http::HeaderValue::from_static(to));
            }
            assert!(!asks_for_upgrade(&headers), "{order:?}");
        }
    }
}
