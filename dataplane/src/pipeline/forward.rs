//! Onward: the caller's credentials out, the gateway's in, and one exchange with the service.

use std::borrow::Cow;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::Upgrade;
use super::body::request::{Guard, RequestBody};
use super::body::shown::CallersBody;
use super::body::{Body, Record};
use super::hygiene::{self, Peer};
use super::incoming::{Arrival, FORWARDED_FOR};
use super::isolation;
use super::permit::{Answered, Permit};
use super::reflection;
use super::stream::Standing;
use super::token_places::{self, Onward};
use super::watch::{Fallen, Watch};
use crate::credential::{self, Credential, QueryParameter};
use crate::egress::leave::Leave;
use crate::gate;
use crate::nonces;
use crate::path::Query;
use crate::rejection::{Reason, Rejection};
use crate::route::filter::{Filter, Rewrite};
use crate::route::{Found, Pick};
use crate::runtime::Runtime;
use crate::runtime::backend::Backend;
use crate::runtime::listener::Listener;
use crate::runtime::origin_lock::Passage;
use crate::runtime::policy::Policy;
use crate::runtime::policy::header_changes::Computed;
use crate::server::connection::{Connection, Origin};
use crate::server::pace::tunnel;
use crate::server::worker::Worker;
use crate::sources::chain;
use crate::upstream::target::Target;
use crate::upstream::{Exchange, Purpose, Terms};

pub(super) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A request with all that has been found out about it.
pub(super) struct Admitted {
    pub(super) head: http::request::Parts,
    pub(super) body: CallersBody,
    pub(super) arrival: Arrival,
    pub(super) upgrade: Option<Upgrade>,
    pub(super) found: Found,
    pub(super) passage: Option<Arc<Passage>>,
    /// What nobody but what stands in front may say.
    pub(super) edge_headers: Arc<[HeaderName]>,
    pub(super) listener: Arc<Listener>,
    pub(super) runtime: Arc<Runtime>,
}

/// Forwards what `permit` admits, and consumes it: nothing is forwarded without one, or twice with the same.
pub(super) async fn forward(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    admitted: Admitted,
    mut permit: Permit,
    record: &mut Record,
) -> Result<Response<Body>, Rejection> {
    let Admitted { mut head, body, arrival, upgrade, found, passage, edge_headers, listener, runtime } = admitted;
    // Where judging took long, what is there now is asked; whether the permit holds is looked at below.
    let current = if record.has_lasted(Instant::now()) { worker.runtime() } else { Arc::clone(&runtime) };
    let Chosen { backend, credential, filters } = chosen(found.rule.pick(worker.random()), &current)?;
    let target = backend.target.as_ref().map_err(|denial| denial.rejection())?;
    let credential = credential.as_deref();
    let (own, onward) = (credential.and_then(|credential| credential.own_header()), onward(credential, &backend));
    strip(&mut head.headers, &backend, &permit, (own, onward));
    // What filters, the policy and the credential say comes after it: it would take away what it does not know.
    tell_origin(&mut head.headers, &arrival, connection, &listener);
    let changes = Changes { filters: [&found.rule.filters, &*filters], matched: found.matched };
    let rewritten = changes.request(&arrival, &mut head.headers);
    let (computed, answered) = (permit.take_computed(), permit.take_answered());
    credential::take_token(credential, permit.callers_token(&backend.namespace), backend.channel, &mut head.headers);
    answered.of_near(&mut head.headers);
    let policy = Arc::clone(permit.policy());
    policy.request_headers.apply(&mut head.headers, computed.request);
    answered.of_floors(&mut head.headers);
    let shown = credential::present(credential, &mut head.headers).map_err(|denial| denial.rejection())?;
    tell_next_hop(&mut head.headers, rewritten.host, worker, record);
    let query = kept_query(&arrival, &backend, &permit, onward, shown.map(|shown| &*shown.name));
    head.uri = target_uri(&head.uri, &rewritten.path, query.as_deref(), shown.map(AsRef::as_ref))?;
    as_the_next_hop_reads_it(&mut head, upgrade.as_ref());
    // From here on it is watched: the permit is used up, and what it stands on may fall before there is an answer.
    let leave = listener.gateway.leave.clone();
    let entered = (listener, passage);
    let standing = Standing::new(worker, permit.into_grounds(), found.clone(), entered, runtime.generation);
    let guard = Guard { backend: Arc::clone(&backend), policy: Arc::clone(&policy), own: own.cloned(), edge_headers };
    let (body, upload) = RequestBody::of_caller(body, guard, &standing, record);
    let mut watch = standing.watched();
    let terms = terms(&found, target, record, upgrade.as_ref());
    let body = body.begun(&head.method, target, terms.until).await;
    record.uploads(upload.as_ref());
    let refused = || upload.as_ref().and_then(|upload| policy.refusal_of(upload));
    refused().map_or(Ok(()), Err)?;
    let binds = hygiene::binds_connection(&head.headers, &header::AUTHORIZATION);
    let asked = Instant::now();
    if record.has_lasted(asked) {
        watch.look_whole().map_err(ended)?;
    }
    let sent = Request::from_parts(head, body);
    let exchange = pin!(ask(worker, target, sent, (terms, leave.as_deref()), &mut watch)).await;
    let Exchange { mut response, address, mut lease, until } =
        exchange.map_err(|rejection| refused().unwrap_or(rejection))?;
    record.upstream(address, asked);
    if binds || hygiene::binds_connection(response.headers(), &header::WWW_AUTHENTICATE) {
        lease.take();
    }
    upload.iter().for_each(|upload| upload.answering());
    shown.map_or(Ok(()), |shown| reflection::withdraw(response.headers_mut(), shown))?;
    let switch = switch(&mut response, upgrade)?;
    as_the_caller_reads_it(response.headers_mut(), &policy, (&changes, &answered), computed.response);
    if let Some(upgrade) = switch {
        let (response, tunnel) = tunnel(worker, connection, upgrade, response, watch);
        tokio::task::spawn_local(isolation::run(Rc::clone(worker), record.number(), tunnel));
        return Ok(response);
    }
    let (response, body) = split(response);
    watch.until(until);
    Ok(response.map(|()| Body::upstream(body, worker, lease, upload, watch).without(shown)))
}

