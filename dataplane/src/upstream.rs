//! The way to a service: endpoints, connections kept for reuse, and one exchange.
//!
//! Everything here belongs to one worker, whose event loop has one thread: no locks.

mod attempt;
mod connect;
mod failure;
mod peer;
mod places;
mod shared;
pub mod target;
mod wire;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use sallyport_snapshot::Hash;
use tokio::time::Instant;

use crate::egress::AddressRules;
use crate::egress::leave::Leave;
use crate::map::Map;
use crate::names::Names;
use crate::server::descriptors::Descriptors;
use attempt::{Attempt, Ends, Reuse};
pub use attempt::{Purpose, Terms};
pub use connect::OnThisWorker;
pub use failure::UpstreamFailure;
use failure::{is_closed, is_unprocessed};
pub use peer::Stream;
use places::{Addresses, Allowed};
use shared::{Group, Shareable, SharedConnections};
use target::Target;

/// Idle connections to one endpoint: a burst beyond this pays for new ones.
const MAX_IDLE: usize = 64;
/// Servers commonly close after 60 s or more: closing earlier ourselves avoids the race.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
/// What each address of a host has at least for its connection, if the time for all allows it: a round trip around the world, and TLS.
const MIN_CONNECT_SHARE: Duration = Duration::from_secs(1);

/// Connections of one worker to all services.
pub struct Upstreams<B> {
    rules: AddressRules,
    descriptors: Descriptors,
    names: Names,
    idle: RefCell<Map<Key, Vec<Idle<B>>>>,
    shared: SharedConnections<B>,
    turn: Cell<u64>,
    /// When [`Self::tidy`] was called last: as exact as the age of an idle connection has to be.
    tidied: Cell<Instant>,
}

/// Connections are shared only by requests for the same settings of the same backend.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    target: Hash,
    address: SocketAddr,
}

struct Idle<B> {
    sender: http1::SendRequest<B>,
    /// Whether the service has kept it open after an exchange.
    is_proven: bool,
    /// Or some seconds before it became idle.
    since: Instant,
}

/// A connection for one exchange.
enum Sender<B> {
    Http1(http1::SendRequest<B>, Trust),
    Http2(Shareable<B>),
}

struct Connected<B> {
    sender: Sender<B>,
    address: SocketAddr,
    was_kept: bool,
}

/// Whether the service is likely to close an HTTP/1.1 connection just when it is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    New,
    /// Kept, and not known to be kept by the service; or idle for so long that the service may have had enough.
    Doubtful,
    Proven,
}

/// A response, and the connection that it came on, to be given back when its body has ended.
pub struct Exchange<B> {
    pub response: Response<Incoming>,
    pub address: SocketAddr,
    pub lease: Lease<B>,
    /// Until when its body has to have ended.
    pub until: Option<Instant>,
}

/// A connection, or a part of one, that is busy until both bodies have ended.
pub enum Lease<B> {
    Http1(Kept<B>),
    Http2(Stream),
}

/// An HTTP/1.1 connection that may serve others afterwards.
pub struct Kept<B> {
    key: Key,
    sender: http1::SendRequest<B>,
    trust: Trust,
    /// It is known to the service as somebody's own.
    is_taken: bool,
}

impl<B> Lease<B> {
    /// Serves nobody afterwards: the service knows its connection by who was on it. (Of HTTP/2 nothing is known but its streams.)
    pub fn take(&mut self) {
        if let Self::Http1(kept) = self {
            kept.is_taken = true;
        }
    }
}

/// What came of an exchange. The request comes back with the failure if the service has not processed it.
type Outcome<T, B> = Result<T, (UpstreamFailure, Option<Box<Request<B>>>)>;