/// What the service has said, and filters, authorisers and the policy besides, in this order.
fn as_the_caller_reads_it(
    headers: &mut HeaderMap,
    policy: &Policy,
    (changes, answered): (&Changes<'_>, &Answered),
    computed: Computed,
) {
    if policy.hands_out_nonces {
        headers.remove(nonces::HEADER);
    }
    changes.response(headers);
    answered.to_caller(headers);
    policy.response_headers.apply(headers, computed);
}

fn ended(Fallen(why): Fallen) -> Rejection {
    Rejection::because(Reason::PermitEnded, why)
}

/// Who is to be asked, and what it is shown.
pub(crate) struct Chosen {
    pub(crate) backend: Arc<Backend>,
    pub(crate) credential: Option<Arc<Credential>>,
    filters: Arc<[Filter]>,
}

/// What a share of a rule comes to.
pub(crate) fn chosen(picked: Pick, runtime: &Runtime) -> Result<Chosen, Rejection> {
    let (backend, credential, filters) = match picked {
        Pick::Backend { backend, credential, filters } => (backend, credential, filters),
        Pick::Denied(denial) => return Err(denial.rejection()),
    };
    let missing =
        |what: &str, name: &str| Rejection::because(Reason::Configuration, format!("{what} {name} is not there"));
    let shown =
        |name: Arc<str>| runtime.credentials.get(&name).map(Arc::clone).ok_or_else(|| missing("credential", &name));
    Ok(Chosen {
        backend: Arc::clone(runtime.backends.get(&backend).ok_or_else(|| missing("backend", &backend))?),
        credential: credential.map(shown).transpose()?,
        filters,
    })
}

/// The service's answer, unless what admitted the request falls first: then the exchange is broken off.
async fn ask(
    worker: &Worker,
    target: &Target,
    request: Request<RequestBody>,
    (terms, leave): (Terms, Option<&Leave>),
    watch: &mut Watch<Standing>,
) -> Result<Exchange<RequestBody>, Rejection> {
    let exchange = pin!(worker.upstreams().send(target, request, terms, leave));
    match watch.over(exchange).await.map_err(ended)? {
        Ok(exchange) => Ok(exchange),
        Err(failure) => {
            // The request's body may have been broken off by the same fall.
            watch.look().map_err(ended)?;
            Err(Rejection::because(failure.reason(), chain(&failure)))
        }
    }
}

/// What the service switches to, if it does: nothing else than it was asked for. What belongs to its connection goes out if not.
fn switch(response: &mut Response<Incoming>, asked: Option<Upgrade>) -> Result<Option<Upgrade>, Rejection> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        hygiene::remove_hop_by_hop(response.headers_mut());
        return Ok(None);
    }
    let unasked = || Rejection::because(Reason::UpstreamProtocol, "the service switched protocols unasked");
    asked.filter(|upgrade| takes_up(response.headers(), upgrade)).ok_or_else(unasked).map(Some)
}

/// Whether the service switches to what it was asked for (RFC 9110, 7.8).
fn takes_up(answer: &HeaderMap, asked: &Upgrade) -> bool {
    let is_asked = |taken: &[u8]| gate::members(asked.to.as_bytes()).any(|member| member.eq_ignore_ascii_case(taken));
    answer.contains_key(header::UPGRADE) && hygiene::members(answer, &header::UPGRADE).all(is_asked)
}

/// Head and body. What the gateway speaks to the caller is its own affair (RFC 9110, 6.2), whatever version the service answers in.
fn split(response: Response<Incoming>) -> (Response<()>, Incoming) {
    let (mut head, body) = response.into_parts();
    head.version = Version::HTTP_11;
    (Response::from_parts(head, ()), body)
}

/// What belongs to one connection, as the connection to the service begins with it.
fn as_the_next_hop_reads_it(head: &mut http::request::Parts, upgrade: Option<&Upgrade>) {
    head.headers.remove(header::EXPECT);
    head.version = Version::HTTP_11;
    if let Some(upgrade) = upgrade {
        head.headers.insert(header::UPGRADE, upgrade.to.clone());
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// A route's times (GEP-1742) beat the Backend's, which is for the head of the response alone.
fn terms(found: &Found, target: &Target, record: &Record, upgrade: Option<&Upgrade>) -> Terms {
    let rule = &found.rule;
    let purpose = if upgrade.is_some() { Purpose::Upgrade } else { Purpose::Exchange };
    let until = record.deadline(rule.request_timeout);
    let head = target.request_timeout.filter(|_| !rule.states_timeout);
    Terms { until, attempt: rule.backend_request_timeout, head, purpose }
}

/// Takes out every key, every identity that only the gateway may state, the place of its `own` credential, and tokens as far as verified
/// ones do not go `onward`.
fn strip(headers: &mut HeaderMap, backend: &Backend, permit: &Permit, (own, onward): (Option<&HeaderName>, Onward)) {
    let set = permit.policy().identity_headers();
    hygiene::remove_claims(headers, backend.guarded.iter().chain(set).chain(permit.key_headers()).chain(own));
    for (place, onward) in permit.token_places(onward) {
        token_places::clean(headers, place, onward);
    }
}

/// What the gateway says of itself: that the request has passed it, and the span that it stands in; with the host that is asked for, and
/// cookies in one line.
fn tell_next_hop(headers: &mut HeaderMap, host: HeaderValue, worker: &Worker, record: &Record) {
    worker.shared().mark.put(headers);
    record.hand_trace_on(headers);
    hygiene::join_cookies(headers);
    headers.insert(header::HOST, host);
}

/// `X-Forwarded-*`, of which only trusted proxies' words are kept.
fn tell_origin(headers: &mut HeaderMap, arrival: &Arrival, connection: &Connection, listener: &Listener) {
    let (origin, peer) = (connection.origin(&listener.gateway), peer(connection, listener));
    let believed = peer == Peer::TrustedProxy;
    hygiene::remove_origin(headers, peer);
    let hops = if believed { hops(headers, origin) } else { None };
    headers.insert(FORWARDED_FOR, hops.unwrap_or_else(|| origin.value.clone()));
    if !believed || !headers.contains_key(FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(connection.scheme()));
    }
    if !believed || !headers.contains_key(FORWARDED_HOST) {
        headers.insert(FORWARDED_HOST, arrival.destination.authority.clone());
    }
}

/// Whether what the peer says of where a request came from counts.
pub(super) fn peer(connection: &Connection, listener: &Listener) -> Peer {
    let proxies = &listener.gateway.trusted_proxies;
    let is_trusted = |address| proxies.contains(address);
    let believed = !proxies.is_empty() && connection.origin(&listener.gateway).address.is_some_and(is_trusted);
    if believed { Peer::TrustedProxy } else { Peer::Stranger }
}

/// What a trusted proxy said, and the proxy itself.
fn hops(headers: &HeaderMap, origin: &Origin) -> Option<HeaderValue> {
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).into_iter().filter_map(|line| line.to_str().ok()).collect();
    let peer = origin.value.to_str().ok()?;
    (!lines.is_empty()).then(|| HeaderValue::try_from(format!("{}, {peer}", lines.join(", "))).ok())?
}