impl<B> Upstreams<B>
where
    B: HttpBody<Data = Bytes> + Again + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Connections under `rules`; `seed` decides which endpoint comes first.
    pub fn new(rules: AddressRules, descriptors: Descriptors, seed: u64) -> Self {
        Self {
            rules,
            descriptors,
            names: Names::of_system(),
            idle: RefCell::default(),
            shared: SharedConnections::default(),
            turn: Cell::new(seed),
            tidied: Cell::new(Instant::now()),
        }
    }

    /// Sends `request` to an endpoint of `target`. While nothing has been sent, another endpoint is tried; what must not be called without
    /// `leave` ends it.
    pub async fn send(
        &self,
        target: &Target,
        request: Request<B>,
        terms: Terms,
        leave: Option<&Leave>,
    ) -> Result<Exchange<B>, UpstreamFailure> {
        let allowed = Allowed { rules: &self.rules, leave };
        self.turn.set(self.turn.get().wrapping_add(1));
        let mut places = target.places.order(self.turn.get());
        let mut attempt = places.next().map(|place| Attempt::at(place, terms));
        let mut failure = UpstreamFailure::NoEndpoint;
        let mut request = request;
        while let Some(now) = attempt {
            let again = match self.connection(target, &now, terms.purpose, allowed).await {
                Ok(connected) => {
                    let was_kept = connected.was_kept;
                    match pin!(self.exchange(target, connected, request, (now.ends, terms.purpose))).await {
                        Ok(exchange) => return Ok(exchange),
                        Err((error, None)) => return Err(error),
                        Err((error, Some(unsent))) => {
                            failure = error;
                            request = *unsent;
                            was_kept
                        }
                    }
                }
                Err(refusal) if refusal.is_refusal() => return Err(refusal),
                Err(error) => {
                    failure = error;
                    false
                }
            };
            if terms.until.is_some_and(|until| until <= Instant::now()) {
                break;
            }
            // The service may have closed a connection that was kept while the request came: that says nothing of the service.
            attempt = if again { Some(now.afresh()) } else { places.next().map(|place| Attempt::at(place, terms)) };
        }
        Err(failure)
    }

    /// Takes a connection back for the next request.
    pub fn give_back(&self, lease: Lease<B>) {
        // A stream has ended with this.
        let Lease::Http1(Kept { key, sender, trust, is_taken }) = lease else { return };
        if is_taken || sender.is_closed() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let connections = idle.entry(key).or_default();
        if connections.len() < MAX_IDLE {
            connections.push(Idle { sender, is_proven: trust != Trust::New, since: self.tidied.get() });
        }
    }

    /// Closes what has been idle too long. To be called every few seconds.
    pub fn tidy(&self) {
        let now = Instant::now();
        self.tidied.set(now);
        self.idle.borrow_mut().retain(|_, connections| {
            connections.retain(|idle| now.duration_since(idle.since) < IDLE_TIMEOUT && !idle.sender.is_closed());
            !connections.is_empty()
        });
        self.shared.tidy(now);
    }

    async fn connection(
        &self,
        target: &Target,
        attempt: &Attempt<'_>,
        purpose: Purpose,
        allowed: Allowed<'_>,
    ) -> Result<Connected<B>, UpstreamFailure> {
        let mut deadline = None;
        let addresses = match attempt.place.address(allowed) {
            Some(address) => address?,
            // Boxed, as is connecting: what is rarely done must not make every request larger.
            None => Box::pin(self.resolve(attempt, allowed, *deadline.insert(attempt.connect_until(target)))).await?,
        };
        let mut failure = UpstreamFailure::NoEndpoint;
        let count = addresses.len();
        for (tried, address) in addresses.into_iter().enumerate() {
            if attempt.reuse == Reuse::Allowed
                && let Some(sender) = self.kept(target, address)
            {
                return Ok(Connected { sender, address, was_kept: true });
            }
            let deadline = *deadline.get_or_insert_with(|| attempt.connect_until(target));
            let share = share(deadline.saturating_duration_since(Instant::now()), count - tried);
            match Box::pin(self.open(target, address, purpose, Instant::now() + share)).await {
                Ok(connected) => return Ok(connected),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn resolve(
        &self,
        attempt: &Attempt<'_>,
        allowed: Allowed<'_>,
        deadline: Instant,
    ) -> Result<Addresses, UpstreamFailure> {
        let found = tokio::time::timeout_at(deadline, attempt.place.resolve(&self.names, allowed)).await;
        found.unwrap_or_else(|_| Err(UpstreamFailure::ConnectTimeout { place: attempt.place.to_string() }))
    }

    /// A connection that is open already.
    fn kept(&self, target: &Target, address: SocketAddr) -> Option<Sender<B>> {
        let key = Key { target: target.identity, address };
        if target.may_share()
            && let Some(shareable) = self.shared.take(&key, self.tidied.get())
        {
            return Some(Sender::Http2(shareable));
        }
        loop {
            let idle = self.idle.borrow_mut().get_mut(&key).and_then(Vec::pop)?;
            if !idle.sender.is_closed() {
                let is_fresh = idle.is_proven && idle.since == self.tidied.get();
                return Some(Sender::Http1(idle.sender, if is_fresh { Trust::Proven } else { Trust::Doubtful }));
            }
        }
    }

    /// A new connection, or a place that has become free on one while others had leave to connect.
    async fn open(
        &self,
        target: &Target,
        address: SocketAddr,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<Connected<B>, UpstreamFailure> {
        let key = Key { target: target.identity, address };
        let group = self.group(target, key, purpose);
        let leave = match &group {
            None => None,
            Some(group) => match self.leave_to_connect(group, address, deadline).await? {
                Turn::Connect(leave) => Some(leave),
                Turn::Share(shareable) => {
                    return Ok(Connected { sender: Sender::Http2(shareable), address, was_kept: true });
                }
            },
        };
        let made = connect::connect(target, address, purpose, self.descriptors);
        let made = tokio::time::timeout_at(deadline, made).await;
        let made = made.map_err(|_| UpstreamFailure::ConnectTimeout { place: address.to_string() })??;
        let sender = match made {
            connect::Made::Http1(sender) => Sender::Http1(sender, Trust::New),
            connect::Made::Http2(sender, peer) => {
                let stream = peer.begin().ok_or_else(|| UpstreamFailure::Busy { place: address.to_string() })?;
                self.shared.group(key).add(&sender, &peer, self.tidied.get());
                Sender::Http2(Shareable { sender, stream })
            }
        };
        drop(leave);
        Ok(Connected { sender, address, was_kept: false })
    }

    /// Whose connections have to be counted before another is made: those that are known to be HTTP/2.
    fn group(&self, target: &Target, key: Key, purpose: Purpose) -> Option<Rc<Group<B>>> {
        match purpose {
            Purpose::Upgrade => None,
            Purpose::Exchange | Purpose::Question if target.is_http2() => Some(self.shared.group(key)),
            Purpose::Exchange | Purpose::Question => self.shared.known(&key),
        }
    }

    async fn leave_to_connect<'a>(
        &self,
        group: &'a Group<B>,
        address: SocketAddr,
        deadline: Instant,
    ) -> Result<Turn<'a, B>, UpstreamFailure> {
        loop {
            if let Some(leave) = group.connecting() {
                return Ok(Turn::Connect(leave));
            }
            // Who wanted a connection of its own has to do with one of those that there are.
            if group.is_full()
                && let Some(shareable) = group.take(self.tidied.get())
            {
                return Ok(Turn::Share(shareable));
            }
            let changed = tokio::time::timeout_at(deadline, group.changed()).await;
            changed.map_err(|_| UpstreamFailure::Busy { place: address.to_string() })?;
            if let Some(shareable) = group.take(self.tidied.get()) {
                return Ok(Turn::Share(shareable));
            }
        }
    }

    /// One exchange.
    async fn exchange(
        &self,
        target: &Target,
        connected: Connected<B>,
        request: Request<B>,
        (ends, purpose): (Ends, Purpose),
    ) -> Outcome<Exchange<B>, B> {
        let Connected { sender, address, was_kept } = connected;
        let peer = match &sender {
            Sender::Http2(shareable) => Some((Rc::clone(shareable.stream.peer()), shareable.stream.peer().reads())),
            Sender::Http1(..) => None,
        };
        let exchange = async {
            let (response, lease) = match sender {
                Sender::Http1(sender, trust) => {
                    let key = Key { target: target.identity, address };
                    let kept = Kept { key, sender, trust, is_taken: false };
                    over_http1(kept, wire::of_http1(request), purpose).await?
                }
                Sender::Http2(shareable) => {
                    let request = wire::of_http2(request, target.is_tls());
                    let request = request.ok_or((UpstreamFailure::Host { address }, None))?;
                    over_http2(shareable, request, address, (was_kept, purpose)).await?
                }
            };
            Ok(Exchange { response, address, lease, until: ends.whole })
        };
        let Some(end) = ends.head() else { return exchange.await };
        let outcome = tokio::time::timeout_at(end, exchange).await;
        outcome.unwrap_or_else(|_| {
            // Nothing at all was heard: others need not try the same connection.
            if let Some((peer, _)) = peer.filter(|(peer, reads)| peer.reads() == *reads) {
                peer.retire();
            }
            Err((UpstreamFailure::Timeout { address }, None))
        })
    }
}

/// What a request that found no room comes to.
enum Turn<'a, B> {
    Connect(shared::Connecting<'a, B>),
    Share(Shareable<B>),
}

async fn over_http1<B>(
    mut kept: Kept<B>,
    request: Request<B>,
    purpose: Purpose,
) -> Outcome<(Response<Incoming>, Lease<B>), B>
where
    B: HttpBody<Data = Bytes> + Again + 'static,
{
    let address = kept.key.address;
    if let Err(source) = kept.sender.ready().await {
        return Err((UpstreamFailure::Protocol { address, source }, Some(Box::new(request))));
    }
    // The service may close it while the request is on its way, and nobody can tell whether it has been read. What may be asked twice is
    // (RFC 9112, 9.3.1): a copy of it is kept where that is likely.
    let may_be_repeated = match purpose {
        Purpose::Question => kept.trust != Trust::New,
        Purpose::Exchange | Purpose::Upgrade => {
            kept.trust == Trust::Doubtful && request.method().is_idempotent() && request.body().is_end_stream()
        }
    };
    let copy = if may_be_repeated { copy(&request) } else { None };
    match kept.sender.try_send_request(request).await {
        Ok(response) => Ok((response, Lease::Http1(kept))),
        Err(error) => {
            let copy = copy.filter(|_| is_closed(error.error()));
            let (failure, request) = unsent(error, address);
            Err((failure, request.or(copy)))
        }
    }
}

async fn over_http2<B>(
    Shareable { mut sender, stream }: Shareable<B>,
    request: Request<B>,
    address: SocketAddr,
    (was_kept, purpose): (bool, Purpose),
) -> Outcome<(Response<Incoming>, Lease<B>), B>
where
    B: HttpBody<Data = Bytes> + Again + 'static,
{
    // hyper does not give back what the service says that it has not processed. A body is gone by then; a request without one can
    // be made again. A connection that is new is refused for a reason that the next would meet as well.
    let copy = if was_kept { copy(&request) } else { None };
    match sender.try_send_request(request).await {
        Ok(response) => Ok((response, Lease::Http2(stream))),
        Err(error) => {
            let may_repeat =
                |error: &hyper::Error| is_unprocessed(error) || purpose == Purpose::Question && is_closed(error);
            let copy = copy.filter(|_| may_repeat(error.error()));
            let (failure, request) = unsent(error, address);
            if request.is_some() || copy.is_some() {
                // It is going away, or has gone.
                stream.peer().retire();
            }
            Err((failure, request.or(copy)))
        }
    }
}

/// A body of which there may be a second.
pub trait Again: Sized {
    /// The same once more, if all of it is at hand.
    fn again(&self) -> Option<Self>;
}

fn copy<B: Again>(request: &Request<B>) -> Option<Box<Request<B>>> {
    let mut copy = Box::new(Request::new(request.body().again()?));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// What of the time that is `left` one of `addresses` has: one that does not answer leaves some to the others.
fn share(left: Duration, addresses: usize) -> Duration {
    let equal = left / u32::try_from(addresses).unwrap_or(u32::MAX).max(1);
    equal.max(MIN_CONNECT_SHARE).min(left)
}

fn unsent<B>(mut error: TrySendError<Request<B>>, address: SocketAddr) -> (UpstreamFailure, Option<Box<Request<B>>>) {
    let request = error.take_message().map(Box::new);
    (UpstreamFailure::Protocol { address, source: error.into_error() }, request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_does_not_answer_leaves_time_to_the_others() {
        for (left_ms, addresses, share_ms) in
            [(5000, 1, 5000), (5000, 4, 1250), (3750, 3, 1250), (2000, 4, 1000), (400, 4, 400), (0, 4, 0)]
        {
            let share = share(Duration::from_millis(left_ms), addresses);
            assert_eq!(share, Duration::from_millis(share_ms), "{left_ms} ms for {addresses}");
        }
    }
}