/// What becomes of tokens that have been verified.
fn onward(credential: Option<&Credential>, backend: &Backend) -> Onward {
    if credential::lets_tokens_pass(credential, backend.channel) { Onward::Kept } else { Onward::TakenOut }
}

/// The query without keys, tokens that must not travel, and the place of the gateway's own parameter, called `own`.
fn kept_query<'a>(
    arrival: &'a Arrival,
    backend: &Backend,
    permit: &Permit,
    verified: Onward,
    own: Option<&str>,
) -> Option<Cow<'a, str>> {
    let tokens = permit.token_places(verified).filter(|(_, onward)| *onward == Onward::TakenOut);
    let tokens: SmallVec<[&str; 2]> = tokens.filter_map(|(place, _)| place.query_parameter()).collect();
    let keys = || backend.key_parameters.iter().map(|name| &**name);
    let is_unwanted =
        |name: &[u8]| keys().chain(tokens.iter().copied()).chain(own).any(|unwanted| unwanted.as_bytes() == name);
    Query(arrival.query.as_deref()).without(is_unwanted)
}

/// Path and query as they are sent, the gateway's own parameter put in.
fn target_uri(sent: &Uri, path: &str, query: Option<&str>, shown: Option<&QueryParameter>) -> Result<Uri, Rejection> {
    let shown = shown.map(|shown| shown.pair.as_str());
    // As a rule everything stays as it came.
    if sent.authority().is_none() && sent.path() == path && sent.query() == query && shown.is_none() {
        return Ok(sent.clone());
    }
    let target = match (query, shown) {
        (None, None) => path.to_owned(),
        (Some(query), None) | (None, Some(query)) => format!("{path}?{query}"),
        (Some(query), Some(shown)) => format!("{path}?{query}&{shown}"),
    };
    Uri::from_maybe_shared(Bytes::from(target))
        .map_err(|_| Rejection::because(Reason::Malformed, "the request target cannot be forwarded"))
}

/// Filters of the rule, then of the backend.
struct Changes<'a> {
    filters: [&'a [Filter]; 2],
    matched: usize,
}

struct Rewritten<'a> {
    path: Cow<'a, str>,
    host: HeaderValue,
}

impl Changes<'_> {
    fn request<'a>(&self, arrival: &'a Arrival, headers: &mut HeaderMap) -> Rewritten<'a> {
        let mut rewritten =
            Rewritten { path: Cow::Borrowed(&arrival.path), host: arrival.destination.authority.clone() };
        for filter in self.filters.into_iter().flatten() {
            match filter {
                Filter::RequestHeaders(edit) => edit.apply(headers),
                Filter::Rewrite(rewrite) => rewritten.apply(rewrite, self.matched),
                Filter::ResponseHeaders(_) | Filter::Redirect(_) => {}
            }
        }
        rewritten
    }

    fn response(&self, headers: &mut HeaderMap) {
        for filter in self.filters.into_iter().flatten() {
            if let Filter::ResponseHeaders(edit) = filter {
                edit.apply(headers);
            }
        }
    }
}

impl Rewritten<'_> {
    fn apply(&mut self, rewrite: &Rewrite, matched: usize) {
        if let Some(path) = &rewrite.path {
            self.path = Cow::Owned(path.apply(&self.path, matched));
        }
        if let Some(host) = &rewrite.hostname {
            self.host = host.clone();
        }
    }
}

/// Answers 101; what comes with it joins the two connections, until either ends, what `watch` looks at falls, or the worker has
/// drained nearly long enough: then both sides are told.
fn tunnel(
    worker: &Worker,
    connection: &Rc<Connection>,
    upgrade: Upgrade,
    mut response: Response<Incoming>,
    mut watch: Watch<Standing>,
) -> (Response<Body>, impl Future<Output = ()> + use<>) {
    let upstream = hyper::upgrade::on(&mut response);
    connection.tunnel();
    let draining = worker.draining();
    // The tunnel is the connection still, and counts as one.
    let connection = Rc::clone(connection);
    let joined = async move {
        let (Ok(caller), Ok(service)) = tokio::join!(upgrade.connection, upstream) else { return };
        let (mut caller, mut service) = (TokioIo::new(caller), TokioIo::new(service));
        let idle = connection.bounds.tunnel_idle_timeout;
        tokio::select! {
            () = tunnel::join(&mut caller, &mut service, idle) => {}
            _fallen = watch.fall() => {}
            () = draining.goodbye() => tunnel::part(&mut caller, &mut service).await,
        }
    };
    let (head, _) = response.into_parts();
    (Response::from_parts(head, Body::empty()), joined)
}
